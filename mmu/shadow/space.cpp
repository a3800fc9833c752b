#include "mmu/shadow/space.h"

namespace ringshift::mmu {

namespace {

constexpr u64 kPresent = 1;
constexpr u64 kLegacyRoot = 0xFFFFF000;               // SDM 3A table 4-3
constexpr u64 kPaeRoot = 0xFFFFFFE0;                  // table 4-7
constexpr u64 kPointerFrame = 0x000F'FFFF'FFFF'F000;  // table 4-8

constexpr unsigned kUserKind = 0;
constexpr unsigned kSupervisorKinds = 1;
constexpr unsigned kWriteProtectBit = 1;
constexpr unsigned kSmapBit = 2;

}  // namespace

SpaceKey::SpaceKey(const cpu::PagingContext& context) : paging(context.paging) {
  if (!paging) return;
  pae = context.pae;
  root = context.cr3 & (pae ? kPaeRoot : kLegacyRoot);
  large_pages = !pae && context.page_size_extension;
  no_execute = pae && context.no_execute;
}

std::size_t SpaceKey::hash() const {
  const u64 flags = u64{paging} | u64{pae} << 1 | u64{large_pages} << 2 | u64{no_execute} << 3;
  const u64 mixed = (root | flags) * 0x9E3779B97F4A7C15;
  return mixed ^ (mixed >> 32);
}

DirectoryPointers directory_pointers(const cpu::PagingContext& context) {
  DirectoryPointers pointers{};
  if (!context.paging || !context.pae) return pointers;
  for (std::size_t n = 0; n < pointers.size(); ++n) {
    const u64 pointer = context.pdpte[n];
    pointers[n] = (pointer & kPresent) != 0 ? (pointer & kPointerFrame) | kPresent : 0;
  }
  return pointers;
}

unsigned window_kind(const cpu::PagingContext& context, cpu::Privilege privilege) {
  if (privilege == cpu::Privilege::User) return kUserKind;
  unsigned bits = 0;
  if (context.write_protect) bits |= kWriteProtectBit;
  if (context.smap && !context.alignment_check_flag) bits |= kSmapBit;
  // Without paging there are no rights to differ in.
  return kSupervisorKinds + (context.paging ? bits : 0);
}

cpu::Privilege privilege_of(unsigned kind) {
  return kind == kUserKind ? cpu::Privilege::User : cpu::Privilege::Supervisor;
}

cpu::PagingContext context_of(const cpu::PagingContext& context, unsigned kind) {
  cpu::PagingContext other = context;
  if (kind == kUserKind) return other;
  other.write_protect = ((kind - kSupervisorKinds) & kWriteProtectBit) != 0;
  other.smap = ((kind - kSupervisorKinds) & kSmapBit) != 0;
  other.alignment_check_flag = false;
  return other;
}

Space::Space(const SpaceKey& space_key, u32 space_number) : key(space_key), number(space_number) {
  if (!key.paging) return;
  tables.resize(kDirectorySlots + (u64{1} << (32 - directory_shift())));
  places.resize(tables.size());
}

u32 Space::first_page(unsigned slot) const {
  if (is_directory(slot)) return slot << (30 - kPageShift);
  return (slot - kDirectorySlots) << (directory_shift() - kPageShift);
}

void Space::add_unsynced(unsigned slot) {
  places[slot].in_unsynced = static_cast<u32>(unsynced.size());
  unsynced.push_back(slot);
}

void Space::remove_unsynced(unsigned slot) {
  const u32 at = places[slot].in_unsynced;
  if (at == Place::kNowhere) return;
  const u32 last = unsynced.back();
  unsynced[at] = last;
  places[last].in_unsynced = at;
  unsynced.pop_back();
  places[slot].in_unsynced = Place::kNowhere;
}

}  // namespace ringshift::mmu
