// What the firmware is to be told, as plain data: numbered items and named files of the fw_cfg
// device. The bios folder makes them without knowing the device, and the machine hands them to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bios/little_endian.h"
#include "cpu/types.h"

namespace ringshift::bios {

/// Item keys (QEMU docs/specs/fw_cfg and the firmware that reads them).
namespace fw_cfg_key {
inline constexpr u16 kUuid = 0x02;
inline constexpr u16 kRamSize = 0x03;
inline constexpr u16 kNoGraphic = 0x04;
inline constexpr u16 kProcessors = 0x05;
inline constexpr u16 kKernelAddress = 0x07;
inline constexpr u16 kKernelSize = 0x08;
inline constexpr u16 kInitrdAddress = 0x0A;
inline constexpr u16 kInitrdSize = 0x0B;
inline constexpr u16 kBootDevice = 0x0C;
inline constexpr u16 kNuma = 0x0D;
inline constexpr u16 kBootMenu = 0x0E;
inline constexpr u16 kMostProcessors = 0x0F;
inline constexpr u16 kKernelEntry = 0x10;
inline constexpr u16 kKernelData = 0x11;
inline constexpr u16 kInitrdData = 0x12;
inline constexpr u16 kCommandLineAddress = 0x13;
inline constexpr u16 kCommandLineSize = 0x14;
inline constexpr u16 kCommandLineData = 0x15;
inline constexpr u16 kSetupAddress = 0x16;
inline constexpr u16 kSetupSize = 0x17;
inline constexpr u16 kSetupData = 0x18;
inline constexpr u16 kAcpiTables = 0x8000;
inline constexpr u16 kSmbiosEntries = 0x8001;
inline constexpr u16 kIrq0Override = 0x8002;
}  // namespace fw_cfg_key

struct FirmwareItems {
  struct Item {
    u16 key = 0;
    std::vector<u8> content;
  };
  struct File {
    std::string name;
    std::vector<u8> content;
  };

  std::vector<Item> items;
  std::vector<File> files;

  /// Adds an item of `size` bytes, little endian.
  void add_number(u16 key, u64 value, unsigned size) {
    std::vector<u8> content;
    append_little_endian(content, value, size);
    items.push_back({key, std::move(content)});
  }
  void add_item(u16 key, std::vector<u8> content) { items.push_back({key, std::move(content)}); }
  /// Adds a piece of memory for a boot ROM: its physical address, its size and its content.
  void add_piece(u16 address_key, u16 size_key, u16 data_key, u32 address,
                 std::vector<u8> content) {
    add_number(address_key, address, 4);
    add_number(size_key, content.size(), 4);
    add_item(data_key, std::move(content));
  }
  void add_file(std::string_view name, std::vector<u8> content) {
    files.push_back({std::string(name), std::move(content)});
  }
  void add_number_file(std::string_view name, u64 value, unsigned size) {
    std::vector<u8> content;
    append_little_endian(content, value, size);
    add_file(name, std::move(content));
  }
  /// The content of a file; null if there is none.
  const std::vector<u8>* file(std::string_view name) const {
    for (const File& candidate : files) {
      if (candidate.name == name) return &candidate.content;
    }
    return nullptr;
  }
  const std::vector<u8>* item(u16 key) const {
    for (const Item& candidate : items) {
      if (candidate.key == key) return &candidate.content;
    }
    return nullptr;
  }
};

}  // namespace ringshift::bios
