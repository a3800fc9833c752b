// A lane is one way that guest code can be understood: an address space, a mode and a code segment.
// What translated code uses to find its way without the dispatcher, the branch table and the call
// stack, holds for one lane only.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "cpu/types.h"
#include "translator/mode.h"
#include "translator/stubs.h"

namespace ringshift::translator {

struct LaneKey {
  static constexpr u32 kAllSpaces = ~u32{0};

  u32 space = 0;
  Mode mode;
  u64 code_base = 0;  ///< of CS

  friend bool operator==(const LaneKey&, const LaneKey&) = default;
  friend bool operator<(const LaneKey& a, const LaneKey& b) {
    return std::tuple(a.space, a.mode.bits(), a.code_base) <
           std::tuple(b.space, b.mode.bits(), b.code_base);
  }
};

/// A branch table: for each EIP, the offset of its block's entry in the code area; 0, where the
/// look-up's miss lies, for those that aren't known. The host gives memory only to the pages of it
/// that are touched, and which those are is known here, because a guest that jumps everywhere can
/// drive their number up.
class BranchTable {
 public:
  /// Null: the host refuses 16 GiB of address space.
  static std::unique_ptr<BranchTable> create();
  ~BranchTable();
  BranchTable(const BranchTable&) = delete;
  BranchTable& operator=(const BranchTable&) = delete;

  u32* entries() const { return entries_; }
  /// Enters a block, or notes that the entry has been read. True if that takes more of the host's
  /// memory.
  bool learn(u32 eip, u32 offset);
  bool note_read(u32 eip);
  /// Forgets the blocks whose EIPs lie in [first, first + length), to whole pages of the table.
  void forget(u64 first, u64 length);
  /// Forgets all.
  void clear();
  /// What the host spends on it, in pages.
  std::size_t pages() const { return touched_ + regions_.size(); }

 private:
  static constexpr u64 kEntries = u64{1} << 32;
  static constexpr std::size_t kBytes = kEntries * sizeof(u32);
  static constexpr u64 kEntriesPerPage = kPageSize / sizeof(u32);
  /// What one page table of the host covers.
  static constexpr u32 kPagesPerRegion = 512;
  /// Overwriting a page is cheaper than having the host take it away and give another, up to many.
  static constexpr std::size_t kClearedByHand = 256;
  /// One bit for each page.
  struct Region {
    std::array<u64, kPagesPerRegion / 64> touched{};  ///< the host has given it memory
    std::array<u64, kPagesPerRegion / 64> known{};    ///< and it knows blocks
  };

  struct Place {
    Region& region;
    unsigned word;
    u64 bit;
  };

  explicit BranchTable(u32* entries) : entries_(entries) {}
  Place place_of(u32 eip);
  bool touch(const Place& place);
  template <typename Visit>
  void for_each_known(u64 begin, u64 end, Visit visit);

  u32* entries_ = nullptr;
  std::map<u32, Region> regions_;
  std::size_t touched_ = 0;
};

class Lane {
 public:
  static constexpr u64 kCallStackBytes = 32 << 10;

  Lane(std::unique_ptr<BranchTable> table, const Stubs& stubs);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  BranchTable& table() { return *table_; }
  std::unique_ptr<BranchTable> take_table() { return std::move(table_); }
  void forget(u64 first, u64 length);
  void forget_all();

  /// Where calls are pushed next. Reset, it knows no call: returns take the slow way.
  u64 call_stack = 0;
  u64 deaths_seen = 0;  ///< BlockStore::deaths() when the call stack was last reset
  u64 last_used = 0;
  void reset_calls();
  u64 top_of_calls() const { return top_; }
  /// Whether the host address is in the guard page that stops it.
  bool in_guard(u64 address) const { return address - guard_ < kPageSize; }

 private:
  std::unique_ptr<BranchTable> table_;
  const Stubs& stubs_;
  u64 guard_ = 0;
  u64 top_ = 0;
};

class LaneCache {
 public:
  explicit LaneCache(const Stubs& stubs) : stubs_(stubs) {}
  /// Whether the host has room for a branch table. Ask before anything else.
  bool works();
  /// Valid until the next find(); the least recently used one makes room.
  Lane& find(const LaneKey& key);
  /// `lane` is the one found last.
  void learn(Lane& lane, u32 eip, u32 offset);
  void note_miss(Lane& lane, u32 eip);
  void forget(u32 space, LinearAddress first, u64 length);
  void drop_space(u32 space);
  void forget_all();
  std::size_t size() const { return lanes_.size(); }

 private:
  static constexpr std::size_t kMostLanes = 128;
  struct Recent {
    LaneKey key;
    Lane* lane = nullptr;
  };

  Lane& find_or_make(const LaneKey& key);
  std::unique_ptr<BranchTable> new_table();

  /// 64 MiB.
  static constexpr std::size_t kMostPages = 1U << 14;
  /// A small table that has been used serves a new lane: processes are much alike, and its memory
  /// is there already.
  static constexpr std::size_t kMostSpares = 8;
  static constexpr std::size_t kMostPagesOfSpare = 256;
  using Lanes = std::map<LaneKey, std::unique_ptr<Lane>>;
  Lanes::iterator oldest();
  Lanes::iterator drop(Lanes::iterator lane);
  void keep_small(Lane& lane);

  const Stubs& stubs_;
  Lanes lanes_;
  std::vector<std::unique_ptr<BranchTable>> spares_;
  u64 uses_ = 0;
  std::array<Recent, 4> recent_;
  unsigned next_recent_ = 0;
  std::size_t grown_ = 0;  ///< pages taken since they were counted last
};

}  // namespace ringshift::translator
