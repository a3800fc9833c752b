#include "devices/pci/pci.h"

#include <algorithm>
#include <cstdlib>

namespace ringshift::devices {

namespace {

// Offsets in the type 0 header (PCI 3.0 §6.1).
constexpr unsigned kCommand = 0x04;
constexpr unsigned kStatus = 0x06;
constexpr unsigned kBar0 = 0x10;
constexpr unsigned kRomBarOffset = 0x30;
constexpr unsigned kInterruptLine = 0x3C;
constexpr unsigned kInterruptPin = 0x3D;

// I/O space, memory space, bus master, parity error response, SERR# enable, interrupt disable.
constexpr u16 kCommandWritable = 0x0547;
constexpr u16 kCommandInterruptDisable = 0x0400;
constexpr u8 kStatusInterrupt = 0x08;
/// The status bits that a guest clears by writing ones, in the register's upper byte.
constexpr u8 kStatusHighClearable = 0xF9;

constexpr u64 kFourGigabytes = u64{1} << 32;
constexpr u64 kOneMegabyte = u64{1} << 20;

/// The header offset of BAR `index`; index 6 is the expansion ROM.
constexpr unsigned bar_offset(unsigned index) {
  return index < 6 ? kBar0 + 4 * index : kRomBarOffset;
}

constexpr bool power_of_two(u64 value) {
  return value != 0 && (value & (value - 1)) == 0;
}

bool touches(u8 offset, unsigned size, unsigned first, unsigned length) {
  return offset < first + length && first < offset + size;
}

}  // namespace

// --- PciFunction --------------------------------------------------------------------------------

PciFunction::PciFunction(const PciIdentity& identity, PciAddressSpaces spaces)
    : identity_(identity), spaces_(spaces) {
  set_config_value(0x00, identity.vendor, 2);
  set_config_value(0x02, identity.device, 2);
  set_config_value(0x08, identity.revision, 1);
  set_config_value(0x09, identity.programming_interface, 1);
  set_config_value(0x0A, identity.subclass, 1);
  set_config_value(0x0B, identity.class_code, 1);
  set_config_value(0x0E, identity.header_type, 1);
  set_config_value(0x2C, identity.subsystem_vendor, 2);
  set_config_value(0x2E, identity.subsystem, 2);
  set_config_value(kInterruptPin, identity.interrupt_pin, 1);

  write_mask_[kCommand] = kCommandWritable & 0xFF;
  write_mask_[kCommand + 1] = kCommandWritable >> 8;
  if (identity.interrupt_pin != 0) write_mask_[kInterruptLine] = 0xFF;
}

PciFunction::~PciFunction() {
  for (Bar& bar : bars_) unmap(bar);
}

u32 PciFunction::config_value(u8 offset, unsigned size) const {
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u32{config_[(offset + i) & 0xFF]} << (8 * i);
  return value;
}

void PciFunction::set_config_value(u8 offset, u32 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    config_[(offset + i) & 0xFF] = static_cast<u8>(value >> (8 * i));
  }
}

u32 PciFunction::config_read(u8 offset, unsigned size) {
  return config_value(offset, size);
}

void PciFunction::config_write(u8 offset, u32 value, unsigned size) {
  for (unsigned i = 0; i < size && offset + i < config_.size(); ++i) {
    const unsigned at = offset + i;
    const u8 byte = static_cast<u8>(value >> (8 * i));
    const u8 mask = write_mask_[at];
    config_[at] = static_cast<u8>((config_[at] & ~mask) | (byte & mask));
    if (at == kStatus + 1) config_[at] &= static_cast<u8>(~(byte & kStatusHighClearable));
  }
  if (touches(offset, size, kCommand, 2)) update_interrupt();
  if (touches(offset, size, kCommand, 2) || touches(offset, size, kBar0, 24) ||
      touches(offset, size, kRomBarOffset, 4)) {
    refresh_mappings();
  }
}

void PciFunction::reset(ResetKind kind) {
  static_cast<void>(kind);
  for (unsigned i = 0; i < config_.size(); ++i) config_[i] &= static_cast<u8>(~write_mask_[i]);
  config_[kStatus + 1] &= static_cast<u8>(~kStatusHighClearable);
  set_interrupt(false);
  PciFunction::release_mappings();
}

void PciFunction::serialize(StateArchive& archive) {
  archive.section("pci function", 2);
  bool level = interrupt_.level();
  std::array<bool, kRomBar + 1> mapped{};
  for (unsigned index = 0; index < bars_.size(); ++index) {
    mapped[index] = bars_[index].mapped_at.has_value();
  }
  archive.field("configuration space", config_);
  archive.field("interrupt asserted", interrupt_asserted_);
  archive.field("interrupt level", level);
  archive.field("mapped", mapped);
  if (!archive.restoring()) return;
  interrupt_.restore_level(level);
  PciFunction::release_mappings();
  for (unsigned index = 0; index < bars_.size(); ++index) {
    const auto address = decoded_address(index);
    if (mapped[index] && address) map(bars_[index], *address);
  }
}

void PciFunction::set_interrupt(bool asserted) {
  interrupt_asserted_ = asserted;
  update_interrupt();
}

void PciFunction::update_interrupt() {
  config_[kStatus] = static_cast<u8>(config_[kStatus] & ~kStatusInterrupt);
  if (interrupt_asserted_) config_[kStatus] |= kStatusInterrupt;
  interrupt_.set(interrupt_asserted_ && (command() & kCommandInterruptDisable) == 0);
}

// --- Base address registers ---------------------------------------------------------------------

PciFunction::Bar& PciFunction::declare_bar(unsigned index, BarKind kind, u64 size,
                                           std::string_view name) {
  // The declaration is the device's own code: a wrong one is a bug in Ringshift.
  if (index > kRomBar || bars_[index].kind != BarKind::None || !power_of_two(size) ||
      size >= kFourGigabytes) {
    std::abort();
  }
  Bar& bar = bars_[index];
  bar.kind = kind;
  bar.size = size;
  bar.name = name;
  const u8 offset = static_cast<u8>(bar_offset(index));
  const u32 writable = static_cast<u32>(~(size - 1));
  for (unsigned i = 0; i < 4; ++i) write_mask_[offset + i] = static_cast<u8>(writable >> (8 * i));
  return bar;
}

void PciFunction::add_io_bar(unsigned index, u32 size, std::string_view name, IoHandler& handler,
                             AccessSizes sizes) {
  if (index >= kRomBar || size < 4 || size > 0x8000) std::abort();
  Bar& bar = declare_bar(index, BarKind::Io, size, name);
  bar.handler = &handler;
  bar.sizes = sizes;
  config_[bar_offset(index)] = 0x01;  // I/O space indicator
}

void PciFunction::add_mmio_bar(unsigned index, u64 size, std::string_view name, IoHandler& handler,
                               AccessSizes sizes) {
  if (index >= kRomBar || size < 16) std::abort();
  Bar& bar = declare_bar(index, BarKind::Mmio, size, name);
  bar.handler = &handler;
  bar.sizes = sizes;
}

void PciFunction::add_memory_bar(unsigned index, std::string_view name,
                                 const mmu::MemoryBlock& block) {
  if (index >= kRomBar || block.size < kPageSize) std::abort();
  declare_bar(index, BarKind::Memory, block.size, name).block = block;
  config_[bar_offset(index)] = 0x08;  // prefetchable, 32-bit
}

void PciFunction::set_expansion_rom(std::string_view name, const mmu::MemoryBlock& block) {
  if (block.size < kPageSize) std::abort();
  declare_bar(kRomBar, BarKind::Rom, block.size, name).block = block;
  write_mask_[kRomBarOffset] |= 0x01;  // address decode enable
}

std::optional<u64> PciFunction::decoded_address(unsigned index) const {
  const Bar& bar = bars_[index];
  const u32 raw = config_value(static_cast<u8>(bar_offset(index)), 4);
  const u64 address = raw & ~(bar.size - 1);
  switch (bar.kind) {
    case BarKind::None:
      return std::nullopt;
    case BarKind::Io:
      // x86 processors have 64 KiB of ports; zero means "not assigned".
      if (!io_space_enabled() || address == 0 || address + bar.size > 0x10000) return std::nullopt;
      return address;
    case BarKind::Rom:
      if ((raw & 1) == 0) return std::nullopt;
      break;
    case BarKind::Mmio:
    case BarKind::Memory:
      break;
  }
  // The first megabyte belongs to the ISA map and the top of the 4 GiB to the firmware: there a BAR
  // is being sized (all ones) or has not been assigned, and the chipset would claim the cycle
  // first.
  if (!memory_space_enabled() || address < kOneMegabyte || address + bar.size >= kFourGigabytes) {
    return std::nullopt;
  }
  return address;
}

bool PciFunction::memory_range_is_free(u64 first, u64 length) {
  const auto regions = memory().regions();
  return std::none_of(regions.begin(), regions.end(), [&](const mmu::MemoryMap::Region& region) {
    return region.kind != mmu::MemoryMap::Kind::Unmapped &&
           first < region.first.value + region.length && region.first.value < first + length;
  });
}

void PciFunction::map(Bar& bar, u64 address) {
  switch (bar.kind) {
    case BarKind::None:
      return;
    case BarKind::Io:
      if (ports().map(static_cast<u16>(address), static_cast<u32>(bar.size), bar.name, *bar.handler,
                      bar.sizes)) {
        bar.mapped_at = address;
      }
      return;
    case BarKind::Mmio:
      // DRAM below the top of memory takes the cycle before PCI sees it, as in the host bridge.
      if (memory_range_is_free(address, bar.size) &&
          memory().map_mmio({address}, bar.size, bar.name, *bar.handler, bar.sizes)) {
        bar.mapped_at = address;
      }
      return;
    case BarKind::Memory:
    case BarKind::Rom:
      if (!memory_range_is_free(address, bar.size)) return;
      memory().map_memory(
          {address}, bar.size,
          bar.kind == BarKind::Rom ? mmu::MemoryMap::Kind::Rom : mmu::MemoryMap::Kind::Ram,
          bar.name, bar.block, 0);
      bar.mapped_at = address;
      return;
  }
}

void PciFunction::unmap(Bar& bar) {
  if (!bar.mapped_at) return;
  const u64 address = *bar.mapped_at;
  bar.mapped_at.reset();
  switch (bar.kind) {
    case BarKind::None:
      return;
    case BarKind::Io:
      ports().unmap(static_cast<u16>(address), *bar.handler);
      return;
    case BarKind::Mmio:
      memory().unmap_mmio({address}, *bar.handler);
      return;
    case BarKind::Memory:
    case BarKind::Rom:
      memory().unmap_memory({address}, bar.size);
      return;
  }
}

void PciFunction::refresh_mappings() {
  for (unsigned index = 0; index < bars_.size(); ++index) {
    if (bars_[index].mapped_at != decoded_address(index)) unmap(bars_[index]);
  }
  for (unsigned index = 0; index < bars_.size(); ++index) {
    if (bars_[index].mapped_at) continue;
    if (const auto address = decoded_address(index)) map(bars_[index], *address);
  }
}

void PciFunction::release_mappings() {
  for (Bar& bar : bars_) unmap(bar);
}

// --- PciBus -------------------------------------------------------------------------------------

void PciBus::attach(unsigned slot, unsigned function, PciFunction& device) {
  if (slot >= 32 || function >= 8 || functions_[slot * 8 + function] != nullptr) std::abort();
  functions_[slot * 8 + function] = &device;
}

PciFunction* PciBus::at(unsigned slot, unsigned function) const {
  return slot < 32 && function < 8 ? functions_[slot * 8 + function] : nullptr;
}

u32 PciBus::config_read(u8 bus, u8 device_function, u8 offset, unsigned size) {
  PciFunction* function = bus == 0 ? functions_[device_function] : nullptr;
  // A cycle that nobody claims ends in a master abort, which reads as all ones.
  if (function == nullptr) return size >= 4 ? ~0U : (1U << (8 * size)) - 1;
  return function->config_read(offset, size);
}

void PciBus::config_write(u8 bus, u8 device_function, u8 offset, u32 value, unsigned size) {
  PciFunction* function = bus == 0 ? functions_[device_function] : nullptr;
  if (function == nullptr) return;
  function->config_write(offset, value, size);
  // What moved may have made room for another function's range. Ranges aren't only in the header.
  refresh_mappings();
}

void PciBus::refresh_mappings() {
  for (PciFunction* function : functions_) {
    if (function != nullptr) function->refresh_mappings();
  }
}

void PciBus::release_mappings() {
  for (PciFunction* function : functions_) {
    if (function != nullptr) function->release_mappings();
  }
}

}  // namespace ringshift::devices
