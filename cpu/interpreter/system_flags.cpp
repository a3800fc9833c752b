// The interrupt flag and the ways into and out of the kernel: CLI, STI, PUSHF, POPF, STAC, CLAC,
// HLT, SYSENTER, SYSEXIT. SDM 2A-2C; virtual interrupts: SDM 3A §20.3.3 and §20.4.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/system.h"

namespace ringshift::cpu {

namespace {

/// Who answers to CLI and STI.
enum class InterruptFlag : u8 { Real, Virtual, Refused };

/// SDM 2A CLI table 3-7, SDM 2B STI table 4-15.
InterruptFlag interrupt_flag(const State& state) {
  if (!state.protected_mode() || state.cpl <= state.iopl()) return InterruptFlag::Real;
  const u64 extension = state.virtual_8086() ? cr4::VME : cr4::PVI;
  const bool has_virtual = state.cpl == 3 && (state.cr4 & extension) != 0;
  return has_virtual ? InterruptFlag::Virtual : InterruptFlag::Refused;
}

/// The engine need leave its block only if something is waiting for the changed flags.
Completion after_flags(const Processor& processor) {
  return processor.attention() ? Completion::EndBlock : Completion::Next;
}

Completion cli(Processor& processor, const Instruction&) {
  State& state = processor.state;
  switch (interrupt_flag(state)) {
    case InterruptFlag::Real:
      state.rflags &= ~eflags::IF;
      break;
    case InterruptFlag::Virtual:
      state.rflags &= ~eflags::VIF;
      break;
    case InterruptFlag::Refused:
      processor.raise(Vector::GeneralProtection, 0);
      return Completion::Fault;
  }
  processor.update_attention();
  return Completion::Next;
}

Completion sti(Processor& processor, const Instruction&) {
  State& state = processor.state;
  const InterruptFlag which = interrupt_flag(state);
  if (which == InterruptFlag::Refused ||
      (which == InterruptFlag::Virtual && state.flag(eflags::VIP))) {
    processor.raise(Vector::GeneralProtection, 0);
    return Completion::Fault;
  }
  if (which == InterruptFlag::Virtual) {
    state.rflags |= eflags::VIF;
    return Completion::Next;
  }
  // Only the STI that opens the window shields the next instruction: a run of STIs doesn't block.
  if (!state.flag(eflags::IF)) state.sti_shadow = true;
  state.rflags |= eflags::IF;
  processor.update_attention();
  return after_flags(processor);
}

/// Virtual-8086 mode with IOPL below 3: PUSHF and POPF fault, or with VME work on VIF, in 16 bits.
bool virtual_flags(const State& state) {
  return state.virtual_8086() && state.iopl() < 3;
}

bool virtual_flags_refused(const State& state, unsigned size) {
  return (state.cr4 & cr4::VME) == 0 || size != 2;
}

Completion pushf(Processor& processor, const Instruction& instruction) {
  const State& state = processor.state;
  const unsigned size = instruction.operand_size;
  u64 image = state.rflags & ~(eflags::VM | eflags::RF);
  if (virtual_flags(state)) {
    if (virtual_flags_refused(state, size)) {
      processor.raise(Vector::GeneralProtection, 0);
      return Completion::Fault;
    }
    image = (image & ~eflags::IF) | eflags::IOPL;
    if (state.flag(eflags::VIF)) image |= eflags::IF;
  }
  TRY_OR_FAULT(processor.push(image, size));
  return Completion::Next;
}

Completion popf(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const unsigned size = instruction.operand_size;
  constexpr u64 kNarrow =
      eflags::Arithmetic | eflags::TF | eflags::IF | eflags::DF | eflags::IOPL | eflags::NT;
  const bool on_virtual_flag = virtual_flags(state);
  if (on_virtual_flag && virtual_flags_refused(state, size)) {
    processor.raise(Vector::GeneralProtection, 0);
    return Completion::Fault;
  }
  const u64 image = TRY_OR_FAULT(processor.peek(0, size));
  if (on_virtual_flag) {
    const bool opens = (image & eflags::IF) != 0;
    if ((opens && state.flag(eflags::VIP)) || (image & eflags::TF) != 0) {
      processor.raise(Vector::GeneralProtection, 0);
      return Completion::Fault;
    }
    state.rflags = opens ? state.rflags | eflags::VIF : state.rflags & ~eflags::VIF;
  }
  processor.add_to_stack_pointer(size);
  state.rflags &= ~eflags::RF;
  processor.write_flags(image, size == 2 ? kNarrow : kNarrow | eflags::AC | eflags::ID);
  return after_flags(processor);
}

/// STAC and CLAC. Undefined above CPL 0, rather than a protection fault. SDM 2A CLAC.
template <bool value>
Completion set_alignment_check(Processor& processor, const Instruction&) {
  State& state = processor.state;
  if (state.cpl != 0) {
    processor.raise(Vector::InvalidOpcode);
    return Completion::Fault;
  }
  state.rflags = value ? state.rflags | eflags::AC : state.rflags & ~eflags::AC;
  return Completion::Next;
}

Completion hlt(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_supervisor(processor));
  processor.state.activity = Activity::Halted;
  processor.update_attention();
  return Completion::EndBlock;
}

Completion sysenter(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(processor.sysenter());
  return Completion::Branch;
}

Completion sysexit(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.sysexit(instruction.operand_size));
  return Completion::Branch;
}

}  // namespace

Handler bind_cli(const Instruction&) {
  return cli;
}
Handler bind_sti(const Instruction&) {
  return sti;
}
Handler bind_pushf(const Instruction&) {
  return pushf;
}
Handler bind_popf(const Instruction&) {
  return popf;
}
Handler bind_stac(const Instruction&) {
  return set_alignment_check<true>;
}
Handler bind_clac(const Instruction&) {
  return set_alignment_check<false>;
}
Handler bind_hlt(const Instruction&) {
  return hlt;
}
Handler bind_sysenter(const Instruction&) {
  return sysenter;
}
Handler bind_sysexit(const Instruction&) {
  return sysexit;
}

}  // namespace ringshift::cpu
