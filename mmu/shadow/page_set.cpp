#include "mmu/shadow/page_set.h"

#include <algorithm>
#include <bit>

namespace ringshift::mmu {

void PageSet::insert(u32 page) {
  std::unique_ptr<Leaf>& leaf = leaves_[page / kLeafPages];
  if (leaf == nullptr) leaf = std::make_unique<Leaf>();
  u64& word = (*leaf)[page % kLeafPages / 64];
  const u64 bit = u64{1} << (page % 64);
  if ((word & bit) == 0) ++size_;
  word |= bit;
}

bool PageSet::remove(u32 first, u32 count) {
  if (size_ == 0) return false;
  const u32 before = size_;
  const u32 end = first + count;
  while (first < end) {
    Leaf* leaf = leaves_[first / kLeafPages].get();
    if (leaf == nullptr) {
      first = std::min(end, (first | (kLeafPages - 1)) + 1);
      continue;
    }
    const u32 stop = std::min(end, (first | 63) + 1);
    u64 mask = ~u64{0} << (first % 64);
    if (stop % 64 != 0) mask &= (u64{1} << (stop % 64)) - 1;
    u64& word = (*leaf)[first % kLeafPages / 64];
    size_ -= static_cast<u32>(std::popcount(word & mask));
    word &= ~mask;
    first = stop;
  }
  return size_ != before;
}

void PageSet::clear() {
  if (size_ == 0) return;
  for (auto& leaf : leaves_) leaf.reset();
  size_ = 0;
}

}  // namespace ringshift::mmu
