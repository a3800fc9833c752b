// What the handlers of system instructions have in common: privilege checks and 16-bit operands.
#pragma once

#include "cpu/interpreter/handler.h"

namespace ringshift::cpu {

/// CPL 0, which virtual-8086 mode never has. Fault: #GP(0).
inline GuestResult<void> require_supervisor(Processor& processor) {
  if (processor.state.cpl != 0) return processor.raise(Vector::GeneralProtection, 0);
  return {};
}

/// Instructions that real-address and virtual-8086 mode don't recognise. Fault: #UD.
inline GuestResult<void> require_protected_mode(Processor& processor) {
  if (processor.state.real_selectors()) return processor.raise(Vector::InvalidOpcode);
  return {};
}

/// CR4.UMIP hides the system tables' registers from user code. SDM 3A §2.5. Fault: #GP(0).
inline GuestResult<void> require_table_visibility(Processor& processor) {
  if ((processor.state.cr4 & cr4::UMIP) != 0) return require_supervisor(processor);
  return {};
}

/// A selector or machine status word, from a register or memory.
inline GuestResult<u16> read_word_operand(Processor& processor, const Instruction& instruction,
                                          unsigned number) {
  const Operand& operand = instruction.operands[number];
  if (operand.kind == OperandKind::Memory) return read_memory<u16>(processor, instruction);
  return read_register<u16>(processor, operand);
}

inline void set_zero_flag(State& state, bool value) {
  state.rflags = value ? state.rflags | eflags::ZF : state.rflags & ~eflags::ZF;
}

inline u64 edx_eax(const State& state) {
  return (state.gpr[Rdx] & 0xFFFF'FFFF) << 32 | (state.gpr[Rax] & 0xFFFF'FFFF);
}

inline void set_edx_eax(State& state, u64 value) {
  state.gpr[Rax] = value & 0xFFFF'FFFF;
  state.gpr[Rdx] = value >> 32;
}

}  // namespace ringshift::cpu
