// One window: what this process has mapped in it, page by page, and the system calls that change
// it. It counts host mappings exactly, because the host gives a process only so many.
#pragma once

#include <array>
#include <memory>

#include "cpu/memory_port.h"
#include "cpu/types.h"

namespace ringshift::mmu {

/// Shared by all windows.
struct HostUsage {
  u64 mappings = 0;  ///< now
  u64 regions = 0;   ///< now: as in ShadowLimits
  u64 map_calls = 0;
  u64 unmap_calls = 0;
  u64 protect_calls = 0;
};

enum class PageRights : u8 { Read, ReadWrite };

class HostWindow {
 public:
  static constexpr u32 kPages = u32{1} << 20;
  /// Runs up to this are entered in the host's page table when they are mapped: that costs a
  /// quarter of the host faults that would enter them, and nearly as much when few of them are
  /// used.
  static constexpr u32 kPopulateAtMost = 32;

  /// The window at `base` is empty. `space` is whose it is, `kind` which of its windows.
  HostWindow(u64 base, int file, u32 space, unsigned kind, HostUsage& usage)
      : base_(base), file_(file), space_(space), kind_(kind), usage_(usage) {}
  ~HostWindow() { clear(); }
  HostWindow(const HostWindow&) = delete;
  HostWindow& operator=(const HostWindow&) = delete;

  u64 base() const { return base_; }
  u32 space() const { return space_; }
  unsigned kind() const { return kind_; }
  u64 mappings() const { return mappings_; }

  bool mapped(u32 page) const { return entry(page) != 0; }
  /// Nothing is mapped in [first, first + count).
  bool empty(u32 first, u32 count) const {
    return next_with(kMapped, first, first + count) == first + count;
  }
  bool writable(u32 page) const { return (entry(page) & kWritable) != 0; }
  bool maps(u32 page, u32 file_page) const {
    return (entry(page) & ~kWritable) == (kMapped | file_page);
  }
  bool allows(u32 page, cpu::AccessType type) const {
    return (entry(page) & (type == cpu::AccessType::Write ? kWritable : kMapped)) != 0;
  }

  /// Shows `count` pages of the file from `file_page` at `first`, over whatever was there. False:
  /// the host refused, and there are holes now.
  [[nodiscard]] bool map(u32 first, u32 count, u32 file_page, PageRights rights);
  /// Makes holes of [first, first + count).
  void unmap(u32 first, u32 count);
  void make_read_only(u32 first, u32 count);
  void clear();

  u64 last_used = 0;  ///< by the owner's clock, for eviction
  u32 id = 0;         ///< given by the owner

 private:
  // An entry is 0 for a hole. Neighbours in one host mapping have entries one apart.
  static constexpr u32 kMapped = u32{1} << 31;
  static constexpr u32 kWritable = u32{1} << 30;
  static constexpr unsigned kLeafBits = 10;
  static constexpr u32 kLeafSize = u32{1} << kLeafBits;
  using Leaf = std::array<u32, kLeafSize>;  // none where nothing has been mapped

  u32 entry(u32 page) const {
    const Leaf* leaf = leaves_[page >> kLeafBits].get();
    return leaf == nullptr ? 0 : (*leaf)[page % kLeafSize];
  }
  static u32 leaf_end(u32 page);
  /// The first page in [first, end) whose entry has one of the bits, or `end`.
  u32 next_with(u32 bits, u32 first, u32 end) const;
  u32 end_of_mapped(u32 first, u32 end) const;
  u64 starts(u32 first, u32 count) const;
  template <typename Change>
  void change(u32 first, u32 count, Change each);
  void erase(u32 first, u32 count);
  void count_mappings(u64 before, u64 after);
  void* host(u32 page) const;
  bool protect(u32 first, u32 count, int protection);

  u64 base_;
  int file_;
  u32 space_;
  unsigned kind_;
  HostUsage& usage_;
  u64 mappings_ = 0;
  u64 regions_ = 0;  ///< leaves
  std::array<std::unique_ptr<Leaf>, kPages / kLeafSize> leaves_;
};

}  // namespace ringshift::mmu
