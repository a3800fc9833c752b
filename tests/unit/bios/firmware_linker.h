// The firmware's side of the ACPI linker script, for tests: places files at addresses and patches
// them as the fw_cfg specification says, with every access checked.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "bios/little_endian.h"

namespace ringshift::bios::test {

struct LinkedFile {
  std::vector<u8> bytes;
  u64 address = 0;
  u32 alignment = 0;
  u8 zone = 0;
};

inline std::string script_name(const std::vector<u8>& script, std::size_t at) {
  std::string name(script.begin() + static_cast<std::ptrdiff_t>(at),
                   script.begin() + static_cast<std::ptrdiff_t>(at + 56));
  REQUIRE(name.find('\0') != std::string::npos);
  return name.substr(0, name.find('\0'));
}

/// Executes `script` on `files`; they must all get allocated.
inline void link(const std::vector<u8>& script, std::map<std::string, LinkedFile>& files) {
  REQUIRE(script.size() % 128 == 0);
  u64 high = 0x1FFE'0000, low = 0xF'5000;
  for (std::size_t at = 0; at < script.size(); at += 128) {
    const u32 command = get_u32(script, at);
    LinkedFile& file = files.at(script_name(script, at + 4));
    if (command == 1) {
      REQUIRE(file.address == 0);
      file.alignment = get_u32(script, at + 60);
      file.zone = script[at + 64];
      u64& next = file.zone == 2 ? low : high;
      next = (next + file.alignment - 1) / file.alignment * file.alignment;
      file.address = next;
      next += file.bytes.size();
      continue;
    }
    REQUIRE(file.address != 0);
    if (command == 2) {
      const LinkedFile& source = files.at(script_name(script, at + 60));
      const u32 offset = get_u32(script, at + 116);
      const unsigned size = script[at + 120];
      REQUIRE(source.address != 0);
      REQUIRE(offset + size <= file.bytes.size());
      const u64 value = get_little_endian(file.bytes, offset, size);
      REQUIRE(value < source.bytes.size());
      put_little_endian(file.bytes, offset, value + source.address, size);
      continue;
    }
    REQUIRE(command == 3);
    const u32 offset = get_u32(script, at + 60), first = get_u32(script, at + 64),
              length = get_u32(script, at + 68);
    REQUIRE(first + length <= file.bytes.size());
    REQUIRE(offset >= first);
    REQUIRE(offset < first + length);
    REQUIRE(file.bytes[offset] == 0);
    file.bytes[offset] = checksum_of(std::span(file.bytes).subspan(first, length));
  }
}

}  // namespace ringshift::bios::test
