#include <algorithm>
#include <array>

#include "mmu/shadow/page_run.h"
#include "mmu/shadow/shadow_implementation.h"

namespace ringshift::mmu {

namespace {

using cpu::AccessType;
using cpu::TranslateResult;
using cpu::Translation;

/// Walks that a table changing under them may cost.
constexpr unsigned kRounds = 8;

u32 page_number(u64 linear) {
  return static_cast<u32>(linear >> kPageShift);
}

}  // namespace

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
  PageRunFinder finder(map_, memory_, tracker_, window, current_->restless, limits_.pages_per_miss);
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
  for (const TableChange& change : changes_) {
    const bool ended = change.space == current_ && change.data == TableChange::Data::Drop;
    if (ended && change.pages == 1) current_->restless.insert(change.first);
  }
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

}  // namespace ringshift::mmu
