#include "mmu/shadow/host_window.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "mmu/shadow/window_arena.h"

namespace ringshift::mmu {

/// The first page of the next leaf.
u32 HostWindow::leaf_end(u32 page) {
  return (page | (kLeafSize - 1)) + 1;
}

void* HostWindow::host(u32 page) const {
  return reinterpret_cast<void*>(base_ + (u64{page} << kPageShift));
}

u32 HostWindow::next_with(u32 bits, u32 first, u32 end) const {
  for (u32 page = first; page < end;) {
    const Leaf* leaf = leaves_[page >> kLeafBits].get();
    const u32 stop = std::min(end, leaf_end(page));
    if (leaf == nullptr) {
      page = stop;
      continue;
    }
    for (; page < stop; ++page) {
      if (((*leaf)[page % kLeafSize] & bits) != 0) return page;
    }
  }
  return end;
}

/// Behind the last mapped page of [first, end); `first` is mapped.
u32 HostWindow::end_of_mapped(u32 first, u32 end) const {
  while (end > first + 1 && !mapped(end - 1)) {
    const bool hole = leaves_[(end - 1) >> kLeafBits] == nullptr;
    end = hole ? (end - 1) & ~(kLeafSize - 1) : end - 1;
  }
  return end;
}

/// How many of the pages [first, first + count] begin a host mapping: all that a change of
/// [first, first + count) can alter. The host joins neighbours that continue each other.
u64 HostWindow::starts(u32 first, u32 count) const {
  const u32 end = std::min(first + count + 1, kPages);
  u32 before = first == 0 ? 0 : entry(first - 1);
  u64 found = 0;
  for (u32 page = first; page < end;) {
    const Leaf* leaf = leaves_[page >> kLeafBits].get();
    const u32 stop = std::min(end, leaf_end(page));
    if (leaf == nullptr) {
      before = 0;
      page = stop;
      continue;
    }
    for (; page < stop; ++page) {
      const u32 here = (*leaf)[page % kLeafSize];
      if (here != 0 && (before == 0 || here != before + 1)) ++found;
      before = here;
    }
  }
  return found;
}

void HostWindow::count_mappings(u64 before, u64 after) {
  mappings_ += after - before;
  usage_.mappings += after - before;
}

/// Sets the entries of [first, first + count) to `each(page, entry)`.
template <typename Change>
void HostWindow::change(u32 first, u32 count, Change each) {
  const u64 before = starts(first, count);
  for (u32 page = first; page < first + count;) {
    std::unique_ptr<Leaf>& leaf = leaves_[page >> kLeafBits];
    if (leaf == nullptr) {
      leaf = std::make_unique<Leaf>();
      ++regions_;
      ++usage_.regions;
    }
    for (const u32 stop = std::min(first + count, leaf_end(page)); page < stop; ++page) {
      u32& here = (*leaf)[page % kLeafSize];
      here = each(page, here);
    }
  }
  count_mappings(before, starts(first, count));
}

/// Sets the entries of [first, first + count) to holes.
void HostWindow::erase(u32 first, u32 count) {
  const u64 before = starts(first, count);
  const u32 end = first + count;
  for (u32 page = first; page < end;) {
    std::unique_ptr<Leaf>& leaf = leaves_[page >> kLeafBits];
    const u32 stop = std::min(end, leaf_end(page));
    if (leaf != nullptr && stop - page == kLeafSize) {
      leaf.reset();
      --regions_;
      --usage_.regions;
    } else if (leaf != nullptr) {
      std::fill_n(leaf->begin() + page % kLeafSize, stop - page, 0U);
    }
    page = stop;
  }
  count_mappings(before, starts(first, count));
}

bool HostWindow::protect(u32 first, u32 count, int protection) {
  ++usage_.protect_calls;
  return mprotect(host(first), u64{count} << kPageShift, protection) == 0;
}

bool HostWindow::map(u32 first, u32 count, u32 file_page, PageRights rights) {
  const bool write = rights == PageRights::ReadWrite;
  const int protection = write ? PROT_READ | PROT_WRITE : PROT_READ;
  if (count != 1 || !maps(first, file_page) || !protect(first, 1, protection)) {
    ++usage_.map_calls;
    const int populate = count <= kPopulateAtMost ? MAP_POPULATE : 0;
    void* wanted = host(first);
    if (mmap(wanted, u64{count} << kPageShift, protection,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE | populate, file_,
             static_cast<off_t>(u64{file_page} << kPageShift)) != wanted) {
      unmap(first, count);
      return false;
    }
  }
  const u32 flags = kMapped | (write ? kWritable : 0);
  change(first, count, [&](u32 page, u32) { return flags | (file_page + (page - first)); });
  return true;
}

void HostWindow::unmap(u32 first, u32 count) {
  if (count == kPages) {
    clear();
    return;
  }
  const u32 begin = next_with(kMapped, first, first + count);
  if (begin == first + count) return;
  const u32 end = end_of_mapped(begin, first + count);
  ++usage_.unmap_calls;
  if (munmap(host(begin), u64{end - begin} << kPageShift) != 0) {
    // The host has no mapping left to cut one in two with. All of it at once needs none.
    clear();
    return;
  }
  erase(begin, end - begin);
}

void HostWindow::make_read_only(u32 first, u32 count) {
  const u32 end = first + count;
  for (u32 at = next_with(kWritable, first, end); at < end; at = next_with(kWritable, at, end)) {
    // Up to the last writable page before a hole, in one call.
    u32 stop = at + 1;
    for (u32 page = stop; page < end && mapped(page); ++page) {
      if (writable(page)) stop = page + 1;
    }
    if (!protect(at, stop - at, PROT_READ)) {
      unmap(first, count);
      return;
    }
    change(at, stop - at, [](u32, u32 here) { return here & ~kWritable; });
    at = stop;
  }
}

void HostWindow::clear() {
  if (regions_ == 0) return;
  if (mappings_ != 0) ++usage_.unmap_calls;
  if (mappings_ != 0 && munmap(host(0), WindowArena::kWindowSize) != 0) {
    // Never for want of mappings, as nothing is cut; what stays would show the guest wrong memory.
    std::perror("ringshift: shadow window: munmap");
    std::abort();
  }
  usage_.mappings -= mappings_;
  mappings_ = 0;
  usage_.regions -= regions_;
  regions_ = 0;
  for (auto& leaf : leaves_) leaf.reset();
}

}  // namespace ringshift::mmu
