// Firmware tables and kernel headers are byte formats, little endian and unaligned. These few
// functions read and write them, so that no host structure is ever laid over file content.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "cpu/types.h"

namespace ringshift::bios {

/// Appends the low `size` bytes of `value`.
inline void append_little_endian(std::vector<u8>& out, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

inline void append_text(std::vector<u8>& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

/// Overwrites `size` bytes at `offset`, which must lie inside.
inline void put_little_endian(std::span<u8> bytes, std::size_t offset, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes[offset + i] = static_cast<u8>(value >> (8 * i));
}

/// Reads `size` bytes at `offset`, which must lie inside.
inline u64 get_little_endian(std::span<const u8> bytes, std::size_t offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = size; i-- > 0;) value = value << 8 | bytes[offset + i];
  return value;
}

inline u8 get_u8(std::span<const u8> bytes, std::size_t offset) {
  return bytes[offset];
}
inline u16 get_u16(std::span<const u8> bytes, std::size_t offset) {
  return static_cast<u16>(get_little_endian(bytes, offset, 2));
}
inline u32 get_u32(std::span<const u8> bytes, std::size_t offset) {
  return static_cast<u32>(get_little_endian(bytes, offset, 4));
}
inline u64 get_u64(std::span<const u8> bytes, std::size_t offset) {
  return get_little_endian(bytes, offset, 8);
}

/// What must be added to a sum of bytes to make it zero modulo 256.
inline u8 checksum_of(std::span<const u8> bytes) {
  u8 sum = 0;
  for (u8 byte : bytes) sum = static_cast<u8>(sum + byte);
  return static_cast<u8>(-sum);
}

}  // namespace ringshift::bios
