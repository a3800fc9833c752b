#include <catch2/catch.hpp>

#include "bios/firmware_image.h"

using namespace ringshift;
using namespace ringshift::bios;

namespace {

std::vector<u8> image_of(std::size_t size) {
  std::vector<u8> bytes(size);
  for (std::size_t i = 0; i < size; i += 4096) bytes[i] = static_cast<u8>(1 + i / 4096);
  bytes[size - 16] = 0xEA;  // the reset vector's far jump
  return bytes;
}

struct Space {
  Space() {
    auto ram = memory.allocate(1 << 20, "ram");
    REQUIRE(ram);
    map.map_memory({0}, 1 << 20, mmu::MemoryMap::Kind::Ram, "ram", *ram, 0);
  }
  static mmu::GuestMemory make() {
    auto result = mmu::GuestMemory::create(8 << 20);
    REQUIRE(result);
    return std::move(result).value();
  }
  mmu::GuestMemory memory = make();
  mmu::MemoryMap map;
};

}  // namespace

TEST_CASE("firmware ends at 4 GiB and its last 128 KiB at 1 MiB, both read-only") {
  Space space;
  const std::vector<u8> bytes = image_of(256 << 10);
  auto image = FirmwareImage::from_bytes(bytes, "test.bin");
  REQUIRE(image);
  REQUIRE(image->map(space.memory, space.map));
  CHECK(image->first().value == 0xFFFC0000);
  CHECK(space.map.read_value({0xFFFC0000}, 1) == bytes[0]);
  CHECK(space.map.read_value({0xFFFFFFF0}, 1) == 0xEA);
  CHECK(space.map.read_value({0xFFFF0}, 1) == 0xEA);
  CHECK(space.map.read_value({0xE0000}, 1) == bytes[128 << 10]);
  space.map.write_value({0xE0000}, 0x5A, 1);
  CHECK(space.map.read_value({0xE0000}, 1) == bytes[128 << 10]);
}

TEST_CASE("a 64 KiB image leaves the E segment alone") {
  Space space;
  auto image = FirmwareImage::from_bytes(image_of(64 << 10), "test.bin");
  REQUIRE(image);
  REQUIRE(image->map(space.memory, space.map));
  CHECK(image->low_first().value == 0xF0000);
  CHECK(space.map.read_value({0xF0000}, 1) == 1);
  space.map.write_value({0xE0000}, 0x5A, 1);
  CHECK(space.map.read_value({0xE0000}, 1) == 0x5A);
}

TEST_CASE("images of impossible size are refused in one line") {
  for (std::size_t size : {0, 1, 4096, 65535, 65537, (4 << 20) + 65536}) {
    const auto image = FirmwareImage::from_bytes(std::vector<u8>(size), "odd.bin");
    REQUIRE(!image);
    CHECK(image.error().message.find("odd.bin") != std::string::npos);
    CHECK(image.error().message.find('\n') == std::string::npos);
  }
  CHECK(FirmwareImage::from_bytes(std::vector<u8>(4 << 20), "large.bin").ok());
  CHECK(FirmwareImage::from_bytes(std::vector<u8>(192 << 10), "three.bin").ok());
  CHECK(!FirmwareImage::load("/nonexistent/bios.bin").ok());
  CHECK(!FirmwareImage::load("/").ok());
}

TEST_CASE("expansion ROMs are checked and padded to the size of a BAR") {
  std::vector<u8> rom(3 * 512);
  rom[0] = 0x55, rom[1] = 0xAA, rom[2] = 3;
  const auto good = expansion_rom_from_bytes(rom, "vga.bin");
  REQUIRE(good);
  CHECK(good->size() == 2048);
  rom[2] = 4;
  CHECK(!expansion_rom_from_bytes(rom, "vga.bin").ok());
  rom[0] = 0;
  CHECK(!expansion_rom_from_bytes(rom, "vga.bin").ok());
  CHECK(!expansion_rom_from_bytes({}, "vga.bin").ok());
}
