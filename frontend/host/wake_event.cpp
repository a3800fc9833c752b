#include "frontend/host/wake_event.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "cpu/types.h"

namespace ringshift::frontend {

WakeEvent::WakeEvent() : file_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
WakeEvent::~WakeEvent() {
  close(file_);
}

void WakeEvent::wake() const {
  const u64 one = 1;
  // It can fail only when the counter is full, and then the sleeper is awake anyway.
  [[maybe_unused]] const auto written = write(file_, &one, sizeof one);
}

void WakeEvent::clear() const {
  u64 count = 0;
  [[maybe_unused]] const auto taken = read(file_, &count, sizeof count);
}

}  // namespace ringshift::frontend
