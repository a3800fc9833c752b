// Loading segment registers and asking about segments: SDM 2A MOV, LLDT, LTR, LAR, LSL; SDM 2D
// VERR.
#include "cpu/descriptor.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

namespace {

constexpr PageAccess kTableWrite{AccessType::Write, Privilege::Supervisor, true};

/// DS, ES, FS, GS in protected mode.
GuestResult<SegmentRegister> fetch_data_segment(Processor& processor, u16 selector) {
  if (null_selector(selector)) return null_segment(selector);
  const u32 error = selector_error(selector);
  Descriptor descriptor =
      GUEST_TRY(fetch_descriptor(processor, selector, Vector::GeneralProtection));
  const u8 cpl = processor.state.cpl;
  if (!descriptor.readable() ||
      (!descriptor.conforming() &&
       (requested_privilege(selector) > descriptor.dpl() || cpl > descriptor.dpl()))) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!descriptor.present()) return processor.raise(Vector::SegmentNotPresent, error);
  GUEST_TRY(mark_accessed(processor, descriptor));
  return descriptor.segment(selector);
}

/// What LAR, LSL, VERR and VERW have in common: the descriptor, if the selector has one and the
/// caller's privilege may see it.
GuestResult<bool> find_visible(Processor& processor, u16 selector, Descriptor& descriptor) {
  if (null_selector(selector)) return false;
  if (!GUEST_TRY(find_descriptor(processor, selector, descriptor))) return false;
  if (descriptor.conforming()) return true;
  return processor.state.cpl <= descriptor.dpl() &&
         requested_privilege(selector) <= descriptor.dpl();
}

}  // namespace

GuestResult<void> Processor::load_segment(SegmentName name, u16 selector) {
  if (state.real_selectors()) {
    load_real_segment(name, selector);
    return {};
  }
  if (name == SegmentName::SS) {
    state.segment(name) =
        GUEST_TRY(fetch_stack_segment(*this, selector, state.cpl, Vector::GeneralProtection));
  } else {
    state.segment(name) = GUEST_TRY(fetch_data_segment(*this, selector));
  }
  return {};
}

void Processor::load_real_segment(SegmentName name, u16 selector) {
  SegmentRegister& segment = state.segment(name);
  segment.selector = selector;
  segment.base = u64{selector} << 4;
  segment.present = true;
  segment.code_or_data = true;
  segment.type = 3;
  segment.dpl = state.cpl;
}

GuestResult<void> Processor::load_ldt(u16 selector) {
  if (null_selector(selector)) {
    state.ldtr = null_segment(selector);
    return {};
  }
  const u32 error = selector_error(selector);
  if (local_selector(selector)) return raise(Vector::GeneralProtection, error);
  const Descriptor descriptor =
      GUEST_TRY(fetch_descriptor(*this, selector, Vector::GeneralProtection));
  if (!descriptor.is_system(SystemType::Ldt)) return raise(Vector::GeneralProtection, error);
  if (!descriptor.present()) return raise(Vector::SegmentNotPresent, error);
  state.ldtr = descriptor.segment(selector);
  return {};
}

GuestResult<void> Processor::load_task_register(u16 selector) {
  if (null_selector(selector)) return raise(Vector::GeneralProtection, 0);
  const u32 error = selector_error(selector);
  if (local_selector(selector)) return raise(Vector::GeneralProtection, error);
  Descriptor descriptor = GUEST_TRY(fetch_descriptor(*this, selector, Vector::GeneralProtection));
  if (!descriptor.is_available_tss()) return raise(Vector::GeneralProtection, error);
  if (!descriptor.present()) return raise(Vector::SegmentNotPresent, error);
  descriptor.raw |= u64{kTssBusy} << 40;
  GUEST_TRY(write_linear<u8>((descriptor.address + 5) & 0xFFFFFFFF,
                             static_cast<u8>(descriptor.raw >> 40), kTableWrite));
  state.tr = descriptor.segment(selector);
  return {};
}

GuestResult<bool> Processor::load_access_rights(u16 selector, u32& value) {
  Descriptor descriptor;
  if (!GUEST_TRY(find_visible(*this, selector, descriptor))) return false;
  if (!descriptor.code_or_data()) {
    // SDM 2A LAR, table 3-53: every TSS, LDT, call gate and task gate.
    const bool legal = descriptor.is_tss() || descriptor.system_type() == SystemType::Ldt ||
                       descriptor.system_type() == SystemType::CallGate16 ||
                       descriptor.system_type() == SystemType::CallGate32 ||
                       descriptor.system_type() == SystemType::TaskGate;
    if (!legal) return false;
  }
  value = static_cast<u32>(descriptor.raw >> 32) & 0x00FFFF00;
  return true;
}

GuestResult<bool> Processor::load_segment_limit(u16 selector, u32& value) {
  Descriptor descriptor;
  if (!GUEST_TRY(find_visible(*this, selector, descriptor))) return false;
  // SDM 2A LSL, table 3-56: gates have no limit.
  if (!descriptor.code_or_data() && !descriptor.is_tss() &&
      descriptor.system_type() != SystemType::Ldt) {
    return false;
  }
  value = descriptor.limit();
  return true;
}

GuestResult<bool> Processor::verify_segment(u16 selector, AccessType type) {
  Descriptor descriptor;
  if (!GUEST_TRY(find_visible(*this, selector, descriptor))) return false;
  return type == AccessType::Write ? descriptor.writable_data() : descriptor.readable();
}

GuestResult<void> Processor::branch_near(u64 offset, unsigned operand_size) {
  const u64 target = offset & (operand_size == 2 ? 0xFFFF : 0xFFFFFFFF);
  if (target > state.segment(SegmentName::CS).limit) return raise(Vector::GeneralProtection, 0);
  state.rip = target;
  return {};
}

}  // namespace ringshift::cpu
