#include "mmu/shadow/host_window.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "mmu/shadow/window_arena.h"

namespace ringshift::mmu {

void* HostWindow::host(u32 page) const {
  return reinterpret_cast<void*>(base_ + (u64{page} << kPageShift));
}

/// Calls `visit(leaf or null, first, end)` for the pieces of [first, end) that lie in one leaf.
template <typename Visit>
void HostWindow::for_each_leaf(u32 first, u32 end, Visit visit) const {
  while (first < end) {
    const u32 stop = std::min(end, (first | (kLeafSize - 1)) + 1);
    visit(leaves_[first >> kLeafBits].get(), first, stop);
    first = stop;
  }
}

u32 HostWindow::next_with(u32 bits, u32 first, u32 end) const {
  u32 found = end;
  for_each_leaf(first, end, [&](const Leaf* leaf, u32 page, u32 stop) {
    if (leaf == nullptr || found != end) return;
    for (; page < stop; ++page) {
      if (((*leaf)[page % kLeafSize] & bits) == 0) continue;
      found = page;
      return;
    }
  });
  return found;
}

/// How many of the pages [first, first + count] begin a host mapping: all that a change of
/// [first, first + count) can alter. The host joins neighbours that continue each other.
u64 HostWindow::starts(u32 first, u32 count) const {
  u32 before = first == 0 ? 0 : entry(first - 1);
  u64 found = 0;
  for_each_leaf(first, std::min(first + count + 1, kPages),
                [&](const Leaf* leaf, u32 page, u32 stop) {
                  if (leaf == nullptr) {
                    before = 0;
                    return;
                  }
                  for (; page < stop; ++page) {
                    const u32 here = (*leaf)[page % kLeafSize];
                    if (here != 0 && (before == 0 || here != before + 1)) ++found;
                    before = here;
                  }
                });
  return found;
}

/// Sets the entries of [first, first + count) to `each(page, entry)`.
template <typename Change>
void HostWindow::change(u32 first, u32 count, Change each) {
  const u64 before = starts(first, count);
  for_each_leaf(first, first + count, [&](const Leaf*, u32 page, u32 stop) {
    std::unique_ptr<Leaf>& leaf = leaves_[page >> kLeafBits];
    if (leaf == nullptr) {
      if (each(page, 0) == 0) return;  // holes stay holes
      leaf = std::make_unique<Leaf>();
      ++regions_;
      ++usage_.regions;
    }
    for (; page < stop; ++page) {
      u32& here = (*leaf)[page % kLeafSize];
      here = each(page, here);
    }
  });
  const u64 after = starts(first, count);
  mappings_ += after - before;
  usage_.mappings += after - before;
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
  u32 end = first + count;
  if (begin == end) return;
  while (!mapped(end - 1)) --end;
  ++usage_.unmap_calls;
  if (munmap(host(begin), u64{end - begin} << kPageShift) != 0) {
    // The host has no mapping left to cut one in two with. All of it at once needs none.
    clear();
    return;
  }
  change(begin, end - begin, [](u32, u32) { return 0U; });
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
