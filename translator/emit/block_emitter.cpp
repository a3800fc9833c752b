#include "translator/emit/block_emitter.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cpu/decoder.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::ControlFlow;
using cpu::Instruction;
using cpu::TranslationPolicy;

void BlockEmitter::begin(Block& block, std::span<const SourceInstruction> source, const u8* at) {
  holder_.reset();
  holder_.init(asmjit::Environment::host(), reinterpret_cast<u64>(at));
  // A buffer of its own would be allocated anew for each block.
  asmjit::CodeBuffer& buffer = holder_.textSection()->buffer();
  buffer._data = buffer_.data();
  buffer._capacity = buffer_.size();
  buffer._flags = asmjit::CodeBufferFlags::kIsExternal | asmjit::CodeBufferFlags::kIsFixed;
  holder_.attach(&a_);
  a_.addEncodingOptions(asmjit::EncodingOptions::kOptimizedAlign);  // long NOPs
  block_ = &block;
  source_ = source;
  current_ = nullptr;
  mode_ = block.mode;
  pending_ = 0;
  stack_unchecked_ = false;
  flags_lost_until_ = 0;
  fpu_known_ = 0;
  reachable_ = true;
  shadowed_ = false;
  points_.clear();
  tails_.clear();
  exits_.clear();
}

std::span<const u8> BlockEmitter::code() const {
  const auto& buffer = holder_.textSection()->buffer();
  return {buffer.data(), buffer.size()};
}

std::span<const u8> BlockEmitter::emit(Block& block, std::span<const SourceInstruction> source,
                                       const u8* at) {
  begin(block, source, at);
  block.instructions = static_cast<u16>(source.size());
  find_targets();
  find_fpu_regions();
  stagger(at);
  const std::size_t entry = a_.offset();
  for (index_ = 0; index_ < source_.size(); ++index_) {
    emit_instruction(index_);
    keep_region(index_);
  }
  if (reachable_) {
    flush_pending();
    emit_jump(next_eip());
  }
  emit_tails();
  finish_sites();
  holder_.flatten();
  holder_.resolveUnresolvedLinks();
  holder_.relocateToBase(holder_.baseAddress());
  block.code = at;
  block.entry = at + entry;
  block.code_size = static_cast<u32>(code().size());
  block.points.assign(points_.begin(), points_.end());
  if (holder_.hasUnresolvedLinks() || code().size() >= buffer_.size() - cpu::kLongestInstruction) {
    std::fprintf(stderr, "ringshift: a block at %08x has no end, or a branch to nowhere\n",
                 block.eip);
    std::abort();
  }
  return code();
}

/// Blocks begin on lines of their own, and their branches tend to lie at the same places in those:
/// the host's branch predictor, which looks at the low bits of addresses, would mix them up.
void BlockEmitter::stagger(const u8* at) {
  constexpr u64 kLine = 64, kStep = 16, kSteps = kLine / kStep;
  const u64 line = reinterpret_cast<u64>(at) / kLine;
  for (u64 bytes = line % kSteps * kStep; bytes != 0; --bytes) a_.int3();
}

/// What the block takes for granted of its mode is noted: elsewhere it may differ.
SegmentKind BlockEmitter::segment_kind(cpu::SegmentName name) const {
  block_->used_kinds |= Mode::segment_bits(name);
  return mode_.segment(name);
}

/// An innermost loop begins a line of its own. What falls into an outer loop's head runs over the
/// padding each time, so there it is short.
void BlockEmitter::align_loop(std::size_t index) {
  constexpr u32 kLine = 64, kPiece = 16;
  if (loop_head_[index] == Loop::Innermost) a_.align(asmjit::AlignMode::kCode, kLine);
  if (loop_head_[index] == Loop::Outer) a_.align(asmjit::AlignMode::kCode, kPiece);
}

/// From here on host code stands for the current instruction.
void BlockEmitter::mark(bool boundary, u8 recovery) {
  FaultPoint point;
  point.host_offset = static_cast<u32>(a_.offset());
  point.guest_offset = static_cast<u16>(current_ == nullptr ? 0 : current_->eip - block_->eip);
  point.pending = static_cast<i16>(pending_);
  point.recovery = recovery;
  point.counted_ahead = current_ == nullptr ? u8{0} : counted_ahead();
  point.boundary = boundary;
  if (!points_.empty() && points_.back().host_offset == point.host_offset) {
    points_.back() = point;
  } else {
    points_.push_back(point);
  }
}

/// Instructions from the current one on that have been counted, itself included.
u8 BlockEmitter::counted_ahead() const {
  if (!options_.counts_instructions()) return 0;
  return left_in_run(static_cast<std::size_t>(current_ - source_.data()));
}

/// Instructions from this one to the end of its run, which is executed as a whole unless something
/// leaves it.
u8 BlockEmitter::left_in_run(std::size_t index) const {
  std::size_t end = index;
  while (end + 1 < source_.size() && !is_target_[end + 1] &&
         source_[end].instruction.control_flow == ControlFlow::Sequential) {
    ++end;
  }
  return static_cast<u8>(end + 1 - index);
}

/// Where a run begins, all of it is counted. What leaves in the middle takes the rest off again.
void BlockEmitter::count_run(std::size_t first) {
  if (!options_.counts_instructions()) return;
  if (first != 0 && !is_target_[first] &&
      source_[first - 1].instruction.control_flow == ControlFlow::Sequential) {
    return;
  }
  a_.mov(x86::r8, CONTEXT_FIELD(instructions));
  a_.lea(x86::r8, x86::ptr(x86::r8, left_in_run(first)));
  a_.mov(CONTEXT_FIELD(instructions), x86::r8);
}

void BlockEmitter::flush_pending() {
  if (pending_ == 0) return;
  if (stack_unchecked_) {
    a_.lea(x86::r15d, x86::ptr(x86::r15, pending_));
    rebase_stack_pointer();
  } else {
    a_.lea(x86::r15, x86::ptr(x86::r15, pending_));
  }
  stack_unchecked_ = false;
  pending_ = 0;
  mark(false, points_.back().recovery);  // the rest of the instruction may fault
}

void BlockEmitter::add_pending(i32 delta) {
  constexpr i32 kMost = 0x4000;
  pending_ += delta;
  if (!options_.on(Optimisation::StackDelta) || pending_ > kMost || pending_ < -kMost) {
    flush_pending();
  }
}

void BlockEmitter::emit_instruction(std::size_t index) {
  const int before = index == 0 ? 0 : fpu_region_[index - 1];
  if ((fpu_region_[index] & ~before) != 0 && reachable_) {
    current_ = &source_[index];
    mark(true);
    ensure_fpu(fpu_region_[index]);
  }
  if (is_target_[index]) {
    flush_pending();
    if (options_.on(Optimisation::LoopAlignment)) align_loop(index);
    a_.bind(labels_[index]);
    fpu_known_ = fpu_region_[index];
  }
  count_run(index);
  current_ = &source_[index];
  reachable_ = true;
  // Nothing may stop where the guest's flags, or its STI shadow, couldn't be told.
  const bool flags_lost = flags_lost_until_ != 0 && index <= flags_lost_until_;
  mark(!shadowed_ && !flags_lost);
  shadowed_ = false;
  slow_.reset();
  const Instruction& instruction = current_->instruction;
  if (!current_->decoded) {
    call_out(true, true);
    reachable_ = false;
    return;
  }
  if (current_->call_out && instruction.control_flow == ControlFlow::Sequential) {
    call_out(instruction.policy == TranslationPolicy::EmulateAndLeave && !may_stay(instruction));
    return;
  }
  emit_by_policy(instruction);
  if (!slow_) return;
  // The slow way: the whole instruction in the interpreter, then on behind it.
  const Label back = a_.newLabel();
  a_.bind(back);
  fpu_known_ = 0;
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
    if (pending_after != 0) a_.lea(x86::r15, x86::ptr(x86::r15, -pending_after));
    a_.jmp(back);
  });
}

/// Where the interpreter was called after all in a stretch that relies on the FPU state being
/// loaded.
void BlockEmitter::keep_region(std::size_t index) {
  const u8 need = fpu_region_[index];
  if (!reachable_ || (need & ~fpu_known_) == 0) return;
  mark(false);
  ensure_fpu(need);
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
      emit_inline();
      return;
    case TranslationPolicy::FlagStack:
      emit_flag_stack();
      return;
    case TranslationPolicy::String:
      emit_string();
      return;
    case TranslationPolicy::Emulate:
      emit_emulated();
      return;
    case TranslationPolicy::Port:
      call_out(false);
      return;
    case TranslationPolicy::EmulateAndLeave:
      call_out(!may_stay(instruction));
      reachable_ = may_stay(instruction);
      return;
  }
}

/// One instruction by the interpreter. After one that leaves, no code follows.
void BlockEmitter::call_out(bool leaves, bool whole) {
  flush_pending();
  CallOut item;
  item.block = block_;
  item.patience = current_->patience;
  item.eip = current_->eip;
  item.whole = whole;
  item.leaves = leaves || whole;
  item.counted_ahead = counted_ahead();
  if (!whole) item.instruction = current_->instruction;
  a_.mov(x86::r11d, sink_.add_call_out(item));
  a_.call(reinterpret_cast<u64>(stubs_.call_out));
  fpu_known_ = 0;
}

void BlockEmitter::emit_tails() {
  // A tail may add another.
  for (std::size_t i = 0; i < tails_.size(); ++i) {
    const Tail tail = tails_[i];
    tail();
  }
}

}  // namespace ringshift::translator
