// Reset: doing it twice is doing it once, and what a power-on reset leaves behind doesn't depend on
// what the guest had done before.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "tests/conformance/guest_traffic.h"

namespace ringshift::devices::test {
namespace {

constexpr unsigned kActions = 20'000;

void use(TestBoard& board, u64 seed) {
  GuestTraffic traffic(seed);
  for (unsigned n = 0; n < kActions; ++n) {
    if (n % 256 == 0) traffic.aim(board);
    REQUIRE(perform(board, traffic.next()).has_value());
  }
}

using States = std::map<std::string, std::vector<u8>>;

States states(TestBoard& board) {
  States all;
  for (Device* device : board.board().all_devices()) {
    const bool first = all.emplace(device->name(), TestBoard::save(*device)).second;
    REQUIRE(first);
  }
  return all;
}

/// Where ports and memory are claimed.
std::vector<std::pair<u64, std::string>> regions(TestBoard& board) {
  std::vector<std::pair<u64, std::string>> all;
  for (const auto& region : board.board().ports().regions()) {
    all.emplace_back(region.first, region.name);
  }
  for (const auto& region : board.map().regions()) {
    all.emplace_back(region.first.value, region.name);
  }
  return all;
}

/// What the reset line leaves alone, by device. Everything else is as after power-on.
const std::map<std::string, const char*> kSurvivesSystemReset = {
    {"MC146818 real-time clock", "a battery keeps the calendar and the memory"},
    {"8237A DMA controllers", "RESET leaves the address, count and mode registers (8237A, Reset)"},
    {"COM1", "MR leaves the divisor and the scratch register (16550, table of reset functions)"},
    {"COM2", "as COM1"},
    {"PS/2 keyboard", "it has no reset line and its power stays on"},
    {"PS/2 mouse", "it has no reset line and its power stays on"},
    {"82077AA diskette controller",
     "RESET leaves what SPECIFY has set; the drives keep heads and disk change where they are"},
    {"82371SB IDE", "a hardware reset leaves the sector buffer and a non-volatile SET MAX ADDRESS"},
    {"fw_cfg", "files that the guest has written stay written"},
};

/// DRAM keeps what it held; nobody clears it but the guest.
void clear_video_memory(TestBoard& board) {
  std::ranges::fill(board.video_memory(), u8{0});
}

}  // namespace

TEST_CASE("a second reset changes nothing") {
  const u64 seed = GENERATE(1, 2, 3);
  const ResetKind kind = GENERATE(ResetKind::PowerOn, ResetKind::System);
  auto board = TestBoard::create();
  use(*board, seed);
  board->board().reset(kind);
  const States once = states(*board);
  const bool interrupt = board->interrupt_pin();
  board->take_events();
  board->board().reset(kind);
  for (const auto& [name, state] : states(*board)) {
    CAPTURE(name);
    CHECK((state == once.at(name)));
  }
  CHECK(board->interrupt_pin() == interrupt);
  CHECK(board->take_events().empty());
}

TEST_CASE("a power-on reset after use gives a new device") {
  const u64 seed = GENERATE(4, 5, 6);
  auto used = TestBoard::create();
  use(*used, seed);
  used->board().reset(ResetKind::PowerOn);
  clear_video_memory(*used);

  auto fresh = TestBoard::create();
  REQUIRE(fresh->advance(used->now()));
  fresh->board().reset(ResetKind::PowerOn);
  const States expected = states(*fresh);
  for (const auto& [name, state] : states(*used)) {
    CAPTURE(name);
    CHECK((state == expected.at(name)));
  }
  CHECK((used->save() == fresh->save()));
  CHECK(regions(*used) == regions(*fresh));
  CHECK(used->interrupt_pin() == fresh->interrupt_pin());
  CHECK(used->a20() == fresh->a20());
}

TEST_CASE("a system reset after use leaves only what has a reason to survive") {
  const u64 seed = GENERATE(7, 8, 9);
  auto used = TestBoard::create();
  use(*used, seed);
  used->board().reset(ResetKind::System);
  clear_video_memory(*used);

  auto fresh = TestBoard::create();
  REQUIRE(fresh->advance(used->now()));
  fresh->board().reset(ResetKind::PowerOn);
  const States expected = states(*fresh);
  for (const auto& [name, state] : states(*used)) {
    CAPTURE(name);
    if (kSurvivesSystemReset.contains(name)) continue;
    CHECK((state == expected.at(name)));
  }
  CHECK(regions(*used) == regions(*fresh));
  CHECK_FALSE(used->interrupt_pin());
  CHECK(used->a20());
}

TEST_CASE("a reset brings the local APIC's page back from under another device") {
  auto board = TestBoard::create();
  const auto before = regions(*board);
  board->configure_pci();
  REQUIRE(board->board().write_apic_msr(LocalApic::kApicBaseMsr, 0xFD80'0900));
  board->write_config(2, 0, 0x18, 0xFEE0'0000, 4);  // the video card's registers
  REQUIRE(regions(*board) != before);
  board->board().reset(ResetKind::System);
  CHECK(regions(*board) == before);
}

}  // namespace ringshift::devices::test
