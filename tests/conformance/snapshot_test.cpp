// Snapshots: what was saved comes back, exactly; a restored board goes on like the one that was
// saved; and a snapshot that is damaged is refused and does no harm.
#include <catch2/catch.hpp>

#include <algorithm>
#include <tuple>

#include "tests/conformance/guest_traffic.h"

namespace ringshift::devices::test {
namespace {

void run(TestBoard& board, GuestTraffic& traffic, unsigned actions) {
  for (unsigned n = 0; n < actions; ++n) {
    if (n % 256 == 0) traffic.aim(board);
    REQUIRE(perform(board, traffic.next()).has_value());
  }
}

/// The first device of which the two boards disagree.
std::string first_difference(TestBoard& a, TestBoard& b) {
  const auto& devices = a.board().all_devices();
  for (std::size_t n = 0; n < devices.size(); ++n) {
    const auto one = TestBoard::save(*devices[n]);
    const auto other = TestBoard::save(*b.board().all_devices()[n]);
    if (one == other) continue;
    const auto at = std::mismatch(
        one.begin(), one.begin() + static_cast<std::ptrdiff_t>(std::min(one.size(), other.size())),
        other.begin());
    return std::string(devices[n]->name()) + " at byte " + std::to_string(at.first - one.begin()) +
           " of " + std::to_string(one.size());
  }
  return "none of the devices";
}

/// Where everything lies: first, length and name of each region of ports and memory.
using Map = std::vector<std::tuple<u64, u64, std::string>>;

Map map_of(TestBoard& board) {
  Map map;
  for (const auto& region : board.board().ports().regions()) {
    map.emplace_back(region.first, region.count, region.name);
  }
  for (const auto& region : board.map().regions()) {
    map.emplace_back(region.first.value, region.length, region.name);
  }
  return map;
}

}  // namespace

TEST_CASE("each device comes back from its own snapshot") {
  const u64 seed = GENERATE(11, 12, 13);
  auto board = TestBoard::create();
  board->configure_pci();
  GuestTraffic traffic(seed);
  run(*board, traffic, 10'000);
  for (Device* device : board->board().all_devices()) {
    CAPTURE(device->name());
    const std::vector<u8> saved = TestBoard::save(*device);
    CHECK((TestBoard::save(*device) == saved));
    run(*board, traffic, 500);
    const auto restored = TestBoard::restore(*device, saved);
    if (!restored) FAIL(restored.error().message);
    CHECK((TestBoard::save(*device) == saved));
  }
}

TEST_CASE("a restored board goes on like the one that was saved") {
  const u64 seed = GENERATE(range(20, 32));
  auto original = TestBoard::create();
  auto copy = TestBoard::create();
  original->configure_pci();
  GuestTraffic traffic(seed);
  run(*original, traffic, 8'000);
  GuestTraffic other_traffic(seed + 1000);
  // The copy has lived, too, if not for longer.
  copy->configure_pci();
  for (unsigned n = 0; n < 8'000; ++n) {
    if (n % 256 == 0) other_traffic.aim(*copy);
    Action action = other_traffic.next();
    if (action.kind == Action::Kind::Advance) {
      action.value = std::min(action.value, (original->now() - copy->now()) / 2);
    }
    REQUIRE(perform(*copy, action).has_value());
  }

  const std::vector<u8> snapshot = original->save();
  copy->copy_surroundings(*original);
  copy->take_events(), original->take_events();
  const auto restored = copy->restore(snapshot);
  if (!restored) FAIL(restored.error().message);
  CHECK(copy->take_events().size() <= 1);  // the A20 gate says where it stands
  CHECK(copy->a20() == original->a20());
  CHECK(map_of(*copy) == map_of(*original));
  INFO(first_difference(*original, *copy));
  REQUIRE((copy->save() == snapshot));
  REQUIRE((original->save() == snapshot));

  for (unsigned n = 0; n < 8'000; ++n) {
    if (n % 256 == 0) traffic.aim(*original);
    const Action action = traffic.next();
    const auto one = perform(*original, action);
    const auto other = perform(*copy, action);
    if (!one || one != other) {
      FAIL("action " << n << " (" << describe(action) << ") gives " << one.value_or(~u64{0})
                     << " and " << other.value_or(~u64{0}) << "; "
                     << first_difference(*original, *copy));
    }
    if (original->take_events() != copy->take_events()) {
      FAIL("action " << n << " (" << describe(action) << ") has other effects; "
                     << first_difference(*original, *copy));
    }
  }
  // A drive saves its buffer as it lies, and what lies outside of the transfer under way means
  // nothing: SRST makes the drives idle.
  for (TestBoard* board : {original.get(), copy.get()}) {
    board->configure_pci();
    for (const u16 control : {0x3F6, 0x376}) {
      board->out(control, 0x04);
      REQUIRE(board->advance(kNanosecondsPerSecond));
      board->out(control, 0x00);
      REQUIRE(board->advance(kNanosecondsPerSecond));
    }
  }
  INFO(first_difference(*original, *copy));
  CHECK((original->save() == copy->save()));
  CHECK((std::equal(original->ram().begin(), original->ram().end(), copy->ram().begin())));
  for (unsigned n = 0; n < TestBoard::kDisks; ++n) {
    if (original->disks()[n] == nullptr) continue;
    CHECK((original->disks()[n]->content == copy->disks()[n]->content));
  }
}

TEST_CASE("who came first to a contested range is part of the snapshot") {
  constexpr u32 kContested = 0x600, kElsewhere = 0xC000;
  const bool bus_master_first = GENERATE(true, false);
  auto original = TestBoard::create();
  original->configure_pci();
  original->write_config(1, 1, 0x20, kElsewhere | 1, 4);
  original->write_config(1, 3, 0x40, 0x800, 4);
  const auto place_bus_master = [&] { original->write_config(1, 1, 0x20, kContested | 1, 4); };
  const auto place_power_management = [&] { original->write_config(1, 3, 0x40, kContested, 4); };
  if (bus_master_first) place_bus_master();
  place_power_management();
  if (!bus_master_first) place_bus_master();
  const Map expected = map_of(*original);
  CHECK(std::count_if(expected.begin(), expected.end(),
                      [](const auto& region) { return std::get<0>(region) == kContested; }) == 1);

  auto copy = TestBoard::create();
  copy->configure_pci();  // power management is there already
  REQUIRE(copy->restore(original->save()).ok());
  CHECK(map_of(*copy) == expected);
  CHECK((copy->save() == original->save()));
  // The other one gets the range when it is free, even where the one that leaves isn't a BAR.
  for (TestBoard* board : {original.get(), copy.get()}) {
    if (bus_master_first) {
      board->write_config(1, 1, 0x20, kElsewhere | 1, 4);
    } else {
      board->write_config(1, 3, 0x40, 0x800, 4);
    }
    const Map map = map_of(*board);
    CHECK(std::count_if(map.begin(), map.end(),
                        [](const auto& region) { return std::get<0>(region) == kContested; }) == 1);
  }
  CHECK(map_of(*copy) == map_of(*original));
}

TEST_CASE("a snapshot cut short is refused") {
  auto board = TestBoard::create();
  board->configure_pci();
  GuestTraffic traffic(41);
  run(*board, traffic, 5'000);
  tests::Random random(42);
  for (Device* device : board->board().all_devices()) {
    const std::vector<u8> saved = TestBoard::save(*device);
    CAPTURE(device->name(), saved.size());
    for (unsigned n = 0; n < 20; ++n) {
      const auto length = static_cast<std::ptrdiff_t>(random.next() % saved.size());
      CHECK_FALSE(TestBoard::restore(*device, {saved.begin(), saved.begin() + length}).ok());
    }
    std::vector<u8> longer = saved;
    longer.push_back(0);
    CHECK_FALSE(TestBoard::restore(*device, longer).ok());
    CHECK_FALSE(TestBoard::restore(*device, {}).ok());
    CHECK(TestBoard::restore(*device, saved).ok());
  }
  run(*board, traffic, 1'000);
}

TEST_CASE("a snapshot of another machine is refused") {
  auto board = TestBoard::create();
  auto& devices = board->board().all_devices();
  for (std::size_t n = 0; n < devices.size(); ++n) {
    Device& other = *devices[(n + 1) % devices.size()];
    CAPTURE(devices[n]->name(), other.name());
    CHECK_FALSE(TestBoard::restore(*devices[n], TestBoard::save(other)).ok());
  }
}

TEST_CASE("a snapshot with wrong values is refused or makes a board that works") {
  const u64 seed = GENERATE(range(50, 60));
  auto board = TestBoard::create();
  board->configure_pci();
  GuestTraffic traffic(seed);
  run(*board, traffic, 3'000);
  tests::Random random(seed);
  for (Device* device : board->board().all_devices()) {
    const std::vector<u8> saved = TestBoard::save(*device);
    // Most of the video card's state is the picture.
    const u32 interesting = static_cast<u32>(std::min<std::size_t>(saved.size(), 8192));
    for (unsigned n = 0; n < 20; ++n) {
      std::vector<u8> damaged = saved;
      const unsigned bytes = 1 + random.below(8);
      for (unsigned m = 0; m < bytes; ++m) {
        damaged[random.below(interesting)] = static_cast<u8>(random.next());
      }
      static_cast<void>(TestBoard::restore(*device, damaged).ok());
      // Whatever has become of it, it neither crashes nor runs away.
      run(*board, traffic, 20);
    }
    static_cast<void>(TestBoard::restore(*device, saved).ok());
  }
  run(*board, traffic, 3'000);
}

}  // namespace ringshift::devices::test
