// Delivery of exceptions and interrupts: SDM 3A chapter 6, §20.3 (virtual-8086 mode), SDM 2A INT n.
#include "cpu/far_transfer.h"
#include "cpu/stack_writer.h"

namespace ringshift::cpu {

namespace {

constexpr PageAccess kSystemRead{AccessType::Read, Privilege::Supervisor, true};
constexpr u32 kIdtError = 2;                    // error code bit: the index names a gate of the IDT
constexpr u64 kSingleStep = u64{1} << 14;       // DR6.BS
constexpr u64 kDebugRegisterAccess = 1U << 13;  // DR6.BD
constexpr u64 kGeneralDetect = 1U << 13;        // DR7.GD

/// One event on its way through the IDT.
struct Event {
  u8 vector = 0;
  InterruptSource source = InterruptSource::External;
  bool has_error_code = false;
  u32 error_code = 0;
  u64 return_rip = 0;
  u64 flags = 0;  ///< the image to be pushed

  bool software() const {
    return source == InterruptSource::Software || source == InterruptSource::SoftwareTrap;
  }
  u32 gate_error() const { return u32{vector} << 3 | kIdtError; }
};

/// Pushes FLAGS, CS, IP and continues at the address in a real-mode vector table at `table`.
GuestResult<void> enter_real_handler(Processor& processor, u64 table, PageAccess access,
                                     const Event& event) {
  State& state = processor.state;
  const u64 entry = (table + event.vector * 4U) & 0xFFFFFFFF;
  const u16 offset = GUEST_TRY(processor.read_linear<u16>(entry, access));
  const u16 selector = GUEST_TRY(processor.read_linear<u16>(entry + 2, access));
  StackWriter stack(processor, state.segment(SegmentName::SS), state.gpr[Rsp], state.cpl);
  GUEST_TRY(stack.require(3, 2, 0));
  if (offset > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  GUEST_TRY(stack.push(event.flags, 2));
  GUEST_TRY(stack.push(state.segment(SegmentName::CS).selector, 2));
  GUEST_TRY(stack.push(event.return_rip, 2));
  stack.commit();
  processor.load_real_segment(SegmentName::CS, selector);
  state.rip = offset;
  return {};
}

GuestResult<void> deliver_real(Processor& processor, const Event& event) {
  State& state = processor.state;
  if (event.vector * 4U + 3 > state.idtr.limit) {
    return processor.raise(Vector::GeneralProtection, event.gate_error());
  }
  GUEST_TRY(enter_real_handler(processor, state.idtr.base, kSystemRead, event));
  state.rflags &= ~(eflags::IF | eflags::TF | eflags::AC | eflags::RF);
  return {};
}

/// Whether the interrupt redirection bitmap sends INT n of a virtual-8086 task to its own vector
/// table. SDM 3A §20.3.3.
GuestResult<bool> redirected(Processor& processor, u8 vector) {
  const SegmentRegister& tr = processor.state.tr;
  if (!tr.present || (tr.type & kSystem32) == 0 || tr.limit < 0x67) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  const u32 io_map =
      GUEST_TRY(processor.read_linear<u16>((tr.base + 0x66) & 0xFFFFFFFF, kSystemRead));
  const u32 place = io_map - 32 + vector / 8U;  // wraps, and is then outside, if io_map < 32
  if (place > tr.limit) return processor.raise(Vector::GeneralProtection, 0);
  const u8 byte = GUEST_TRY(processor.read_linear<u8>((tr.base + place) & 0xFFFFFFFF, kSystemRead));
  return (byte >> (vector % 8) & 1) == 0;
}

/// INT n of a virtual-8086 task that stays in it: with IOPL 3 the real flags, otherwise VIF stands
/// in for IF.
GuestResult<void> deliver_redirected(Processor& processor, const Event& event) {
  State& state = processor.state;
  const bool direct = state.iopl() == 3;
  Event inner = event;
  if (!direct) {
    inner.flags = (event.flags & ~eflags::IF) | eflags::IOPL;
    if (state.flag(eflags::VIF)) inner.flags |= eflags::IF;
  }
  const PageAccess access{AccessType::Read, Privilege::User, false};
  GUEST_TRY(enter_real_handler(processor, 0, access, inner));
  state.rflags &= ~(eflags::TF | eflags::RF | (direct ? eflags::IF : eflags::VIF));
  return {};
}

/// The frame of an interrupt or trap gate, staged on the handler's stack.
GuestResult<void> push_frame(Processor& processor, StackWriter& stack, const Event& event,
                             unsigned size, bool inner) {
  const State& state = processor.state;
  if (state.virtual_8086()) {
    for (const SegmentName name :
         {SegmentName::GS, SegmentName::FS, SegmentName::DS, SegmentName::ES}) {
      GUEST_TRY(stack.push(state.segment(name).selector, size));
    }
  }
  if (inner) {
    GUEST_TRY(stack.push(state.segment(SegmentName::SS).selector, size));
    GUEST_TRY(stack.push(state.gpr[Rsp], size));
  }
  GUEST_TRY(stack.push(event.flags, size));
  GUEST_TRY(stack.push(state.segment(SegmentName::CS).selector, size));
  GUEST_TRY(stack.push(event.return_rip, size));
  if (event.has_error_code) GUEST_TRY(stack.push(event.error_code, size));
  return {};
}

/// Checks the code segment of an interrupt or trap gate. `inner`: the handler is more privileged.
GuestResult<Descriptor> fetch_handler_segment(Processor& processor, const Descriptor& gate,
                                              bool& inner) {
  const State& state = processor.state;
  const u16 selector = gate.gate_selector();
  if (null_selector(selector)) return processor.raise(Vector::GeneralProtection, 0);
  const u32 error = selector_error(selector);
  const Descriptor code =
      GUEST_TRY(fetch_descriptor(processor, selector, Vector::GeneralProtection));
  if (!code.is_code() || code.dpl() > state.cpl) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!code.present()) return processor.raise(Vector::SegmentNotPresent, error);
  inner = !code.conforming() && code.dpl() < state.cpl;
  if (state.virtual_8086() && (!inner || code.dpl() != 0)) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  return code;
}

GuestResult<void> enter_handler(Processor& processor, const Descriptor& gate, const Event& event) {
  State& state = processor.state;
  bool inner = false;
  Descriptor code = GUEST_TRY(fetch_handler_segment(processor, gate, inner));
  const bool from_virtual_8086 = state.virtual_8086();
  const unsigned size = gate.gate_is_32() ? 4 : 2;
  const u8 privilege = inner ? code.dpl() : state.cpl;

  InnerStack place{state.segment(SegmentName::SS), static_cast<u32>(state.gpr[Rsp])};
  if (inner) place = GUEST_TRY(fetch_inner_stack(processor, privilege));
  StackWriter stack(processor, place.segment, place.pointer, privilege);
  const unsigned count =
      3 + (inner ? 2 : 0) + (from_virtual_8086 ? 4 : 0) + (event.has_error_code ? 1 : 0);
  GUEST_TRY(stack.require(count, size, inner ? selector_error(place.segment.selector) : 0));
  if (gate.gate_offset() > code.limit()) return processor.raise(Vector::GeneralProtection, 0);
  GUEST_TRY(mark_accessed(processor, code));
  GUEST_TRY(push_frame(processor, stack, event, size, inner));

  stack.commit();
  state.segment(SegmentName::CS) = code.segment(with_privilege(gate.gate_selector(), privilege));
  state.rip = gate.gate_offset();
  state.cpl = privilege;
  if (from_virtual_8086) {
    for (const SegmentName name :
         {SegmentName::GS, SegmentName::FS, SegmentName::DS, SegmentName::ES}) {
      state.segment(name) = null_segment(0);
    }
  }
  state.rflags &= ~(eflags::TF | eflags::NT | eflags::RF | eflags::VM);
  if ((gate.type() & 1) == 0) state.rflags &= ~eflags::IF;
  return {};
}

/// An interrupt through a task gate; the error code goes to the new task's stack.
GuestResult<void> enter_handler_task(Processor& processor, const Descriptor& gate,
                                     const Event& event) {
  GUEST_TRY(
      enter_task_gate(processor, gate, TaskSwitchSource::Interrupt, event.return_rip, event.flags));
  if (!event.has_error_code) return {};
  State& state = processor.state;
  const unsigned size = (state.tr.type & kSystem32) != 0 ? 4 : 2;
  StackWriter stack(processor, state.segment(SegmentName::SS), state.gpr[Rsp], state.cpl);
  GUEST_TRY(stack.require(1, size, 0));
  GUEST_TRY(stack.push(event.error_code, size));
  stack.commit();
  return {};
}

GuestResult<void> deliver_protected(Processor& processor, const Event& event) {
  const State& state = processor.state;
  const u32 error = event.gate_error();
  if (event.vector * 8U + 7 > state.idtr.limit) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  Descriptor gate;
  gate.address = (state.idtr.base + event.vector * 8U) & 0xFFFFFFFF;
  gate.raw = GUEST_TRY(processor.read_linear<u64>(gate.address, kSystemRead));
  const bool task = gate.is_system(SystemType::TaskGate);
  const bool handler = !gate.code_or_data() && (gate.type() & 6) == 6;  // 6, 7, 14, 15
  if (!task && !handler) return processor.raise(Vector::GeneralProtection, error);
  if (event.software() && gate.dpl() < state.cpl) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!gate.present()) return processor.raise(Vector::SegmentNotPresent, error);
  return task ? enter_handler_task(processor, gate, event) : enter_handler(processor, gate, event);
}

GuestResult<void> deliver(Processor& processor, const Event& event) {
  return processor.state.protected_mode() ? deliver_protected(processor, event)
                                          : deliver_real(processor, event);
}

// --- Double faults: SDM 3A §6.15 tables 6-4 and 6-5 ---

enum class FaultClass : u8 { Benign, Contributory, Page, Double };

FaultClass fault_class(Vector vector) {
  switch (vector) {
    case Vector::DivideError:
    case Vector::InvalidTss:
    case Vector::SegmentNotPresent:
    case Vector::StackFault:
    case Vector::GeneralProtection:
      return FaultClass::Contributory;
    case Vector::PageFault:
      return FaultClass::Page;
    case Vector::DoubleFault:
      return FaultClass::Double;
    default:
      return FaultClass::Benign;
  }
}

enum class Sequel : u8 { Serial, DoubleFault, Shutdown };

Sequel sequel(Vector first, Vector second) {
  const FaultClass one = fault_class(first);
  const FaultClass two = fault_class(second);
  if (one == FaultClass::Benign || two == FaultClass::Benign) return Sequel::Serial;
  if (one == FaultClass::Double) return Sequel::Shutdown;
  if (one == FaultClass::Contributory && two == FaultClass::Page) return Sequel::Serial;
  return Sequel::DoubleFault;
}

/// Whether the EFLAGS image of this exception has RF set: every fault but an instruction
/// breakpoint. SDM 3B §17.3.1.1. Traps: INT3, INTO and #DB; the double fault and the machine check
/// are aborts.
bool pushes_resume_flag(const GuestException& exception) {
  switch (exception.vector) {
    case Vector::Debug:
      return (exception.debug_status & kDebugRegisterAccess) != 0;
    case Vector::Nmi:
    case Vector::Breakpoint:
    case Vector::Overflow:
    case Vector::MachineCheck:
      return false;
    default:
      return true;
  }
}

/// CR2 and DR6 hold what happened even if the handler can't be reached.
void record_cause(State& state, const GuestException& exception) {
  if (exception.vector == Vector::PageFault) state.cr2 = exception.fault_address;
  if (exception.vector == Vector::Debug) {
    state.dr[6] = (state.dr[6] & ~u64{0xF}) | exception.debug_status;
    state.dr[7] &= ~kGeneralDetect;
  }
}

}  // namespace

void Processor::deliver_exception(const GuestException& exception) {
  GuestException current = exception;
  state.sti_shadow = false;
  state.mov_ss_shadow = false;
  state.pending_debug = 0;
  for (;;) {
    ++exceptions_delivered;
    record_cause(state, current);
    Event event;
    event.vector = static_cast<u8>(current.vector);
    event.source = InterruptSource::Exception;
    event.has_error_code = current.has_error_code;
    event.error_code = current.error_code;
    event.return_rip = state.rip;
    event.flags = state.rflags | (pushes_resume_flag(current) ? eflags::RF : 0);
    delivering_external_ = true;
    const bool faulted = deliver(*this, event).faulted();
    delivering_external_ = false;
    if (!faulted) break;
    const Sequel next = sequel(current.vector, pending_exception_.vector);
    if (next == Sequel::Shutdown) {
      state.activity = Activity::Shutdown;
      break;
    }
    if (next == Sequel::DoubleFault) raise(Vector::DoubleFault, 0);
    current = pending_exception_;
  }
  update_attention();
}

void Processor::deliver_interrupt(u8 vector) {
  ++interrupts_delivered;
  state.activity = Activity::Running;
  state.sti_shadow = false;
  state.mov_ss_shadow = false;
  Event event;
  event.vector = vector;
  event.return_rip = state.rip;
  event.flags = state.rflags;
  delivering_external_ = true;
  const bool faulted = deliver(*this, event).faulted();
  delivering_external_ = false;
  if (faulted) {
    const GuestException during = pending_exception_;
    deliver_exception(during);
    return;
  }
  state.pending_debug &= ~kSingleStep;
  update_attention();
}

GuestResult<void> Processor::software_interrupt(u8 vector, InterruptSource source, u64 return_rip) {
  Event event;
  event.vector = vector;
  event.source = source;
  event.return_rip = return_rip;
  event.flags = state.rflags & ~eflags::RF;
  // INT1 counts as external to the program. SDM 3A §6.13.
  delivering_external_ = source == InterruptSource::Privileged;
  const auto attempt = [&]() -> GuestResult<void> {
    if (state.virtual_8086() && source == InterruptSource::Software) {
      if ((state.cr4 & cr4::VME) != 0 && GUEST_TRY(redirected(*this, vector))) {
        return deliver_redirected(*this, event);
      }
      if (state.iopl() < 3) return raise(Vector::GeneralProtection, 0);
    }
    return deliver(*this, event);
  };
  const bool faulted = attempt().faulted();
  delivering_external_ = false;
  if (faulted) return Faulted{};
  state.pending_debug &= ~kSingleStep;
  state.sti_shadow = false;
  state.mov_ss_shadow = false;
  update_attention();
  return {};
}

}  // namespace ringshift::cpu
