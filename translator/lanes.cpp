#include "translator/lanes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cpu/decoder.h"

namespace ringshift::translator {

namespace {

/// A file's memory, because the host gives a page of that at the first access, be it a read,
/// needn't replace it at the first write, and doesn't count what is never touched against its
/// limits. At `where`, if that isn't null, in the place of what is there. Null: the host refuses.
u32* map_table(std::size_t bytes, void* where) {
  const int file = memfd_create("ringshift-branch-table", MFD_CLOEXEC);
  if (file < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(file, static_cast<off_t>(bytes)) == 0) {
    memory = mmap(where, bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_NORESERVE | (where == nullptr ? 0 : MAP_FIXED), file, 0);
  }
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<u32*>(memory);
}

}  // namespace

// --- Branch tables ---

std::unique_ptr<BranchTable> BranchTable::create() {
  u32* const entries = map_table(kBytes, nullptr);
  if (entries == nullptr) return nullptr;
  return std::unique_ptr<BranchTable>(new BranchTable(entries));
}

BranchTable::~BranchTable() {
  munmap(entries_, kBytes);
}

BranchTable::Place BranchTable::place_of(u32 eip) {
  const auto page = static_cast<u32>(eip / kEntriesPerPage);
  return {regions_[page / kPagesPerRegion], page % kPagesPerRegion / 64, u64{1} << (page % 64)};
}

bool BranchTable::learn(u32 eip, u32 offset) {
  entries_[eip] = offset;
  const Place place = place_of(eip);
  place.region.known[place.word] |= place.bit;
  return touch(place);
}

bool BranchTable::note_read(u32 eip) {
  return touch(place_of(eip));
}

bool BranchTable::touch(const Place& place) {
  u64& word = place.region.touched[place.word];
  if ((word & place.bit) != 0) return false;
  word |= place.bit;
  ++touched_;
  return true;
}

/// Calls `visit(page, region, word, bit)` for the pages of [begin, end) that know blocks.
template <typename Visit>
void BranchTable::for_each_known(u64 begin, u64 end, Visit visit) {
  for (auto region = regions_.lower_bound(static_cast<u32>(begin / kPagesPerRegion));
       region != regions_.end(); ++region) {
    const u64 first = u64{region->first} * kPagesPerRegion;
    if (first >= end) return;
    Region& pages = region->second;
    for (unsigned n = 0; n < pages.known.size(); ++n) {
      for (u64 word = pages.known[n]; word != 0; word &= word - 1) {
        const u64 page = first + n * 64 + static_cast<unsigned>(std::countr_zero(word));
        if (page >= begin && page < end) visit(page, pages, n, word & -word);
      }
    }
  }
}

void BranchTable::forget(u64 first, u64 length) {
  const u64 begin = first / kEntriesPerPage;
  const u64 end = std::min((first + length + kEntriesPerPage - 1) / kEntriesPerPage,
                           kEntries / kEntriesPerPage);
  std::size_t found = 0;
  for_each_known(begin, end, [&](u64, Region&, unsigned, u64) { ++found; });
  if (found == 0) return;
  const bool by_hand = found <= kClearedByHand;
  for_each_known(begin, end, [&](u64 page, Region& region, unsigned word, u64 bit) {
    region.known[word] &= ~bit;
    if (by_hand) {
      std::memset(entries_ + page * kEntriesPerPage, 0, kPageSize);
    } else {
      // Others of the range may be touched, and stay counted.
      region.touched[word] &= ~bit;
      --touched_;
    }
  });
  if (!by_hand) {
    madvise(entries_ + begin * kEntriesPerPage, (end - begin) * kPageSize, MADV_REMOVE);
  }
}

void BranchTable::clear() {
  if (pages() <= kClearedByHand) {
    forget(0, kEntries);
    return;
  }
  // Anew, because the host keeps its own page tables otherwise.
  if (map_table(kBytes, entries_) == nullptr) madvise(entries_, kBytes, MADV_REMOVE);
  regions_.clear();
  touched_ = 0;
}

// --- Lanes ---

Lane::Lane(std::unique_ptr<BranchTable> table, const Stubs& stubs)
    : table_(std::move(table)), stubs_(stubs) {
  void* const stack = mmap(nullptr, kPageSize + kCallStackBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack, kPageSize, PROT_NONE) != 0) {
    std::perror("ringshift: memory for a call stack");
    std::abort();
  }
  guard_ = reinterpret_cast<u64>(stack);
  top_ = guard_ + kPageSize + kCallStackBytes - 64;
  reset_calls();
}

Lane::~Lane() {
  munmap(reinterpret_cast<void*>(guard_), kPageSize + kCallStackBytes);
}

void Lane::reset_calls() {
  const u64 bottom = reinterpret_cast<u64>(stubs_.bottom_of_calls);
  std::memcpy(reinterpret_cast<void*>(top_), &bottom, sizeof bottom);
  call_stack = top_;
}

void Lane::forget(u64 first, u64 length) {
  reset_calls();
  table_->forget(first, length);
}

void Lane::forget_all() {
  reset_calls();
  table_->clear();
}

// --- All of them ---

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
    found = lanes_.emplace(key, std::make_unique<Lane>(new_table(), stubs_)).first;
  }
  found->second->last_used = ++uses_;
  return *found->second;
}

bool LaneCache::works() {
  if (spares_.empty()) {
    if (auto table = BranchTable::create()) spares_.push_back(std::move(table));
  }
  return !spares_.empty();
}

/// Where the host has no room for another one, the lane used longest ago gives up its own.
std::unique_ptr<BranchTable> LaneCache::new_table() {
  std::unique_ptr<BranchTable> table;
  if (spares_.empty()) table = BranchTable::create();
  if (table != nullptr) return table;
  if (spares_.empty()) drop(oldest());
  table = std::move(spares_.back());
  spares_.pop_back();
  return table;
}

/// The last table that there is isn't given back: another one might be refused.
LaneCache::Lanes::iterator LaneCache::drop(Lanes::iterator lane) {
  recent_ = {};
  BranchTable& table = lane->second->table();
  const bool small = spares_.size() < kMostSpares && table.pages() <= kMostPagesOfSpare;
  if (small || spares_.empty()) {
    table.clear();
    spares_.push_back(lane->second->take_table());
  }
  return lanes_.erase(lane);
}

LaneCache::Lanes::iterator LaneCache::oldest() {
  return std::min_element(lanes_.begin(), lanes_.end(), [](const auto& a, const auto& b) {
    return a.second->last_used < b.second->last_used;
  });
}

void LaneCache::learn(Lane& lane, u32 eip, u32 offset) {
  if (lane.table().learn(eip, offset)) keep_small(lane);
}

void LaneCache::note_miss(Lane& lane, u32 eip) {
  if (lane.table().note_read(eip)) keep_small(lane);
}

/// A lane has grown. When it is too much, those used longest ago give theirs back.
void LaneCache::keep_small(Lane& lane) {
  constexpr std::size_t kCountEvery = kMostPages / 16;
  if (++grown_ < kCountEvery) return;
  grown_ = 0;
  std::size_t pages = 0;
  for (const auto& [key, one] : lanes_) pages += one->table().pages();
  while (pages > kMostPages && lanes_.size() > 1) {
    const auto victim = oldest();
    if (victim->second.get() == &lane) break;
    pages -= victim->second->table().pages();
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
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    lane = lane->first.space == space ? drop(lane) : std::next(lane);
  }
}

void LaneCache::forget_all() {
  for (const auto& [key, lane] : lanes_) lane->forget_all();
}

}  // namespace ringshift::translator
