// The host's page table as the guest's shadow page table: each guest address space is a window of
// 4 GiB in this process, in which the guest's pages appear at their linear addresses with the
// rights that the guest's page tables give. So translated code reaches guest memory with one
// ordinary instruction, and what it may not touch faults by itself.
//
// What it promises is what a processor's TLB promises (SDM 3A §4.10): a window may show an old
// translation only until the next INVLPG of it or flush; its rights never exceed what the tables
// gave when they were last read; accessed and dirty bits are set before the access they stand for.
// Guest page tables are therefore not write-protected by default. Every entry that a window
// depends on is kept as a snapshot and compared after a flush; only tables that stay quiet for long
// are watched instead.
#pragma once

#include <memory>

#include "cpu/memory_port.h"
#include "cpu/result.h"
#include "cpu/types.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"

namespace ringshift::mmu {

/// What became of an access that a window didn't let through.
enum class FaultClass : u8 {
  Mapped,      ///< the window has the page with the right asked for: retry the access
  GuestFault,  ///< the guest's own page fault: the interpreter raises it exactly
  Device,      ///< no memory to map: device, hole, ROM on a write, tables in a device
  Watched,     ///< a write to a watched page: it must go through the map
};

struct Window {
  u64 base = 0;   ///< host address of guest linear address 0
  u32 space = 0;  ///< number of the address space, its own while it lives
};

/// Hears that what linear addresses mean for instruction fetches has changed in a space. Only
/// addresses that `fetch` has answered for since they were last reported are reported.
class SpaceObserver {
 public:
  virtual ~SpaceObserver() = default;
  /// `length` may be 4 GiB: everything. Called from `select` and `invalidate_page` for the current
  /// space, and at once when physical memory is mapped otherwise or the A20 gate moves; what
  /// changes in other spaces is told when they are selected next. Must not call back into the
  /// ShadowMmu.
  virtual void on_mapping_changed(u32 space, LinearAddress first, u64 length) = 0;
  /// The space was evicted; its number may be used again.
  virtual void on_space_dropped(u32 space) = 0;
};

/// What a ShadowMmu may use of the host.
struct ShadowLimits {
  /// Host mappings in all windows together, at most half of the host's vm.max_map_count.
  u64 mappings = 24'000;
  /// Pieces of 4 MiB in which windows show or have shown something, all together: each costs the
  /// host two pages of its page table, and one is spent on what is known of it.
  u64 regions = 32'768;
  u32 windows = 256;
  u32 spaces = 256;
  /// Guest tables that are remembered; beyond it the spaces used longest ago are given up, but
  /// never the current one, which has 2052 at most.
  u64 tables = 16'384;
  /// A space is given up when others have been entered so many times since it was last.
  u64 stale_after = 512;
  /// Pages that one miss may map ahead, itself included.
  u32 pages_per_miss = 1024;
  /// A table unchanged in so many comparisons is watched; each time that this proves wrong doubles
  /// it for that table.
  u32 quiet_checks = 64;
  /// Changed lines of tables that one call looks into entry by entry, each counted once for every
  /// slot of every space that uses the table. Beyond that it gives up what the spaces have mapped:
  /// a guest may change tables that are everywhere.
  u64 lines_looked_into = 1 << 15;
};

struct ShadowStatistics {
  // Counted since creation.
  u64 misses = 0;        ///< faults resolved by mapping
  u64 guest_faults = 0;  ///< and the other verdicts
  u64 device_accesses = 0;
  u64 watched_writes = 0;
  u64 pages_mapped = 0;   ///< by misses and ahead of them
  u64 map_calls = 0;      ///< mmap
  u64 unmap_calls = 0;    ///< munmap
  u64 protect_calls = 0;  ///< mprotect
  u64 revalidations = 0;  ///< spaces checked after a flush
  u64 tables_compared = 0;
  u64 entries_changed = 0;  ///< table entries found to have changed
  u64 tables_watched = 0;   ///< times a quiet table came under watch
  u64 window_evictions = 0;
  u64 spaces_dropped = 0;
  // Now.
  u64 spaces = 0;
  u64 windows = 0;
  u64 mappings = 0;  ///< host mappings in all windows
  u64 regions = 0;   ///< as in ShadowLimits
  u64 tables = 0;    ///< guest table pages that windows depend on
  u64 watched_tables = 0;
};

class ShadowMmu final {
 public:
  /// `memory_file` is GuestMemory's file; it must outlive this, as must the others. Fails when the
  /// host has no room for windows.
  static Result<std::unique_ptr<ShadowMmu>> create(MemoryMap& map, ProcessorMemory& memory,
                                                   int memory_file, ShadowLimits limits = {});
  ~ShadowMmu();
  ShadowMmu(const ShadowMmu&) = delete;
  ShadowMmu& operator=(const ShadowMmu&) = delete;

  void set_observer(SpaceObserver* observer);

  /// The window for accesses at this privilege in this context; current from now on. All windows
  /// but those of the current space may be out of date: only what `select` returned last may be
  /// touched. Re-checks the space's tables if there was a flush since it was last checked.
  Window select(const cpu::PagingContext& context, cpu::Privilege privilege);
  /// MOV CR3 or any other flush of the TLB: takes effect in the next `select`.
  void flush();
  /// INVLPG in the current space: re-reads the tables that translate `linear`.
  void invalidate_page(LinearAddress linear);

  /// Judges an access in the current window and makes it possible if it can be, after a host fault
  /// or ahead of one. Sets accessed and dirty bits as the access would. It may allocate: the
  /// SIGSEGV handlers that call it must have interrupted generated code.
  FaultClass resolve(LinearAddress linear, cpu::AccessType type);
  /// Where code at `linear` lies for an instruction fetch in the current space at the current
  /// privilege (A20 not applied, as MemoryPort::translate). Sets accessed bits and remembers the
  /// tables used, so that the observer hears when the answer may differ.
  cpu::TranslateResult fetch(LinearAddress linear);

  /// Forgets everything: memory has been replaced behind the map's back (a restored snapshot).
  void reset();

  ShadowStatistics statistics() const;

 private:
  class Implementation;
  explicit ShadowMmu(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ringshift::mmu
