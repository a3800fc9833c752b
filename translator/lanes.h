// A lane is one way that guest code can be understood: an address space and a mode. What translated
// code uses to find its way without the dispatcher, the branch table and the call stack, holds for
// one lane only.
#pragma once

#include <memory>
#include <unordered_map>

#include "cpu/types.h"
#include "translator/mode.h"
#include "translator/stubs.h"

namespace ringshift::translator {

class Lane {
 public:
  static constexpr std::size_t kTableEntries = 1U << 16;
  static constexpr u64 kCallStackBytes = 32 << 10;

  Lane(u32 space, Mode mode, const Stubs& stubs);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  u32 space() const { return space_; }
  Mode mode() const { return mode_; }
  u32* table() { return table_; }
  void learn(u32 eip, u32 offset) { table_[eip & (kTableEntries - 1)] = offset; }
  /// Forgets the blocks whose EIPs may lie in [first, first + length).
  void forget(u32 first, u64 length);
  void forget_all();

  /// Where calls are pushed next. Reset, it knows no call: returns take the slow way.
  u64 call_stack = 0;
  u64 deaths_seen = 0;  ///< BlockStore::deaths() when the call stack was last reset
  void reset_calls();
  u64 top_of_calls() const { return top_; }
  /// Whether the host address is in the guard page that stops it.
  bool in_guard(u64 address) const { return address - guard_ < kPageSize; }

 private:
  u32 space_;
  Mode mode_;
  const Stubs& stubs_;
  u32* table_ = nullptr;
  u64 guard_ = 0;
  u64 top_ = 0;
};

class LaneCache {
 public:
  explicit LaneCache(const Stubs& stubs) : stubs_(stubs) {}
  Lane& find(u32 space, Mode mode);
  void forget(u32 space, LinearAddress first, u64 length);
  void drop_space(u32 space);
  void forget_all();
  std::size_t size() const { return lanes_.size(); }

 private:
  static constexpr std::size_t kMostLanes = 512;
  const Stubs& stubs_;
  std::unordered_map<u64, std::unique_ptr<Lane>> lanes_;
};

}  // namespace ringshift::translator
