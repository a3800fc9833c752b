// The 82371SB (PIIX3) IDE controller, function 1 of slot 1 (Intel 290550): two channels at their
// historic ports, with a bus master register block at BAR 4.
#pragma once

#include "devices/chipset/port_window.h"
#include "devices/ide/ide_channel.h"
#include "devices/pci/pci.h"

namespace ringshift::devices {

class PiixIde final : public PciFunction, private IoHandler {
 public:
  explicit PiixIde(PciAddressSpaces spaces);

  std::string_view name() const override { return "82371SB IDE"; }
  void reset(ResetKind kind) override;
  /// With the channels and their drives.
  void serialize(StateArchive& archive) override;
  void config_write(u8 offset, u32 value, unsigned size) override;
  void refresh_mappings() override;
  void release_mappings() override;

  /// 0: ports 1F0h and 3F6h, ISA request 14. 1: 170h, 376h, request 15.
  IdeChannel& channel(unsigned number) { return channels_.at(number); }

 private:
  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;
  void store_reset_values();
  bool decodes_channel(unsigned number) const;

  std::array<IdeChannel, 2> channels_;
  std::array<PortWindow, 2> command_windows_;
  std::array<PortWindow, 2> control_windows_;
};

}  // namespace ringshift::devices
