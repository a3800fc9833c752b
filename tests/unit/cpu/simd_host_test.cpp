// Every class of MMX, SSE and AVX instructions against the host executing the same text natively.
#include <random>

#include "fpu_fixture.h"
#include "host_comparison.h"

// clang-format off
#define MMX_CASES(R, M)                                                                            \
  R(mmx_paddb, "paddb %mm2,%mm1") M(mmx_paddw_m, "paddw ", ",%mm1") R(mmx_paddq, "paddq %mm2,%mm1") \
  R(mmx_psubsb, "psubsb %mm3,%mm4") R(mmx_packssdw, "packssdw %mm2,%mm1") R(mmx_pand, "pand %mm7,%mm0") \
  M(mmx_pandn_m, "pandn ", ",%mm5") R(mmx_pcmpeqb, "pcmpeqb %mm2,%mm1") R(mmx_pcmpgtw, "pcmpgtw %mm2,%mm1") \
  R(mmx_pmaddwd, "pmaddwd %mm2,%mm1") R(mmx_pmulhw, "pmulhw %mm2,%mm1") R(mmx_psllw, "psllw $3,%mm1") \
  R(mmx_psradm, "psrad %mm2,%mm1") M(mmx_psrlq_m, "psrlq ", ",%mm1") R(mmx_punpckhbw, "punpckhbw %mm2,%mm1") \
  M(mmx_punpcklwd_m, "punpcklwd ", ",%mm6") R(mmx_movd_to, "movd %ecx,%mm3") R(mmx_movd_from, "movd %mm3,%edx") \
  M(mmx_movd_m, "movd ", ",%mm3") M(mmx_movd_store, "movd %mm3,", "") M(mmx_movq_load, "movq ", ",%mm2") \
  M(mmx_movq_store, "movq %mm2,", "") R(mmx_movq, "movq %mm2,%mm5") R(mmx_pavgb, "pavgb %mm2,%mm1") \
  R(mmx_pinsrw, "pinsrw $2,%eax,%mm1") M(mmx_pinsrw_m, "pinsrw $1,", ",%mm1") R(mmx_pextrw, "pextrw $3,%mm1,%edx") \
  R(mmx_pmovmskb, "pmovmskb %mm4,%ecx") R(mmx_pshufw, "pshufw $0x1b,%mm2,%mm1") M(mmx_movntq, "movntq %mm1,", "") \
  R(mmx_pmuludq, "pmuludq %mm2,%mm1") R(mmx_pshufb, "pshufb %mm2,%mm1") R(mmx_palignr, "palignr $3,%mm2,%mm1") \
  R(mmx_pabsd, "pabsd %mm2,%mm1") R(mmx_phaddsw, "phaddsw %mm2,%mm1") R(mmx_psadbw, "psadbw %mm2,%mm1") \
  R(mmx_cvtpi2ps, "cvtpi2ps %mm2,%xmm1") R(mmx_cvtpi2pd, "cvtpi2pd %mm2,%xmm1") R(mmx_cvtps2pi, "cvtps2pi %xmm2,%mm1") \
  M(mmx_cvttps2pi_m, "cvttps2pi ", ",%mm1") R(mmx_cvtpd2pi, "cvtpd2pi %xmm2,%mm1") M(mmx_cvtpi2ps_m, "cvtpi2ps ", ",%xmm1") \
  R(mmx_movdq2q, "movdq2q %xmm2,%mm1") R(mmx_movq2dq, "movq2dq %mm2,%xmm1") R(mmx_maskmovq, "maskmovq %mm2,%mm1")

#define SSE_CASES(R, M)                                                                            \
  R(addps, "addps %xmm2,%xmm1") M(addps_m, "addps ", ",%xmm1") R(addss, "addss %xmm2,%xmm1") M(addsd_m, "addsd ", ",%xmm1") \
  R(subpd, "subpd %xmm3,%xmm7") R(mulps, "mulps %xmm2,%xmm1") R(divps, "divps %xmm2,%xmm1") R(divsd, "divsd %xmm2,%xmm1") \
  R(sqrtpd, "sqrtpd %xmm2,%xmm1") R(sqrtss, "sqrtss %xmm2,%xmm1") R(maxps, "maxps %xmm2,%xmm1") R(minpd, "minpd %xmm2,%xmm1") \
  R(cmpltps, "cmpltps %xmm2,%xmm1") R(cmpsd, "cmpneqsd %xmm2,%xmm1") M(cmpss_m, "cmpunordss ", ",%xmm1") \
  R(rcpps, "rcpps %xmm2,%xmm1") R(rsqrtss, "rsqrtss %xmm2,%xmm1") R(andnps, "andnps %xmm2,%xmm1") R(xorpd, "xorpd %xmm2,%xmm1") \
  R(shufps, "shufps $0x39,%xmm2,%xmm1") R(unpckhpd, "unpckhpd %xmm2,%xmm1") R(comiss, "comiss %xmm2,%xmm1") \
  R(ucomisd, "ucomisd %xmm2,%xmm1") M(comisd_m, "comisd ", ",%xmm1") \
  R(cvtsi2ss, "cvtsi2ss %ecx,%xmm1") M(cvtsi2sd_m, "cvtsi2sdl ", ",%xmm1") R(cvtss2si, "cvtss2si %xmm1,%edx") \
  R(cvttsd2si, "cvttsd2si %xmm1,%eax") M(cvttss2si_m, "cvttss2si ", ",%ecx") R(cvtdq2ps, "cvtdq2ps %xmm2,%xmm1") \
  R(cvtdq2pd, "cvtdq2pd %xmm2,%xmm1") R(cvtps2pd, "cvtps2pd %xmm2,%xmm1") M(cvtps2pd_m, "cvtps2pd ", ",%xmm1") \
  R(cvtpd2ps, "cvtpd2ps %xmm2,%xmm1") R(cvtpd2dq, "cvtpd2dq %xmm2,%xmm1") R(cvttps2dq, "cvttps2dq %xmm2,%xmm1") R(cvtsd2ss, "cvtsd2ss %xmm2,%xmm1") \
  M(movaps_load, "movaps ", ",%xmm4") M(movaps_store, "movaps %xmm4,", "") R(movaps, "movaps %xmm4,%xmm0") \
  M(movups_store, "movups %xmm4,", "") M(movss_load, "movss ", ",%xmm1") M(movss_store, "movss %xmm1,", "") R(movss, "movss %xmm2,%xmm1") \
  M(movsd_load, "movsd ", ",%xmm1") M(movlps_load, "movlps ", ",%xmm1") M(movhps_store, "movhps %xmm1,", "") R(movhlps, "movhlps %xmm2,%xmm1") \
  M(movntps, "movntps %xmm1,", "") M(movdqa_store, "movdqa %xmm1,", "") M(movdqu_load, "movdqu ", ",%xmm1") \
  R(movmskps, "movmskps %xmm1,%ecx") R(movmskpd, "movmskpd %xmm1,%edx") R(movd_to, "movd %ecx,%xmm1") R(movd_from, "movd %xmm1,%edx") \
  M(movd_store, "movd %xmm1,", "") M(movq_load, "movq ", ",%xmm1") M(movq_store, "movq %xmm1,", "") R(movq, "movq %xmm2,%xmm1") \
  R(paddd, "paddd %xmm2,%xmm1") M(psubusw_m, "psubusw ", ",%xmm1") R(pslldq, "pslldq $5,%xmm1") R(psrlw, "psrlw $4,%xmm1") M(psllq_m, "psllq ", ",%xmm1") \
  R(pshufd, "pshufd $0xb1,%xmm2,%xmm1") M(pshufhw_m, "pshufhw $0x1b,", ",%xmm1") R(pmovmskb, "pmovmskb %xmm2,%edx") \
  R(pextrw, "pextrw $5,%xmm2,%edx") R(pinsrw, "pinsrw $6,%eax,%xmm1") R(maskmovdqu, "maskmovdqu %xmm2,%xmm1") \
  R(movddup, "movddup %xmm2,%xmm1") M(movddup_m, "movddup ", ",%xmm1") R(movshdup, "movshdup %xmm2,%xmm1") M(lddqu, "lddqu ", ",%xmm1") \
  R(addsubps, "addsubps %xmm2,%xmm1") R(haddpd, "haddpd %xmm2,%xmm1") R(hsubps, "hsubps %xmm2,%xmm1") \
  R(pshufb, "pshufb %xmm2,%xmm1") R(palignr, "palignr $7,%xmm2,%xmm1") R(pmulhrsw, "pmulhrsw %xmm2,%xmm1") R(psignd, "psignd %xmm2,%xmm1") \
  R(blendps, "blendps $5,%xmm2,%xmm1") R(blendvps, "blendvps %xmm0,%xmm2,%xmm1") M(pblendvb_m, "pblendvb %xmm0,", ",%xmm1") \
  R(dpps, "dpps $0x71,%xmm2,%xmm1") R(roundpd, "roundpd $4,%xmm2,%xmm1") M(roundss_m, "roundss $1,", ",%xmm1") \
  R(extractps, "extractps $2,%xmm1,%edx") M(extractps_m, "extractps $1,%xmm1,", "") R(insertps, "insertps $0x98,%xmm2,%xmm1") M(insertps_m, "insertps $0x21,", ",%xmm1") \
  R(pextrb, "pextrb $9,%xmm1,%ecx") M(pextrb_m, "pextrb $9,%xmm1,", "") R(pextrd, "pextrd $3,%xmm1,%edx") M(pextrw41_m, "pextrw $2,%xmm1,", "") \
  R(pinsrb, "pinsrb $4,%edx,%xmm1") M(pinsrd_m, "pinsrd $2,", ",%xmm1") R(mpsadbw, "mpsadbw $5,%xmm2,%xmm1") R(phminposuw, "phminposuw %xmm2,%xmm1") \
  M(pmovsxbq_m, "pmovsxbq ", ",%xmm1") M(pmovzxwd_m, "pmovzxwd ", ",%xmm1") R(pmuldq, "pmuldq %xmm2,%xmm1") R(pmaxsd, "pmaxsd %xmm2,%xmm1") \
  R(ptest, "ptest %xmm2,%xmm1") M(movntdqa, "movntdqa ", ",%xmm1") R(pcmpgtq, "pcmpgtq %xmm2,%xmm1") \
  R(pcmpestri, "pcmpestri $0x0c,%xmm2,%xmm1") R(pcmpestrm, "pcmpestrm $0x40,%xmm2,%xmm1") M(pcmpistri_m, "pcmpistri $0x18,", ",%xmm1") R(pcmpistrm, "pcmpistrm $0x08,%xmm2,%xmm1")

#define CRYPTO_CASES(R, M)                                                                         \
  R(aesenc, "aesenc %xmm2,%xmm1") M(aesdeclast_m, "aesdeclast ", ",%xmm1") R(aesimc, "aesimc %xmm2,%xmm1") \
  R(aeskeygenassist, "aeskeygenassist $0x36,%xmm2,%xmm1") R(pclmulqdq, "pclmulqdq $0x11,%xmm2,%xmm1")
#define SHA_CASES(R, M)                                                                            \
  R(sha1rnds4, "sha1rnds4 $2,%xmm2,%xmm1") R(sha1nexte, "sha1nexte %xmm2,%xmm1") R(sha256rnds2, "sha256rnds2 %xmm0,%xmm2,%xmm1") R(sha256msg1, "sha256msg1 %xmm2,%xmm1")

#define AVX_CASES(R, M)                                                                            \
  R(vaddps, "vaddps %xmm2,%xmm3,%xmm1") R(vaddps_y, "vaddps %ymm2,%ymm3,%ymm1") M(vmulpd_ym, "vmulpd ", ",%ymm3,%ymm1") M(vsubsd_m, "vsubsd ", ",%xmm3,%xmm1") \
  R(vdivss, "vdivss %xmm2,%xmm3,%xmm1") R(vsqrtps_y, "vsqrtps %ymm2,%ymm1") R(vcmpps_y, "vcmpps $0x1d,%ymm2,%ymm3,%ymm1") R(vcomisd, "vcomisd %xmm2,%xmm1") \
  M(vucomiss_m, "vucomiss ", ",%xmm1") R(vcvtsi2sd, "vcvtsi2sd %ecx,%xmm3,%xmm1") R(vcvttss2si, "vcvttss2si %xmm2,%edx") R(vcvtdq2pd_y, "vcvtdq2pd %xmm2,%ymm1") \
  R(vcvtpd2ps_y, "vcvtpd2ps %ymm2,%xmm1") M(vcvtps2pd_ym, "vcvtps2pd ", ",%ymm1") R(vhaddps_y, "vhaddps %ymm2,%ymm3,%ymm1") R(vroundpd_y, "vroundpd $3,%ymm2,%ymm1") \
  R(vdpps_y, "vdpps $0xf1,%ymm2,%ymm3,%ymm1") M(vmovaps_load, "vmovaps ", ",%ymm1") M(vmovaps_store, "vmovaps %ymm1,", "") M(vmovdqu_store, "vmovdqu %xmm1,", "") \
  R(vmovss, "vmovss %xmm2,%xmm3,%xmm1") M(vmovsd_load, "vmovsd ", ",%xmm1") R(vmovd_to, "vmovd %ecx,%xmm1") R(vmovd_from, "vmovd %xmm1,%edx") M(vmovq_load, "vmovq ", ",%xmm1") \
  R(vmovmskps_y, "vmovmskps %ymm2,%ecx") R(vpmovmskb_y, "vpmovmskb %ymm2,%ecx") R(vblendvps_y, "vblendvps %ymm5,%ymm2,%ymm3,%ymm1") M(vpblendvb_m, "vpblendvb %xmm6,", ",%xmm3,%xmm1") \
  R(vextractf128, "vextractf128 $1,%ymm2,%xmm1") M(vextractf128_m, "vextractf128 $1,%ymm2,", "") M(vinsertf128_m, "vinsertf128 $1,", ",%ymm2,%ymm1") \
  R(vperm2f128, "vperm2f128 $0x31,%ymm2,%ymm3,%ymm1") R(vpermilps_y, "vpermilps %ymm2,%ymm3,%ymm1") M(vbroadcastss_m, "vbroadcastss ", ",%ymm1") M(vbroadcastf128, "vbroadcastf128 ", ",%ymm1") \
  R(vpextrw, "vpextrw $3,%xmm2,%edx") M(vpextrb_m, "vpextrb $3,%xmm2,", "") R(vpinsrd, "vpinsrd $1,%eax,%xmm3,%xmm1") \
  R(vptest_y, "vptest %ymm2,%ymm1") R(vtestpd_y, "vtestpd %ymm2,%ymm1") R(vpcmpestri, "vpcmpestri $0x1a,%xmm2,%xmm1") R(vpcmpistrm, "vpcmpistrm $0x08,%xmm2,%xmm1") \
  R(vaesenc, "vaesenc %xmm2,%xmm3,%xmm1") R(vpclmulqdq, "vpclmulqdq $0x10,%xmm2,%xmm3,%xmm1") R(vpaddd, "vpaddd %xmm2,%xmm3,%xmm1") M(vpand_m, "vpand ", ",%xmm3,%xmm1") \
  R(vpslldq, "vpslldq $3,%xmm2,%xmm1") R(vzeroupper, "vzeroupper") R(vmaskmovdqu, "vmaskmovdqu %xmm2,%xmm1") M(vmaskmovps_load, "vmaskmovps ", ",%ymm2,%ymm1") \
  M(vmaskmovpd_store, "vmaskmovpd %ymm3,%ymm2,", "") M(vlddqu_y, "vlddqu ", ",%ymm1") M(vmovntdq_y, "vmovntdq %ymm1,", "")

#define AVX2_CASES(R, M)                                                                           \
  R(vpaddq_y, "vpaddq %ymm2,%ymm3,%ymm1") M(vpmulld_ym, "vpmulld ", ",%ymm3,%ymm1") R(vpshufb_y, "vpshufb %ymm2,%ymm3,%ymm1") R(vpalignr_y, "vpalignr $9,%ymm2,%ymm3,%ymm1") \
  R(vpermd, "vpermd %ymm2,%ymm3,%ymm1") R(vpermq, "vpermq $0x4e,%ymm2,%ymm1") M(vpbroadcastb_m, "vpbroadcastb ", ",%ymm1") R(vbroadcastsd, "vbroadcastsd %xmm2,%ymm1") \
  R(vpsllvd_y, "vpsllvd %ymm2,%ymm3,%ymm1") R(vpsravd, "vpsravd %xmm2,%xmm3,%xmm1") R(vpsrlvq_y, "vpsrlvq %ymm2,%ymm3,%ymm1") M(vpmovsxwd_ym, "vpmovsxwd ", ",%ymm1") \
  R(vinserti128, "vinserti128 $0,%xmm2,%ymm3,%ymm1") M(vmovntdqa_y, "vmovntdqa ", ",%ymm1") M(vpmaskmovd_load, "vpmaskmovd ", ",%ymm2,%ymm1") M(vpmaskmovq_store, "vpmaskmovq %ymm3,%ymm2,", "") \
  R(vpblendd, "vpblendd $0x5a,%ymm2,%ymm3,%ymm1") R(vpsrlw_y, "vpsrlw %xmm2,%ymm3,%ymm1") R(vmpsadbw_y, "vmpsadbw $0x2b,%ymm2,%ymm3,%ymm1")

#define FMA_CASES(R, M)                                                                            \
  R(vfmadd132ps_y, "vfmadd132ps %ymm2,%ymm3,%ymm1") M(vfmadd213sd_m, "vfmadd213sd ", ",%xmm3,%xmm1") R(vfnmsub231pd_y, "vfnmsub231pd %ymm2,%ymm3,%ymm1") \
  R(vfmaddsub213ps, "vfmaddsub213ps %xmm2,%xmm3,%xmm1") R(vfmsub231ss, "vfmsub231ss %xmm2,%xmm3,%xmm1") \
  R(vcvtph2ps_y, "vcvtph2ps %xmm2,%ymm1") M(vcvtph2ps_m, "vcvtph2ps ", ",%xmm1") R(vcvtps2ph_y, "vcvtps2ph $1,%ymm2,%xmm1") M(vcvtps2ph_m, "vcvtps2ph $4,%xmm2,", "")
// clang-format on

#define ALL_CASES(R, M) \
  MMX_CASES(R, M) SSE_CASES(R, M) CRYPTO_CASES(R, M) SHA_CASES(R, M) AVX_CASES(R, M) \
  AVX2_CASES(R, M) FMA_CASES(R, M)

namespace ringshift::cpu::test {

ALL_CASES(HOST_CASE_CODE_R, HOST_CASE_CODE_M)
ALL_CASES(HOST_CASE_DECLARE_R, HOST_CASE_DECLARE_M)

namespace {

constexpr unsigned kRounds = 12;

const HostCase kMmx[] = {MMX_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kSse[] = {SSE_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kCrypto[] = {CRYPTO_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kSha[] = {SHA_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kAvx[] = {AVX_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kAvx2[] = {AVX2_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};
const HostCase kFma[] = {FMA_CASES(HOST_CASE_ENTRY_R, HOST_CASE_ENTRY_M)};

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
  CHECK((machine.processor.state.rflags & eflags::Arithmetic) == (native.flags & eflags::Arithmetic));
  CHECK(machine.processor.state.gpr[Rax] == (native.gpr[0] & 0xFFFFFFFF));
  CHECK(machine.processor.state.gpr[Rcx] == (native.gpr[1] & 0xFFFFFFFF));
  CHECK(machine.processor.state.gpr[Rdx] == (native.gpr[2] & 0xFFFFFFFF));
  CHECK(std::memcmp(machine.memory.bytes.data() + FpuMachine::kData, native.memory.data(),
                    native.memory.size()) == 0);
}

template <std::size_t N>
void compare_cases(const HostCase (&cases)[N]) {
  FpuMachine machine;
  for (const HostCase& test : cases) {
    INFO(test.name);
    Values values(static_cast<u32>(test.name.size() * 7919 + static_cast<u8>(test.name[0])));
    for (unsigned round = 0; round < kRounds; ++round) {
      NativeRegisters native = make_registers(values);
      load_guest(machine, native);
      native.memory_pointer = reinterpret_cast<u64>(native.memory.data());
      ringshift_test_run_simd(&native, test.native);
      REQUIRE(machine.run(std::span(test.guest, test.guest_end)) == Completion::Next);
      compare(machine, native);
    }
  }
}

TEST_CASE("MMX instructions do what the host does") { compare_cases(kMmx); }
TEST_CASE("SSE instructions do what the host does") { compare_cases(kSse); }
TEST_CASE("AES and PCLMULQDQ do what the host does") {
  if (CpuidModel::from_host().has(Feature::Aes)) compare_cases(kCrypto);
}
TEST_CASE("SHA instructions do what the host does") {
  if (CpuidModel::from_host().has(Feature::Sha)) compare_cases(kSha);
}
TEST_CASE("AVX instructions do what the host does") {
  if (CpuidModel::from_host().has(Feature::Avx)) compare_cases(kAvx);
}
TEST_CASE("AVX2 instructions do what the host does") {
  if (CpuidModel::from_host().has(Feature::Avx2)) compare_cases(kAvx2);
}
TEST_CASE("FMA and F16C do what the host does") {
  if (CpuidModel::from_host().has(Feature::Fma)) compare_cases(kFma);
}

}  // namespace
}  // namespace ringshift::cpu::test
