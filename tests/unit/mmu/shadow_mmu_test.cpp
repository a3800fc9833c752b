#include "mmu/shadow/shadow_mmu.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/unit/mmu/window_touch.h"

using namespace ringshift;
using cpu::PagingContext;
using cpu::Privilege;
using mmu::FaultClass;
using mmu::GuestMemory;
using mmu::MemoryMap;
using mmu::ProcessorMemory;
using mmu::ShadowLimits;
using mmu::ShadowMmu;
using mmu::Window;
using tests::WindowTouch;

namespace {

constexpr u64 kRam = 8 << 20;
constexpr u64 kRom = 0xF0000;
constexpr u64 kDevice = 0xA0000;

// Bits of entries. SDM 3A tables 4-5, 4-6.
constexpr u32 P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80;
constexpr u64 kXd = u64{1} << 63;

struct DeviceMemory : IoHandler {
  u64 io_read(u64, unsigned) override { return 0; }
  void io_write(u64, u64, unsigned) override {}
};

struct Watcher : mmu::WriteObserver {
  void on_watched_write(PhysicalAddress, u64) override { ++writes; }
  unsigned writes = 0;
};

struct Listener : mmu::SpaceObserver {
  struct Change {
    u32 space;
    u64 first, length;
    friend bool operator==(const Change&, const Change&) = default;
  };
  void on_mapping_changed(u32 space, LinearAddress first, u64 length) override {
    changes.push_back({space, first.value, length});
  }
  void on_space_dropped(u32 space) override { dropped.push_back(space); }
  std::vector<Change> changes;
  std::vector<u32> dropped;
};

struct Fixture {
  explicit Fixture(ShadowLimits limits = {}) {
    ram = *memory.allocate(kRam, "ram");
    rom = *memory.allocate(0x10000, "rom");
    map.map_memory({0}, kRam, MemoryMap::Kind::Ram, "ram", ram, 0);
    map.map_memory({kRom}, 0x10000, MemoryMap::Kind::Rom, "rom", rom, 0);
    REQUIRE(map.map_mmio({kDevice}, 0x2000, "device", device).ok());
    // Each page begins with its own address.
    for (u64 at = 0; at < kRam; at += kPageSize) put(at, static_cast<u32>(at));
    const u32 rom_mark = 0xB105;
    std::memcpy(rom.host, &rom_mark, 4);
    auto made = ShadowMmu::create(map, port, memory.file(), limits);
    REQUIRE(made.ok());
    shadow = std::move(*made);
    shadow->set_observer(&listener);
    touch.emplace(*shadow);
  }
  ~Fixture() { touch.reset(); }

  /// Behind everybody's back, as translated code writes.
  void put(u64 address, u32 value) { std::memcpy(ram.host + address, &value, 4); }
  void put64(u64 address, u64 value) { std::memcpy(ram.host + address, &value, 8); }
  u32 get(u64 address) const {
    u32 value = 0;
    std::memcpy(&value, ram.host + address, 4);
    return value;
  }

  /// 32-bit paging with the directory at 10000h and the table of the first 4 MiB at 11000h.
  PagingContext legacy() {
    put(0x10000, 0x11000 | U | W | P);
    PagingContext context;
    context.paging = true;
    context.write_protect = true;
    context.cr3 = 0x10000;
    return context;
  }
  void pte(u64 page, u32 value) { put(0x11000 + 4 * page, value); }
  u32 pte(u64 page) const { return get(0x11000 + 4 * page); }

  Window supervisor(const PagingContext& context) {
    return shadow->select(context, Privilege::Supervisor);
  }
  Window user(const PagingContext& context) { return shadow->select(context, Privilege::User); }
  Window flushed(const PagingContext& context, Privilege privilege = Privilege::Supervisor) {
    shadow->flush();
    return shadow->select(context, privilege);
  }

  GuestMemory memory = std::move(GuestMemory::create(kRam + 0x10000)).value();
  MemoryMap map;
  mmu::MemoryBlock ram, rom;
  DeviceMemory device;
  ProcessorMemory port{map};
  Listener listener;
  std::unique_ptr<ShadowMmu> shadow;
  std::optional<WindowTouch> touch;
};

bool fetches(Fixture& f, u64 linear, u64 physical) {
  const auto result = f.shadow->fetch({linear});
  const auto* translation = std::get_if<cpu::Translation>(&result);
  return translation != nullptr && translation->address.value == physical;
}

}  // namespace

TEST_CASE("without paging linear is physical, page 0 included") {
  Fixture f;
  const Window window = f.supervisor({});
  CHECK(f.touch->read(window, 0x5000).value == 0x5000);
  CHECK(f.touch->read(window, 0).value == 0);
  CHECK(f.touch->write(window, 0, 77).verdict == FaultClass::Mapped);
  CHECK(f.get(0) == 77);
  CHECK(f.touch->read(window, kRom).value == 0xB105);
  CHECK(f.touch->write(window, kRom, 1).verdict == FaultClass::Device);
  CHECK(f.touch->read(window, kDevice).verdict == FaultClass::Device);
  CHECK(f.touch->write(window, kDevice + 0x1000, 1).verdict == FaultClass::Device);
  CHECK(f.touch->read(window, 0xFFFFF000).verdict == FaultClass::Device);
  // One miss maps memory as far as it goes, up to its limit, and never a device.
  CHECK(f.touch->readable(window, 0x9F000));
  CHECK_FALSE(f.touch->readable(window, kDevice));
  CHECK(f.shadow->statistics().misses == 2);
  CHECK(f.shadow->statistics().guest_faults == 0);
}

TEST_CASE("the last page of 4 GiB works and nothing is behind it") {
  Fixture f;
  PagingContext context = f.legacy();
  f.put(0x10000 + 4 * 1023, 0x12000 | U | W | P);
  f.put(0x12000 + 4 * 1023, 0x20000 | W | P);
  const Window window = f.supervisor(context);
  f.put(0x20FFC, 0xFACE);
  CHECK(f.touch->read(window, 0xFFFFFFFC).value == 0xFACE);
  CHECK_FALSE(f.touch->readable(window, u64{1} << 32));
  CHECK_FALSE(f.touch->readable(window, (u64{1} << 32) + 0xFFFFF000));
}

TEST_CASE("an access sets the accessed bits, and the dirty bit only when it writes") {
  Fixture f;
  const PagingContext context = f.legacy();
  f.pte(5, 0x20000 | W | P);
  f.pte(6, 0x21000 | W | P);
  const Window window = f.supervisor(context);
  const auto read = f.touch->read(window, 0x5000);
  CHECK(read.value == 0x20000);
  CHECK(read.faults == 1);
  CHECK(f.pte(5) == (0x20000 | A | W | P));
  CHECK((f.get(0x10000) & A) != 0);
  // The neighbour would continue the run, but its accessed bit isn't ours to skip.
  CHECK_FALSE(f.touch->readable(window, 0x6000));
  CHECK_FALSE(f.touch->writable(window, 0x5000));
  CHECK(f.touch->write(window, 0x5004, 1).faults == 1);
  CHECK(f.pte(5) == (0x20000 | D | A | W | P));
  CHECK(f.pte(6) == (0x21000 | W | P));
  // A dirty page is writable from the first read on.
  f.pte(7, 0x30000 | D | W | P);
  CHECK(f.touch->read(window, 0x7000).faults == 1);
  CHECK(f.touch->writable(window, 0x7000));
}

TEST_CASE("a miss maps the run of pages around it") {
  Fixture f;
  const PagingContext context = f.legacy();
  for (u64 n = 0; n < 64; ++n) f.pte(n, static_cast<u32>(0x40000 + n * 0x1000) | D | A | W | P);
  f.pte(40, 0x68000 | A | W | P);      // clean
  f.pte(20, 0x54000 | D | A | P);      // read-only
  f.pte(10, 0x90000 | D | A | W | P);  // elsewhere
  const Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 30 * kPageSize).value == 0x5E000);
  for (u64 n = 21; n < 40; ++n) CHECK(f.touch->writable(window, n * kPageSize));
  for (u64 n : {10, 20, 40}) CHECK_FALSE(f.touch->readable(window, n * kPageSize));
  CHECK(f.shadow->statistics().pages_mapped == 19);
  CHECK(f.shadow->statistics().map_calls == 1);
  CHECK(f.shadow->statistics().mappings == 1);
}

TEST_CASE("user and supervisor have windows of their own") {
  Fixture f;
  PagingContext context = f.legacy();
  f.pte(1, 0x20000 | U | P);
  f.pte(2, 0x21000 | U | W | P);
  f.pte(3, 0x22000 | W | P);
  const Window supervisor = f.supervisor(context);
  CHECK(f.touch->write(supervisor, 0x3000, 1).verdict == FaultClass::Mapped);
  CHECK(f.touch->write(supervisor, 0x2000, 2).verdict == FaultClass::Mapped);
  CHECK(f.touch->write(supervisor, 0x1000, 2).verdict == FaultClass::GuestFault);
  const Window user = f.user(context);
  CHECK(user.base != supervisor.base);
  CHECK(user.space == supervisor.space);
  CHECK(f.touch->read(user, 0x3000).verdict == FaultClass::GuestFault);
  CHECK(f.touch->read(user, 0x2000).value == 2);
  CHECK(f.touch->read(user, 0x1000).value == 0x20000);
  CHECK(f.touch->write(user, 0x1000, 1).verdict == FaultClass::GuestFault);

  SECTION("without WP the supervisor writes read-only pages") {
    context.write_protect = false;
    const Window free = f.supervisor(context);
    CHECK(free.base != supervisor.base);
    CHECK(f.touch->write(free, 0x1000, 9).verdict == FaultClass::Mapped);
    CHECK((f.pte(1) & D) != 0);
    CHECK(f.user(context).base == user.base);
    CHECK(f.touch->write(user, 0x1000, 1).verdict == FaultClass::GuestFault);
    context.write_protect = true;
    CHECK(f.supervisor(context).base == supervisor.base);
    CHECK(f.touch->write(supervisor, 0x1000, 1).verdict == FaultClass::GuestFault);
  }
  SECTION("SMAP keeps the supervisor out unless AC is set") {
    context.smap = true;
    const Window closed = f.supervisor(context);
    CHECK(f.touch->read(closed, 0x2000).verdict == FaultClass::GuestFault);
    CHECK(f.touch->read(closed, 0x3000).value == 1);
    context.alignment_check_flag = true;
    const Window open = f.supervisor(context);
    CHECK(open.base != closed.base);
    CHECK(f.touch->read(open, 0x2000).value == 2);
    context.alignment_check_flag = false;
    CHECK(f.supervisor(context).base == closed.base);
    CHECK_FALSE(f.touch->readable(closed, 0x2000));
  }
}

TEST_CASE("a large page goes in whole") {
  Fixture f;
  PagingContext context = f.legacy();
  f.put(0x10000 + 4 * 2, 0x400000 | PS | W | P);
  SECTION("when PSE is on") {
    context.page_size_extension = true;
    const Window window = f.supervisor(context);
    CHECK(f.touch->read(window, 0x812000).value == 0x412000);
    CHECK(f.get(0x10008) == (0x400000 | PS | A | W | P));
    CHECK(f.touch->readable(window, 0x800000));
    CHECK(f.touch->readable(window, 0xBFF000));
    CHECK_FALSE(f.touch->writable(window, 0x812000));
    CHECK(f.touch->write(window, 0x900000, 1).verdict == FaultClass::Mapped);
    CHECK(f.get(0x10008) == (0x400000 | PS | D | A | W | P));
    CHECK(f.get(0x500000) == 1);
  }
  SECTION("but is a table when PSE is off") {
    f.put(0x400000 + 4 * 0x12, 0x30000 | P);
    const Window window = f.supervisor(context);
    CHECK(f.touch->read(window, 0x812000).value == 0x30000);
  }
}

TEST_CASE("PAE: large pages, execute-disable and reserved bits") {
  Fixture f;
  PagingContext context;
  context.paging = context.pae = context.write_protect = true;
  context.pdpte = {0x20001, 0, 0, 0x21001};
  f.put64(0x20000, 0x22000 | W | P);
  f.put64(0x22000 + 8 * 3, 0x30000 | W | P | kXd);
  f.put64(0x22000 + 8 * 4, 0x31000 | W | P | u64{1} << 40);  // above MAXPHYADDR
  f.put64(0x20008, 0x400000 | PS | W | P);
  f.put64(0x21000 + 8 * 511, 0x200000 | PS | D | A | P);
  Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 0x3000).verdict == FaultClass::GuestFault);  // NX is off: reserved
  CHECK(f.touch->read(window, 0x4000).verdict == FaultClass::GuestFault);
  CHECK(f.touch->write(window, 0x234000, 1).verdict == FaultClass::Mapped);
  CHECK(f.get(0x434000) == 1);
  CHECK(f.touch->read(window, 0xFFFFF000).value == 0x3FF000);
  CHECK(f.touch->read(window, 0x40000000).verdict == FaultClass::GuestFault);
  const u32 space = window.space;
  context.no_execute = true;
  window = f.supervisor(context);
  CHECK(window.space != space);
  CHECK(f.touch->read(window, 0x3000).value == 0x30000);
  CHECK(f.touch->read(window, 0x4000).verdict == FaultClass::GuestFault);
  CHECK(std::holds_alternative<cpu::PageFault>(f.shadow->fetch({0x3000})));
  CHECK(fetches(f, 0x234000, 0x434000));
}

TEST_CASE("PAE: a root used again with other directories keeps what is the same") {
  Fixture f;
  PagingContext context;
  context.paging = context.pae = true;
  context.cr3 = 0x1F020;
  context.pdpte = {0x20001, 0, 0, 0x21001};
  f.put64(0x20000, 0x400000 | PS | D | A | W | P);
  f.put64(0x21000, 0x600000 | PS | D | A | W | P);
  f.put64(0x22000, 0x600000 | PS | D | A | W | P);
  const Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 0x1000).value == 0x401000);
  CHECK(f.touch->read(window, 0xC0001000).value == 0x601000);
  CHECK(fetches(f, 0x1000, 0x401000));
  CHECK(fetches(f, 0xC0001000, 0x601000));
  context.pdpte[0] = 0x22001;
  CHECK(f.flushed(context).base == window.base);
  CHECK(f.touch->readable(window, 0xC0001000));
  CHECK(f.touch->read(window, 0x1000).value == 0x601000);
  CHECK(f.listener.changes == std::vector<Listener::Change>{{window.space, 0, 1 << 30}});
  context.pdpte[0] = 0;
  f.flushed(context);
  CHECK(f.touch->read(window, 0x1000).verdict == FaultClass::GuestFault);
  CHECK(f.shadow->statistics().tables == 1);
}

TEST_CASE("an edited entry counts after INVLPG or a flush") {
  Fixture f;
  const PagingContext context = f.legacy();
  f.pte(5, 0x20000 | W | P);
  f.pte(6, 0x30000 | W | P);
  Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 0x5000).value == 0x20000);
  CHECK(f.touch->write(window, 0x6000, 6).verdict == FaultClass::Mapped);

  SECTION("INVLPG") {
    f.pte(5, 0x21000 | W | P);
    f.shadow->invalidate_page({0x5123});
    CHECK_FALSE(f.touch->readable(window, 0x5000));
    CHECK(f.touch->read(window, 0x5000).value == 0x21000);
    // Right away where no accessed bit tells.
    f.pte(5, 0x22000 | A | D | W | P);
    f.shadow->invalidate_page({0x5000});
    CHECK(f.touch->readable(window, 0x5000));
    CHECK(f.touch->read(window, 0x5000).value == 0x22000);
    f.pte(5, 0);
    f.shadow->invalidate_page({0x5000});
    CHECK(f.touch->read(window, 0x5000).verdict == FaultClass::GuestFault);
  }
  SECTION("a flush") {
    f.pte(5, 0x21000 | W | P);
    f.pte(6, f.pte(6) & ~(W | D));
    window = f.flushed(context);
    CHECK(f.touch->read(window, 0x5000).value == 0x21000);
    CHECK(f.touch->readable(window, 0x6000));
    CHECK(f.touch->write(window, 0x6000, 1).verdict == FaultClass::GuestFault);
  }
  SECTION("a cleared dirty bit is set by the next write") {
    f.pte(6, f.pte(6) & ~D);
    window = f.flushed(context);
    CHECK(f.touch->readable(window, 0x6000));
    CHECK(f.touch->write(window, 0x6000, 1).faults == 1);
    CHECK((f.pte(6) & D) != 0);
  }
  SECTION("a cleared accessed bit is set by the next read") {
    f.pte(5, f.pte(5) & ~A);
    window = f.flushed(context);
    CHECK(f.touch->read(window, 0x5000).faults == 1);
    CHECK((f.pte(5) & A) != 0);
  }
  SECTION("in the directory too") {
    f.put(0x12000 + 4 * 5, 0x25000 | P);
    f.put(0x10000, 0x12000 | W | P);
    f.shadow->invalidate_page({0x5000});
    CHECK(f.touch->read(window, 0x5000).value == 0x25000);
    CHECK(f.touch->read(window, 0x6000).verdict == FaultClass::GuestFault);
  }
  SECTION("what gains rights or only its accessed bit stays") {
    const u64 unmapped = f.shadow->statistics().unmap_calls;
    f.pte(5, f.pte(5) | U | 0xE00);
    f.pte(6, f.pte(6) | 0xE18);
    window = f.flushed(context);
    CHECK(f.touch->readable(window, 0x6000));
    CHECK(f.shadow->statistics().unmap_calls == unmapped + 1);  // U on a page: who knows SMAP
  }
}

TEST_CASE("windows outlive CR3 loads when their tables don't change") {
  Fixture f;
  const PagingContext first = f.legacy();
  PagingContext second = first;
  second.cr3 = 0x14000;
  f.put(0x14000, 0x11000 | U | W | P);  // shares the table
  f.pte(5, 0x20000 | W | P);
  const Window one = f.flushed(first);
  CHECK(f.touch->read(one, 0x5000).faults == 1);
  const Window two = f.flushed(second);
  CHECK(two.space != one.space);
  CHECK(f.touch->read(two, 0x5000).faults == 1);
  CHECK(f.flushed(first).base == one.base);
  CHECK(f.touch->readable(one, 0x5000));

  // A change found in one space reaches the other when it is selected.
  f.pte(5, 0x21000 | A | W | P);
  f.shadow->invalidate_page({0x5000});
  CHECK(f.touch->read(one, 0x5000).value == 0x21000);
  CHECK(f.flushed(second).base == two.base);
  CHECK(f.touch->read(two, 0x5000).value == 0x21000);
}

TEST_CASE("the A20 gate") {
  Fixture f;
  const Window window = f.supervisor({});
  CHECK(f.touch->read(window, 0x105000).value == 0x105000);
  f.port.set_a20(false);
  CHECK_FALSE(f.touch->readable(window, 0x105000));
  CHECK(f.touch->read(window, 0x105000).value == 0x5000);
  CHECK(f.touch->read(window, 0x1FF000).verdict == FaultClass::Mapped);
  CHECK(f.touch->read(window, 0x200000).value == 0x200000);
  CHECK(f.touch->read(window, 0xFF000).verdict == FaultClass::Mapped);
  CHECK(f.touch->read(window, 0x100000).value == 0);
  f.port.set_a20(true);
  CHECK(f.touch->read(window, 0x105000).value == 0x105000);
}

TEST_CASE("watching a page takes write permission from every window at once") {
  Fixture f;
  Watcher watcher;
  PagingContext context = f.legacy();
  for (u64 n = 0; n < 32; ++n) f.pte(n, static_cast<u32>(0x40000 + n * 0x1000) | U | D | A | W | P);
  f.pte(100, 0x45000 | D | A | U | W | P);  // an alias
  const Window supervisor = f.supervisor(context);
  CHECK(f.touch->write(supervisor, 0x5004, 1).verdict == FaultClass::Mapped);
  CHECK(f.touch->write(supervisor, 100 * kPageSize + 4, 2).verdict == FaultClass::Mapped);
  const Window flat = f.supervisor({});
  CHECK(f.touch->write(flat, 0x45004, 3).verdict == FaultClass::Mapped);
  const Window user = f.user(context);
  CHECK(f.touch->write(user, 0x5004, 4).verdict == FaultClass::Mapped);

  f.map.watch({0x45000}, watcher);
  CHECK_FALSE(f.touch->writable(user, 0x5000));
  CHECK(f.touch->readable(user, 0x5000));
  CHECK(f.touch->write(user, 0x5000, 1).verdict == FaultClass::Watched);
  CHECK(f.touch->write(user, 0x4000, 1).verdict == FaultClass::Mapped);
  f.supervisor(context);
  CHECK_FALSE(f.touch->writable(supervisor, 0x5000));
  CHECK_FALSE(f.touch->writable(supervisor, 100 * kPageSize));
  f.supervisor({});
  CHECK_FALSE(f.touch->writable(flat, 0x45000));
  CHECK(f.touch->writable(flat, 0x44000));
  CHECK(f.touch->write(flat, 0x45000, 1).verdict == FaultClass::Watched);
  CHECK(watcher.writes == 0);

  f.map.unwatch({0x45000}, watcher);
  CHECK(f.touch->write(flat, 0x45000, 1).verdict == FaultClass::Mapped);
  f.user(context);
  CHECK(f.touch->write(user, 0x5000, 1).verdict == FaultClass::Mapped);
}

TEST_CASE("watching finds its page in whatever extent it lies") {
  Fixture f;
  Watcher watcher;
  const Window flat = f.supervisor({});
  CHECK(f.touch->write(flat, 0x300004, 1).verdict == FaultClass::Mapped);
  CHECK(f.touch->write(flat, 0x500004, 1).verdict == FaultClass::Mapped);
  for (const u64 page : {0x100000, 0x1FF000, 0x200000, 0x3FF000, 0x400000, 0x5FF000, 0x600000}) {
    CHECK(f.touch->writable(flat, page));
    f.map.watch({page}, watcher);
    CHECK_FALSE(f.touch->writable(flat, page));
  }
  CHECK(f.touch->writable(flat, 0x201000));
}

TEST_CASE("a change of the map empties the windows") {
  Fixture f;
  const PagingContext context = f.legacy();
  f.pte(5, 0xF0000 | W | P);
  f.pte(6, 0x21000 | W | P);
  const Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 0x5000).value == 0xB105);
  CHECK(fetches(f, 0x6000, 0x21000));
  f.supervisor({});
  f.supervisor(context);
  f.listener.changes.clear();
  f.map.unmap_memory({kRom}, 0x10000);
  CHECK(f.listener.changes == std::vector<Listener::Change>{{window.space, 0, u64{1} << 32}});
  CHECK_FALSE(f.touch->readable(window, 0x5000));
  CHECK(f.touch->read(window, 0x5000).value == 0xF0000);
  CHECK(f.shadow->statistics().mappings == 1);
}

TEST_CASE("quiet tables come under watch and still change when they are written") {
  ShadowLimits limits;
  limits.quiet_checks = 3;
  Fixture f(limits);
  PagingContext context = f.legacy();
  f.pte(5, 0x20000 | W | P);
  f.pte(0x11, 0x11000 | W | P);  // the table itself
  Window window = f.supervisor(context);
  CHECK(f.touch->read(window, 0x5000).faults == 1);
  CHECK(f.touch->write(window, 0x11000 + 4 * 9, 0x29000 | W | P).verdict == FaultClass::Mapped);
  for (unsigned n = 0; n < 5; ++n) window = f.flushed(context);
  CHECK(f.shadow->statistics().watched_tables == 2);
  const u64 compared = f.shadow->statistics().tables_compared;
  window = f.flushed(context);
  CHECK(f.shadow->statistics().tables_compared == compared);
  CHECK_FALSE(f.touch->writable(window, 0x11000));

  SECTION("through the window: it is compared again") {
    CHECK(f.touch->write(window, 0x11000 + 4 * 5, 0x21000 | W | P).verdict == FaultClass::Mapped);
    CHECK(f.shadow->statistics().watched_tables == 1);
    window = f.flushed(context);
    CHECK(f.touch->read(window, 0x5000).value == 0x21000);
  }
  SECTION("through the map: it counts at once, and the watch stays") {
    f.map.write_value({0x11000 + 4 * 5}, 0x22000 | W | P, 4);
    CHECK(f.shadow->statistics().watched_tables == 2);
    CHECK(f.touch->read(window, 0x5000).value == 0x22000);
    f.map.write_value({0x10000}, 0, 4);
    CHECK(f.touch->read(window, 0x5000).verdict == FaultClass::GuestFault);
  }
  SECTION("accessed bits set by other walks don't matter") {
    f.pte(6, 0x23000 | W | P);
    CHECK(f.touch->read(window, 0x6000).value == 0x23000);
    CHECK(f.shadow->statistics().watched_tables == 2);
    CHECK(f.touch->readable(window, 0x5000));
  }
}

TEST_CASE("fetches are answered and their changes reported") {
  Fixture f;
  PagingContext context = f.legacy();
  f.pte(5, 0x20000 | U | P);
  f.pte(6, 0x21000 | U | P);
  const Window window = f.user(context);
  CHECK(fetches(f, 0x5123, 0x20123));
  CHECK(f.pte(5) == (0x20000 | A | U | P));
  CHECK(f.pte(6) == (0x21000 | U | P));
  CHECK(std::holds_alternative<cpu::PageFault>(f.shadow->fetch({0x7000})));

  f.pte(6, 0x22000 | U | P);
  f.pte(5, f.pte(5) | W | D);  // means nothing for code
  f.flushed(context, Privilege::User);
  CHECK(f.listener.changes.empty());
  f.pte(5, 0x23000 | U | P);
  f.flushed(context, Privilege::User);
  CHECK(f.listener.changes == std::vector<Listener::Change>{{window.space, 0x5000, 0x1000}});
  // Told once; whoever wants to hear more has to ask again.
  f.pte(5, 0x24000 | U | P);
  f.flushed(context, Privilege::User);
  CHECK(f.listener.changes.size() == 1);
  CHECK(fetches(f, 0x5000, 0x24000));
  f.pte(5, f.pte(5) & ~U);
  f.shadow->invalidate_page({0x5FFF});
  CHECK(f.listener.changes.size() == 2);
  CHECK(std::holds_alternative<cpu::PageFault>(f.shadow->fetch({0x5000})));

  context.smep = true;
  f.supervisor(context);
  CHECK(fetches(f, 0x5000, 0x24000));
  CHECK(std::holds_alternative<cpu::PageFault>(f.shadow->fetch({0x6000})));
}

TEST_CASE("a change in a space that isn't current is reported when it is selected") {
  Fixture f;
  const PagingContext first = f.legacy();
  PagingContext second = first;
  second.cr3 = 0x14000;
  f.put(0x14000, 0x11000 | U | W | P);
  f.pte(5, 0x20000 | P);
  const Window one = f.supervisor(first);
  CHECK(fetches(f, 0x5000, 0x20000));
  const Window two = f.flushed(second);
  CHECK(fetches(f, 0x5000, 0x20000));
  f.pte(5, 0x21000 | P);
  f.shadow->invalidate_page({0x5000});
  CHECK(f.listener.changes == std::vector<Listener::Change>{{two.space, 0x5000, 0x1000}});
  f.flushed(first);
  CHECK(f.listener.changes ==
        std::vector<Listener::Change>{{two.space, 0x5000, 0x1000}, {one.space, 0x5000, 0x1000}});
}

TEST_CASE("tables in a device or a ROM are read each time or as they are") {
  Fixture f;
  PagingContext context;
  context.paging = true;
  const u32 entry = 0x11000 | W | P;
  std::memcpy(f.rom.host, &entry, 4);
  f.pte(5, 0x20000 | W | P);
  context.cr3 = kRom;
  CHECK(f.touch->write(f.supervisor(context), 0x5000, 1).verdict == FaultClass::Mapped);
  CHECK((f.pte(5) & D) != 0);
  context.cr3 = kDevice;  // reads as not present
  CHECK(f.touch->read(f.supervisor(context), 0x5000).verdict == FaultClass::GuestFault);
  context.cr3 = 0x900000;  // nothing there: all ones, so a table at FFFFF000h, all ones too
  f.supervisor(context);
  CHECK(f.touch->read(f.supervisor(context), 0x5000).verdict == FaultClass::Device);
  CHECK(fetches(f, 0x5000, 0xFFFFF000));
  f.listener.changes.clear();
  f.flushed(context);
  CHECK(f.listener.changes.size() == 1);
}

TEST_CASE("few host mappings and windows are enough") {
  ShadowLimits limits;
  limits.mappings = 8;
  limits.windows = 2;
  limits.spaces = 3;
  Fixture f(limits);
  std::vector<PagingContext> contexts;
  for (u32 n = 0; n < 5; ++n) {
    PagingContext context;
    context.paging = true;
    context.cr3 = 0x100000 + n * 0x2000;
    f.put(context.cr3, (static_cast<u32>(context.cr3) + 0x1000) | W | P);
    for (u32 page = 0; page < 64; ++page) {  // scattered
      f.put(context.cr3 + 0x1000 + 4 * page, (0x200000 + page * 0x2000 + n * 0x1000) | W | P);
    }
    contexts.push_back(context);
  }
  for (u32 round = 0; round < 3; ++round) {
    for (u32 n = 0; n < 5; ++n) {
      const Window window = f.flushed(contexts[n]);
      for (u32 page = 0; page < 64; page += 1 + round) {
        const u32 wanted = 0x200000 + page * 0x2000 + n * 0x1000;
        CHECK(f.touch->read(window, page * kPageSize).value == wanted);
        CHECK(f.shadow->statistics().mappings <= 8);
      }
    }
  }
  const auto statistics = f.shadow->statistics();
  CHECK(statistics.windows <= 2);
  CHECK(statistics.spaces == 3);
  CHECK(statistics.spaces_dropped == f.listener.dropped.size());
  CHECK(statistics.window_evictions > 0);
}

TEST_CASE("two machines in one process keep out of each other's windows") {
  Fixture one;
  const Window first = one.supervisor({});
  CHECK(one.touch->write(first, 0x5000, 11).verdict == FaultClass::Mapped);
  one.touch.reset();
  Fixture two;
  const Window second = two.supervisor({});
  CHECK(second.base != first.base);
  CHECK(two.touch->read(second, 0x5000).value == 0x5000);
}

TEST_CASE("the mappings counted are those the host has") {
  Fixture f;
  PagingContext context = f.legacy();
  for (u64 n = 0; n < 600; ++n) {
    const u64 page = n % 7 == 0 ? 0x600 - n : 0x100 + n;
    f.pte(n, static_cast<u32>(page << 12) | (n % 11 == 0 ? 0 : D) | A | W | P);
  }
  const Window window = f.supervisor(context);
  for (u64 n = 0; n < 600; n += 3) f.touch->read(window, n * kPageSize);
  for (u64 n = 0; n < 600; n += 5) f.touch->write(window, n * kPageSize + 4, 1);
  Watcher watcher;
  for (u64 n = 0; n < 100; n += 9) f.map.watch({(0x100 + n) << 12}, watcher);
  for (u64 n = 100; n < 200; ++n) f.pte(n, 0);
  f.flushed(context);
  u64 counted = 0;
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long long begin = 0;
    REQUIRE(std::sscanf(line, "%llx-", &begin) == 1);
    if (begin >= window.base && begin < window.base + (u64{1} << 32)) ++counted;
  }
  std::fclose(maps);
  CHECK(counted > 50);
  CHECK(f.shadow->statistics().mappings == counted);
}
