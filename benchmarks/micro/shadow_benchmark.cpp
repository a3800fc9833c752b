// What the shadow MMU's operations cost: misses of each kind, INVLPG, switching between address
// spaces and re-checking their tables. No host fault is in it: `resolve` is called ahead.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "mmu/shadow/shadow_mmu.h"

namespace ringshift::mmu {
namespace {

using cpu::AccessType;
using cpu::PagingContext;
using cpu::Privilege;

constexpr u64 kRam = 256 << 20;
constexpr u32 kPresent = 1, kWritable = 2, kLarge = 0x80, kUsed = 0x60;

/// 32-bit paging; each space has its directory at 1 MiB + n * 1 MiB and up to 128 tables behind it.
struct Machine {
  explicit Machine(ShadowLimits limits = {}) {
    ram = *memory.allocate(kRam, "ram");
    map.map_memory({0}, kRam, MemoryMap::Kind::Ram, "ram", ram, 0);
    // As after a boot: pages that were never touched cost the host more.
    std::memset(ram.host, 0, kRam);
    shadow = std::move(ShadowMmu::create(map, port, memory.file(), limits)).value();
  }

  static u64 directory(u64 space) { return (1 + space) << 20; }
  static u64 table(u64 space, u64 number) { return directory(space) + ((1 + number) << 12); }
  void put(u64 address, u64 value) {
    const u32 entry = static_cast<u32>(value);
    std::memcpy(ram.host + address, &entry, 4);
  }
  PagingContext context(u64 space) {
    PagingContext context;
    context.paging = context.write_protect = context.page_size_extension = true;
    context.cr3 = directory(space);
    return context;
  }
  enum class Layout : u8 { Scattered, Contiguous };
  /// `tables` tables of 1024 present, accessed and dirty pages.
  void fill(u64 space, u64 tables, Layout layout) {
    for (u64 n = 0; n < tables; ++n) {
      put(directory(space) + 4 * n, table(space, n) | kUsed | kWritable | kPresent);
      for (u64 page = 0; page < 1024; ++page) {
        const u64 frame =
            layout == Layout::Contiguous ? page : page * 2 % 1024 + page / 512 + n % 2 * 1024;
        put(table(space, n) + 4 * page,
            (u64{64} << 20) + (frame << 12) + kUsed + kWritable + kPresent);
      }
    }
  }
  Window enter(u64 space) {
    shadow->flush();
    return shadow->select(context(space), Privilege::Supervisor);
  }
  void need(u64 linear, AccessType type = AccessType::Write) {
    if (shadow->resolve({linear}, type) != FaultClass::Mapped) std::abort();
  }

  GuestMemory memory = std::move(GuestMemory::create(kRam)).value();
  MemoryMap map;
  MemoryBlock ram;
  ProcessorMemory port{map};
  std::unique_ptr<ShadowMmu> shadow;
};

void miss_scattered(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 4, Machine::Layout::Scattered);
  machine.enter(0);
  u64 page = 0;
  for (auto _ : state) {
    machine.need(page * kPageSize);
    if ((page += 7) >= 4096) {
      page = (page + 1) % 7;
      state.PauseTiming();
      machine.shadow->reset();
      state.ResumeTiming();
    }
  }
}
BENCHMARK(miss_scattered);

/// With the access itself, as a program that touches memory sees it.
void miss_scattered_and_touch(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 4, Machine::Layout::Scattered);
  const Window window = machine.enter(0);
  u64 page = 0;
  for (auto _ : state) {
    machine.need(page * kPageSize);
    *reinterpret_cast<volatile u32*>(window.base + page * kPageSize) = 1;
    if ((page += 7) >= 4096) {
      page = (page + 1) % 7;
      state.PauseTiming();
      machine.shadow->reset();
      state.ResumeTiming();
    }
  }
}
BENCHMARK(miss_scattered_and_touch);

/// Runs of `range` pages, all of them touched.
void miss_contiguous(benchmark::State& state) {
  ShadowLimits limits;
  limits.pages_per_miss = static_cast<u32>(state.range(0));
  Machine machine(limits);
  machine.fill(0, 16, Machine::Layout::Contiguous);
  const Window window = machine.enter(0);
  const u64 run = static_cast<u64>(state.range(0));
  u64 page = 0;
  for (auto _ : state) {
    machine.need(page * kPageSize);
    for (u64 n = 0; n < run; ++n) {
      *reinterpret_cast<volatile u32*>(window.base + (page + n) * kPageSize) = 1;
    }
    page += run;
    if (page >= 16 * 1024) {
      page = 0;
      state.PauseTiming();
      machine.shadow->reset();
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(miss_contiguous)->Arg(1)->Arg(4)->Arg(16)->Arg(32);

enum class Touch : u8 { Nothing, EveryPage };

void map_extents(benchmark::State& state, Touch touch) {
  Machine machine;
  for (u64 n = 16; n < 48; ++n) {
    machine.put(Machine::directory(0) + 4 * n, (n << 22) | kLarge | kUsed | kWritable | kPresent);
  }
  const Window window = machine.enter(0);
  u64 n = 16;
  for (auto _ : state) {
    machine.need((n << 22) + 0x123000);
    for (u64 page = 0; touch == Touch::EveryPage && page < 1024; ++page) {
      *reinterpret_cast<volatile u32*>(window.base + (n << 22) + page * kPageSize) = 1;
    }
    if (++n < 48) continue;
    n = 16;
    state.PauseTiming();
    machine.shadow->reset();
    state.ResumeTiming();
  }
}

void extent_4_mib(benchmark::State& state) {
  map_extents(state, Touch::Nothing);
}
BENCHMARK(extent_4_mib);

void extent_4_mib_and_touch(benchmark::State& state) {
  map_extents(state, Touch::EveryPage);
}
BENCHMARK(extent_4_mib_and_touch);

void dirty_upgrade(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 4, Machine::Layout::Scattered);
  machine.enter(0);
  u64 page = 0;
  const auto restart = [&] {
    machine.shadow->reset();
    page = 0;
    for (u64 n = 0; n < 4096; ++n) {
      const u64 entry = Machine::table(0, n / 1024) + 4 * (n % 1024);
      u32 value = 0;
      std::memcpy(&value, machine.ram.host + entry, 4);
      machine.put(entry, value & ~u32{0x40});
    }
    for (u64 n = 0; n < 4096; ++n) machine.need(n * kPageSize, AccessType::Read);
  };
  restart();
  for (auto _ : state) {
    machine.need(page * kPageSize);
    if (++page == 4096) {
      state.PauseTiming();
      restart();
      state.ResumeTiming();
    }
  }
}
BENCHMARK(dirty_upgrade);

void invalidate_unchanged(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 1, Machine::Layout::Scattered);
  machine.enter(0);
  machine.need(0x5000);
  for (auto _ : state) machine.shadow->invalidate_page({0x5000});
}
BENCHMARK(invalidate_unchanged);

/// A copy on write: the entry leads elsewhere, and the page is mapped again at once.
void invalidate_moved(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 1, Machine::Layout::Scattered);
  machine.enter(0);
  machine.need(0x5000);
  u64 frame = 0;
  for (auto _ : state) {
    machine.put(Machine::table(0, 0) + 4 * 5,
                (u64{80} << 20) + ((frame++ % 4096) << 12) + kUsed + kWritable + kPresent);
    machine.shadow->invalidate_page({0x5000});
  }
}
BENCHMARK(invalidate_moved);

void invalidate_gone(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 4, Machine::Layout::Scattered);
  machine.enter(0);
  u64 page = 4096;
  for (auto _ : state) {
    if (page == 4096) {
      state.PauseTiming();
      machine.fill(0, 4, Machine::Layout::Scattered);
      machine.enter(0);
      for (u64 n = 0; n < 4096; ++n) machine.need(n * kPageSize);
      page = 0;
      state.ResumeTiming();
    }
    machine.put(Machine::table(0, page / 1024) + 4 * (page % 1024), 0);
    machine.shadow->invalidate_page({page++ * kPageSize});
  }
}
BENCHMARK(invalidate_gone);

/// User to supervisor and back, without a flush: the time for one.
void select_privilege(benchmark::State& state) {
  Machine machine;
  const PagingContext context = machine.context(0);
  u64 bases = 0;
  for (auto _ : state) {
    bases += machine.shadow->select(context, Privilege::User).base;
    bases += machine.shadow->select(context, Privilege::Supervisor).base;
  }
  benchmark::DoNotOptimize(bases);
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(select_privilege);

/// MOV CR3 between two spaces that have nothing to check: all their tables are watched.
void select_space(benchmark::State& state) {
  ShadowLimits limits;
  limits.quiet_checks = 1;
  Machine machine(limits);
  for (u64 space = 0; space < 2; ++space) {
    machine.fill(space, 4, Machine::Layout::Scattered);
    machine.enter(space);
    for (u64 n = 0; n < 4; ++n) machine.need(n << 22);
  }
  for (unsigned n = 0; n < 8; ++n) machine.enter(n % 2);
  u64 space = 0;
  for (auto _ : state) machine.enter(space ^= 1);
}
BENCHMARK(select_space);

/// The same with `range` tables to compare, every line of them in use: the time for one table.
void revalidate_tables(benchmark::State& state) {
  ShadowLimits limits;
  limits.quiet_checks = ~u32{0};
  Machine machine(limits);
  const u64 tables = static_cast<u64>(state.range(0));
  machine.fill(0, tables, Machine::Layout::Contiguous);
  machine.enter(0);
  for (u64 page = 0; page < tables * 1024; page += 16) machine.need(page * kPageSize);
  for (auto _ : state) machine.enter(0);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(revalidate_tables)->Arg(8)->Arg(64);

/// And with one line of each in use.
void revalidate_sparse_tables(benchmark::State& state) {
  ShadowLimits limits;
  limits.quiet_checks = ~u32{0};
  Machine machine(limits);
  const u64 tables = static_cast<u64>(state.range(0));
  machine.fill(0, tables, Machine::Layout::Scattered);
  machine.enter(0);
  for (u64 n = 0; n < tables; ++n) machine.need(n << 22);
  for (auto _ : state) machine.enter(0);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(revalidate_sparse_tables)->Arg(64);

/// fork: every entry of a table loses W, and the parent goes on.
void revalidate_after_fork(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 1, Machine::Layout::Scattered);
  machine.enter(0);
  for (auto _ : state) {
    state.PauseTiming();
    machine.fill(0, 1, Machine::Layout::Scattered);
    machine.enter(0);
    for (u64 n = 0; n < 512; ++n) machine.need(n * kPageSize);
    for (u64 n = 0; n < 512; ++n) {
      u32 value = 0;
      std::memcpy(&value, machine.ram.host + Machine::table(0, 0) + 4 * n, 4);
      machine.put(Machine::table(0, 0) + 4 * n, value & ~kWritable);
    }
    state.ResumeTiming();
    machine.enter(0);
  }
}
BENCHMARK(revalidate_after_fork);

void fetch(benchmark::State& state) {
  Machine machine;
  machine.fill(0, 1, Machine::Layout::Scattered);
  machine.enter(0);
  u64 linear = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(machine.shadow->fetch({linear}));
    linear = (linear + 0x1040) & 0x3FFFFF;
  }
}
BENCHMARK(fetch);

struct Watcher final : WriteObserver {
  void on_watched_write(PhysicalAddress, u64) override {}
};

/// A page in the middle of a 4 MiB extent comes under watch.
void watch_in_extent(benchmark::State& state) {
  Machine machine;
  Watcher watcher;
  for (u64 n = 16; n < 48; ++n) {
    machine.put(Machine::directory(0) + 4 * n, (n << 22) | kLarge | kUsed | kWritable | kPresent);
  }
  machine.enter(0);
  for (u64 n = 16; n < 48; ++n) machine.need(n << 22);
  u64 page = 16 << 10;
  for (auto _ : state) {
    machine.map.watch({page << 12}, watcher);
    if ((page += 9) < u64{48} << 10) continue;
    state.PauseTiming();
    machine.map.forget(watcher);
    machine.shadow->reset();
    for (u64 n = 16; n < 48; ++n) machine.need(n << 22);
    page = 16 << 10;
    state.ResumeTiming();
  }
}
BENCHMARK(watch_in_extent);

}  // namespace
}  // namespace ringshift::mmu

BENCHMARK_MAIN();
