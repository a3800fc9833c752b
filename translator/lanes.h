// A lane is one way that guest code can be understood: an address space, a mode and a code segment.
// What translated code uses to find its way without the dispatcher, the branch table and the call
// stack, holds for one lane only.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_set>

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

class Lane {
 public:
  static constexpr u64 kCallStackBytes = 32 << 10;

  Lane(const LaneKey& key, const Stubs& stubs);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  /// By EIP, the offset of its block's indirect entry in the code area; 0, where the look-up's miss
  /// lies, for those that aren't known. One entry for each of 4 Gi EIPs: the host gives memory to
  /// the pages that are written only, and reads of all others as zero.
  u32* table() { return table_; }
  /// Forgets the blocks whose EIPs lie in [first, first + length), to whole pages of the table.
  void forget(u64 first, u64 length);
  void forget_all() { forget(0, kEntries); }

  /// Where calls are pushed next. Reset, it knows no call: returns take the slow way.
  u64 call_stack = 0;
  u64 deaths_seen = 0;  ///< BlockStore::deaths() when the call stack was last reset
  u64 last_used = 0;
  void reset_calls();
  u64 top_of_calls() const { return top_; }
  /// Whether the host address is in the guard page that stops it.
  bool in_guard(u64 address) const { return address - guard_ < kPageSize; }

  // What the host spends on the table, which a guest that jumps everywhere can drive up.
  /// Enters the block; true if that takes a page of memory more.
  bool learn(u32 eip, u32 offset);
  /// The entry has been read; true if that takes a page of the host's page table more.
  bool note_read(u32 eip);
  std::size_t pages() const { return pages_.size() + regions_.size(); }

 private:
  static constexpr u64 kEntries = u64{1} << 32;

  const LaneKey key_;
  const Stubs& stubs_;
  u32* table_ = nullptr;
  u64 guard_ = 0;
  u64 top_ = 0;
  std::unordered_set<u32> pages_;    ///< of the table, written
  std::unordered_set<u32> regions_;  ///< of the table, by what one host page table covers, touched
};

class LaneCache {
 public:
  explicit LaneCache(const Stubs& stubs) : stubs_(stubs) {}
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

  /// 64 MiB.
  static constexpr std::size_t kMostPages = 1U << 14;
  using Lanes = std::map<LaneKey, std::unique_ptr<Lane>>;
  Lanes::iterator oldest();
  void drop(Lanes::iterator lane);
  void keep_small(Lane& lane);

  const Stubs& stubs_;
  Lanes lanes_;
  u64 uses_ = 0;
  std::array<Recent, 4> recent_;
  unsigned next_recent_ = 0;
  std::size_t grown_ = 0;  ///< pages taken since they were counted last
};

}  // namespace ringshift::translator
