#include "devices/pci/config_ports.h"

namespace ringshift::devices {

namespace {

constexpr u32 kEnable = 0x8000'0000;
constexpr u32 kAddressWritable = 0x80FF'FFFC;  // bits 30-24 and 1-0 are reserved and read as zero
constexpr u8 kResetCpu = 0x04;                 // RCPU: its rising edge starts the reset
constexpr u8 kResetControlWritable = 0x06;     // RCPU and SRST (which kind of reset)

constexpr u64 all_ones(unsigned size) {
  return size >= 4 ? 0xFFFF'FFFF : (1U << (8 * size)) - 1;
}

}  // namespace

void ConfigurationPorts::reset(ResetKind kind) {
  static_cast<void>(kind);
  address_ = 0;
  reset_control_ = 0;
}

void ConfigurationPorts::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  archive.field("address", address_);
  archive.field("reset control", reset_control_);
}

u64 ConfigurationPorts::io_read(u64 offset, unsigned size) {
  if (offset < 4) {
    if (offset == 0 && size == 4) return address_;
    if (offset == 1 && size == 1) return reset_control_;
    return all_ones(
        size);  // only a dword access reaches the latch; the rest goes to an empty ISA bus
  }
  if ((address_ & kEnable) == 0) return all_ones(size);
  const u8 at = static_cast<u8>((address_ & 0xFC) + (offset - 4));
  const u8 bus = static_cast<u8>(address_ >> 16);
  const u8 device_function = static_cast<u8>(address_ >> 8);
  if (at % size == 0) return bus_.config_read(bus, device_function, at, size);
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= u64{bus_.config_read(bus, device_function, static_cast<u8>(at + i), 1)} << (8 * i);
  }
  return value;
}

void ConfigurationPorts::io_write(u64 offset, u64 value, unsigned size) {
  if (offset < 4) {
    if (offset == 0 && size == 4) address_ = static_cast<u32>(value) & kAddressWritable;
    if (offset == 1 && size == 1) write_reset_control(static_cast<u8>(value));
    return;
  }
  if ((address_ & kEnable) == 0) return;
  const u8 at = static_cast<u8>((address_ & 0xFC) + (offset - 4));
  const u8 bus = static_cast<u8>(address_ >> 16);
  const u8 device_function = static_cast<u8>(address_ >> 8);
  if (at % size == 0) {
    bus_.config_write(bus, device_function, at, static_cast<u32>(value), size);
    return;
  }
  for (unsigned i = 0; i < size; ++i) {
    bus_.config_write(bus, device_function, static_cast<u8>(at + i),
                      static_cast<u32>(value >> (8 * i)) & 0xFF, 1);
  }
}

void ConfigurationPorts::write_reset_control(u8 value) {
  const bool rising = (value & ~reset_control_ & kResetCpu) != 0;
  reset_control_ = value & kResetControlWritable;
  // A soft reset (SRST clear) would pulse INIT# only. Firmware treats both as "restart the machine"
  // and the board has one reset line, so both use it.
  if (rising) machine_.request_reset();
}

}  // namespace ringshift::devices
