// What the emitter wants to know of a block before it emits the first byte: where its own branches
// lead, and in which loops one look at the FPU is enough.
#include <algorithm>

#include "translator/emit/block_emitter.h"

namespace ringshift::translator {

using cpu::Instruction;
using cpu::TranslationPolicy;

namespace {

bool has_memory(const Instruction& instruction) {
  return std::any_of(
      instruction.operands.begin(), instruction.operands.begin() + instruction.operand_count,
      [](const cpu::Operand& operand) { return operand.kind == cpu::OperandKind::Memory; });
}

}  // namespace

/// Where a direct jump, conditional or not, leads.
std::optional<u32> BlockEmitter::branch_target(const SourceInstruction& item) {
  constexpr u8 kCall = 0xE8;
  const Instruction& instruction = item.instruction;
  if (!item.decoded || item.call_out || instruction.policy != TranslationPolicy::Branch ||
      instruction.operands[0].kind != cpu::OperandKind::RelativeBranch ||
      instruction.opcode == kCall) {
    return std::nullopt;
  }
  const u64 mask = instruction.operand_size == 2 ? 0xFFFF : 0xFFFFFFFF;
  return static_cast<u32>((item.eip + instruction.length + instruction.immediate) & mask);
}

/// The number of the block's instruction at `eip`.
std::optional<std::size_t> BlockEmitter::internal_target(u32 eip) const {
  if (!options_.on(Optimisation::InternalBranches)) return std::nullopt;
  const auto found =
      std::lower_bound(source_.begin(), source_.end(), eip,
                       [](const SourceInstruction& item, u32 value) { return item.eip < value; });
  if (found == source_.end() || found->eip != eip) return std::nullopt;
  return static_cast<std::size_t>(found - source_.begin());
}

/// Which instructions are reached by a branch of this block.
void BlockEmitter::find_targets() {
  is_target_.assign(source_.size(), false);
  loop_head_.assign(source_.size(), Loop::None);
  labels_.resize(source_.size());
  jumps_to_.assign(source_.size(), kNowhere);
  for (std::size_t i = 0; i < source_.size(); ++i) {
    const auto eip = branch_target(source_[i]);
    const auto target = eip ? internal_target(*eip) : std::nullopt;
    if (!target) continue;
    jumps_to_[i] = static_cast<u16>(*target);
    if (!is_target_[*target]) labels_[*target] = a_.newLabel();
    is_target_[*target] = true;
    if (*target > i) continue;
    // Back edges come in the order of their ends: a loop that holds another comes later.
    const bool holds_another =
        std::any_of(loop_head_.begin() + static_cast<std::ptrdiff_t>(*target) + 1,
                    loop_head_.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    [](Loop loop) { return loop != Loop::None; });
    loop_head_[*target] = holds_another ? Loop::Outer : Loop::Innermost;
  }
}

/// Whether the guest's FPU state stays loaded over the instruction, whatever happens in it short of
/// leaving the block.
bool BlockEmitter::keeps_fpu(std::size_t index) const {
  const SourceInstruction& item = source_[index];
  if (!item.decoded || item.call_out) return false;
  const Instruction& instruction = item.instruction;
  if (has_memory(instruction) && segment_kind(instruction.memory.segment) != SegmentKind::Flat) {
    return false;
  }
  if (fpu_need(instruction.policy) != 0) return fpu_allowed(instruction.policy);
  if (instruction.policy == TranslationPolicy::Branch) return branch_target(item).has_value();
  if (instruction.policy == TranslationPolicy::Stack) return flat_stack();
  return instruction.policy == TranslationPolicy::Copy;
}

/// Makes [begin, end] a stretch that branches of the block enter at `begin` only.
void BlockEmitter::close_region(std::size_t& begin, std::size_t& end) const {
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < source_.size(); ++i) {
      if (i >= begin && i <= end) continue;
      const std::size_t at = jumps_to_[i];
      if (at < begin || at > end) continue;
      begin = std::min(begin, i);
      end = std::max(end, i);
      moved = true;
    }
  }
}

/// If all flags are replaced from `index` on before anything can look at them, be it an exception's
/// frame: the last instruction that does so.
std::optional<std::size_t> BlockEmitter::flags_dead_until(std::size_t index) const {
  constexpr u8 kDivideByte = 0xF6, kDivide = 0xF7;
  if (!options_.on(Optimisation::FlagLiveness)) return std::nullopt;
  u8 live = cpu::flag_bits::All;
  for (std::size_t i = index; i < source_.size(); ++i) {
    const SourceInstruction& item = source_[i];
    const Instruction& instruction = item.instruction;
    if (!item.decoded || item.call_out || is_target_[i] ||
        instruction.policy != TranslationPolicy::Copy || has_memory(instruction) ||
        instruction.opcode == kDivideByte || instruction.opcode == kDivide ||
        (instruction.flags_read & live) != 0) {
      return std::nullopt;
    }
    live = static_cast<u8>(live & ~instruction.flags_written);
    if (live == 0) return i;
  }
  return std::nullopt;
}

/// Loops whose FPU instructions need only one look at the FPU, before the loop.
void BlockEmitter::find_fpu_regions() {
  fpu_region_.assign(source_.size(), 0);
  if (!options_.on(Optimisation::FpuHoisting)) return;
  for (std::size_t i = 0; i < source_.size(); ++i) {
    const std::size_t head = jumps_to_[i];
    if (head > i || fpu_region_[i] != 0) continue;
    std::size_t begin = head, end = i;
    close_region(begin, end);
    u8 need = 0;
    bool keeps = true;
    for (std::size_t k = begin; k <= end && keeps; ++k) {
      keeps = keeps_fpu(k);
      need |= fpu_need(source_[k].instruction.policy);
    }
    if (need == 0 || !keeps) continue;
    for (std::size_t k = begin; k <= end; ++k) fpu_region_[k] |= need;
  }
}

}  // namespace ringshift::translator
