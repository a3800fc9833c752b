#include "cpu/memory_access.h"

#include <algorithm>

namespace ringshift::cpu {

namespace {

/// The alignment that #AC demands of an access. SDM 3A §6.15 table 6-7. Vectors of 16 and 32 bytes
/// are not in the table: they fault with #GP or not at all.
unsigned demanded_alignment(unsigned length) {
  switch (length) {
    case 2:
      return 2;
    case 4:
      return 4;
    case 8:
      return 8;
    case 10:
      return 8;  // double extended precision
    case 14:
      return 2;  // 16-bit FPU environment
    case 94:
      return 2;  // 16-bit FPU state
    case 28:
      return 4;  // 32-bit FPU environment
    case 108:
      return 4;  // 32-bit FPU state
    case 1:
      return 1;
    default:
      return 1;
  }
}

bool breakpoints_enabled(const State& state) {
  return (state.dr[7] & 0xFF) != 0;
}

/// Whether an enabled data breakpoint lies in this page, so that no access may bypass the check.
bool page_has_data_breakpoint(const State& state, u64 page) {
  if (!breakpoints_enabled(state)) return false;
  for (unsigned i = 0; i < 4; ++i) {
    const bool enabled = ((state.dr[7] >> (2 * i)) & 3) != 0;
    const bool data = ((state.dr[7] >> (16 + 4 * i)) & 1) != 0;  // R/W = 01 or 11
    if (enabled && data && (state.dr[i] & ~kPageMask) == page) return true;
  }
  return false;
}

u64 wrap(const State& state, u64 linear) {
  return (state.efer & efer::LMA) != 0 ? linear : linear & 0xFFFF'FFFF;
}

unsigned bytes_in_page(u64 linear, unsigned length) {
  return static_cast<unsigned>(std::min<u64>(length, kPageSize - (linear & kPageMask)));
}

bool permits(const TlbEntry& entry, AccessType type) {
  switch (type) {
    case AccessType::Read:
      return entry.readable;
    case AccessType::Write:
      return entry.writable;
    case AccessType::Execute:
      return entry.executable;
  }
  return false;
}

}  // namespace

PagingContext Processor::paging_context() const {
  PagingContext context;
  context.cr3 = state.cr3;
  context.pdpte = state.pdpte;
  context.paging = (state.cr0 & cr0::PG) != 0;
  context.pae = (state.cr4 & cr4::PAE) != 0;
  context.long_mode = (state.efer & efer::LMA) != 0;
  context.page_size_extension = (state.cr4 & cr4::PSE) != 0;
  context.write_protect = (state.cr0 & cr0::WP) != 0;
  context.no_execute = (state.efer & efer::NXE) != 0;
  context.smep = (state.cr4 & cr4::SMEP) != 0;
  context.smap = (state.cr4 & cr4::SMAP) != 0;
  context.alignment_check_flag = state.flag(eflags::AC);
  context.global_pages = (state.cr4 & cr4::PGE) != 0;
  return context;
}

void Processor::flush_tlb(bool also_global) {
  tlb_.flush(also_global);
  if (code_cache_ != nullptr) code_cache_->translations_changed();
}

void Processor::flush_tlb_page(u64 linear) {
  tlb_.flush_page(linear);
  if (code_cache_ != nullptr) code_cache_->page_translation_changed(linear);
}

GuestResult<const TlbEntry*> Processor::fill_tlb(u64 linear, PageAccess access) {
  const u64 page = linear & ~kPageMask;
  TlbEntry& entry = tlb_.entry(access.privilege, page);
  if (entry.page == page && permits(entry, access.type)) return &entry;

  const PagingContext context = paging_context();
  Translation translation;
  if (context.paging) {
    const TranslateResult result =
        memory_.translate(context, {page | (linear & kPageMask)}, access);
    if (const PageFault* fault = std::get_if<PageFault>(&result)) {
      return raise_page_fault(linear, fault->error_code);
    }
    translation = std::get<Translation>(result);
  } else {
    translation.address = {linear};
    translation.readable = translation.writable = translation.executable = true;
  }
  entry = TlbEntry{};
  entry.physical = memory_.mask_a20(translation.address.page());
  entry.readable = translation.readable;
  entry.writable = translation.writable;
  entry.executable = translation.executable;
  entry.global = translation.global && context.global_pages;
  // While EFLAGS.AC suspends SMAP, what an explicit supervisor access may do is not what the next
  // one may, and the flag changes too often to flush for it: such translations aren't kept.
  const bool suspended = context.smap && context.alignment_check_flag && !access.implicit &&
                         access.privilege == Privilege::Supervisor;
  if (suspended) return &entry;
  entry.page = page;
  const HostPage host = memory_.host_page(entry.physical);
  if (host.read != nullptr) {
    // The writable alias of the same bytes; without it nothing writes through `host`.
    entry.host = host.write != nullptr ? host.write : const_cast<u8*>(host.read);  // NOLINT
    const bool watched_data = page_has_data_breakpoint(state, page);
    if (entry.readable && !watched_data) entry.read_tag = page;
    if (entry.writable && host.write == entry.host && !watched_data) entry.write_tag = page;
  }
  if (entry.executable) entry.execute_tag = page;
  tlb_.mark_filled(access.privilege, page);
  return &entry;
}

GuestResult<PhysicalAddress> Processor::translate(u64 linear, PageAccess access) {
  linear = wrap(state, linear);
  const TlbEntry* entry = GUEST_TRY(fill_tlb(linear, access));
  return entry->physical + (linear & kPageMask);
}

GuestResult<u64> Processor::linear_address(SegmentName name, u64 offset, unsigned length,
                                           AccessType type) {
  const SegmentRegister& segment = state.segment(name);
  const auto violation = [&]() {
    return raise(name == SegmentName::SS ? Vector::StackFault : Vector::GeneralProtection, 0);
  };
  // SDM 3A §5.3 and §5.4; real-address and virtual-8086 mode check limits only.
  if (!state.real_selectors()) {
    if (!segment.present || !segment.code_or_data) return violation();
    if (type == AccessType::Write && !segment.writable())
      return raise(Vector::GeneralProtection, 0);
    if (type == AccessType::Read && !segment.readable()) return raise(Vector::GeneralProtection, 0);
  }
  const u64 last = offset + (length - 1);
  if (segment.expand_down()) {
    const u64 top = segment.big ? 0xFFFF'FFFF : 0xFFFF;
    if (offset <= segment.limit || last > top) return violation();
  } else if (last > segment.limit && segment.limit != 0xFFFF'FFFF) {
    // (In a segment of 4 GiB every offset is legal, and an operand at its end wraps around.)
    return violation();
  }
  return wrap(state, segment.base + offset);
}

GuestResult<void> MemoryAccess::check_alignment(Processor& processor, u64 linear, unsigned length) {
  const State& state = processor.state;
  if ((linear & (demanded_alignment(length) - 1)) != 0 && state.cpl == 3 &&
      state.flag(eflags::AC) && (state.cr0 & cr0::AM) != 0) {
    return processor.raise(Vector::AlignmentCheck, 0);
  }
  return {};
}

void MemoryAccess::read_piece(Processor& processor, const TlbEntry& entry, u64 linear, u8* into,
                              unsigned length) {
  const u64 offset = linear & kPageMask;
  if (entry.host != nullptr) {
    std::memcpy(into, entry.host + offset, length);
    return;
  }
  PhysicalAddress address = entry.physical + offset;
  while (length != 0) {
    const unsigned size = length >= 8 ? 8 : length >= 4 ? 4 : length >= 2 ? 2 : 1;
    const u64 value = processor.memory_.read_physical(address, size);
    std::memcpy(into, &value, size);
    into += size;
    length -= size;
    address = address + size;
  }
}

void MemoryAccess::write_piece(Processor& processor, const TlbEntry& entry, u64 linear,
                               const u8* from, unsigned length) {
  const u64 offset = linear & kPageMask;
  if (entry.write_tag == (linear & ~kPageMask)) {
    std::memcpy(entry.host + offset, from, length);
    return;
  }
  PhysicalAddress address = entry.physical + offset;
  while (length != 0) {
    const unsigned size = length >= 8 ? 8 : length >= 4 ? 4 : length >= 2 ? 2 : 1;
    u64 value = 0;
    std::memcpy(&value, from, size);
    processor.memory_.write_physical(address, value, size);
    from += size;
    length -= size;
    address = address + size;
  }
}

GuestResult<void> MemoryAccess::probe_pages(Processor& processor, u64 linear, unsigned length,
                                            PageAccess access) {
  while (length != 0) {
    linear = wrap(processor.state, linear);
    GUEST_TRY(processor.fill_tlb(linear, access));
    const unsigned piece = bytes_in_page(linear, length);
    linear += piece;
    length -= piece;
  }
  return {};
}

GuestResult<void> MemoryAccess::read_pages(Processor& processor, u64 linear, void* into,
                                           unsigned length, PageAccess access) {
  access.type = AccessType::Read;
  linear = wrap(processor.state, linear);
  if (bytes_in_page(linear, length) == length) {
    const TlbEntry* entry = GUEST_TRY(processor.fill_tlb(linear, access));
    read_piece(processor, *entry, linear, static_cast<u8*>(into), length);
    return {};
  }
  // All pages first: reading device memory has effects, so a later page's fault must precede it.
  GUEST_TRY(probe_pages(processor, linear, length, access));
  u8* bytes = static_cast<u8*>(into);
  while (length != 0) {
    linear = wrap(processor.state, linear);
    const unsigned piece = bytes_in_page(linear, length);
    const TlbEntry* entry = GUEST_TRY(processor.fill_tlb(linear, access));
    read_piece(processor, *entry, linear, bytes, piece);
    bytes += piece;
    linear += piece;
    length -= piece;
  }
  return {};
}

void MemoryAccess::write_pages(Processor& processor, u64 linear, const void* from, unsigned length,
                               PageAccess access) {
  const u8* bytes = static_cast<const u8*>(from);
  access.type = AccessType::Write;
  while (length != 0) {
    linear = wrap(processor.state, linear);
    const unsigned piece = bytes_in_page(linear, length);
    const GuestResult<const TlbEntry*> entry = processor.fill_tlb(linear, access);
    if (entry.faulted()) return;  // only if a device took the page away between probe and write
    write_piece(processor, *entry.value(), linear, bytes, piece);
    bytes += piece;
    linear += piece;
    length -= piece;
  }
}

template <typename T>
GuestResult<T> MemoryAccess::read_slow(Processor& processor, SegmentName segment, u64 offset) {
  T value{};
  GUEST_TRY(processor.read_bytes(segment, offset, &value, sizeof value));
  return value;
}

template <typename T>
GuestResult<void> MemoryAccess::write_slow(Processor& processor, SegmentName segment, u64 offset,
                                           T value) {
  return processor.write_bytes(segment, offset, &value, sizeof value);
}

template <typename T>
GuestResult<T> MemoryAccess::read_for_write_slow(Processor& processor, SegmentName segment,
                                                 u64 offset) {
  // A locked or read-modify-write access needs the right to read as well as to write.
  const u64 linear =
      GUEST_TRY(processor.linear_address(segment, offset, sizeof(T), AccessType::Write));
  GUEST_TRY(check_alignment(processor, linear, sizeof(T)));
  const PageAccess access{AccessType::Write, processor.data_privilege(), false};
  GUEST_TRY(probe_pages(processor, linear, sizeof(T), access));
  T value{};
  GUEST_TRY(read_pages(processor, linear, &value, sizeof value, access));
  if (breakpoints_enabled(processor.state)) {
    processor.check_data_breakpoints(linear, sizeof(T), AccessType::Write);
  }
  return value;
}

template <typename T>
void MemoryAccess::write_back_slow(Processor& processor, SegmentName segment, u64 offset, T value) {
  const u64 linear = wrap(processor.state, processor.state.segment(segment).base + offset);
  write_pages(processor, linear, &value, sizeof value,
              {AccessType::Write, processor.data_privilege(), false});
}

GuestResult<void> Processor::read_bytes(SegmentName segment, u64 offset, void* into,
                                        unsigned length) {
  const u64 linear = GUEST_TRY(linear_address(segment, offset, length, AccessType::Read));
  GUEST_TRY(MemoryAccess::check_alignment(*this, linear, length));
  GUEST_TRY(MemoryAccess::read_pages(*this, linear, into, length,
                                     {AccessType::Read, data_privilege(), false}));
  if (breakpoints_enabled(state)) check_data_breakpoints(linear, length, AccessType::Read);
  return {};
}

GuestResult<void> Processor::write_bytes(SegmentName segment, u64 offset, const void* from,
                                         unsigned length) {
  const u64 linear = GUEST_TRY(linear_address(segment, offset, length, AccessType::Write));
  GUEST_TRY(MemoryAccess::check_alignment(*this, linear, length));
  const PageAccess access{AccessType::Write, data_privilege(), false};
  GUEST_TRY(MemoryAccess::probe_pages(*this, linear, length, access));
  MemoryAccess::write_pages(*this, linear, from, length, access);
  if (breakpoints_enabled(state)) check_data_breakpoints(linear, length, AccessType::Write);
  return {};
}

GuestResult<void> Processor::probe_write(SegmentName segment, u64 offset, unsigned length) {
  const u64 linear = GUEST_TRY(linear_address(segment, offset, length, AccessType::Write));
  GUEST_TRY(MemoryAccess::check_alignment(*this, linear, length));
  return MemoryAccess::probe_pages(*this, linear, length,
                                   {AccessType::Write, data_privilege(), false});
}

GuestResult<void> Processor::read_linear_bytes(u64 linear, void* into, unsigned length,
                                               PageAccess access) {
  return MemoryAccess::read_pages(*this, linear, into, length, access);
}

GuestResult<void> Processor::write_linear_bytes(u64 linear, const void* from, unsigned length,
                                                PageAccess access) {
  access.type = AccessType::Write;
  GUEST_TRY(MemoryAccess::probe_pages(*this, linear, length, access));
  MemoryAccess::write_pages(*this, linear, from, length, access);
  return {};
}

#define INSTANTIATE(T)                                                                        \
  template GuestResult<T> MemoryAccess::read_slow<T>(Processor&, SegmentName, u64);           \
  template GuestResult<void> MemoryAccess::write_slow<T>(Processor&, SegmentName, u64, T);    \
  template GuestResult<T> MemoryAccess::read_for_write_slow<T>(Processor&, SegmentName, u64); \
  template void MemoryAccess::write_back_slow<T>(Processor&, SegmentName, u64, T);
INSTANTIATE(u8)
INSTANTIATE(u16)
INSTANTIATE(u32)
INSTANTIATE(u64)
#undef INSTANTIATE

}  // namespace ringshift::cpu
