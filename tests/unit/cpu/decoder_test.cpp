#include "cpu/decoder.h"

#include <catch2/catch.hpp>

#include <initializer_list>

namespace ringshift::cpu {

namespace {

constexpr DecodeMode kCode16{false, false, true};
constexpr DecodeMode kCode32{true, false, false};

struct Decoded {
  DecodeStatus status;
  Instruction instruction;
};

Decoded decode(const CpuidModel& model, DecodeMode mode, std::initializer_list<unsigned> bytes) {
  std::vector<u8> buffer;
  for (const unsigned byte : bytes) buffer.push_back(static_cast<u8>(byte));
  Decoded result{};
  result.status = Decoder(model).decode(buffer, mode, result.instruction);
  return result;
}

Decoded decode(std::initializer_list<unsigned> bytes, DecodeMode mode = kCode32) {
  return decode(CpuidModel::from_host(), mode, bytes);
}

std::string name(const Decoded& decoded) {
  if (decoded.status != DecodeStatus::Ok) return "#UD";
  return std::string(mnemonic_name(decoded.instruction.mnemonic));
}

CpuidModel bare_model() {
  CpuidModel model;
  model.features.reset();
  return model;
}

}  // namespace

TEST_CASE("Decoder: operands of a memory form") {
  // add dword [fs:ebx+ecx*4-8], 0x12345678
  const Decoded decoded = decode({0x64, 0x81, 0x44, 0x8B, 0xF8, 0x78, 0x56, 0x34, 0x12});
  REQUIRE(decoded.status == DecodeStatus::Ok);
  const Instruction& instruction = decoded.instruction;
  CHECK(name(decoded) == "add");
  CHECK(instruction.length == 9);
  CHECK(instruction.operand_size == 4);
  CHECK(instruction.address_size == 4);
  CHECK(instruction.operands[0].kind == OperandKind::Memory);
  CHECK(instruction.operands[0].size == 4);
  CHECK(instruction.operands[1].kind == OperandKind::Immediate);
  CHECK(instruction.memory.segment == SegmentName::FS);
  CHECK(instruction.memory.segment_overridden);
  CHECK(instruction.memory.base == Rbx);
  CHECK(instruction.memory.index == Rcx);
  CHECK(instruction.memory.scale == 4);
  CHECK(instruction.memory.displacement == -8);
  CHECK(instruction.immediate == 0x12345678);
  CHECK(instruction.control_flow == ControlFlow::Sequential);
}

TEST_CASE("Decoder: sizes follow mode and prefixes") {
  CHECK(decode({0x89, 0xD8}, kCode16).instruction.operand_size == 2);
  CHECK(decode({0x66, 0x89, 0xD8}, kCode16).instruction.operand_size == 4);
  CHECK(decode({0x66, 0x89, 0xD8}).instruction.operand_size == 2);
  const Decoded address = decode({0x67, 0x8B, 0x40, 0xFF});  // mov eax, [bx+si-1]
  CHECK(address.instruction.address_size == 2);
  CHECK(address.instruction.memory.base == Rbx);
  CHECK(address.instruction.memory.index == Rsi);
  CHECK(decode({0x8B, 0x46, 0x00}, kCode16).instruction.memory.segment == SegmentName::SS);
}

TEST_CASE("Decoder: immediates are sign-extended as the encoding says") {
  CHECK(decode({0x83, 0xC0, 0xFF}).instruction.immediate == ~u64{0});
  CHECK(decode({0x6A, 0x80}).instruction.immediate == static_cast<u64>(-128));
  CHECK(decode({0xEB, 0xFE}).instruction.immediate == static_cast<u64>(-2));
  CHECK((decode({0xB8, 0xFF, 0xFF, 0xFF, 0xFF}).instruction.immediate & 0xFFFF'FFFF) ==
        0xFFFF'FFFF);
  const Decoded enter = decode({0xC8, 0x34, 0x12, 0x03});
  CHECK(enter.instruction.immediate == 0x1234);
  CHECK(enter.instruction.immediate2 == 3);
  const Decoded far = decode({0xEA, 0x78, 0x56, 0x34, 0x12, 0xCD, 0xAB});
  CHECK(far.instruction.operands[0].kind == OperandKind::FarPointer);
  CHECK(far.instruction.immediate == 0x12345678);
  CHECK(far.instruction.immediate2 == 0xABCD);
}

TEST_CASE("Decoder: high byte registers") {
  const Decoded decoded = decode({0x88, 0xFC});  // mov ah, bh
  CHECK(decoded.instruction.operands[0].kind == OperandKind::HighByte);
  CHECK(decoded.instruction.operands[0].reg == Rax);
  CHECK(decoded.instruction.operands[1].reg == Rbx);
}

TEST_CASE("Decoder: how much an instruction needs") {
  CHECK(decode({0xB8, 1, 2, 3}).status == DecodeStatus::NeedsMoreBytes);
  CHECK(decode({}).status == DecodeStatus::NeedsMoreBytes);
  CHECK(decode({0x0F}).status == DecodeStatus::NeedsMoreBytes);
  // 14 prefixes and a one-byte opcode fit into 15 bytes; one prefix more doesn't.
  CHECK(decode({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                0x90})
            .status == DecodeStatus::Ok);
  CHECK(decode({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                0x66, 0x90})
            .status == DecodeStatus::TooLong);
}

TEST_CASE("Decoder: wide NOPs where extensions are absent") {
  CHECK(name(decode({0xF3, 0x0F, 0x1E, 0xFA})) == "nop");  // ENDBR64
  CHECK(name(decode({0xF3, 0x0F, 0x1E, 0xFB})) == "nop");  // ENDBR32
  CHECK(name(decode({0x0F, 0x1A, 0x00})) == "nop");        // BNDLDX
  CHECK(name(decode({0x0F, 0x1B, 0xC0})) == "nop");
  CHECK(name(decode({0x0F, 0x1F, 0x44, 0x00, 0x00})) == "nop");
  CHECK(name(decode({0x66, 0x0F, 0x1C, 0x00})) == "nop");
  CHECK(name(decode({0xF3, 0x90})) == "pause");
}

TEST_CASE("Decoder: features decide what an opcode is") {
  const std::initializer_list<unsigned> tzcnt = {0xF3, 0x0F, 0xBC, 0xC3};
  CpuidModel model = bare_model();
  CHECK(name(decode(model, kCode32, tzcnt)) == "bsf");
  CHECK(name(decode(model, kCode32, {0xF3, 0x0F, 0xBD, 0xC3})) == "bsr");
  CHECK(name(decode(model, kCode32, {0xF3, 0x0F, 0xB8, 0xC3})) == "#UD");  // POPCNT
  CHECK(name(decode(model, kCode32, {0x0F, 0x44, 0xC3})) == "#UD");        // CMOVZ
  CHECK(name(decode(model, kCode32, {0x0F, 0x38, 0xF0, 0x03})) == "#UD");  // MOVBE
  CHECK(name(decode(model, kCode32, {0x0F, 0xC7, 0xF0})) == "#UD");        // RDRAND
  model.features.set(static_cast<std::size_t>(Feature::Bmi1));
  CHECK(name(decode(model, kCode32, tzcnt)) == "tzcnt");
}

TEST_CASE("Decoder: LOCK is legal on writes to memory of some instructions only") {
  CHECK(name(decode({0xF0, 0x01, 0x03})) == "add");
  CHECK(decode({0xF0, 0x01, 0x03}).instruction.lock);
  CHECK(name(decode({0xF0, 0x87, 0x03})) == "xchg");
  CHECK(name(decode({0xF0, 0x0F, 0xC7, 0x0B})) == "cmpxchg8b");
  CHECK(name(decode({0xF0, 0x01, 0xD8})) == "#UD");        // register destination
  CHECK(name(decode({0xF0, 0x03, 0x03})) == "#UD");        // memory source
  CHECK(name(decode({0xF0, 0x89, 0x03})) == "#UD");        // MOV
  CHECK(name(decode({0xF0, 0x39, 0x03})) == "#UD");        // CMP
  CHECK(name(decode({0xF0, 0x0F, 0xA3, 0x03})) == "#UD");  // BT
  CHECK(name(decode({0xF0, 0x90})) == "#UD");
}

TEST_CASE("Decoder: forms that don't exist") {
  CHECK(name(decode({0x8E, 0xC8})) == "#UD");        // MOV CS, AX
  CHECK(name(decode({0x8E, 0xF0})) == "#UD");        // segment register 6
  CHECK(name(decode({0x8C, 0xF8})) == "#UD");        // segment register 7
  CHECK(name(decode({0x8D, 0xC0})) == "#UD");        // LEA of a register
  CHECK(name(decode({0xC5, 0xC0})) != "lds");        // LDS of a register is VEX
  CHECK(name(decode({0x0F, 0xB2, 0xC0})) == "#UD");  // LSS of a register
  CHECK(name(decode({0xFF, 0xF8})) == "#UD");        // FF /7
  CHECK(name(decode({0xFE, 0xD0})) == "#UD");        // FE /2
  CHECK(name(decode({0x0F, 0xC7, 0xC8})) == "#UD");  // CMPXCHG8B of a register
  CHECK(name(decode({0x0F, 0x04})) == "#UD");
  CHECK(name(decode({0x0F, 0xAA})) == "#UD");              // RSM outside SMM
  CHECK(name(decode({0x0F, 0xC3, 0xC0})) == "#UD");        // MOVNTI to a register
  CHECK(name(decode({0x8F, 0xC8})) == "#UD");              // POP group /1
  CHECK(name(decode({0xC6, 0x48, 0x00, 0x00})) == "#UD");  // MOV group /1
}

TEST_CASE("Decoder: opcodes that manuals hide") {
  CHECK(name(decode({0xD6})) == "salc");
  CHECK(name(decode({0xF1})) == "int1");
  CHECK(name(decode({0x82, 0xC0, 0x01})) == "add");
  CHECK(name(decode({0xD0, 0xF0})) == "shl");
  CHECK(name(decode({0xC0, 0xF0, 0x03})) == "shl");
  CHECK(name(decode({0xF6, 0xC8, 0x01})) == "test");
  CHECK(name(decode({0xF7, 0xC8, 1, 0, 0, 0})) == "test");
  CHECK(decode({0xF6, 0xC8, 0x01}).instruction.length == 3);
  CHECK(name(decode({0x0F, 0x0B})) == "ud2");
  CHECK(name(decode({0x0F, 0xB9, 0xC0})) == "ud1");
  CHECK(name(decode({0x0F, 0xFF, 0xC0})) == "ud0");
  // The fences ignore their r/m field. SDM 2A LFENCE.
  CHECK(name(decode({0x0F, 0xAE, 0xE8})) == "lfence");
  CHECK(name(decode({0x0F, 0xAE, 0xF3})) == "mfence");
  CHECK(name(decode({0x0F, 0xAE, 0xFF})) == "sfence");
}

TEST_CASE("Decoder: real and virtual-8086 mode lack some instructions") {
  DecodeMode protected_16 = kCode16;
  protected_16.real_selectors = false;
  const auto both = [&](std::initializer_list<unsigned> bytes) {
    return name(decode(bytes, protected_16)) + "/" + name(decode(bytes, kCode16));
  };
  if (CpuidModel::from_host().has(Feature::Bmi1)) {
    CHECK(both({0xC4, 0xE2, 0x60, 0xF2, 0xC1}) == "andn/#UD");  // VEX
  }
  CHECK(both({0xC4, 0x07}) == "les/les");
}

TEST_CASE("Decoder: control flow and string prefixes") {
  CHECK(decode({0x74, 0x00}).instruction.control_flow == ControlFlow::Conditional);
  CHECK(decode({0xE2, 0x00}).instruction.control_flow == ControlFlow::Conditional);
  CHECK(decode({0xEB, 0x00}).instruction.control_flow == ControlFlow::Near);
  CHECK(decode({0xFF, 0xE0}).instruction.control_flow == ControlFlow::Near);
  CHECK(decode({0xC3}).instruction.control_flow == ControlFlow::Near);
  CHECK(decode({0xCB}).instruction.control_flow == ControlFlow::Far);
  CHECK(decode({0xFF, 0x28}).instruction.control_flow == ControlFlow::Far);
  CHECK(decode({0xCD, 0x80}).instruction.control_flow == ControlFlow::Far);
  CHECK(decode({0xF3, 0xA5}).instruction.repeat == RepeatPrefix::Rep);
  CHECK(decode({0xF2, 0xAE}).instruction.repeat == RepeatPrefix::RepNe);
  CHECK(decode({0x2E, 0xA4}).instruction.memory.segment == SegmentName::CS);
  CHECK(decode({0xA4}).instruction.memory.segment == SegmentName::DS);
}

TEST_CASE("Decoder: disassembly") {
  CHECK(format(decode({0x8B, 0x44, 0x8B, 0x08}).instruction) == "mov eax, [ebx+ecx*4+0x08]");
  CHECK(format(decode({0x8B, 0x00}, kCode16).instruction) == "mov ax, [bx+si*1]");
  CHECK(format(decode({0x66, 0x8B, 0x00}, kCode16).instruction) == "mov eax, [bx+si*1]");
  CHECK(format(decode({0xEB, 0xFE}).instruction, 0x1000) == "jmp 0x00001000");
}

TEST_CASE("Decoder: the table has no unreachable duplicates") {
  // Several lines for a mnemonic are for unlike things (MMX, SSE2 and SSE4.1 PEXTRW).
  for (std::size_t i = 0; i < instruction_table_size(); ++i) {
    unsigned same = 0;
    for (std::size_t j = 0; j < instruction_table_size(); ++j) {
      if (instruction_table_mnemonic(i) == instruction_table_mnemonic(j)) ++same;
    }
    INFO(instruction_table_mnemonic(i));
    CHECK(same <= 3);
  }
}

}  // namespace ringshift::cpu
