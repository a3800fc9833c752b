#include "translator/emit/encoding.h"

#include <algorithm>
#include <bit>

namespace ringshift::translator {

namespace {

bool has_memory_operand(const cpu::Instruction& instruction) {
  const auto end = instruction.operands.begin() + instruction.operand_count;
  return std::any_of(instruction.operands.begin(), end, [](const cpu::Operand& operand) {
    return operand.kind == cpu::OperandKind::Memory;
  });
}

/// Gathers: VEX.0F38 90h-93h. Other instructions with such an opcode byte have no vector operand.
bool index_is_vector(const cpu::Instruction& instruction) {
  const cpu::OperandKind first = instruction.operands[0].kind;
  return (first == cpu::OperandKind::Xmm || first == cpu::OperandKind::Ymm) &&
         instruction.opcode >= 0x90 && instruction.opcode <= 0x93;
}

}  // namespace

std::optional<HostMemory> direct_memory(const cpu::Instruction& instruction) {
  if (!has_memory_operand(instruction) || index_is_vector(instruction) ||
      instruction.address_size != 4) {
    return std::nullopt;
  }
  const cpu::MemoryOperand& guest = instruction.memory;
  HostMemory memory;
  if (guest.base != kNoRegister) memory.base = host_register(guest.base);
  memory.index = guest.index;
  memory.scale = guest.scale;
  memory.displacement = static_cast<i32>(guest.displacement);
  return memory;
}

void append_memory_operand(unsigned reg, const HostMemory& memory, HostCode& into) {
  constexpr unsigned kSibFollows = 4, kNone = 4, kDisplacementOnly = 5;
  const bool has_base = memory.base != kNoRegister;
  const bool has_index = memory.index != kNoRegister;
  const unsigned base = has_base ? memory.base & 7U : kDisplacementOnly;
  unsigned displacement_size = 0;
  unsigned mod = 0;
  if (!has_base) {
    // Without base: mod 0 and a SIB byte, as ModRM alone would mean relative to RIP.
    displacement_size = 4;
  } else if (memory.displacement != static_cast<i8>(memory.displacement)) {
    displacement_size = 4;
    mod = 2;
  } else if (memory.displacement != 0 || base == kDisplacementOnly) {
    displacement_size = 1;
    mod = 1;
  }
  const bool sib = has_index || !has_base || base == kSibFollows;
  into.push(mod << 6 | reg << 3 | (sib ? kSibFollows : base));
  if (sib) {
    const unsigned scale = has_index ? static_cast<unsigned>(std::countr_zero(memory.scale)) : 0;
    into.push(scale << 6 | (has_index ? memory.index & 7U : kNone) << 3 | base);
  }
  into.push(static_cast<u32>(memory.displacement), displacement_size);
}

}  // namespace ringshift::translator
