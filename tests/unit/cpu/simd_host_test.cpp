// Every encoding of every MMX, SSE and AVX instruction in the table, with registers and with a
// memory operand, against the host executing the same bytes natively.
#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <string>

#include "tests/unit/cpu/fpu_fixture.h"
#include "tests/unit/cpu/host_comparison.h"

namespace ringshift::cpu::test {
namespace {

constexpr unsigned kRounds = 4;

/// Lower-case names of the table's lines that are comparable with the host.
std::set<std::string> comparable_mnemonics() {
  enum class Test { Host, System };
  std::set<std::string> names;
  const auto add = [&names](std::string name, Test test) {
    if (test != Test::Host) return;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    names.insert(name);
  };
#define INSTRUCTION(mnemonic, binder, feature, test, policy) add(#mnemonic, Test::test);
#include "cpu/instructions/simd.def"
#undef INSTRUCTION
  // A group of their own, and MXCSR's value can't be any.
  for (const char* name : {"ldmxcsr", "vldmxcsr", "stmxcsr", "vstmxcsr"}) names.erase(name);
  return names;
}

/// Lanes that matter to floating point: zeros, denormals, ones, infinities, NaNs, limits; or noise.
class Values {
 public:
  explicit Values(u32 seed) : random_(seed) {}
  u32 lane() {
    static constexpr u32 kSpecial[] = {0,          0x80000000, 1,          0x807FFFFF, 0x00800000,
                                       0x3F800000, 0xBF800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
                                       0x7FC00000, 0x7FA00001, 0x4F000000, 0xCF000000, 0x3FC00000,
                                       0x7FF00000, 0xFFF00000, 0x7FF80000, 0x000FFFFF, 0x43E00000};
    return random_() % 2 == 0 ? static_cast<u32>(random_())
                              : kSpecial[random_() % std::size(kSpecial)];
  }
  template <typename Bytes>
  void fill(Bytes& bytes) {
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      const u32 value = lane();
      std::memcpy(bytes.data() + i, &value, 4);
    }
  }
  /// All exceptions masked, any rounding mode, DAZ and FTZ.
  u32 mxcsr() { return 0x1F80U | (random_() & 0xE040U); }
  u64 small() { return random_() % 40; }

 private:
  std::mt19937 random_;
};

NativeRegisters make_registers(Values& values) {
  NativeRegisters registers;
  for (auto& ymm : registers.ymm) values.fill(ymm);
  for (u64& mmx : registers.mmx) mmx = u64{values.lane()} << 32 | values.lane();
  registers.mxcsr = values.mxcsr();
  registers.gpr = {values.small(), values.lane(), values.small()};
  values.fill(registers.memory);
  return registers;
}

void load_guest(FpuMachine& machine, const NativeRegisters& from) {
  ExtendedState& state = machine.extended();
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(state.legacy.data() + image::kXmm + 16 * i, from.ymm[i].data(), 16);
    std::memcpy(state.ymm_high.data() + 16 * i, from.ymm[i].data() + 16, 16);
    std::memcpy(state.legacy.data() + image::kStack + 16 * i, &from.mmx[i], 8);
    image::store<u16>(state, image::kStack + 16 * i + 8, 0xFFFF);
  }
  image::store<u8>(state, image::kTag, 0xFF);
  machine.set_mxcsr(from.mxcsr);
  machine.processor.state.rflags = from.flags;
  machine.processor.state.gpr[Rax] = from.gpr[0];
  machine.processor.state.gpr[Rcx] = from.gpr[1];
  machine.processor.state.gpr[Rdx] = from.gpr[2];
  std::memcpy(machine.memory.bytes.data() + FpuMachine::kData, from.memory.data(),
              from.memory.size());
}

void compare(FpuMachine& machine, const NativeRegisters& native) {
  const ExtendedState& state = machine.extended();
  for (unsigned i = 0; i < 8; ++i) {
    INFO("register " << i);
    CHECK(image::read_ymm(state, i) == native.ymm[i]);
    CHECK(image::load<u64>(state, image::kStack + 16 * i) == native.mmx[i]);
  }
  CHECK(machine.mxcsr() == native.mxcsr);
  CHECK((machine.processor.state.rflags & eflags::Arithmetic) ==
        (native.flags & eflags::Arithmetic));
  CHECK(machine.processor.state.gpr[Rax] == (native.gpr[0] & 0xFFFFFFFF));
  CHECK(machine.processor.state.gpr[Rcx] == (native.gpr[1] & 0xFFFFFFFF));
  CHECK(machine.processor.state.gpr[Rdx] == (native.gpr[2] & 0xFFFFFFFF));
  CHECK(std::memcmp(machine.memory.bytes.data() + FpuMachine::kData, native.memory.data(),
                    native.memory.size()) == 0);
}

/// Decodes candidates and compares those that the table knows.
class Sweep {
 public:
  /// `native` differs from `guest` where 64-bit mode gives a bit another meaning.
  void run(std::vector<u8> guest, std::vector<u8> native) {
    Instruction instruction;
    if (machine_.decoder.decode(guest, machine_.processor.decode_mode(), instruction) !=
        DecodeStatus::Ok) {
      return;
    }
    const std::string name(mnemonic_name(instruction.mnemonic));
    // A string instruction that shares its name has no 0F or VEX opcode byte, but one-byte A5 or
    // A7.
    if (!names_.contains(name)) return;
    seen_.insert(name);
    native.resize(instruction.length);
    // The fourth register of VBLENDVPS and the like: 32-bit code ignores its highest bit.
    const OperandKind fourth = instruction.operands[3].kind;
    if (fourth == OperandKind::Xmm || fourth == OperandKind::Ymm) native.back() &= 0x7F;
    const NativeCode::Function function = code_.make(native);
    INFO(format(instruction));
    for (unsigned round = 0; round < kRounds; ++round) {
      NativeRegisters registers = make_registers(values_);
      load_guest(machine_, registers);
      registers.memory_pointer = reinterpret_cast<u64>(registers.memory.data());
      ringshift_test_run_simd(&registers, function);
      REQUIRE(instruction.handler(machine_.processor, instruction) == Completion::Next);
      compare(machine_, registers);
    }
  }
  /// Mnemonics of the table that no encoding has reached.
  std::set<std::string> missed(bool vex) const {
    std::set<std::string> missed;
    for (const std::string& name : names_) {
      if ((name[0] == 'v') == vex && !seen_.contains(name)) missed.insert(name);
    }
    return missed;
  }

 private:
  FpuMachine machine_;
  NativeCode code_;
  Values values_{1};
  std::set<std::string> names_ = comparable_mnemonics();
  std::set<std::string> seen_;
};

// Register 1 and register 2, or register 1 and [ESI]; the shift groups 12-14 have their opcode in
// the reg field.
constexpr u8 kOrdinaryModrms[] = {0xCA, 0x0E};
constexpr u8 kGroupModrms[] = {0xD2, 0xDA, 0xE2, 0xF2, 0xFA};
constexpr u8 kImmediates[] = {0x03, 0x4C, 0xD1};

void sweep_modrm(Sweep& sweep, const std::vector<u8>& guest, const std::vector<u8>& native) {
  const bool group = guest.back() >= 0x71 && guest.back() <= 0x73;
  for (u8 modrm :
       group ? std::span<const u8>(kGroupModrms) : std::span<const u8>(kOrdinaryModrms)) {
    for (u8 immediate : kImmediates) {
      std::vector<u8> guest_code = guest, native_code = native;
      for (std::vector<u8>* code : {&guest_code, &native_code}) {
        code->insert(code->end(), {modrm, immediate});
      }
      sweep.run(guest_code, native_code);
    }
  }
}

TEST_CASE("MMX and SSE instructions do what the host does") {
  Sweep sweep;
  for (const u8 prefix : {0x00, 0x66, 0xF2, 0xF3}) {
    for (const u8 map : {0x00, 0x38, 0x3A}) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        if (map == 0 && (opcode == 0x38 || opcode == 0x3A)) continue;  // escapes
        std::vector<u8> code;
        if (prefix != 0) code.push_back(prefix);
        code.push_back(0x0F);
        if (map != 0) code.push_back(map);
        code.push_back(static_cast<u8>(opcode));
        sweep_modrm(sweep, code, code);
      }
    }
  }
  CHECK(sweep.missed(false) == std::set<std::string>{});
}

/// Where VEX.W chooses a 64-bit general register in 64-bit mode, and nothing in 32-bit mode.
bool w_widens(unsigned map, unsigned pp, unsigned opcode) {
  if (map == 1) {
    return opcode == 0x2A || opcode == 0x2C || opcode == 0x2D || opcode == 0x6E ||
           (opcode == 0x7E && pp == 1);
  }
  return map == 3 && (opcode == 0x16 || opcode == 0x22);
}

TEST_CASE("AVX instructions do what the host does") {
  if (!CpuidModel::from_host().has(Feature::Avx2)) return;
  Sweep sweep;
  for (unsigned map = 1; map <= 3; ++map) {
    for (unsigned bits = 0; bits < 16; ++bits) {  // W, L, pp
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        for (const unsigned vvvv : {15U, 12U}) {  // inverted: none, register 3
          const unsigned pp = bits & 3, l = bits >> 2 & 1, w = bits >> 3;
          const auto code = [&](unsigned effective_w) {
            return std::vector<u8>{0xC4, static_cast<u8>(0xE0 | map),
                                   static_cast<u8>(effective_w << 7 | vvvv << 3 | l << 2 | pp),
                                   static_cast<u8>(opcode)};
          };
          sweep_modrm(sweep, code(w), code(w_widens(map, pp, opcode) ? 0 : w));
        }
      }
    }
  }
  std::set<std::string> missed = sweep.missed(true);
  std::erase_if(missed, [](const std::string& name) { return name.find("gather") != name.npos; });
  CHECK(missed == std::set<std::string>{});
}

}  // namespace
}  // namespace ringshift::cpu::test
