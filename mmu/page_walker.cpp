#include "mmu/page_walker.h"

#include <algorithm>
#include <array>
#include <optional>

namespace ringshift::mmu {

namespace {

using cpu::AccessType;
using cpu::PageAccess;
using cpu::PageFault;
using cpu::PagingContext;
using cpu::Privilege;
using cpu::TranslateResult;
using cpu::Translation;

// Bits of a paging-structure entry. SDM 3A §4.3 to §4.5, tables 4-4 to 4-20.
constexpr u64 kPresent = 1U << 0;
constexpr u64 kWritable = 1U << 1;
constexpr u64 kUser = 1U << 2;
constexpr u64 kAccessed = 1U << 5;
constexpr u64 kDirty = 1U << 6;
constexpr u64 kLargePage = 1U << 7;
constexpr u64 kGlobal = 1U << 8;
constexpr u64 kExecuteDisable = u64{1} << 63;

// Bits of the error code. SDM 3A §4.7.
constexpr u32 kErrorProtection = 1U << 0;
constexpr u32 kErrorWrite = 1U << 1;
constexpr u32 kErrorUser = 1U << 2;
constexpr u32 kErrorReserved = 1U << 3;
constexpr u32 kErrorFetch = 1U << 4;

/// Bits low..high inclusive; empty when high < low.
constexpr u64 bits(unsigned low, unsigned high) {
  if (high < low) return 0;
  return (~u64{0} >> (63 - high)) & (~u64{0} << low);
}

/// An entry that the walk has used, to have its accessed bit set at the end.
using UsedEntry = WalkTrace::Entry;

/// What the levels add up to: the mapping before rights are judged.
struct Mapping {
  u64 base = 0;
  u64 page_size = kPageSize;
  bool writable = true;
  bool user = true;
  bool execute_disable = false;
  bool global = false;
  unsigned entry_size = 4;
  unsigned used_count = 0;
  std::array<UsedEntry, 4> used{};

  u64 leaf() const { return used[used_count - 1].value; }
};

enum class Stop : u8 { NotPresent, ReservedBit };

struct LevelOutcome {
  std::optional<Stop> stop;
  u64 entry = 0;
};

class Walk {
 public:
  Walk(const PagingContext& context, u64 linear, const PagingModel& model, TableMemory& tables)
      : context_(context), linear_(linear), model_(model), tables_(tables) {}

  /// Follows the tables to the page; nothing when `mapping` is complete.
  std::optional<Stop> follow(Mapping& mapping) {
    if (context_.long_mode) return follow_four_level(mapping);
    return context_.pae ? follow_pae(mapping) : follow_32_bit(mapping);
  }

 private:
  unsigned width() const { return std::clamp(model_.physical_address_bits, 32U, 52U); }
  u64 frame_mask() const { return bits(kPageShift, width() - 1); }

  /// Reads one entry, checks it against `reserved` and adds its rights to the mapping.
  std::optional<Stop> take(Mapping& mapping, u64 table, u64 index, u64 reserved) {
    const PhysicalAddress address{table + index * mapping.entry_size};
    const u64 entry = tables_.read_entry(address, mapping.entry_size);
    if ((entry & kPresent) == 0) return Stop::NotPresent;
    if ((entry & reserved) != 0) return Stop::ReservedBit;
    mapping.used[mapping.used_count++] = {address, entry};
    mapping.writable = mapping.writable && (entry & kWritable) != 0;
    mapping.user = mapping.user && (entry & kUser) != 0;
    if (mapping.entry_size == 8) {
      mapping.execute_disable = mapping.execute_disable || (entry & kExecuteDisable) != 0;
    }
    return std::nullopt;
  }

  void finish(Mapping& mapping, u64 base, u64 page_size) const {
    mapping.base = base;
    mapping.page_size = page_size;
    mapping.global = (mapping.leaf() & kGlobal) != 0;
  }

  /// SDM 3A §4.3.
  std::optional<Stop> follow_32_bit(Mapping& mapping) {
    mapping.entry_size = 4;
    if (const auto stop = take(mapping, context_.cr3 & bits(12, 31), linear_ >> 22, 0)) return stop;
    const u64 directory_entry = mapping.leaf();
    if (context_.page_size_extension && (directory_entry & kLargePage) != 0) {
      // PSE-36: bits 13 up hold the address above bit 31, what is beyond the model's width and bit
      // 21 are reserved. Table 4-4.
      const unsigned wide = std::min(width(), 40U);
      if ((directory_entry & bits(wide - 32 + 13, 21)) != 0) return Stop::ReservedBit;
      const u64 high = (directory_entry & bits(13, 20)) >> 13 << 32;
      finish(mapping, high | (directory_entry & bits(22, 31)), u64{1} << 22);
      return std::nullopt;
    }
    const u64 index = (linear_ >> 12) & 0x3FF;
    if (const auto stop = take(mapping, directory_entry & bits(12, 31), index, 0)) return stop;
    finish(mapping, mapping.leaf() & bits(12, 31), kPageSize);
    return std::nullopt;
  }

  /// The two lowest levels, which PAE and 4-level paging share. §4.4.2, §4.5.
  std::optional<Stop> follow_directory(Mapping& mapping, u64 directory, u64 reserved) {
    if (const auto stop = take(mapping, directory, (linear_ >> 21) & 0x1FF, reserved)) return stop;
    const u64 directory_entry = mapping.leaf();
    if ((directory_entry & kLargePage) != 0) {
      if ((directory_entry & bits(13, 20)) != 0) return Stop::ReservedBit;
      finish(mapping, directory_entry & frame_mask() & ~bits(0, 20), u64{1} << 21);
      return std::nullopt;
    }
    const u64 index = (linear_ >> 12) & 0x1FF;
    if (const auto stop = take(mapping, directory_entry & frame_mask(), index, reserved))
      return stop;
    finish(mapping, mapping.leaf() & frame_mask(), kPageSize);
    return std::nullopt;
  }

  u64 execute_disable_reserved() const { return context_.no_execute ? 0 : kExecuteDisable; }

  std::optional<Stop> follow_pae(Mapping& mapping) {
    mapping.entry_size = 8;
    const u64 pointer = context_.pdpte[(linear_ >> 30) & 3];
    if ((pointer & kPresent) == 0) return Stop::NotPresent;
    return follow_directory(mapping, pointer & frame_mask(),
                            bits(width(), 62) | execute_disable_reserved());
  }

  std::optional<Stop> follow_four_level(Mapping& mapping) {
    mapping.entry_size = 8;
    const u64 reserved = bits(width(), 51) | execute_disable_reserved();
    if (const auto stop = take(mapping, context_.cr3 & frame_mask(), (linear_ >> 39) & 0x1FF,
                               reserved | kLargePage)) {
      return stop;
    }
    const u64 pointer_reserved = reserved | (model_.gigabyte_pages ? 0 : kLargePage);
    if (const auto stop = take(mapping, mapping.leaf() & frame_mask(), (linear_ >> 30) & 0x1FF,
                               pointer_reserved)) {
      return stop;
    }
    const u64 pointer = mapping.leaf();
    if ((pointer & kLargePage) != 0) {
      if ((pointer & bits(13, 29)) != 0) return Stop::ReservedBit;
      finish(mapping, pointer & frame_mask() & ~bits(0, 29), u64{1} << 30);
      return std::nullopt;
    }
    return follow_directory(mapping, pointer & frame_mask(), reserved);
  }

  const PagingContext& context_;
  u64 linear_;
  const PagingModel& model_;
  TableMemory& tables_;
};

/// SDM 3A §4.6.1: may this kind of access be made through the mapping?
bool allowed(const PagingContext& context, const Mapping& mapping, PageAccess access) {
  if (access.type == AccessType::Execute) {
    if (mapping.execute_disable) return false;
    if (access.privilege == Privilege::User) return mapping.user;
    return !(mapping.user && context.smep);
  }
  const bool write = access.type == AccessType::Write;
  if (access.privilege == Privilege::User) return mapping.user && (!write || mapping.writable);
  if (mapping.user && context.smap && (access.implicit || !context.alignment_check_flag)) {
    return false;
  }
  return !write || mapping.writable || !context.write_protect;
}

u32 error_code(const PagingContext& context, PageAccess access) {
  u32 code = access.privilege == Privilege::User ? kErrorUser : 0;
  if (access.type == AccessType::Write) code |= kErrorWrite;
  const bool reports_fetches =
      context.smep || ((context.pae || context.long_mode) && context.no_execute);
  if (access.type == AccessType::Execute && reports_fetches) code |= kErrorFetch;
  return code;
}

/// Sets A in every entry used and D in the leaf of a write. False: an entry has changed under the
/// walk, which must start again. §4.8.
bool update_accessed_and_dirty(Mapping& mapping, AccessType type, TableMemory& tables) {
  for (unsigned level = 0; level < mapping.used_count; ++level) {
    UsedEntry& used = mapping.used[level];
    u64 wanted = used.value | kAccessed;
    if (level + 1 == mapping.used_count && type == AccessType::Write) wanted |= kDirty;
    if (wanted == used.value) continue;
    if (!tables.compare_exchange_entry(used.address, used.value, wanted, mapping.entry_size)) {
      return false;
    }
    used.value = wanted;
  }
  return true;
}

Translation identity(u64 linear) {
  return {{linear}, kPageSize, false, true, true, true};
}

Translation translation_of(const PagingContext& context, const Mapping& mapping, u64 linear,
                           PageAccess access) {
  const auto may = [&](AccessType type) {
    return allowed(context, mapping, {type, access.privilege, access.implicit});
  };
  Translation translation;
  translation.address = {mapping.base | (linear & (mapping.page_size - 1))};
  translation.page_size = mapping.page_size;
  translation.global = mapping.global && context.global_pages;
  translation.readable = may(AccessType::Read);
  translation.writable = may(AccessType::Write) && (mapping.leaf() & kDirty) != 0;
  translation.executable = may(AccessType::Execute);
  return translation;
}

}  // namespace

TranslateResult walk_page_tables(const PagingContext& context, LinearAddress address,
                                 PageAccess access, const PagingModel& model, TableMemory& tables,
                                 WalkTrace* trace) {
  if (trace != nullptr) *trace = {};
  const u64 linear = context.long_mode ? address.value : address.value & 0xFFFFFFFF;
  if (!context.paging) return identity(linear);
  // An entry can change under the walk: by another processor, or by the walk itself where a table
  // maps itself and one entry serves two levels. A few rounds settle it; the bound is for tables in
  // device memory, which may answer differently each time.
  constexpr unsigned kRounds = 64;
  for (unsigned round = 1;; ++round) {
    Mapping mapping;
    const auto stop = Walk(context, linear, model, tables).follow(mapping);
    const u32 code = error_code(context, access);
    if (stop == Stop::NotPresent) return PageFault{code};
    if (stop == Stop::ReservedBit) return PageFault{code | kErrorProtection | kErrorReserved};
    if (!allowed(context, mapping, access)) return PageFault{code | kErrorProtection};
    if (update_accessed_and_dirty(mapping, access.type, tables) || round == kRounds) {
      if (trace != nullptr) *trace = {mapping.used_count, mapping.entry_size, mapping.used};
      return translation_of(context, mapping, linear, access);
    }
  }
}

}  // namespace ringshift::mmu
