#include "translator/lanes.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ringshift::translator {

namespace {

void* reserve(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("ringshift: memory for branch tables");
    std::abort();
  }
  return memory;
}

}  // namespace

Lane::Lane(u32 space, Mode mode, const Stubs& stubs) : space_(space), mode_(mode), stubs_(stubs) {
  table_ = static_cast<u32*>(reserve(kTableEntries * sizeof(u32)));
  auto* stack = static_cast<u8*>(reserve(kPageSize + kCallStackBytes));
  mprotect(stack, kPageSize, PROT_NONE);
  guard_ = reinterpret_cast<u64>(stack);
  top_ = guard_ + kPageSize + kCallStackBytes - 64;
  reset_calls();
}

Lane::~Lane() {
  munmap(table_, kTableEntries * sizeof(u32));
  munmap(reinterpret_cast<void*>(guard_), kPageSize + kCallStackBytes);
}

void Lane::reset_calls() {
  const u64 bottom = reinterpret_cast<u64>(stubs_.bottom_of_calls);
  std::memcpy(reinterpret_cast<void*>(top_), &bottom, sizeof bottom);
  call_stack = top_;
}

void Lane::forget(u32 first, u64 length) {
  reset_calls();
  if (length >= kTableEntries) {
    forget_all();
    return;
  }
  for (u64 i = 0; i < length; ++i) table_[(first + i) & (kTableEntries - 1)] = 0;
}

void Lane::forget_all() {
  reset_calls();
  madvise(table_, kTableEntries * sizeof(u32), MADV_DONTNEED);
}

Lane& LaneCache::find(u32 space, Mode mode) {
  const u64 key = u64{space} << 32 | mode.bits();
  const auto found = lanes_.find(key);
  if (found != lanes_.end()) return *found->second;
  if (lanes_.size() >= kMostLanes) lanes_.clear();
  return *lanes_.emplace(key, std::make_unique<Lane>(space, mode, stubs_)).first->second;
}

void LaneCache::forget(u32 space, LinearAddress first, u64 length) {
  for (const auto& [key, lane] : lanes_) {
    if (lane->space() != space) continue;
    // An instruction of the page before may end in this one, and EIP needn't be the linear address.
    const bool flat = lane->mode().segment(cpu::SegmentName::CS) == SegmentKind::Flat;
    if (!flat || length >= Lane::kTableEntries) {
      lane->forget_all();
    } else {
      lane->forget(static_cast<u32>(first.value - 16), length + 16);
    }
  }
}

void LaneCache::drop_space(u32 space) {
  std::erase_if(lanes_, [&](const auto& item) { return item.second->space() == space; });
}

void LaneCache::forget_all() {
  for (const auto& [key, lane] : lanes_) lane->forget_all();
}

}  // namespace ringshift::translator
