// A board with the IDE controller, as a driver sees it: ports, guest memory, and waiting for
// status.
#pragma once

#include <catch2/catch.hpp>

#include <map>

#include "devices/chipset/piix_ide.h"
#include "devices/ide/ata_disk.h"
#include "devices/ide/atapi_cdrom.h"
#include "mmu/guest_memory.h"
#include "tests/unit/devices/board_fixture.h"
#include "tests/unit/devices/memory_backend.h"

namespace ringshift::devices::test {

struct IdeBoard : Board {
  static constexpr u16 kPrimary = 0x1F0, kSecondary = 0x170;
  static constexpr u16 kBusMaster = 0xC000;
  static constexpr Nanoseconds kLong = 10'000'000;

  mmu::GuestMemory guest = std::move(mmu::GuestMemory::create(4 << 20).value());
  mmu::MemoryBlock ram = guest.allocate(1 << 20, "ram").value();
  MemoryBackend image{pattern(4 << 20, 512, 7, 1)};
  MemoryBackend disc{pattern(4 << 20, 2048, 5, 3)};
  AtaDisk disk{clock, image, {"Test disk", "SN1", "9.9"}};
  AtapiCdrom cdrom{clock, &disc, {"Test CD", "SN2", "8.8"}};
  PiixIde ide{spaces};

  /// Contents in which every sector and its place in it can be told.
  static const std::vector<u8>& pattern(u64 bytes, u64 sector, u64 step, u64 slope) {
    static std::map<u64, std::vector<u8>> made;  // the same for all tests
    std::vector<u8>& content = made[sector];
    for (u64 i = content.size(); i < bytes; ++i) {
      content.push_back(static_cast<u8>(i / sector * step + i * slope));
    }
    return content;
  }

  IdeBoard() {
    memory.map_memory({0}, ram.size, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    ide.channel(0).attach(0, disk);
    ide.channel(1).attach(0, cdrom);
    ide.channel(0).irq().connect(interrupts, 14);
    ide.channel(1).irq().connect(interrupts, 15);
    ide.reset(ResetKind::PowerOn);
    ide.config_write(0x20, kBusMaster, 4);
    ide.config_write(0x40, 0x80008000, 4);
    ide.config_write(0x04, 5, 2);
  }

  u8 in(u16 port) { return static_cast<u8>(ports.read(port, 1)); }
  void out(u16 port, u32 value) { ports.write(port, value, 1); }
  u8 status(u16 base = kPrimary) { return in(static_cast<u16>(base + 7)); }
  u8 alternate(u16 base = kPrimary) { return in(static_cast<u16>(base + 0x206)); }
  u8 error(u16 base = kPrimary) { return in(static_cast<u16>(base + 1)); }

  /// Lets events run until the drive isn't busy; the interrupt stays pending.
  u8 settle(u16 base = kPrimary) {
    for (int i = 0; i < 2000 && (alternate(base) & 0x80) != 0; ++i) run(1000);
    return alternate(base);
  }
  void lba28(u32 lba, u8 count, u16 base = kPrimary, u8 drive = 0) {
    out(static_cast<u16>(base + 6), 0xE0U | drive << 4 | (lba >> 24 & 15));
    out(static_cast<u16>(base + 2), count);
    out(static_cast<u16>(base + 3), lba & 0xFF);
    out(static_cast<u16>(base + 4), lba >> 8 & 0xFF);
    out(static_cast<u16>(base + 5), lba >> 16 & 0xFF);
  }
  void lba48(u64 lba, u16 count) {
    out(kPrimary + 6, 0x40);
    out(kPrimary + 2, count >> 8U), out(kPrimary + 2, count & 0xFFU);
    out(kPrimary + 3, lba >> 24 & 0xFF), out(kPrimary + 3, lba & 0xFF);
    out(kPrimary + 4, lba >> 32 & 0xFF), out(kPrimary + 4, lba >> 8 & 0xFF);
    out(kPrimary + 5, lba >> 40 & 0xFF), out(kPrimary + 5, lba >> 16 & 0xFF);
  }
  /// Issues a command and lets it reach its first stop.
  u8 command(u8 code, u16 base = kPrimary) {
    out(static_cast<u16>(base + 7), code);
    return settle(base);
  }
  std::vector<u8> take(std::size_t bytes, u16 base = kPrimary) {
    std::vector<u8> data;
    while (data.size() < bytes) {
      const u32 word = ports.read(base, 2);
      data.push_back(static_cast<u8>(word));
      data.push_back(static_cast<u8>(word >> 8));
    }
    data.resize(bytes);
    return data;
  }
  void give(std::span<const u8> data, u16 base = kPrimary) {
    for (std::size_t i = 0; i < data.size(); i += 2) {
      const u32 high = i + 1 < data.size() ? data[i + 1] : 0;
      ports.write(base, data[i] | high << 8, 2);
    }
  }
  static u16 word(const std::vector<u8>& data, unsigned index) {
    return static_cast<u16>(data.at(2 * index) | data.at(2 * index + 1) << 8);
  }
  std::vector<u8> sector_of(const MemoryBackend& from, u64 offset, u64 length) const {
    const auto begin = from.content.begin() + static_cast<std::ptrdiff_t>(offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }

  // --- Bus master ---
  struct Region {
    u32 address;
    u32 count;  // with the end-of-table bit
  };
  static constexpr u32 kLast = 0x8000'0000;
  void table(u32 at, std::initializer_list<Region> regions) {
    for (const Region& region : regions) {
      memory.write_value({at}, region.address, 4);
      memory.write_value({at + 4}, region.count, 4);
      at += 8;
    }
  }
  enum class Dma : u8 { FromMemory = 0, ToMemory = 8 };
  void start_dma(u32 at, Dma direction, unsigned channel = 0) {
    const u16 base = static_cast<u16>(kBusMaster + 8 * channel);
    ports.write(static_cast<u16>(base + 4), at, 4);
    out(static_cast<u16>(base + 2), 0x06);
    out(base, static_cast<u8>(direction));
    out(base, static_cast<u8>(direction) | 1U);
  }
  u8 dma_status(unsigned channel = 0) { return in(static_cast<u16>(kBusMaster + 8 * channel + 2)); }
};

}  // namespace ringshift::devices::test
