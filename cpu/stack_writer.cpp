#include "cpu/stack_writer.h"

namespace ringshift::cpu {

GuestResult<void> StackWriter::require(unsigned count, unsigned size, u32 error_code) {
  u64 pointer = pointer_;
  bool fits = segment_.present;
  for (unsigned i = 0; i < count && fits; ++i) {
    pointer = (pointer - size) & mask();
    const u64 last = pointer + size - 1;
    fits = segment_.expand_down() ? pointer > segment_.limit && last <= mask()
                                  : last <= segment_.limit;
  }
  if (!fits) return processor_.raise(Vector::StackFault, error_code);
  return {};
}

GuestResult<void> StackWriter::push(u64 value, unsigned size) {
  const u64 offset = (pointer_ - size) & mask();
  const u64 linear = (segment_.base + offset) & 0xFFFFFFFF;
  if (size == 2) {
    GUEST_TRY(processor_.write_linear<u16>(linear, static_cast<u16>(value), access_));
  } else {
    GUEST_TRY(processor_.write_linear<u32>(linear, static_cast<u32>(value), access_));
  }
  processor_.check_data_breakpoints(linear, size, AccessType::Write);
  pointer_ = (pointer_ & ~mask()) | offset;
  return {};
}

void StackWriter::commit() {
  processor_.state.segment(SegmentName::SS) = segment_;
  processor_.state.gpr[Rsp] = pointer_;
}

void set_stack_pointer(State& state, u64 value) {
  const u64 mask = state.segment(SegmentName::SS).big ? 0xFFFFFFFF : 0xFFFF;
  state.gpr[Rsp] = (state.gpr[Rsp] & ~mask & 0xFFFFFFFF) | (value & mask);
}

}  // namespace ringshift::cpu
