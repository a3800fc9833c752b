#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {

Completion check_x87(Processor& processor, X87Wait wait) {
  if ((processor.state.cr0 & (cr0::EM | cr0::TS)) != 0) {
    return complete(processor.raise(Vector::DeviceNotAvailable));
  }
  return wait == X87Wait::Waiting ? check_pending_x87(processor) : Completion::Next;
}

Completion check_pending_x87(Processor& processor) {
  if (!image::exception_pending(processor.state.extended)) return Completion::Next;
  if ((processor.state.cr0 & cr0::NE) != 0) {
    return complete(processor.raise(Vector::X87FloatingPoint));
  }
  processor.platform().set_ferr(true);
  // The processor stops at this instruction until an interrupt arrives, IRQ 13 as a rule.
  return processor.platform().ignore_numeric_error() ? Completion::Next : Completion::Repeat;
}

void update_ferr(Processor& processor, bool was_pending) {
  if (was_pending && !image::exception_pending(processor.state.extended)) {
    processor.platform().set_ferr(false);
  }
}

Completion check_sse(Processor& processor) {
  const State& state = processor.state;
  if ((state.cr0 & cr0::EM) != 0 || (state.cr4 & cr4::OSFXSR) == 0) {
    return complete(processor.raise(Vector::InvalidOpcode));
  }
  if ((state.cr0 & cr0::TS) != 0) return complete(processor.raise(Vector::DeviceNotAvailable));
  return Completion::Next;
}

Completion check_mmx(Processor& processor) {
  const State& state = processor.state;
  if ((state.cr0 & cr0::EM) != 0) return complete(processor.raise(Vector::InvalidOpcode));
  if ((state.cr0 & cr0::TS) != 0) return complete(processor.raise(Vector::DeviceNotAvailable));
  return check_pending_x87(processor);
}

Completion check_avx(Processor& processor) {
  constexpr u64 kSseAndAvx = 6;
  const State& state = processor.state;
  if (state.real_selectors() || (state.cr4 & cr4::OSXSAVE) == 0 ||
      (state.xcr0 & kSseAndAvx) != kSseAndAvx) {
    return complete(processor.raise(Vector::InvalidOpcode));
  }
  if ((state.cr0 & cr0::TS) != 0) return complete(processor.raise(Vector::DeviceNotAvailable));
  return Completion::Next;
}

Completion check_alignment(Processor& processor, const Instruction& instruction, u64 offset,
                           u64 mask) {
  const SegmentName segment = instruction.memory.segment;
  if (((processor.state.segment(segment).base + offset) & mask) == 0) return Completion::Next;
  return complete(processor.raise(Vector::GeneralProtection, 0));
}

GuestResult<void> probe_vector_store(Processor& processor, SegmentName segment, u64 offset,
                                     unsigned length) {
  const PageAccess access{AccessType::Write, processor.data_privilege(), false};
  const u64 linear =
      GUEST_TRY(processor.linear_address(segment, offset, length, AccessType::Write));
  GUEST_TRY(processor.translate(linear, access));
  const u64 last_page = (linear + length - 1) & ~kPageMask;
  if (last_page != (linear & ~kPageMask)) GUEST_TRY(processor.translate(last_page, access));
  return {};
}

GuestResult<void> store_vector(Processor& processor, SegmentName segment, u64 offset,
                               const void* from, unsigned length) {
  const PageAccess access{AccessType::Write, processor.data_privilege(), false};
  const u64 linear =
      GUEST_TRY(processor.linear_address(segment, offset, length, AccessType::Write));
  GUEST_TRY(processor.write_linear_bytes(linear, from, length, access));
  if ((processor.state.dr[7] & 0xFF) != 0) {
    processor.check_data_breakpoints(linear, length, AccessType::Write);
  }
  return {};
}

GuestResult<void> load_vector(Processor& processor, SegmentName segment, u64 offset, void* into,
                              unsigned length) {
  const PageAccess access{AccessType::Read, processor.data_privilege(), false};
  const u64 linear = GUEST_TRY(processor.linear_address(segment, offset, length, AccessType::Read));
  GUEST_TRY(processor.read_linear_bytes(linear, into, length, access));
  if ((processor.state.dr[7] & 0xFF) != 0) {
    processor.check_data_breakpoints(linear, length, AccessType::Read);
  }
  return {};
}

}  // namespace ringshift::cpu
