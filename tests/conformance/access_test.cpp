// Every place that the board claims answers accesses of every size, and reading is harmless unless
// the data sheet says otherwise.
#include <catch2/catch.hpp>

#include "tests/conformance/board_fixture.h"

namespace ringshift::devices::test {
namespace {

constexpr u64 ones(unsigned size) {
  return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
}

/// Ports whose reads do something, as their data sheets say.
struct ReadEffect {
  u16 first, last;
  const char* reason;
};
constexpr ReadEffect kReadEffects[] = {
    {0x000, 0x007, "8237A: the byte pointer flip-flop toggles"},
    {0x008, 0x008, "8237A: reading status clears the terminal count bits"},
    {0x0C0, 0x0CF, "8237A: the byte pointer flip-flop toggles"},
    {0x0D0, 0x0D1, "8237A: reading status clears the terminal count bits"},
    {0x020, 0x021, "8259A: the read that follows a poll command acknowledges"},
    {0x0A0, 0x0A1, "8259A: the read that follows a poll command acknowledges"},
    {0x040, 0x042, "8254: the byte order flip-flop and the latches"},
    {0x060, 0x060, "8042: reading data empties the output buffer"},
    {0x071, 0x073, "MC146818: reading register C clears the flags"},
    {0x170, 0x170, "IDE: the data register"},
    {0x177, 0x177, "IDE: reading status acknowledges the interrupt"},
    {0x1F0, 0x1F0, "IDE: the data register"},
    {0x1F7, 0x1F7, "IDE: reading status acknowledges the interrupt"},
    {0x2F8, 0x2FF, "16550: RBR, IIR, LSR and MSR"},
    {0x3F8, 0x3FF, "16550: RBR, IIR, LSR and MSR"},
    {0x3BA, 0x3BA, "VGA: input status 1 resets the attribute flip-flop"},
    {0x3DA, 0x3DA, "VGA: input status 1 resets the attribute flip-flop"},
    {0x3C9, 0x3C9, "VGA: palette data steps the index"},
    {0x3F5, 0x3F5, "82077AA: the FIFO"},
    {0x510, 0x511, "fw_cfg: the data port steps the offset"},
    {0x702, 0x702, "SMBus: reading the control register resets the block index"},
    {0x707, 0x707, "SMBus: the block data register steps the index"},
};

bool has_read_effect(u16 port) {
  return std::any_of(std::begin(kReadEffects), std::end(kReadEffects),
                     [port](const ReadEffect& e) { return port >= e.first && port <= e.last; });
}

}  // namespace

TEST_CASE("every port region answers every size at every offset") {
  auto board = TestBoard::create();
  board->configure_pci();
  const auto regions = board->board().ports().regions();
  REQUIRE(regions.size() > 30);
  for (const auto& region : regions) {
    CAPTURE(region.name, region.first);
    for (u32 offset = 0; offset < region.count; ++offset) {
      for (const unsigned size : {1U, 2U, 4U}) {
        CAPTURE(offset, size);
        // What the handler itself says must fit, not only what the bus cuts out of it.
        const bool inside = offset + size <= region.count;
        if (inside && size >= region.sizes.smallest && size <= region.sizes.largest) {
          CHECK((region.handler->io_read(offset, size) & ~ones(size)) == 0);
        }
        CHECK((board->in(static_cast<u16>(region.first + offset), size) & ~ones(size)) == 0);
      }
    }
  }
}

TEST_CASE("every port region takes writes of every size at every offset") {
  constexpr u32 kValues[] = {0, 0xFFFF'FFFF, 0x5A5A'A5A5};
  for (const u32 value : kValues) {
    auto board = TestBoard::create();
    board->configure_pci();
    for (const auto& region : board->board().ports().regions()) {
      CAPTURE(region.name, region.first);
      for (u32 offset = 0; offset < region.count; ++offset) {
        for (const unsigned size : {1U, 2U, 4U}) {
          board->out(static_cast<u16>(region.first + offset), value, size);
          REQUIRE(board->advance(1000));
        }
      }
    }
  }
}

TEST_CASE("every device memory region answers every size at every offset") {
  auto board = TestBoard::create();
  board->configure_pci();
  unsigned regions = 0;
  for (const auto& region : board->map().regions()) {
    if (region.kind != mmu::MemoryMap::Kind::Mmio) continue;
    ++regions;
    CAPTURE(region.name, region.first.value);
    // A step that is odd and reaches all residues, so that the VGA window takes no time.
    const u64 step = region.length > 0x10000 ? 61 : 1;
    for (u64 offset = 0; offset < region.length; offset += step) {
      for (const unsigned size : {1U, 2U, 4U, 8U}) {
        const PhysicalAddress at{region.first.value + offset};
        const u64 seen = board->map().read_value(at, size);
        if ((seen & ~ones(size)) != 0) FAIL("too wide an answer at " << offset << "." << size);
        board->map().write_value(at, 0x0101'0101'0101'0101 * (offset & 0xFF), size);
      }
      if (offset % 16 == 0) REQUIRE(board->advance(1000));
    }
  }
  CHECK(regions >= 5);  // VGA window and registers, I/O APIC, local APIC, HPET
}

TEST_CASE("a port read changes no state unless its data sheet says so") {
  auto board = TestBoard::create();
  board->configure_pci();
  REQUIRE(board->advance(kNanosecondsPerSecond));
  // Video memory is large, and only the video card's own ports could change its state.
  const auto states = [&](bool with_video) {
    std::vector<std::vector<u8>> all;
    for (Device* device : board->board().all_devices()) {
      if (with_video || device != &board->device("vga")) all.push_back(TestBoard::save(*device));
    }
    return all;
  };
  for (const auto& region : board->board().ports().regions()) {
    const bool video = region.name.starts_with("VGA") || region.name.starts_with("VBE");
    for (u32 offset = 0; offset < region.count; ++offset) {
      const auto port = static_cast<u16>(region.first + offset);
      if (has_read_effect(port)) continue;
      CAPTURE(region.name, port);
      board->in(port);  // what is computed late is up to date now
      const auto before = states(video);
      board->in(port);
      CHECK((states(video) == before));
    }
  }
}

}  // namespace ringshift::devices::test
