// The firmware the processor starts in. SeaBIOS, from the distribution's package, unless the person
// names another ROM. A PC decodes the flash twice: whole below 4 GiB, where the reset vector is,
// and its last part below 1 MiB, where real-mode code finds it and the chipset can shadow it in
// RAM.
#pragma once

#include <string>
#include <vector>

#include "cpu/result.h"
#include "cpu/types.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"

namespace ringshift::bios {

inline constexpr const char* kDefaultFirmware = "/usr/share/seabios/bios-256k.bin";
inline constexpr const char* kDefaultVideoRom = "/usr/share/seabios/vgabios-stdvga.bin";

class FirmwareImage {
 public:
  static constexpr u64 kUnit = 64 << 10;  ///< Images are a multiple of this.
  static constexpr u64 kLargest = 4 << 20;
  static constexpr u64 kLowWindow = 128 << 10;  ///< At most this much appears below 1 MiB.

  /// Reads an image of 64 KiB to 4 MiB, a multiple of 64 KiB; else one line says what is wrong.
  static Result<FirmwareImage> load(const std::string& path);
  /// The same for bytes that are at hand; `path` is for messages.
  static Result<FirmwareImage> from_bytes(std::vector<u8> bytes, std::string path);

  /// Copies the image into guest memory and maps it as ROM: its end at 4 GiB, and its last 128 KiB
  /// (or all of a smaller one) ending at 1 MiB. RAM must be mapped before.
  Result<void> map(mmu::GuestMemory& memory, mmu::MemoryMap& map) const;

  const std::vector<u8>& bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  /// Physical address of the image's first byte.
  PhysicalAddress first() const { return {(u64{1} << 32) - bytes_.size()}; }
  /// Physical address of what appears below 1 MiB.
  PhysicalAddress low_first() const;

 private:
  FirmwareImage(std::vector<u8> bytes, std::string path)
      : bytes_(std::move(bytes)), path_(std::move(path)) {}
  std::vector<u8> bytes_;
  std::string path_;
};

/// Reads a PCI or ISA expansion ROM (a video BIOS) and checks its 55AAh signature and length byte.
/// The result is padded to a power of two of at least 2 KiB, the size of its BAR (PCI 3.0 §6.3).
Result<std::vector<u8>> load_expansion_rom(const std::string& path);
Result<std::vector<u8>> expansion_rom_from_bytes(std::vector<u8> bytes, const std::string& path);

}  // namespace ringshift::bios
