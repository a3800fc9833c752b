// Model-specific registers: SDM 4, tables 2-2 (architectural). What isn't here raises #GP(0), as on
// a processor that hasn't got it.
#include "cpu/msr.h"

#include <optional>

#include "cpu/processor.h"

namespace ringshift::cpu {

namespace {

using namespace msr;

constexpr unsigned kVariableRanges = 8;
constexpr u64 kMtrrCap = kVariableRanges | 1U << 8 /* fixed */ | 1U << 10 /* WC */;

// IA32_ARCH_CAPABILITIES: this processor executes nothing speculatively on the guest's behalf that
// the guest could defend against. SDM 4 table 2-2.
constexpr u64 kArchCapabilities = u64{1} << 0    // RDCL_NO
                                  | u64{1} << 3  // SKIP_L1DFL_VMENTRY
                                  | u64{1} << 4  // SSB_NO
                                  | u64{1} << 5  // MDS_NO
                                  | u64{1} << 6  // IF_PSCHANGE_MC_NO
                                  | u64{1} << 8  // TAA_NO
                                  | u64{1} << 13 | u64{1} << 14 | u64{1} << 15  // SBDR, FBSDP, PSDP
                                  | u64{1} << 20                                // BHI_NO
                                  | u64{1} << 24                                // PBRSB_NO
                                  | u64{1} << 26                                // GDS_NO
                                  | u64{1} << 27;                               // RFDS_NO

// IA32_MISC_ENABLE: fast strings may be switched off; branch trace storage and event sampling are
// unavailable; limiting CPUID and disabling NX aren't offered.
constexpr u64 kMiscEnableWritable = 1;
constexpr u64 kMiscEnableFixed = 1U << 11 | 1U << 12;
constexpr u64 kDebugControlLegal = 3;  // LBR, BTF
constexpr u64 kMcgStatusLegal = 7;     // RIPV, EIPV, MCIP

bool memory_type(u64 type) {
  return type == 0 || type == 1 || (type >= 4 && type <= 6);
}
bool page_attribute(u64 type) {
  return memory_type(type) || type == 7;
}

template <typename Predicate>
bool every_byte(u64 value, Predicate legal) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    if (!legal(value >> shift & 0xFF)) return false;
  }
  return true;
}

/// Index into State::mtrr_fixed, in address order.
std::optional<unsigned> fixed_range(u32 index) {
  if (index == kMtrrFix64K) return 0;
  if (index == kMtrrFix16K || index == kMtrrFix16K + 1) return index - kMtrrFix16K + 1;
  if (index >= kMtrrFix4K && index < kMtrrFix4K + 8) return index - kMtrrFix4K + 3;
  return std::nullopt;
}

bool variable_range(u32 index) {
  return index >= kMtrrVariable && index < kMtrrVariable + 2 * kVariableRanges;
}

/// A variable range's base or mask register without its reserved bits set. SDM 3A §11.11.2.3.
bool legal_variable(u32 index, u64 value, unsigned physical_bits) {
  const u64 above = ~u64{0} << physical_bits;
  const bool mask = (index & 1) != 0;
  if (mask) return (value & (above | 0x7FF)) == 0;
  return (value & (above | 0xF00)) == 0 && memory_type(value & 0xFF);
}

bool legal_default_type(u64 value) {
  return (value & ~u64{0xCFF}) == 0 && memory_type(value & 0xFF);
}

/// Nominal ratio of the TSC to the 100 MHz bus clock.
u64 bus_ratio(const CpuidModel& model) {
  return model.tsc_khz / 100'000;
}

/// MSRs of optional features exist only with the feature.
Feature required_feature(u32 index) {
  switch (index) {
    case kTimeStampCounter:
      return Feature::Tsc;
    case kTscAdjust:
      return Feature::TscAdjust;
    case kApicBase:
      return Feature::Apic;
    case kTscDeadline:
      return Feature::TscDeadline;
    case kSysenterCs:
    case kSysenterEsp:
    case kSysenterEip:
      return Feature::Sep;
    case kMcgCap:
    case kMcgStatus:
      return Feature::Mca;
    case kPat:
      return Feature::Pat;
    case kArchCapabilitiesMsr:
      return Feature::ArchCapabilities;
    case kEfer:
      return Feature::NoExecute;
    case kMtrrCapMsr:
    case kMtrrDefaultType:
      return Feature::Mtrr;
    default:
      break;
  }
  return fixed_range(index) || variable_range(index) ? Feature::Mtrr : Feature::Always;
}

/// Registers that a handful of bits decide: the plain value in State, and which values are legal.
struct PlainRegister {
  u64* value;
  bool legal;
};

std::optional<PlainRegister> plain_register(State& state, const CpuidModel& model, u32 index,
                                            u64 value) {
  const bool fits = value >> 32 == 0;
  switch (index) {
    case kSysenterCs:
      return PlainRegister{&state.sysenter_cs, true};
    case kSysenterEsp:
      return PlainRegister{&state.sysenter_esp, true};
    case kSysenterEip:
      return PlainRegister{&state.sysenter_eip, true};
    case kPat:
      return PlainRegister{&state.pat, every_byte(value, page_attribute)};
    case kBiosSignature:
      return PlainRegister{&state.microcode_revision, true};
    case kDebugControl:
      return PlainRegister{&state.debug_control, (value & ~kDebugControlLegal) == 0};
    case kMcgStatus:
      return PlainRegister{&state.mcg_status, (value & ~kMcgStatusLegal) == 0};
    case kMtrrDefaultType:
      return PlainRegister{&state.mtrr_default_type, legal_default_type(value)};
    case kTscAux:
      if (!model.has(Feature::Rdtscp) && !model.has(Feature::Rdpid)) return std::nullopt;
      return PlainRegister{&state.tsc_aux, fits};
    default:
      break;
  }
  if (const auto range = fixed_range(index)) {
    return PlainRegister{&state.mtrr_fixed[*range], every_byte(value, memory_type)};
  }
  if (variable_range(index)) {
    return PlainRegister{&state.mtrr_variable[index - kMtrrVariable],
                         legal_variable(index, value, model.physical_address_bits)};
  }
  return std::nullopt;
}

GuestResult<void> write_efer(Processor& processor, u64 value) {
  State& state = processor.state;
  if ((value & ~efer::NXE) != 0) return processor.raise(Vector::GeneralProtection, 0);
  if (state.efer == value) return {};
  state.efer = value;
  processor.flush_tlb(true);
  return {};
}

GuestResult<void> write_misc_enable(Processor& processor, u64 value) {
  State& state = processor.state;
  if ((value & ~(kMiscEnableWritable | kMiscEnableFixed)) != 0) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  state.misc_enable = (value & kMiscEnableWritable) | kMiscEnableFixed;
  return {};
}

}  // namespace

GuestResult<u64> Processor::read_msr(u32 index) {
  if (!model_.has(required_feature(index))) return raise(Vector::GeneralProtection, 0);
  u64 value = 0;
  if (const auto plain = plain_register(state, model_, index, 0)) return *plain->value;
  switch (index) {
    case kMachineCheckAddress:
    case kMachineCheckType:
    case kPlatformId:
    case kPowerOnConfiguration:
    case kMcgCap:
      return u64{0};
    case kTimeStampCounter:
      return time_stamp();
    case kTscAdjust:
      return state.tsc_adjust;
    case kApicBase:
    case kTscDeadline:
      if (!platform_.read_apic_msr(index, value)) return raise(Vector::GeneralProtection, 0);
      return value;
    case kBusFrequency:
      return u64{5};  // 100 MHz
    case kPlatformInfo:
      return bus_ratio(model_) << 8 | bus_ratio(model_) << 40;
    case kPerformanceStatus:
      return bus_ratio(model_) << 8;
    case kMtrrCapMsr:
      return kMtrrCap;
    case kArchCapabilitiesMsr:
      return kArchCapabilities;
    case kMiscEnable:
      return state.misc_enable;
    case kEfer:
      return state.efer;
    default:
      return raise(Vector::GeneralProtection, 0);
  }
}

GuestResult<void> Processor::write_msr(u32 index, u64 value) {
  const auto refused = [&]() { return raise(Vector::GeneralProtection, 0); };
  if (!model_.has(required_feature(index))) return refused();
  if (const auto plain = plain_register(state, model_, index, value)) {
    if (!plain->legal) return refused();
    *plain->value = value;
    return {};
  }
  switch (index) {
    case kMachineCheckAddress:
    case kMachineCheckType:
      // Cleared by writing 0, and nothing ever sets them.
      if (value != 0) return refused();
      return {};
    case kTimeStampCounter: {
      const u64 delta = value - time_stamp();
      state.tsc_offset += delta;
      state.tsc_adjust += delta;
      return {};
    }
    case kTscAdjust:
      state.tsc_offset += value - state.tsc_adjust;
      state.tsc_adjust = value;
      return {};
    case kApicBase:
    case kTscDeadline:
      if (!platform_.write_apic_msr(index, value)) return refused();
      return {};
    case kBiosUpdateTrigger:
      return {};  // an update that isn't for this processor changes nothing
    case kMiscEnable:
      return write_misc_enable(*this, value);
    case kEfer:
      return write_efer(*this, value);
    default:
      return refused();
  }
}

}  // namespace ringshift::cpu
