#include "mmu/shadow/shadow_mmu.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mmu/shadow/page_run.h"
#include "mmu/shadow/space.h"
#include "mmu/shadow/table_tracker.h"
#include "mmu/shadow/window_pool.h"

namespace ringshift::mmu {

namespace {

using cpu::AccessType;
using cpu::PagingContext;
using cpu::Privilege;
using cpu::TranslateResult;
using cpu::Translation;

constexpr u64 kLinearMask = 0xFFFF'FFFF;
constexpr u32 kNoPage = ~u32{0};
constexpr u32 kAllPages = HostWindow::kPages;
/// The most file that a window's bookkeeping can name.
constexpr u64 kMostFile = u64{1} << (30 + kPageShift);
/// Walks that a table changing under them may cost.
constexpr unsigned kRounds = 8;
/// Changes kept for a space that isn't current before all of it counts as changed.
constexpr std::size_t kPendingAtMost = 1024;

u32 page_number(u64 linear) {
  return static_cast<u32>(linear >> kPageShift);
}

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

struct KeyHash {
  std::size_t operator()(const SpaceKey& key) const { return key.hash(); }
};

}  // namespace

class ShadowMmu::Implementation final : private WriteObserver, private RemapObserver {
 public:
  Implementation(MemoryMap& map, ProcessorMemory& memory, int file, const ShadowLimits& limits)
      : map_(map),
        memory_(memory),
        limits_(limits),
        pool_(file, limits.mappings, limits.windows),
        tracker_(map, *this, limits.quiet_checks) {
    map_.observe_remaps(*this);
    memory_.set_a20_observer(this);
  }
  ~Implementation() override {
    memory_.set_a20_observer(nullptr);
    map_.ignore_remaps(*this);
    tracker_.clear();
    map_.forget(*this);
    for (auto& space : spaces_) {
      if (space != nullptr) pool_.drop(*space);
    }
  }

  bool works() { return pool_.works(); }
  void set_observer(SpaceObserver* observer) { observer_ = observer; }
  Window select(const PagingContext& context, Privilege privilege);
  void flush() { ++flushes_; }
  void invalidate_page(LinearAddress linear);
  FaultClass resolve(LinearAddress linear, AccessType type);
  TranslateResult fetch(LinearAddress linear);
  void on_remapped() override;
  ShadowStatistics statistics() const;

 private:
  enum class Tracking : u8 { Done, Changed, Impossible };
  enum class Coverage : u8 { Run, Page };

  void on_watched_write(PhysicalAddress address, u64 length) override;
  void on_watched(PhysicalAddress page) override;

  Space& space_for(const SpaceKey& key);
  void enter(Space& space);
  void settle();
  void revalidate(Space& space);
  void drop_oldest_space();

  void apply_changes();
  void drop_data(const TableChanges& changes);
  void postpone(const TableChange& change);
  void report_all(Space& space);

  FaultClass map_missing(u64 linear, AccessType type);
  FaultClass can_map(const Translation& translation, AccessType type);
  Tracking track(const WalkTrace& trace, u64 linear);
  bool tracked(const WalkTrace& trace, u64 linear) const;
  bool install(HostWindow& window, u64 linear, const Translation& translation,
               const WalkTrace& trace);
  void replace_page(u64 linear);
  bool map_again(HostWindow& window, u64 linear);
  bool entries_are_accessed(u64 linear) const;

  MemoryMap& map_;
  ProcessorMemory& memory_;
  const ShadowLimits limits_;
  SpaceObserver* observer_ = nullptr;
  WindowPool pool_;
  TableTracker tracker_;
  std::vector<std::unique_ptr<Space>> spaces_;  ///< by number
  std::unordered_map<SpaceKey, Space*, KeyHash> by_key_;
  TableChanges changes_;  ///< found and not yet applied
  std::vector<TablePage*> checking_;
  std::vector<WritableMappings::Place> places_;

  // Selected.
  Space* current_ = nullptr;
  HostWindow* window_ = nullptr;
  PagingContext context_;
  Privilege privilege_ = Privilege::Supervisor;

  u64 flushes_ = 1;
  u64 clock_ = 0;
  u32 repeated_page_ = kNoPage;  ///< found mapped when it was last asked for
  ShadowStatistics counted_;
};

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
  if (oldest == nullptr) return;
  if (oldest == current_) {
    current_ = nullptr;
    window_ = nullptr;
  }
  const u32 number = oldest->number;
  tracker_.detach_all(*oldest);
  tracker_.collect();
  pool_.drop(*oldest);
  by_key_.erase(oldest->key);
  spaces_[number].reset();
  ++counted_.spaces_dropped;
  if (observer_ != nullptr) observer_->on_space_dropped(number);
}

void ShadowMmu::Implementation::enter(Space& space) {
  current_ = &space;
  window_ = nullptr;
  // Another space means other tables, and loading those is a flush.
  ++flushes_;
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
  checking_.assign(space.unsynced.begin(), space.unsynced.end());
  for (TablePage* page : checking_) tracker_.check(*page, flushes_, changes_);
  apply_changes();
  settle();
  tracker_.collect();
}

Window ShadowMmu::Implementation::select(const PagingContext& context, Privilege privilege) {
  const SpaceKey key(context);
  if (current_ == nullptr || current_->key != key) enter(space_for(key));
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

void ShadowMmu::Implementation::on_remapped() {
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

// --- Accesses ---

FaultClass ShadowMmu::Implementation::resolve(LinearAddress address, AccessType type) {
  const u64 linear = address.value & kLinearMask;
  const u32 page = page_number(linear);
  // Asked ahead of an access, the page may be there. Asked twice, something else is wrong: map
  // anew.
  if (window_->allows(page, type) && repeated_page_ != page) {
    repeated_page_ = page;
    return FaultClass::Mapped;
  }
  repeated_page_ = kNoPage;
  const FaultClass verdict = map_missing(linear, type);
  tracker_.collect();
  switch (verdict) {
    case FaultClass::Mapped:
      ++counted_.misses;
      break;
    case FaultClass::GuestFault:
      ++counted_.guest_faults;
      break;
    case FaultClass::Device:
      ++counted_.device_accesses;
      break;
    case FaultClass::Watched:
      ++counted_.watched_writes;
      break;
  }
  return verdict;
}

FaultClass ShadowMmu::Implementation::map_missing(u64 linear, AccessType type) {
  for (unsigned round = 0; round < kRounds; ++round) {
    WalkTrace trace;
    const TranslateResult result =
        memory_.translate(context_, {linear}, {type, privilege_, false}, trace);
    if (std::holds_alternative<cpu::PageFault>(result)) return FaultClass::GuestFault;
    const Translation& translation = std::get<Translation>(result);
    const FaultClass verdict = can_map(translation, type);
    if (verdict != FaultClass::Mapped) return verdict;
    const Tracking tracking = track(trace, linear);
    if (tracking == Tracking::Impossible) return FaultClass::Device;
    if (tracking == Tracking::Changed) continue;
    if (install(*window_, linear, translation, trace)) return FaultClass::Mapped;
  }
  // The host has no room, or the tables never stay the same: access by access.
  return FaultClass::Device;
}

/// The verdict on a legal translation: whether what it leads to can be shown in a window.
FaultClass ShadowMmu::Implementation::can_map(const Translation& translation, AccessType type) {
  const PhysicalAddress page = memory_.mask_a20(translation.address).page();
  const auto backing = map_.backing(page);
  if (!backing.has_value() || !translation.readable) return FaultClass::Device;
  if (type != AccessType::Write) return FaultClass::Mapped;
  if (!backing->writable) return FaultClass::Device;
  if (!map_.watched(page)) return FaultClass::Mapped;
  tracker_.release(page);
  return map_.watched(page) ? FaultClass::Watched : FaultClass::Mapped;
}

/// Makes the current space depend on the entries, as memory has them now. `Changed`: the walk went
/// by something else.
ShadowMmu::Implementation::Tracking ShadowMmu::Implementation::track(const WalkTrace& trace,
                                                                     u64 linear) {
  for (unsigned level = 0; level < trace.count; ++level) {
    const unsigned slot =
        level == 0 ? current_->directory_slot(linear) : current_->table_slot(linear);
    const PhysicalAddress entry = memory_.mask_a20(trace.entries[level].address);
    TablePage* table = tracker_.attach(*current_, slot, entry.page(), changes_);
    if (table == nullptr) return Tracking::Impossible;
    tracker_.sync(*table, entry.page_offset(), changes_);
  }
  apply_changes();
  return tracked(trace, linear) ? Tracking::Done : Tracking::Changed;
}

bool ShadowMmu::Implementation::tracked(const WalkTrace& trace, u64 linear) const {
  constexpr u64 kAccessed = 1U << 5;
  constexpr u64 kDirty = 1U << 6;
  for (unsigned level = 0; level < trace.count; ++level) {
    const unsigned slot =
        level == 0 ? current_->directory_slot(linear) : current_->table_slot(linear);
    const PhysicalAddress entry = memory_.mask_a20(trace.entries[level].address);
    const TablePage* table = current_->tables[slot];
    if (table == nullptr || table->physical != entry.page()) return false;
    // One entry may serve two levels and get its dirty bit at the second. A ROM takes neither bit.
    u64 ignored = level + 1 == trace.count ? 0 : kDirty;
    if (!table->writable) ignored = kAccessed | kDirty;
    const u64 kept = table->entry(entry.page_offset(), trace.entry_size);
    if (((kept ^ trace.entries[level].value) & ~ignored) != 0) return false;
  }
  return true;
}

/// Maps the page and what belongs with it. False: nothing was mapped.
bool ShadowMmu::Implementation::install(HostWindow& window, u64 linear,
                                        const Translation& translation, const WalkTrace& trace) {
  PageRunFinder finder(map_, memory_, tracker_, window, limits_.pages_per_miss);
  TablePage* table = trace.count == 2 ? current_->tables[current_->table_slot(linear)] : nullptr;
  const auto run = finder.find(page_number(linear), translation, table, trace.entry_size, changes_);
  if (!changes_.empty()) {
    apply_changes();
    if (!tracked(trace, linear)) return false;
  }
  if (!run.has_value()) return false;
  if (!pool_.map(window, run->first, run->count, run->file_page, run->rights)) return false;
  counted_.pages_mapped += run->count;
  return true;
}

TranslateResult ShadowMmu::Implementation::fetch(LinearAddress address) {
  const u64 linear = address.value & kLinearMask;
  for (unsigned round = 1;; ++round) {
    WalkTrace trace;
    const TranslateResult result =
        memory_.translate(context_, {linear}, {AccessType::Execute, privilege_, false}, trace);
    if (std::holds_alternative<cpu::PageFault>(result)) return result;
    const Tracking tracking = track(trace, linear);
    if (tracking == Tracking::Changed && round < kRounds) continue;
    if (tracking != Tracking::Done) current_->untracked_fetches = true;
    current_->fetched.insert(page_number(linear));
    tracker_.collect();
    return result;
  }
}

// --- INVLPG ---

void ShadowMmu::Implementation::invalidate_page(LinearAddress address) {
  if (current_ == nullptr || !current_->key.paging) return;
  const u64 linear = address.value & kLinearMask;
  const u32 page = page_number(linear);
  if (current_->untracked_fetches) {
    current_->untracked_fetches = false;
    report_all(*current_);
  }
  // What hasn't been read hasn't been used, and what hasn't changed needn't go.
  for (const unsigned slot : {current_->directory_slot(linear), current_->table_slot(linear)}) {
    TablePage* table = current_->tables[slot];
    if (table == nullptr) break;
    const u64 offset = (page - current_->first_page(slot)) / current_->pages_per_entry(slot) *
                       current_->entry_size();
    if (table->line_used(offset)) tracker_.sync(*table, offset, changes_);
  }
  replace_page(linear);
  apply_changes();
  settle();
  tracker_.collect();
}

/// Both entries on the way to the page have their accessed bit in memory, as last read.
bool ShadowMmu::Implementation::entries_are_accessed(u64 linear) const {
  constexpr u64 kUsed = 1U << 5 | 1U << 0;
  for (const unsigned slot : {current_->directory_slot(linear), current_->table_slot(linear)}) {
    const TablePage* table = current_->tables[slot];
    if (table == nullptr) return false;
    const u64 offset = (page_number(linear) - current_->first_page(slot)) /
                       current_->pages_per_entry(slot) * current_->entry_size();
    if (!table->line_used(offset)) return false;
    if ((table->entry(offset, current_->entry_size()) & kUsed) != kUsed) return false;
  }
  return true;
}

/// Where a page in use has a new translation (a copy on write was made), the next thing is an
/// access to it: putting the new page in the place of the old saves that fault. Only where that
/// shows in no accessed bit.
void ShadowMmu::Implementation::replace_page(u64 linear) {
  if (!entries_are_accessed(linear)) return;
  const u32 page = page_number(linear);
  const auto change = std::find_if(changes_.begin(), changes_.end(), [&](const TableChange& found) {
    return found.space == current_ && found.first == page && found.pages == 1 &&
           found.data == TableChange::Data::Drop;
  });
  if (change == changes_.end()) return;
  change->data = TableChange::Data::Nothing;
  for (unsigned kind = 0; kind < kWindowKinds; ++kind) {
    HostWindow* window = current_->windows[kind];
    if (window == nullptr || !window->mapped(page)) continue;
    if (!map_again(*window, linear)) window->unmap(page, 1);
  }
}

bool ShadowMmu::Implementation::map_again(HostWindow& window, u64 linear) {
  WalkTrace trace;
  const TranslateResult result =
      memory_.translate(context_of(context_, window.kind()), {linear},
                        {AccessType::Read, privilege_of(window.kind()), false}, trace);
  if (!std::holds_alternative<Translation>(result)) return false;
  const Translation& translation = std::get<Translation>(result);
  if (can_map(translation, AccessType::Read) != FaultClass::Mapped) return false;
  if (track(trace, linear) != Tracking::Done) return false;
  return install(window, linear, translation, trace);
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
  limits.windows = std::max<u32>(limits.windows, 1);
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
  implementation_->on_remapped();
}
ShadowStatistics ShadowMmu::statistics() const {
  return implementation_->statistics();
}

}  // namespace ringshift::mmu
