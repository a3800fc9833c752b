// Screenshots. PNG, because a CI job's log viewer and a person's desktop both show it.
#pragma once

#include <string>

#include "cpu/result.h"
#include "devices/backends.h"

namespace ringshift::frontend {

/// Writes the frame as an 8-bit RGB PNG file. Fails with the path and libpng's or the host's
/// reason, and for a frame without pixels.
Result<void> write_png(const std::string& path, const devices::Frame& frame);

}  // namespace ringshift::frontend
