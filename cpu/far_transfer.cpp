// JMP, CALL and RET to another segment: SDM 2A/2B's pseudo-code of these instructions, SDM 3A §5.8.
#include "cpu/far_transfer.h"

#include <array>

#include "cpu/stack_writer.h"

namespace ringshift::cpu {

namespace {

u64 truncated(u64 offset, unsigned size) {
  return offset & (size == 2 ? 0xFFFF : 0xFFFFFFFF);
}

/// Everything that a far branch has checked and is about to make current.
struct CodeTarget {
  SegmentRegister segment;
  u64 offset = 0;
  u8 cpl = 0;
};

void commit_code(State& state, const CodeTarget& target) {
  SegmentRegister& cs = state.segment(SegmentName::CS);
  cs = target.segment;
  cs.selector = with_privilege(target.segment.selector, target.cpl);
  state.rip = target.offset;
  state.cpl = target.cpl;
}

/// Pushes CS:(E)IP on the current stack, as one unit.
GuestResult<void> push_return_address(Processor& processor, unsigned size, u64 return_rip) {
  State& state = processor.state;
  StackWriter stack(processor, state.segment(SegmentName::SS), state.gpr[Rsp], state.cpl);
  GUEST_TRY(stack.require(2, size, 0));
  GUEST_TRY(stack.push(state.segment(SegmentName::CS).selector, size));
  GUEST_TRY(stack.push(return_rip, size));
  stack.commit();
  return {};
}

GuestResult<void> real_transfer(Processor& processor, FarKind kind, u16 selector, u64 offset,
                                unsigned size, u64 return_rip) {
  State& state = processor.state;
  const u64 target = truncated(offset, size);
  if (target > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  if (kind == FarKind::Call) GUEST_TRY(push_return_address(processor, size, return_rip));
  processor.load_real_segment(SegmentName::CS, selector);
  state.rip = target;
  return {};
}

/// A code segment named by the instruction itself: never changes CPL.
GuestResult<void> transfer_to_code(Processor& processor, FarKind kind, u16 selector,
                                   Descriptor& descriptor, u64 offset, unsigned size,
                                   u64 return_rip) {
  State& state = processor.state;
  const u32 error = selector_error(selector);
  const bool allowed = descriptor.conforming() ? descriptor.dpl() <= state.cpl
                                               : requested_privilege(selector) <= state.cpl &&
                                                     descriptor.dpl() == state.cpl;
  if (!allowed) return processor.raise(Vector::GeneralProtection, error);
  if (!descriptor.present()) return processor.raise(Vector::SegmentNotPresent, error);
  const u64 target = truncated(offset, size);
  if (kind == FarKind::Call) {
    StackWriter stack(processor, state.segment(SegmentName::SS), state.gpr[Rsp], state.cpl);
    GUEST_TRY(stack.require(2, size, 0));
  }
  if (target > descriptor.limit()) return processor.raise(Vector::GeneralProtection, 0);
  GUEST_TRY(mark_accessed(processor, descriptor));
  if (kind == FarKind::Call) GUEST_TRY(push_return_address(processor, size, return_rip));
  commit_code(state, {descriptor.segment(selector), target, state.cpl});
  return {};
}

/// CALL through a gate to a more privileged level: new stack, parameters copied. SDM 3A §5.8.5.
GuestResult<void> call_inner_level(Processor& processor, const Descriptor& gate, Descriptor& code,
                                   u64 return_rip) {
  State& state = processor.state;
  const unsigned size = gate.gate_is_32() ? 4 : 2;
  const unsigned parameters = gate.gate_parameters();
  const InnerStack inner = GUEST_TRY(fetch_inner_stack(processor, code.dpl()));
  StackWriter stack(processor, inner.segment, inner.pointer, code.dpl());
  GUEST_TRY(stack.require(parameters + 4, size, selector_error(inner.segment.selector)));
  if (gate.gate_offset() > code.limit()) return processor.raise(Vector::GeneralProtection, 0);
  std::array<u64, 31> copied{};
  for (unsigned i = 0; i < parameters; ++i) {
    copied[i] = GUEST_TRY(processor.peek(u64{i} * size, size));
  }
  GUEST_TRY(mark_accessed(processor, code));
  GUEST_TRY(stack.push(state.segment(SegmentName::SS).selector, size));
  GUEST_TRY(stack.push(state.gpr[Rsp], size));
  for (unsigned i = parameters; i > 0; --i) GUEST_TRY(stack.push(copied[i - 1], size));
  GUEST_TRY(stack.push(state.segment(SegmentName::CS).selector, size));
  GUEST_TRY(stack.push(return_rip, size));
  stack.commit();
  commit_code(state, {code.segment(gate.gate_selector()), gate.gate_offset(), code.dpl()});
  return {};
}

GuestResult<void> transfer_through_call_gate(Processor& processor, FarKind kind, u16 selector,
                                             const Descriptor& gate, u64 return_rip) {
  State& state = processor.state;
  const u32 gate_error = selector_error(selector);
  if (gate.dpl() < state.cpl || requested_privilege(selector) > gate.dpl()) {
    return processor.raise(Vector::GeneralProtection, gate_error);
  }
  if (!gate.present()) return processor.raise(Vector::SegmentNotPresent, gate_error);

  const u16 code_selector = gate.gate_selector();
  if (null_selector(code_selector)) return processor.raise(Vector::GeneralProtection, 0);
  const u32 error = selector_error(code_selector);
  Descriptor code =
      GUEST_TRY(fetch_descriptor(processor, code_selector, Vector::GeneralProtection));
  const bool same_level_only = kind == FarKind::Jump && !code.conforming();
  if (!code.is_code() || code.dpl() > state.cpl || (same_level_only && code.dpl() != state.cpl)) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!code.present()) return processor.raise(Vector::SegmentNotPresent, error);
  if (kind == FarKind::Call && !code.conforming() && code.dpl() < state.cpl) {
    return call_inner_level(processor, gate, code, return_rip);
  }
  const unsigned size = gate.gate_is_32() ? 4 : 2;
  if (kind == FarKind::Call) {
    StackWriter stack(processor, state.segment(SegmentName::SS), state.gpr[Rsp], state.cpl);
    GUEST_TRY(stack.require(2, size, 0));
  }
  if (gate.gate_offset() > code.limit()) return processor.raise(Vector::GeneralProtection, 0);
  GUEST_TRY(mark_accessed(processor, code));
  if (kind == FarKind::Call) GUEST_TRY(push_return_address(processor, size, return_rip));
  commit_code(state, {code.segment(code_selector), gate.gate_offset(), state.cpl});
  return {};
}

GuestResult<void> transfer_to_tss(Processor& processor, FarKind kind, u16 selector,
                                  const Descriptor& descriptor, u64 return_rip) {
  if (descriptor.dpl() < processor.state.cpl || descriptor.dpl() < requested_privilege(selector)) {
    return processor.raise(Vector::GeneralProtection, selector_error(selector));
  }
  return processor.task_switch(
      selector, kind == FarKind::Jump ? TaskSwitchSource::Jump : TaskSwitchSource::Call,
      return_rip);
}

GuestResult<void> transfer_through_task_gate(Processor& processor, FarKind kind, u16 selector,
                                             const Descriptor& gate, u64 return_rip) {
  const u32 error = selector_error(selector);
  if (gate.dpl() < processor.state.cpl || gate.dpl() < requested_privilege(selector)) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!gate.present()) return processor.raise(Vector::SegmentNotPresent, error);
  return enter_task_gate(processor, gate,
                         kind == FarKind::Jump ? TaskSwitchSource::Jump : TaskSwitchSource::Call,
                         return_rip, processor.state.rflags);
}

GuestResult<void> real_return(Processor& processor, unsigned size, unsigned bytes_to_release) {
  State& state = processor.state;
  const u64 offset = GUEST_TRY(processor.peek(0, size));
  const u64 selector = GUEST_TRY(processor.peek(size, size));
  if (offset > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  processor.load_real_segment(SegmentName::CS, static_cast<u16>(selector));
  state.rip = offset;
  processor.add_to_stack_pointer(2 * size + bytes_to_release);
  return {};
}

}  // namespace

GuestResult<InnerStack> fetch_inner_stack(Processor& processor, u8 privilege) {
  const SegmentRegister& tr = processor.state.tr;
  const bool wide = (tr.type & kSystem32) != 0;
  const u32 place = wide ? privilege * 8U + 4 : privilege * 4U + 2;
  const u32 pointer_size = wide ? 4 : 2;
  if (!tr.present || place + pointer_size + 1 > tr.limit) {
    return processor.raise(Vector::InvalidTss, selector_error(tr.selector));
  }
  const PageAccess access{AccessType::Read, Privilege::Supervisor, true};
  const u64 linear = tr.base + place;
  u32 pointer = 0;
  if (wide) {
    pointer = GUEST_TRY(processor.read_linear<u32>(linear & 0xFFFFFFFF, access));
  } else {
    pointer = GUEST_TRY(processor.read_linear<u16>(linear & 0xFFFFFFFF, access));
  }
  const u16 selector =
      GUEST_TRY(processor.read_linear<u16>((linear + pointer_size) & 0xFFFFFFFF, access));
  InnerStack stack;
  stack.segment =
      GUEST_TRY(fetch_stack_segment(processor, selector, privilege, Vector::InvalidTss));
  stack.pointer = pointer;
  return stack;
}

void drop_privileged_segments(State& state) {
  for (const SegmentName name :
       {SegmentName::ES, SegmentName::DS, SegmentName::FS, SegmentName::GS}) {
    SegmentRegister& segment = state.segment(name);
    if (segment.present && segment.dpl < state.cpl && !segment.conforming()) {
      segment = null_segment(0);
    }
  }
}

GuestResult<void> Processor::far_transfer(FarKind kind, u16 selector, u64 offset,
                                          unsigned operand_size, u64 return_rip) {
  if (state.real_selectors()) {
    return real_transfer(*this, kind, selector, offset, operand_size, return_rip);
  }
  if (null_selector(selector)) return raise(Vector::GeneralProtection, 0);
  Descriptor descriptor = GUEST_TRY(fetch_descriptor(*this, selector, Vector::GeneralProtection));
  if (descriptor.is_code()) {
    return transfer_to_code(*this, kind, selector, descriptor, offset, operand_size, return_rip);
  }
  if (!descriptor.code_or_data()) {
    switch (descriptor.system_type()) {
      case SystemType::CallGate16:
      case SystemType::CallGate32:
        return transfer_through_call_gate(*this, kind, selector, descriptor, return_rip);
      case SystemType::TaskGate:
        return transfer_through_task_gate(*this, kind, selector, descriptor, return_rip);
      case SystemType::AvailableTss16:
      case SystemType::AvailableTss32:
      case SystemType::BusyTss16:
      case SystemType::BusyTss32:
        return transfer_to_tss(*this, kind, selector, descriptor, return_rip);
      default:
        break;
    }
  }
  return raise(Vector::GeneralProtection, selector_error(selector));
}

GuestResult<void> Processor::far_return(unsigned operand_size, unsigned bytes_to_release) {
  const unsigned size = operand_size;
  if (state.real_selectors()) return real_return(*this, size, bytes_to_release);

  const u64 offset = GUEST_TRY(peek(0, size));
  const u16 selector = static_cast<u16>(GUEST_TRY(peek(size, size)));
  const SegmentRegister code = GUEST_TRY(fetch_return_code_segment(*this, selector));
  const u8 privilege = requested_privilege(selector);
  if (privilege == state.cpl) {
    if (offset > code.limit) return raise(Vector::GeneralProtection, 0);
    commit_code(state, {code, offset, privilege});
    add_to_stack_pointer(2 * size + bytes_to_release);
    return {};
  }
  // To an outer level: the caller's stack lies above the parameters that were copied to this one.
  const u64 pointer = GUEST_TRY(peek(2 * size + bytes_to_release, size));
  const u16 stack_selector = static_cast<u16>(GUEST_TRY(peek(3 * size + bytes_to_release, size)));
  const SegmentRegister stack =
      GUEST_TRY(fetch_stack_segment(*this, stack_selector, privilege, Vector::GeneralProtection));
  if (offset > code.limit) return raise(Vector::GeneralProtection, 0);
  commit_code(state, {code, offset, privilege});
  state.segment(SegmentName::SS) = stack;
  set_stack_pointer(state, pointer);
  add_to_stack_pointer(bytes_to_release);
  drop_privileged_segments(state);
  return {};
}

}  // namespace ringshift::cpu
