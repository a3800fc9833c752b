// The interpreter's software TLB: linear page to host pointer, so that an ordinary access costs a
// tag compare. Direct-mapped, one table per privilege; global entries survive a CR3 load.
#pragma once

#include <array>

#include "cpu/memory_port.h"
#include "cpu/types.h"

namespace ringshift::cpu {

struct alignas(64) TlbEntry {
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
  /// Must be called when `entry(privilege, linear)` is filled: flushes look only at filled entries.
  void mark_filled(Privilege privilege, u64 linear) {
    const std::size_t index = (linear >> kPageShift) % kEntries;
    filled_[static_cast<u8>(privilege)][index / 64] |= u64{1} << (index % 64);
  }
  void flush(bool also_global);
  void flush_page(u64 linear);
  /// Drops what is known of this physical page (it holds code now, or no longer does), so that the
  /// next access asks for its host pointers again.
  void forget_physical(PhysicalAddress page);

 private:
  template <typename Predicate>
  void drop_if(Predicate predicate);

  std::array<std::array<TlbEntry, kEntries>, 2> tables_{};
  std::array<std::array<u64, kEntries / 64>, 2> filled_{};
};

}  // namespace ringshift::cpu
