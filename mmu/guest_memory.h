// All memory that a guest may see as memory (RAM, ROM images, video memory) lives in one memfd, so
// that any page of it can be mapped anywhere else in the process: the shadow MMU's windows are
// built from it. Pages never touched cost nothing.
#pragma once

#include <span>
#include <string_view>

#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::mmu {

/// A page-aligned piece of the guest memory file with its address in this process.
struct MemoryBlock {
  u8* host = nullptr;
  u64 size = 0;
  u64 file_offset = 0;

  std::span<u8> bytes() const { return {host, size}; }
};

class GuestMemory {
 public:
  /// Reserves a file of `capacity` bytes (rounded up to pages) and maps it. Fails with one clear
  /// line when the host can't provide it.
  static Result<GuestMemory> create(u64 capacity);
  ~GuestMemory();
  GuestMemory(GuestMemory&& other) noexcept;
  GuestMemory& operator=(GuestMemory&&) = delete;

  /// Hands out the next `size` bytes (rounded up to pages), zero-filled.
  Result<MemoryBlock> allocate(u64 size, std::string_view name);
  int file() const { return file_; }
  /// Bytes of it that the host holds in memory now.
  u64 resident() const;

 private:
  GuestMemory(int file, u8* host, u64 capacity) : file_(file), host_(host), capacity_(capacity) {}
  int file_ = -1;
  u8* host_ = nullptr;
  u64 capacity_ = 0;
  u64 used_ = 0;
};

}  // namespace ringshift::mmu
