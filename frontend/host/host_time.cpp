#include "frontend/host/host_time.h"

#include <x86intrin.h>

#include <ctime>

namespace ringshift::frontend {

namespace {

u64 monotonic() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<u64>(time.tv_sec) * devices::kNanosecondsPerSecond +
         static_cast<u64>(time.tv_nsec);
}

}  // namespace

HostTime::HostTime() : start_nanoseconds_(monotonic()), start_tsc_(__rdtsc()) {}

devices::Nanoseconds HostTime::now() {
  return monotonic() - start_nanoseconds_;
}

u64 HostTime::host_monotonic(devices::Nanoseconds time) const {
  constexpr u64 kFurthest = u64{1} << 63;  // 292 years: fits every time_t that counts them
  return time < kFurthest - start_nanoseconds_ ? start_nanoseconds_ + time : kFurthest;
}

u64 HostTime::time_stamp() const {
  return __rdtsc() + time_stamp_offset();
}

}  // namespace ringshift::frontend
