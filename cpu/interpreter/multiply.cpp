// MUL IMUL DIV IDIV, and the decimal and ASCII adjustments. SDM 2.
#include <limits>

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"
#include "cpu/interpreter/host_alu.h"

namespace ringshift::cpu {

namespace {

template <Sign sign, typename T, bool memory>
Completion multiply(Processor& processor, const Instruction& instruction) {
  const T source = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 0)));
  State& state = processor.state;
  const auto product = host_multiply<sign, T>(static_cast<T>(state.gpr[Rax]), source, state.rflags);
  if constexpr (sizeof(T) == 1) {
    processor.write_gpr(Rax, 2, static_cast<u64>(product.low) | (u64{product.high} << 8));
  } else {
    processor.write_gpr(Rax, sizeof(T), product.low);
    processor.write_gpr(Rdx, sizeof(T), product.high);
  }
  return Completion::Next;
}

template <Sign sign>
Handler bind_multiply(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &multiply<sign, decltype(size), decltype(memory)::value>;
    });
  });
}

/// IMUL r, r/m and IMUL r, r/m, imm.
template <typename T, bool memory, bool immediate>
Completion multiply_low(Processor& processor, const Instruction& instruction) {
  const T source = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 1)));
  const T other = immediate ? static_cast<T>(instruction.immediate)
                            : read_register<T>(processor, instruction.operands[0]);
  write_register<T>(processor, instruction.operands[0],
                    host_multiply_low<T>(other, source, processor.state.rflags));
  return Completion::Next;
}

template <typename T>
bool quotient_fits_unsigned(u64 dividend, T divisor) {
  return divisor != 0 && dividend / divisor <= std::numeric_limits<T>::max();
}

template <typename T>
bool quotient_fits_signed(i64 dividend, T divisor) {
  using Signed = std::make_signed_t<T>;
  const i64 by = static_cast<Signed>(divisor);
  if (by == 0) return false;
  if (by == -1 && dividend == std::numeric_limits<i64>::min()) return false;
  const i64 quotient = dividend / by;
  return quotient >= std::numeric_limits<Signed>::min() &&
         quotient <= std::numeric_limits<Signed>::max();
}

template <Sign sign, typename T, bool memory>
Completion divide(Processor& processor, const Instruction& instruction) {
  const T divisor = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 0)));
  State& state = processor.state;
  constexpr unsigned bits = 8 * sizeof(T);
  u64 low;
  u64 high = 0;
  u64 dividend;
  if constexpr (sizeof(T) == 1) {
    low = state.gpr[Rax] & 0xFFFF;
    dividend = low;
  } else {
    low = static_cast<T>(state.gpr[Rax]);
    high = static_cast<T>(state.gpr[Rdx]);
    dividend = (high << bits) | low;
  }
  bool fits;
  if constexpr (sign == Sign::Unsigned) {
    fits = quotient_fits_unsigned<T>(dividend, divisor);
  } else {
    const i64 extended = static_cast<i64>(dividend << (64 - 2 * bits)) >> (64 - 2 * bits);
    fits = quotient_fits_signed<T>(extended, divisor);
  }
  if (!fits) {
    (void)processor.raise(Vector::DivideError);
    return Completion::Fault;
  }
  const auto result =
      host_divide<sign, T>(static_cast<u32>(low), static_cast<u32>(high), divisor, state.rflags);
  if constexpr (sizeof(T) == 1) {
    processor.write_gpr(Rax, 2, static_cast<u64>(result.low) | (u64{result.high} << 8));
  } else {
    processor.write_gpr(Rax, sizeof(T), result.low);
    processor.write_gpr(Rdx, sizeof(T), result.high);
  }
  return Completion::Next;
}

template <Sign sign>
Handler bind_divide(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &divide<sign, decltype(size), decltype(memory)::value>;
    });
  });
}

/// SF, ZF and PF of AL by the host; the others as given.
void set_result_flags(State& state, u64 others) {
  host_alu<Alu::Test, u8>(static_cast<u8>(state.gpr[Rax]), 0xFF, state.rflags);
  constexpr u64 mask = eflags::CF | eflags::AF | eflags::OF;
  state.rflags = (state.rflags & ~mask) | others;
}

enum class Adjust : u8 { Addition, Subtraction };

/// DAA and DAS.
template <Adjust kind>
Completion decimal_adjust(Processor& processor, const Instruction&) {
  State& state = processor.state;
  const u8 old = static_cast<u8>(state.gpr[Rax]);
  const bool old_carry = state.flag(eflags::CF);
  u8 al = old;
  u64 flags = 0;
  if ((old & 0x0F) > 9 || state.flag(eflags::AF)) {
    const bool carry = kind == Adjust::Addition ? old > 0xF9 : old < 6;
    al = static_cast<u8>(kind == Adjust::Addition ? al + 6 : al - 6);
    flags |= eflags::AF | (old_carry || carry ? eflags::CF : 0);
  }
  if (old > 0x99 || old_carry) {
    al = static_cast<u8>(kind == Adjust::Addition ? al + 0x60 : al - 0x60);
    flags |= eflags::CF;
  }
  processor.write_gpr(Rax, 1, al);
  set_result_flags(state, flags);
  return Completion::Next;
}

/// AAA and AAS.
template <Adjust kind>
Completion ascii_adjust(Processor& processor, const Instruction&) {
  State& state = processor.state;
  u16 ax = static_cast<u16>(state.gpr[Rax]);
  u64 flags = 0;
  if ((ax & 0x0F) > 9 || state.flag(eflags::AF)) {
    if constexpr (kind == Adjust::Addition)
      ax = static_cast<u16>(ax + 0x106);
    else
      ax = static_cast<u16>(ax - 6 - 0x100);
    flags = eflags::AF | eflags::CF;
  }
  processor.write_gpr(Rax, 2, ax & 0xFF0F);
  set_result_flags(state, flags);
  return Completion::Next;
}

Completion aam(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const u8 base = static_cast<u8>(instruction.immediate);
  if (base == 0) {
    (void)processor.raise(Vector::DivideError);
    return Completion::Fault;
  }
  const u8 al = static_cast<u8>(state.gpr[Rax]);
  processor.write_gpr(Rax, 2, (u64{static_cast<u8>(al / base)} << 8) | (al % base));
  set_result_flags(state, 0);
  return Completion::Next;
}

Completion aad(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const u8 base = static_cast<u8>(instruction.immediate);
  const u8 al = static_cast<u8>(state.gpr[Rax]);
  const u8 tens = static_cast<u8>(processor.read_high_byte(Rax) * base);
  // CF, AF and OF, undefined by the manual, are those of the addition.
  processor.write_gpr(Rax, 2, host_alu<Alu::Add, u8>(al, tens, state.rflags));
  return Completion::Next;
}

}  // namespace

Handler bind_mul(const Instruction& instruction) {
  return bind_multiply<Sign::Unsigned>(instruction);
}

Handler bind_imul(const Instruction& instruction) {
  const bool one_operand = instruction.operands[1].kind == OperandKind::None ||
                           instruction.opcode == 0xF6 || instruction.opcode == 0xF7;
  if (one_operand) return bind_multiply<Sign::Signed>(instruction);
  const bool immediate = instruction.operands[2].kind == OperandKind::Immediate;
  return by_word_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 1, [&](auto memory) -> Handler {
      using T = decltype(size);
      constexpr bool in_memory = decltype(memory)::value;
      if (immediate) return &multiply_low<T, in_memory, true>;
      return &multiply_low<T, in_memory, false>;
    });
  });
}

Handler bind_div(const Instruction& instruction) {
  return bind_divide<Sign::Unsigned>(instruction);
}
Handler bind_idiv(const Instruction& instruction) {
  return bind_divide<Sign::Signed>(instruction);
}
Handler bind_daa(const Instruction&) {
  return &decimal_adjust<Adjust::Addition>;
}
Handler bind_das(const Instruction&) {
  return &decimal_adjust<Adjust::Subtraction>;
}
Handler bind_aaa(const Instruction&) {
  return &ascii_adjust<Adjust::Addition>;
}
Handler bind_aas(const Instruction&) {
  return &ascii_adjust<Adjust::Subtraction>;
}
Handler bind_aam(const Instruction&) {
  return &aam;
}
Handler bind_aad(const Instruction&) {
  return &aad;
}

}  // namespace ringshift::cpu
