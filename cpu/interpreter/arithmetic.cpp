// ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, CMPXCHG CMPXCHG8B XADD, ADCX ADOX. SDM 2.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"
#include "cpu/interpreter/host_alu.h"

namespace ringshift::cpu {

namespace {

template <Alu operation, typename T, Form form>
Completion binary(Processor& processor, const Instruction& instruction) {
  constexpr bool stores = operation != Alu::Cmp && operation != Alu::Test;
  u64& rflags = processor.state.rflags;
  if constexpr (!destination_in_memory(form)) {
    const T source = TRY_OR_FAULT((read_source<T, form>(processor, instruction)));
    const T value = read_register<T>(processor, instruction.operands[0]);
    const T result = host_alu<operation, T>(value, source, rflags);
    if constexpr (stores) write_register<T>(processor, instruction.operands[0], result);
  } else {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T source = read_source<T, form>(processor, instruction).value();
    if constexpr (stores) {
      const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
      processor.write_back<T>(segment, offset, host_alu<operation, T>(value, source, rflags));
    } else {
      const T value = TRY_OR_FAULT(processor.read<T>(segment, offset));
      host_alu<operation, T>(value, source, rflags);
    }
  }
  return Completion::Next;
}

template <Alu operation>
Handler bind_binary(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_form(instruction, [&](auto form) -> Handler {
      return &binary<operation, decltype(size), decltype(form)::value>;
    });
  });
}

template <Unary operation, typename T, bool memory>
Completion unary(Processor& processor, const Instruction& instruction) {
  u64& rflags = processor.state.rflags;
  if constexpr (memory) {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    processor.write_back<T>(segment, offset, host_unary<operation, T>(value, rflags));
  } else {
    const Operand& operand = instruction.operands[0];
    write_register<T>(processor, operand,
                      host_unary<operation, T>(read_register<T>(processor, operand), rflags));
  }
  return Completion::Next;
}

template <Unary operation>
Handler bind_unary(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &unary<operation, decltype(size), decltype(memory)::value>;
    });
  });
}

template <typename T>
constexpr Operand accumulator() {
  return Operand{.kind = OperandKind::Gpr, .reg = Rax, .size = sizeof(T)};
}

template <typename T, bool memory>
Completion compare_exchange(Processor& processor, const Instruction& instruction) {
  u64& rflags = processor.state.rflags;
  const T expected = read_register<T>(processor, accumulator<T>());
  const T source = read_register<T>(processor, instruction.operands[1]);
  if constexpr (memory) {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    host_alu<Alu::Cmp, T>(expected, value, rflags);
    // The destination gets a write cycle either way. SDM 2A CMPXCHG.
    processor.write_back<T>(segment, offset, value == expected ? source : value);
    if (value != expected) write_register<T>(processor, accumulator<T>(), value);
  } else {
    const Operand& operand = instruction.operands[0];
    const T value = read_register<T>(processor, operand);
    host_alu<Alu::Cmp, T>(expected, value, rflags);
    if (value == expected)
      write_register<T>(processor, operand, source);
    else
      write_register<T>(processor, accumulator<T>(), value);
  }
  return Completion::Next;
}

Completion compare_exchange_8_bytes(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const SegmentName segment = instruction.memory.segment;
  const u64 offset = memory_offset(processor, instruction);
  const u64 value = TRY_OR_FAULT(processor.read_for_write<u64>(segment, offset));
  const u64 expected = (state.gpr[Rdx] << 32) | (state.gpr[Rax] & 0xFFFF'FFFF);
  if (value == expected) {
    state.rflags |= eflags::ZF;
    processor.write_back<u64>(segment, offset,
                              (state.gpr[Rcx] << 32) | (state.gpr[Rbx] & 0xFFFF'FFFF));
  } else {
    state.rflags &= ~eflags::ZF;
    processor.write_back<u64>(segment, offset, value);
    state.gpr[Rax] = value & 0xFFFF'FFFF;
    state.gpr[Rdx] = value >> 32;
  }
  return Completion::Next;
}

template <typename T, bool memory>
Completion exchange_add(Processor& processor, const Instruction& instruction) {
  u64& rflags = processor.state.rflags;
  const T source = read_register<T>(processor, instruction.operands[1]);
  if constexpr (memory) {
    const SegmentName segment = instruction.memory.segment;
    const u64 offset = memory_offset(processor, instruction);
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    processor.write_back<T>(segment, offset, host_alu<Alu::Add, T>(value, source, rflags));
    write_register<T>(processor, instruction.operands[1], value);
  } else {
    const T value = read_register<T>(processor, instruction.operands[0]);
    const T sum = host_alu<Alu::Add, T>(value, source, rflags);
    write_register<T>(processor, instruction.operands[1], value);
    write_register<T>(processor, instruction.operands[0], sum);
  }
  return Completion::Next;
}

/// ADCX carries through CF alone, ADOX through OF alone.
template <u64 flag, bool memory>
Completion add_with_one_flag(Processor& processor, const Instruction& instruction) {
  const u32 source = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 1)));
  u64& rflags = processor.state.rflags;
  const u64 sum = u64{read_register<u32>(processor, instruction.operands[0])} + source +
                  ((rflags & flag) != 0 ? 1 : 0);
  write_register<u32>(processor, instruction.operands[0], static_cast<u32>(sum));
  rflags = (sum >> 32) != 0 ? rflags | flag : rflags & ~flag;
  return Completion::Next;
}

template <u64 flag>
Handler bind_add_with_one_flag(const Instruction& instruction) {
  return by_place(instruction, 1, [](auto memory) -> Handler {
    return &add_with_one_flag<flag, decltype(memory)::value>;
  });
}

}  // namespace

Handler bind_add(const Instruction& instruction) {
  return bind_binary<Alu::Add>(instruction);
}
Handler bind_or(const Instruction& instruction) {
  return bind_binary<Alu::Or>(instruction);
}
Handler bind_adc(const Instruction& instruction) {
  return bind_binary<Alu::Adc>(instruction);
}
Handler bind_sbb(const Instruction& instruction) {
  return bind_binary<Alu::Sbb>(instruction);
}
Handler bind_and(const Instruction& instruction) {
  return bind_binary<Alu::And>(instruction);
}
Handler bind_sub(const Instruction& instruction) {
  return bind_binary<Alu::Sub>(instruction);
}
Handler bind_xor(const Instruction& instruction) {
  return bind_binary<Alu::Xor>(instruction);
}
Handler bind_cmp(const Instruction& instruction) {
  return bind_binary<Alu::Cmp>(instruction);
}
Handler bind_test(const Instruction& instruction) {
  return bind_binary<Alu::Test>(instruction);
}

Handler bind_inc(const Instruction& instruction) {
  return bind_unary<Unary::Inc>(instruction);
}
Handler bind_dec(const Instruction& instruction) {
  return bind_unary<Unary::Dec>(instruction);
}
Handler bind_neg(const Instruction& instruction) {
  return bind_unary<Unary::Neg>(instruction);
}
Handler bind_not(const Instruction& instruction) {
  return bind_unary<Unary::Not>(instruction);
}

Handler bind_cmpxchg(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &compare_exchange<decltype(size), decltype(memory)::value>;
    });
  });
}

Handler bind_cmpxchg8b(const Instruction&) {
  return &compare_exchange_8_bytes;
}

Handler bind_xadd(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &exchange_add<decltype(size), decltype(memory)::value>;
    });
  });
}

Handler bind_adcx(const Instruction& instruction) {
  return bind_add_with_one_flag<eflags::CF>(instruction);
}
Handler bind_adox(const Instruction& instruction) {
  return bind_add_with_one_flag<eflags::OF>(instruction);
}

}  // namespace ringshift::cpu
