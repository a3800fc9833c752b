// BT BTS BTR BTC with their bit strings in memory, BSF BSR TZCNT LZCNT POPCNT, BMI1 and BMI2,
// CRC32, RDRAND RDSEED. SDM 2.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"
#include "cpu/interpreter/host_alu.h"

namespace ringshift::cpu {

namespace {

template <BitTest operation, typename T>
Completion bit_of_register(Processor& processor, const Instruction& instruction) {
  const Operand& bit = instruction.operands[1];
  const T number = bit.kind == OperandKind::Immediate ? static_cast<T>(instruction.immediate)
                                                      : read_register<T>(processor, bit);
  const Operand& operand = instruction.operands[0];
  const T result =
      host_bit<operation, T>(read_register<T>(processor, operand), number, processor.state.rflags);
  if constexpr (operation != BitTest::Test) write_register<T>(processor, operand, result);
  return Completion::Next;
}

template <BitTest operation, typename T>
Completion bit_of_memory(Processor& processor, const Instruction& instruction) {
  const Operand& bit = instruction.operands[1];
  u64 offset = memory_offset(processor, instruction);
  T number;
  if (bit.kind == OperandKind::Immediate) {
    number = static_cast<T>(instruction.immediate);
  } else {
    // A register bit offset is signed and reaches beyond the operand. SDM 2A BT, table 3-2.
    number = read_register<T>(processor, bit);
    const i64 signed_bit = static_cast<std::make_signed_t<T>>(number);
    constexpr i64 bits = 8 * sizeof(T);
    const i64 element = (signed_bit - (signed_bit & (bits - 1))) / bits;
    offset += static_cast<u64>(element * static_cast<i64>(sizeof(T)));
    offset &= instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  }
  const SegmentName segment = instruction.memory.segment;
  u64& rflags = processor.state.rflags;
  if constexpr (operation == BitTest::Test) {
    host_bit<operation, T>(TRY_OR_FAULT(processor.read<T>(segment, offset)), number, rflags);
  } else {
    const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
    processor.write_back<T>(segment, offset, host_bit<operation, T>(value, number, rflags));
  }
  return Completion::Next;
}

template <BitTest operation>
Handler bind_bit(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size, [&](auto size) -> Handler {
    using T = decltype(size);
    if (instruction.operands[0].kind == OperandKind::Memory) return &bit_of_memory<operation, T>;
    return &bit_of_register<operation, T>;
  });
}

template <BitScan operation, typename T, bool memory>
Completion scan(Processor& processor, const Instruction& instruction) {
  const T source = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 1)));
  const Operand& destination = instruction.operands[0];
  const T old = read_register<T>(processor, destination);
  const T result = host_scan<operation, T>(old, source, processor.state.rflags);
  write_register<T>(processor, destination, result);
  return Completion::Next;
}

template <BitScan operation>
Handler bind_scan(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size, [&](auto size) {
    return by_place(instruction, 1, [&](auto memory) -> Handler {
      return &scan<operation, decltype(size), decltype(memory)::value>;
    });
  });
}

/// ANDN d, a, b/m: the memory operand is the third; BEXTR and BZHI d, b/m, a: the second.
template <Bmi operation, bool memory>
Completion bmi(Processor& processor, const Instruction& instruction) {
  constexpr unsigned place = operation == Bmi::Andn ? 2 : 1;
  const u32 from_place = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, place)));
  const u32 other = read_register<u32>(processor, instruction.operands[3 - place]);
  u64& rflags = processor.state.rflags;
  const u32 result = operation == Bmi::Andn ? host_bmi<operation>(other, from_place, rflags)
                                            : host_bmi<operation>(from_place, other, rflags);
  write_register<u32>(processor, instruction.operands[0], result);
  return Completion::Next;
}

template <Bmi operation>
Handler bind_bmi(const Instruction& instruction) {
  return by_place(instruction, operation == Bmi::Andn ? 2 : 1,
                  [](auto memory) -> Handler { return &bmi<operation, decltype(memory)::value>; });
}

template <LowestBit operation, bool memory>
Completion lowest_bit(Processor& processor, const Instruction& instruction) {
  const u32 source = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 1)));
  write_register<u32>(processor, instruction.operands[0],
                      host_lowest_bit<operation>(source, processor.state.rflags));
  return Completion::Next;
}

template <LowestBit operation>
Handler bind_lowest_bit(const Instruction& instruction) {
  return by_place(instruction, 1, [](auto memory) -> Handler {
    return &lowest_bit<operation, decltype(memory)::value>;
  });
}

enum class ParallelBits : u8 { Deposit, Extract };

template <ParallelBits operation, bool memory>
Completion parallel_bits(Processor& processor, const Instruction& instruction) {
  const u32 mask = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 2)));
  const u32 source = read_register<u32>(processor, instruction.operands[1]);
  write_register<u32>(
      processor, instruction.operands[0],
      operation == ParallelBits::Deposit ? host_pdep(source, mask) : host_pext(source, mask));
  return Completion::Next;
}

template <ParallelBits operation>
Handler bind_parallel_bits(const Instruction& instruction) {
  return by_place(instruction, 2, [](auto memory) -> Handler {
    return &parallel_bits<operation, decltype(memory)::value>;
  });
}

template <bool memory>
Completion multiply_without_flags(Processor& processor, const Instruction& instruction) {
  const u32 source = TRY_OR_FAULT((read_operand<u32, memory>(processor, instruction, 2)));
  const u64 product = u64{source} * static_cast<u32>(processor.state.gpr[Rdx]);
  // If both destinations are the same register it gets the high half. SDM 2B MULX.
  write_register<u32>(processor, instruction.operands[1], static_cast<u32>(product));
  write_register<u32>(processor, instruction.operands[0], static_cast<u32>(product >> 32));
  return Completion::Next;
}

template <typename T, bool memory>
Completion crc32(Processor& processor, const Instruction& instruction) {
  const T source = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 1)));
  const Operand& destination = instruction.operands[0];
  write_register<u32>(processor, destination,
                      host_crc32<T>(read_register<u32>(processor, destination), source));
  return Completion::Next;
}

enum class RandomSource : u8 { Generator, Seed };

template <RandomSource source, typename T>
Completion random_number(Processor& processor, const Instruction& instruction) {
  T value;
  bool ready;
  if constexpr (source == RandomSource::Generator) {
    asm volatile("rdrand %0\n\tsetc %1" : "=r"(value), "=qm"(ready) : : "cc");
  } else {
    asm volatile("rdseed %0\n\tsetc %1" : "=r"(value), "=qm"(ready) : : "cc");
  }
  // CF says whether the number is valid; it is zero if not. The other flags are cleared.
  u64& rflags = processor.state.rflags;
  rflags = (rflags & ~eflags::Arithmetic) | (ready ? eflags::CF : 0);
  write_register<T>(processor, instruction.operands[0], value);
  return Completion::Next;
}

template <RandomSource source>
Handler bind_random(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size,
                      [](auto size) -> Handler { return &random_number<source, decltype(size)>; });
}

}  // namespace

Handler bind_bt(const Instruction& instruction) {
  return bind_bit<BitTest::Test>(instruction);
}
Handler bind_bts(const Instruction& instruction) {
  return bind_bit<BitTest::Set>(instruction);
}
Handler bind_btr(const Instruction& instruction) {
  return bind_bit<BitTest::Reset>(instruction);
}
Handler bind_btc(const Instruction& instruction) {
  return bind_bit<BitTest::Complement>(instruction);
}
Handler bind_bsf(const Instruction& instruction) {
  return bind_scan<BitScan::Bsf>(instruction);
}
Handler bind_bsr(const Instruction& instruction) {
  return bind_scan<BitScan::Bsr>(instruction);
}
Handler bind_tzcnt(const Instruction& instruction) {
  return bind_scan<BitScan::Tzcnt>(instruction);
}
Handler bind_lzcnt(const Instruction& instruction) {
  return bind_scan<BitScan::Lzcnt>(instruction);
}
Handler bind_popcnt(const Instruction& instruction) {
  return bind_scan<BitScan::Popcnt>(instruction);
}
Handler bind_andn(const Instruction& instruction) {
  return bind_bmi<Bmi::Andn>(instruction);
}
Handler bind_bextr(const Instruction& instruction) {
  return bind_bmi<Bmi::Bextr>(instruction);
}
Handler bind_bzhi(const Instruction& instruction) {
  return bind_bmi<Bmi::Bzhi>(instruction);
}
Handler bind_blsi(const Instruction& instruction) {
  return bind_lowest_bit<LowestBit::Isolate>(instruction);
}
Handler bind_blsmsk(const Instruction& instruction) {
  return bind_lowest_bit<LowestBit::Mask>(instruction);
}
Handler bind_blsr(const Instruction& instruction) {
  return bind_lowest_bit<LowestBit::Reset>(instruction);
}
Handler bind_pdep(const Instruction& instruction) {
  return bind_parallel_bits<ParallelBits::Deposit>(instruction);
}
Handler bind_pext(const Instruction& instruction) {
  return bind_parallel_bits<ParallelBits::Extract>(instruction);
}
Handler bind_mulx(const Instruction& instruction) {
  return by_place(instruction, 2, [](auto memory) -> Handler {
    return &multiply_without_flags<decltype(memory)::value>;
  });
}
Handler bind_crc32(const Instruction& instruction) {
  return by_size(instruction.operands[1].size, [&](auto size) {
    return by_place(instruction, 1, [&](auto memory) -> Handler {
      return &crc32<decltype(size), decltype(memory)::value>;
    });
  });
}
Handler bind_rdrand(const Instruction& instruction) {
  return bind_random<RandomSource::Generator>(instruction);
}
Handler bind_rdseed(const Instruction& instruction) {
  return bind_random<RandomSource::Seed>(instruction);
}

}  // namespace ringshift::cpu
