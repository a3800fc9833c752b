// SIMD instructions that touch memory element by element: masked moves and gathers. Only elements
// that the mask selects may fault, so that no single memory operand describes them.
#include <cstring>

#include "cpu/encoding.h"
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

/// The selected elements lie within their segment: checked for all before any page is looked at.
template <typename T>
Completion check_selected(Processor& processor, const Instruction& instruction, u64 offset,
                          const Vector32& mask, unsigned elements, AccessType type) {
  for (unsigned i = 0; i < elements; ++i) {
    if (!selected<T>(mask, i)) continue;
    TRY_OR_FAULT(processor.linear_address(instruction.memory.segment, offset + sizeof(T) * i,
                                          sizeof(T), type));
  }
  return Completion::Next;
}

/// Writes the selected elements, all or none.
template <typename T>
Completion store_selected(Processor& processor, const Instruction& instruction, u64 offset,
                          const Vector32& mask, const Vector32& source, unsigned elements) {
  const SegmentName segment = instruction.memory.segment;
  // Within an operand offsets don't wrap at the address size.
  const auto at = [&](unsigned index) { return offset + sizeof(T) * index; };
  HANDLER_REQUIRE(
      check_selected<T>(processor, instruction, offset, mask, elements, AccessType::Write));
  for (unsigned i = 0; i < elements; ++i) {
    if (selected<T>(mask, i)) {
      TRY_OR_FAULT(probe_vector_store(processor, segment, at(i), sizeof(T)));
    }
  }
  for (unsigned i = 0; i < elements; ++i) {
    if (!selected<T>(mask, i)) continue;
    const T value = element<T>(source, i);
    TRY_OR_FAULT(store_vector(processor, segment, at(i), &value, sizeof value));
  }
  return Completion::Next;
}

/// Quadword `number` of [DS:EDI], whose segment may be overridden. Each wraps at the address size.
/// SDM 2B MASKMOVQ.
u64 destination_offset(const Processor& processor, const Instruction& instruction,
                       unsigned number) {
  return (processor.state.gpr[Rdi] + 8 * number) & address_mask(instruction);
}

/// The byte-masked stores may fault for bytes that the mask leaves out, even for an empty mask (SDM
/// 2B MASKMOVDQU calls it implementation-dependent). Like the processors at hand: by quadwords, the
/// higher one first.
Completion store_quadwords(Processor& processor, const Instruction& instruction,
                           const Vector32& mask, const Vector32& source, unsigned quadwords) {
  for (unsigned n = quadwords; n-- > 0;) {
    const u64 offset = destination_offset(processor, instruction, n);
    TRY_OR_FAULT(processor.probe_write(instruction.memory.segment, offset, 8));
  }
  for (unsigned n = 0; n < quadwords; ++n) {
    Vector32 mask_part{}, source_part{};
    std::memcpy(mask_part.data(), mask.data() + 8 * n, 8);
    std::memcpy(source_part.data(), source.data() + 8 * n, 8);
    HANDLER_REQUIRE(store_selected<u8>(processor, instruction,
                                       destination_offset(processor, instruction, n), mask_part,
                                       source_part, 8));
  }
  return Completion::Next;
}

Completion store_bytes(Processor& processor, const Instruction& instruction) {
  const ExtendedState& extended = processor.state.extended;
  return store_quadwords(processor, instruction,
                         image::read_ymm(extended, instruction.operands[1].reg),
                         image::read_ymm(extended, instruction.operands[0].reg), 2);
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
  image::enter_mmx(extended);
  const auto mmx = [&extended](unsigned reg) {
    Vector32 value{};
    std::memcpy(value.data(), extended.legacy.data() + image::kStack + 16 * reg, 8);
    return value;
  };
  return store_quadwords(processor, instruction, mmx(instruction.operands[1].reg),
                         mmx(instruction.operands[0].reg), 1);
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
  HANDLER_REQUIRE(
      check_selected<T>(processor, instruction, offset, mask, elements, AccessType::Read));
  Vector32 result{};
  for (unsigned i = 0; i < elements; ++i) {
    if (!selected<T>(mask, i)) continue;
    T value{};
    TRY_OR_FAULT(load_vector(processor, instruction.memory.segment, offset + sizeof(T) * i, &value,
                             sizeof value));
    set_element<T>(result, i, value);
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
  bool faulted = false, progressed = false;
  for (unsigned i = 0; i < elements && !faulted; ++i) {
    if (!selected<T>(mask, i)) continue;
    const u64 scaled =
        static_cast<u64>(static_cast<i64>(element<Index>(indices, i))) * memory.scale;
    const u64 offset =
        (base + scaled + static_cast<u64>(memory.displacement)) & address_mask(instruction);
    T value{};
    faulted = load_vector(processor, memory.segment, offset, &value, sizeof value).faulted();
    if (faulted) break;
    set_element<T>(result, i, value);
    set_element<T>(mask, i, T{0});
    progressed = true;
  }
  if (faulted) {
    // What lies beyond the elements is cleared by the completed instruction, but the 128-bit form
    // clears the upper half with the first element. All of the mask has been widened to full
    // elements.
    const std::size_t used = elements * sizeof(T);
    const std::size_t kept = progressed && vector_length == 16 ? 16 : old.size();
    std::copy(old.begin() + used, old.begin() + kept, result.begin() + used);
    for (unsigned i = elements; i < vector_length / sizeof(T); ++i) {
      set_element<T>(mask, i, selected<T>(old_mask, i) ? static_cast<T>(~T{0}) : T{0});
    }
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
