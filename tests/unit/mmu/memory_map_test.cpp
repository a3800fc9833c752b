#include "mmu/memory_map.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>

using namespace ringshift;
using mmu::GuestMemory;
using mmu::MemoryBlock;
using mmu::MemoryMap;
using Kind = mmu::MemoryMap::Kind;

namespace {

constexpr u64 kMiB = 1 << 20;

struct Board {
  GuestMemory memory = std::move(GuestMemory::create(16 * kMiB)).value();
  MemoryMap map;

  MemoryBlock block(u64 size, std::string_view name = "block") {
    return std::move(memory.allocate(size, name)).value();
  }
  MemoryBlock ram(u64 first, u64 size) {
    const MemoryBlock made = block(size);
    map.map_memory({first}, size, Kind::Ram, "ram", made, 0);
    return made;
  }
};

/// A device that holds bytes and remembers how it was asked.
struct Recorder : IoHandler {
  struct Access {
    u64 offset;
    unsigned size;
    u64 value;
    friend bool operator==(const Access&, const Access&) = default;
  };
  u64 io_read(u64 offset, unsigned size) override {
    u64 value = 0;
    for (unsigned n = 0; n < size; ++n) value |= u64{bytes[(offset + n) % 64]} << (8 * n);
    reads.push_back({offset, size, value});
    return value;
  }
  void io_write(u64 offset, u64 value, unsigned size) override {
    for (unsigned n = 0; n < size; ++n)
      bytes[(offset + n) % 64] = static_cast<u8>(value >> (8 * n));
    writes.push_back({offset, size, value});
  }
  std::array<u8, 64> bytes{};
  std::vector<Access> reads, writes;
};

struct Watcher : mmu::WriteObserver {
  void on_watched_write(PhysicalAddress address, u64 length) override {
    seen.push_back({address.value, length});
  }
  std::vector<std::pair<u64, u64>> seen;
};

struct RemapCounter : mmu::RemapObserver {
  void on_remapped(PhysicalAddress first, u64 length) override {
    ++count;
    range = {first.value, length};
  }
  std::pair<u64, u64> range;
  unsigned count = 0;
};

}  // namespace

TEST_CASE("guest memory hands out zeroed pages until it is full and counts what was touched") {
  auto memory = std::move(GuestMemory::create(5 * kPageSize)).value();
  const auto first = memory.allocate(100, "first");
  REQUIRE(first);
  CHECK(first->size == kPageSize);
  CHECK(first->file_offset == 0);
  const auto second = memory.allocate(3 * kPageSize, "second");
  REQUIRE(second);
  CHECK(second->file_offset == kPageSize);
  CHECK(second->host == first->host + kPageSize);
  CHECK(memory.resident() == 0);
  second->host[kPageSize] = 1;
  CHECK(memory.resident() == kPageSize);
  const auto third = memory.allocate(kPageSize + 1, "video memory");
  REQUIRE_FALSE(third);
  CHECK(third.error().message ==
        "guest memory: no room for video memory (4097 bytes wanted, 4096 left)");
  CHECK_FALSE(GuestMemory::create(0));
}

TEST_CASE("RAM below and above the PCI hole, nothing in between") {
  Board board;
  const MemoryBlock ram = board.block(4 * kMiB);
  board.map.map_memory({0}, 3 * kMiB, Kind::Ram, "ram", ram, 0);
  board.map.map_memory({u64{1} << 32}, kMiB, Kind::Ram, "ram above 4 GiB", ram, 3 * kMiB);
  board.map.write_value({3 * kMiB - 2}, 0x44332211, 4);
  CHECK(board.map.read_value({3 * kMiB - 2}, 4) == 0xFFFF2211);
  CHECK(ram.host[3 * kMiB] == 0);
  board.map.write_value({u64{1} << 32}, 0x8877665544332211, 8);
  CHECK(ram.host[3 * kMiB + 7] == 0x88);
  CHECK(board.map.read_value({(u64{1} << 32) + 4}, 2) == 0x6655);
  CHECK(board.map.read_value({0xFEC00000}, 8) == ~u64{0});
  CHECK(board.map.read_value({u64{1} << 50}, 4) == 0xFFFFFFFF);
}

TEST_CASE("ROM swallows writes and offers no writable pointer") {
  Board board;
  const MemoryBlock rom = board.block(0x10000);
  std::iota(rom.host, rom.host + 256, u8{0});
  board.map.map_memory({0xF0000}, 0x10000, Kind::Rom, "bios", rom, 0);
  board.map.map_memory({0xFFFF0000}, 0x10000, Kind::Rom, "bios", rom, 0);
  board.map.write_value({0xF0010}, 0, 4);
  CHECK(board.map.read_value({0xF0010}, 4) == 0x13121110);
  CHECK(board.map.read_value({0xFFFF0010}, 4) == 0x13121110);
  CHECK(board.map.host_page({0xF0000}).read == rom.host);
  CHECK(board.map.host_page({0xF0000}).write == nullptr);
  const auto backing = board.map.backing({0xF1234});
  REQUIRE(backing);
  CHECK(backing->file_offset == rom.file_offset + 0x1000);
  CHECK_FALSE(backing->writable);
}

TEST_CASE("a device claim over RAM hides it and gives it back") {
  Board board;
  const MemoryBlock ram = board.ram(0, kMiB);
  board.map.write_value({0xA0000}, 0x55, 1);
  Recorder vga;
  const u64 before = board.map.generation();
  REQUIRE(board.map.map_mmio({0xA0000}, 0x20000, "vga", vga));
  CHECK(board.map.generation() > before);
  CHECK(board.map.host_page({0xA0000}).read == nullptr);
  CHECK_FALSE(board.map.backing({0xA0000}).has_value());
  CHECK(board.map.host_page({0x9F000}).write == ram.host + 0x9F000);
  board.map.write_value({0xA0000}, 0x77, 1);
  CHECK(vga.bytes[0] == 0x77);
  CHECK(ram.host[0xA0000] == 0x55);
  Recorder other;
  board.map.unmap_mmio({0xA0000}, other);
  CHECK(board.map.read_value({0xA0000}, 1) == 0x77);
  board.map.unmap_mmio({0xA0000}, vga);
  CHECK(board.map.read_value({0xA0000}, 1) == 0x55);
  CHECK(board.map.host_page({0xA0000}).write == ram.host + 0xA0000);
}

TEST_CASE("two claims on one address are refused with both names") {
  Board board;
  Recorder device;
  REQUIRE(board.map.map_mmio({0xFEC00000}, 0x20, "ioapic", device));
  REQUIRE(board.map.map_mmio({0xFEC00020}, 0x10, "neighbour", device));
  const auto overlap = board.map.map_mmio({0xFEBFFFF0}, 0x11, "late", device);
  REQUIRE_FALSE(overlap);
  CHECK(overlap.error().message == "late: address FEC00000h belongs to ioapic");
  CHECK(board.map.map_mmio({0xFEBFFFF0}, 0x10, "below", device));
  CHECK_FALSE(board.map.map_mmio({u64{1} << 52}, 0x10, "far", device));
  CHECK_FALSE(board.map.map_mmio({~u64{0} - 7}, 0x10, "wraps", device));
  CHECK_FALSE(board.map.map_mmio({0x1000}, 6, "odd", device, {4, 4}));
}

TEST_CASE("claims smaller than a page share it with memory and other claims") {
  Board board;
  const MemoryBlock ram = board.ram(0xFED00000, 0x2000);
  Recorder low, high;
  REQUIRE(board.map.map_mmio({0xFED00010}, 4, "low", low));
  REQUIRE(board.map.map_mmio({0xFED00014}, 4, "high", high));
  std::array<u8, 16> pattern;
  std::iota(pattern.begin(), pattern.end(), u8{0xA0});
  board.map.write({0xFED0000C}, pattern);
  CHECK(ram.host[0xF] == 0xA3);
  CHECK(ram.host[0x10] == 0);
  CHECK(ram.host[0x18] == 0xAC);
  CHECK(low.writes == std::vector<Recorder::Access>{{0, 4, 0xA7A6A5A4}});
  CHECK(high.writes == std::vector<Recorder::Access>{{0, 4, 0xABAAA9A8}});
  std::array<u8, 16> back{};
  board.map.read({0xFED0000C}, back);
  CHECK(back == pattern);
}

TEST_CASE("device accesses are naturally aligned and of the sizes that the device takes") {
  Board board;
  Recorder device;
  std::iota(device.bytes.begin(), device.bytes.end(), u8{0});

  SECTION("unaligned accesses split like byte enables") {
    REQUIRE(board.map.map_mmio({0xE0000000}, 64, "device", device));
    CHECK(board.map.read_value({0xE0000001}, 4) == 0x04030201);
    CHECK(device.reads ==
          std::vector<Recorder::Access>{{1, 1, 0x01}, {2, 2, 0x0302}, {4, 1, 0x04}});
  }
  SECTION("wide accesses split to the largest size, lowest first") {
    REQUIRE(board.map.map_mmio({0xE0000000}, 64, "device", device, {1, 4}));
    board.map.write_value({0xE0000008}, 0x1122334455667788, 8);
    CHECK(device.writes == std::vector<Recorder::Access>{{8, 4, 0x55667788}, {12, 4, 0x11223344}});
  }
  SECTION("narrow accesses widen: a write reads the rest first") {
    REQUIRE(board.map.map_mmio({0xE0000000}, 64, "device", device, {4, 4}));
    CHECK(board.map.read_value({0xE0000006}, 1) == 6);
    CHECK(device.reads == std::vector<Recorder::Access>{{4, 4, 0x07060504}});
    board.map.write_value({0xE000000D}, 0xEE, 1);
    CHECK(device.writes == std::vector<Recorder::Access>{{12, 4, 0x0F0EEE0C}});
  }
}

TEST_CASE("a mapping lies over an older one, which comes back") {
  Board board;
  const MemoryBlock rom = board.block(0x4000), video = board.block(0x8000);
  rom.host[0] = 0x11, video.host[0x2000] = 0x22;
  board.map.map_memory({0xFFFFC000}, 0x4000, Kind::Rom, "bios", rom, 0);
  board.map.map_memory({0xFFFFA000}, 0x6000, Kind::Ram, "video", video, 0);
  CHECK(board.map.read_value({0xFFFFC000}, 1) == 0x22);
  board.map.unmap_memory({0xFFFFA000}, 0x6000);
  CHECK(board.map.read_value({0xFFFFC000}, 1) == 0x11);
  CHECK(board.map.read_value({0xFFFFA000}, 1) == 0xFF);

  SECTION("a range that no mapping has exactly is cut out") {
    board.map.unmap_memory({0xFFFFD000}, 0x1000);
    CHECK(board.map.read_value({0xFFFFC000}, 1) == 0x11);
    CHECK(board.map.read_value({0xFFFFD000}, 1) == 0xFF);
    rom.host[0x2005] = 0x33;
    CHECK(board.map.read_value({0xFFFFE005}, 1) == 0x33);
    CHECK(board.map.regions().size() == 2);
  }
}

// 82441FX data sheet (290549), PAM registers: read enable and write enable are independent.
TEST_CASE("shadow control sends reads and writes to RAM or to the bus independently") {
  Board board;
  const MemoryBlock ram = board.ram(0, kMiB);
  const MemoryBlock rom = board.block(0x10000);
  board.map.map_memory({0xF0000}, 0x10000, Kind::Rom, "bios", rom, 0);
  rom.host[0] = 0x10, ram.host[0xF0000] = 0x20;
  const auto value = [&] { return board.map.read_value({0xF0000}, 1); };

  board.map.set_shadow({0xC0000}, 0x40000, false, false);
  CHECK(value() == 0x10);
  CHECK(board.map.read_value({0xC0000}, 4) == 0xFFFFFFFF);
  board.map.write_value({0xF0000}, 0x30, 1);
  CHECK(ram.host[0xF0000] == 0x20);

  board.map.set_shadow({0xF0000}, 0x10000, false, true);
  CHECK(value() == 0x10);
  board.map.write_value({0xF0000}, 0x30, 1);
  CHECK(value() == 0x10);
  CHECK(ram.host[0xF0000] == 0x30);
  CHECK(board.map.host_page({0xF0000}).read == rom.host);
  CHECK(board.map.host_page({0xF0000}).write == nullptr);

  board.map.set_shadow({0xF0000}, 0x10000, true, true);
  CHECK(value() == 0x30);
  CHECK(board.map.host_page({0xF0000}).write == ram.host + 0xF0000);

  const u64 before = board.map.generation();
  board.map.set_shadow({0xF0000}, 0x10000, true, false);
  CHECK(board.map.generation() > before);
  board.map.write_value({0xF0000}, 0x40, 1);
  CHECK(value() == 0x30);
  CHECK(rom.host[0] == 0x10);
  CHECK(board.map.host_page({0xF0000}).write == nullptr);
}

TEST_CASE("a device under shadow control is seen only where RAM isn't selected") {
  Board board;
  const MemoryBlock ram = board.ram(0, kMiB);
  Recorder vga;
  REQUIRE(board.map.map_mmio({0xA0000}, 0x20000, "vga", vga));
  board.map.set_shadow({0xA0000}, 0x20000, true, true);
  board.map.write_value({0xA0000}, 0x12, 1);
  CHECK(ram.host[0xA0000] == 0x12);
  CHECK(vga.writes.empty());
  board.map.set_shadow({0xA0000}, 0x20000, false, false);
  board.map.write_value({0xA0000}, 0x34, 1);
  CHECK(vga.bytes[0] == 0x34);
  CHECK(ram.host[0xA0000] == 0x12);
}

TEST_CASE("watches: several observers a page, every kind of write, no writable pointer") {
  Board board;
  const MemoryBlock ram = board.ram(0, 4 * kPageSize);
  Watcher first, second;
  const u64 generation = board.map.generation();
  board.map.watch({0x1000}, first);
  board.map.watch({0x1FFF}, second);
  board.map.watch({0x1000}, first);
  CHECK(board.map.generation() == generation);
  CHECK(board.map.watched({0x1234}));
  CHECK_FALSE(board.map.watched({0x2000}));
  CHECK(board.map.host_page({0x1000}).read == ram.host + 0x1000);
  CHECK(board.map.host_page({0x1000}).write == nullptr);
  CHECK(board.map.backing({0x1000})->writable);

  const std::array<u8, 0x1800> bytes{};
  board.map.write({0x0C00}, bytes);
  CHECK(first.seen == std::vector<std::pair<u64, u64>>{{0x1000, 0x1000}});
  CHECK(second.seen == first.seen);

  board.map.unwatch({0x1000}, first);
  board.map.write_value({0x1FFE}, 0, 4);
  CHECK(first.seen.size() == 1);
  CHECK(second.seen.back() == std::pair<u64, u64>{0x1FFE, 2});
  CHECK(board.map.compare_exchange({0x1008}, 0, 0x123456789, 8));
  CHECK(second.seen.back() == std::pair<u64, u64>{0x1008, 8});
  CHECK_FALSE(board.map.compare_exchange({0x1008}, 0, 1, 4));
  CHECK(second.seen.size() == 3);
  board.map.unwatch({0x1000}, second);
  board.map.unwatch({0x1000}, second);
  CHECK_FALSE(board.map.watched({0x1000}));
  CHECK(board.map.host_page({0x1000}).write == ram.host + 0x1000);
}

TEST_CASE("an observer may stop watching while it is told, and may go away") {
  Board board;
  board.ram(0, 4 * kPageSize);
  struct OneShot : mmu::WriteObserver {
    void on_watched_write(PhysicalAddress address, u64) override {
      ++count;
      map->unwatch(address, *this);
      map->unwatch(address, *other);
    }
    MemoryMap* map = nullptr;
    WriteObserver* other = nullptr;
    unsigned count = 0;
  } one_shot;
  Watcher other;
  one_shot.map = &board.map, one_shot.other = &other;
  board.map.watch({0}, one_shot);
  board.map.watch({0}, other);
  board.map.write_value({0}, 0, 4);
  board.map.write_value({0}, 0, 4);
  CHECK(one_shot.count == 1);
  CHECK(other.seen.empty());
  {
    Watcher brief;
    board.map.watch({0x1000}, brief);
    board.map.watch({0x2000}, brief);
    board.map.forget(brief);
  }
  CHECK_FALSE(board.map.watched({0x2000}));
  board.map.write_value({0x1000}, 0, 4);
}

TEST_CASE("remap observers hear of every change of the map") {
  Board board;
  RemapCounter counter;
  Recorder device;
  board.map.observe_remaps(counter);
  board.ram(0, kMiB);
  REQUIRE(board.map.map_mmio({0xA0000}, 0x1000, "device", device));
  board.map.set_shadow({0xC0000}, 0x1000, true, true);
  board.map.unmap_mmio({0xA0000}, device);
  board.map.unmap_memory({0}, kMiB);
  CHECK(counter.count == 5);
  CHECK(counter.range == std::pair<u64, u64>{0, kMiB});
  REQUIRE(board.map.map_mmio({0xA0010}, 0x1000, "device", device));
  board.map.unmap_mmio({0xA0010}, device);
  CHECK(counter.count == 5);  // there was no memory
  board.map.ignore_remaps(counter);
  board.ram(0, kMiB);
  CHECK(counter.count == 5);
}

TEST_CASE("a handler may move its own region while it is accessed") {
  Board board;
  struct Mover : IoHandler {
    u64 io_read(u64, unsigned) override {
      map->unmap_mmio({0xE0000000}, *this);
      return 0xAB;
    }
    void io_write(u64, u64, unsigned) override {}
    MemoryMap* map = nullptr;
  } mover;
  mover.map = &board.map;
  REQUIRE(board.map.map_mmio({0xE0000000}, 16, "mover", mover, {1, 1}));
  CHECK(board.map.read_value({0xE0000000}, 4) == 0xFFFFFFAB);
}

TEST_CASE("the list of regions shows what is visible, in order") {
  Board board;
  board.ram(0, kMiB);
  Recorder vga;
  REQUIRE(board.map.map_mmio({0xA0000}, 0x20000, "vga", vga));
  const MemoryBlock rom = board.block(0x10000);
  board.map.map_memory({0xF0000}, 0x10000, Kind::Rom, "bios", rom, 0);
  board.map.set_shadow({0xC0000}, 0x4000, true, true);
  const auto regions = board.map.regions();
  REQUIRE(regions.size() == 4);
  CHECK(regions[0].name == "ram");
  CHECK(regions[0].length == 0xA0000);
  CHECK(regions[1].name == "vga");
  CHECK(regions[1].kind == Kind::Mmio);
  CHECK(regions[2].first.value == 0xC0000);
  CHECK(regions[2].length == 0x30000);
  CHECK(regions[3].kind == Kind::Rom);
}
