#include "mmu/shadow/table_tracker.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>

namespace ringshift::mmu {

namespace {

// Bits of a paging-structure entry. SDM 3A tables 4-4 to 4-6, 4-9 to 4-11.
constexpr u64 kPresent = 1U << 0;
constexpr u64 kWritable = 1U << 1;
constexpr u64 kUser = 1U << 2;
constexpr u64 kAccessed = 1U << 5;
constexpr u64 kDirty = 1U << 6;
constexpr u64 kLargePage = 1U << 7;
constexpr u64 kExecuteDisable = u64{1} << 63;
/// The address and what may be reserved: everything above the flags.
constexpr u64 kAddressAndReserved = ~u64{0xFFF} & ~kExecuteDisable;

struct Meaning {
  TableChange::Data data = TableChange::Data::Nothing;
  bool code = false;
  bool detach = false;  ///< another table, or none, is behind the entry
};

/// What follows for translations made from an entry that was `old` and is `now`. Translations are
/// only made from entries that are present and accessed.
Meaning meaning_of(u64 old, u64 now, const Space& space, bool directory) {
  constexpr u64 kUsed = kPresent | kAccessed;
  if ((old & kUsed) != kUsed) return {};
  const u64 changed = old ^ now;
  const u64 lost = old & ~now;
  u64 place = kPresent | kAddressAndReserved;
  if (directory) place |= kLargePage;
  if (!space.key.no_execute) place |= kExecuteDisable;
  Meaning meaning;
  meaning.detach = directory && (changed & place) != 0;
  meaning.code = (changed & (place | kUser | kExecuteDisable)) != 0 || (lost & kAccessed) != 0;
  const bool dirty_counts = !directory || (old & kLargePage) != 0;
  if ((changed & (place | kUser)) != 0 || (lost & kAccessed) != 0) {
    meaning.data = TableChange::Data::Drop;
  } else if ((lost & (kWritable | (dirty_counts ? kDirty : 0))) != 0) {
    meaning.data = TableChange::Data::LosesWrite;
  }
  return meaning;
}

void add_change(TableChanges& changes, const TableChange& change) {
  if (!changes.empty()) {
    TableChange& last = changes.back();
    if (last.space == change.space && last.data == change.data && last.code == change.code &&
        last.first + last.pages == change.first) {
      last.pages += change.pages;
      return;
    }
  }
  changes.push_back(change);
}

bool any_present(const u8* line) {
  for (unsigned offset = 0; offset < TablePage::kLineSize; offset += 4) {
    if ((line[offset] & kPresent) != 0) return true;
  }
  return false;
}

/// Whether the line is the same in both, without a call.
bool same_line(const u8* left, const u8* right) {
  __m128i same = _mm_set1_epi8(-1);
  for (unsigned offset = 0; offset < TablePage::kLineSize; offset += sizeof same) {
    const auto load = [offset](const u8* from) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from + offset));
    };
    same = _mm_and_si128(same, _mm_cmpeq_epi32(load(left), load(right)));
  }
  return _mm_movemask_epi8(same) == 0xFFFF;
}

}  // namespace

TablePage* TableTracker::attach(Space& space, unsigned slot, PhysicalAddress physical,
                                TableChanges& changes) {
  TablePage* old = space.tables[slot];
  if (old != nullptr) {
    if (old->physical == physical) return old;
    add_change(changes, {&space, space.first_page(slot), space.pages_of(slot),
                         TableChange::Data::Drop, true});
    detach(space, slot);
  }
  std::unique_ptr<TablePage>& page = pages_[physical.frame()];
  if (page == nullptr) {
    const cpu::HostPage host = map_.host_page(physical);
    if (host.read == nullptr) {
      pages_.erase(physical.frame());
      return nullptr;
    }
    const auto backing = map_.backing(physical);
    page = std::make_unique<TablePage>(physical, host.read, backing && backing->writable);
    page->quiet_needed = limits_.quiet_checks;
  }
  space.places[slot].in_users = static_cast<u32>(page->users.size());
  page->users.push_back({&space, slot});
  space.tables[slot] = page.get();
  if (!page->watched) space.add_unsynced(slot);
  return page.get();
}

void TableTracker::detach(Space& space, unsigned slot) {
  TablePage* page = space.tables[slot];
  if (page == nullptr) return;
  space.tables[slot] = nullptr;
  space.remove_unsynced(slot);
  auto& users = page->users;
  const u32 place = space.places[slot].in_users;
  users[place] = users.back();
  users[place].space->places[users[place].slot].in_users = place;
  users.pop_back();
  if (!users.empty()) return;
  if (page->watched) unwatch(*page);
  const auto found = pages_.find(page->physical.frame());
  retired_.push_back(std::move(found->second));
  pages_.erase(found);
}

void TableTracker::detach_all(Space& space) {
  for (unsigned slot = 0; slot < space.tables.size(); ++slot) detach(space, slot);
}

void TableTracker::detach_range(Space& space, u32 first, u32 count) {
  for (unsigned slot = 0; slot < space.tables.size(); ++slot) {
    const u32 begin = space.first_page(slot);
    if (begin >= first && begin + space.pages_of(slot) <= first + count) detach(space, slot);
  }
}

void TableTracker::clear() {
  for (auto& [frame, page] : pages_) {
    for (const TablePage::User& user : page->users) {
      user.space->tables[user.slot] = nullptr;
      user.space->remove_unsynced(user.slot);
    }
    page->users.clear();
    if (page->watched) unwatch(*page);
    retired_.push_back(std::move(page));
  }
  pages_.clear();
}

/// All that the spaces that use the table have made of their tables may be wrong.
void TableTracker::forget_users(TablePage& page, TableChanges& changes) {
  while (!page.users.empty()) {
    Space& space = *page.users.back().space;
    changes.push_back({&space, 0, HostWindow::kPages, TableChange::Data::Drop, true});
    detach_all(space);
  }
}

/// True if the line in memory had changed; the snapshot has it now.
bool TableTracker::refresh_line(TablePage& page, unsigned line, TableChanges& changes) {
  const u64 offset = u64{line} * TablePage::kLineSize;
  alignas(8) u8 now[TablePage::kLineSize];
  std::memcpy(now, page.host + offset, sizeof now);
  u8* old = page.snapshot.data() + offset;
  if (same_line(old, now)) return false;
  looked_into_ += page.users.size();
  if (looked_into_ > limits_.lines_looked_into) {
    forget_users(page, changes);
    return true;
  }

  std::vector<TablePage::User> detached;
  for (const TablePage::User& user : page.users) {
    Space& space = *user.space;
    const unsigned size = space.entry_size();
    const bool directory = Space::is_directory(user.slot);
    const u32 span = space.pages_per_entry(user.slot);
    for (unsigned at = 0; at < sizeof now; at += size) {
      u64 before = 0;
      u64 after = 0;
      std::memcpy(&before, old + at, size);
      std::memcpy(&after, now + at, size);
      if (before == after) continue;
      ++counts_.entries_changed;
      const Meaning meaning = meaning_of(before, after, space, directory);
      const u32 first = space.first_page(user.slot) + static_cast<u32>((offset + at) / size) * span;
      if (meaning.data != TableChange::Data::Nothing || meaning.code) {
        add_change(changes, {&space, first, span, meaning.data, meaning.code});
      }
      if (meaning.detach) {
        detached.push_back({&space, space.table_slot(u64{first} << kPageShift)});
      }
    }
  }
  std::memcpy(old, now, sizeof now);
  if (!any_present(now)) page.used_lines &= ~(u64{1} << line);
  for (const TablePage::User& user : detached) detach(*user.space, user.slot);
  return true;
}

void TableTracker::sync(TablePage& page, u64 offset, TableChanges& changes) {
  const unsigned line = static_cast<unsigned>(offset / TablePage::kLineSize);
  if (!page.line_used(offset)) {
    const u64 start = u64{line} * TablePage::kLineSize;
    std::memcpy(page.snapshot.data() + start, page.host + start, TablePage::kLineSize);
    page.used_lines |= u64{1} << line;
  } else if (!page.watched) {
    refresh_line(page, line, changes);
  }
}

void TableTracker::check(TablePage& page, u64 flush, TableChanges& changes) {
  if (page.checked == flush || page.watched || page.users.empty()) return;
  page.checked = flush;
  ++counts_.compared;
  bool changed = false;
  for (u64 left = page.used_lines; left != 0; left &= left - 1) {
    const unsigned line = static_cast<unsigned>(std::countr_zero(left));
    const u64 offset = u64{line} * TablePage::kLineSize;
    if (same_line(page.snapshot.data() + offset, page.host + offset)) continue;
    changed = refresh_line(page, line, changes) || changed;
    if (page.users.empty()) return;
  }
  if (changed) {
    page.quiet = 0;
  } else if (++page.quiet >= page.quiet_needed) {
    watch(page);
  }
}

void TableTracker::watch(TablePage& page) {
  map_.watch(page.physical, observer_);
  page.watched = true;
  page.watched_writes = 0;
  for (const TablePage::User& user : page.users) user.space->remove_unsynced(user.slot);
  ++counts_.watches;
  ++counts_.watched;
}

void TableTracker::unwatch(TablePage& page) {
  map_.unwatch(page.physical, observer_);
  page.watched = false;
  page.quiet = 0;
  page.quiet_needed = std::min(page.quiet_needed * 2, kMostQuietNeeded);
  for (const TablePage::User& user : page.users) user.space->add_unsynced(user.slot);
  --counts_.watched;
}

void TableTracker::release(PhysicalAddress physical) {
  const auto found = pages_.find(physical.frame());
  if (found != pages_.end() && found->second->watched) unwatch(*found->second);
}

void TableTracker::written(PhysicalAddress address, u64 length, TableChanges& changes) {
  const auto found = pages_.find(address.frame());
  if (found == pages_.end() || !found->second->watched) return;
  TablePage& page = *found->second;
  looked_into_ = 0;
  const u64 end = std::min(address.page_offset() + length, kPageSize);
  for (u64 offset = address.page_offset(); offset < end;
       offset = (offset | (TablePage::kLineSize - 1)) + 1) {
    if (page.line_used(offset)) {
      refresh_line(page, static_cast<unsigned>(offset / TablePage::kLineSize), changes);
    }
  }
  if (page.watched && ++page.watched_writes > kWatchedWritesAtMost) unwatch(page);
}

}  // namespace ringshift::mmu
