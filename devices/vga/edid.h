// The monitor's EDID block (VESA E-EDID Standard, release A, structure 1.3): drivers read it to
// learn which modes the screen takes, and without one they fall back to 640x480.
#pragma once

#include <array>

#include "cpu/types.h"

namespace ringshift::devices {

/// A plain 4:3 monitor that prefers 1024x768 at 60 Hz.
std::array<u8, 128> make_edid();

}  // namespace ringshift::devices
