// The interpreter's software TLB: linear page to host pointer, so that an ordinary access costs a tag
// compare. Direct-mapped, one table per privilege; global entries survive a CR3 load.
#pragma once

#include <array>

#include "cpu/memory_port.h"
#include "cpu/types.h"

namespace ringshift::cpu {

struct TlbEntry {
  static constexpr u64 kInvalid = ~u64{0};
  // Linear page addresses for which the access may go straight through `host`; kInvalid otherwise.
  u64 read_tag = kInvalid;
  u64 write_tag = kInvalid;
  u64 execute_tag = kInvalid;
  // Linear page for which `physical` is valid with the rights below, host pointer or not.
  u64 page = kInvalid;
  u8* host = nullptr;  ///< host address of the page
  PhysicalAddress physical;
  bool readable = false, writable = false, executable = false, global = false;
};

class Tlb {
 public:
  static constexpr std::size_t kEntries = 1024;
  TlbEntry& entry(Privilege privilege, u64 linear) {
    return tables_[static_cast<u8>(privilege)][(linear >> kPageShift) % kEntries];
  }
  void flush(bool also_global);
  void flush_page(u64 linear);
  /// Drops write access through host pointers to this physical page (it holds code now).
  void protect_physical(PhysicalAddress page);

 private:
  std::array<std::array<TlbEntry, kEntries>, 2> tables_{};
};

}  // namespace ringshift::cpu
