// Big-endian fields and disc addresses, as the packet commands of SCSI and MMC carry them.
#pragma once

#include <algorithm>

#include "cpu/types.h"
#include "devices/ide/cd_sector.h"

namespace ringshift::devices {

inline void put_word(u8* out, u32 value) {
  out[0] = static_cast<u8>(value >> 8);
  out[1] = static_cast<u8>(value);
}

inline void put_long(u8* out, u64 value) {
  put_word(out, static_cast<u32>(value >> 16));
  put_word(out + 2, static_cast<u32>(value));
}

/// The four bytes of an address field: a block number, or minute, second and frame.
inline void put_address(u8* out, u64 block, bool as_msf) {
  if (!as_msf) {
    put_long(out, std::min<u64>(block, 0xFFFF'FFFF));
    return;
  }
  const Msf time = msf_of(block);
  out[0] = 0;
  out[1] = time.minute;
  out[2] = time.second;
  out[3] = time.frame;
}

}  // namespace ringshift::devices
