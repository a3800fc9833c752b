// Power management of the 82371AB (PIIX4), function 3 of the south bridge (Intel 290562): the ACPI
// fixed hardware that an operating system finds through the FADT (power button, PM timer, system
// control interrupt, sleep control) and the SMBus host controller. The rest of the board is a
// PIIX3, which has no ACPI; the pair is what virtual PCs of this chip set have always offered.
//
// There is no system management mode here. Firmware's SMI handler would do two things that a guest
// can see: set SCI_EN when ACPI_ENABLE is written to the APM port, and clear it for ACPI_DISABLE.
// This device does both in its stead, and shows APMC_EN set from reset so that firmware takes SMM
// for already prepared and doesn't wait for it.
#pragma once

#include "devices/backends.h"
#include "devices/chipset/isa_bridge.h"
#include "devices/chipset/port_window.h"
#include "devices/chipset/smbus.h"
#include "devices/clock.h"
#include "devices/pci/pci.h"

namespace ringshift::devices {

class PowerManagement final : public PciFunction, public ApmCommandSink {
 public:
  /// FADT.SMI_CMD's values.
  static constexpr u8 kAcpiEnable = 0xF1;
  static constexpr u8 kAcpiDisable = 0xF0;
  /// ACPI PM timer frequency in Hz (ACPI 4.0 §4.7.2.1).
  static constexpr u32 kTimerFrequency = 3'579'545;
  /// Where the fixed hardware's blocks lie in the 64 bytes at PMBASE.
  static constexpr u32 kPm1Event = 0x00, kPm1Control = 0x04, kPmTimer = 0x08, kGpe0 = 0x0C;

  PowerManagement(PciAddressSpaces spaces, EventClock& clock, MachineControl& machine);

  std::string_view name() const override { return "82371AB power management"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;
  void config_write(u8 offset, u32 value, unsigned size) override;
  void refresh_mappings() override;
  void release_mappings() override;

  /// The system control interrupt: level-triggered, ISA request 9.
  IrqLine& sci() { return sci_; }

  void apm_command(u8 command) override;

  /// The person pressed the power button. Returns whether the guest will hear of it: ACPI is
  /// enabled and the event unmasked.
  bool press_power_button();

 private:
  static constexpr u32 kPortCount = 64;
  u64 read_port(u64 offset, unsigned size);
  void write_port(u64 offset, u64 value, unsigned size);
  using Ports =
      MemberIoHandler<PowerManagement, &PowerManagement::read_port, &PowerManagement::write_port>;

  void store_reset_values();
  /// Where the configuration space puts the windows now.
  std::optional<u16> decoded_window() const;
  std::optional<u16> decoded_smbus_window() const;
  u32 value(u32 offset, unsigned size) const;
  void set_value(u32 offset, u32 value, unsigned size);
  u64 timer_ticks();
  void update_overflow();
  void update_sci();
  void sleep(u32 type);

  EventClock& clock_;
  MachineControl& machine_;
  Ports port_handler_{*this};
  PortWindow window_;
  SmBusHost smbus_;
  PortWindow smbus_window_;
  Timer overflow_timer_;
  IrqLine sci_;
  std::array<u8, kPortCount> registers_{};
  u64 half_periods_ = 0;  // how often the timer's top bit had toggled when last looked at
};

}  // namespace ringshift::devices
