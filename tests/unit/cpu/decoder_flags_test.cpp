// The masks of arithmetic flags: what the manual says for instructions that are easy to get wrong,
// and a sweep over all register forms that runs each with every flag flipped.
#include <catch2/catch.hpp>
#include <random>

#include "cpu/decoder.h"
#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

namespace {

using namespace flag_bits;

constexpr DecodeMode kCode32{true, false, false};

struct Masks {
  u8 read = 0, written = 0;
  friend bool operator==(Masks, Masks) = default;
  friend std::ostream& operator<<(std::ostream& out, Masks masks) {
    return out << "read " << int{masks.read} << ", written " << int{masks.written};
  }
};

Masks masks(std::initializer_list<unsigned> bytes) {
  std::vector<u8> buffer;
  for (const unsigned byte : bytes) buffer.push_back(static_cast<u8>(byte));
  Instruction instruction;
  const CpuidModel model = CpuidModel::from_host();
  REQUIRE(Decoder(model).decode(buffer, kCode32, instruction) == DecodeStatus::Ok);
  return {instruction.flags_read, instruction.flags_written};
}

constexpr u8 kAll = All;
constexpr u8 kShift = CF | PF | ZF | SF;

}  // namespace

TEST_CASE("Flags: instructions that read or replace them all") {
  CHECK(masks({0x89, 0xC8}) == Masks{0, 0});                       // mov eax, ecx
  CHECK(masks({0x01, 0xC8}) == Masks{0, kAll});                    // add eax, ecx
  CHECK(masks({0x11, 0xC8}) == Masks{CF, kAll});                   // adc eax, ecx
  CHECK(masks({0x19, 0xC8}) == Masks{CF, kAll});                   // sbb eax, ecx
  CHECK(masks({0x21, 0xC8}) == Masks{0, kAll});                    // and eax, ecx
  CHECK(masks({0xA8, 0x01}) == Masks{0, kAll});                    // test al, 1
  CHECK(masks({0x40}) == Masks{0, kAll & ~CF});                    // inc eax
  CHECK(masks({0xF5}) == Masks{CF, CF});                           // cmc
  CHECK(masks({0x9E}) == Masks{0, kAll & ~OF});                    // sahf
  CHECK(masks({0x9F}) == Masks{kAll & ~OF, 0});                    // lahf
  CHECK(masks({0x9C}) == Masks{kAll, 0});                          // pushfd
  CHECK(masks({0x9D}) == Masks{0, kAll});                          // popfd
  CHECK(masks({0x7E, 0x00}) == Masks{ZF | SF | OF, 0});            // jle
  CHECK(masks({0xE1, 0x00}) == Masks{ZF, 0});                      // loope
  CHECK(masks({0xE2, 0x00}) == Masks{0, 0});                       // loop
  CHECK(masks({0x0F, 0xB0, 0x0E}) == Masks{0, kAll});              // cmpxchg [esi], cl
  CHECK(masks({0x0F, 0x2F, 0xC1}) == Masks{0, kAll});              // comiss xmm0, xmm1
  CHECK(masks({0xC4, 0xE2, 0x79, 0x17, 0xC1}) == Masks{0, kAll});  // vptest xmm0, xmm1
  CHECK(masks({0xDA, 0xC1}) == Masks{CF, 0});                      // fcmovb
}

TEST_CASE("Flags: what may be left as it was isn't written") {
  CHECK(masks({0xD3, 0xE0}) == Masks{kAll, 0});                           // shl eax, cl
  CHECK(masks({0xC1, 0xE0, 0x00}) == Masks{0, 0});                        // shl eax, 0
  CHECK(masks({0xC1, 0xE0, 0x20}) == Masks{0, 0});                        // shl eax, 32: nothing
  CHECK(masks({0xD1, 0xE0}) == Masks{AF, kShift | OF});                   // shl eax, 1
  CHECK(masks({0xC1, 0xE0, 0x04}) == Masks{AF | OF, kShift});             // shl eax, 4
  CHECK(masks({0xC0, 0xE0, 0x08}) == Masks{AF | OF | CF, kShift & ~CF});  // shl al, 8
  CHECK(masks({0xC0, 0xF8, 0x08}) == Masks{AF | OF, kShift});             // sar al, 8
  CHECK(masks({0xD3, 0xC0}) == Masks{CF | OF, 0});                        // rol eax, cl
  CHECK(masks({0xC1, 0xC0, 0x02}) == Masks{OF, CF});                      // rol eax, 2
  CHECK(masks({0xD1, 0xD0}) == Masks{CF, CF | OF});                       // rcl eax, 1
  CHECK(masks({0x0F, 0xA4, 0xC8, 0x03}) == Masks{AF | OF, kShift});       // shld eax, ecx, 3
  CHECK(masks({0x66, 0x0F, 0xA4, 0xC8, 0x11}) == Masks{kAll, 0});         // shld ax, cx, 17
  CHECK(masks({0x0F, 0xA5, 0xC8}) == Masks{kAll, 0});                     // shld eax, ecx, cl
  CHECK(masks({0xA6}) == Masks{0, kAll});                                 // cmpsb
  CHECK(masks({0xF3, 0xA6}) == Masks{kAll, 0});                           // repe cmpsb
  CHECK(masks({0xF2, 0xAE}) == Masks{kAll, 0});                           // repne scasb
  CHECK(masks({0x0F, 0xC7, 0x0E}) == Masks{0, ZF});                       // cmpxchg8b [esi]
  CHECK(masks({0x0F, 0xBC, 0xC1}).written == ZF);                    // bsf or tzcnt: ZF, not CF
  CHECK(masks({0x0F, 0xA3, 0xC8}) == Masks{kAll & ~(CF | ZF), CF});  // bt eax, ecx
  CHECK(masks({0xF7, 0xE1}) == Masks{kAll & ~(CF | OF), CF | OF});   // mul ecx
  CHECK(masks({0xF7, 0xF1}) == Masks{kAll, 0});                      // div ecx
  CHECK(masks({0xDB, 0xF1}) == Masks{kAll, 0});                      // fcomi
}

TEST_CASE("Flags: far transfers and events need them all") {
  CHECK(masks({0xCD, 0x80}) == Masks{kAll, 0});  // int 80h
  CHECK(masks({0xCF}) == Masks{kAll, 0});        // iretd
  CHECK(masks({0xF4}) == Masks{kAll, 0});        // hlt
}

namespace {

constexpr std::array<std::pair<u8, u64>, 6> kFlags = {{{CF, eflags::CF},
                                                       {PF, eflags::PF},
                                                       {AF, eflags::AF},
                                                       {ZF, eflags::ZF},
                                                       {SF, eflags::SF},
                                                       {OF, eflags::OF}}};

/// Runs instructions twice, with one flag different, and tells what the masks forbid.
class Sweep {
 public:
  unsigned executed() const { return executed_; }

  void try_bytes(const std::vector<u8>& bytes) {
    Instruction instruction;
    if (decoder_.decode(bytes, kCode32, instruction) != DecodeStatus::Ok) return;
    if (instruction.control_flow == ControlFlow::Far) return;
    const std::string_view name = mnemonic_name(instruction.mnemonic);
    if (name == "rdrand" || name == "rdseed") return;  // never twice the same
    for (const Operand& operand : instruction.operands) {
      if (operand.kind == OperandKind::Memory) return;
    }
    for (unsigned draw = 0; draw < 4; ++draw) compare(instruction);
  }

 private:
  State user_state() {
    machine_.user_mode();
    machine_.state.cr4 |= cr4::OSFXSR | cr4::OSXSAVE;
    machine_.state.xcr0 = 7;
    return machine_.state;
  }

  struct Outcome {
    Completion completion;
    std::array<u64, 8> gpr;
    u64 flags;
  };

  Outcome run(const Instruction& instruction, const std::array<u64, 8>& gpr, u64 flags) {
    State& state = machine_.state;
    state = initial_;
    std::copy(gpr.begin(), gpr.end(), state.gpr.begin());
    state.rip = TestMachine::kCode;
    state.rflags = eflags::Fixed | flags;
    Outcome outcome{};
    outcome.completion = instruction.handler(machine_.processor, instruction);
    std::copy_n(state.gpr.begin(), outcome.gpr.size(), outcome.gpr.begin());
    outcome.flags = machine_.flags();
    return outcome;
  }

  void compare(const Instruction& instruction) {
    std::array<u64, 8> gpr;
    for (u64& value : gpr) value = random_() % 3 == 0 ? random_() % 40 : random_();
    gpr[Rsp] = TestMachine::kStack;
    gpr[Rsi] = gpr[Rdi] = TestMachine::kData;
    const u64 flags = random_() & eflags::Arithmetic;
    const Outcome base = run(instruction, gpr, flags);
    if (base.completion == Completion::Fault) return;
    ++executed_;
    for (const auto& [bit, flag] : kFlags) {
      if ((instruction.flags_read & bit) != 0) continue;
      const Outcome other = run(instruction, gpr, flags ^ flag);
      const bool written = (instruction.flags_written & bit) != 0;
      const bool same_registers = base.gpr == other.gpr && base.completion == other.completion;
      const u64 expected = base.flags ^ (written ? 0 : flag);
      const bool kept = written || ((base.flags ^ flags) & flag) == 0;
      if (same_registers && other.flags == expected && kept) continue;
      FAIL_CHECK(format(instruction) << ": flag " << int{bit} << ", " << std::hex << flags << " to "
                                     << base.flags << ", else " << other.flags);
    }
  }

  TestMachine machine_;
  const State initial_ = user_state();
  Decoder decoder_{machine_.model};
  std::mt19937 random_{20};
  unsigned executed_ = 0;
};

std::vector<u8> concatenated(std::initializer_list<std::vector<u8>> parts) {
  std::vector<u8> bytes;
  for (const auto& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

}  // namespace

TEST_CASE("Flags: no register form reads, keeps or changes a flag against its masks") {
  Sweep sweep;
  const std::vector<std::vector<u8>> prefixes = {{}, {0x66}, {0xF2}, {0xF3}};
  const std::vector<std::vector<u8>> maps = {{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    const u8 byte = static_cast<u8>(opcode);
    for (unsigned reg = 0; reg < 8; ++reg) {
      const u8 modrm = static_cast<u8>(0xC1 | (reg << 3));
      for (const auto& prefix : prefixes) {
        for (const auto& map : maps) {
          sweep.try_bytes(concatenated({prefix, map, {byte, modrm, 1, 0, 0, 0}}));
        }
      }
      for (unsigned low = 0; low < 8; ++low) {  // VEX.L and .pp of map 0F 38; VVVV: ECX, or none
        for (const unsigned vvvv : {0x70U, 0x78U}) {
          sweep.try_bytes({0xC4, 0xE2, static_cast<u8>(vvvv | low), byte, modrm, 1});
        }
      }
    }
  }
  for (const u8 count : {0, 1, 2, 5, 8, 9, 16, 17, 18, 31, 32, 33}) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      const u8 modrm = static_cast<u8>(0xC1 | (reg << 3));
      sweep.try_bytes({0xC0, modrm, count});
      for (const std::vector<u8>& prefix : {std::vector<u8>{}, std::vector<u8>{0x66}}) {
        sweep.try_bytes(concatenated({prefix, {0xC1, modrm, count}}));
        sweep.try_bytes(concatenated({prefix, {0x0F, 0xA4, modrm, count}}));
        sweep.try_bytes(concatenated({prefix, {0x0F, 0xAC, modrm, count}}));
      }
    }
  }
  CHECK(sweep.executed() > 5'000);
}

}  // namespace ringshift::cpu
