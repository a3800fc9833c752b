// The 2352 bytes of a data sector as they are on a compact disc (ECMA-130 §14): READ CD can ask for
// any part of them, but an image holds only the 2048 bytes of user data, so that the rest is
// computed.
#pragma once

#include <array>
#include <span>

#include "cpu/types.h"

namespace ringshift::devices {

inline constexpr u32 kCdUserData = 2048;
inline constexpr u32 kCdRawSector = 2352;

struct Msf {
  u8 minute;
  u8 second;
  u8 frame;
};

/// The disc time of a logical block: 75 frames a second, after a pregap of two seconds. Beyond what
/// a CD can hold it saturates at 99:59:74.
Msf msf_of(u64 block);
/// The logical block of a disc time; negative within the pregap.
i64 block_of(Msf msf);

/// Builds the Mode 1 sector of logical block `block`: sync, header, user data, EDC and ECC.
void make_mode1_sector(u64 block, std::span<const u8, kCdUserData> user_data,
                       std::span<u8, kCdRawSector> sector);

}  // namespace ringshift::devices
