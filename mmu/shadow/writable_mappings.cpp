#include "mmu/shadow/writable_mappings.h"

#include <algorithm>
#include <utility>

namespace ringshift::mmu {

void WritableMappings::enter(HostWindow& window) {
  const auto free = std::find(windows_.begin(), windows_.end(), nullptr);
  window.id = static_cast<u32>(free - windows_.begin());
  if (free == windows_.end()) {
    windows_.push_back(&window);
  } else {
    *free = &window;
  }
}

/// The window if it still shows the file page there, writable.
HostWindow* WritableMappings::window_showing(u32 window, u32 page, u32 file_page) const {
  HostWindow* candidate = windows_[window];
  if (candidate == nullptr || !candidate->maps(page, file_page) || !candidate->writable(page)) {
    return nullptr;
  }
  return candidate;
}

void WritableMappings::add(const HostWindow& window, u32 first, u32 file_page, u32 count) {
  if (count <= kSinglesAtMost) {
    for (u32 n = 0; n < count; ++n) add_single(window.id, first + n, file_page + n);
    return;
  }
  const u32 last_piece = (file_page + count - 1) >> kPieceBits;
  if (pieces_.size() <= last_piece) pieces_.resize(last_piece + 1);
  for (u32 piece = file_page >> kPieceBits; piece <= last_piece; ++piece) {
    add_extent(piece, {window.id, first, file_page, count});
  }
}

void WritableMappings::add_single(u32 window, u32 page, u32 file_page) {
  if (first_single_.size() <= file_page) {
    first_single_.resize(std::max<std::size_t>(file_page + 1, first_single_.size() * 2));
  }
  // A page that comes and goes is at the head of the list already.
  const Single& head = singles_[first_single_[file_page]];
  if (first_single_[file_page] != 0 && head.window == window && head.page == page) return;
  if (free_singles_.empty() && singles_.size() >= sweep_singles_at_) sweep_singles();
  u32 number = static_cast<u32>(singles_.size());
  if (free_singles_.empty()) {
    singles_.emplace_back();
  } else {
    number = free_singles_.back();
    free_singles_.pop_back();
  }
  singles_[number] = {window, page, first_single_[file_page]};
  first_single_[file_page] = number;
}

/// Drops the stale and the double. A page may be in very many places.
void WritableMappings::sweep_singles() {
  std::size_t kept = 0;
  std::vector<u32> alive;
  const auto place = [this](u32 number) {
    return std::pair(singles_[number].window, singles_[number].page);
  };
  for (u32 file_page = 0; file_page < first_single_.size(); ++file_page) {
    alive.clear();
    for (u32 number = first_single_[file_page]; number != 0; number = singles_[number].next) {
      const Single& single = singles_[number];
      const bool shown = window_showing(single.window, single.page, file_page) != nullptr;
      (shown ? alive : free_singles_).push_back(number);
    }
    std::sort(alive.begin(), alive.end(),
              [&](u32 left, u32 right) { return place(left) < place(right); });
    u32* link = &first_single_[file_page];
    for (std::size_t n = 0; n < alive.size(); ++n) {
      if (n != 0 && place(alive[n]) == place(alive[n - 1])) {
        free_singles_.push_back(alive[n]);
        continue;
      }
      *link = alive[n];
      link = &singles_[alive[n]].next;
      ++kept;
    }
    *link = 0;
  }
  sweep_singles_at_ = std::max<std::size_t>(16384, 2 * kept);
}

bool WritableMappings::alive(const Extent& extent) const {
  for (u32 n = 0; n < extent.count; ++n) {
    if (window_showing(extent.window, extent.first + n, extent.file_page + n) != nullptr) {
      return true;
    }
  }
  return false;
}

void WritableMappings::add_extent(u32 number, const Extent& extent) {
  Piece& piece = pieces_[number];
  if (std::find(piece.extents.begin(), piece.extents.end(), extent) != piece.extents.end()) return;
  if (piece.extents.size() >= piece.sweep_at) {
    std::erase_if(piece.extents, [&](const Extent& old) { return !alive(old); });
    piece.sweep_at = std::max<std::size_t>(32, 2 * piece.extents.size());
  }
  piece.extents.push_back(extent);
}

void WritableMappings::find(u32 file_page, std::vector<Place>& places) {
  if (file_page < first_single_.size()) {
    for (u32 number = first_single_[file_page]; number != 0; number = singles_[number].next) {
      const Single& single = singles_[number];
      HostWindow* window = window_showing(single.window, single.page, file_page);
      if (window != nullptr) places.push_back({window, single.page});
    }
  }
  if ((file_page >> kPieceBits) >= pieces_.size()) return;
  for (const Extent& extent : pieces_[file_page >> kPieceBits].extents) {
    const u32 offset = file_page - extent.file_page;
    if (offset >= extent.count) continue;
    HostWindow* window = window_showing(extent.window, extent.first + offset, file_page);
    if (window != nullptr) places.push_back({window, extent.first + offset});
  }
}

}  // namespace ringshift::mmu
