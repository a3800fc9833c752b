// A guest address space: what its translations depend on, the windows that show it, and the guest
// tables that they were made from. Everything that differs only in what a privilege may do shares
// one space, so a table is tracked once for user, supervisor and every state of WP and SMAP.
#pragma once

#include <array>
#include <vector>

#include "cpu/memory_port.h"
#include "cpu/types.h"
#include "mmu/shadow/host_window.h"
#include "mmu/shadow/page_set.h"

namespace ringshift::mmu {

struct TablePage;
struct Space;

/// What translations depend on besides privilege, in a form that is equal when they are.
struct SpaceKey {
  explicit SpaceKey(const cpu::PagingContext& context);

  u64 root = 0;  ///< the table that CR3 names
  bool paging = false;
  bool pae = false;
  bool large_pages = false;  ///< CR4.PSE outside PAE
  bool no_execute = false;   ///< in PAE: bit 63 isn't reserved

  friend bool operator==(const SpaceKey&, const SpaceKey&) = default;
  std::size_t hash() const;
};

/// The windows of a space: who may do what.
inline constexpr unsigned kWindowKinds = 5;
/// User; supervisor by (WP, SMAP in force).
unsigned window_kind(const cpu::PagingContext& context, cpu::Privilege privilege);
cpu::Privilege privilege_of(unsigned kind);
/// `context` with WP and SMAP as in that kind of window.
cpu::PagingContext context_of(const cpu::PagingContext& context, unsigned kind);

/// What a changed table entry means for what was derived from it.
struct TableChange {
  enum class Data : u8 { Nothing, LosesWrite, Drop };

  Space* space = nullptr;
  u32 first = 0;  ///< linear page
  u32 pages = 0;
  Data data = Data::Nothing;
  bool code = false;  ///< fetches may give another answer
};
using TableChanges = std::vector<TableChange>;

/// The four PDPTEs as far as they matter; all 0 outside PAE. They belong to a space but don't name
/// it: systems that use a freed root again for the next process, with other directories for its
/// user part, thus find the kernel's part as they left it.
using DirectoryPointers = std::array<u64, 4>;
DirectoryPointers directory_pointers(const cpu::PagingContext& context);

struct Space {
  Space(const SpaceKey& space_key, u32 space_number);

  // Tables are named by slots: first the directories (PAE has four), then the table that each
  // directory entry points to.
  static constexpr unsigned kDirectorySlots = 4;
  unsigned directory_shift() const { return key.pae ? 21 : 22; }
  unsigned entry_size() const { return key.pae ? 8 : 4; }
  unsigned directory_slot(u64 linear) const {
    return key.pae ? static_cast<unsigned>(linear >> 30) : 0;
  }
  unsigned table_slot(u64 linear) const {
    return kDirectorySlots + static_cast<unsigned>(linear >> directory_shift());
  }
  static bool is_directory(unsigned slot) { return slot < kDirectorySlots; }
  /// The first linear page that the table in `slot` translates.
  u32 first_page(unsigned slot) const;
  /// Linear pages for each entry of the table in `slot`.
  u32 pages_per_entry(unsigned slot) const {
    return is_directory(slot) ? u32{1} << (directory_shift() - kPageShift) : 1;
  }
  u32 pages_of(unsigned slot) const {
    return static_cast<u32>(pages_per_entry(slot) * (kPageSize / entry_size()));
  }

  /// The table in `slot` isn't watched.
  void add_unsynced(unsigned slot);
  void remove_unsynced(unsigned slot);

  const SpaceKey key;
  const u32 number;
  DirectoryPointers pointers{};
  std::array<HostWindow*, kWindowKinds> windows{};
  std::vector<TablePage*> tables;  ///< by slot
  /// Slots whose tables aren't watched. A table may be there in many: a guest can have the same one
  /// in all slots of all spaces, so nothing here or in `places` is ever searched for.
  std::vector<u32> unsynced;
  struct Place {
    static constexpr u32 kNowhere = ~u32{0};
    u32 in_users = 0;  ///< of the table
    u32 in_unsynced = kNowhere;
  };
  std::vector<Place> places;  ///< by slot
  PageSet fetched;            ///< pages that `fetch` has answered for
  /// Pages whose mappings an INVLPG has ended: places for temporary mappings, not worth mapping
  /// ahead of their use.
  PageSet restless;
  /// Found while another space was current, or while code of this one may have been running.
  TableChanges pending;
  bool all_pending = false;        ///< more than that: everything may have changed
  bool untracked_fetches = false;  ///< code was found by tables in a device
  u64 validated = 0;               ///< the flush after which the tables were last checked
  u64 last_used = 0;
  u64 entered = 0;  ///< by the owner's count of entries
};

}  // namespace ringshift::mmu
