#include "cpu/host_unit/code_area.h"

#include <cpuid.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ringshift::cpu {
namespace {

[[noreturn]] void refuse(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

CodeArea::CodeArea(std::size_t capacity) : capacity_((capacity + kPageMask) & ~kPageMask) {
  const int file = memfd_create("ringshift-host-unit", MFD_CLOEXEC);
  if (file < 0) refuse("memory for generated code (memfd_create)");
  if (ftruncate(file, static_cast<off_t>(capacity_)) != 0) refuse("memory for generated code");
  void* writable = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* executable = mmap(nullptr, capacity_, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  if (writable == MAP_FAILED || executable == MAP_FAILED) {
    refuse("memory for generated code (mmap)");
  }
  close(file);
  writable_ = static_cast<u8*>(writable);
  executable_ = static_cast<const u8*>(executable);
}

CodeArea::~CodeArea() {
  munmap(writable_, capacity_);
  munmap(const_cast<u8*>(executable_), capacity_);
}

const u8* CodeArea::append(std::span<const u8> code) {
  constexpr std::size_t kAlignment = 64;  // a line of the instruction cache
  if (code.size() > capacity_ - used_) return nullptr;
  const u8* address = executable_ + used_;
  std::memcpy(writable_ + used_, code.data(), code.size());
  used_ += (code.size() + kAlignment - 1) & ~(kAlignment - 1);
  if (used_ > capacity_) used_ = capacity_;
  return address;
}

void CodeArea::clear() {
  used_ = 0;
  // Code changed through another linear address than it runs at needs a serializing instruction
  // between the old and the new (SDM 3A §8.1.3). Here is one place for all that will be placed
  // where there was code; the processors snoop writes by physical address anyway.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __cpuid(0, eax, ebx, ecx, edx);
}

}  // namespace ringshift::cpu
