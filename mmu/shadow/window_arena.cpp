#include "mmu/shadow/window_arena.h"

#include <sys/mman.h>

namespace ringshift::mmu {

namespace {

void* host_address(u64 address) {
  return reinterpret_cast<void*>(address);
}

/// The page directly behind a window; accesses that start at its end run into it.
constexpr u64 guard_of(u64 base) {
  return base + WindowArena::kWindowSize;
}

}  // namespace

WindowArena::~WindowArena() {
  for (const u64 base : taken_) munmap(host_address(guard_of(base)), kPageSize);
}

std::optional<u64> WindowArena::take() {
  if (!free_.empty()) {
    const u64 base = free_.back();
    free_.pop_back();
    return base;
  }
  // Windows are aligned to their size and stand in the middle of their stride, almost: what comes
  // before is the unused half of the stride before.
  for (; next_ + kStride <= kEnd; next_ += kStride) {
    void* wanted = host_address(next_);
    void* got = mmap(wanted, kStride, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) continue;  // somebody lives there: another machine in this process
    if (got != wanted) {              // a kernel that takes the flag for a hint
      munmap(got, kStride);
      continue;
    }
    const u64 base = next_;
    const u64 behind = guard_of(base) + kPageSize;
    if (munmap(wanted, kWindowSize) != 0 ||
        munmap(host_address(behind), base + kStride - behind) != 0) {
      munmap(wanted, kStride);
      return std::nullopt;
    }
    taken_.push_back(base);
    next_ += kStride;
    return base;
  }
  return std::nullopt;
}

}  // namespace ringshift::mmu
