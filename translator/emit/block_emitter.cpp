#include "translator/emit/block_emitter.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::ControlFlow;
using cpu::Instruction;
using cpu::TranslationPolicy;

BlockEmitter::BlockEmitter(const Stubs& stubs, const Options& options, EmissionSink& sink,
                           const u8* at)
    : stubs_(stubs), options_(options), sink_(sink) {
  holder_.init(asmjit::Environment::host(), reinterpret_cast<u64>(at));
  holder_.attach(&a_);
}

std::span<const u8> BlockEmitter::code() const {
  const auto& buffer = holder_.textSection()->buffer();
  return {buffer.data(), buffer.size()};
}

void BlockEmitter::emit(Block& block, std::span<const SourceInstruction> source) {
  block_ = &block;
  source_ = source;
  mode_ = block.mode;
  block.instructions = static_cast<u16>(source.size());
  find_targets();
  emit_indirect_entry();
  const std::size_t entry = a_.offset();
  for (index_ = 0; index_ < source_.size(); ++index_) emit_instruction(index_);
  if (reachable_) {
    flush_pending();
    emit_jump(next_eip());
  }
  emit_tails();
  finish_sites();
  holder_.flatten();
  holder_.resolveUnresolvedLinks();
  holder_.relocateToBase(holder_.baseAddress());
  const u8* base = reinterpret_cast<const u8*>(holder_.baseAddress());
  block.code = base;
  block.entry = base + entry;
  block.code_size = static_cast<u32>(code().size());
  if (holder_.hasUnresolvedLinks()) {
    std::fprintf(stderr, "ringshift: a block at %08x has a branch to nowhere\n", block.eip);
    std::abort();
  }
}

/// An indirect branch comes here with its target in R8D; whether it is this block is for the block
/// to say. No flag may change.
void BlockEmitter::emit_indirect_entry() {
  const Label ours = a_.newLabel();
  mark(false, kRcxInR9);
  block_->points.back().recovery = 0;
  a_.mov(x86::r9, x86::rcx);
  a_.lea(x86::ecx, x86::ptr(x86::r8d, static_cast<i32>(0U - block_->eip)));
  a_.jecxz(x86::ecx, ours);
  a_.mov(x86::rcx, x86::r9);
  a_.jmp(reinterpret_cast<u64>(stubs_.miss));
  a_.bind(ours);
  a_.mov(x86::rcx, x86::r9);
}

/// Which instructions are reached by a branch of this block.
void BlockEmitter::find_targets() {
  is_target_.assign(source_.size(), false);
  loop_head_.assign(source_.size(), false);
  labels_.resize(source_.size());
  for (std::size_t i = 0; i < source_.size(); ++i) {
    const Instruction& instruction = source_[i].instruction;
    if (!source_[i].decoded || source_[i].call_out ||
        instruction.policy != TranslationPolicy::Branch ||
        instruction.operands[0].kind != cpu::OperandKind::RelativeBranch) {
      continue;
    }
    const u64 mask = instruction.operand_size == 2 ? 0xFFFF : 0xFFFFFFFF;
    const u32 target =
        static_cast<u32>((source_[i].eip + instruction.length + instruction.immediate) & mask);
    if (const auto found = internal_target(target)) {
      is_target_[*found] = true;
      if (*found <= i) loop_head_[*found] = true;
    }
  }
  for (std::size_t i = 0; i < source_.size(); ++i) {
    if (is_target_[i]) labels_[i] = a_.newLabel();
  }
}

std::optional<std::size_t> BlockEmitter::internal_target(u32 eip) const {
  if (!options_.on(Optimisation::InternalBranches)) return std::nullopt;
  const auto found =
      std::lower_bound(source_.begin(), source_.end(), eip,
                       [](const SourceInstruction& item, u32 value) { return item.eip < value; });
  if (found == source_.end() || found->eip != eip) return std::nullopt;
  return static_cast<std::size_t>(found - source_.begin());
}

/// From here on host code stands for the current instruction.
void BlockEmitter::mark(bool boundary, u8 recovery) {
  FaultPoint point;
  point.host_offset = static_cast<u32>(a_.offset());
  point.guest_offset = static_cast<u16>(current_ == nullptr ? 0 : current_->eip - block_->eip);
  point.pending = static_cast<i16>(pending_);
  point.recovery = recovery;
  point.boundary = boundary;
  std::vector<FaultPoint>& points = block_->points;
  if (!points.empty() && points.back().host_offset == point.host_offset) {
    points.back() = point;
  } else {
    points.push_back(point);
  }
}

void BlockEmitter::flush_pending() {
  if (pending_ == 0) return;
  a_.lea(x86::r15d, x86::ptr(x86::r15d, pending_));
  pending_ = 0;
  // The instruction may yet fault.
  mark(false, block_->points.back().recovery);
}

void BlockEmitter::add_pending(i32 delta) {
  constexpr i32 kMost = 0x4000;
  pending_ += delta;
  if (!options_.on(Optimisation::StackDelta) || pending_ > kMost || pending_ < -kMost) {
    flush_pending();
  }
}

void BlockEmitter::emit_instruction(std::size_t index) {
  if (is_target_[index]) {
    flush_pending();
    if (loop_head_[index] && options_.on(Optimisation::LoopAlignment)) {
      a_.align(asmjit::AlignMode::kCode, 64);
    }
    a_.bind(labels_[index]);
    fpu_known_ = false;
  }
  current_ = &source_[index];
  reachable_ = true;
  mark(true);
  slow_.reset();
  const Instruction& instruction = current_->instruction;
  if (!current_->decoded) {
    call_out(true, true);
    reachable_ = false;
    return;
  }
  if (current_->call_out && instruction.control_flow == ControlFlow::Sequential) {
    call_out(instruction.policy == TranslationPolicy::EmulateAndLeave);
    return;
  }
  emit_by_policy(instruction);
  if (!slow_) return;
  // The slow way: the whole instruction in the interpreter, then on behind it.
  const Label back = a_.newLabel();
  a_.bind(back);
  fpu_known_ = false;
  const SourceInstruction* const current = current_;
  const Label slow = *slow_;
  const i32 pending_before = slow_pending_;
  const i32 pending_after = pending_;
  tails_.emplace_back([this, back, slow, current, pending_before, pending_after] {
    current_ = current;
    a_.bind(slow);
    restore_flags();
    pending_ = pending_before;
    call_out(false);
    if (pending_after != 0) a_.lea(x86::r15d, x86::ptr(x86::r15d, -pending_after));
    a_.jmp(back);
  });
}

void BlockEmitter::emit_by_policy(const Instruction& instruction) {
  switch (instruction.policy) {
    case TranslationPolicy::Copy:
      emit_copy();
      return;
    case TranslationPolicy::X87:
    case TranslationPolicy::Mmx:
    case TranslationPolicy::Simd:
    case TranslationPolicy::SimdMmx:
    case TranslationPolicy::Avx:
      emit_fpu();
      return;
    case TranslationPolicy::Stack:
      emit_stack();
      return;
    case TranslationPolicy::Branch:
      emit_branch();
      return;
    case TranslationPolicy::Flag:
      emit_flag();
      return;
    case TranslationPolicy::Inline:
    case TranslationPolicy::FlagStack:
    case TranslationPolicy::String:
    case TranslationPolicy::Port:
      emit_inline();
      return;
    case TranslationPolicy::Emulate:
      call_out(false);
      return;
    case TranslationPolicy::EmulateAndLeave:
      call_out(true);
      reachable_ = false;
      return;
  }
}

/// One instruction by the interpreter. After one that leaves, no code follows.
void BlockEmitter::call_out(bool leaves, bool whole) {
  flush_pending();
  CallOut item;
  item.block = block_;
  item.eip = current_->eip;
  item.whole = whole;
  item.leaves = leaves || whole;
  if (!whole) item.instruction = current_->instruction;
  a_.mov(x86::r11d, sink_.add_call_out(item));
  a_.call(reinterpret_cast<u64>(stubs_.call_out));
  fpu_known_ = false;
}

void BlockEmitter::emit_tails() {
  // A tail may add another.
  for (std::size_t i = 0; i < tails_.size(); ++i) {
    const Tail tail = tails_[i];
    tail();
  }
}

}  // namespace ringshift::translator
