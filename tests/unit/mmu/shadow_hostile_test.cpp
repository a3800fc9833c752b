// Page tables made to wear the shadow MMU out: what it remembers stays within its limits, and what
// a single change costs doesn't grow with how often the guest uses a table.
#include <catch2/catch.hpp>
#include <cstring>
#include <utility>
#include <vector>

#include "mmu/shadow/shadow_mmu.h"
#include "tests/unit/mmu/window_touch.h"

using namespace ringshift;
using cpu::PagingContext;
using cpu::Privilege;
using mmu::FaultClass;
using mmu::ShadowLimits;
using mmu::ShadowMmu;
using mmu::Window;

namespace {

constexpr u64 kRam = 16 << 20;
constexpr u32 kTable = 0x10000, kOtherTable = 0x11000, kPage = 0x20000, kOtherPage = 0x21000;
constexpr u32 kDirectories = 0x100000;
constexpr u32 kSpaces = 256, kEntries = 1024;
// P, R/W, U/S, A, D. SDM 3A table 4-6.
constexpr u32 kAll = 0x67, kLarge = 0x80;

struct Listener : mmu::SpaceObserver {
  void on_mapping_changed(u32, LinearAddress, u64 length) override {
    ++changes;
    if (length == u64{1} << 32) ++everything;
  }
  void on_space_dropped(u32) override { ++dropped; }
  unsigned changes = 0, everything = 0, dropped = 0;
};

struct Fixture {
  explicit Fixture(ShadowLimits limits = {}) {
    ram = *memory.allocate(kRam, "ram");
    map.map_memory({0}, kRam, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    auto made = ShadowMmu::create(map, port, memory.file(), limits);
    REQUIRE(made.ok());
    shadow = std::move(*made);
    shadow->set_observer(&listener);
    put(kPage, 1);
    put(kOtherPage, 2);
  }

  void put(u64 address, u32 value) { std::memcpy(ram.host + address, &value, 4); }
  void fill(u64 table, u32 entry) {
    for (u32 n = 0; n < kEntries; ++n) put(table + 4 * n, entry);
  }
  static PagingContext context(u32 space) {
    PagingContext context;
    context.paging = true;
    context.write_protect = true;
    context.page_size_extension = true;
    context.cr3 = kDirectories + u64{space} * kPageSize;
    return context;
  }
  Window select(u32 space) { return shadow->select(context(space), Privilege::Supervisor); }
  u64 fetched(u64 linear) {
    const auto result = shadow->fetch({linear});
    const auto* translation = std::get_if<cpu::Translation>(&result);
    return translation == nullptr ? ~u64{0} : translation->address.value;
  }
  /// The same table in all slots of all spaces, and all of it used.
  void alias_everything() {
    fill(kTable, kPage | kAll);
    for (u32 space = 0; space < kSpaces; ++space) {
      fill(kDirectories + space * kPageSize, kTable | kAll);
      select(space);
      for (u64 slot = 0; slot < kEntries; ++slot) {
        // Each slot another entry, so that each of its lines counts.
        if (fetched(slot << 22 | slot << 12) != kPage) FAIL("slot " << slot);
      }
    }
  }

  mmu::GuestMemory memory = std::move(mmu::GuestMemory::create(kRam)).value();
  mmu::MemoryMap map;
  mmu::MemoryBlock ram;
  mmu::ProcessorMemory port{map};
  Listener listener;
  std::unique_ptr<ShadowMmu> shadow;
};

}  // namespace

TEST_CASE("giving up spaces that all use one table everywhere") {
  Fixture f;
  f.alias_everything();
  CHECK(f.shadow->statistics().tables == kSpaces + 1);
  // The others haven't been entered for long: they go at once.
  for (u32 n = 0; n < 600; ++n) f.select(n & 1);
  CHECK(f.shadow->statistics().spaces == 2);
  CHECK(f.listener.dropped == kSpaces - 2);
  CHECK(f.shadow->statistics().tables == 3);
  CHECK(f.fetched(0) == kPage);
  f.put(kTable, kOtherPage | kAll);
  f.shadow->flush();
  f.select(1);
  CHECK(f.fetched(0) == kOtherPage);
  CHECK(f.fetched(0x1000) == kPage);
}

TEST_CASE("changing a table that all spaces use everywhere") {
  Fixture f;
  f.alias_everything();
  const u64 before = f.shadow->statistics().entries_changed;
  f.fill(kTable, kOtherPage | kAll);
  f.shadow->flush();
  for (const u32 space : {0U, 1U, 255U}) {
    f.select(space);
    for (const u64 slot : {0U, 77U, 1023U}) CHECK(f.fetched(slot << 22) == kOtherPage);
  }
  // Entry by entry it would have been all slots of all spaces, for each of its entries.
  CHECK(f.shadow->statistics().entries_changed - before < u64{kSpaces} * kEntries * 4);
  CHECK(f.listener.everything >= 3);
}

TEST_CASE("changing a directory that leads to one table everywhere") {
  Fixture f;
  f.alias_everything();
  f.fill(kOtherTable, kOtherPage | kAll);
  for (const u32 space : {7U, 8U}) {
    f.fill(kDirectories + space * kPageSize, kOtherTable | kAll);
    f.select(space);
    for (const u64 slot : {0U, 77U, 1023U}) CHECK(f.fetched(slot << 22) == kOtherPage);
    CHECK(f.shadow->statistics().tables == kSpaces + 2);
  }
  f.select(9);
  CHECK(f.fetched(0x40'0000) == kPage);
}

TEST_CASE("windows after a table that they all show has changed") {
  Fixture f;
  tests::WindowTouch touch(*f.shadow);
  f.fill(kTable, kPage | kAll);
  for (u32 space = 0; space < 64; ++space) {
    f.fill(kDirectories + space * kPageSize, kTable | kAll);
    const Window window = f.select(space);
    for (u64 slot = 0; slot < kEntries; slot += 16) {
      CHECK(touch.read(window, slot << 22 | slot << 12).value == 1);
    }
    for (u64 slot = 0; slot < kEntries; ++slot) f.fetched(slot << 22);
  }
  f.fill(kTable, kOtherPage | kAll);
  f.shadow->flush();
  for (u32 space = 0; space < 64; ++space) {
    const Window window = f.select(space);
    for (u64 slot = 0; slot < kEntries; slot += 16) {
      CHECK(touch.read(window, slot << 22 | slot << 12).value == 2);
    }
  }
}

TEST_CASE("all of memory as page tables stays within the limit") {
  ShadowLimits limits;
  limits.tables = 100;
  Fixture f(limits);
  constexpr u32 kFirst = 0x400000, kTablesEach = 64;
  for (u32 space = 0; space < 32; ++space) {
    for (u32 slot = 0; slot < kTablesEach; ++slot) {
      const u32 table = kFirst + (space * kTablesEach + slot) * static_cast<u32>(kPageSize);
      f.put(table, kPage | kAll);
      f.put(kDirectories + space * kPageSize + 4 * slot, table | kAll);
    }
    f.select(space);
    for (u64 slot = 0; slot < kTablesEach; ++slot) CHECK(f.fetched(slot << 22) == kPage);
    CHECK(f.shadow->statistics().tables <= limits.tables + kTablesEach + 1);
  }
  CHECK(f.listener.dropped >= 30);
  f.select(0);
  CHECK(f.fetched(0x40'0000) == kPage);
}

TEST_CASE("a page that is writable in very many places is watched in all of them") {
  Fixture f;
  tests::WindowTouch touch(*f.shadow);
  struct Watcher : mmu::WriteObserver {
    void on_watched_write(PhysicalAddress, u64) override {}
  } watcher;
  constexpr u32 kPlaces = 20;
  f.fill(kTable, kPage | kAll);
  f.fill(kOtherTable, kOtherPage | kAll);
  for (u32 space = 0; space < kPlaces; ++space) {
    // The same again after another page has been there.
    for (const u32 table : {kTable, kOtherTable, kTable}) {
      f.put(kDirectories + space * kPageSize, table | kAll);
      f.shadow->flush();
      const Window window = f.select(space);
      for (u64 page = 0; page < kEntries; ++page) {
        if (touch.write(window, page << 12, 5).verdict != FaultClass::Mapped) FAIL("page " << page);
      }
    }
  }
  f.map.watch({kPage}, watcher);
  for (u32 space = 0; space < kPlaces; ++space) {
    const Window window = f.select(space);
    for (u64 page = 0; page < kEntries; page += 31) {
      if (touch.writable(window, page << 12)) FAIL("space " << space << " page " << page);
    }
  }
  f.map.forget(watcher);
}

TEST_CASE("windows that show little in many places stay within the limit") {
  ShadowLimits limits;
  limits.regions = 2500;
  Fixture f(limits);
  tests::WindowTouch touch(*f.shadow);
  f.fill(kTable, kPage | kAll);
  for (u32 space = 0; space < 12; ++space) {
    // Large pages: one mapping for each, and a region of 4 MiB.
    f.fill(kDirectories + space * kPageSize, 0x40'0000 | kAll | kLarge);
    const Window window = f.select(space);
    for (u64 slot = 0; slot < kEntries; ++slot) {
      if (touch.read(window, slot << 22).verdict != FaultClass::Mapped) FAIL("slot " << slot);
    }
    CHECK(f.shadow->statistics().regions <= limits.regions + kEntries);
  }
  CHECK(f.shadow->statistics().window_evictions >= 9);
  // What was given up comes back.
  CHECK(touch.read(f.select(0), 0).verdict == FaultClass::Mapped);
}
