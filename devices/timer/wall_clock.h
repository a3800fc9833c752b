// Where the real-time clock's battery-backed calendar begins. It is asked once, at power-on: from
// then on the calendar runs on the event clock like everything else, so that a test or a
// virtual-time mode decides what the guest reads.
#pragma once

#include <chrono>

#include "cpu/types.h"

namespace ringshift::devices {

class WallClock {
 public:
  virtual ~WallClock() = default;
  /// Nanoseconds since 1970-01-01 00:00:00 in the time zone that the guest's clock shall show.
  virtual i64 since_epoch() = 0;
};

/// The host's clock in UTC, shifted by a fixed offset (for a local time zone, or `--rtc`).
class HostWallClock final : public WallClock {
 public:
  explicit HostWallClock(std::chrono::nanoseconds offset = {}) : offset_(offset) {}
  i64 since_epoch() override {
    const auto now = std::chrono::system_clock::now().time_since_epoch() + offset_;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  }

 private:
  std::chrono::nanoseconds offset_;
};

/// A fixed start date, for tests and for runs that must repeat exactly.
class FixedWallClock final : public WallClock {
 public:
  explicit FixedWallClock(i64 nanoseconds_since_epoch) : start_(nanoseconds_since_epoch) {}
  i64 since_epoch() override { return start_; }

 private:
  i64 start_;
};

}  // namespace ringshift::devices
