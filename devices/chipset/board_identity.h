// The subsystem identity that all functions of the board carry. Firmware recognises the board by
// it: SeaBIOS takes the platform services (fw_cfg, the debug port, memory size from CMOS) for
// present when the host bridge shows the subsystem that virtual PCs of this chipset have used since
// 2009.
#pragma once

#include "cpu/types.h"

namespace ringshift::devices {

inline constexpr u16 kBoardSubsystemVendor = 0x1AF4;
inline constexpr u16 kBoardSubsystem = 0x1100;

}  // namespace ringshift::devices
