// The processor's identity as data: what CPUID answers, and from the same bits which instructions
// exist. One feature set feeds CPUID, #UD decisions and CR4's legal bits, so that they can't
// disagree.
#pragma once

#include <array>
#include <bitset>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::cpu {

/// Features an instruction or control bit may depend on.
enum class Feature : u8 {
  Always,
#define FEATURE(name, leaf, subleaf, reg, bit) name,
#include "cpu/features.def"
#undef FEATURE
  Count,
};

using FeatureSet = std::bitset<static_cast<std::size_t>(Feature::Count)>;

/// At which the default model says that the local APIC's timer counts; the board must agree.
inline constexpr u32 kApicTimerHz = 100'000'000;

struct CpuidLeaf {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

struct CpuidModel {
  FeatureSet features;
  u32 family_model_stepping = 0;
  std::string_view vendor = "GenuineIntel";
  std::string_view brand;
  unsigned physical_address_bits = 36;
  u32 tsc_khz = 0;
  /// Input clock of the local APIC's timer. With it and `tsc_khz` leaf 15h tells the guest the
  /// TSC's rate, which a guest could only mismeasure on a busy host. 0: not told.
  u32 crystal_hz = 0;

  bool has(Feature feature) const {
    return feature == Feature::Always || features[static_cast<std::size_t>(feature)];
  }
  /// The default model: everything that Ringshift implements and this host can execute.
  static CpuidModel from_host();
  /// What CPUID returns; CR4/XCR0 feed OSXSAVE and the XSAVE sizes, `apic_id`/`apic_enabled`
  /// leaf 1.
  CpuidLeaf query(u32 leaf, u32 subleaf, u64 cr4, u64 xcr0, bool apic_enabled, u8 apic_id) const;
};

}  // namespace ringshift::cpu
