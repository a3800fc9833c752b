// SIMD instructions that touch memory element by element: masked moves and gathers. Only elements
// that the mask selects may fault, so that no single memory operand describes them.
#include <cstring>

#include "cpu/host_unit/encoding.h"
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {
namespace {

using image::Vector32;

u64 address_mask(const Instruction& instruction) {
  return instruction.address_size == 8 ? ~u64{0} : (u64{1} << (8 * instruction.address_size)) - 1;
}

template <typename T>
T element(const Vector32& vector, unsigned index) {
  T value;
  std::memcpy(&value, vector.data() + sizeof(T) * index, sizeof value);
  return value;
}

template <typename T>
void set_element(Vector32& vector, unsigned index, T value) {
  std::memcpy(vector.data() + sizeof(T) * index, &value, sizeof value);
}

template <typename T>
bool selected(const Vector32& mask, unsigned index) {
  return element<T>(mask, index) >> (8 * sizeof(T) - 1) != 0;
}

/// Writes the selected elements, all or none.
template <typename T>
Completion store_selected(Processor& processor, const Instruction& instruction, u64 offset,
                          const Vector32& mask, const Vector32& source, unsigned elements) {
  const SegmentName segment = instruction.memory.segment;
  const auto at = [&](unsigned index) {
    return (offset + sizeof(T) * index) & address_mask(instruction);
  };
  for (unsigned i = 0; i < elements; ++i) {
    if (selected<T>(mask, i)) TRY_OR_FAULT(processor.probe_write(segment, at(i), sizeof(T)));
  }
  for (unsigned i = 0; i < elements; ++i) {
    if (selected<T>(mask, i)) {
      TRY_OR_FAULT(processor.write<T>(segment, at(i), element<T>(source, i)));
    }
  }
  return Completion::Next;
}

/// [DS:EDI], whose segment may be overridden. SDM 2B MASKMOVQ.
u64 destination_offset(const Processor& processor, const Instruction& instruction) {
  return processor.state.gpr[Rdi] & address_mask(instruction);
}

Completion store_bytes(Processor& processor, const Instruction& instruction) {
  const ExtendedState& extended = processor.state.extended;
  return store_selected<u8>(processor, instruction, destination_offset(processor, instruction),
                            image::read_ymm(extended, instruction.operands[1].reg),
                            image::read_ymm(extended, instruction.operands[0].reg), 16);
}

Completion execute_maskmovdqu(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_sse(processor));
  return store_bytes(processor, instruction);
}

Completion execute_vmaskmovdqu(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_avx(processor));
  return store_bytes(processor, instruction);
}

Completion execute_maskmovq(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_mmx(processor));
  ExtendedState& extended = processor.state.extended;
  ExtendedState after = extended;
  image::enter_mmx(after);
  const auto mmx = [&after](unsigned reg) {
    Vector32 value{};
    std::memcpy(value.data(), after.legacy.data() + image::kStack + 16 * reg, 8);
    return value;
  };
  HANDLER_REQUIRE(
      store_selected<u8>(processor, instruction, destination_offset(processor, instruction),
                         mmx(instruction.operands[1].reg), mmx(instruction.operands[0].reg), 8));
  extended = after;
  return Completion::Next;
}

/// VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ. A load clears what the mask leaves out.
template <typename T>
Completion execute_vmaskmov(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_avx(processor));
  ExtendedState& extended = processor.state.extended;
  const u64 offset = processor.effective_offset(instruction);
  const Operand& mask_operand = instruction.operands[1];
  const unsigned length = mask_operand.kind == OperandKind::Ymm ? 32 : 16;
  const unsigned elements = length / sizeof(T);
  const Vector32 mask = image::read_ymm(extended, mask_operand.reg);
  if (instruction.operands[0].kind == OperandKind::Memory) {
    return store_selected<T>(processor, instruction, offset, mask,
                             image::read_ymm(extended, instruction.operands[2].reg), elements);
  }
  Vector32 result{};
  for (unsigned i = 0; i < elements; ++i) {
    if (!selected<T>(mask, i)) continue;
    set_element<T>(
        result, i,
        TRY_OR_FAULT(processor.read<T>(instruction.memory.segment,
                                       (offset + sizeof(T) * i) & address_mask(instruction))));
  }
  image::write_ymm(extended, instruction.operands[0].reg, result, length);
  return Completion::Next;
}

/// VGATHERxxx and VPGATHERxx: T is the element, Index the signed index. A fault leaves the elements
/// before it loaded and their masks clear, so that the instruction goes on where it stopped.
/// SDM 2C VPGATHERDD.
template <typename T, typename Index>
Completion execute_gather(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_avx(processor));
  ExtendedState& extended = processor.state.extended;
  const u8 destination = instruction.operands[0].reg;
  const u8 mask_register = instruction.operands[2].reg;
  const MemoryOperand& memory = instruction.memory;
  const unsigned vector_length = parse_encoding(instruction).vex_l ? 32 : 16;
  const unsigned elements =
      static_cast<unsigned>(vector_length / std::max(sizeof(T), sizeof(Index)));
  const Vector32 indices = image::read_ymm(extended, memory.index);
  const Vector32 old_mask = image::read_ymm(extended, mask_register);
  const Vector32 old = image::read_ymm(extended, destination);
  const u64 base = memory.base == kNoRegister ? 0 : processor.state.gpr[memory.base];

  Vector32 result{}, mask{};
  for (unsigned i = 0; i < elements; ++i) {
    set_element<T>(result, i, element<T>(old, i));
    set_element<T>(mask, i, selected<T>(old_mask, i) ? static_cast<T>(~T{0}) : T{0});
  }
  bool faulted = false;
  for (unsigned i = 0; i < elements && !faulted; ++i) {
    if (!selected<T>(mask, i)) continue;
    const u64 scaled =
        static_cast<u64>(static_cast<i64>(element<Index>(indices, i))) * memory.scale;
    const u64 offset =
        (base + scaled + static_cast<u64>(memory.displacement)) & address_mask(instruction);
    const GuestResult<T> value = processor.read<T>(memory.segment, offset);
    faulted = value.faulted();
    if (faulted) break;
    set_element<T>(result, i, value.value());
    set_element<T>(mask, i, T{0});
  }
  image::write_ymm(extended, destination, result, 32);
  image::write_ymm(extended, mask_register, mask, 32);
  return faulted ? Completion::Fault : Completion::Next;
}

template <typename T, typename Index>
Handler gather(const Instruction& instruction) {
  const u8 destination = instruction.operands[0].reg;
  const u8 mask = instruction.operands[2].reg;
  const u8 index = instruction.memory.index;
  const bool distinct = destination != mask && destination != index && mask != index;
  const bool vex = parse_encoding(instruction).form == EncodingForm::Vex;
  return vex && distinct && instruction.address_size != 2 ? execute_gather<T, Index> : nullptr;
}

}  // namespace

Handler bind_maskmovq(const Instruction&) {
  return execute_maskmovq;
}
Handler bind_maskmovdqu(const Instruction&) {
  return execute_maskmovdqu;
}
Handler bind_vmaskmovdqu(const Instruction&) {
  return execute_vmaskmovdqu;
}
Handler bind_vmaskmov_32(const Instruction&) {
  return execute_vmaskmov<u32>;
}
Handler bind_vmaskmov_64(const Instruction&) {
  return execute_vmaskmov<u64>;
}
Handler bind_gather_32_by_32(const Instruction& instruction) {
  return gather<u32, i32>(instruction);
}
Handler bind_gather_32_by_64(const Instruction& instruction) {
  return gather<u32, i64>(instruction);
}
Handler bind_gather_64_by_32(const Instruction& instruction) {
  return gather<u64, i32>(instruction);
}
Handler bind_gather_64_by_64(const Instruction& instruction) {
  return gather<u64, i64>(instruction);
}

}  // namespace ringshift::cpu
