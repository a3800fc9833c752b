// Where a page of guest memory is mapped writable: who starts to watch it (code, page tables)
// takes that right away from every window at once. Entries are never removed when a mapping goes;
// they are checked against the window when they are used, and swept when too many are stale.
#pragma once

#include <vector>

#include "cpu/types.h"
#include "mmu/shadow/host_window.h"

namespace ringshift::mmu {

class WritableMappings {
 public:
  struct Place {
    HostWindow* window = nullptr;
    u32 page = 0;
  };

  /// Gives the window its id. It must `leave` before it dies.
  void enter(HostWindow& window);
  void leave(const HostWindow& window) { windows_[window.id] = nullptr; }

  /// The window shows `count` file pages from `file_page` writable at `first`.
  void add(const HostWindow& window, u32 first, u32 file_page, u32 count);
  /// Appends every place where the page is writable now; some may appear twice.
  void find(u32 file_page, std::vector<Place>& places);

 private:
  /// Runs longer than this are kept as extents, by the pieces of the file that they touch.
  static constexpr u32 kSinglesAtMost = 4;
  static constexpr unsigned kPieceBits = 9;

  struct Single {
    u32 window = 0;
    u32 page = 0;
    u32 next = 0;  ///< in singles_; 0 ends the list
  };
  struct Extent {
    u32 window = 0;
    u32 first = 0;
    u32 file_page = 0;
    u32 count = 0;
    friend bool operator==(const Extent&, const Extent&) = default;
  };
  struct Piece {
    std::vector<Extent> extents;
    std::size_t sweep_at = 32;
  };

  HostWindow* window_showing(u32 window, u32 page, u32 file_page) const;
  void add_single(u32 window, u32 page, u32 file_page);
  void add_extent(u32 piece, const Extent& extent);
  bool alive(const Extent& extent) const;
  void sweep_singles();

  std::vector<HostWindow*> windows_;
  std::vector<u32> first_single_;             ///< by file page
  std::vector<Single> singles_ = {Single{}};  ///< number 0 is none
  std::vector<u32> free_singles_;
  std::size_t sweep_singles_at_ = 16384;
  std::vector<Piece> pieces_;
};

}  // namespace ringshift::mmu
