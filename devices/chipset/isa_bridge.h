// The 82371SB (PIIX3) PCI-to-ISA bridge, function 0 of slot 1 (Intel 290550). The ISA devices
// behind it are devices of their own; here are its configuration space, the routing of PCI
// interrupts, and the two advanced power management ports through which an operating system calls
// the firmware.
#pragma once

#include "cpu/io_handler.h"
#include "devices/chipset/pirq_router.h"
#include "devices/pci/pci.h"

namespace ringshift::devices {

/// Hears the commands written to the APM control port.
class ApmCommandSink {
 public:
  virtual ~ApmCommandSink() = default;
  virtual void apm_command(u8 command) = 0;
};

/// As an IoHandler: to be mapped at ports B2h-B3h (APMC, APMS), byte-wide.
class IsaBridge final : public PciFunction, public IoHandler {
 public:
  static constexpr u16 kApmPort = 0xB2;
  static constexpr u32 kApmPortCount = 2;

  IsaBridge(PciAddressSpaces spaces, PirqRouter& router, ApmCommandSink& apm);

  std::string_view name() const override { return "82371SB ISA bridge"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;
  void config_write(u8 offset, u32 value, unsigned size) override;

  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  void store_reset_values();

  PirqRouter& router_;
  ApmCommandSink& apm_;
  std::array<u8, 2> apm_ports_{};
};

}  // namespace ringshift::devices
