// The guest's page tables as windows and translations were made from them: a snapshot of every
// line of entries that was used, shared by all spaces that use the table. Comparing it with memory
// tells what a flush must drop; a table that stays the same for long is watched instead.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/types.h"
#include "mmu/memory_map.h"
#include "mmu/shadow/shadow_mmu.h"
#include "mmu/shadow/space.h"

namespace ringshift::mmu {

struct TablePage {
  struct User {
    Space* space = nullptr;
    unsigned slot = 0;
  };
  static constexpr unsigned kLineSize = 64;

  TablePage(PhysicalAddress where, const u8* bytes, bool memory_takes_writes)
      : physical(where), host(bytes), writable(memory_takes_writes) {}

  /// The entry as of the last comparison.
  u64 entry(u64 offset, unsigned size) const {
    u64 value = 0;
    std::memcpy(&value, snapshot.data() + offset, size);
    return value;
  }
  bool line_used(u64 offset) const { return (used_lines >> (offset / kLineSize) & 1) != 0; }

  PhysicalAddress physical;  ///< behind the A20 gate
  const u8* host;
  bool writable;
  bool watched = false;
  u64 checked = 0;     ///< the flush after which it was last compared
  u64 used_lines = 0;  ///< bit n: line n of the snapshot counts
  u32 quiet = 0;       ///< comparisons without a change
  u32 quiet_needed = 0;
  u32 watched_writes = 0;
  std::vector<User> users;
  alignas(kLineSize) std::array<u8, kPageSize> snapshot;
};

class TableTracker {
 public:
  struct Counts {
    u64 compared = 0;
    u64 entries_changed = 0;
    u64 watches = 0;
    u64 watched = 0;  ///< now
  };

  /// Watches with `observer`, which must pass what it hears to `written`.
  TableTracker(MemoryMap& map, WriteObserver& observer, const ShadowLimits& limits)
      : map_(map), observer_(observer), limits_(limits) {}

  /// The table at `physical` now serves `slot` of the space. Null: it lies in no memory.
  TablePage* attach(Space& space, unsigned slot, PhysicalAddress physical, TableChanges& changes);
  void detach_all(Space& space);
  /// Detaches whatever translates only linear pages of [first, first + count).
  void detach_range(Space& space, u32 first, u32 count);
  /// Forgets every table of every space.
  void clear();

  /// Makes the snapshot around `offset` equal to memory.
  void sync(TablePage& page, u64 offset, TableChanges& changes);
  /// Compares all that counts, once for each flush.
  void check(TablePage& page, u64 flush, TableChanges& changes);

  /// The guest is about to write the page other than through the map: it can't stay watched.
  void release(PhysicalAddress page);
  void written(PhysicalAddress address, u64 length, TableChanges& changes);
  /// At the end of what was to be done: frees tables that nothing uses any more; references from
  /// before are gone.
  void collect() {
    retired_.clear();
    looked_into_ = 0;
  }

  std::size_t size() const { return pages_.size(); }
  const Counts& counts() const { return counts_; }

 private:
  static constexpr u32 kMostQuietNeeded = 1 << 16;
  static constexpr u32 kWatchedWritesAtMost = 256;

  void detach(Space& space, unsigned slot);
  void forget_users(TablePage& page, TableChanges& changes);
  bool refresh_line(TablePage& page, unsigned line, TableChanges& changes);
  void watch(TablePage& page);
  void unwatch(TablePage& page);

  MemoryMap& map_;
  WriteObserver& observer_;
  const ShadowLimits limits_;
  std::unordered_map<u64, std::unique_ptr<TablePage>> pages_;  ///< by frame
  std::vector<std::unique_ptr<TablePage>> retired_;
  u64 looked_into_ = 0;  ///< as in ShadowLimits
  Counts counts_;
};

}  // namespace ringshift::mmu
