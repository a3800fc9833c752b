#include "mmu/shadow/host_window.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "mmu/shadow/window_arena.h"

namespace ringshift::mmu {

namespace {

/// Short runs are about to be used: their pages are entered in the host's page table at once,
/// which costs less than the host fault that would enter them.
constexpr u32 kPopulateAtMost = 16;

}  // namespace

void* HostWindow::host(u32 page) const {
  return reinterpret_cast<void*>(base_ + (u64{page} << kPageShift));
}

u32& HostWindow::entry_for_change(u32 page) {
  std::unique_ptr<Leaf>& leaf = leaves_[page >> kLeafBits];
  if (leaf == nullptr) leaf = std::make_unique<Leaf>();
  return (*leaf)[page % kLeafSize];
}

u32 HostWindow::next_with(u32 bits, u32 first, u32 end) const {
  while (first < end) {
    const Leaf* leaf = leaves_[first >> kLeafBits].get();
    const u32 stop = std::min(end, (first | (kLeafSize - 1)) + 1);
    if (leaf == nullptr) {
      first = stop;
      continue;
    }
    for (; first < stop; ++first) {
      if (((*leaf)[first % kLeafSize] & bits) != 0) return first;
    }
  }
  return end;
}

/// How many of the pages [first, first + count] begin a host mapping: all that a change of
/// [first, first + count) can alter. The host joins neighbours that continue each other.
u64 HostWindow::starts(u32 first, u32 count) const {
  u32 before = first == 0 ? 0 : entry(first - 1);
  u64 found = 0;
  for (u32 page = first; page <= std::min(first + count, kPages - 1); ++page) {
    const u32 here = entry(page);
    if (here != 0 && (before == 0 || here != before + 1)) ++found;
    before = here;
  }
  return found;
}

template <typename Change>
void HostWindow::change(u32 first, u32 count, Change each) {
  const u64 before = starts(first, count);
  for (u32 page = first; page < first + count; ++page) each(page);
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
  change(first, count,
         [&](u32 page) { entry_for_change(page) = flags | (file_page + (page - first)); });
  return true;
}

void HostWindow::unmap(u32 first, u32 count) {
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
  change(begin, end - begin, [&](u32 page) {
    if (mapped(page)) entry_for_change(page) = 0;
  });
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
    change(at, stop - at, [&](u32 page) { entry_for_change(page) &= ~kWritable; });
    at = stop;
  }
}

void HostWindow::clear() {
  if (mappings_ == 0) return;
  ++usage_.unmap_calls;
  if (munmap(host(0), WindowArena::kWindowSize) != 0) {
    // Never for want of mappings, as nothing is cut; what stays would show the guest wrong memory.
    std::perror("ringshift: shadow window: munmap");
    std::abort();
  }
  usage_.mappings -= mappings_;
  mappings_ = 0;
  for (auto& leaf : leaves_) leaf.reset();
}

}  // namespace ringshift::mmu
