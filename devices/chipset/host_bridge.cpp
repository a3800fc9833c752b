#include "devices/chipset/host_bridge.h"

#include <algorithm>

#include "devices/chipset/board_identity.h"

namespace ringshift::devices {

namespace {

// Configuration registers (290549, chapter 3.2).
constexpr u8 kCommand = 0x04;
constexpr u8 kStatus = 0x06;
constexpr u8 kLatencyTimer = 0x0D;
constexpr u8 kConfiguration = 0x50;     // PMCCFG
constexpr u8 kDeturbo = 0x52;           // DETURBO counter
constexpr u8 kBufferControl = 0x53;     // DBC
constexpr u8 kAuxiliary = 0x54;         // AXC
constexpr u8 kRowType = 0x55;           // DRT, two bytes
constexpr u8 kDramControl = 0x57;       // DRAMC
constexpr u8 kDramTiming = 0x58;        // DRAMT
constexpr u8 kPam0 = 0x59;              // PAM0-PAM6
constexpr u8 kRowBoundary = 0x60;       // DRB0-DRB7
constexpr u8 kFixedHole = 0x68;         // FDHC
constexpr u8 kMultiTransaction = 0x70;  // MTT
constexpr u8 kCpuLatency = 0x71;        // CLT
constexpr u8 kSmram = 0x72;             // SMRAM
constexpr u8 kErrorCommand = 0x90;      // ERRCMD
constexpr u8 kErrorStatus = 0x91;       // ERRSTS
constexpr u8 kResetControl = 0x93;      // TRC

constexpr u8 kSmramOpen = 0x40;             // DOPEN
constexpr u8 kSmramClosed = 0x20;           // DCLS
constexpr u8 kSmramLock = 0x10;             // DLCK
constexpr u8 kSmramEnable = 0x08;           // SMRAME
constexpr u8 kSmramBase = 0x02;             // C_BASE_SEG: A0000h, the only supported value
constexpr u8 kErrorStatusClearable = 0x11;  // multiple-bit and single-bit DRAM error flags

constexpr u64 kRowUnit = u64{8} << 20;
constexpr unsigned kRows = 8;

constexpr PciIdentity kIdentity = {.vendor = 0x8086,
                                   .device = 0x1237,
                                   .revision = 0x02,
                                   .class_code = 0x06,
                                   .subclass = 0x00,
                                   .programming_interface = 0x00,
                                   .subsystem_vendor = kBoardSubsystemVendor,
                                   .subsystem = kBoardSubsystem,
                                   .header_type = 0x00,
                                   .interrupt_pin = 0};

struct Area {
  u32 first;
  u32 length;
  u8 offset;  // the PAM register
  u8 shift;   // its nibble
};

/// The attribute map's areas: PAM1-PAM6 hold two areas of 16 KiB each, PAM0 the BIOS area.
constexpr Area area(unsigned index) {
  if (index == 12) return {0xF0000, 0x10000, kPam0, 4};
  return {0xC0000 + 0x4000 * index, 0x4000, static_cast<u8>(kPam0 + 1 + index / 2),
          static_cast<u8>(4 * (index % 2))};
}

}  // namespace

HostBridge::HostBridge(PciAddressSpaces spaces, u64 memory_size, MachineControl& machine)
    : PciFunction(kIdentity, spaces), memory_size_(memory_size), machine_(machine) {
  applied_.fill(Attribute::Unknown);
  auto& mask = write_mask();
  // Memory access and bus mastering can't be switched off; parity and SERR# can be enabled.
  mask[kCommand] = 0x40;
  mask[kCommand + 1] = 0x01;
  mask[kLatencyTimer] = 0xF8;
  mask[kConfiguration] = 0xFF;
  mask[kConfiguration + 1] = 0xFF;
  mask[kDeturbo] = 0xFF;
  mask[kBufferControl] = 0xE3;
  mask[kAuxiliary] = 0x0A;
  mask[kRowType] = 0xFF;
  mask[kRowType + 1] = 0xFF;
  mask[kDramControl] = 0x77;
  mask[kDramTiming] = 0x7F;
  mask[kPam0] = 0x30;
  for (unsigned i = 1; i <= 6; ++i) mask[kPam0 + i] = 0x33;
  for (unsigned i = 0; i < kRows; ++i) mask[kRowBoundary + i] = 0xFF;
  mask[kFixedHole] = 0xC0;
  mask[kMultiTransaction] = 0xF8;
  mask[kCpuLatency] = 0x1F;
  mask[kSmram] = kSmramOpen | kSmramClosed | kSmramLock | kSmramEnable;
  mask[kErrorCommand] = 0xFF;
  mask[kResetControl] = 0x0E;
  store_reset_values();
}

void HostBridge::store_reset_values() {
  set_config_value(kCommand, 0x0006, 2);
  set_config_value(kStatus, 0x0280, 2);  // medium DEVSEL#, fast back-to-back capable
  set_config_value(kBufferControl, 0x83, 1);
  set_config_value(kDramControl, 0x01, 1);
  set_config_value(kDramTiming, 0x10, 1);
  set_config_value(kMultiTransaction, 0x20, 1);
  set_config_value(kCpuLatency, 0x10, 1);
  set_config_value(kSmram, kSmramBase, 1);
  set_config_value(kErrorStatus, 0, 1);
  // Real firmware finds the rows' sizes by probing. The rows here are equal, and already described.
  const u64 units = std::min<u64>((memory_size_ + kRowUnit - 1) / kRowUnit, 0xFF);
  u64 row = 1;
  while (row * kRows < units) row *= 2;
  for (unsigned i = 0; i < kRows; ++i) {
    set_config_value(static_cast<u8>(kRowBoundary + i),
                     static_cast<u32>(std::min<u64>(units, row * (i + 1))), 1);
  }
}

void HostBridge::reset(ResetKind kind) {
  PciFunction::reset(kind);
  store_reset_values();
  update_shadow();
}

void HostBridge::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  PciFunction::serialize(archive);
  if (archive.restoring()) update_shadow();
}

void HostBridge::config_write(u8 offset, u32 value, unsigned size) {
  const u8 smram = config()[kSmram];
  const u8 reset_control = config()[kResetControl];
  PciFunction::config_write(offset, value, size);
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    const u8 byte = static_cast<u8>(value >> (8 * i));
    if (at == kSmram) {
      config()[kSmram] = smram;
      write_smram(byte);
    }
    if (at == kErrorStatus) config()[at] &= static_cast<u8>(~(byte & kErrorStatusClearable));
    if (at == kResetControl) write_reset_control(reset_control);
  }
  if (offset <= kPam0 + 6 && offset + size > kPam0) update_shadow();
}

void HostBridge::update_shadow() {
  for (unsigned i = 0; i < kAreas; ++i) {
    const Area at = area(i);
    const auto attribute = static_cast<Attribute>((config()[at.offset] >> at.shift) & 3);
    if (attribute == applied_[i]) continue;
    applied_[i] = attribute;
    const bool read = (static_cast<u8>(attribute) & static_cast<u8>(Attribute::Read)) != 0;
    const bool write = (static_cast<u8>(attribute) & static_cast<u8>(Attribute::Write)) != 0;
    memory().set_shadow({at.first}, at.length, read, write);
  }
}

void HostBridge::write_smram(u8 value) {
  // System management mode isn't modelled, so the register has its own rules but no effect on who
  // sees A0000h-BFFFFh: always the display adapter, as outside SMM with SMRAM closed.
  u8& smram = config()[kSmram];
  if ((smram & kSmramLock) != 0) {
    // Locked until reset: all but DCLS has become read-only.
    smram = static_cast<u8>((smram & ~kSmramClosed) | (value & kSmramClosed));
    return;
  }
  smram = static_cast<u8>((value & (kSmramOpen | kSmramClosed | kSmramLock | kSmramEnable)) |
                          kSmramBase);
  if ((smram & kSmramLock) != 0) smram &= static_cast<u8>(~kSmramOpen);
}

void HostBridge::write_reset_control(u8 before) {
  constexpr u8 kResetCpu = 0x04;
  if ((config()[kResetControl] & ~before & kResetCpu) != 0) machine_.request_reset();
}

}  // namespace ringshift::devices
