// A set of linear pages that is usually small and asked about in ranges.
#pragma once

#include <array>
#include <memory>

#include "cpu/types.h"

namespace ringshift::mmu {

class PageSet {
 public:
  bool empty() const { return size_ == 0; }
  void insert(u32 page);
  bool contains(u32 page) const {
    const Leaf* leaf = leaves_[page / kLeafPages].get();
    return leaf != nullptr && ((*leaf)[page % kLeafPages / 64] >> (page % 64) & 1) != 0;
  }
  /// Takes [first, first + count) out; true if any of it was in the set.
  bool remove(u32 first, u32 count);
  void clear();

 private:
  static constexpr u32 kLeafPages = 1024;
  using Leaf = std::array<u64, kLeafPages / 64>;

  std::array<std::unique_ptr<Leaf>, (u32{1} << 20) / kLeafPages> leaves_;
  u32 size_ = 0;
};

}  // namespace ringshift::mmu
