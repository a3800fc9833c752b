// All windows of all spaces, within what the host allows: it makes them, finds room for what is
// mapped in them by giving up those used longest ago, and knows where a page is writable.
#pragma once

#include <memory>
#include <vector>

#include "cpu/types.h"
#include "mmu/shadow/host_window.h"
#include "mmu/shadow/shadow_mmu.h"
#include "mmu/shadow/space.h"
#include "mmu/shadow/window_arena.h"
#include "mmu/shadow/writable_mappings.h"

namespace ringshift::mmu {

class WindowPool {
 public:
  WindowPool(int file, const ShadowLimits& limits) : file_(file), limits_(limits) {}
  ~WindowPool();
  WindowPool(const WindowPool&) = delete;
  WindowPool& operator=(const WindowPool&) = delete;

  /// Whether the host has a place for a window at all.
  bool works();

  /// The window of that kind, made if it isn't there; in use from now on, and the one before isn't
  /// any more. Another one, of any space, may be given up for it.
  HostWindow& open(Space& space, unsigned kind);
  void drop(Space& space);
  /// As HostWindow::map, giving up other windows where the host has no room, and at last what this
  /// one shows.
  [[nodiscard]] bool map(HostWindow& window, u32 first, u32 count, u32 file_page,
                         PageRights rights);
  /// Every place where the page of the file is writable now; some may appear twice.
  void find_writable(u32 file_page, std::vector<WritableMappings::Place>& places) {
    writable_.find(file_page, places);
  }

  std::size_t size() const { return windows_.size(); }
  u64 evictions() const { return evictions_; }
  const HostUsage& usage() const { return usage_; }

 private:
  struct Held {
    std::unique_ptr<HostWindow> window;
    Space* space = nullptr;
  };
  enum class Victim : u8 { Any, WithMappings };

  void close(std::size_t index);
  bool evict(Victim kind, const HostWindow* keep, const HostWindow* keep_too);

  int file_;
  const ShadowLimits limits_;
  u64 clock_ = 0;
  const HostWindow* newest_ = nullptr;  ///< opened last: somebody is in it
  u64 evictions_ = 0;
  HostUsage usage_;
  WindowArena arena_;
  WritableMappings writable_;
  std::vector<Held> windows_;
};

}  // namespace ringshift::mmu
