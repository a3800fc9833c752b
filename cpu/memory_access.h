// Fast paths of Processor's memory templates: a segment check that is one load, one mask and one
// compare for an ordinary segment, a tag compare, and a host access. Everything else (page
// crossing, device memory, watched pages, odd segments, breakpoints, alignment checks) is in
// memory_access.cpp.
#pragma once

#include <cstddef>

#include "cpu/processor.h"

namespace ringshift::cpu {

struct MemoryAccess {
  // `limit`, `type`, DPL, S and P of a descriptor cache lie side by side: one load gets them all.
  static_assert(offsetof(SegmentRegister, limit) % 8 == 0);
  static_assert(offsetof(SegmentRegister, type) == offsetof(SegmentRegister, limit) + 4);
  static_assert(offsetof(SegmentRegister, code_or_data) == offsetof(SegmentRegister, limit) + 6);
  static_assert(offsetof(SegmentRegister, present) == offsetof(SegmentRegister, limit) + 7);
  static constexpr u64 kUsable = (u64{1} << 48) | (u64{1} << 56);
  // A data segment that grows up; for writes also a writable one.
  static constexpr u64 kReadMask = kUsable | (u64{0x0C} << 32), kReadWanted = kUsable;
  static constexpr u64 kWriteMask = kUsable | (u64{0x0E} << 32),
                       kWriteWanted = kUsable | (u64{0x02} << 32);

  /// The linear address if the access is legal beyond doubt; false sends it to the slow path.
  template <AccessType type, unsigned size>
  static bool fast_linear(const Processor& processor, SegmentName name, u64 offset, u64& linear) {
    const SegmentRegister& segment = processor.state.segments[static_cast<u8>(name)];
    u64 word;
    std::memcpy(&word, &segment.limit, sizeof word);
    constexpr u64 mask = type == AccessType::Write ? kWriteMask : kReadMask;
    constexpr u64 wanted = type == AccessType::Write ? kWriteWanted : kReadWanted;
    linear = (segment.base + offset) & 0xFFFF'FFFF;
    return (word & mask) == wanted && offset + (size - 1) <= (word & 0xFFFF'FFFF);
  }

  /// False if #AC might be due. SDM 3A §6.15, interrupt 17.
  template <unsigned size>
  static bool alignment_fine(const Processor& processor, u64 linear) {
    if constexpr (size == 1) return true;
    return (linear & (size - 1)) == 0 || !processor.state.flag(eflags::AC) ||
           processor.state.cpl != 3 || (processor.state.cr0 & cr0::AM) == 0;
  }

  /// Host address of the operand if the whole of it may be accessed there, else null.
  template <AccessType type, unsigned size>
  static u8* fast_host(Processor& processor, SegmentName name, u64 offset) {
    u64 linear;
    if (!fast_linear<type, size>(processor, name, offset, linear)) [[unlikely]]
      return nullptr;
    const TlbEntry& entry = processor.tlb_.entry(processor.data_privilege(), linear);
    const u64 tag = type == AccessType::Write ? entry.write_tag : entry.read_tag;
    // The page of the last byte: an operand that crosses into the next page never matches.
    if (tag != ((linear + (size - 1)) & ~kPageMask)) [[unlikely]]
      return nullptr;
    if (!alignment_fine<size>(processor, linear)) [[unlikely]]
      return nullptr;
    return entry.host + (linear & kPageMask);
  }

  /// For bulk string operations: host address at `linear` good until the end of its page, or null.
  static u8* host_until_page_end(Processor& processor, u64 linear, AccessType type) {
    const TlbEntry& entry = processor.tlb_.entry(processor.data_privilege(), linear);
    const u64 tag = type == AccessType::Write ? entry.write_tag : entry.read_tag;
    return tag == (linear & ~kPageMask) ? entry.host + (linear & kPageMask) : nullptr;
  }

  template <typename T>
  static GuestResult<T> read_slow(Processor& processor, SegmentName segment, u64 offset);
  template <typename T>
  static GuestResult<void> write_slow(Processor& processor, SegmentName segment, u64 offset,
                                      T value);
  template <typename T>
  static GuestResult<T> read_for_write_slow(Processor& processor, SegmentName segment, u64 offset);
  template <typename T>
  static void write_back_slow(Processor& processor, SegmentName segment, u64 offset, T value);

  static GuestResult<void> check_alignment(Processor& processor, u64 linear, unsigned length);
  static GuestResult<void> read_pages(Processor& processor, u64 linear, void* into, unsigned length,
                                      PageAccess access);
  static GuestResult<void> probe_pages(Processor& processor, u64 linear, unsigned length,
                                       PageAccess access);
  /// After probe_pages: can't fault.
  static void write_pages(Processor& processor, u64 linear, const void* from, unsigned length,
                          PageAccess access);
  /// One naturally sized piece within a page.
  static void read_piece(Processor& processor, const TlbEntry& entry, u64 linear, u8* into,
                         unsigned length);
  static void write_piece(Processor& processor, const TlbEntry& entry, u64 linear, const u8* from,
                          unsigned length);

  /// Where code at `linear` lies; fills the TLB. Fault: #PF.
  static GuestResult<PhysicalAddress> translate_code(Processor& processor, u64 linear) {
    const TlbEntry& entry = processor.tlb_.entry(processor.data_privilege(), linear);
    if (entry.execute_tag == (linear & ~kPageMask)) [[likely]] {
      return entry.physical + (linear & kPageMask);
    }
    return processor.translate(linear, {AccessType::Execute, processor.data_privilege(), false});
  }
  /// Host pointers to this physical page are stale: it has become watched or unwatched.
  static void forget_physical(Processor& processor, PhysicalAddress page) {
    processor.tlb_.forget_physical(page);
  }
  /// The next accesses walk the page tables, and set accessed and dirty bits, as if for the first
  /// time. Unlike Processor::flush_tlb() it is nothing that happens to the guest.
  static void forget_translations(Processor& processor) { processor.tlb_.flush(true); }
};

template <typename T>
inline GuestResult<T> Processor::read(SegmentName segment, u64 offset) {
  if (const u8* host = MemoryAccess::fast_host<AccessType::Read, sizeof(T)>(*this, segment, offset))
      [[likely]] {
    T value;
    std::memcpy(&value, host, sizeof value);
    return value;
  }
  return MemoryAccess::read_slow<T>(*this, segment, offset);
}

template <typename T>
inline GuestResult<void> Processor::write(SegmentName segment, u64 offset, T value) {
  if (u8* host = MemoryAccess::fast_host<AccessType::Write, sizeof(T)>(*this, segment, offset))
      [[likely]] {
    std::memcpy(host, &value, sizeof value);
    return {};
  }
  return MemoryAccess::write_slow<T>(*this, segment, offset, value);
}

template <typename T>
inline GuestResult<T> Processor::read_for_write(SegmentName segment, u64 offset) {
  if (const u8* host = MemoryAccess::fast_host<AccessType::Write, sizeof(T)>(*this, segment,
                                                                             offset)) [[likely]] {
    T value;
    std::memcpy(&value, host, sizeof value);
    return value;
  }
  return MemoryAccess::read_for_write_slow<T>(*this, segment, offset);
}

template <typename T>
inline void Processor::write_back(SegmentName segment, u64 offset, T value) {
  if (u8* host = MemoryAccess::fast_host<AccessType::Write, sizeof(T)>(*this, segment, offset))
      [[likely]] {
    std::memcpy(host, &value, sizeof value);
    return;
  }
  MemoryAccess::write_back_slow<T>(*this, segment, offset, value);
}

template <typename T>
inline GuestResult<T> Processor::read_linear(u64 linear, PageAccess access) {
  T value{};
  GUEST_TRY(MemoryAccess::read_pages(*this, linear, &value, sizeof value, access));
  return value;
}

template <typename T>
inline GuestResult<void> Processor::write_linear(u64 linear, T value, PageAccess access) {
  access.type = AccessType::Write;
  GUEST_TRY(MemoryAccess::probe_pages(*this, linear, sizeof value, access));
  MemoryAccess::write_pages(*this, linear, &value, sizeof value, access);
  return {};
}

inline GuestResult<void> Processor::push(u64 value, unsigned size) {
  const bool big = state.segment(SegmentName::SS).big;
  const u64 top = (state.gpr[Rsp] - size) & (big ? 0xFFFF'FFFF : 0xFFFF);
  switch (size) {
    case 2:
      GUEST_TRY(write<u16>(SegmentName::SS, top, static_cast<u16>(value)));
      break;
    case 4:
      GUEST_TRY(write<u32>(SegmentName::SS, top, static_cast<u32>(value)));
      break;
    default:
      GUEST_TRY(write<u64>(SegmentName::SS, top, value));
      break;
  }
  state.gpr[Rsp] = big ? top : (state.gpr[Rsp] & ~u64{0xFFFF}) | top;
  return {};
}

inline GuestResult<u64> Processor::peek(u64 depth, unsigned size) {
  const u64 offset =
      (state.gpr[Rsp] + depth) & (state.segment(SegmentName::SS).big ? 0xFFFF'FFFF : 0xFFFF);
  switch (size) {
    case 2:
      return GuestResult<u64>(GUEST_TRY(read<u16>(SegmentName::SS, offset)));
    case 4:
      return GuestResult<u64>(GUEST_TRY(read<u32>(SegmentName::SS, offset)));
    default:
      return read<u64>(SegmentName::SS, offset);
  }
}

inline void Processor::add_to_stack_pointer(i64 delta) {
  const u64 sum = state.gpr[Rsp] + static_cast<u64>(delta);
  if (state.segment(SegmentName::SS).big) {
    state.gpr[Rsp] = sum & 0xFFFF'FFFF;
  } else {
    state.gpr[Rsp] = (state.gpr[Rsp] & ~u64{0xFFFF}) | (sum & 0xFFFF);
  }
}

inline GuestResult<u64> Processor::pop(unsigned size) {
  const u64 value = GUEST_TRY(peek(0, size));
  add_to_stack_pointer(size);
  return value;
}

}  // namespace ringshift::cpu
