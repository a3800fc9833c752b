// What the physical map knows of each page, found in two loads: the map is consulted on every
// access that no cached host pointer serves, so neither a search nor a hash may stand in the way of
// RAM. Pages of address ranges in which nothing was ever mapped cost nothing.
#pragma once

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/types.h"

namespace ringshift::mmu {

/// One page of physical address space. Memory is named by its number among the map's mappings plus
/// one; 0 is "none": reads as all ones, swallows writes.
struct PageEntry {
  u16 read = 0;
  u16 write = 0;
  bool claimed = false;  ///< a device claim lies in this page
  bool shadow_controlled = false;
  bool read_from_ram = false;  ///< meaningful under shadow control
  bool write_to_ram = false;
  u32 watchers = 0;  ///< bit n: observer n

  bool device_reads() const { return claimed && !(shadow_controlled && read_from_ram); }
  bool device_writes() const { return claimed && !(shadow_controlled && write_to_ram); }
};

class PageDirectory {
 public:
  /// Addresses at or above this don't exist. SDM 3A §4.1.4: MAXPHYADDR is at most 52.
  static constexpr unsigned kAddressBits = 52;

  /// The entry for reading; that of an absent page when nothing was mapped near it.
  const PageEntry& find(u64 frame) const {
    const Leaf* leaf = find_leaf(frame >> kLeafBits);
    return leaf == nullptr ? kAbsent : (*leaf)[frame & kLeafMask];
  }
  /// The entry if there is one to change.
  PageEntry* find_existing(u64 frame) {
    Leaf* leaf = find_leaf(frame >> kLeafBits);
    return leaf == nullptr ? nullptr : &(*leaf)[frame & kLeafMask];
  }
  /// The entry, made where there was none. References stay valid for the directory's life.
  PageEntry& make(u64 frame);
  template <typename Visitor>
  void for_each(Visitor visit);

 private:
  static constexpr unsigned kLeafBits = 10;
  static constexpr u64 kLeafMask = (u64{1} << kLeafBits) - 1;
  /// Leaves reached by index: 64 GiB. What lies above (64-bit BARs) is found by hashing.
  static constexpr u64 kDirectLeaves = u64{1} << (36 - kPageShift - kLeafBits);
  using Leaf = std::array<PageEntry, u64{1} << kLeafBits>;
  static constexpr PageEntry kAbsent{};

  Leaf* find_leaf(u64 number) const {
    if (number < kDirectLeaves) return direct_[number].get();
    const auto found = high_.find(number);
    return found == high_.end() ? nullptr : found->second.get();
  }

  std::vector<std::unique_ptr<Leaf>> direct_ = std::vector<std::unique_ptr<Leaf>>(kDirectLeaves);
  std::unordered_map<u64, std::unique_ptr<Leaf>> high_;
};

inline PageEntry& PageDirectory::make(u64 frame) {
  const u64 number = frame >> kLeafBits;
  std::unique_ptr<Leaf>& leaf = number < kDirectLeaves ? direct_[number] : high_[number];
  if (leaf == nullptr) leaf = std::make_unique<Leaf>();
  return (*leaf)[frame & kLeafMask];
}

template <typename Visitor>
void PageDirectory::for_each(Visitor visit) {
  const auto visit_leaf = [&](const std::unique_ptr<Leaf>& leaf) {
    if (leaf == nullptr) return;
    for (PageEntry& page : *leaf) visit(page);
  };
  for (const auto& leaf : direct_) visit_leaf(leaf);
  for (const auto& [number, leaf] : high_) visit_leaf(leaf);
}

}  // namespace ringshift::mmu
