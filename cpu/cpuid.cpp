// What CPUID answers. SDM 2A CPUID; the hypervisor leaves follow the common convention for
// 40000000h.
//
// The model is a family 6, model 1Ch part: an in-order core without speculation, to which none of
// the speculation attacks applies. Guests know that from the model number alone, and so use neither
// page-table isolation nor retpolines, which would cost much here and protect nothing.
#include "cpu/cpuid.h"

#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ringshift::cpu {

namespace {

constexpr u32 kFamilyModelStepping = 0x000106CA;
constexpr u32 kHypervisorBase = 0x4000'0000, kHypervisorTiming = 0x4000'0010;
constexpr u32 kExtendedBase = 0x8000'0000, kExtendedLast = 0x8000'0008;
constexpr u32 kLegacyXsaveArea = 512 + 64, kAvxArea = 256;

enum class Register : u8 { eax, ebx, ecx, edx };

struct FeatureBit {
  u32 leaf;
  u32 subleaf;
  Register where;
  u8 bit;
};

/// By Feature, from 1 on.
constexpr FeatureBit kFeatureBits[] = {
    {0, 0, Register::eax, 0},  // Always
#define FEATURE(name, leaf, subleaf, reg, bit) {leaf, subleaf, Register::reg, bit},
#include "cpu/features.def"
#undef FEATURE
};

u32& register_of(CpuidLeaf& leaf, Register where) {
  switch (where) {
    case Register::eax:
      return leaf.eax;
    case Register::ebx:
      return leaf.ebx;
    case Register::ecx:
      return leaf.ecx;
    case Register::edx:
      break;
  }
  return leaf.edx;
}

CpuidLeaf host_leaf(u32 leaf, u32 subleaf) {
  CpuidLeaf answer;
  if (__get_cpuid_count(leaf, subleaf, &answer.eax, &answer.ebx, &answer.ecx, &answer.edx) == 0) {
    return {};
  }
  return answer;
}

/// Features that live in the monitor alone: the host's processor has no part in them.
bool independent_of_host(Feature feature) {
  switch (feature) {
    case Feature::Vme:
    case Feature::DebugExtensions:
    case Feature::Pse:
    case Feature::Msr:
    case Feature::Pae:
    case Feature::Mce:
    case Feature::Apic:
    case Feature::Sep:
    case Feature::Mtrr:
    case Feature::Pge:
    case Feature::Mca:
    case Feature::Pat:
    case Feature::Pse36:
    case Feature::SelfSnoop:
    case Feature::TscDeadline:
    case Feature::Hypervisor:
    case Feature::TscAdjust:
    case Feature::FdpExceptionsOnly:
    case Feature::NoFpuSelectors:
    case Feature::Smep:
    case Feature::Smap:
    case Feature::Umip:
    case Feature::ArchCapabilities:
    case Feature::NoExecute:
    case Feature::Rdtscp:
    case Feature::Rdpid:
    case Feature::PrefetchW:
      return true;
    default:
      return false;
  }
}

/// Whether the host's operating system keeps YMM registers for us.
bool host_keeps_ymm() {
  if ((host_leaf(1, 0).ecx >> 27 & 1) == 0) return false;
  u32 low = 0;
  u32 high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;
}

void remove_dependents(FeatureSet& features) {
  const auto has = [&](Feature feature) { return features[static_cast<std::size_t>(feature)]; };
  const auto remove = [&](std::initializer_list<Feature> list) {
    for (const Feature feature : list) features.reset(static_cast<std::size_t>(feature));
  };
  if (!has(Feature::Xsave)) {
    remove({Feature::Avx, Feature::XsaveOpt, Feature::XsaveC, Feature::Xgetbv1});
  }
  if (has(Feature::Avx) && !host_keeps_ymm()) remove({Feature::Avx});
  if (!has(Feature::Avx)) remove({Feature::Avx2, Feature::Fma, Feature::F16c});
}

u64 monotonic_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

/// One instant on both clocks: the closest of several pairs, so that a preemption between the two
/// readings doesn't count.
struct Instant {
  u64 tsc = 0;
  u64 nanoseconds = 0;
};

Instant simultaneous_reading() {
  Instant best;
  u64 narrowest = ~u64{0};
  for (int attempt = 0; attempt < 16; ++attempt) {
    const u64 before = __rdtsc();
    const u64 nanoseconds = monotonic_nanoseconds();
    const u64 width = __rdtsc() - before;
    if (width < narrowest) {
      narrowest = width;
      best = {before + width / 2, nanoseconds};
    }
  }
  return best;
}

u32 measured_tsc_khz() {
  constexpr u64 kWindow = 10'000'000;  // ns; errs by a few ppm
  const Instant start = simultaneous_reading();
  while (monotonic_nanoseconds() - start.nanoseconds < kWindow) _mm_pause();
  const Instant end = simultaneous_reading();
  return static_cast<u32>((end.tsc - start.tsc) * 1'000'000 /
                          (end.nanoseconds - start.nanoseconds));
}

/// Told by the processor (leaf 15h), otherwise measured.
u32 host_tsc_khz() {
  const CpuidLeaf told = host_leaf(0x15, 0);
  if (told.eax != 0 && told.ebx != 0 && told.ecx != 0) {
    return static_cast<u32>(u64{told.ecx} * told.ebx / told.eax / 1000);
  }
  return measured_tsc_khz();
}

/// Bytes of the XSAVE area for these components.
u32 xsave_size(u64 components) {
  return kLegacyXsaveArea + ((components & 4) != 0 ? kAvxArea : 0);
}

u64 legal_xcr0(const CpuidModel& model) {
  return model.has(Feature::Avx) ? 7 : 3;
}

/// Deterministic cache parameters. SDM 2A CPUID leaf 04H.
CpuidLeaf cache_leaf(u32 subleaf) {
  struct Cache {
    u32 type, level, ways, sets;
  };
  constexpr Cache caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 8192}};
  if (subleaf >= std::size(caches)) return {};
  const Cache& cache = caches[subleaf];
  constexpr u32 kSelfInitializing = 1U << 8, kLine = 64;
  return {cache.type | cache.level << 5 | kSelfInitializing, (cache.ways - 1) << 22 | (kLine - 1),
          cache.sets - 1, 0};
}

/// The ratio of TSC to crystal with a numerator that guests can multiply in 32 bits.
CpuidLeaf tsc_ratio_leaf(const CpuidModel& model) {
  if (model.tsc_khz == 0 || model.crystal_hz < 1000) return {};
  const u64 tsc_hz = u64{model.tsc_khz} * 1000;
  const u64 crystal_khz = model.crystal_hz / 1000;
  CpuidLeaf best;
  u64 least_error = ~u64{0};
  for (u64 denominator = 1; denominator <= 1000 && least_error != 0; ++denominator) {
    const u64 numerator = (tsc_hz * denominator + model.crystal_hz / 2) / model.crystal_hz;
    if (numerator == 0) continue;
    if (numerator * crystal_khz > 0xFFFFFFFF) break;
    const u64 rate = u64{model.crystal_hz} * numerator / denominator;
    const u64 error = rate > tsc_hz ? rate - tsc_hz : tsc_hz - rate;
    if (error < least_error) {
      least_error = error;
      best = {static_cast<u32>(denominator), static_cast<u32>(numerator), model.crystal_hz, 0};
    }
  }
  return best;
}

u32 text_word(std::string_view text, std::size_t offset) {
  std::array<char, 4> bytes{};
  if (offset < text.size()) text.copy(bytes.data(), bytes.size(), offset);
  u32 word = 0;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

CpuidLeaf xsave_leaf(const CpuidModel& model, u32 subleaf, u64 xcr0) {
  if (!model.has(Feature::Xsave)) return {};
  const u64 legal = legal_xcr0(model);
  switch (subleaf) {
    case 0:
      return {static_cast<u32>(legal), xsave_size(xcr0), xsave_size(legal), 0};
    case 1:
      return {0, xsave_size(xcr0), 0, 0};
    case 2:
      return (legal & 4) != 0 ? CpuidLeaf{kAvxArea, kLegacyXsaveArea, 0, 0} : CpuidLeaf{};
    default:
      return {};
  }
}

CpuidLeaf hypervisor_leaf(const CpuidModel& model, u32 leaf) {
  constexpr std::string_view kSignature = "RingshiftVMM";
  if (leaf == kHypervisorBase) {
    return {kHypervisorTiming, text_word(kSignature, 0), text_word(kSignature, 4),
            text_word(kSignature, 8)};
  }
  if (leaf == kHypervisorTiming) return {model.tsc_khz, model.crystal_hz / 1000, 0, 0};
  return {};
}

u32 last_basic_leaf(const CpuidModel& model) {
  return model.tsc_khz != 0 ? 0x16 : 0xD;
}

/// Everything that isn't feature bits.
CpuidLeaf plain_leaf(const CpuidModel& model, u32 leaf, u32 subleaf, u64 xcr0, u8 apic_id) {
  switch (leaf) {
    case 0:
      return {last_basic_leaf(model), text_word(model.vendor, 0), text_word(model.vendor, 8),
              text_word(model.vendor, 4)};
    case 1: {
      constexpr u32 kClflushQuadwords = 8U << 8, kOneLogicalProcessor = 1U << 16;
      return {model.family_model_stepping,
              kClflushQuadwords | kOneLogicalProcessor | u32{apic_id} << 24, 0, 0};
    }
    case 2:
      return {0x0000FF01, 0, 0, 0};  // FFh: caches are in leaf 4
    case 4:
      return cache_leaf(subleaf);
    case 6:
      return {1U << 2, 0, 0, 0};  // ARAT: the APIC timer never stops
    case 0xD:
      return xsave_leaf(model, subleaf, xcr0);
    case 0x15:
      return tsc_ratio_leaf(model);
    case 0x16:
      return {model.tsc_khz / 1000, model.tsc_khz / 1000, 100, 0};
    case kExtendedBase:
      return {kExtendedLast, 0, 0, 0};
    case kExtendedBase + 2:
    case kExtendedBase + 3:
    case kExtendedBase + 4: {
      const std::size_t at = (leaf - kExtendedBase - 2) * 16;
      return {text_word(model.brand, at), text_word(model.brand, at + 4),
              text_word(model.brand, at + 8), text_word(model.brand, at + 12)};
    }
    case kExtendedBase + 6:
      return {0, 0, 1024U << 16 | 8U << 12 | 64, 0};  // 1 MiB, 16-way, 64 bytes
    case kExtendedBase + 8:
      return {model.physical_address_bits | 32U << 8, 0, 0, 0};
    default:
      return {};
  }
}

}  // namespace

CpuidModel CpuidModel::from_host() {
  CpuidModel model;
  model.family_model_stepping = kFamilyModelStepping;
  model.brand = "Ringshift Virtual Processor";
  // In a virtual machine each CPUID costs an exit, so a leaf is asked once for all its bits.
  CpuidLeaf host;
  const FeatureBit* asked = nullptr;
  for (std::size_t i = 1; i < static_cast<std::size_t>(Feature::Count); ++i) {
    const FeatureBit& bit = kFeatureBits[i];
    if (asked == nullptr || asked->leaf != bit.leaf || asked->subleaf != bit.subleaf) {
      host = host_leaf(bit.leaf, bit.subleaf);
      asked = &bit;
    }
    const bool on_host = (register_of(host, bit.where) >> bit.bit & 1) != 0;
    if (on_host || independent_of_host(static_cast<Feature>(i))) model.features.set(i);
  }
  remove_dependents(model.features);
  model.tsc_khz = host_tsc_khz();
  model.crystal_hz = kApicTimerHz;
  return model;
}

CpuidLeaf CpuidModel::query(u32 leaf, u32 subleaf, u64 cr4_value, u64 xcr0, bool apic_enabled,
                            u8 apic_id) const {
  constexpr u64 kOsxsave = u64{1} << 18;
  if (has(Feature::Hypervisor) && leaf >= kHypervisorBase && leaf <= kHypervisorBase + 0xFF) {
    return hypervisor_leaf(*this, leaf);
  }
  // A leaf above the highest one of its range answers as the highest basic leaf does.
  const u32 last_basic = last_basic_leaf(*this);
  if (leaf > last_basic && (leaf < kExtendedBase || leaf > kExtendedLast)) leaf = last_basic;

  CpuidLeaf answer = plain_leaf(*this, leaf, subleaf, xcr0, apic_id);
  for (std::size_t i = 1; i < static_cast<std::size_t>(Feature::Count); ++i) {
    const FeatureBit& bit = kFeatureBits[i];
    if (!features[i] || bit.leaf != leaf) continue;
    const bool has_subleaves = leaf == 7 || leaf == 13;
    if (has_subleaves && bit.subleaf != subleaf) continue;
    if (static_cast<Feature>(i) == Feature::Apic && !apic_enabled) continue;
    register_of(answer, bit.where) |= 1U << bit.bit;
  }
  if (leaf == 1 && has(Feature::Xsave) && (cr4_value & kOsxsave) != 0) answer.ecx |= 1U << 27;
  return answer;
}

}  // namespace ringshift::cpu
