#include "mmu/shadow/page_run.h"

#include <algorithm>

namespace ringshift::mmu {

namespace {

constexpr u64 kWritable = 1U << 1;
constexpr u64 kDirty = 1U << 6;
/// PWT, PCD, PAT, G and the three bits that belong to the system: no part of a translation.
constexpr u64 kNoMatter = 1U << 3 | 1U << 4 | 1U << 7 | 1U << 8 | 7U << 9;

/// Keeps [first, last] within the aligned block of `size` (a power of two) numbers around `number`,
/// where `number` belongs to `page`.
void stay_in_block(u32 page, u64 number, u64 size, u32& first, u32& last) {
  const u64 before = number & (size - 1);
  const u64 after = size - 1 - before;
  first = page - static_cast<u32>(std::min<u64>(page - first, before));
  last = page + static_cast<u32>(std::min<u64>(last - page, after));
}

}  // namespace

PageRunFinder::Bounds PageRunFinder::bounds(u32 page, const cpu::Translation& translation,
                                            const TablePage* table, unsigned entry_size) const {
  Bounds bounds{0, HostWindow::kPages - 1};
  const auto stay = [&](u64 number, u64 size) {
    stay_in_block(page, number, size, bounds.first, bounds.last);
  };
  const u64 frame = translation.address.frame();
  stay(page, most_pages_);
  stay(page, table != nullptr                    ? kPageSize / entry_size
             : translation.page_size > kPageSize ? translation.page_size >> kPageShift
                                                 : u64{HostWindow::kPages});
  // No carry into address bits that may be reserved, and none through a closed A20 gate.
  stay(frame, u64{1} << (32 - kPageShift));
  if (!memory_.a20()) stay(frame, u64{1} << (20 - kPageShift));
  return bounds;
}

std::optional<PageRun> PageRunFinder::find(u32 page, const cpu::Translation& translation,
                                           TablePage* table, unsigned entry_size,
                                           TableChanges& changes) {
  const Bounds limits = bounds(page, translation, table, entry_size);
  const u32 entries = table == nullptr ? 1 : static_cast<u32>(kPageSize / entry_size);
  const auto offset_of = [&](u32 number) { return u64{number % entries} * entry_size; };
  const u64 here = table == nullptr ? 0 : table->entry(offset_of(page), entry_size);
  u64 no_matter = kNoMatter;
  if (!translation.writable && (here & kWritable) == 0) no_matter |= kDirty;
  u64 synced_line = offset_of(page) / TablePage::kLineSize;

  const auto continues = [&](u32 number) {
    if (window_.mapped(number) || restless_.contains(number)) return false;
    if (table == nullptr) return true;
    const u64 offset = offset_of(number);
    if (offset / TablePage::kLineSize != synced_line) {
      synced_line = offset / TablePage::kLineSize;
      tracker_.sync(*table, offset, changes);
    }
    const u64 expected = here + (u64{number} - u64{page}) * kPageSize;
    return ((table->entry(offset, entry_size) ^ expected) & ~no_matter) == 0;
  };
  u32 first = page;
  u32 last = page;
  while (last < limits.last && continues(last + 1)) ++last;
  while (first > limits.first && continues(first - 1)) --first;

  const PhysicalAddress middle = memory_.mask_a20(translation.address).page();
  const PhysicalAddress lowest{middle.value - (u64{page - first} << kPageShift)};
  const PhysicalAddress end{middle.value + (u64{last - page + 1} << kPageShift)};
  const auto backing = map_.backing_run(
      middle, lowest, end,
      translation.writable ? MemoryMap::RunKind::AlikeForWrites : MemoryMap::RunKind::IgnoreWrites);
  if (!backing.has_value()) return std::nullopt;
  const u32 before = static_cast<u32>((middle.value - backing->first.value) >> kPageShift);
  return PageRun{
      page - before, static_cast<u32>(backing->pages),
      static_cast<u32>(backing->file_offset >> kPageShift),
      translation.writable && backing->writable ? PageRights::ReadWrite : PageRights::Read};
}

}  // namespace ringshift::mmu
