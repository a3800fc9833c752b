// Shifts, rotates, SHLD SHRD, and the flagless BMI2 shifts. The host masks the count just as the
// guest's processor does, and leaves the flags alone for a count of zero. SDM 2.
#include <bit>

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"
#include "cpu/interpreter/host_alu.h"

namespace ringshift::cpu {

namespace {

enum class Count : u8 { Immediate, Cl };

template <Count count>
u8 shift_count(const Processor& processor, const Instruction& instruction) {
  if constexpr (count == Count::Immediate)
    return static_cast<u8>(instruction.immediate);
  else
    return static_cast<u8>(processor.state.gpr[Rcx]);
}

template <Shift operation, Place place, typename T, Count count_place>
T shifted(T value, u8 count, u64& rflags) {
  constexpr bool rotate = operation == Shift::Rol || operation == Shift::Ror;
  if constexpr (rotate && count_place == Count::Immediate) {
    return host_rotate_immediate<operation, place, T>(value, count, rflags);
  } else {
    return host_shift<operation, place, T>(value, count, rflags);
  }
}

template <Shift operation, typename T, bool memory, Count count_place>
Completion shift(Processor& processor, const Instruction& instruction) {
  const u8 count = shift_count<count_place>(processor, instruction);
  u64& rflags = processor.state.rflags;
  if constexpr (memory) {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    processor.write_back<T>(
        segment, offset, shifted<operation, Place::Memory, T, count_place>(value, count, rflags));
  } else {
    const Operand& operand = instruction.operands[0];
    const T value = read_register<T>(processor, operand);
    write_register<T>(processor, operand,
                      shifted<operation, Place::Register, T, count_place>(value, count, rflags));
  }
  return Completion::Next;
}

template <Shift operation>
Handler bind_shift(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      using T = decltype(size);
      constexpr bool in_memory = decltype(memory)::value;
      if (is_register(instruction.operands[1])) return &shift<operation, T, in_memory, Count::Cl>;
      return &shift<operation, T, in_memory, Count::Immediate>;
    });
  });
}

template <DoubleShift direction, typename T, bool memory, Count count_place>
Completion double_shift(Processor& processor, const Instruction& instruction) {
  const u8 count = shift_count<count_place>(processor, instruction);
  const T source = read_register<T>(processor, instruction.operands[1]);
  u64& rflags = processor.state.rflags;
  if constexpr (memory) {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    processor.write_back<T>(segment, offset,
                            host_double_shift<direction, T>(value, source, count, rflags));
  } else {
    const Operand& operand = instruction.operands[0];
    const T value = read_register<T>(processor, operand);
    write_register<T>(processor, operand,
                      host_double_shift<direction, T>(value, source, count, rflags));
  }
  return Completion::Next;
}

template <DoubleShift direction>
Handler bind_double_shift(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      using T = decltype(size);
      constexpr bool in_memory = decltype(memory)::value;
      if (is_register(instruction.operands[2])) {
        return &double_shift<direction, T, in_memory, Count::Cl>;
      }
      return &double_shift<direction, T, in_memory, Count::Immediate>;
    });
  });
}

enum class PlainShift : u8 { Left, Right, Arithmetic };

template <PlainShift operation, bool memory>
Completion shift_without_flags(Processor& processor, const Instruction& instruction) {
  const u32 value = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 1)));
  const unsigned count = read_register<u32>(processor, instruction.operands[2]) & 31;
  u32 result;
  if constexpr (operation == PlainShift::Left)
    result = value << count;
  else if constexpr (operation == PlainShift::Right)
    result = value >> count;
  else
    result = static_cast<u32>(static_cast<i32>(value) >> count);
  write_register<u32>(processor, instruction.operands[0], result);
  return Completion::Next;
}

template <PlainShift operation>
Handler bind_plain_shift(const Instruction& instruction) {
  return by_place(instruction, 1, [](auto memory) -> Handler {
    return &shift_without_flags<operation, decltype(memory)::value>;
  });
}

template <bool memory>
Completion rotate_without_flags(Processor& processor, const Instruction& instruction) {
  const u32 value = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 1)));
  write_register<u32>(processor, instruction.operands[0],
                      std::rotr(value, static_cast<int>(instruction.immediate & 31)));
  return Completion::Next;
}

}  // namespace

Handler bind_rol(const Instruction& instruction) {
  return bind_shift<Shift::Rol>(instruction);
}
Handler bind_ror(const Instruction& instruction) {
  return bind_shift<Shift::Ror>(instruction);
}
Handler bind_rcl(const Instruction& instruction) {
  return bind_shift<Shift::Rcl>(instruction);
}
Handler bind_rcr(const Instruction& instruction) {
  return bind_shift<Shift::Rcr>(instruction);
}
Handler bind_shl(const Instruction& instruction) {
  return bind_shift<Shift::Shl>(instruction);
}
Handler bind_shr(const Instruction& instruction) {
  return bind_shift<Shift::Shr>(instruction);
}
Handler bind_sar(const Instruction& instruction) {
  return bind_shift<Shift::Sar>(instruction);
}
Handler bind_shld(const Instruction& instruction) {
  return bind_double_shift<DoubleShift::Left>(instruction);
}
Handler bind_shrd(const Instruction& instruction) {
  return bind_double_shift<DoubleShift::Right>(instruction);
}
Handler bind_shlx(const Instruction& instruction) {
  return bind_plain_shift<PlainShift::Left>(instruction);
}
Handler bind_shrx(const Instruction& instruction) {
  return bind_plain_shift<PlainShift::Right>(instruction);
}
Handler bind_sarx(const Instruction& instruction) {
  return bind_plain_shift<PlainShift::Arithmetic>(instruction);
}
Handler bind_rorx(const Instruction& instruction) {
  return by_place(instruction, 1, [](auto memory) -> Handler {
    return &rotate_without_flags<decltype(memory)::value>;
  });
}

}  // namespace ringshift::cpu
