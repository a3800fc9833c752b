// The 82441FX (PMC) host bridge of the 440FX chip set (Intel 290549): bus 0, slot 0, function 0.
// What a guest can tell of it is the memory map: the programmable attribute map, by which firmware
// copies itself into RAM and protects it, and the DRAM row boundaries.
#pragma once

#include "devices/backends.h"
#include "devices/pci/pci.h"

namespace ringshift::devices {

class HostBridge final : public PciFunction {
 public:
  /// `memory_size` in bytes; shown in the DRAM row boundary registers in units of 8 MiB.
  HostBridge(PciAddressSpaces spaces, u64 memory_size, MachineControl& machine);

  std::string_view name() const override { return "82441FX host bridge"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;
  void config_write(u8 offset, u32 value, unsigned size) override;

 private:
  static constexpr unsigned kAreas = 13;  ///< twelve of 16 KiB from C0000h, and F0000h-FFFFFh
  enum class Attribute : u8 { None = 0, Read = 1, Write = 2, ReadWrite = 3, Unknown = 0xFF };

  void store_reset_values();
  void update_shadow();
  void write_smram(u8 value);
  void write_reset_control(u8 before);

  u64 memory_size_;
  MachineControl& machine_;
  std::array<Attribute, kAreas> applied_;  // what the memory map was last told
};

}  // namespace ringshift::devices
