// FXSAVE and XSAVE areas, MXCSR.
#include <algorithm>

#include "tests/unit/cpu/fpu_fixture.h"

namespace ringshift::cpu::test {
namespace {

constexpr u32 kArea = 0x3000;
constexpr std::initializer_list<u8> kFxsave{0x0F, 0xAE, 0x05, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kFxrstor{0x0F, 0xAE, 0x0D, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kXsave{0x0F, 0xAE, 0x25, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kXrstor{0x0F, 0xAE, 0x2D, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kXsaveopt{0x0F, 0xAE, 0x35, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kXsavec{0x0F, 0xC7, 0x25, 0x00, 0x30, 0x00, 0x00};
constexpr u32 kXstateBv = kArea + 512, kXcompBv = kArea + 520, kYmmHigh = kArea + 576;

void fill_area(FpuMachine& machine, u8 value) {
  std::fill_n(machine.memory.bytes.begin() + kArea, 1024, value);
}

void request(FpuMachine& machine, u32 components) {
  machine.processor.state.gpr[Rax] = components;
  machine.processor.state.gpr[Rdx] = 0;
}

void load_something(FpuMachine& machine) {
  machine.must_run({0xD9, 0xEB});  // FLDPI
  for (unsigned i = 0; i < 8; ++i) machine.set_xmm<u64>(i, 0, 0x1000 + i);
  for (unsigned i = 0; i < 8; ++i) machine.extended().ymm_high[16 * i] = static_cast<u8>(i + 1);
}

TEST_CASE("FXSAVE's area outside 64-bit mode: SDM 1 table 10-2") {
  FpuMachine machine;
  fill_area(machine, 0xCC);
  machine.processor.state.rip = 0x12345678;
  machine.must_run({0xD9, 0x06});  // FLD dword [ESI]: +0
  machine.set_xmm<u64>(7, 1, 0x0123456789ABCDEF);
  machine.set_mxcsr(0x9F80);
  machine.must_run(kFxsave);
  CHECK(machine.peek<u16>(kArea) == 0x037F);
  CHECK(machine.peek<u16>(kArea + 2) == 0x3800);
  CHECK(machine.peek<u16>(kArea + 4) == 0x0080);  // abridged tags: R7 isn't empty
  CHECK(machine.peek<u16>(kArea + 6) == 0);       // opcode and operand: only after an exception
  CHECK(machine.peek<u32>(kArea + 8) == 0x12345678);
  CHECK(machine.peek<u16>(kArea + 12) == 0);
  CHECK(machine.peek<u32>(kArea + 16) == 0);
  CHECK(machine.peek<u16>(kArea + 20) == 0);
  CHECK(machine.peek<u32>(kArea + 24) == 0x9F80);
  CHECK(machine.peek<u32>(kArea + 28) == machine.processor.host_unit().mxcsr_mask());
  CHECK(machine.peek<u64>(kArea + 160 + 7 * 16 + 8) == 0x0123456789ABCDEF);
  CHECK(machine.peek<u8>(kArea + 288) == 0xCC);  // XMM8 and up don't exist here
  CHECK(machine.peek<u8>(kArea + 511) == 0xCC);
}

TEST_CASE("FXRSTOR brings back what FXSAVE saved, and leaves YMM's upper halves alone") {
  FpuMachine machine;
  load_something(machine);
  machine.must_run(kFxsave);
  const ExtendedState before = machine.extended();
  machine.must_run({0xDB, 0xE3});
  for (unsigned i = 0; i < 8; ++i) machine.set_xmm<u64>(i, 0, 0);
  machine.must_run(kFxrstor);
  CHECK(machine.extended() == before);
}

TEST_CASE("FXRSTOR refuses reserved MXCSR bits before it changes anything") {
  FpuMachine machine;
  load_something(machine);
  machine.must_run(kFxsave);
  machine.poke<u32>(kArea + 24, 0x00011F80);
  machine.must_run({0xDB, 0xE3});
  const ExtendedState before = machine.extended();
  machine.must_fault(kFxrstor, Vector::GeneralProtection);
  CHECK(machine.extended() == before);
}

TEST_CASE("FXRSTOR recomputes the error summary") {
  FpuMachine machine;
  machine.must_run(kFxsave);
  machine.poke<u16>(kArea, 0x037E);      // IM clear
  machine.poke<u16>(kArea + 2, 0x0001);  // IE without ES
  machine.must_run(kFxrstor);
  CHECK(machine.status() == 0x8081);
  machine.must_fault({0xD9, 0xE8}, Vector::X87FloatingPoint);
}

TEST_CASE("areas must be aligned and accessible as a whole") {
  FpuMachine machine;
  machine.must_fault({0x0F, 0xAE, 0x05, 0x08, 0x30, 0x00, 0x00}, Vector::GeneralProtection);
  machine.must_fault({0x0F, 0xAE, 0x25, 0x20, 0x30, 0x00, 0x00}, Vector::GeneralProtection);
  machine.page_absent(0x5000);
  machine.poke<u32>(0x4F00, 0x11111111);
  machine.must_fault({0x0F, 0xAE, 0x05, 0x00, 0x4F, 0x00, 0x00}, Vector::PageFault);
  CHECK(machine.peek<u32>(0x4F00) == 0x11111111);
}

TEST_CASE("XSAVE writes what RFBM asks for and keeps other XSTATE_BV bits") {
  FpuMachine machine;
  load_something(machine);
  fill_area(machine, 0);
  machine.poke<u64>(kXstateBv, 0x1);
  request(machine, 6);
  machine.must_run(kXsave);
  CHECK(machine.peek<u64>(kXstateBv) == 7);
  CHECK(machine.peek<u16>(kArea) == 0);  // x87 wasn't asked for
  CHECK(machine.peek<u32>(kArea + 24) == 0x1F80);
  CHECK(machine.peek<u64>(kArea + 160) == 0x1000);
  CHECK(machine.peek<u8>(kYmmHigh) == 1);
  CHECK(machine.peek<u8>(kYmmHigh + 112) == 8);
}

TEST_CASE("XSTATE_BV tells initial components; XSAVE still writes them, XSAVEOPT doesn't") {
  FpuMachine machine;
  fill_area(machine, 0);
  machine.poke<u64>(kXstateBv, 6);
  std::fill_n(machine.memory.bytes.begin() + kArea + 160, 16, u8{0xAA});
  request(machine, 7);
  SECTION("XSAVE") {
    machine.must_run(kXsave);
    CHECK(machine.peek<u64>(kArea + 160) == 0);
    CHECK(machine.peek<u16>(kArea) == 0x037F);
  }
  SECTION("XSAVEOPT") {
    machine.must_run(kXsaveopt);
    CHECK(machine.peek<u64>(kArea + 160) == 0xAAAAAAAAAAAAAAAA);
    CHECK(machine.peek<u16>(kArea) == 0);
    CHECK(machine.peek<u32>(kArea + 24) == 0x1F80);
  }
  CHECK(machine.peek<u64>(kXstateBv) == 0);
}

TEST_CASE("XSAVEC writes the compacted format") {
  FpuMachine machine;
  load_something(machine);
  fill_area(machine, 0xFF);
  request(machine, 7);
  machine.must_run(kXsavec);
  CHECK(machine.peek<u64>(kXstateBv) == 7);
  CHECK(machine.peek<u64>(kXcompBv) == 0x8000000000000007);
  CHECK(machine.peek<u8>(kYmmHigh + 16) == 2);
}

TEST_CASE("XRSTOR loads or initialises every requested component") {
  FpuMachine machine;
  load_something(machine);
  fill_area(machine, 0);
  request(machine, 7);
  machine.must_run(kXsave);
  const ExtendedState saved = machine.extended();
  SECTION("round trip") {
    machine.must_run({0xDB, 0xE3});
    machine.must_run({0xC5, 0xFC, 0x77});  // VZEROALL
    machine.must_run(kXrstor);
    CHECK(machine.extended() == saved);
  }
  SECTION("compacted round trip") {
    machine.must_run(kXsavec);
    machine.must_run({0xDB, 0xE3});
    machine.must_run({0xC5, 0xFC, 0x77});
    machine.must_run(kXrstor);
    CHECK(machine.extended() == saved);
  }
  SECTION("XSTATE_BV clear: initial values") {
    machine.poke<u64>(kXstateBv, 0);
    machine.set_mxcsr(0x1F81);
    machine.must_run(kXrstor);
    CHECK(image::control(machine.extended()) == 0x037F);
    CHECK(image::full_tag_word(machine.extended()) == 0xFFFF);
    CHECK(machine.xmm<u64>(3, 0) == 0);
    CHECK(machine.extended().ymm_high[0] == 0);
    CHECK(machine.mxcsr() == 0x1F80);  // loaded from the area in the standard form
  }
  SECTION("components not asked for stay") {
    machine.poke<u64>(kXstateBv, 0);
    request(machine, 1);
    machine.must_run(kXrstor);
    CHECK(machine.xmm<u64>(3, 0) == 0x1003);
    CHECK(machine.status() == 0);
  }
}

TEST_CASE("XRSTOR refuses headers that SDM 1 §13.8 calls illegal") {
  FpuMachine machine;
  fill_area(machine, 0);
  request(machine, 7);
  machine.must_run(kXsave);
  const ExtendedState before = machine.extended();
  SECTION("a component that XCR0 doesn't have") {
    machine.poke<u64>(kXstateBv, 8);
  }
  SECTION("XCOMP_BV without bit 63") {
    machine.poke<u64>(kXcompBv, 1);
  }
  SECTION("bytes 16-23") {
    machine.poke<u8>(kArea + 512 + 20, 1);
  }
  SECTION("compacted: XSTATE_BV beyond XCOMP_BV") {
    machine.poke<u64>(kXcompBv, 0x8000000000000001);
    machine.poke<u64>(kXstateBv, 2);
  }
  SECTION("compacted: reserved bytes") {
    machine.poke<u64>(kXcompBv, 0x8000000000000007);
    machine.poke<u8>(kArea + 512 + 63, 1);
  }
  SECTION("MXCSR") {
    machine.poke<u32>(kArea + 24, 0x80000000);
  }
  machine.must_fault(kXrstor, Vector::GeneralProtection);
  CHECK(machine.extended() == before);
}

TEST_CASE("XSAVE needs CR4.OSXSAVE") {
  FpuMachine machine;
  machine.processor.state.cr4 &= ~cr4::OSXSAVE;
  machine.must_fault(kXsave, Vector::InvalidOpcode);
}

TEST_CASE("LDMXCSR and STMXCSR, and their VEX forms") {
  FpuMachine machine;
  machine.poke<u32>(FpuMachine::kData, 0x9FC1);
  machine.must_run({0x0F, 0xAE, 0x16});  // LDMXCSR [ESI]
  CHECK(machine.mxcsr() == 0x9FC1);
  machine.must_run({0x0F, 0xAE, 0x5E, 0x04});  // STMXCSR [ESI+4]
  CHECK(machine.peek<u32>(FpuMachine::kData + 4) == 0x9FC1);
  machine.poke<u32>(FpuMachine::kData, 0x00011F80);
  machine.must_fault({0x0F, 0xAE, 0x16}, Vector::GeneralProtection);
  machine.must_fault({0xC5, 0xF8, 0xAE, 0x16}, Vector::GeneralProtection);
  CHECK(machine.mxcsr() == 0x9FC1);
  machine.must_run({0xC5, 0xF8, 0xAE, 0x5E, 0x08});  // VSTMXCSR [ESI+8]
  CHECK(machine.peek<u32>(FpuMachine::kData + 8) == 0x9FC1);
}

}  // namespace
}  // namespace ringshift::cpu::test
