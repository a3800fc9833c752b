// x87 control: exceptions, environments in their four layouts, pointers, tags, the MMX view.
#include "tests/unit/cpu/fpu_fixture.h"

namespace ringshift::cpu::test {
namespace {

constexpr u32 kArea = 0x3000;
// Encodings used throughout; memory operands are [3000h] unless they say [ESI].
constexpr std::initializer_list<u8> kFld1{0xD9, 0xE8}, kFldpi{0xD9, 0xEB}, kFldz{0xD9, 0xEE};
constexpr std::initializer_list<u8> kFdiv{0xD8, 0xF1};  // FDIV ST, ST(1)
constexpr std::initializer_list<u8> kFninit{0xDB, 0xE3}, kFnclex{0xDB, 0xE2}, kFwait{0x9B};
constexpr std::initializer_list<u8> kFnstenv{0xD9, 0x35, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kFldenv{0xD9, 0x25, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kFnsave{0xDD, 0x35, 0x00, 0x30, 0x00, 0x00};
constexpr std::initializer_list<u8> kFrstor{0xDD, 0x25, 0x00, 0x30, 0x00, 0x00};

void load_control(FpuMachine& machine, u16 value) {
  machine.poke<u16>(FpuMachine::kData, value);
  machine.must_run({0xD9, 0x2E});  // FLDCW [ESI]
}

/// 1 / 0 with the zero-divide exception unmasked: ES is set, nothing is reported yet.
void provoke_zero_divide(FpuMachine& machine) {
  load_control(machine, 0x037B);
  machine.must_run(kFldz);
  machine.must_run(kFld1);
  machine.must_run(kFdiv);
}

void enter_real_mode(FpuMachine& machine, u16 cs, u16 ds) {
  State& state = machine.processor.state;
  state.cr0 &= ~cr0::PE;
  state.segment(SegmentName::CS).selector = cs;
  state.segment(SegmentName::DS).selector = ds;
}

TEST_CASE("FNINIT and power-on differ as SDM 3A table 9-1 says") {
  FpuMachine machine;
  image::power_on(machine.extended());
  CHECK(image::control(machine.extended()) == 0x0040);
  CHECK(image::full_tag_word(machine.extended()) == 0x5555);
  CHECK(machine.mxcsr() == 0x1F80);
  machine.must_run(kFninit);
  CHECK(image::control(machine.extended()) == 0x037F);
  CHECK(machine.status() == 0);
  CHECK(image::full_tag_word(machine.extended()) == 0xFFFF);
}

TEST_CASE("an unmasked exception is reported by the next waiting instruction") {
  FpuMachine machine;
  provoke_zero_divide(machine);
  CHECK((machine.status() & 0x8084) == 0x8084);  // B, ES, ZE
  const ExtendedState before = machine.extended();
  machine.must_fault(kFld1, Vector::X87FloatingPoint);
  machine.must_fault(kFwait, Vector::X87FloatingPoint);
  machine.must_fault({0x0F, 0xFE, 0xCA}, Vector::X87FloatingPoint);  // PADDD mm
  machine.must_fault({0x0F, 0x77}, Vector::X87FloatingPoint);        // EMMS
  machine.must_fault({0xD9, 0x2E}, Vector::X87FloatingPoint);        // FLDCW waits
  CHECK(machine.extended() == before);
  machine.must_run({0x66, 0x0F, 0xFE, 0xCA});  // PADDD xmm doesn't care
  machine.must_run({0xDF, 0xE0});              // FNSTSW AX
  CHECK((machine.processor.state.gpr[Rax] & 0xFFFF) == machine.status());
  machine.must_run(kFnclex);
  CHECK((machine.status() & 0x80FF) == 0);
  machine.must_run(kFld1);
}

TEST_CASE("with CR0.NE clear an error asserts FERR# and the instruction waits for IRQ 13") {
  FpuMachine machine;
  machine.processor.state.cr0 &= ~cr0::NE;
  provoke_zero_divide(machine);
  CHECK_FALSE(machine.platform.ferr);
  CHECK(machine.run(kFld1) == Completion::Repeat);
  CHECK(machine.platform.ferr);
  SECTION("FNCLEX lets it go") {
    machine.must_run(kFnclex);
    CHECK_FALSE(machine.platform.ferr);
    machine.must_run(kFld1);
  }
  SECTION("IGNNE# makes instructions run in spite of it") {
    machine.platform.ignne = true;
    const unsigned top = image::top(machine.extended());
    machine.must_run(kFld1);
    CHECK(image::top(machine.extended()) == ((top - 1) & 7));
    CHECK((machine.status() & 0x8084) == 0x8084);
    machine.must_run(kFwait);
  }
}

TEST_CASE("masking and unmasking moves the error summary") {
  FpuMachine machine;
  machine.must_run(kFldz);
  machine.must_run(kFld1);
  machine.must_run(kFdiv);
  CHECK((machine.status() & 0x8084) == 0x0004);
  load_control(machine, 0x037B);
  CHECK((machine.status() & 0x8084) == 0x8084);
  machine.must_run(kFnstenv);  // stores the control word, then masks everything
  CHECK(machine.peek<u16>(kArea) == 0x037B);
  CHECK(image::control(machine.extended()) == 0x037F);
  CHECK((machine.status() & 0x8084) == 0x0004);
}

TEST_CASE("CR0.EM, TS and MP choose between #NM and execution") {
  FpuMachine machine;
  u64& cr0 = machine.processor.state.cr0;
  SECTION("EM") {
    cr0 |= cr0::EM;
    machine.must_fault(kFld1, Vector::DeviceNotAvailable);
    machine.must_fault(kFninit, Vector::DeviceNotAvailable);
    machine.must_fault({0x0F, 0xAE, 0x06}, Vector::DeviceNotAvailable);  // FXSAVE
    machine.must_fault({0x0F, 0x77}, Vector::InvalidOpcode);
    machine.must_fault({0x0F, 0x58, 0xCA}, Vector::InvalidOpcode);
    machine.must_run(kFwait);
  }
  SECTION("TS") {
    cr0 |= cr0::TS;
    machine.must_fault(kFld1, Vector::DeviceNotAvailable);
    machine.must_fault(kFwait, Vector::DeviceNotAvailable);
    machine.must_fault({0x0F, 0x77}, Vector::DeviceNotAvailable);
    machine.must_fault({0x0F, 0x58, 0xCA}, Vector::DeviceNotAvailable);
    machine.must_fault({0xC5, 0xF8, 0x77}, Vector::DeviceNotAvailable);
    cr0 &= ~cr0::MP;
    machine.must_run(kFwait);
  }
  SECTION("#NM comes before #MF") {
    provoke_zero_divide(machine);
    cr0 |= cr0::TS;
    machine.must_fault(kFld1, Vector::DeviceNotAvailable);
  }
}

TEST_CASE("control word bits that don't exist stay clear, bit 6 set") {
  FpuMachine machine;
  load_control(machine, 0xFFFF);
  machine.must_run({0xD9, 0x3E});  // FNSTCW [ESI]
  CHECK(machine.peek<u16>(FpuMachine::kData) == 0x1F7F);
  load_control(machine, 0x0000);
  CHECK(image::control(machine.extended()) == 0x0040);
}

TEST_CASE("FSTENV, 32-bit protected-mode layout: SDM 1 figure 8-9") {
  FpuMachine machine;
  machine.processor.state.rip = 0x00123456;
  machine.must_run({0xD9, 0x06});  // FLD dword [ESI]
  machine.processor.state.rip = 0x00999999;
  machine.must_run(kFnstenv);  // control instructions leave the pointers alone
  CHECK(machine.peek<u32>(kArea) == 0xFFFF037F);
  CHECK(machine.peek<u32>(kArea + 4) == 0xFFFF3800);
  CHECK(machine.peek<u32>(kArea + 8) == 0xFFFF7FFF);  // R7 holds +0: tag 01
  CHECK(machine.peek<u32>(kArea + 12) == 0x00123456);
  // The model has no selectors (CPUID.7.0:EBX bit 13), and the opcode and the operand's offset only
  // after an unmasked exception (bit 6). SDM 1 §8.1.8.
  CHECK(machine.peek<u32>(kArea + 16) == 0);
  CHECK(machine.peek<u32>(kArea + 20) == 0);
  CHECK(machine.peek<u32>(kArea + 24) == 0xFFFF0000);
}

TEST_CASE("FSTENV, 16-bit protected-mode layout: SDM 1 figure 8-11") {
  FpuMachine machine;
  machine.processor.state.rip = 0x00123456;
  machine.must_run({0xDD, 0x06});
  machine.poke<u16>(kArea + 14, 0xABCD);
  machine.must_run({0x66, 0xD9, 0x35, 0x00, 0x30, 0x00, 0x00});
  const u16 expected[] = {0x037F, 0x3800, 0x7FFF, 0x3456, 0, 0, 0, 0xABCD};
  for (unsigned i = 0; i < 8; ++i) CHECK(machine.peek<u16>(kArea + 2 * i) == expected[i]);
}

TEST_CASE("FSTENV, real-address layouts: SDM 1 figures 8-10 and 8-12") {
  FpuMachine machine;
  enter_real_mode(machine, 0x1234, 0x2345);
  machine.processor.state.rip = 0x5678;
  machine.must_run({0xD9, 0x06});
  // Without selectors the address is the offset; opcode and operand as above.
  SECTION("32-bit") {
    machine.must_run(kFnstenv);
    CHECK(machine.peek<u32>(kArea + 12) == 0xFFFF5678);
    CHECK(machine.peek<u32>(kArea + 16) == 0);
    CHECK(machine.peek<u32>(kArea + 20) == 0xFFFF0000);
    CHECK(machine.peek<u32>(kArea + 24) == 0);
  }
  SECTION("16-bit") {
    machine.must_run({0x66, 0xD9, 0x35, 0x00, 0x30, 0x00, 0x00});
    CHECK(machine.peek<u16>(kArea + 6) == 0x5678);
    CHECK(machine.peek<u16>(kArea + 8) == 0);
    CHECK(machine.peek<u16>(kArea + 10) == 0);
    CHECK(machine.peek<u16>(kArea + 12) == 0);
  }
}

TEST_CASE("FLDENV takes back what FSTENV stored, in every layout") {
  for (const bool real : {false, true}) {
    for (const bool narrow : {false, true}) {
      FpuMachine machine;
      if (real) enter_real_mode(machine, 0x1234, 0x2345);
      machine.must_run(kFldpi);
      machine.must_run({0xD9, 0x06});
      std::vector<u8> store(kFnstenv), load(kFldenv), again(kFnstenv);
      again[3] = 0x40;  // [4000h]
      if (narrow) {
        for (std::vector<u8>* code : {&store, &load, &again}) code->insert(code->begin(), 0x66);
      }
      REQUIRE(machine.run(store) == Completion::Next);
      machine.must_run(kFninit);
      REQUIRE(machine.run(load) == Completion::Next);
      REQUIRE(machine.run(again) == Completion::Next);
      const u8* bytes = machine.memory.bytes.data();
      CHECK(std::memcmp(bytes + 0x3000, bytes + 0x4000, narrow ? 14 : 28) == 0);
    }
  }
}

TEST_CASE("tags follow the registers' contents") {
  FpuMachine machine;
  machine.must_run(kFld1);         // R7: valid
  machine.must_run(kFldz);         // R6: zero
  machine.must_run(kFldz);         // R5
  machine.must_run(kFld1);         // R4
  machine.must_run({0xD8, 0xF1});  // 1 / 0 = infinity in R4: special
  machine.must_run({0xDD, 0xC2});  // FFREE ST(2): R6 empty
  CHECK(image::full_tag_word(machine.extended()) == 0b00'11'01'10'11'11'11'11);
}

TEST_CASE("FNSAVE stores 108 bytes and initialises; FRSTOR brings all back") {
  FpuMachine machine;
  machine.must_run(kFldpi);
  machine.must_run(kFld1);
  load_control(machine, 0x0F7F);
  machine.poke<u32>(kArea + 108, 0xCAFEBABE);
  machine.must_run(kFnsave);
  CHECK(machine.peek<u64>(kArea + 28) == 0x8000000000000000);  // ST(0) = 1
  CHECK(machine.peek<u16>(kArea + 36) == 0x3FFF);
  CHECK(machine.peek<u64>(kArea + 38) == 0xC90FDAA22168C235);  // ST(1) = pi
  CHECK(machine.peek<u32>(kArea + 108) == 0xCAFEBABE);
  CHECK(image::control(machine.extended()) == 0x037F);
  CHECK(image::full_tag_word(machine.extended()) == 0xFFFF);
  machine.must_run(kFrstor);
  CHECK(image::control(machine.extended()) == 0x0F7F);
  CHECK(image::top(machine.extended()) == 6);
  CHECK(image::full_tag_word(machine.extended()) == 0x0FFF);
  machine.must_run({0xDD, 0x1E});  // FSTP qword [ESI]
  CHECK(machine.peek<double>(FpuMachine::kData) == 1.0);
}

TEST_CASE("a store that faults or is suppressed changes nothing in memory") {
  FpuMachine machine;
  machine.must_run(kFldpi);
  SECTION("page fault in the second half: stack and status stay") {
    machine.page_absent(0x3000);
    const ExtendedState before = machine.extended();
    machine.poke<u32>(0x2FFC, 0x11223344);
    machine.must_fault({0xDD, 0x1D, 0xFC, 0x2F, 0x00, 0x00}, Vector::PageFault);  // FSTP [2FFCh]
    CHECK(machine.processor.pending_exception().fault_address == 0x3000);
    CHECK(machine.extended() == before);
    CHECK(machine.peek<u32>(0x2FFC) == 0x11223344);
    machine.must_fault({0xDB, 0x2D, 0xFC, 0x2F, 0x00, 0x00}, Vector::PageFault);  // FLD tword
    CHECK(machine.extended() == before);
  }
  SECTION("an unmasked invalid operation doesn't store and doesn't pop") {
    load_control(machine, 0x037E);
    machine.must_run({0xD9, 0xE1});  // FABS
    machine.must_run({0xD9, 0xFD});  // FSCALE with an empty ST(1): invalid, unmasked
    machine.must_run(kFnclex);
    machine.must_run(kFninit);
    load_control(machine, 0x037E);
    machine.poke<u32>(FpuMachine::kData + 8, 0x7F800000);
    machine.must_run({0xD9, 0x46, 0x08});  // FLD infinity
    machine.poke<u32>(FpuMachine::kData, 0x55667788);
    const unsigned top = image::top(machine.extended());
    machine.must_run({0xDB, 0x1E});  // FISTP dword [ESI]
    CHECK(machine.peek<u32>(FpuMachine::kData) == 0x55667788);
    CHECK(image::top(machine.extended()) == top);
    machine.must_fault(kFwait, Vector::X87FloatingPoint);
  }
  SECTION("an unmasked precision exception stores and pops") {
    load_control(machine, 0x035F);
    machine.must_run({0xDB, 0x1E});
    CHECK(machine.peek<u32>(FpuMachine::kData) == 3);
    CHECK(image::top(machine.extended()) == 0);
    machine.must_fault(kFwait, Vector::X87FloatingPoint);
  }
}

TEST_CASE("operands may cross a page") {
  FpuMachine machine;
  machine.poke<double>(0x2FFC, 2.5);
  machine.must_run({0xDD, 0x05, 0xFC, 0x2F, 0x00, 0x00});
  machine.must_run({0xDD, 0x1D, 0xFC, 0x3F, 0x00, 0x00});
  CHECK(machine.peek<double>(0x3FFC) == 2.5);
}

TEST_CASE("MMX instructions turn the stack into registers: SDM 1 §9.5") {
  FpuMachine machine;
  machine.must_run(kFldpi);
  machine.must_run(kFld1);
  REQUIRE(image::top(machine.extended()) == 6);
  machine.poke<u64>(FpuMachine::kData, 0x1122334455667788);
  machine.must_run({0x0F, 0x6F, 0x1E});  // MOVQ mm3, [ESI]
  CHECK(image::top(machine.extended()) == 0);
  CHECK(image::load<u8>(machine.extended(), image::kTag) == 0xFF);
  CHECK(image::load<u64>(machine.extended(), image::kStack + 48) == 0x1122334455667788);
  CHECK(image::load<u16>(machine.extended(), image::kStack + 56) == 0xFFFF);
  // R7 held pi, R6 held 1: MM7 and MM6 are their significands.
  CHECK(image::load<u64>(machine.extended(), image::kStack + 16 * 7) == 0xC90FDAA22168C235);
  CHECK(image::load<u64>(machine.extended(), image::kStack + 16 * 6) == 0x8000000000000000);
  CHECK(image::load<u16>(machine.extended(), image::kStack + 16 * 6 + 8) == 0x3FFF);
  machine.must_run({0x0F, 0x77});
  CHECK(image::full_tag_word(machine.extended()) == 0xFFFF);
}

TEST_CASE("an MMX store that faults has moved TOP and leaves the tags alone") {
  FpuMachine machine;
  machine.must_run(kFldpi);
  machine.page_absent(0x5000);
  ExtendedState before = machine.extended();
  image::set_top(before, 0);
  machine.must_fault({0x0F, 0x7F, 0x1D, 0x00, 0x50, 0x00, 0x00}, Vector::PageFault);
  CHECK(machine.extended() == before);
}

TEST_CASE("obsolete control instructions do nothing") {
  FpuMachine machine;
  const ExtendedState before = machine.extended();
  for (u8 modrm : {0xE0, 0xE1, 0xE4}) machine.must_run({0xDB, modrm});  // FENI, FDISI, FSETPM
  CHECK(machine.extended() == before);
}

TEST_CASE("the monitor's x87 unit is clean after guest instructions") {
  FpuMachine machine;
  load_control(machine, 0x0C40);
  for (unsigned i = 0; i < 9; ++i) machine.must_run(kFnclex), (void)machine.run(kFldpi);
  std::array<u8, 28> environment{};
  __asm__ volatile("fnstenv %0\n fldenv %0" : "+m"(environment));
  u16 control = 0, status = 0, tags = 0;
  std::memcpy(&control, environment.data(), 2);
  std::memcpy(&status, environment.data() + 4, 2);
  std::memcpy(&tags, environment.data() + 8, 2);
  CHECK(control == 0x037F);
  CHECK((status & 0x80) == 0);
  CHECK(tags == 0xFFFF);
}

}  // namespace
}  // namespace ringshift::cpu::test
