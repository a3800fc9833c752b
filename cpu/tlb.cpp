#include "cpu/tlb.h"

#include <bit>

namespace ringshift::cpu {

template <typename Predicate>
void Tlb::drop_if(Predicate predicate) {
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    for (std::size_t word = 0; word < filled_[table].size(); ++word) {
      for (u64 left = filled_[table][word]; left != 0; left &= left - 1) {
        const unsigned bit = static_cast<unsigned>(std::countr_zero(left));
        TlbEntry& entry = tables_[table][word * 64 + bit];
        if (!predicate(entry)) continue;
        entry = TlbEntry{};
        filled_[table][word] &= ~(u64{1} << bit);
      }
    }
  }
}

void Tlb::flush(bool also_global) {
  drop_if([also_global](const TlbEntry& entry) { return also_global || !entry.global; });
}

void Tlb::flush_page(u64 linear) {
  for (const Privilege privilege : {Privilege::Supervisor, Privilege::User}) {
    TlbEntry& candidate = entry(privilege, linear);
    if (candidate.page == (linear & ~kPageMask)) candidate = TlbEntry{};
  }
}

void Tlb::forget_physical(PhysicalAddress page) {
  drop_if([page](const TlbEntry& entry) { return entry.physical == page; });
}

}  // namespace ringshift::cpu
