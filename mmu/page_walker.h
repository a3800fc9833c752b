// The guest's page tables, read the way the processor reads them: one function from the paging
// controls and a linear address to a translation or the exact page fault. It is pure but for the
// accessed and dirty bits, which it sets in the tables; whoever wants translations (interpreter,
// shadow spaces, a debugger) calls the same one.
#pragma once

#include <array>

#include "cpu/memory_port.h"
#include "cpu/types.h"

namespace ringshift::mmu {

/// How the walk reaches the tables: through the A20 gate and the physical map.
class TableMemory {
 public:
  virtual ~TableMemory() = default;
  /// `size` is 4 or 8; the address is naturally aligned.
  virtual u64 read_entry(PhysicalAddress address, unsigned size) = 0;
  /// Stores `desired` if the entry is still `expected`; false if it isn't.
  virtual bool compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                                      unsigned size) = 0;
};

/// The processor model's part in paging.
struct PagingModel {
  unsigned physical_address_bits = 36;  ///< MAXPHYADDR: bits above are reserved in entries
  bool gigabyte_pages = false;          ///< CPUID.80000001H:EDX.Page1GB
};

/// The entries that a successful walk went through, from the top, as they are in memory after it.
struct WalkTrace {
  struct Entry {
    PhysicalAddress address;  ///< before the A20 gate
    u64 value = 0;
  };
  unsigned count = 0;
  unsigned entry_size = 4;
  std::array<Entry, 4> entries{};
};

/// SDM 3A chapter 4: 32-bit, PAE and 4-level paging with every right, reserved-bit check and A/D
/// update. In PAE mode the PDPTEs come from the context, where MOV CR3 has checked them.
cpu::TranslateResult walk_page_tables(const cpu::PagingContext& context, LinearAddress linear,
                                      cpu::PageAccess access, const PagingModel& model,
                                      TableMemory& tables, WalkTrace* trace = nullptr);

}  // namespace ringshift::mmu
