#include "mmu/guest_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ringshift::mmu {

namespace {

constexpr u64 round_up_to_pages(u64 size) {
  return (size + kPageMask) & ~kPageMask;
}

Error host_error(std::string_view what) {
  return Error{"guest memory: " + std::string(what) + ": " + std::strerror(errno)};
}

}  // namespace

Result<GuestMemory> GuestMemory::create(u64 capacity) {
  const u64 size = round_up_to_pages(capacity);
  if (size == 0 || size < capacity) return Error{"guest memory: bad capacity"};
  const int file = memfd_create("ringshift-guest-memory", MFD_CLOEXEC);
  if (file < 0) return host_error("can't create its file");
  if (ftruncate(file, static_cast<off_t>(size)) != 0) {
    const Error error = host_error("can't reserve " + std::to_string(size >> 20) + " MiB");
    close(file);
    return error;
  }
  void* host = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (host == MAP_FAILED) {
    const Error error = host_error("can't map " + std::to_string(size >> 20) + " MiB");
    close(file);
    return error;
  }
  return GuestMemory(file, static_cast<u8*>(host), size);
}

GuestMemory::~GuestMemory() {
  if (host_ != nullptr) munmap(host_, capacity_);
  if (file_ >= 0) close(file_);
}

GuestMemory::GuestMemory(GuestMemory&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      host_(std::exchange(other.host_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      used_(std::exchange(other.used_, 0)) {}

Result<MemoryBlock> GuestMemory::allocate(u64 size, std::string_view name) {
  const u64 rounded = round_up_to_pages(size);
  if (rounded < size || rounded > capacity_ - used_) {
    return Error{"guest memory: no room for " + std::string(name) + " (" + std::to_string(size) +
                 " bytes wanted, " + std::to_string(capacity_ - used_) + " left)"};
  }
  const MemoryBlock block{host_ + used_, rounded, used_};
  used_ += rounded;
  return block;
}

u64 GuestMemory::resident() const {
  // A memfd has blocks only for the pages that were touched.
  struct stat status {};
  if (fstat(file_, &status) != 0) return 0;
  return static_cast<u64>(status.st_blocks) * 512;
}

}  // namespace ringshift::mmu
