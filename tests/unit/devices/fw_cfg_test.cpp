#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "devices/firmware/fw_cfg.h"
#include "devices/port_bus.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"

using namespace ringshift;
using ringshift::devices::FwCfg;
using ringshift::devices::PortBus;
using ringshift::devices::ResetKind;

namespace {

constexpr u64 kRam = 1 << 20;
constexpr u64 kCommand = 0x8000;
constexpr u32 kError = 1, kRead = 2, kSkip = 4, kSelect = 8, kWrite = 16;

u32 big(u32 value) {
  return __builtin_bswap32(value);
}

struct Board {
  Board() {
    auto block = memory.allocate(kRam, "ram");
    REQUIRE(block);
    ram = *block;
    map.map_memory({0}, kRam, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    REQUIRE(
        bus.map(FwCfg::kPortBase, FwCfg::kPortCount, "fw_cfg", fw_cfg.ports(), FwCfg::kPortSizes));
    REQUIRE(bus.map(FwCfg::kDmaPortBase, FwCfg::kDmaPortCount, "fw_cfg DMA", fw_cfg.dma_ports(),
                    FwCfg::kDmaPortSizes));
  }
  static mmu::GuestMemory make_memory() {
    auto result = mmu::GuestMemory::create(2 * kRam);
    REQUIRE(result);
    return std::move(result).value();
  }
  std::string text(unsigned count) {
    std::string result;
    for (unsigned i = 0; i < count; ++i) result += static_cast<char>(bus.read(0x511, 1));
    return result;
  }
  u32 big_endian(unsigned bytes) {
    u32 value = 0;
    for (unsigned i = 0; i < bytes; ++i) value = value << 8 | bus.read(0x511, 1);
    return value;
  }
  /// Runs a DMA command and returns its control word afterwards.
  u32 dma(u32 control, u32 length, u64 address) {
    map.write_value({kCommand}, big(control), 4);
    map.write_value({kCommand + 4}, big(length), 4);
    map.write_value({kCommand + 8}, big(static_cast<u32>(address >> 32)), 4);
    map.write_value({kCommand + 12}, big(static_cast<u32>(address)), 4);
    bus.write(0x514, 0, 4);
    bus.write(0x518, big(kCommand), 4);
    return big(static_cast<u32>(map.read_value({kCommand}, 4)));
  }
  std::string ram_text(u64 at, unsigned count) {
    return {reinterpret_cast<const char*>(ram.host) + at, count};
  }

  mmu::GuestMemory memory = make_memory();
  mmu::MemoryMap map;
  mmu::MemoryBlock ram;
  FwCfg fw_cfg{map};
  PortBus bus;
};

std::vector<u8> bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("fw_cfg: signature, identification with the DMA bit, and reads past the end") {
  Board board;
  board.bus.write(0x510, 0x00, 2);
  CHECK(board.text(4) == "QEMU");
  CHECK(board.bus.read(0x511, 1) == 0);
  board.bus.write(0x510, 0x01, 2);
  CHECK(board.text(4) == std::string("\x03\0\0\0", 4));
  board.bus.write(0x510, 0x3333, 2);
  CHECK(board.bus.read(0x511, 1) == 0);
}

TEST_CASE("fw_cfg: selecting starts an item over; the data port can't be written") {
  Board board;
  board.fw_cfg.set_item(0x05, {7, 8});
  board.bus.write(0x510, 0x05, 2);
  CHECK(board.bus.read(0x511, 1) == 7);
  board.bus.write(0x511, 0xEE, 1);
  CHECK(board.bus.read(0x511, 1) == 8);
  board.bus.write(0x510, 0x4005, 2);  // the obsolete write-mode bit is ignored
  CHECK(board.bus.read(0x511, 1) == 7);
  board.bus.write(0x510, 0x8005, 2);  // the architecture's own items are others
  CHECK(board.bus.read(0x511, 1) == 0);
}

TEST_CASE("fw_cfg: the directory lists files with size, key and name") {
  Board board;
  board.fw_cfg.set_file("etc/e820", std::vector<u8>(20));
  board.fw_cfg.set_file("bootorder", bytes("/pci\n"));
  board.fw_cfg.set_file("etc/e820", std::vector<u8>(40));
  board.bus.write(0x510, 0x19, 2);
  CHECK(board.big_endian(4) == 2);
  CHECK(board.big_endian(4) == 5);
  const u32 key = board.big_endian(2);
  CHECK(key == 0x21);
  CHECK(board.big_endian(2) == 0);
  CHECK(board.text(56) == std::string("bootorder") + std::string(47, '\0'));
  CHECK(board.big_endian(4) == 40);
  CHECK(board.big_endian(2) == 0x20);
  board.bus.write(0x510, key, 2);
  CHECK(board.text(5) == "/pci\n");
}

TEST_CASE("fw_cfg: the DMA register reads as its signature") {
  Board board;
  CHECK(big(board.bus.read(0x514, 4)) == 0x51454D55);
  CHECK(big(board.bus.read(0x518, 4)) == 0x20434647);
  CHECK(board.bus.read(0x519, 1) == 'C');
}

TEST_CASE("fw_cfg: DMA selects, skips, reads, and pads with zeros") {
  Board board;
  board.fw_cfg.set_item(0x11, bytes("0123456789"));
  CHECK(board.dma(0x11U << 16 | kSelect | kRead, 4, 0x1000) == 0);
  CHECK(board.ram_text(0x1000, 4) == "0123");
  CHECK(board.dma(kSkip, 2, 0) == 0);
  board.ram.host[0x2004] = 0xAA;
  CHECK(board.dma(kRead, 6, 0x2000) == 0);
  CHECK(board.ram_text(0x2000, 6) == std::string("6789\0\0", 6));
  // Port reads continue where DMA has stopped, and the other way round.
  board.bus.write(0x510, 0x11, 2);
  CHECK(board.bus.read(0x511, 1) == '0');
  CHECK(board.dma(kRead, 2, 0x3000) == 0);
  CHECK(board.ram_text(0x3000, 2) == "12");
  // Skipping beyond the end stops there.
  CHECK(board.dma(kSkip, 0xFFFFFFFF, 0) == 0);
  CHECK(board.dma(kRead, 1, 0x3000) == 0);
  CHECK(board.ram.host[0x3000] == 0);
}

TEST_CASE("fw_cfg: DMA that can't be done sets the error bit") {
  Board board;
  board.fw_cfg.set_item(0x11, bytes("0123"));
  CHECK(board.dma(0x11U << 16 | kSelect | kWrite, 4, 0x1000) == kError);
  CHECK(board.dma(0x77U << 16 | kSelect | kWrite, 4, 0x1000) == kError);
  CHECK(board.dma(0x11U << 16 | kSelect | kRead, 0xFFFFFFFF, 0x1000) == kError);
  CHECK(board.dma(0x11U << 16 | kSelect | kRead, 4, ~u64{0} - 1) == kError);
  // A command in unmapped memory reads as all ones; nothing may happen to RAM.
  board.bus.write(0x514, big(0xFFFFFFFF), 4);
  board.bus.write(0x518, big(0xFFFFFFF8), 4);
  board.bus.write(0x518, big(0x40000000), 4);
  // Writes of other sizes than 4 are ignored.
  board.map.write_value({kCommand}, big(0x11U << 16 | kSelect | kRead), 4);
  board.bus.write(0x51A, 0x0080, 2);
  CHECK(big(static_cast<u32>(board.map.read_value({kCommand}, 4))) ==
        (0x11U << 16 | kSelect | kRead));
}

TEST_CASE(
    "fw_cfg: writable files take DMA writes within their size and return to their first content") {
  Board board;
  u32 seen_offset = 0, seen_length = 0, calls = 0;
  board.fw_cfg.set_writable_file("etc/vmgenid_addr", bytes("abcdefgh"),
                                 [&](std::span<const u8> content, u32 offset, u32 length) {
                                   CHECK(content[1] == 'X');
                                   seen_offset = offset, seen_length = length, ++calls;
                                 });
  board.ram.host[0x1000] = 'X';
  board.ram.host[0x1001] = 'Y';
  CHECK(board.dma(0x20U << 16 | kSelect | kSkip, 1, 0) == 0);
  CHECK(board.dma(kWrite, 2, 0x1000) == 0);
  CHECK(calls == 1);
  CHECK(seen_offset == 1);
  CHECK(seen_length == 2);
  CHECK(*board.fw_cfg.file("etc/vmgenid_addr") == bytes("aXYdefgh"));
  CHECK(board.dma(kWrite, 6, 0x1000) == kError);
  CHECK(calls == 1);

  StateArchive saved;
  board.fw_cfg.serialize(saved);
  board.fw_cfg.reset(ResetKind::System);
  CHECK(*board.fw_cfg.file("etc/vmgenid_addr") == bytes("aXYdefgh"));
  board.fw_cfg.reset(ResetKind::PowerOn);
  CHECK(*board.fw_cfg.file("etc/vmgenid_addr") == bytes("abcdefgh"));
  CHECK(board.text(4) == "QEMU");
  StateArchive restore(saved.bytes());
  board.fw_cfg.serialize(restore);
  REQUIRE(restore.finish());
  CHECK(board.text(2) == "de");
  CHECK(*board.fw_cfg.file("etc/vmgenid_addr") == bytes("aXYdefgh"));
}
