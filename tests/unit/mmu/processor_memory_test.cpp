#include "mmu/processor_memory.h"

#include <catch2/catch.hpp>

using namespace ringshift;
using mmu::GuestMemory;
using mmu::MemoryMap;
using mmu::ProcessorMemory;

namespace {

struct Observer : cpu::CodeObserver {
  void on_code_write(PhysicalAddress address, u64 length) override {
    last = address.value, last_length = length, ++writes;
  }
  void on_memory_remapped(PhysicalAddress, u64) override { ++remaps; }
  u64 last = 0, last_length = 0;
  unsigned writes = 0, remaps = 0;
};

struct Fixture {
  Fixture() {
    auto block = memory.allocate(4 << 20, "ram");
    ram = *block;
    map.map_memory({0}, ram.size, MemoryMap::Kind::Ram, "ram", ram, 0);
    port.set_observer(&observer);
  }
  GuestMemory memory = std::move(GuestMemory::create(4 << 20)).value();
  MemoryMap map;
  mmu::MemoryBlock ram;
  ProcessorMemory port{map};
  Observer observer;
};

}  // namespace

TEST_CASE("with A20 disabled the second megabyte is the first") {
  Fixture f;
  f.ram.host[0x500] = 0x11, f.ram.host[0x100500] = 0x22;
  CHECK(f.port.read_physical({0x100500}, 1) == 0x22);
  f.port.set_a20(false);
  CHECK_FALSE(f.port.a20());
  CHECK(f.observer.remaps == 1);
  f.port.set_a20(false);
  CHECK(f.observer.remaps == 1);
  CHECK(f.port.read_physical({0x100500}, 1) == 0x11);
  CHECK(f.port.mask_a20({0x312345}).value == 0x212345);
  CHECK(f.port.host_page({0x100000}).read == f.ram.host);
  f.port.write_physical({0x100500}, 0x33, 1);
  CHECK(f.ram.host[0x500] == 0x33);
  f.port.set_a20(true);
  CHECK(f.observer.remaps == 2);
  CHECK(f.port.read_physical({0x100500}, 1) == 0x22);
}

TEST_CASE("page tables are read and marked through the A20 gate") {
  Fixture f;
  f.port.set_a20(false);
  cpu::PagingContext context;
  context.paging = true;
  context.cr3 = 0x101000;                     // reaches 1000h
  f.map.write_value({0x1000}, 0x102003, 4);   // reaches 2000h
  f.map.write_value({0x2000}, 0x1ABC003, 4);  // the page itself isn't masked here
  const auto result =
      f.port.translate(context, {0x123}, {cpu::AccessType::Write, cpu::Privilege::Supervisor});
  REQUIRE(std::holds_alternative<cpu::Translation>(result));
  CHECK(std::get<cpu::Translation>(result).address.value == 0x1ABC123);
  CHECK(f.map.read_value({0x1000}, 4) == 0x102023);
  CHECK(f.map.read_value({0x2000}, 4) == 0x1ABC063);
}

TEST_CASE("watched code pages report DMA, table updates and the processor's own writes") {
  Fixture f;
  f.port.watch_code({0x3000});
  CHECK(f.port.host_page({0x3000}).write == nullptr);
  CHECK(f.port.host_page({0x3000}).read == f.ram.host + 0x3000);
  f.port.write_physical({0x3004}, 1, 2);
  CHECK(f.observer.last == 0x3004);
  CHECK(f.observer.last_length == 2);
  f.map.write_value({0x3800}, 1, 8);
  CHECK(f.observer.last == 0x3800);
  CHECK(f.observer.writes == 2);

  cpu::PagingContext context;
  context.paging = true;
  context.cr3 = 0x3000;
  f.map.write_value({0x3000}, 0x4001, 4);
  f.map.write_value({0x4000}, 0x5001, 4);
  const unsigned before = f.observer.writes;
  (void)f.port.translate(context, {0}, {});
  CHECK(f.observer.writes == before + 1);
  CHECK(f.observer.last == 0x3000);

  f.port.unwatch_code({0x3000});
  f.port.write_physical({0x3004}, 1, 2);
  CHECK(f.observer.writes == before + 1);
  CHECK(f.port.host_page({0x3000}).write == f.ram.host + 0x3000);
}

TEST_CASE("remapping reaches the processor; a destroyed port hears nothing") {
  Fixture f;
  f.map.set_shadow({0xC0000}, 0x1000, true, false);
  CHECK(f.observer.remaps == 1);
  Observer brief;
  {
    ProcessorMemory other(f.map);
    other.set_observer(&brief);
    other.watch_code({0x7000});
  }
  CHECK_FALSE(f.map.watched({0x7000}));
  f.map.set_shadow({0xC0000}, 0x1000, true, true);
  CHECK(brief.remaps == 0);
}
