#include "devices/chipset/piix_ide.h"

#include "devices/chipset/board_identity.h"

namespace ringshift::devices {

namespace {

constexpr u8 kCommand = 0x04;
constexpr u8 kStatus = 0x06;
constexpr u8 kLatencyTimer = 0x0D;
constexpr u8 kTiming = 0x40;       // IDETIM, a word for each channel
constexpr u8 kSlaveTiming = 0x44;  // SIDETIM
constexpr u16 kDecodeEnable = 0x8000;

constexpr std::array<u16, 2> kCommandPort = {0x1F0, 0x170};
constexpr std::array<u16, 2> kControlPort = {0x3F6, 0x376};

constexpr PciIdentity kIdentity = {.vendor = 0x8086,
                                   .device = 0x7010,
                                   .revision = 0x00,
                                   .class_code = 0x01,
                                   .subclass = 0x01,
                                   .programming_interface = 0x80,
                                   .subsystem_vendor = kBoardSubsystemVendor,
                                   .subsystem = kBoardSubsystem,
                                   .header_type = 0x00,
                                   .interrupt_pin = 0};

void place(PortWindow& window, u16 first, bool decoded) {
  window.place(decoded ? std::optional(first) : std::nullopt);
}

}  // namespace

PiixIde::PiixIde(PciAddressSpaces spaces)
    : PciFunction(kIdentity, spaces),
      channels_{IdeChannel(spaces.memory), IdeChannel(spaces.memory)},
      command_windows_{PortWindow(spaces.ports, "primary IDE", IdeChannel::kCommandPorts,
                                  channels_[0].command_block(), {1, 4}),
                       PortWindow(spaces.ports, "secondary IDE", IdeChannel::kCommandPorts,
                                  channels_[1].command_block(), {1, 4})},
      control_windows_{PortWindow(spaces.ports, "primary IDE control", IdeChannel::kControlPorts,
                                  channels_[0].control_block()),
                       PortWindow(spaces.ports, "secondary IDE control", IdeChannel::kControlPorts,
                                  channels_[1].control_block())} {
  auto& mask = write_mask();
  mask[kCommand] = 0x05;  // I/O space and bus master
  mask[kCommand + 1] = 0;
  mask[kLatencyTimer] = 0xF0;
  for (const u8 offset : {kTiming, static_cast<u8>(kTiming + 2)}) {
    mask[offset] = 0xFF;
    mask[offset + 1] = 0xF3;
  }
  mask[kSlaveTiming] = 0xFF;
  add_io_bar(4, 2 * BusMaster::kPortCount, "IDE bus master", *this);
  store_reset_values();
}

void PiixIde::store_reset_values() {
  set_config_value(kStatus, 0x0280, 2);  // medium DEVSEL#, fast back-to-back capable
}

void PiixIde::reset(ResetKind kind) {
  PciFunction::reset(kind);
  store_reset_values();
  refresh_mappings();
  for (IdeChannel& channel : channels_) channel.reset(kind);
}

void PiixIde::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  PciFunction::serialize(archive);
  for (IdeChannel& channel : channels_) channel.serialize(archive);
  std::array<bool, 4> mapped{};
  for (unsigned i = 0; i < channels_.size(); ++i) {
    mapped[2 * i] = command_windows_[i].mapped_at().has_value();
    mapped[2 * i + 1] = control_windows_[i].mapped_at().has_value();
  }
  archive.field("mapped", mapped);
  if (!archive.restoring()) return;
  for (unsigned i = 0; i < channels_.size(); ++i) {
    const bool decoded = decodes_channel(i);
    place(command_windows_[i], kCommandPort[i], decoded && mapped[2 * i]);
    place(control_windows_[i], kControlPort[i], decoded && mapped[2 * i + 1]);
    channels_[i].enable_bus_master(bus_master_enabled());
  }
}

void PiixIde::config_write(u8 offset, u32 value, unsigned size) {
  PciFunction::config_write(offset, value, size);
  refresh_mappings();
}

void PiixIde::refresh_mappings() {
  PciFunction::refresh_mappings();
  for (unsigned i = 0; i < channels_.size(); ++i) {
    const bool decoded = decodes_channel(i);
    place(command_windows_[i], kCommandPort[i], decoded);
    place(control_windows_[i], kControlPort[i], decoded);
    channels_[i].enable_bus_master(bus_master_enabled());
  }
}

void PiixIde::release_mappings() {
  PciFunction::release_mappings();
  for (PortWindow& window : command_windows_) window.place(std::nullopt);
  for (PortWindow& window : control_windows_) window.place(std::nullopt);
}

bool PiixIde::decodes_channel(unsigned number) const {
  const u32 timing = config_value(static_cast<u8>(kTiming + 2 * number), 2);
  return io_space_enabled() && (timing & kDecodeEnable) != 0;
}

u64 PiixIde::io_read(u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u32 at = static_cast<u32>(offset + i) & 15;
    const u8 byte =
        channels_[at / BusMaster::kPortCount].read_bus_master(at % BusMaster::kPortCount);
    value |= u64{byte} << (8 * i);
  }
  return value;
}

void PiixIde::io_write(u64 offset, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const u32 at = static_cast<u32>(offset + i) & 15;
    channels_[at / BusMaster::kPortCount].write_bus_master(at % BusMaster::kPortCount,
                                                           static_cast<u8>(value >> (8 * i)));
  }
}

}  // namespace ringshift::devices
