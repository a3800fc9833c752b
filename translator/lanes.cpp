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

constexpr u64 kEntriesPerPage = kPageSize / sizeof(u32);

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
  const u64 begin = first & ~(kEntriesPerPage - 1);
  const u64 end =
      std::min((first + length + kEntriesPerPage - 1) & ~(kEntriesPerPage - 1), kEntries);
  if (begin == 0 && end == kEntries) {
    // Anew, because the host keeps its own page tables otherwise.
    void* const same = mmap(table_, kEntries * sizeof(u32), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (same != table_) madvise(table_, kEntries * sizeof(u32), MADV_DONTNEED);
    pages_.clear();
    regions_.clear();
    return;
  }
  madvise(table_ + begin, (end - begin) * sizeof(u32), MADV_DONTNEED);
  if ((end - begin) / kEntriesPerPage >= pages_.size()) {
    std::erase_if(pages_, [&](u32 page) {
      return page * kEntriesPerPage >= begin && page * kEntriesPerPage < end;
    });
  } else {
    for (u64 page = begin / kEntriesPerPage; page < end / kEntriesPerPage; ++page) {
      pages_.erase(static_cast<u32>(page));
    }
  }
}

bool Lane::learn(u32 eip, u32 offset) {
  table_[eip] = offset;
  return pages_.insert(static_cast<u32>(eip / kEntriesPerPage)).second;
}

bool Lane::note_read(u32 eip) {
  return regions_.insert(static_cast<u32>(eip / (kEntriesPerPage * kPageSize / 8))).second;
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
    if (lanes_.size() >= kMostLanes) drop(oldest());
    found = lanes_.emplace(key, std::make_unique<Lane>(key, stubs_)).first;
  }
  found->second->last_used = ++uses_;
  return *found->second;
}

void LaneCache::drop(Lanes::iterator lane) {
  lanes_.erase(lane);
  recent_ = {};
}

LaneCache::Lanes::iterator LaneCache::oldest() {
  return std::min_element(lanes_.begin(), lanes_.end(), [](const auto& a, const auto& b) {
    return a.second->last_used < b.second->last_used;
  });
}

void LaneCache::learn(Lane& lane, u32 eip, u32 offset) {
  if (lane.learn(eip, offset) || lane.note_read(eip)) keep_small(lane);
}

void LaneCache::note_miss(Lane& lane, u32 eip) {
  if (lane.note_read(eip)) keep_small(lane);
}

/// A lane has grown. When it is too much, those used longest ago give theirs back.
void LaneCache::keep_small(Lane& lane) {
  constexpr std::size_t kCountEvery = kMostPages / 16;
  if (++grown_ < kCountEvery) return;
  grown_ = 0;
  std::size_t pages = 0;
  for (const auto& [key, one] : lanes_) pages += one->pages();
  while (pages > kMostPages && lanes_.size() > 1) {
    const auto victim = oldest();
    if (victim->second.get() == &lane) break;
    pages -= victim->second->pages();
    drop(victim);
  }
  if (pages > kMostPages) lane.forget_all();
}

void LaneCache::forget(u32 space, LinearAddress first, u64 length) {
  for (const auto& [key, lane] : lanes_) {
    if (key.space != space && key.space != LaneKey::kAllSpaces) continue;
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
