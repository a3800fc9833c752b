// CPUID: SDM 2A, and that leaves, features and each other agree.
#include <string>

#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;

namespace {

CpuidLeaf ask(const CpuidModel& model, u32 leaf, u32 subleaf = 0, u64 cr4_value = 0, u64 xcr0 = 1) {
  return model.query(leaf, subleaf, cr4_value, xcr0, true, 0);
}

std::string text(std::initializer_list<u32> words) {
  std::string result;
  for (const u32 word : words) {
    for (unsigned shift = 0; shift < 32; shift += 8) result += static_cast<char>(word >> shift);
  }
  return result;
}

}  // namespace

TEST_CASE("identity leaves") {
  const CpuidModel model = full_model();
  const CpuidLeaf zero = ask(model, 0);
  CHECK(zero.eax == 0x16);
  CHECK(text({zero.ebx, zero.edx, zero.ecx}) == "GenuineIntel");
  const CpuidLeaf one = ask(model, 1);
  CHECK(one.eax == 0x000106CA);
  CHECK((one.ebx >> 8 & 0xFF) == 8);  // CLFLUSH line in quadwords
  const CpuidLeaf a = ask(model, 0x80000002);
  CHECK(text({a.eax, a.ebx, a.ecx}) == "Test Process");
  CHECK(ask(model, 0x80000004).edx == 0);
  CHECK(ask(model, 0x80000000).eax == 0x80000008);
  CHECK(ask(model, 0x80000008).eax == 0x00002024);  // 36 physical, 32 linear bits
}

TEST_CASE("feature bits stand where features.def says, and nowhere else") {
  CpuidModel model = full_model();
  model.features.reset();
  CHECK(ask(model, 1).edx == 0);
  CHECK(ask(model, 1).ecx == 0);
  CHECK(ask(model, 7).ebx == 0);
  model.features.set(static_cast<std::size_t>(Feature::Pae));
  CHECK(ask(model, 1).edx == 1U << 6);
  model.features.set(static_cast<std::size_t>(Feature::Smap));
  CHECK(ask(model, 7).ebx == 1U << 20);
  CHECK(ask(model, 7, 1).ebx == 0);
  model.features.set(static_cast<std::size_t>(Feature::NoExecute));
  CHECK(ask(model, 0x80000001).edx == 1U << 20);
  CHECK(ask(model, 0x80000001).ecx == 0);
}

TEST_CASE("leaf 1 follows CR4 and the APIC") {
  const CpuidModel model = full_model();
  CHECK((ask(model, 1).ecx >> 27 & 1) == 0);
  CHECK((ask(model, 1, 0, cr4::OSXSAVE).ecx >> 27 & 1) == 1);
  CHECK((model.query(1, 0, 0, 1, true, 0).edx >> 9 & 1) == 1);
  CHECK((model.query(1, 0, 0, 1, false, 0).edx >> 9 & 1) == 0);
}

TEST_CASE("XSAVE sizes") {
  CpuidModel model = full_model();
  const CpuidLeaf now = ask(model, 0xD, 0, 0, 1);
  CHECK(now.eax == 7);
  CHECK(now.ebx == 576);
  CHECK(now.ecx == 832);
  CHECK(ask(model, 0xD, 0, 0, 7).ebx == 832);
  CHECK((ask(model, 0xD, 1).eax & 7) == 7);
  const CpuidLeaf avx = ask(model, 0xD, 2);
  CHECK(avx.eax == 256);
  CHECK(avx.ebx == 576);
  model.features.reset(static_cast<std::size_t>(Feature::Avx));
  CHECK(ask(model, 0xD).eax == 3);
  CHECK(ask(model, 0xD, 2).eax == 0);
}

TEST_CASE("leaf 4 enumerates caches and ends") {
  const CpuidModel model = full_model();
  const CpuidLeaf l1 = ask(model, 4, 0);
  CHECK((l1.eax & 0x1F) == 1);
  const u64 ways = (l1.ebx >> 22) + 1, line = (l1.ebx & 0xFFF) + 1, sets = l1.ecx + u64{1};
  CHECK(ways * line * sets == 32 * 1024);
  CHECK((ask(model, 4, 4).eax & 0x1F) == 0);
}

TEST_CASE("leaf 15h gives the TSC's rate with factors that fit 32 bits") {
  CpuidModel model = full_model();
  const u32 khz = GENERATE(2'100'000U, 3'693'061U, 999'999U, 4'500'123U);
  model.tsc_khz = khz;
  const CpuidLeaf leaf = ask(model, 0x15);
  REQUIRE(leaf.eax != 0);
  CHECK(leaf.ecx == 100'000'000);
  const u64 product = u64{leaf.ecx} / 1000 * leaf.ebx;
  CHECK(product < u64{1} << 32);
  const u64 rate = product / leaf.eax;
  CHECK(std::max<u64>(rate, khz) - std::min<u64>(rate, khz) <= khz / 100'000);  // 10 ppm
  model.crystal_hz = 0;
  CHECK(ask(model, 0x15).eax == 0);
}

TEST_CASE("leaves beyond the end answer as the last basic leaf") {
  const CpuidModel model = full_model();
  CHECK(ask(model, 0x1000).eax == ask(model, 0x16).eax);
  CHECK(ask(model, 0x80000009).eax == ask(model, 0x16).eax);
}

TEST_CASE("the host's model is consistent") {
  const CpuidModel model = CpuidModel::from_host();
  CHECK(model.tsc_khz > 100'000);
  CHECK(model.has(Feature::Pae));
  CHECK(model.has(Feature::Sse2));
  CHECK((model.has(Feature::Xsave) || !model.has(Feature::Avx)));
  CHECK((model.has(Feature::Avx) || !model.has(Feature::Avx2)));
  CHECK(model.has(Feature::ArchCapabilities));
}
