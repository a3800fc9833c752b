// What every handler of the interpreter is written with: operand access by kind and size, the
// fault-returning macro, and the helpers by which binders choose among a template's instances. A
// handler is a plain function over (Processor, Instruction); all decisions that the encoding
// settles are template parameters, so that none of them is taken at run time.
#pragma once

#include <type_traits>

#include "cpu/processor.h"

namespace ringshift::cpu {

/// The value of a GuestResult; on a fault, ends the handler with Completion::Fault.
#define TRY_OR_FAULT(expression)                    \
  __extension__({                                   \
    auto try_or_fault_result = (expression);        \
    if (try_or_fault_result.faulted()) [[unlikely]] \
      return ::ringshift::cpu::Completion::Fault;   \
    try_or_fault_result.value();                    \
  })

/// Processor::effective_offset without branches on which parts are present.
inline u64 memory_offset(const Processor& processor, const Instruction& instruction) {
  const MemoryOperand& operand = instruction.memory;
  const u64 base = processor.state.gpr[operand.base & 15];
  const u64 index = processor.state.gpr[operand.index & 15];
  u64 offset = static_cast<u64>(operand.displacement);
  offset += operand.base == kNoRegister ? 0 : base;
  offset += operand.index == kNoRegister ? 0 : index * operand.scale;
  return offset & (instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF);
}

/// Register operand `n` as T; T = u8 knows AH-BH too.
template <typename T>
inline T read_register(const Processor& processor, const Operand& operand) {
  const u64 value = processor.state.gpr[operand.reg];
  if constexpr (sizeof(T) == 1) {
    return static_cast<T>(value >> (operand.kind == OperandKind::HighByte ? 8 : 0));
  } else {
    return static_cast<T>(value);
  }
}

template <typename T>
inline void write_register(Processor& processor, const Operand& operand, T value) {
  u64& reg = processor.state.gpr[operand.reg];
  if constexpr (sizeof(T) == 1) {
    const unsigned shift = operand.kind == OperandKind::HighByte ? 8 : 0;
    reg = (reg & ~(u64{0xFF} << shift)) | (u64{value} << shift);
  } else if constexpr (sizeof(T) == 2) {
    reg = (reg & ~u64{0xFFFF}) | value;
  } else {
    reg = value;
  }
}

template <typename T>
inline GuestResult<T> read_memory(Processor& processor, const Instruction& instruction) {
  return processor.read<T>(instruction.memory.segment, memory_offset(processor, instruction));
}

template <typename T>
inline GuestResult<void> write_memory(Processor& processor, const Instruction& instruction,
                                      T value) {
  return processor.write<T>(instruction.memory.segment, memory_offset(processor, instruction),
                            value);
}

/// Where an operand of a two-operand form lives.
enum class Form : u8 { RegReg, RegImm, RegMem, MemReg, MemImm };

constexpr bool destination_in_memory(Form form) {
  return form == Form::MemReg || form == Form::MemImm;
}

inline bool is_register(const Operand& operand) {
  return operand.kind == OperandKind::Gpr || operand.kind == OperandKind::HighByte;
}

/// The form of operands `first` and `first + 1`; false if it is none of the five.
inline bool form_of(const Instruction& instruction, Form& form) {
  const Operand& a = instruction.operands[0];
  const Operand& b = instruction.operands[1];
  const bool memory = a.kind == OperandKind::Memory;
  if (!memory && !is_register(a)) return false;
  if (is_register(b))
    form = memory ? Form::MemReg : Form::RegReg;
  else if (b.kind == OperandKind::Immediate)
    form = memory ? Form::MemImm : Form::RegImm;
  else if (b.kind == OperandKind::Memory && !memory)
    form = Form::RegMem;
  else
    return false;
  return true;
}

/// The source of a two-operand form.
template <typename T, Form form>
inline GuestResult<T> read_source(Processor& processor, const Instruction& instruction) {
  if constexpr (form == Form::RegImm || form == Form::MemImm) {
    return static_cast<T>(instruction.immediate);
  } else if constexpr (form == Form::RegMem) {
    return read_memory<T>(processor, instruction);
  } else {
    return read_register<T>(processor, instruction.operands[1]);
  }
}

/// The first operand as a source, for destinations that are read.
template <typename T, bool memory>
inline GuestResult<T> read_operand(Processor& processor, const Instruction& instruction,
                                   unsigned number) {
  if constexpr (memory)
    return read_memory<T>(processor, instruction);
  else
    return read_register<T>(processor, instruction.operands[number]);
}

/// Calls `choose` with a value of the unsigned type of `size` bytes: instantiates per size.
template <typename Choose>
inline Handler by_size(unsigned size, Choose choose) {
  switch (size) {
    case 1:
      return choose(u8{});
    case 2:
      return choose(u16{});
    case 4:
      return choose(u32{});
    default:
      return nullptr;
  }
}

/// The same for instructions without byte forms.
template <typename Choose>
inline Handler by_word_size(unsigned size, Choose choose) {
  switch (size) {
    case 2:
      return choose(u16{});
    case 4:
      return choose(u32{});
    default:
      return nullptr;
  }
}

template <Form form>
using FormConstant = std::integral_constant<Form, form>;

/// Calls `choose` with the instruction's form as a constant.
template <typename Choose>
inline Handler by_form(const Instruction& instruction, Choose choose) {
  Form form;
  if (!form_of(instruction, form)) return nullptr;
  switch (form) {
    case Form::RegReg:
      return choose(FormConstant<Form::RegReg>{});
    case Form::RegImm:
      return choose(FormConstant<Form::RegImm>{});
    case Form::RegMem:
      return choose(FormConstant<Form::RegMem>{});
    case Form::MemReg:
      return choose(FormConstant<Form::MemReg>{});
    case Form::MemImm:
      return choose(FormConstant<Form::MemImm>{});
  }
  return nullptr;
}

/// Calls `choose` with whether operand `number` is in memory, as a constant.
template <typename Choose>
inline Handler by_place(const Instruction& instruction, unsigned number, Choose choose) {
  const Operand& operand = instruction.operands[number];
  if (operand.kind == OperandKind::Memory) return choose(std::true_type{});
  if (is_register(operand)) return choose(std::false_type{});
  return nullptr;
}

/// The conditions of Jcc, SETcc and CMOVcc, by the low four bits of the opcode. SDM 1 appendix B.
template <unsigned condition>
inline bool condition_holds(u64 rflags) {
  constexpr unsigned kind = condition >> 1;
  bool holds;
  if constexpr (kind == 0)
    holds = (rflags & eflags::OF) != 0;
  else if constexpr (kind == 1)
    holds = (rflags & eflags::CF) != 0;
  else if constexpr (kind == 2)
    holds = (rflags & eflags::ZF) != 0;
  else if constexpr (kind == 3)
    holds = (rflags & (eflags::CF | eflags::ZF)) != 0;
  else if constexpr (kind == 4)
    holds = (rflags & eflags::SF) != 0;
  else if constexpr (kind == 5)
    holds = (rflags & eflags::PF) != 0;
  else {
    const bool less = (((rflags >> 7) ^ (rflags >> 11)) & 1) != 0;
    if constexpr (kind == 6)
      holds = less;
    else
      holds = less || (rflags & eflags::ZF) != 0;
  }
  return holds != ((condition & 1) != 0);
}

/// Calls `choose` with the condition code as a constant.
template <typename Choose>
inline Handler by_condition(unsigned condition, Choose choose) {
  switch (condition & 15) {
#define CONDITION(n) \
  case n:            \
    return choose(std::integral_constant<unsigned, n>{});
    // clang-format off
    CONDITION(0) CONDITION(1) CONDITION(2) CONDITION(3) CONDITION(4) CONDITION(5) CONDITION(6)
    CONDITION(7) CONDITION(8) CONDITION(9) CONDITION(10) CONDITION(11) CONDITION(12) CONDITION(13)
    CONDITION(14) CONDITION(15)
#undef CONDITION
        // clang-format on
        default : return nullptr;
  }
}

/// The address of the next instruction. RIP itself stays on the current one until it completes.
inline u64 next_rip(const Processor& processor, const Instruction& instruction) {
  return (processor.state.rip + instruction.length) & 0xFFFF'FFFF;
}

/// Near branch: wraps the target to the operand size and checks it against CS's limit. Fault:
/// #GP(0).
template <unsigned operand_size>
inline bool branch_target_fine(Processor& processor, u64& target) {
  target &= operand_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  if (target <= processor.state.segment(SegmentName::CS).limit) [[likely]]
    return true;
  (void)processor.raise(Vector::GeneralProtection, 0);
  return false;
}

}  // namespace ringshift::cpu
