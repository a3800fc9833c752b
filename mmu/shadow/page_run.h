// How much one miss maps: the page, and its neighbours where the same mapping continues, because a
// system call costs the same for one page as for a thousand. Never a page whose accessed or dirty
// bit an access would still have to set.
#pragma once

#include <optional>

#include "cpu/memory_port.h"
#include "cpu/types.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "mmu/shadow/host_window.h"
#include "mmu/shadow/page_set.h"
#include "mmu/shadow/table_tracker.h"

namespace ringshift::mmu {

struct PageRun {
  u32 first = 0;
  u32 count = 0;
  u32 file_page = 0;
  PageRights rights = PageRights::Read;
};

class PageRunFinder {
 public:
  /// `most_pages` is a power of two.
  PageRunFinder(MemoryMap& map, const ProcessorMemory& memory, TableTracker& tracker,
                const HostWindow& window, const PageSet& restless, u32 most_pages)
      : map_(map),
        memory_(memory),
        tracker_(tracker),
        window_(window),
        restless_(restless),
        most_pages_(most_pages) {}

  /// What to map around `page`, which `translation` was found for; `table` is the one that holds
  /// its entry, null for a large page or without paging. Nothing: there is no memory.
  std::optional<PageRun> find(u32 page, const cpu::Translation& translation, TablePage* table,
                              unsigned entry_size, TableChanges& changes);

 private:
  struct Bounds {
    u32 first = 0;
    u32 last = 0;
  };
  Bounds bounds(u32 page, const cpu::Translation& translation, const TablePage* table,
                unsigned entry_size) const;

  MemoryMap& map_;
  const ProcessorMemory& memory_;
  TableTracker& tracker_;
  const HostWindow& window_;
  const PageSet& restless_;  ///< not to be mapped ahead
  u32 most_pages_;
};

}  // namespace ringshift::mmu
