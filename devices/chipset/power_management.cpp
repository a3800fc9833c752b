#include "devices/chipset/power_management.h"

#include "devices/chipset/board_identity.h"

namespace ringshift::devices {

namespace {

// Configuration space (290562, chapter 7.1).
constexpr u8 kPmBase = 0x40;
constexpr u8 kDeviceActivityB = 0x58;  // DEVACTB
constexpr u8 kPmMisc = 0x80;           // PMREGMISC
constexpr u8 kSmbusBase = 0x90;        // SMBBASE
constexpr u8 kSmbusConfig = 0xD2;      // SMBHSTCFG
constexpr u32 kApmcEnable = 1U << 25;  // DEVACTB: writes to APMC raise an SMI

// The I/O block (chapter 7.2).
constexpr u32 kStatus = 0x00;         // PMSTS
constexpr u32 kEnable = 0x02;         // PMEN
constexpr u32 kControl = 0x04;        // PMCNTRL
constexpr u32 kTimer = 0x08;          // PMTMR
constexpr u32 kGpStatus = 0x0C;       // GPSTS
constexpr u32 kGpEnable = 0x0E;       // GPEN
constexpr u32 kGlobalControl = 0x28;  // GLBCTL
constexpr u32 kGpi = 0x30;            // GPIREG
constexpr u32 kGpo = 0x34;            // GPOREG

constexpr u16 kTimerOverflow = 0x0001;  // TMROF
constexpr u16 kGlobal = 0x0020;         // GBL
constexpr u16 kPowerButton = 0x0100;    // PWRBTN
constexpr u16 kResume = 0x8000;         // RSM_STS
constexpr u16 kSciEvents = 0x0521;      // TMROF, GBL, PWRBTN, RTC

constexpr u16 kSciEnable = 0x0001;      // SCI_EN
constexpr u16 kSuspendEnable = 0x2000;  // SUS_EN, write-only
constexpr u32 kBiosRelease = 0x0002;    // GLBCTL.BIOS_RLS, write-only

constexpr u64 kHalfPeriod = u64{1} << 23;
constexpr u32 kTimerMask = 0x00FF'FFFF;

constexpr PciIdentity kIdentity = {.vendor = 0x8086,
                                   .device = 0x7113,
                                   .revision = 0x03,
                                   .class_code = 0x06,
                                   .subclass = 0x80,
                                   .programming_interface = 0x00,
                                   .subsystem_vendor = kBoardSubsystemVendor,
                                   .subsystem = kBoardSubsystem,
                                   .header_type = 0x00,
                                   .interrupt_pin = 1};

struct Register {
  u8 offset;
  u8 size;
  u32 reset_value;
  u32 writable;
};

constexpr Register kConfiguration[] = {
    {0x04, 2, 0x0000, 0x0001},           // PCICMD: I/O decode of the SMBus range only
    {0x06, 2, 0x0280, 0x0000},           // PCISTS
    {0x40, 4, 0x00000001, 0x0000FFC0},   // PMBASE
    {0x44, 4, 0x00000000, 0xFFFFFFFF},   // CNTA
    {0x48, 4, 0x00000000, 0xFFFFFFFF},   // CNTB
    {0x4C, 4, 0x00000000, 0xFFFFFFFF},   // GPICTL
    {0x50, 4, 0x00000000, 0x00FFFFFF},   // DEVRESD
    {0x54, 4, 0x00000000, 0xFFFFFFFF},   // DEVACTA
    {0x58, 4, kApmcEnable, 0xFFFFFFFF},  // DEVACTB
    {0x5C, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESA
    {0x60, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESB
    {0x64, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESC
    {0x68, 4, 0x00000000, 0x001FFFFF},   // DEVRESE
    {0x6C, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESF
    {0x70, 4, 0x00000000, 0x001FFFFF},   // DEVRESG
    {0x74, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESH
    {0x78, 4, 0x00000000, 0xFFFFFFFF},   // DEVRESI
    {0x7C, 4, 0x00000000, 0x001FFFFF},   // DEVRESJ
    {0x80, 1, 0x00, 0x01},               // PMREGMISC: PMIOSE
    {0x90, 4, 0x00000001, 0x0000FFF0},   // SMBBASE
    {0xD2, 1, 0x00, 0x0F},               // SMBHSTCFG
    {0xD3, 1, 0x00, 0xFF},               // SMBSLVC
    {0xD4, 1, 0x00, 0xFF},               // SMBSHDW1
    {0xD5, 1, 0x00, 0xFF},               // SMBSHDW2
};

struct PortRegister {
  u8 offset;
  u8 size;
  u32 writable;
  u32 clearable;  // by writing ones
};

/// Registers not listed (PMTMR, PLVL2, PLVL3, GPIREG) are read-only.
constexpr PortRegister kPortRegisters[] = {
    {0x00, 2, 0, 0x8531},      // PMSTS
    {0x02, 2, 0x0521, 0},      // PMEN
    {0x04, 2, 0x1C03, 0},      // PMCNTRL; GBL_RLS and SUS_EN read as zero
    {0x0C, 2, 0, 0x0F01},      // GPSTS
    {0x0E, 2, 0x0F01, 0},      // GPEN
    {0x10, 4, 0x00003E1E, 0},  // PCNTRL
    {0x18, 2, 0, 0x007F},      // GLBSTS
    {0x1C, 4, 0, 0x3FFF0FFF},  // DEVSTS
    {0x20, 2, 0x0BFF, 0},      // GLBEN
    {0x28, 4, 0x0FFFFF01, 0},  // GLBCTL; BIOS_RLS reads as zero
    {0x2C, 4, 0xFFFFFFFF, 0},  // DEVCTL
    {0x34, 4, 0x7FFFFFFF, 0},  // GPOREG
};

bool touches(u64 offset, unsigned size, u32 at, u32 length) {
  return offset < at + length && at < offset + size;
}

/// The first instant (ns) at which `frequency` Hz have counted `ticks`.
Nanoseconds time_of_tick(u64 ticks, u32 frequency) {
  const u64 rest = ticks % frequency;
  return ticks / frequency * kNanosecondsPerSecond +
         (rest * kNanosecondsPerSecond + frequency - 1) / frequency;
}

}  // namespace

PowerManagement::PowerManagement(PciAddressSpaces spaces, EventClock& clock,
                                 MachineControl& machine)
    : PciFunction(kIdentity, spaces),
      clock_(clock),
      machine_(machine),
      window_(spaces.ports, "ACPI power management", kPortCount, port_handler_, {1, 4}),
      smbus_(clock, [this] { update_sci(); }),
      smbus_window_(spaces.ports, "SMBus", SmBusHost::kPortCount, smbus_),
      overflow_timer_(clock, [this] { update_sci(); }) {
  for (const Register& entry : kConfiguration) {
    for (unsigned i = 0; i < entry.size; ++i) {
      write_mask()[entry.offset + i] = static_cast<u8>(entry.writable >> (8 * i));
    }
  }
  store_reset_values();
}

void PowerManagement::store_reset_values() {
  for (const Register& entry : kConfiguration) {
    set_config_value(entry.offset, entry.reset_value, entry.size);
  }
  registers_ = {};
  set_value(kGpi, 0x00FF'FFFF, 3);  // general-purpose inputs are pulled up
  set_value(kGpo, 0x7FFF'BFFF, 4);
}

void PowerManagement::reset(ResetKind kind) {
  PciFunction::reset(kind);
  store_reset_values();
  smbus_.reset();
  half_periods_ = timer_ticks() / kHalfPeriod;
  refresh_mappings();
  update_sci();
}

void PowerManagement::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  PciFunction::serialize(archive);
  bool level = sci_.level();
  std::array<bool, 2> mapped = {window_.mapped_at().has_value(),
                                smbus_window_.mapped_at().has_value()};
  archive.field("registers", registers_);
  archive.field("half periods", half_periods_);
  archive.field("sci", level);
  smbus_.serialize(archive);
  archive.field("overflow timer", overflow_timer_);
  archive.field("mapped", mapped);
  if (archive.restoring()) {
    sci_.restore_level(level);
    window_.place(mapped[0] ? decoded_window() : std::nullopt);
    smbus_window_.place(mapped[1] ? decoded_smbus_window() : std::nullopt);
  }
}

void PowerManagement::config_write(u8 offset, u32 value, unsigned size) {
  PciFunction::config_write(offset, value, size);
  refresh_mappings();
  if (touches(offset, size, kSmbusConfig, 1)) update_sci();
}

std::optional<u16> PowerManagement::decoded_window() const {
  if ((config_value(kPmMisc, 1) & 1) == 0) return std::nullopt;
  return static_cast<u16>(config_value(kPmBase, 2) & 0xFFC0);
}

std::optional<u16> PowerManagement::decoded_smbus_window() const {
  // PCICMD bit 0 gates the SMBus range together with the host controller's own enable.
  if ((config_value(kSmbusConfig, 1) & 1) == 0 || !io_space_enabled()) return std::nullopt;
  return static_cast<u16>(config_value(kSmbusBase, 2) & 0xFFF0);
}

void PowerManagement::refresh_mappings() {
  PciFunction::refresh_mappings();
  window_.place(decoded_window());
  smbus_window_.place(decoded_smbus_window());
}

void PowerManagement::release_mappings() {
  PciFunction::release_mappings();
  window_.place(std::nullopt);
  smbus_window_.place(std::nullopt);
}

// --- The I/O block ------------------------------------------------------------------------------

u32 PowerManagement::value(u32 offset, unsigned size) const {
  u32 result = 0;
  for (unsigned i = 0; i < size; ++i) result |= u32{registers_[offset + i]} << (8 * i);
  return result;
}

void PowerManagement::set_value(u32 offset, u32 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) registers_[offset + i] = static_cast<u8>(value >> (8 * i));
}

u64 PowerManagement::read_port(u64 offset, unsigned size) {
  if (offset + size > kPortCount) return 0;
  if (touches(offset, size, kTimer, 4)) {
    set_value(kTimer, static_cast<u32>(timer_ticks()) & kTimerMask, 4);
  }
  if (touches(offset, size, kStatus, 2)) update_overflow();
  return value(static_cast<u32>(offset), size);
}

void PowerManagement::write_port(u64 offset, u64 value_written, unsigned size) {
  if (offset + size > kPortCount) return;
  update_overflow();  // an overflow that has happened precedes this write
  u32 control = 0;
  u32 global_control = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u32 at = static_cast<u32>(offset) + i;
    const u8 byte = static_cast<u8>(value_written >> (8 * i));
    for (const PortRegister& entry : kPortRegisters) {
      if (at < entry.offset || at >= u32{entry.offset} + entry.size) continue;
      const unsigned shift = 8 * (at - entry.offset);
      const u8 writable = static_cast<u8>(entry.writable >> shift);
      const u8 clearable = static_cast<u8>(entry.clearable >> shift);
      u8& current = registers_[at];
      current = static_cast<u8>(((current & ~writable) | (byte & writable)) & ~(byte & clearable));
    }
    if (at / 2 == kControl / 2) control |= u32{byte} << (8 * (at - kControl));
    if (at / 4 == kGlobalControl / 4) global_control |= u32{byte} << (8 * (at - kGlobalControl));
  }
  if ((global_control & kBiosRelease) != 0) {
    set_value(kStatus, value(kStatus, 2) | kGlobal, 2);  // hands the global lock to the ACPI driver
  }
  // PMCNTRL.GBL_RLS would raise an SMI for firmware that waits for the global lock; none does here.
  update_sci();
  if ((control & kSuspendEnable) != 0) sleep(value(kControl, 2) >> 10 & 7);
}

void PowerManagement::sleep(u32 type) {
  // SUS_TYP 000b is soft off (shared with suspend to disk). In all other states the machine would
  // keep its memory; a wake event ends them at once, as if one were pending.
  if (type == 0) {
    machine_.request_power_off();
    return;
  }
  set_value(kStatus, value(kStatus, 2) | kResume, 2);
}

u64 PowerManagement::timer_ticks() {
  const Nanoseconds now = clock_.now();
  return now / kNanosecondsPerSecond * kTimerFrequency +
         now % kNanosecondsPerSecond * kTimerFrequency / kNanosecondsPerSecond;
}

void PowerManagement::update_overflow() {
  const u64 half_periods = timer_ticks() / kHalfPeriod;
  if (half_periods == half_periods_) return;
  half_periods_ = half_periods;
  set_value(kStatus, value(kStatus, 2) | kTimerOverflow, 2);
}

void PowerManagement::update_sci() {
  update_overflow();
  const u32 status = value(kStatus, 2);
  const u32 enable = value(kEnable, 2);
  const bool event =
      (status & enable & kSciEvents) != 0 || (value(kGpStatus, 2) & value(kGpEnable, 2)) != 0;
  const bool acpi = (value(kControl, 2) & kSciEnable) != 0;
  // SMBHSTCFG bits 3-1: 100b sends the SMBus interrupt to request 9, shared with the SCI.
  const bool smbus = smbus_.interrupt() && (config()[kSmbusConfig] >> 1 & 7) == 4;
  sci_.set((acpi && event) || smbus);
  // The clock has to call only when an overflow would raise the interrupt.
  if (acpi && (enable & kTimerOverflow) != 0 && (status & kTimerOverflow) == 0) {
    overflow_timer_.arm(time_of_tick((half_periods_ + 1) * kHalfPeriod, kTimerFrequency));
  } else {
    overflow_timer_.cancel();
  }
}

void PowerManagement::apm_command(u8 command) {
  if ((config_value(kDeviceActivityB, 4) & kApmcEnable) == 0) return;
  u32 control = value(kControl, 2);
  if (command == kAcpiEnable) control |= kSciEnable;
  if (command == kAcpiDisable) control &= ~u32{kSciEnable};
  set_value(kControl, control, 2);
  update_sci();
}

bool PowerManagement::press_power_button() {
  set_value(kStatus, value(kStatus, 2) | kPowerButton, 2);
  update_sci();
  return (value(kControl, 2) & kSciEnable) != 0 && (value(kEnable, 2) & kPowerButton) != 0;
}

}  // namespace ringshift::devices
