#include "bios/firmware_image.h"

#include <algorithm>
#include <bit>

#include "bios/host_file.h"

namespace ringshift::bios {

namespace {

constexpr u64 kOneMebibyte = 1 << 20;
constexpr u64 kFourGibibytes = u64{1} << 32;
constexpr u64 kLargestExpansionRom = 16 << 20;
constexpr std::size_t kLeastRomBar = 2048;

}  // namespace

Result<FirmwareImage> FirmwareImage::load(const std::string& path) {
  Result<std::vector<u8>> content = read_host_file(path, "firmware image", kLargest);
  if (!content) {
    if (path != kDefaultFirmware) return content.error();
    return Error{content.error().message +
                 " (install the seabios package or name one with --bios)"};
  }
  return from_bytes(std::move(content).value(), path);
}

Result<FirmwareImage> FirmwareImage::from_bytes(std::vector<u8> bytes, std::string path) {
  if (bytes.empty() || bytes.size() % kUnit != 0 || bytes.size() > kLargest) {
    return Error{"firmware image '" + path + "': is " + std::to_string(bytes.size()) +
                 " bytes long; a BIOS image is a multiple of 64 KiB, at most 4 MiB"};
  }
  return FirmwareImage(std::move(bytes), std::move(path));
}

PhysicalAddress FirmwareImage::low_first() const {
  return {kOneMebibyte - std::min<u64>(bytes_.size(), kLowWindow)};
}

Result<void> FirmwareImage::map(mmu::GuestMemory& memory, mmu::MemoryMap& map) const {
  Result<mmu::MemoryBlock> block = memory.allocate(bytes_.size(), "firmware");
  if (!block) return block.error();
  std::copy(bytes_.begin(), bytes_.end(), block->host);
  map.map_memory(first(), bytes_.size(), mmu::MemoryMap::Kind::Rom, "firmware", *block, 0);
  const u64 low_size = kOneMebibyte - low_first().value;
  map.map_memory(low_first(), low_size, mmu::MemoryMap::Kind::Rom, "firmware (low)", *block,
                 bytes_.size() - low_size);
  static_assert(kFourGibibytes - kLargest > 0xFEE0'1000, "firmware must lie above the local APIC");
  return {};
}

Result<std::vector<u8>> load_expansion_rom(const std::string& path) {
  Result<std::vector<u8>> content = read_host_file(path, "expansion ROM", kLargestExpansionRom);
  if (!content) return content.error();
  return expansion_rom_from_bytes(std::move(content).value(), path);
}

Result<std::vector<u8>> expansion_rom_from_bytes(std::vector<u8> bytes, const std::string& path) {
  if (bytes.size() < 512 || bytes[0] != 0x55 || bytes[1] != 0xAA) {
    return Error{"expansion ROM '" + path + "': does not begin with the signature 55 AA"};
  }
  const std::size_t stated = std::size_t{bytes[2]} * 512;
  if (stated == 0 || stated > bytes.size()) {
    return Error{"expansion ROM '" + path + "': states " + std::to_string(stated) +
                 " bytes but has " + std::to_string(bytes.size())};
  }
  bytes.resize(std::max(kLeastRomBar, std::bit_ceil(bytes.size())), 0xFF);
  return bytes;
}

}  // namespace ringshift::bios
