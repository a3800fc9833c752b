// x87 data operations against the host executing the same text natively: results, status, tags, flags.
#include <random>

#include "fpu_fixture.h"
#include "host_comparison.h"

// clang-format off
#define X87_CASES(R, M)                                                                            \
  R(f2xm1, "f2xm1") R(fabs, "fabs") R(fadd, "fadd %st(3),%st") R(fadd_to, "fadd %st,%st(2)") M(fadd_s, "fadds ", "") M(fadd_l, "faddl ", "") \
  R(faddp, "faddp %st,%st(1)") M(fiadd_s, "fiadds ", "") M(fiadd_l, "fiaddl ", "") M(fbld, "fbld ", "") M(fbstp, "fbstp ", "") R(fchs, "fchs") \
  R(fcmovb, "fcmovb %st(2),%st") R(fcmovnbe, "fcmovnbe %st(1),%st") R(fcmovu, "fcmovu %st(4),%st") R(fcmovne, "fcmovne %st(3),%st") \
  R(fcom, "fcom %st(2)") M(fcomp_l, "fcompl ", "") R(fcompp, "fcompp") R(fcomi, "fcomi %st(1),%st") R(fcomip, "fcomip %st(2),%st") R(fucomi, "fucomi %st(1),%st") R(fucomip, "fucomip %st(3),%st") \
  R(fucom, "fucom %st(1)") R(fucompp, "fucompp") M(ficom_s, "ficoms ", "") M(ficomp_l, "ficompl ", "") R(fcos, "fcos") R(fdecstp, "fdecstp") R(fincstp, "fincstp") \
  R(fdiv, "fdiv %st(1),%st") R(fdivr, "fdivr %st(1),%st") M(fdiv_l, "fdivl ", "") M(fidivr_l, "fidivrl ", "") R(fdivrp, "fdivrp %st,%st(1)") R(ffree, "ffree %st(2)") \
  R(ffreep, ".byte 0xdf,0xc1") R(fcom2, ".byte 0xdc,0xd2") R(fxch7, ".byte 0xdf,0xc9") R(fstp8, ".byte 0xdf,0xd3") R(fstpnce, ".byte 0xd9,0xdb") \
  M(fild_s, "filds ", "") M(fild_l, "fildl ", "") M(fild_ll, "fildll ", "") M(fist_s, "fists ", "") M(fist_l, "fistl ", "") M(fistp_s, "fistps ", "") M(fistp_l, "fistpl ", "") M(fistp_ll, "fistpll ", "") \
  M(fisttp_s, "fisttps ", "") M(fisttp_l, "fisttpl ", "") M(fisttp_ll, "fisttpll ", "") R(fld, "fld %st(3)") M(fld_s, "flds ", "") M(fld_l, "fldl ", "") M(fld_t, "fldt ", "") \
  M(fst_s, "fsts ", "") M(fst_l, "fstl ", "") R(fst, "fst %st(5)") M(fstp_s, "fstps ", "") M(fstp_l, "fstpl ", "") M(fstp_t, "fstpt ", "") R(fstp, "fstp %st(4)") \
  R(fld1, "fld1") R(fldl2e, "fldl2e") R(fldl2t, "fldl2t") R(fldlg2, "fldlg2") R(fldln2, "fldln2") R(fldpi, "fldpi") R(fldz, "fldz") \
  R(fmul, "fmul %st(1),%st") R(fmulp, "fmulp %st,%st(2)") M(fmul_s, "fmuls ", "") M(fimul_s, "fimuls ", "") R(fnop, "fnop") R(fpatan, "fpatan") R(fprem, "fprem") R(fprem1, "fprem1") R(fptan, "fptan") \
  R(frndint, "frndint") R(fscale, "fscale") R(fsin, "fsin") R(fsincos, "fsincos") R(fsqrt, "fsqrt") R(fsub, "fsub %st(2),%st") R(fsubr_to, "fsubr %st,%st(2)") M(fsub_l, "fsubl ", "") M(fisubr_s, "fisubrs ", "") \
  R(fsubp, "fsubp %st,%st(1)") R(fsubrp, "fsubrp %st,%st(1)") R(ftst, "ftst") R(fxam, "fxam") R(fxch, "fxch %st(6)") R(fxtract, "fxtract") R(fyl2x, "fyl2x") R(fyl2xp1, "fyl2xp1")
// clang-format on

namespace ringshift::cpu::test {

X87_CASES(HOST_CASE_CODE_R, HOST_CASE_CODE_M)
X87_CASES(HOST_CASE_DECLARE_R, HOST_CASE_DECLARE_M)

namespace {

const HostCase kX87[] = {X87_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};

struct Extended {
  u64 significand;
  u16 exponent;
};

constexpr Extended kValues[] = {
    {0, 0},                                    // +0
    {0, 0x8000},                               // -0
    {0x8000000000000000, 0x3FFF},              // 1
    {0x8000000000000000, 0xBFFF},              // -1
    {0xC90FDAA22168C235, 0x4000},              // pi
    {0xB17217F7D1CF79AC, 0x3FFE},              // ln 2
    {0x8000000000000000, 0x3FFD},              // 1/4
    {0xA000000000000000, 0xC001},              // -5
    {0xFFFFFFFFFFFFFFFF, 0x7FFE},              // largest
    {0x8000000000000000, 0x0001},              // smallest normal
    {0x0000000000000001, 0x0000},              // smallest denormal
    {0x8000000000000000, 0x0000},              // pseudo-denormal
    {0x8000000000000000, 0x7FFF},              // infinity
    {0x8000000000000000, 0xFFFF},              // -infinity
    {0xC000000000000000, 0xFFFF},              // the default NaN
    {0xA000000000000001, 0x7FFF},              // a signalling NaN
    {0x4000000000000000, 0x4000},              // an unnormal: unsupported
    {0x9C40000000000000, 0x400C},              // 20000
    {0xE35FA931A0000000, 0x4023},              // about 61e9
    {0xFFFFFFFFFFFFFFFF, 0x407E},              // about 3.4e38: rounds out of single
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
    default: break;
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

void compare_all(bool unmasked) {
  constexpr unsigned kRounds = 24;
  FpuMachine machine;
  for (const HostCase& test : kX87) {
    INFO(test.name);
    std::mt19937 random(static_cast<u32>(test.name.size() * 31 + static_cast<u8>(test.name[1])));
    for (unsigned round = 0; round < kRounds; ++round) {
      NativeRegisters native;
      fill_state(random, unmasked, native);
      fill_memory(random, native);
      native.flags = 2 | (random() & 0x45);
      load_guest(machine, native);
      native.memory_pointer = reinterpret_cast<u64>(native.memory.data());
      ringshift_test_run_x87(&native, test.native);
      INFO("round " << round);
      REQUIRE(machine.run(std::span(test.guest, test.guest_end)) == Completion::Next);
      compare(machine, native);
    }
  }
}

TEST_CASE("x87 instructions do what the host does, exceptions masked") { compare_all(false); }

// FNSAVE doesn't wait, so that natively, too, an unmasked exception only shows in the saved state.
TEST_CASE("x87 instructions do what the host does, exceptions unmasked") { compare_all(true); }

}  // namespace
}  // namespace ringshift::cpu::test
