// SIMD around the data operation: exceptions, control registers, alignment, faults, masked
// accesses.
#include "tests/unit/cpu/fpu_fixture.h"

namespace ringshift::cpu::test {
namespace {

constexpr u32 kData = FpuMachine::kData;
constexpr std::initializer_list<u8> kDivps{0x0F, 0x5E, 0xCA};         // DIVPS xmm1, xmm2
constexpr std::initializer_list<u8> kVaddps{0xC5, 0xE8, 0x58, 0xCA};  // VADDPS xmm1, xmm2, xmm2

void fill_xmm(FpuMachine& machine, unsigned reg, float value) {
  for (unsigned lane = 0; lane < 4; ++lane) machine.set_xmm<float>(reg, lane, value);
}

TEST_CASE("an unmasked SIMD exception is #XM with flags set and registers unchanged") {
  FpuMachine machine;
  fill_xmm(machine, 1, 1.0F);
  fill_xmm(machine, 2, 0.0F);
  machine.set_mxcsr(0x1F80 & ~0x200U);  // ZM clear
  const u32 monitor_controls = __builtin_ia32_stmxcsr() & ~0x3FU;
  SECTION("#XM") {
    machine.must_fault(kDivps, Vector::SimdFloatingPoint);
  }
  SECTION("#UD without CR4.OSXMMEXCPT") {
    machine.processor.state.cr4 &= ~cr4::OSXMMEXCPT;
    machine.must_fault(kDivps, Vector::InvalidOpcode);
  }
  SECTION("again after being caught") {
    machine.must_fault(kDivps, Vector::SimdFloatingPoint);
    machine.must_fault(kDivps, Vector::SimdFloatingPoint);
  }
  SECTION("VEX") {
    machine.must_fault({0xC5, 0xF0, 0x5E, 0xCA},
                       Vector::SimdFloatingPoint);  // VDIVPS xmm1,xmm1,xmm2
  }
  CHECK(machine.mxcsr() == ((0x1F80U & ~0x200U) | 0x04));
  CHECK(machine.xmm<float>(1, 0) == 1.0F);
  CHECK((__builtin_ia32_stmxcsr() & ~0x3FU) == monitor_controls);
  // A masked one of another kind still computes.
  fill_xmm(machine, 2, 3.0F);
  machine.must_run(kDivps);
  CHECK(machine.xmm<float>(1, 3) == 1.0F / 3.0F);
  CHECK((machine.mxcsr() & 0x3F) == 0x24);
}

TEST_CASE("sticky flags with unmasked controls don't fault by themselves") {
  FpuMachine machine;
  machine.set_mxcsr(0x003F);
  fill_xmm(machine, 1, 1.0F);
  fill_xmm(machine, 2, 2.0F);
  machine.must_run(kDivps);
  CHECK(machine.xmm<float>(1, 0) == 0.5F);
  CHECK(machine.mxcsr() == 0x003F);
}

TEST_CASE("rounding control and denormal modes are the guest's") {
  FpuMachine machine;
  fill_xmm(machine, 2, 3.0F);
  const u32 rounded[] = {0x3EAAAAAB, 0x3EAAAAAA, 0x3EAAAAAB, 0x3EAAAAAA};  // 1/3: RN, RD, RU, RZ
  for (u32 mode = 0; mode < 4; ++mode) {
    fill_xmm(machine, 1, 1.0F);
    machine.set_mxcsr(0x1F80 | mode << 13);
    machine.must_run(kDivps);
    CHECK(machine.xmm<u32>(1, 0) == rounded[mode]);
  }
  for (unsigned lane = 0; lane < 4; ++lane) machine.set_xmm<u32>(1, lane, 0x00000010);
  fill_xmm(machine, 2, 1.0F);
  machine.set_mxcsr(0x1F80 | 0x40);  // DAZ: no denormal flag either
  machine.must_run(kDivps);
  CHECK(machine.xmm<u32>(1, 0) == 0);
  CHECK(machine.mxcsr() == (0x1F80 | 0x40));
}

TEST_CASE("CVTPS2PI with an unmasked exception has entered MMX state, as the processor does") {
  FpuMachine machine;
  machine.must_run({0xD9, 0xEB});  // FLDPI: TOP 7
  fill_xmm(machine, 2, 1e30F);
  machine.set_mxcsr(0x1F00);  // IM clear
  ExtendedState before = machine.extended();
  image::enter_mmx(before);
  machine.must_fault({0x0F, 0x2D, 0xCA}, Vector::SimdFloatingPoint);
  CHECK(machine.mxcsr() == 0x1F01);
  image::store<u32>(before, image::kMxcsr, 0x1F01);
  CHECK(machine.extended() == before);
}

TEST_CASE("CR0 and CR4 decide whether SIMD instructions exist") {
  FpuMachine machine;
  State& state = machine.processor.state;
  SECTION("CR4.OSFXSR clear: XMM forms #UD, MMX forms run") {
    state.cr4 &= ~cr4::OSFXSR;
    machine.must_fault(kDivps, Vector::InvalidOpcode);
    machine.must_fault({0xF3, 0x0F, 0x2D, 0x06}, Vector::InvalidOpcode);  // CVTSS2SI EAX, [ESI]
    machine.must_run({0x0F, 0xFE, 0xCA});
    machine.must_run({0x0F, 0xAE, 0x06});  // FXSAVE
    machine.must_run(kVaddps);             // VEX forms have their own switch
  }
  SECTION("CR4.OSXSAVE clear: VEX forms #UD") {
    state.cr4 &= ~cr4::OSXSAVE;
    machine.must_fault(kVaddps, Vector::InvalidOpcode);
    machine.must_run(kDivps);
  }
  SECTION("XCR0 without AVX") {
    state.xcr0 = 3;
    machine.must_fault(kVaddps, Vector::InvalidOpcode);
  }
  SECTION("VEX in virtual-8086 mode, even with CR0.TS") {
    const Instruction instruction = machine.decode(std::span(kVaddps.begin(), kVaddps.size()));
    state.rflags |= eflags::VM;
    state.cr0 |= cr0::TS;
    REQUIRE(instruction.handler(machine.processor, instruction) == Completion::Fault);
    CHECK(machine.processor.pending_exception().vector == Vector::InvalidOpcode);
  }
}

TEST_CASE("legacy 16-byte operands must be aligned, exempt ones needn't") {
  FpuMachine machine;
  machine.processor.state.gpr[Rsi] = kData + 4;
  machine.must_fault({0x0F, 0x28, 0x0E}, Vector::GeneralProtection);  // MOVAPS load
  CHECK(machine.processor.pending_exception().error_code == 0);
  machine.must_fault({0x0F, 0x29, 0x0E}, Vector::GeneralProtection);        // MOVAPS store
  machine.must_fault({0x0F, 0x58, 0x0E}, Vector::GeneralProtection);        // ADDPS
  machine.must_fault({0x66, 0x0F, 0xFE, 0x0E}, Vector::GeneralProtection);  // PADDD
  machine.must_fault({0x66, 0x0F, 0xE7, 0x0E}, Vector::GeneralProtection);  // MOVNTDQ
  machine.must_run({0x0F, 0x10, 0x0E});                                     // MOVUPS
  machine.must_run({0xF3, 0x0F, 0x7F, 0x0E});                               // MOVDQU
  machine.must_run({0xF2, 0x0F, 0xF0, 0x0E});                               // LDDQU
  machine.must_run({0x66, 0x0F, 0x3A, 0x63, 0x0E, 0x00});                   // PCMPISTRI
  machine.must_run({0xF2, 0x0F, 0x58, 0x0E});                               // ADDSD
  machine.must_run({0x0F, 0xFE, 0x0E});                                     // PADDD mm
  machine.must_run({0xC5, 0xE8, 0x58, 0x0E});                               // VADDPS
  machine.must_fault({0xC5, 0xF8, 0x28, 0x0E}, Vector::GeneralProtection);  // VMOVAPS
  machine.processor.state.gpr[Rsi] = kData + 16;
  machine.must_run({0xC5, 0xF8, 0x28, 0x0E});
  machine.must_fault({0xC5, 0xFC, 0x28, 0x0E}, Vector::GeneralProtection);  // 32 bytes
}

TEST_CASE("alignment comes before the segment check, as fuzzing against the processor shows") {
  FpuMachine machine;
  machine.processor.state.segment(SegmentName::SS).limit = 0xFFF;
  machine.processor.state.gpr[Rsi] = kData + 4;
  machine.must_fault({0x36, 0x0F, 0x28, 0x0E}, Vector::GeneralProtection);
  machine.processor.state.gpr[Rsi] = kData;
  machine.must_fault({0x36, 0x0F, 0x28, 0x0E}, Vector::StackFault);
}

TEST_CASE("operands across a page: whole, or not at all") {
  FpuMachine machine;
  for (unsigned i = 0; i < 16; ++i) machine.poke<u8>(0x2FF8 + i, static_cast<u8>(i));
  machine.must_run({0xF3, 0x0F, 0x6F, 0x0D, 0xF8, 0x2F, 0x00, 0x00});  // MOVDQU xmm1, [2FF8h]
  CHECK(machine.xmm<u64>(1, 1) == 0x0F0E0D0C0B0A0908);
  machine.page_absent(0x3000);
  machine.set_xmm<u64>(1, 0, 0x55);
  machine.must_fault({0xF3, 0x0F, 0x7F, 0x0D, 0xF8, 0x2F, 0x00, 0x00}, Vector::PageFault);
  CHECK(machine.peek<u64>(0x2FF8) == 0x0706050403020100);
  machine.must_fault({0xF3, 0x0F, 0x6F, 0x0D, 0xF8, 0x2F, 0x00, 0x00}, Vector::PageFault);
  CHECK(machine.xmm<u64>(1, 0) == 0x55);
}

TEST_CASE("legacy SSE keeps the upper half of YMM, VEX clears it") {
  FpuMachine machine;
  machine.extended().ymm_high.fill(0xEE);
  machine.must_run({0x0F, 0x58, 0xCA});
  CHECK(machine.extended().ymm_high[16] == 0xEE);
  machine.must_run(kVaddps);
  CHECK(machine.extended().ymm_high[16] == 0);
  CHECK(machine.extended().ymm_high[32] == 0xEE);
  machine.must_run({0xC5, 0xF8, 0x77});  // VZEROUPPER: registers 0-7 outside 64-bit mode
  CHECK(machine.extended().ymm_high[127] == 0);
  CHECK(machine.extended().ymm_high[128] == 0xEE);
}

TEST_CASE("EVEX encodings and unoffered features are undefined") {
  FpuMachine machine;
  CHECK_FALSE(machine.defined({0x62, 0xF1, 0x6C, 0x48, 0x58, 0xCA}));  // VADDPS zmm
  CHECK_FALSE(machine.defined({0x62, 0xF1, 0x6C, 0x08, 0x58, 0xCA}));  // VADDPS xmm, EVEX
  CHECK_FALSE(machine.defined({0xC4, 0xE2, 0x6D, 0xDC, 0xCA}));        // VAESENC ymm
  CHECK_FALSE(machine.defined({0xC4, 0xE2, 0x6D, 0x50, 0xCA}));        // VPDPBUSD (AVX-VNNI)
  CHECK_FALSE(machine.defined({0x0F, 0x0F, 0xCA, 0x9E}));              // PFADD (3DNow!)
}

TEST_CASE("forms of one mnemonic belong to the features they came with") {
  FpuMachine machine;
  for (Feature feature : {Feature::Sse, Feature::Sse2, Feature::Sse41, Feature::Avx2}) {
    machine.model.features[static_cast<std::size_t>(feature)] = false;
  }
  CHECK(machine.defined({0x0F, 0xFE, 0xCA}));              // PADDD mm
  CHECK_FALSE(machine.defined({0x66, 0x0F, 0xFE, 0xCA}));  // PADDD xmm
  CHECK_FALSE(machine.defined({0x0F, 0xE0, 0xCA}));        // PAVGB mm
  CHECK(machine.defined({0xC5, 0xE9, 0xFE, 0xCA}));        // VPADDD xmm: AVX
  CHECK_FALSE(machine.defined({0xC5, 0xED, 0xFE, 0xCA}));  // VPADDD ymm: AVX2
  CHECK(machine.defined({0xC4, 0xE2, 0x79, 0x18, 0x0E}));  // VBROADCASTSS from memory: AVX
  CHECK_FALSE(machine.defined({0xC4, 0xE2, 0x79, 0x18, 0xCA}));
}

TEST_CASE("CVTPI2PD from memory doesn't touch the x87 stack") {
  FpuMachine machine;
  machine.must_run({0xD9, 0xEB});
  const u16 status = machine.status();
  machine.must_run({0x66, 0x0F, 0x2A, 0x0E});
  CHECK(machine.status() == status);
  machine.must_run({0x66, 0x0F, 0x2A, 0xCA});
  CHECK(image::top(machine.extended()) == 0);
}

TEST_CASE("masked stores touch selected bytes only") {
  FpuMachine machine;
  machine.page_absent(0x3000);
  machine.processor.state.gpr[Rdi] = 0x2FF8;
  for (unsigned i = 0; i < 16; ++i) machine.set_xmm<u8>(1, i, static_cast<u8>(0xA0 + i));
  SECTION("MASKMOVDQU faults for bytes that the mask leaves out, too, and writes nothing") {
    for (unsigned i = 0; i < 16; ++i) machine.set_xmm<u8>(2, i, i == 0 || i == 7 ? 0x80 : 0x7F);
    machine.must_fault({0x66, 0x0F, 0xF7, 0xCA}, Vector::PageFault);
    CHECK(machine.peek<u64>(0x2FF8) == 0);
    machine.processor.state.gpr[Rdi] = 0x2FF0;
    machine.must_run({0x66, 0x0F, 0xF7, 0xCA});
    CHECK(machine.peek<u64>(0x2FF0) == 0xA7000000000000A0);
    CHECK(machine.peek<u64>(0x2FF8) == 0);
  }
  SECTION("one selected byte there: nothing is written") {
    for (unsigned i = 0; i < 16; ++i) machine.set_xmm<u8>(2, i, i == 0 || i == 8 ? 0x80 : 0);
    machine.must_fault({0x66, 0x0F, 0xF7, 0xCA}, Vector::PageFault);
    CHECK(machine.peek<u8>(0x2FF8) == 0);
  }
  SECTION("VMASKMOVPS loads and stores") {
    machine.processor.state.gpr[Rsi] = 0x2FF8;
    machine.poke<u32>(0x2FFC, 0x12345678);
    for (unsigned i = 0; i < 4; ++i) machine.set_xmm<u32>(2, i, i == 1 ? 0x80000000 : 0x7FFFFFFF);
    machine.must_run({0xC4, 0xE2, 0x69, 0x2C, 0x0E});
    CHECK(machine.xmm<u32>(1, 0) == 0);
    CHECK(machine.xmm<u32>(1, 1) == 0x12345678);
    CHECK(machine.xmm<u32>(1, 2) == 0);
    machine.set_xmm<u32>(2, 3, 0x80000000);
    machine.must_fault({0xC4, 0xE2, 0x69, 0x2C, 0x0E}, Vector::PageFault);
    CHECK(machine.xmm<u32>(1, 1) == 0x12345678);
  }
  SECTION("with a segment override") {
    machine.processor.state.segment(SegmentName::ES).base = 0x4000;
    for (unsigned i = 0; i < 16; ++i) machine.set_xmm<u8>(2, i, 0x80);
    machine.must_run({0x26, 0x66, 0x0F, 0xF7, 0xCA});
    CHECK(machine.peek<u8>(0x6FF8) == 0xA0);
  }
}

TEST_CASE("gathers load by index and clear the mask") {
  FpuMachine machine;
  for (unsigned i = 0; i < 64; ++i) machine.poke<u32>(kData + 4 * i, 0x1000 + i);
  const int index[] = {3, -1, 10, 0};
  machine.poke<u32>(kData - 4, 0x0FFF);
  for (unsigned i = 0; i < 4; ++i) {
    machine.set_xmm<int>(3, i, index[i]);
    machine.set_xmm<u32>(2, i, i == 2 ? 0 : 0x80000000);
    machine.set_xmm<u32>(1, i, 0x55555555);
  }
  machine.extended().ymm_high.fill(0xEE);
  const std::initializer_list<u8> gather{0xC4, 0xE2, 0x69, 0x90, 0x0C, 0x9E};  // [ESI+xmm3*4]
  SECTION("all present") {
    machine.must_run(gather);
    CHECK(machine.xmm<u32>(1, 0) == 0x1003);
    CHECK(machine.xmm<u32>(1, 1) == 0x0FFF);
    CHECK(machine.xmm<u32>(1, 2) == 0x55555555);
    CHECK(machine.xmm<u32>(1, 3) == 0x1000);
    for (unsigned i = 0; i < 4; ++i) CHECK(machine.xmm<u32>(2, i) == 0);
    CHECK(machine.extended().ymm_high[16] == 0);  // of registers 1 and 2
    CHECK(machine.extended().ymm_high[32] == 0);
  }
  SECTION("a fault keeps what was loaded and says in the mask what wasn't") {
    machine.page_absent(kData);
    machine.set_xmm<int>(3, 0, -1);
    machine.set_xmm<int>(3, 1, 3);
    machine.must_fault(gather, Vector::PageFault);
    CHECK(machine.processor.pending_exception().fault_address == kData + 12);
    CHECK(machine.xmm<u32>(1, 0) == 0x0FFF);
    CHECK(machine.xmm<u32>(1, 1) == 0x55555555);
    CHECK(machine.xmm<u32>(2, 0) == 0);
    CHECK(machine.xmm<u32>(2, 1) == 0xFFFFFFFF);
    CHECK(machine.xmm<u32>(2, 3) == 0xFFFFFFFF);
  }
  SECTION("registers must differ") {
    CHECK_FALSE(machine.defined({0xC4, 0xE2, 0x69, 0x90, 0x14, 0x9E}));
  }
}

TEST_CASE("gathers of quadwords and by quadword indices") {
  FpuMachine machine;
  for (unsigned i = 0; i < 64; ++i) machine.poke<u64>(kData + 8 * i, 0x100000000 * i + i);
  for (unsigned i = 0; i < 4; ++i) machine.set_xmm<u32>(3, i, 2 * i + 1);
  machine.extended().ymm_high.fill(0xFF);
  for (unsigned i = 0; i < 2; ++i) machine.set_xmm<u64>(2, i, ~u64{0});
  SECTION("VPGATHERDQ ymm: four dword indices") {
    machine.must_run({0xC4, 0xE2, 0xED, 0x90, 0x0C, 0xDE});
    const image::Vector32 result = image::read_ymm(machine.extended(), 1);
    for (u64 i = 0; i < 4; ++i) {
      u64 value = 0;
      std::memcpy(&value, result.data() + 8 * i, 8);
      CHECK(value == 0x100000000 * (2 * i + 1) + 2 * i + 1);
    }
  }
  SECTION("VPGATHERQD xmm: two quadword indices, the upper half is cleared") {
    machine.set_xmm<u64>(3, 0, 4);
    machine.set_xmm<u64>(3, 1, 5);
    machine.must_run({0xC4, 0xE2, 0x69, 0x91, 0x0C, 0xDE});
    CHECK(machine.xmm<u32>(1, 0) == 4);
    CHECK(machine.xmm<u32>(1, 1) == 5);
    CHECK(machine.xmm<u64>(1, 1) == 0);
  }
}

}  // namespace
}  // namespace ringshift::cpu::test
