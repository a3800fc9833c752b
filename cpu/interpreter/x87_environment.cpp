// x87 control instructions, on the saved image: initialisation, control and status words,
// environments and whole states in their four layouts. They don't touch the pointers to the last
// instruction unless they load them.
#include <array>
#include <cstring>

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {
namespace {

constexpr unsigned kLongestState = 108;
constexpr unsigned kRegisterLength = 10;
constexpr unsigned kRegisters = 8;

/// The environment in memory: 7 words or 7 doublewords, with pointers as selector and offset or, in
/// real and virtual-8086 mode, as linear addresses. SDM 1 §8.1.10 figures 8-9 to 8-12.
struct EnvironmentLayout {
  bool wide;  ///< 32-bit operand size
  bool real_address;
  unsigned length() const { return wide ? 28 : 14; }
};

EnvironmentLayout layout_of(const Processor& processor, const Instruction& instruction) {
  return {instruction.operand_size >= 4, processor.state.real_selectors()};
}

void put_word(std::array<u8, kLongestState>& area, EnvironmentLayout layout, unsigned field,
              u32 value) {
  if (layout.wide) {
    std::memcpy(area.data() + 4 * field, &value, 4);
  } else {
    const u16 narrow = static_cast<u16>(value);
    std::memcpy(area.data() + 2 * field, &narrow, 2);
  }
}

u32 get_word(const std::array<u8, kLongestState>& area, EnvironmentLayout layout, unsigned field) {
  u32 value = 0;
  std::memcpy(&value, area.data() + (layout.wide ? 4 : 2) * field, layout.wide ? 4 : 2);
  return value;
}

enum Field : unsigned { Control, Status, Tags, InstructionLow, InstructionHigh, DataLow, DataHigh };

/// One pointer field of the real-address layouts: bits 16 and up of the linear address from bit 12.
u32 linear_high(EnvironmentLayout layout, u32 linear) {
  return layout.wide ? linear >> 16 << 12 : (linear >> 16 & 0xF) << 12;
}

void store_environment(const ExtendedState& state, EnvironmentLayout layout,
                       std::array<u8, kLongestState>& area) {
  constexpr u32 kReserved = 0xFFFF0000;
  const u32 instruction_offset = image::load<u32>(state, image::kInstructionOffset);
  const u32 data_offset = image::load<u32>(state, image::kDataOffset);
  const u32 opcode = image::load<u16>(state, image::kOpcode) & 0x7FFU;
  put_word(area, layout, Control, kReserved | image::control(state));
  put_word(area, layout, Status, kReserved | image::status(state));
  put_word(area, layout, Tags, kReserved | image::full_tag_word(state));
  if (layout.real_address) {
    put_word(area, layout, InstructionLow, kReserved | (instruction_offset & 0xFFFF));
    put_word(area, layout, InstructionHigh, linear_high(layout, instruction_offset) | opcode);
    put_word(area, layout, DataLow, kReserved | (data_offset & 0xFFFF));
    put_word(area, layout, DataHigh, linear_high(layout, data_offset));
  } else {
    put_word(area, layout, InstructionLow, instruction_offset);
    put_word(area, layout, InstructionHigh, opcode << 16);
    put_word(area, layout, DataLow, data_offset);
    put_word(area, layout, DataHigh, kReserved);
  }
}

void load_environment(ExtendedState& state, EnvironmentLayout layout,
                      const std::array<u8, kLongestState>& area) {
  const u32 instruction_low = get_word(area, layout, InstructionLow);
  const u32 instruction_high = get_word(area, layout, InstructionHigh);
  const u32 data_low = get_word(area, layout, DataLow);
  const u32 data_high = get_word(area, layout, DataHigh);
  u32 opcode = 0;
  u32 instruction_offset = instruction_low, data_offset = data_low;
  if (layout.real_address) {
    const auto linear = [](u32 low, u32 high) { return (low & 0xFFFF) | (high & 0x0FFFF000) << 4; };
    opcode = instruction_high & 0x7FF;
    instruction_offset = linear(instruction_low, instruction_high);
    data_offset = linear(data_low, data_high);
  } else {
    // The 16-bit protected layout has no place for the opcode.
    opcode = layout.wide ? instruction_high >> 16 & 0x7FF : 0;
  }
  const u16 status = static_cast<u16>(get_word(area, layout, Status));
  image::set_top(state, (status & image::kTopMask) >> image::kTopShift);
  image::store<u16>(state, image::kStatus, status);
  image::set_control(state, static_cast<u16>(get_word(area, layout, Control)));
  image::set_full_tag_word(state, static_cast<u16>(get_word(area, layout, Tags)));
  image::store<u16>(state, image::kOpcode, static_cast<u16>(opcode));
  image::store<u64>(state, image::kInstructionOffset, instruction_offset);
  image::store<u64>(state, image::kDataOffset, data_offset);
}

/// The memory operand of FLDENV or FRSTOR. The processor reads its first field and looks at its end
/// before the rest, which the address of a page fault shows.
GuestResult<void> read_area(Processor& processor, const Instruction& instruction,
                            std::array<u8, kLongestState>& area, unsigned length) {
  const unsigned first_field = layout_of(processor, instruction).wide ? 4 : 2;
  const SegmentName segment = instruction.memory.segment;
  const u64 offset = processor.effective_offset(instruction);
  u32 control = 0;
  GUEST_TRY(processor.read_bytes(segment, offset, &control, first_field));
  GUEST_TRY(processor.read<u8>(segment, offset + length - 1));
  return processor.read_bytes(segment, offset, area.data(), length);
}

Completion execute_fninit(Processor& processor, const Instruction&) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  const bool pending = image::exception_pending(processor.state.extended);
  image::initialise_x87(processor.state.extended);
  update_ferr(processor, pending);
  return Completion::Next;
}

Completion execute_fnclex(Processor& processor, const Instruction&) {
  constexpr u16 kCleared =
      image::kExceptionFlags | image::kStackFault | image::kErrorSummary | image::kBusy;
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  ExtendedState& state = processor.state.extended;
  const bool pending = image::exception_pending(state);
  image::store<u16>(state, image::kStatus, image::status(state) & static_cast<u16>(~kCleared));
  update_ferr(processor, pending);
  return Completion::Next;
}

Completion execute_fnstsw(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  const u16 status = image::status(processor.state.extended);
  if (instruction.operands[0].kind != OperandKind::Memory) {
    processor.write_gpr(Rax, 2, status);
    return Completion::Next;
  }
  TRY_OR_FAULT(processor.write<u16>(instruction.memory.segment,
                                    processor.effective_offset(instruction), status));
  return Completion::Next;
}

Completion execute_fnstcw(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  TRY_OR_FAULT(processor.write<u16>(instruction.memory.segment,
                                    processor.effective_offset(instruction),
                                    image::control(processor.state.extended)));
  return Completion::Next;
}

Completion execute_fldcw(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::Waiting));
  const u16 value = TRY_OR_FAULT(
      processor.read<u16>(instruction.memory.segment, processor.effective_offset(instruction)));
  const bool pending = image::exception_pending(processor.state.extended);
  image::set_control(processor.state.extended, value);
  update_ferr(processor, pending);
  return Completion::Next;
}

/// FNSTENV masks all exceptions after it has stored the control word. SDM 2A FSTENV.
Completion execute_fnstenv(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  ExtendedState& state = processor.state.extended;
  const EnvironmentLayout layout = layout_of(processor, instruction);
  std::array<u8, kLongestState> area{};
  store_environment(state, layout, area);
  TRY_OR_FAULT(processor.write_bytes(instruction.memory.segment,
                                     processor.effective_offset(instruction), area.data(),
                                     layout.length()));
  const bool pending = image::exception_pending(state);
  image::set_control(state, image::control(state) | image::kExceptionFlags);
  update_ferr(processor, pending);
  return Completion::Next;
}

Completion execute_fldenv(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::Waiting));
  const EnvironmentLayout layout = layout_of(processor, instruction);
  std::array<u8, kLongestState> area{};
  TRY_OR_FAULT(read_area(processor, instruction, area, layout.length()));
  const bool pending = image::exception_pending(processor.state.extended);
  load_environment(processor.state.extended, layout, area);
  update_ferr(processor, pending);
  return Completion::Next;
}

Completion execute_fnsave(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  ExtendedState& state = processor.state.extended;
  const EnvironmentLayout layout = layout_of(processor, instruction);
  std::array<u8, kLongestState> area{};
  store_environment(state, layout, area);
  for (unsigned i = 0; i < kRegisters; ++i) {
    std::memcpy(area.data() + layout.length() + kRegisterLength * i,
                state.legacy.data() + image::kStack + 16 * i, kRegisterLength);
  }
  TRY_OR_FAULT(processor.write_bytes(instruction.memory.segment,
                                     processor.effective_offset(instruction), area.data(),
                                     layout.length() + kRegisterLength * kRegisters));
  const bool pending = image::exception_pending(state);
  image::initialise_x87(state);
  update_ferr(processor, pending);
  return Completion::Next;
}

Completion execute_frstor(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::Waiting));
  ExtendedState& state = processor.state.extended;
  const EnvironmentLayout layout = layout_of(processor, instruction);
  std::array<u8, kLongestState> area{};
  TRY_OR_FAULT(
      read_area(processor, instruction, area, layout.length() + kRegisterLength * kRegisters));
  const bool pending = image::exception_pending(state);
  load_environment(state, layout, area);
  for (unsigned i = 0; i < kRegisters; ++i) {
    std::memcpy(state.legacy.data() + image::kStack + 16 * i,
                area.data() + layout.length() + kRegisterLength * i, kRegisterLength);
  }
  update_ferr(processor, pending);
  return Completion::Next;
}

}  // namespace

Handler bind_fninit(const Instruction&) {
  return execute_fninit;
}
Handler bind_fnclex(const Instruction&) {
  return execute_fnclex;
}
Handler bind_fnstsw(const Instruction&) {
  return execute_fnstsw;
}
Handler bind_fnstcw(const Instruction&) {
  return execute_fnstcw;
}
Handler bind_fldcw(const Instruction&) {
  return execute_fldcw;
}
Handler bind_fnstenv(const Instruction&) {
  return execute_fnstenv;
}
Handler bind_fldenv(const Instruction&) {
  return execute_fldenv;
}
Handler bind_fnsave(const Instruction&) {
  return execute_fnsave;
}
Handler bind_frstor(const Instruction&) {
  return execute_frstor;
}

}  // namespace ringshift::cpu
