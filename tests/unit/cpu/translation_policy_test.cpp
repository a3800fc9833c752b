// The translation policy of every instruction: none forgotten, the forms of a mnemonic told apart,
// and no register that a policy doesn't allow for.
#include <catch2/catch.hpp>
#include <vector>

#include "cpu/decoder.h"

namespace ringshift::cpu {

namespace {

constexpr DecodeMode kCode32{true, false, false};
using Policy = TranslationPolicy;

Policy policy(std::initializer_list<unsigned> bytes) {
  std::vector<u8> buffer;
  for (const unsigned byte : bytes) buffer.push_back(static_cast<u8>(byte));
  Instruction instruction;
  const CpuidModel model = CpuidModel::from_host();
  REQUIRE(Decoder(model).decode(buffer, kCode32, instruction) == DecodeStatus::Ok);
  return instruction.policy;
}

}  // namespace

TEST_CASE("Policy: every mnemonic is in the table or known to be undefined, never both") {
  std::string undecided;
  for (const std::string_view name : undecided_mnemonics()) undecided += std::string(name) + " ";
  CHECK(undecided.empty());
}

TEST_CASE("Policy: forms of one mnemonic") {
  CHECK(policy({0x8B, 0x06}) == Policy::Copy);                         // mov eax, [esi]
  CHECK(policy({0x8C, 0xD8}) == Policy::Emulate);                      // mov eax, ds
  CHECK(policy({0x8E, 0xD8}) == Policy::EmulateAndLeave);              // mov ds, eax
  CHECK(policy({0x0F, 0x20, 0xC0}) == Policy::Emulate);                // mov eax, cr0
  CHECK(policy({0x0F, 0x22, 0xD8}) == Policy::EmulateAndLeave);        // mov cr3, eax
  CHECK(policy({0x0F, 0x21, 0xF8}) == Policy::Emulate);                // mov eax, dr7
  CHECK(policy({0x0F, 0x23, 0xF8}) == Policy::EmulateAndLeave);        // mov dr7, eax
  CHECK(policy({0x50}) == Policy::Stack);                              // push eax
  CHECK(policy({0x1E}) == Policy::Emulate);                            // push ds
  CHECK(policy({0x8F, 0x06}) == Policy::Stack);                        // pop [esi]
  CHECK(policy({0x0F, 0xA1}) == Policy::EmulateAndLeave);              // pop fs
  CHECK(policy({0xE9, 0, 0, 0, 0}) == Policy::Branch);                 // jmp
  CHECK(policy({0xFF, 0x26}) == Policy::Branch);                       // jmp [esi]
  CHECK(policy({0xFF, 0x2E}) == Policy::EmulateAndLeave);              // jmp far [esi]
  CHECK(policy({0x9A, 0, 0, 0, 0, 8, 0}) == Policy::EmulateAndLeave);  // call 8:0
  CHECK(policy({0xC3}) == Policy::Branch);                             // ret
  CHECK(policy({0xCB}) == Policy::EmulateAndLeave);                    // retf
  CHECK(policy({0xA5}) == Policy::String);                             // movsd
  CHECK(policy({0xF2, 0x0F, 0x10, 0x06}) == Policy::Simd);             // movsd xmm0, [esi]
  CHECK(policy({0x0F, 0xEF, 0xC1}) == Policy::Mmx);                    // pxor mm0, mm1
  CHECK(policy({0x66, 0x0F, 0xEF, 0xC1}) == Policy::Simd);             // pxor xmm0, xmm1
  CHECK(policy({0x0F, 0x2A, 0xC1}) == Policy::SimdMmx);                // cvtpi2ps xmm0, mm1
}

TEST_CASE("Policy: one of each kind") {
  CHECK(policy({0x0F, 0xAB, 0x06}) == Policy::Copy);             // bts [esi], eax
  CHECK(policy({0xD8, 0x06}) == Policy::X87);                    // fadd dword [esi]
  CHECK(policy({0xD9, 0x36}) == Policy::Emulate);                // fnstenv [esi]
  CHECK(policy({0x0F, 0xAE, 0x06}) == Policy::Emulate);          // fxsave [esi]
  CHECK(policy({0x66, 0x0F, 0xF7, 0xC1}) == Policy::Emulate);    // maskmovdqu xmm0, xmm1
  CHECK(policy({0x60}) == Policy::Stack);                        // pushad
  CHECK(policy({0x9D}) == Policy::FlagStack);                    // popfd
  CHECK(policy({0xE3, 0x00}) == Policy::Branch);                 // jecxz
  CHECK(policy({0xEC}) == Policy::Port);                         // in al, dx
  CHECK(policy({0xF3, 0x6F}) == Policy::Port);                   // rep outsd
  CHECK(policy({0xFA}) == Policy::Flag);                         // cli
  CHECK(policy({0xF8}) == Policy::Copy);                         // clc
  CHECK(policy({0x0F, 0x31}) == Policy::Inline);                 // rdtsc
  CHECK(policy({0xD7}) == Policy::Inline);                       // xlat
  CHECK(policy({0x27}) == Policy::Emulate);                      // daa
  CHECK(policy({0x0F, 0xA2}) == Policy::Emulate);                // cpuid
  CHECK(policy({0x0F, 0x01, 0x06}) == Policy::Emulate);          // sgdt [esi]
  CHECK(policy({0x0F, 0x01, 0x16}) == Policy::EmulateAndLeave);  // lgdt [esi]
  CHECK(policy({0xCD, 0x80}) == Policy::EmulateAndLeave);        // int 80h
  CHECK(policy({0xCF}) == Policy::EmulateAndLeave);              // iretd
  CHECK(policy({0xF4}) == Policy::EmulateAndLeave);              // hlt
  CHECK(policy({0xC5, 0x06}) == Policy::EmulateAndLeave);        // lds eax, [esi]
  CHECK(policy({0x0F, 0x0B}) == Policy::EmulateAndLeave);        // ud2
}

namespace {

bool allowed(Policy policy, OperandKind kind, bool vex) {
  if (policy == Policy::Emulate || policy == Policy::EmulateAndLeave) return true;
  switch (kind) {
    case OperandKind::Segment:
    case OperandKind::Control:
    case OperandKind::Debug:
    case OperandKind::FarPointer:
      return false;
    case OperandKind::X87:
      return policy == Policy::X87;
    case OperandKind::Mmx:
      return policy == Policy::Mmx || policy == Policy::SimdMmx;
    case OperandKind::Xmm:
    case OperandKind::Ymm:
      return policy == (vex ? Policy::Avx : Policy::Simd) || (policy == Policy::SimdMmx && !vex);
    case OperandKind::RelativeBranch:
      return policy == Policy::Branch;
    default:
      return true;
  }
}

/// Checks one encoding; returns whether there is such an instruction.
bool check_form(const Decoder& decoder, const std::vector<u8>& bytes, bool vex) {
  Instruction instruction;
  if (decoder.decode(bytes, kCode32, instruction) != DecodeStatus::Ok) return false;
  const Policy policy = instruction.policy;
  for (const Operand& operand : instruction.operands) {
    if (!allowed(policy, operand.kind, vex)) {
      FAIL_CHECK(format(instruction) << " has policy " << int{static_cast<u8>(policy)});
    }
  }
  const bool branches = instruction.control_flow == ControlFlow::Near ||
                        instruction.control_flow == ControlFlow::Conditional;
  if (branches != (policy == Policy::Branch)) FAIL_CHECK(format(instruction) << " as a branch");
  return true;
}

}  // namespace

TEST_CASE("Policy: the operands of every encoding suit its policy") {
  const CpuidModel model = CpuidModel::from_host();
  const Decoder decoder(model);
  const std::vector<std::vector<u8>> maps = {{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
  unsigned forms = 0;
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (const u8 place : {0x06, 0xC1}) {  // [esi], or a register
      for (unsigned reg = 0; reg < 8; ++reg) {
        const u8 modrm = static_cast<u8>(place | (reg << 3));
        for (const u8 prefix : {0x3E, 0x66, 0xF2, 0xF3}) {
          for (const auto& map : maps) {
            std::vector<u8> bytes = {prefix};
            bytes.insert(bytes.end(), map.begin(), map.end());
            const u8 rest[] = {static_cast<u8>(opcode), modrm, 1, 1, 1, 1, 1, 1};
            bytes.insert(bytes.end(), std::begin(rest), std::end(rest));
            forms += check_form(decoder, bytes, false) ? 1 : 0;
          }
        }
        for (unsigned map = 1; map <= 3; ++map) {
          for (unsigned low = 0; low < 8; ++low) {  // VEX.L and .pp, with a second source or none
            for (const unsigned vvvv : {0x70U, 0x78U}) {
              const std::vector<u8> bytes = {0xC4,
                                             static_cast<u8>(0xE0 | map),
                                             static_cast<u8>(vvvv | low),
                                             static_cast<u8>(opcode),
                                             modrm,
                                             1,
                                             1};
              forms += check_form(decoder, bytes, true) ? 1 : 0;
            }
          }
        }
      }
    }
  }
  CHECK(forms > 10'000);
}

}  // namespace ringshift::cpu
