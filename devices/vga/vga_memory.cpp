#include "devices/vga/vga_memory.h"

#include <bit>
#include <cstring>

namespace ringshift::devices {

namespace {

/// Four plane bits as a byte mask: bit p becomes FFh in byte p.
constexpr u32 spread(u8 planes) {
  u32 mask = 0;
  for (unsigned plane = 0; plane < 4; ++plane) {
    if ((planes >> plane & 1) != 0) mask |= 0xFFU << (8 * plane);
  }
  return mask;
}

constexpr std::array<u32, 16> kSpread = [] {
  std::array<u32, 16> table{};
  for (u8 planes = 0; planes < 16; ++planes) table[planes] = spread(planes);
  return table;
}();

constexpr u32 replicate(u8 byte) {
  return byte * 0x01010101U;
}

}  // namespace

/// The offset inside the part of the window that the adapter decodes now; nothing outside it.
std::optional<u32> VgaMemory::window_offset(u64 offset) const {
  if ((registers_.miscellaneous & 0x02) == 0) return std::nullopt;  // RAM access is off
  const u32 at = static_cast<u32>(offset);
  if (vbe_.enabled()) return at < 0x10000 ? std::optional(at) : std::nullopt;
  switch ((registers_.graphics[6] >> 2) & 3) {
    case 0:
      return at;
    case 1:
      return at < 0x10000 ? std::optional(at) : std::nullopt;
    case 2:
      return at >= 0x10000 && at < 0x18000 ? std::optional(at - 0x10000) : std::nullopt;
    default:
      return at >= 0x18000 ? std::optional(at - 0x18000) : std::nullopt;
  }
}

VgaMemory::Target VgaMemory::target(u32 address) const {
  const bool chain4 = (registers_.sequencer[4] & 0x08) != 0;
  const bool write_odd_even = (registers_.sequencer[4] & 0x04) == 0;
  const bool read_odd_even = (registers_.graphics[5] & 0x10) != 0;
  const bool chain_odd_even = (registers_.graphics[6] & 0x02) != 0;
  const u8 map_mask = registers_.sequencer[2];
  const u8 read_map = registers_.graphics[4];
  u32 offset = address;
  u8 read_plane = read_map;
  u8 write_planes = map_mask;
  if (chain4) {
    read_plane = address & 3;
    write_planes = static_cast<u8>(map_mask & (1 << (address & 3)));
    offset = address & ~3U;
  } else {
    if (read_odd_even) read_plane = static_cast<u8>((read_map & 2) | (address & 1));
    if (write_odd_even) write_planes = map_mask & ((address & 1) != 0 ? 0x0A : 0x05);
    if (chain_odd_even) {
      // A0 chooses the plane, and a higher bit takes its place: A16 where the window has one, else
      // the page bit of Miscellaneous Output, which is 1 for the page at even addresses.
      const bool whole_window = (registers_.graphics[6] & 0x0C) == 0;
      const u32 page = whole_window ? (address >> 16) & 1 : (registers_.miscellaneous & 0x20) == 0;
      offset = (address & ~1U) | page;
    }
  }
  u64 index = 4 * u64{offset & (kPlaneSize - 1)};
  if (vbe_.enabled()) index = (4 * (offset + vbe_.bank_offset())) & (memory_.size() - 1);
  return {index, read_plane, write_planes};
}

u32 VgaMemory::load(u64 index) const {
  u32 value = 0;
  std::memcpy(&value, memory_.data() + index, sizeof value);
  return value;
}

void VgaMemory::store(u64 index, u32 value, u32 plane_mask) {
  const u32 merged = (load(index) & ~plane_mask) | (value & plane_mask);
  std::memcpy(memory_.data() + index, &merged, sizeof merged);
}

u8 VgaMemory::read_byte(u64 offset) {
  const std::optional<u32> address = window_offset(offset);
  if (!address) return 0xFF;
  if (vbe_.packed()) return memory_[(*address + vbe_.bank_offset()) & (memory_.size() - 1)];
  const Target where = target(*address);
  latch_ = load(where.index);
  if ((registers_.graphics[5] & 0x08) == 0) {
    return static_cast<u8>(latch_ >> (8 * where.read_plane));
  }
  // Read mode 1: a bit is 1 where all planes that matter have the compared colour.
  const u32 care = kSpread[registers_.graphics[7]];
  const u32 differs = (latch_ ^ kSpread[registers_.graphics[2]]) & care;
  const u32 any = differs | differs >> 16;
  return static_cast<u8>(~(any | any >> 8));
}

/// Write modes 0, 2 and 3 before the bit mask: what the four planes would get.
u32 VgaMemory::write_data(u8 value) const {
  const u32 set_reset = kSpread[registers_.graphics[0]];
  const u8 rotated = std::rotr(value, registers_.graphics[3] & 7);
  switch (registers_.graphics[5] & 3) {
    case 0: {
      const u32 enabled = kSpread[registers_.graphics[1]];
      return (replicate(rotated) & ~enabled) | (set_reset & enabled);
    }
    case 2:
      return kSpread[value & 0x0F];
    default:
      return set_reset;
  }
}

void VgaMemory::write_byte(u64 offset, u8 value) {
  const std::optional<u32> address = window_offset(offset);
  if (!address) return;
  if (vbe_.packed()) {
    memory_[(*address + vbe_.bank_offset()) & (memory_.size() - 1)] = value;
    return;
  }
  const Target where = target(*address);
  const u32 plane_mask = kSpread[where.write_planes & 0x0F];
  const u8 mode = registers_.graphics[5] & 3;
  if (mode == 1) {
    store(where.index, latch_, plane_mask);
    return;
  }
  u32 data = write_data(value);
  u8 bit_mask = registers_.graphics[8];
  if (mode == 3) {
    bit_mask &= std::rotr(value, registers_.graphics[3] & 7);
  } else {
    switch ((registers_.graphics[3] >> 3) & 3) {
      case 1:
        data &= latch_;
        break;
      case 2:
        data |= latch_;
        break;
      case 3:
        data ^= latch_;
        break;
      default:
        break;
    }
  }
  const u32 bits = replicate(bit_mask);
  store(where.index, (data & bits) | (latch_ & ~bits), plane_mask);
}

u64 VgaMemory::io_read(u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u64{read_byte(offset + i)} << (8 * i);
  return value;
}

void VgaMemory::io_write(u64 offset, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
}

}  // namespace ringshift::devices
