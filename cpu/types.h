// The integer and address types that every folder shares. An address is a distinct type, because a
// linear address handed to something that wants a physical one is the commonest bug of a machine
// monitor and the compiler can find it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace ringshift {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

inline constexpr u64 kPageSize = 4096;
inline constexpr u64 kPageMask = kPageSize - 1;
inline constexpr unsigned kPageShift = 12;

/// An address on the guest's memory bus: after segmentation and guest paging.
struct PhysicalAddress {
  u64 value = 0;

  constexpr PhysicalAddress page() const { return {value & ~kPageMask}; }
  constexpr u64 frame() const { return value >> kPageShift; }
  constexpr u64 page_offset() const { return value & kPageMask; }
  friend constexpr auto operator<=>(PhysicalAddress, PhysicalAddress) = default;
  friend constexpr PhysicalAddress operator+(PhysicalAddress a, u64 n) { return {a.value + n}; }
};

/// An address after segmentation and before guest paging.
struct LinearAddress {
  u64 value = 0;

  constexpr LinearAddress page() const { return {value & ~kPageMask}; }
  constexpr u64 page_number() const { return value >> kPageShift; }
  constexpr u64 page_offset() const { return value & kPageMask; }
  friend constexpr auto operator<=>(LinearAddress, LinearAddress) = default;
  friend constexpr LinearAddress operator+(LinearAddress a, u64 n) { return {a.value + n}; }
};

}  // namespace ringshift
