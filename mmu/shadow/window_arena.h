// Where windows lie in this process. A window is mostly holes, and mapping the holes would double
// the host mappings it costs, so its range is reserved by place: far from where the host puts
// anything by itself, checked to be empty when it is taken, and held by one page behind it.
#pragma once

#include <optional>
#include <vector>

#include "cpu/types.h"

namespace ringshift::mmu {

class WindowArena {
 public:
  static constexpr u64 kWindowSize = u64{1} << 32;

  WindowArena() = default;
  ~WindowArena();
  WindowArena(const WindowArena&) = delete;
  WindowArena& operator=(const WindowArena&) = delete;

  /// The base of an empty window with at least 2 GiB of nothing before it and 56 GiB behind it, so
  /// that an address made of a scaled 32-bit register and a displacement hits nothing else. Nothing
  /// when the arena is used up or the host has no mapping left.
  std::optional<u64> take();
  /// The window is empty again.
  void give_back(u64 base) { free_.push_back(base); }

 private:
  /// Beyond the sanitizers' heaps below and under the lowest place of mmap's legacy layout, which
  /// begins at a third of the address space (2AAA'AAAA'A000h).
  static constexpr u64 kFirst = 0x1100'0000'0000;
  static constexpr u64 kEnd = 0x2A00'0000'0000;
  static constexpr u64 kStride = 16 * kWindowSize;

  std::vector<u64> taken_;  ///< all that are held, in use or free
  std::vector<u64> free_;
  u64 next_ = kFirst;
};

}  // namespace ringshift::mmu
