// Guest time from the host's monotonic clock, and the guest's time-stamp counter from the host's.
#pragma once

#include "devices/clock.h"

namespace ringshift::frontend {

class HostTime final : public devices::TimeSource {
 public:
  HostTime();
  devices::Nanoseconds now() override;
  /// The host's CLOCK_MONOTONIC at guest time `time`, in nanoseconds; the furthest future if that
  /// is beyond it.
  u64 host_monotonic(devices::Nanoseconds time) const;
  /// Ticks of the host's TSC since construction.
  u64 time_stamp() const;
  /// What that is more than the host's counter itself, modulo 2^64.
  u64 time_stamp_offset() const { return 0 - start_tsc_; }
  /// The time-stamp counter's value at guest time `time`, by the counter's rate; for TSC deadlines.
  u32 tsc_khz() const { return tsc_khz_; }
  void set_tsc_khz(u32 khz) { tsc_khz_ = khz; }

 private:
  u64 start_nanoseconds_;
  u64 start_tsc_;
  u32 tsc_khz_ = 0;
};

}  // namespace ringshift::frontend
