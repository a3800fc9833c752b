// The paravirtual device through which the machine tells its firmware what it is made of: memory,
// boot order, ACPI and SMBIOS tables, a kernel to start (QEMU docs/specs/fw_cfg). SeaBIOS would
// otherwise have to guess from CMOS bytes, and it builds no ACPI tables of its own for this board.
// The device only stores and hands out items; what they say is made in bios/.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/io_handler.h"
#include "devices/device.h"
#include "mmu/memory_map.h"

namespace ringshift::devices {

class FwCfg final : public Device {
 public:
  /// Keys that the device itself answers; all others are the caller's (bios/firmware_config.h).
  static constexpr u16 kKeySignature = 0x00;
  static constexpr u16 kKeyId = 0x01;
  static constexpr u16 kKeyFileDirectory = 0x19;
  static constexpr u16 kKeyFirstFile = 0x20;

  /// Where the board maps it: the selector and data ports, then the DMA address register.
  static constexpr u16 kPortBase = 0x510;
  static constexpr u32 kPortCount = 2;
  static constexpr AccessSizes kPortSizes{1, 2};
  static constexpr u16 kDmaPortBase = 0x514;
  static constexpr u32 kDmaPortCount = 8;
  static constexpr AccessSizes kDmaPortSizes{1, 4};

  /// Called after the guest has written `length` bytes at `offset` of a writable file.
  using WriteCallback = std::function<void(std::span<const u8> content, u32 offset, u32 length)>;

  /// `memory` is what the DMA interface reads and writes.
  explicit FwCfg(mmu::MemoryMap& memory);

  /// Sets or replaces the item under `key`, which must not be one of the device's own or a file's.
  void set_item(u16 key, std::vector<u8> content);
  /// Adds a read-only named file (at most 55 bytes of name), or replaces its content.
  void set_file(std::string_view name, std::vector<u8> content);
  /// Adds a named file that the guest may write through DMA, within its size.
  void set_writable_file(std::string_view name, std::vector<u8> content, WriteCallback written);
  /// The present content of a named file; null if there is none.
  const std::vector<u8>* file(std::string_view name) const;

  IoHandler& ports() { return port_handler_; }
  IoHandler& dma_ports() { return dma_handler_; }

  std::string_view name() const override { return "fw_cfg"; }
  void reset(ResetKind kind) override;
  /// The registers and what the guest has written. Read-only items are the machine's configuration,
  /// which whoever restores a snapshot has set up already.
  void serialize(StateArchive& archive) override;

 private:
  struct Item {
    std::vector<u8> content;
    std::vector<u8> initial;  ///< of a writable file: what power-on returns it to
    bool writable = false;
    WriteCallback written;
  };
  struct DmaCommand {
    u32 control = 0;
    u32 length = 0;
    u64 address = 0;
  };

  u64 port_read(u64 offset, unsigned size);
  void port_write(u64 offset, u64 value, unsigned size);
  u64 dma_read(u64 offset, unsigned size);
  void dma_write(u64 offset, u64 value, unsigned size);

  void add_file(std::string_view name, Item item);
  void rebuild_directory();
  void select(u16 key);
  Item* selected_item();
  u8 next_byte();
  /// Executes the command at guest-physical `address` and writes its status back.
  void run_dma(u64 address);
  enum class DmaOutcome : u8 { Done, Error };
  DmaOutcome transfer(const DmaCommand& command);
  DmaOutcome transfer_to_guest(const DmaCommand& command);
  DmaOutcome transfer_from_guest(const DmaCommand& command);

  mmu::MemoryMap& memory_;
  std::map<u16, Item> items_;
  std::map<std::string, u16, std::less<>> files_;
  MemberIoHandler<FwCfg, &FwCfg::port_read, &FwCfg::port_write> port_handler_{*this};
  MemberIoHandler<FwCfg, &FwCfg::dma_read, &FwCfg::dma_write> dma_handler_{*this};

  u16 selector_ = kKeySignature;
  u32 offset_ = 0;
  u64 dma_address_ = 0;
};

}  // namespace ringshift::devices
