// Every x87 data operation against the host executing the same bytes natively: results, status,
// tags, flags.
#include <random>

#include "tests/unit/cpu/fpu_fixture.h"
#include "tests/unit/cpu/host_comparison.h"

namespace ringshift::cpu::test {
namespace {

struct Extended {
  u64 significand;
  u16 exponent;
};

constexpr Extended kValues[] = {
    {0, 0},                        // +0
    {0, 0x8000},                   // -0
    {0x8000000000000000, 0x3FFF},  // 1
    {0x8000000000000000, 0xBFFF},  // -1
    {0xC90FDAA22168C235, 0x4000},  // pi
    {0xB17217F7D1CF79AC, 0x3FFE},  // ln 2
    {0x8000000000000000, 0x3FFD},  // 1/4
    {0xA000000000000000, 0xC001},  // -5
    {0xFFFFFFFFFFFFFFFF, 0x7FFE},  // largest
    {0x8000000000000000, 0x0001},  // smallest normal
    {0x0000000000000001, 0x0000},  // smallest denormal
    {0x8000000000000000, 0x0000},  // pseudo-denormal
    {0x8000000000000000, 0x7FFF},  // infinity
    {0x8000000000000000, 0xFFFF},  // -infinity
    {0xC000000000000000, 0xFFFF},  // the default NaN
    {0xA000000000000001, 0x7FFF},  // a signalling NaN
    {0x4000000000000000, 0x4000},  // an unnormal: unsupported
    {0x9C40000000000000, 0x400C},  // 20000
    {0xE35FA931A0000000, 0x4023},  // about 61e9
    {0xFFFFFFFFFFFFFFFF, 0x407E},  // about 3.4e38: rounds out of single
};

/// A whole state in FNSAVE's layout: random registers, some empty, any TOP, precision and rounding.
void fill_state(std::mt19937& random, bool unmasked, NativeRegisters& registers) {
  const u32 control = 0x40U | (unmasked ? random() & 0x3FU : 0x3FU) | (random() % 4) << 10 |
                      (random() % 3 == 0 ? random() & 0x300U : 0x300U);
  const u32 status = (random() % 8) << 11 | (random() & 0x4700U);
  u32 tags = 0;
  for (unsigned i = 0; i < 8; ++i) tags |= (random() % 6 == 0 ? 3U : 0U) << (2 * i);
  std::memcpy(registers.fpu.data(), &control, 4);
  std::memcpy(registers.fpu.data() + 4, &status, 4);
  std::memcpy(registers.fpu.data() + 8, &tags, 4);
  for (unsigned i = 0; i < 8; ++i) {
    const Extended& value = kValues[random() % std::size(kValues)];
    std::memcpy(registers.fpu.data() + 28 + 10 * i, &value.significand, 8);
    std::memcpy(registers.fpu.data() + 28 + 10 * i + 8, &value.exponent, 2);
  }
}

void fill_memory(std::mt19937& random, NativeRegisters& registers) {
  for (u8& byte : registers.memory) byte = static_cast<u8>(random());
  switch (random() % 4) {
    case 0: {
      const Extended& value = kValues[random() % std::size(kValues)];
      std::memcpy(registers.memory.data(), &value.significand, 8);
      std::memcpy(registers.memory.data() + 8, &value.exponent, 2);
      break;
    }
    case 1: {
      const double value = static_cast<double>(random()) / 1024.0;
      std::memcpy(registers.memory.data(), &value, 8);
      break;
    }
    case 2: {
      const float value = static_cast<float>(random()) * -0.25F;
      std::memcpy(registers.memory.data(), &value, 4);
      break;
    }
    default:
      break;
  }
}

constexpr u32 kSaved = 0x3000;

void load_guest(FpuMachine& machine, const NativeRegisters& from) {
  std::memcpy(machine.memory.bytes.data() + kSaved, from.fpu.data(), from.fpu.size());
  std::memcpy(machine.memory.bytes.data() + FpuMachine::kData, from.memory.data(),
              from.memory.size());
  machine.processor.state.rflags = from.flags;
  image::initialise_x87(machine.extended());
  machine.must_run({0xDD, 0x25, 0x00, 0x30, 0x00, 0x00});  // FRSTOR [3000h]
}

void compare(FpuMachine& machine, const NativeRegisters& native) {
  CHECK((machine.processor.state.rflags & eflags::Arithmetic) ==
        (native.flags & eflags::Arithmetic));
  CHECK(std::memcmp(machine.memory.bytes.data() + FpuMachine::kData, native.memory.data(),
                    native.memory.size()) == 0);
  machine.must_run({0xDD, 0x35, 0x00, 0x30, 0x00, 0x00});  // FNSAVE [3000h]
  const u8* saved = machine.memory.bytes.data() + kSaved;
  CHECK(std::memcmp(saved, native.fpu.data(), 12) == 0);            // control, status, tags
  CHECK(std::memcmp(saved + 28, native.fpu.data() + 28, 80) == 0);  // registers
}

/// Instructions that only the monitor's own image knows about: environments, control words.
bool is_control(u8 opcode, u8 modrm) {
  const unsigned reg = modrm >> 3 & 7;
  if (modrm >= 0xC0) return (opcode == 0xDB && reg == 4) || (opcode == 0xDF && modrm == 0xE0);
  return (opcode == 0xD9 && reg >= 4) || (opcode == 0xDD && (reg == 4 || reg >= 6));
}

class Sweep {
 public:
  explicit Sweep(bool unmasked) : unmasked_(unmasked) {}
  void run(u8 opcode, u8 modrm) {
    constexpr unsigned kRounds = 12;
    const std::array<u8, 2> bytes{opcode, modrm};
    Instruction instruction;
    if (is_control(opcode, modrm) ||
        machine_.decoder.decode(bytes, machine_.processor.decode_mode(), instruction) !=
            DecodeStatus::Ok) {
      return;
    }
    ++compared_;
    const NativeCode::Function function = code_.make(bytes);
    INFO(format(instruction));
    for (unsigned round = 0; round < kRounds; ++round) {
      NativeRegisters native;
      fill_state(random_, unmasked_, native);
      fill_memory(random_, native);
      native.flags = 2 | (random_() & 0x45);
      load_guest(machine_, native);
      native.memory_pointer = reinterpret_cast<u64>(native.memory.data());
      ringshift_test_run_x87(&native, function);
      REQUIRE(instruction.handler(machine_.processor, instruction) == Completion::Next);
      compare(machine_, native);
    }
  }
  unsigned compared() const { return compared_; }

 private:
  bool unmasked_;
  FpuMachine machine_;
  NativeCode code_;
  std::mt19937 random_{1};
  unsigned compared_ = 0;
};

/// All opcodes with [ESI] and with every register.
void compare_all(bool unmasked) {
  Sweep sweep(unmasked);
  for (unsigned opcode = 0xD8; opcode <= 0xDF; ++opcode) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      sweep.run(static_cast<u8>(opcode), static_cast<u8>(reg << 3 | 6));
    }
    for (unsigned modrm = 0xC0; modrm <= 0xFF; ++modrm) {
      sweep.run(static_cast<u8>(opcode), static_cast<u8>(modrm));
    }
  }
  // SDM 2D appendix A: 57 memory forms and at least 300 register forms.
  CHECK(sweep.compared() > 350);
}

TEST_CASE("x87 instructions do what the host does, exceptions masked") {
  compare_all(false);
}

// FNSAVE doesn't wait, so that natively, too, an unmasked exception only shows in the saved state.
TEST_CASE("x87 instructions do what the host does, exceptions unmasked") {
  compare_all(true);
}

}  // namespace
}  // namespace ringshift::cpu::test
