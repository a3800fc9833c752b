#include "bios/boot_rom/boot_rom.h"

#include <cstdlib>

#include "bios/little_endian.h"

namespace ringshift::bios {

std::vector<u8> finish_option_rom(std::span<const u8> assembled) {
  constexpr std::size_t kUnit = 512, kLength = 2, kPnpPointer = 0x1A;
  constexpr std::size_t kPnpSize = 32, kPnpChecksum = 9;
  std::vector<u8> rom(assembled.begin(), assembled.end());
  // One byte more than the program for the checksum.
  rom.resize((rom.size() + 1 + kUnit - 1) / kUnit * kUnit);
  if (rom.size() / kUnit > 0xFF) std::abort();
  rom[kLength] = static_cast<u8>(rom.size() / kUnit);
  const std::size_t pnp = get_u16(rom, kPnpPointer);
  if (pnp + kPnpSize > assembled.size()) std::abort();
  rom[pnp + kPnpChecksum] = checksum_of(std::span(rom).subspan(pnp, kPnpSize));
  rom.back() = checksum_of(rom);
  return rom;
}

}  // namespace ringshift::bios
