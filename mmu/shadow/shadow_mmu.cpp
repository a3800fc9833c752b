#include "mmu/shadow/shadow_mmu.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "mmu/shadow/shadow_implementation.h"

namespace ringshift::mmu {

namespace {

using cpu::AccessType;
using cpu::PagingContext;
using cpu::Privilege;
using cpu::TranslateResult;

constexpr u32 kAllPages = HostWindow::kPages;
/// The most file that a window's bookkeeping can name.
constexpr u64 kMostFile = u64{1} << (30 + kPageShift);
/// Changes kept for a space that isn't current before all of it counts as changed.
constexpr std::size_t kPendingAtMost = 1024;

/// vm.max_map_count, or its default.
u64 host_mapping_limit() {
  u64 limit = 65'530;
  if (std::FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
    unsigned long long read = 0;
    if (std::fscanf(file, "%llu", &read) == 1) limit = read;
    std::fclose(file);
  }
  return limit;
}

}  // namespace

// --- Spaces ---

Space& ShadowMmu::Implementation::space_for(const SpaceKey& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) return *found->second;
  if (by_key_.size() >= std::max<u32>(limits_.spaces, 1)) drop_oldest_space();
  const auto free = std::find(spaces_.begin(), spaces_.end(), nullptr);
  const u32 number = static_cast<u32>(free - spaces_.begin());
  auto space = std::make_unique<Space>(key, number);
  Space& made = *space;
  if (free == spaces_.end()) {
    spaces_.push_back(std::move(space));
  } else {
    *free = std::move(space);
  }
  by_key_.emplace(key, &made);
  return made;
}

void ShadowMmu::Implementation::drop_oldest_space() {
  Space* oldest = nullptr;
  for (const auto& [key, space] : by_key_) {
    if (oldest == nullptr || space->last_used < oldest->last_used) oldest = space;
  }
  if (oldest != nullptr) drop(*oldest);
}

/// Processes come and go, and nobody tells when their address spaces are no more: those that so
/// many others have been entered since are taken for dead.
void ShadowMmu::Implementation::drop_stale_spaces() {
  for (std::size_t number = 0; number < spaces_.size(); ++number) {
    Space* const space = spaces_[number].get();
    if (space == nullptr || space == current_) continue;
    if (entries_ - space->entered > limits_.stale_after) drop(*space);
  }
}

void ShadowMmu::Implementation::drop(Space& space) {
  if (&space == current_) {
    current_ = nullptr;
    window_ = nullptr;
  }
  const u32 number = space.number;
  tracker_.detach_all(space);
  tracker_.collect();
  pool_.drop(space);
  by_key_.erase(space.key);
  spaces_[number].reset();
  ++counted_.spaces_dropped;
  if (observer_ != nullptr) observer_->on_space_dropped(number);
}

void ShadowMmu::Implementation::enter(Space& space) {
  current_ = &space;
  window_ = nullptr;
  space.entered = ++entries_;
  space.last_used = ++clock_;
  while (tracker_.size() > limits_.tables && by_key_.size() > 1) drop_oldest_space();
  constexpr u64 kLookEvery = 32;
  if (entries_ % kLookEvery == 0) drop_stale_spaces();
  // Another space means other tables, and loading those is a flush.
  ++flushes_;
}

/// The current space's directories are those from now on. Loading other ones is a flush.
void ShadowMmu::Implementation::load_pointers(const DirectoryPointers& pointers) {
  Space& space = *current_;
  if (space.pointers == pointers) return;
  ++flushes_;
  constexpr u32 kQuarter = kAllPages / 4;
  for (u32 n = 0; n < pointers.size(); ++n) {
    if (space.pointers[n] == pointers[n]) continue;
    tracker_.detach_range(space, n * kQuarter, kQuarter);
    changes_.push_back({&space, n * kQuarter, kQuarter, TableChange::Data::Drop, true});
  }
  space.pointers = pointers;
  apply_changes();
  tracker_.collect();
}

/// Catches up with what was postponed for the current space.
void ShadowMmu::Implementation::settle() {
  Space& space = *current_;
  if (space.all_pending) {
    for (HostWindow* window : space.windows) {
      if (window != nullptr) window->clear();
    }
    space.all_pending = false;
    space.pending.clear();
    report_all(space);
  }
  if (space.pending.empty()) return;
  const TableChanges pending = std::exchange(space.pending, {});
  drop_data(pending);
  for (const TableChange& change : pending) {
    if (!change.code || !space.fetched.remove(change.first, change.pages)) continue;
    if (observer_ != nullptr) {
      observer_->on_mapping_changed(space.number, {u64{change.first} << kPageShift},
                                    u64{change.pages} << kPageShift);
    }
  }
}

void ShadowMmu::Implementation::revalidate(Space& space) {
  ++counted_.revalidations;
  space.validated = flushes_;
  if (space.untracked_fetches) {
    space.untracked_fetches = false;
    report_all(space);
  }
  checking_.clear();
  for (const u32 slot : space.unsynced) checking_.push_back(space.tables[slot]);
  for (TablePage* page : checking_) tracker_.check(*page, flushes_, changes_);
  apply_changes();
  settle();
  tracker_.collect();
}

Window ShadowMmu::Implementation::select(const PagingContext& context, Privilege privilege) {
  if (context.long_mode) {
    std::fprintf(stderr, "ringshift: shadow MMU: a long-mode address space has no 4 GiB window\n");
    std::abort();
  }
  const SpaceKey key(context);
  if (current_ == nullptr || current_->key != key) enter(space_for(key));
  load_pointers(directory_pointers(context));
  if (current_->validated != flushes_) revalidate(*current_);
  current_->last_used = ++clock_;
  context_ = context;
  privilege_ = privilege;
  window_ = &pool_.open(*current_, window_kind(context, privilege));
  repeated_page_ = kNoPage;
  return {window_->base(), current_->number};
}

// --- What has changed ---

/// What the current space shows is corrected at once, all else when it is selected or settled: code
/// may be running, and its old translation is good until an INVLPG or a flush.
void ShadowMmu::Implementation::apply_changes() {
  if (changes_.empty()) return;
  TableChanges changes = std::exchange(changes_, {});
  drop_data(changes);
  for (TableChange& change : changes) {
    if (change.space == current_) change.data = TableChange::Data::Nothing;
    if (change.space != current_ || change.code) postpone(change);
  }
}

void ShadowMmu::Implementation::postpone(const TableChange& change) {
  Space& space = *change.space;
  if (space.all_pending) return;
  if (space.pending.size() < kPendingAtMost) {
    space.pending.push_back(change);
    return;
  }
  space.all_pending = true;
  space.pending.clear();
}

/// Takes out of the current space's windows what changes of that space say.
void ShadowMmu::Implementation::drop_data(const TableChanges& changes) {
  if (current_ == nullptr) return;
  for (HostWindow* window : current_->windows) {
    if (window == nullptr || window->mappings() == 0) continue;
    // Holes between two ranges cost nothing, another system call does.
    constexpr u32 kGap = 64;
    u32 first = 0;
    u32 end = 0;
    for (const TableChange& change : changes) {
      if (change.space != current_) continue;
      if (change.data == TableChange::Data::LosesWrite) {
        window->make_read_only(change.first, change.pages);
      }
      if (change.data != TableChange::Data::Drop) continue;
      if (change.first >= end && change.first - end <= kGap &&
          window->empty(end, change.first - end)) {
        end = change.first + change.pages;
        continue;
      }
      window->unmap(first, end - first);
      first = change.first;
      end = change.first + change.pages;
    }
    window->unmap(first, end - first);
  }
}

/// All that was fetched in the space may have moved.
void ShadowMmu::Implementation::report_all(Space& space) {
  if (space.fetched.empty()) return;
  space.fetched.clear();
  if (observer_ != nullptr) {
    observer_->on_mapping_changed(space.number, {0}, u64{kAllPages} << kPageShift);
  }
}

void ShadowMmu::Implementation::on_watched_write(PhysicalAddress address, u64 length) {
  tracker_.written(address, length, changes_);
  apply_changes();
}

void ShadowMmu::Implementation::on_watched(PhysicalAddress page) {
  const auto backing = map_.backing(page);
  if (!backing.has_value()) return;
  places_.clear();
  pool_.find_writable(static_cast<u32>(backing->file_offset >> kPageShift), places_);
  for (const auto& [window, at] : places_) {
    Space& space = *spaces_[window->space()];
    if (&space == current_) {
      window->make_read_only(at, 1);
    } else {
      postpone({&space, at, 1, TableChange::Data::LosesWrite, false});
    }
  }
}

/// Devices' memory moves when the system is set up, and hardly after: all goes, wherever it was.
void ShadowMmu::Implementation::on_remapped(PhysicalAddress, u64) {
  reset();
}

void ShadowMmu::Implementation::reset() {
  changes_.clear();
  tracker_.clear();
  tracker_.collect();
  for (auto& space : spaces_) {
    if (space == nullptr) continue;
    space->pending.clear();
    space->all_pending = space.get() != current_;
  }
  if (current_ == nullptr) return;
  for (HostWindow* window : current_->windows) {
    if (window != nullptr) window->clear();
  }
  report_all(*current_);
}

// --- Statistics ---

ShadowStatistics ShadowMmu::Implementation::statistics() const {
  ShadowStatistics all = counted_;
  const HostUsage& usage = pool_.usage();
  all.map_calls = usage.map_calls;
  all.unmap_calls = usage.unmap_calls;
  all.protect_calls = usage.protect_calls;
  all.window_evictions = pool_.evictions();
  all.windows = pool_.size();
  all.mappings = usage.mappings;
  all.regions = usage.regions;
  const TableTracker::Counts& counts = tracker_.counts();
  all.tables_compared = counts.compared;
  all.entries_changed = counts.entries_changed;
  all.tables_watched = counts.watches;
  all.watched_tables = counts.watched;
  all.tables = tracker_.size();
  all.spaces = by_key_.size();
  return all;
}

// --- The public face ---

Result<std::unique_ptr<ShadowMmu>> ShadowMmu::create(MemoryMap& map, ProcessorMemory& memory,
                                                     int memory_file, ShadowLimits limits) {
  struct stat status {};
  if (fstat(memory_file, &status) != 0) return Error{"shadow MMU: not a guest memory file"};
  if (static_cast<u64>(status.st_size) > kMostFile) {
    return Error{"shadow MMU: more guest memory than it can map"};
  }
  limits.mappings = std::clamp<u64>(limits.mappings, 4, std::max<u64>(host_mapping_limit() / 2, 4));
  limits.regions = std::max<u64>(limits.regions, 1);
  limits.windows = std::max<u32>(limits.windows, 1);
  limits.stale_after = std::max<u64>(limits.stale_after, 1);
  limits.spaces = std::max<u32>(limits.spaces, 1);
  limits.pages_per_miss = std::bit_floor(std::clamp<u32>(limits.pages_per_miss, 1, kAllPages));
  limits.quiet_checks = std::max<u32>(limits.quiet_checks, 1);
  auto implementation = std::make_unique<Implementation>(map, memory, memory_file, limits);
  if (!implementation->works()) {
    return Error{"shadow MMU: this process has no place for 4 GiB windows"};
  }
  return std::unique_ptr<ShadowMmu>(new ShadowMmu(std::move(implementation)));
}

ShadowMmu::ShadowMmu(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
ShadowMmu::~ShadowMmu() = default;

void ShadowMmu::set_observer(SpaceObserver* observer) {
  implementation_->set_observer(observer);
}
Window ShadowMmu::select(const PagingContext& context, Privilege privilege) {
  return implementation_->select(context, privilege);
}
void ShadowMmu::flush() {
  implementation_->flush();
}
void ShadowMmu::invalidate_page(LinearAddress linear) {
  implementation_->invalidate_page(linear);
}
FaultClass ShadowMmu::resolve(LinearAddress linear, AccessType type) {
  return implementation_->resolve(linear, type);
}
TranslateResult ShadowMmu::fetch(LinearAddress linear) {
  return implementation_->fetch(linear);
}
void ShadowMmu::reset() {
  implementation_->reset();
}
ShadowStatistics ShadowMmu::statistics() const {
  return implementation_->statistics();
}

}  // namespace ringshift::mmu
