// Memory for code that the monitor writes at run time. The same pages are mapped twice: once to be
// written, once to be executed, never both at one address, so that a stray write can't become code
// and hosts that forbid writable code are satisfied.
#pragma once

#include <span>

#include "cpu/types.h"

namespace ringshift::cpu {

class CodeArea {
 public:
  /// `capacity` bytes, rounded up to pages. Aborts when the host refuses memory for code, because
  /// the processor can't do without.
  explicit CodeArea(std::size_t capacity);
  ~CodeArea();
  CodeArea(const CodeArea&) = delete;
  CodeArea& operator=(const CodeArea&) = delete;

  /// Copies `code` in and returns its executable address; null when the area is full.
  const u8* append(std::span<const u8> code);
  /// Where the next append() will place its code.
  const u8* next() const { return executable_ + used_; }
  /// The writable address of code that has been appended.
  u8* writable(const u8* executable) const { return writable_ + (executable - executable_); }
  /// Forgets all code. The caller makes sure that nobody keeps an address into it.
  void clear();
  bool contains(u64 address) const {
    return address - reinterpret_cast<u64>(executable_) < capacity_;
  }
  std::size_t used() const { return used_; }
  std::size_t capacity() const { return capacity_; }
  const u8* executable() const { return executable_; }

 private:
  std::size_t capacity_;
  std::size_t used_ = 0;
  u8* writable_ = nullptr;
  const u8* executable_ = nullptr;
};

}  // namespace ringshift::cpu
