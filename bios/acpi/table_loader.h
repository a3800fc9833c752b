// The linker script by which the firmware places ACPI tables: allocate each file, patch the
// addresses in them, then set checksums. Only the firmware knows where there is room below 4 GiB
// that it will report as ACPI memory. Format: `etc/table-loader` of the fw_cfg interface, entries
// of 128 bytes.
#pragma once

#include <string_view>
#include <vector>

#include "cpu/types.h"

namespace ringshift::bios::acpi {

class TableLoaderScript {
 public:
  static constexpr std::size_t kEntrySize = 128;
  enum class Zone : u8 {
    High = 1,     ///< anywhere below 4 GiB
    FSegment = 2  ///< in F0000h-FFFFFh, where the RSDP is searched for
  };

  void allocate(std::string_view file, u32 alignment, Zone zone);
  /// Adds the address of `source` to the `size`-byte value at `offset` of `file`.
  void add_pointer(std::string_view file, u32 offset, u8 size, std::string_view source);
  /// Sets the byte at `offset` so that the `length` bytes from `first` sum up to zero.
  void add_checksum(std::string_view file, u32 offset, u32 first, u32 length);

  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  void begin(u32 command);
  void end();
  void append_name(std::string_view file);
  std::vector<u8> bytes_;
};

}  // namespace ringshift::bios::acpi
