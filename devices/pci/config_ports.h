// The processor's way into PCI configuration space: mechanism #1 (PCI 3.0 §3.2.2.3.2), a dword-only
// address latch at CF8h and a data window at CFCh-CFFh. Port CF9h lies in the middle of it and is
// the reset control register of the south bridge (82371SB data sheet, "RC").
#pragma once

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/device.h"
#include "devices/pci/pci.h"

namespace ringshift::devices {

/// To be mapped at ports CF8h-CFFh with access sizes 1 to 4.
class ConfigurationPorts final : public Device, public IoHandler {
 public:
  static constexpr u16 kFirstPort = 0xCF8;
  static constexpr u32 kPortCount = 8;

  ConfigurationPorts(PciBus& bus, MachineControl& machine) : bus_(bus), machine_(machine) {}

  std::string_view name() const override { return "PCI configuration"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  void write_reset_control(u8 value);

  PciBus& bus_;
  MachineControl& machine_;
  u32 address_ = 0;
  u8 reset_control_ = 0;
};

}  // namespace ringshift::devices
