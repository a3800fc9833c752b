#include "translator/lanes.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpu/decoder.h"

namespace ringshift::translator {

namespace {

void* reserve(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("ringshift: address space for branch tables");
    std::abort();
  }
  return memory;
}

}  // namespace

Lane::Lane(const LaneKey& key, const Stubs& stubs) : key_(key), stubs_(stubs) {
  table_ = static_cast<u32*>(reserve(kEntries * sizeof(u32)));
  auto* stack = static_cast<u8*>(reserve(kPageSize + kCallStackBytes));
  mprotect(stack, kPageSize, PROT_NONE);
  guard_ = reinterpret_cast<u64>(stack);
  top_ = guard_ + kPageSize + kCallStackBytes - 64;
  reset_calls();
}

Lane::~Lane() {
  munmap(table_, kEntries * sizeof(u32));
  munmap(reinterpret_cast<void*>(guard_), kPageSize + kCallStackBytes);
}

void Lane::reset_calls() {
  const u64 bottom = reinterpret_cast<u64>(stubs_.bottom_of_calls);
  std::memcpy(reinterpret_cast<void*>(top_), &bottom, sizeof bottom);
  call_stack = top_;
}

void Lane::forget(u64 first, u64 length) {
  reset_calls();
  constexpr u64 kEntriesPerPage = kPageSize / sizeof(u32);
  const u64 begin = first & ~(kEntriesPerPage - 1);
  const u64 end =
      std::min((first + length + kEntriesPerPage - 1) & ~(kEntriesPerPage - 1), kEntries);
  madvise(table_ + begin, (end - begin) * sizeof(u32), MADV_DONTNEED);
}

Lane& LaneCache::find(const LaneKey& key) {
  // Mostly it goes to and fro between user and kernel.
  for (Recent& recent : recent_) {
    if (recent.lane == nullptr || recent.key != key) continue;
    recent.lane->last_used = ++uses_;
    return *recent.lane;
  }
  Lane& lane = find_or_make(key);
  recent_[next_recent_++ % recent_.size()] = {key, &lane};
  return lane;
}

Lane& LaneCache::find_or_make(const LaneKey& key) {
  auto found = lanes_.find(key);
  if (found == lanes_.end()) {
    if (lanes_.size() >= kMostLanes) evict();
    found = lanes_.emplace(key, std::make_unique<Lane>(key, stubs_)).first;
  }
  found->second->last_used = ++uses_;
  return *found->second;
}

void LaneCache::evict() {
  const auto oldest = std::min_element(
      lanes_.begin(), lanes_.end(),
      [](const auto& a, const auto& b) { return a.second->last_used < b.second->last_used; });
  lanes_.erase(oldest);
  recent_ = {};
}

void LaneCache::forget(u32 space, LinearAddress first, u64 length) {
  for (const auto& [key, lane] : lanes_) {
    if (key.space != space) continue;
    // An instruction of the page before may end in this one.
    const u64 from = (first.value - key.code_base - cpu::kLongestInstruction) & 0xFFFFFFFF;
    const u64 bytes = length + cpu::kLongestInstruction;
    if (from + bytes > (u64{1} << 32)) {
      lane->forget_all();
    } else {
      lane->forget(from, bytes);
    }
  }
}

void LaneCache::drop_space(u32 space) {
  std::erase_if(lanes_, [&](const auto& item) { return item.first.space == space; });
  recent_ = {};
}

void LaneCache::forget_all() {
  for (const auto& [key, lane] : lanes_) lane->forget_all();
}

}  // namespace ringshift::translator
