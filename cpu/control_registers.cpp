// CR0-CR4, XCR0, INVLPG and the PDPTE registers: SDM 2B MOV to/from control registers, SDM 3A §2.5,
// §2.6, §4.4.1 and §4.10.4.
#include "cpu/processor.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kCr0Defined = cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET | cr0::NE | cr0::WP |
                            cr0::AM | cr0::NW | cr0::CD | cr0::PG;

/// CR4's bits on a processor with these features. PCE needs none: RDPMC is older than CPUID bits.
u64 legal_cr4(const CpuidModel& model) {
  u64 legal = cr4::PCE;
  const auto allow = [&](Feature feature, u64 bits) {
    if (model.has(feature)) legal |= bits;
  };
  allow(Feature::Vme, cr4::VME | cr4::PVI);
  allow(Feature::Tsc, cr4::TSD);
  allow(Feature::DebugExtensions, cr4::DE);
  allow(Feature::Pse, cr4::PSE);
  allow(Feature::Pae, cr4::PAE);
  allow(Feature::Mce, cr4::MCE);
  allow(Feature::Pge, cr4::PGE);
  allow(Feature::Fxsr, cr4::OSFXSR);
  allow(Feature::Sse, cr4::OSXMMEXCPT);
  allow(Feature::Umip, cr4::UMIP);
  allow(Feature::Xsave, cr4::OSXSAVE);
  allow(Feature::Smep, cr4::SMEP);
  allow(Feature::Smap, cr4::SMAP);
  return legal;
}

bool pae_paging(u64 cr0_value, u64 cr4_value, const State& state) {
  return (cr0_value & cr0::PG) != 0 && (cr4_value & cr4::PAE) != 0 && (state.efer & efer::LMA) == 0;
}

/// The four PDPTEs at `cr3`; false if one that is present has a reserved bit set.
bool read_pdptes(Processor& processor, u64 cr3, std::array<u64, 4>& entries) {
  const u64 above_physical = ~u64{0} << processor.model().physical_address_bits;
  const u64 reserved = above_physical | 0x1E6;  // bits 1, 2, 5-8
  for (u64 i = 0; i < entries.size(); ++i) {
    MemoryPort& memory = processor.memory();
    const PhysicalAddress address = memory.mask_a20({(cr3 & 0xFFFFFFE0) + 8 * i});
    entries[i] = memory.read_physical(address, 8);
    if ((entries[i] & 1) != 0 && (entries[i] & reserved) != 0) return false;
  }
  return true;
}

GuestResult<void> write_cr0(Processor& processor, u64 value) {
  State& state = processor.state;
  if (value >> 32 != 0 || ((value & cr0::PG) != 0 && (value & cr0::PE) == 0) ||
      ((value & cr0::NW) != 0 && (value & cr0::CD) == 0)) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  const u64 wanted = (value & kCr0Defined) | cr0::ET;
  const u64 changed = wanted ^ state.cr0;
  if ((changed & (cr0::PG | cr0::CD | cr0::NW)) != 0 && pae_paging(wanted, state.cr4, state)) {
    std::array<u64, 4> entries{};
    if (!read_pdptes(processor, state.cr3, entries)) {
      return processor.raise(Vector::GeneralProtection, 0);
    }
    state.pdpte = entries;
  }
  state.cr0 = wanted;
  if ((changed & (cr0::PG | cr0::PE | cr0::WP)) != 0) processor.flush_tlb(true);
  return {};
}

GuestResult<void> write_cr3(Processor& processor, u64 value) {
  State& state = processor.state;
  value &= 0xFFFFFFFF;
  if (pae_paging(state.cr0, state.cr4, state)) {
    std::array<u64, 4> entries{};
    if (!read_pdptes(processor, value, entries)) {
      return processor.raise(Vector::GeneralProtection, 0);
    }
    state.pdpte = entries;
  }
  state.cr3 = value;
  processor.flush_tlb(false);
  return {};
}

GuestResult<void> write_cr4(Processor& processor, u64 value) {
  State& state = processor.state;
  if ((value & ~legal_cr4(processor.model())) != 0) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  const u64 changed = value ^ state.cr4;
  constexpr u64 kReloadsPdptes = cr4::PAE | cr4::PGE | cr4::PSE | cr4::SMEP;
  if ((changed & kReloadsPdptes) != 0 && pae_paging(state.cr0, value, state)) {
    std::array<u64, 4> entries{};
    if (!read_pdptes(processor, state.cr3, entries)) {
      return processor.raise(Vector::GeneralProtection, 0);
    }
    state.pdpte = entries;
  }
  state.cr4 = value;
  if ((changed & (kReloadsPdptes | cr4::SMAP)) != 0) processor.flush_tlb(true);
  return {};
}

}  // namespace

GuestResult<void> Processor::write_cr(unsigned number, u64 value) {
  switch (number) {
    case 0:
      return write_cr0(*this, value);
    case 2:
      state.cr2 = value & 0xFFFFFFFF;
      return {};
    case 3:
      return write_cr3(*this, value);
    case 4:
      return write_cr4(*this, value);
    default:
      return raise(Vector::InvalidOpcode);  // CR8 only in 64-bit mode
  }
}

u64 Processor::read_cr(unsigned number) {
  switch (number) {
    case 0:
      return state.cr0;
    case 2:
      return state.cr2;
    case 3:
      return state.cr3;
    case 4:
      return state.cr4;
    default:
      return 0;
  }
}

GuestResult<void> Processor::write_xcr(u32 index, u64 value) {
  constexpr u64 kX87 = 1, kSse = 2, kAvx = 4;
  const u64 legal = kX87 | kSse | (model_.has(Feature::Avx) ? kAvx : 0);
  const bool avx_without_sse = (value & kAvx) != 0 && (value & kSse) == 0;
  if (index != 0 || (value & kX87) == 0 || (value & ~legal) != 0 || avx_without_sse) {
    return raise(Vector::GeneralProtection, 0);
  }
  state.xcr0 = value;
  return {};
}

GuestResult<void> Processor::invalidate_page(u64 linear) {
  flush_tlb_page(linear & 0xFFFFFFFF);
  return {};
}

}  // namespace ringshift::cpu
