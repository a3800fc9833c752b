// Conventional PCI: functions with a configuration space, and the bus that routes configuration
// cycles and interrupt pins to them (PCI Local Bus Specification 3.0). The base class implements
// the header (command, status, BAR sizing and mapping, ROM BAR, interrupt line/pin, capabilities
// list), so that a device only states its identity and its registers.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/io_handler.h"
#include "cpu/types.h"
#include "devices/device.h"
#include "devices/irq.h"
#include "devices/port_bus.h"
#include "mmu/memory_map.h"

namespace ringshift::devices {

struct PciIdentity {
  u16 vendor = 0;
  u16 device = 0;
  u8 revision = 0;
  u8 class_code = 0;
  u8 subclass = 0;
  u8 programming_interface = 0;
  u16 subsystem_vendor = 0;
  u16 subsystem = 0;
  u8 header_type = 0;    ///< 0x80 set on function 0 of a multi-function device
  u8 interrupt_pin = 0;  ///< 0 none, 1 INTA# … 4 INTD#
};

/// Where BARs are mapped: both address spaces of the machine.
struct PciAddressSpaces {
  PortBus& ports;
  mmu::MemoryMap& memory;
};

class PciFunction : public Device {
 public:
  PciFunction(const PciIdentity& identity, PciAddressSpaces spaces);
  ~PciFunction() override;

  /// Configuration cycles: `size` 1, 2 or 4, naturally aligned, offset below 256. Overrides handle
  /// their own registers and pass the rest on.
  virtual u32 config_read(u8 offset, unsigned size);
  virtual void config_write(u8 offset, u32 value, unsigned size);

  /// The board connects this to the interrupt router with the line number of (slot, pin).
  IrqLine& interrupt() { return interrupt_; }

  /// Clears every writable bit of the configuration space (so BARs are unmapped and decoding is
  /// off) and lowers the interrupt; overrides call it first and then store their non-zero reset
  /// values.
  void reset(ResetKind kind) override;
  /// Serializes the configuration space; overrides call it first. Restoring maps those BARs again
  /// that were mapped: who came first to a contested range is part of the state.
  void serialize(StateArchive& archive) override;

  /// Maps what the configuration space asks for and unmaps what it no longer asks for. The bus
  /// calls it after every change, so that a range once refused for a conflict appears when the
  /// conflict goes. Overrides with port ranges of their own (not BARs) call the base first.
  virtual void refresh_mappings();
  /// Takes all its ranges off both buses until something maps them again. Overrides call the base.
  virtual void release_mappings();

 protected:
  /// Declares BAR `index` (0-5) as `size` (a power of two) I/O ports or memory bytes. Mapped on the
  /// bus whenever the guest enables decoding and programs a sane address.
  void add_io_bar(unsigned index, u32 size, std::string_view name, IoHandler& handler,
                  AccessSizes sizes = {1, 4});
  void add_mmio_bar(unsigned index, u64 size, std::string_view name, IoHandler& handler,
                    AccessSizes sizes = {1, 4});
  /// A memory BAR backed by guest memory (a frame buffer). Prefetchable.
  void add_memory_bar(unsigned index, std::string_view name, const mmu::MemoryBlock& block);
  /// The expansion ROM BAR, backed by `block`.
  void set_expansion_rom(std::string_view name, const mmu::MemoryBlock& block);

  /// Direct access to the bytes of the header for the device's own registers and reset values.
  std::array<u8, 256>& config() { return config_; }
  /// Bits of `config()` that the guest may write; all of the device area is read-only by default.
  std::array<u8, 256>& write_mask() { return write_mask_; }
  u16 command() const { return static_cast<u16>(config_[4] | config_[5] << 8); }
  bool bus_master_enabled() const { return (command() & 4) != 0; }
  bool io_space_enabled() const { return (command() & 1) != 0; }
  bool memory_space_enabled() const { return (command() & 2) != 0; }
  /// Drives the interrupt pin, subject to the Interrupt Disable bit of the command register, and
  /// shows it in the status register (PCI 3.0 §6.2.2, §6.2.3).
  void set_interrupt(bool asserted);
  /// Little-endian access to `config()`, past the write masks: for reset values.
  u32 config_value(u8 offset, unsigned size) const;
  void set_config_value(u8 offset, u32 value, unsigned size);
  mmu::MemoryMap& memory() { return spaces_.memory; }
  PortBus& ports() { return spaces_.ports; }

 private:
  enum class BarKind : u8 { None, Io, Mmio, Memory, Rom };
  struct Bar {
    BarKind kind = BarKind::None;
    u64 size = 0;
    std::string name;
    IoHandler* handler = nullptr;
    AccessSizes sizes;
    mmu::MemoryBlock block;
    std::optional<u64> mapped_at;
  };
  static constexpr unsigned kRomBar = 6;
  Bar& declare_bar(unsigned index, BarKind kind, u64 size, std::string_view name);
  void update_interrupt();
  void map(Bar& bar, u64 address);
  void unmap(Bar& bar);
  /// Where the configuration space puts the BAR now; nothing while it isn't decoded.
  std::optional<u64> decoded_address(unsigned index) const;
  bool memory_range_is_free(u64 first, u64 length);

  PciIdentity identity_;
  PciAddressSpaces spaces_;
  std::array<u8, 256> config_{};
  std::array<u8, 256> write_mask_{};
  std::array<Bar, 7> bars_;
  IrqLine interrupt_;
  bool interrupt_asserted_ = false;
};

/// Bus 0: 32 slots of 8 functions. The processor reaches it through ConfigurationPorts.
class PciBus {
 public:
  /// Puts a function at (slot, function); the place must be free.
  void attach(unsigned slot, unsigned function, PciFunction& device);
  PciFunction* at(unsigned slot, unsigned function) const;

  u32 config_read(u8 bus, u8 device_function, u8 offset, unsigned size);
  void config_write(u8 bus, u8 device_function, u8 offset, u32 value, unsigned size);

  /// Gives every function another chance to map its ranges.
  void refresh_mappings();
  /// Takes every function's ranges off both buses. For a reset or a restore of the whole board:
  /// what one device gives up only later can't be in another's way then.
  void release_mappings();

 private:
  std::array<PciFunction*, 256> functions_{};
};

}  // namespace ringshift::devices
