// IRET in every form (SDM 2A IRET), the flags it may change, SYSENTER and SYSEXIT.
#include "cpu/far_transfer.h"
#include "cpu/stack_writer.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kAlways = eflags::CF | eflags::PF | eflags::AF | eflags::ZF | eflags::SF |
                        eflags::TF | eflags::DF | eflags::OF | eflags::NT;
constexpr u64 kWide = eflags::RF | eflags::AC | eflags::ID;

/// What IRET popped.
struct Frame {
  u64 rip = 0;
  u16 cs = 0;
  u64 flags = 0;
};

GuestResult<Frame> peek_frame(Processor& processor, unsigned size) {
  Frame frame;
  frame.rip = GUEST_TRY(processor.peek(0, size));
  frame.cs = static_cast<u16>(GUEST_TRY(processor.peek(size, size)));
  frame.flags = GUEST_TRY(processor.peek(2 * size, size));
  return frame;
}

/// Real-address mode, and virtual-8086 mode where IOPL allows the instruction.
GuestResult<void> return_real(Processor& processor, unsigned size) {
  State& state = processor.state;
  const Frame frame = GUEST_TRY(peek_frame(processor, size));
  if (frame.rip > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  processor.load_real_segment(SegmentName::CS, frame.cs);
  state.rip = frame.rip;
  processor.add_to_stack_pointer(3 * size);
  const u64 wide = size == 4 ? kWide : 0;
  processor.write_flags(frame.flags, kAlways | wide | eflags::IF | eflags::IOPL);
  return {};
}

/// Virtual-8086 mode with IOPL below 3: only the 16-bit form, only with VME, on VIF. SDM 3A
/// §20.3.3.4.
GuestResult<void> return_virtual_interrupts(Processor& processor, unsigned size) {
  State& state = processor.state;
  if ((state.cr4 & cr4::VME) == 0 || size != 2) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  const Frame frame = GUEST_TRY(peek_frame(processor, size));
  if ((state.flag(eflags::VIP) && (frame.flags & eflags::IF) != 0) ||
      (frame.flags & eflags::TF) != 0 || frame.rip > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  processor.load_real_segment(SegmentName::CS, frame.cs);
  state.rip = frame.rip;
  processor.add_to_stack_pointer(3 * size);
  state.rflags &= ~eflags::VIF;
  if ((frame.flags & eflags::IF) != 0) state.rflags |= eflags::VIF;
  processor.write_flags(frame.flags, kAlways);
  return {};
}

GuestResult<void> return_to_virtual_8086(Processor& processor, const Frame& frame) {
  State& state = processor.state;
  std::array<u32, 6> above{};  // ESP SS ES DS FS GS
  for (unsigned i = 0; i < above.size(); ++i) {
    above[i] = static_cast<u32>(GUEST_TRY(processor.peek(12 + 4 * i, 4)));
  }
  if (frame.rip > 0xFFFF) return processor.raise(Vector::GeneralProtection, 0);
  constexpr u64 kAll =
      kAlways | kWide | eflags::IF | eflags::IOPL | eflags::VM | eflags::VIF | eflags::VIP;
  state.rflags = (state.rflags & ~kAll) | (frame.flags & kAll) | eflags::Fixed;
  state.rip = frame.rip;
  state.gpr[Rsp] = above[0];
  state.segment(SegmentName::CS) = virtual_8086_segment(frame.cs);
  state.segment(SegmentName::SS) = virtual_8086_segment(static_cast<u16>(above[1]));
  state.segment(SegmentName::ES) = virtual_8086_segment(static_cast<u16>(above[2]));
  state.segment(SegmentName::DS) = virtual_8086_segment(static_cast<u16>(above[3]));
  state.segment(SegmentName::FS) = virtual_8086_segment(static_cast<u16>(above[4]));
  state.segment(SegmentName::GS) = virtual_8086_segment(static_cast<u16>(above[5]));
  state.cpl = 3;
  processor.update_attention();
  return {};
}

/// The flags that a protected-mode IRET at this CPL takes from the stack.
u64 returned_flags(const State& state, unsigned size) {
  u64 mask = kAlways;
  if (size == 4) mask |= kWide;
  if (state.cpl <= state.iopl()) mask |= eflags::IF;
  if (state.cpl == 0) {
    mask |= eflags::IOPL;
    if (size == 4) mask |= eflags::VIF | eflags::VIP;
  }
  return mask;
}

GuestResult<void> return_protected(Processor& processor, const Frame& frame, unsigned size) {
  State& state = processor.state;
  const SegmentRegister code = GUEST_TRY(fetch_return_code_segment(processor, frame.cs));
  const u8 privilege = requested_privilege(frame.cs);
  const u64 mask = returned_flags(state, size);
  if (privilege == state.cpl) {
    if (frame.rip > code.limit) return processor.raise(Vector::GeneralProtection, 0);
    processor.add_to_stack_pointer(3 * size);
  } else {
    const u64 pointer = GUEST_TRY(processor.peek(3 * size, size));
    const u16 selector = static_cast<u16>(GUEST_TRY(processor.peek(4 * size, size)));
    const SegmentRegister stack =
        GUEST_TRY(fetch_stack_segment(processor, selector, privilege, Vector::GeneralProtection));
    if (frame.rip > code.limit) return processor.raise(Vector::GeneralProtection, 0);
    state.segment(SegmentName::SS) = stack;
    set_stack_pointer(state, pointer);
  }
  state.segment(SegmentName::CS) = code;
  state.rip = frame.rip;
  const bool outer = privilege != state.cpl;
  state.cpl = privilege;
  if (outer) drop_privileged_segments(state);
  state.rflags = (state.rflags & ~mask) | (frame.flags & mask) | eflags::Fixed;
  processor.update_attention();
  return {};
}

/// IRET with NT set: back to the task whose selector is in the TSS's link field. SDM 3A §7.4.
GuestResult<void> return_to_task(Processor& processor) {
  const State& state = processor.state;
  const PageAccess access{AccessType::Read, Privilege::Supervisor, true};
  const u16 link = GUEST_TRY(processor.read_linear<u16>(state.tr.base & 0xFFFFFFFF, access));
  return processor.task_switch(link, TaskSwitchSource::Iret, state.rip);
}

}  // namespace

GuestResult<void> Processor::interrupt_return(unsigned operand_size) {
  // NMIs come through again even if the IRET itself faults. SDM 3C §25.3.
  if (state.nmi_blocked) {
    state.nmi_blocked = false;
    update_attention();
  }
  if (!state.protected_mode()) return return_real(*this, operand_size);
  if (state.virtual_8086()) {
    return state.iopl() == 3 ? return_real(*this, operand_size)
                             : return_virtual_interrupts(*this, operand_size);
  }
  if (state.flag(eflags::NT)) return return_to_task(*this);
  const Frame frame = GUEST_TRY(peek_frame(*this, operand_size));
  if (operand_size == 4 && (frame.flags & eflags::VM) != 0 && state.cpl == 0) {
    return return_to_virtual_8086(*this, frame);
  }
  return return_protected(*this, frame, operand_size);
}

void Processor::write_flags(u64 value, u64 mask) {
  if (state.protected_mode()) {
    if (state.cpl > 0) mask &= ~eflags::IOPL;
    if (state.cpl > state.iopl()) mask &= ~eflags::IF;
  }
  state.rflags = (state.rflags & ~mask) | (value & mask) | eflags::Fixed;
  update_attention();
}

GuestResult<void> Processor::sysenter() {
  if (!state.protected_mode() || null_selector(static_cast<u16>(state.sysenter_cs))) {
    return raise(Vector::GeneralProtection, 0);
  }
  const u16 code = static_cast<u16>(state.sysenter_cs & 0xFFFC);
  state.rflags &= ~(eflags::VM | eflags::IF | eflags::RF);
  state.segment(SegmentName::CS) = flat_segment(code, 11, 0);
  state.segment(SegmentName::SS) = flat_segment(static_cast<u16>(code + 8), 3, 0);
  state.gpr[Rsp] = state.sysenter_esp & 0xFFFFFFFF;
  state.rip = state.sysenter_eip & 0xFFFFFFFF;
  state.cpl = 0;
  update_attention();
  return {};
}

GuestResult<void> Processor::sysexit(unsigned operand_size) {
  if (!state.protected_mode() || state.cpl != 0 ||
      null_selector(static_cast<u16>(state.sysenter_cs))) {
    return raise(Vector::GeneralProtection, 0);
  }
  static_cast<void>(operand_size);  // only REX.W would differ
  const u16 base = static_cast<u16>(state.sysenter_cs & 0xFFFC);
  state.rip = state.gpr[Rdx] & 0xFFFFFFFF;
  state.gpr[Rsp] = state.gpr[Rcx] & 0xFFFFFFFF;
  state.segment(SegmentName::CS) = flat_segment(static_cast<u16>((base + 16) | 3), 11, 3);
  state.segment(SegmentName::SS) = flat_segment(static_cast<u16>((base + 24) | 3), 3, 3);
  state.cpl = 3;
  return {};
}

}  // namespace ringshift::cpu
