#include "tests/asm/watchdog.h"

#include <signal.h>

#include <chrono>

namespace ringshift::tests {

namespace {

/// Of the processor's time; a busy host may let a run wait for long.
constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kInterval{100};

std::chrono::nanoseconds processor_time(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Watchdog::Watchdog(std::function<void()> interrupt) : interrupt_(std::move(interrupt)) {
  pthread_getcpuclockid(pthread_self(), &clock_);
  // Signals are for the thread that runs the guest.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { watch(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  u64 last = 0;
  std::chrono::nanoseconds since{};
  while (!stop_.wait_for(lock, kInterval, [this] { return stopping_; })) {
    const u64 now = runs_.load();
    const std::chrono::nanoseconds time = processor_time(clock_);
    if (now != last || now % 2 == 0) since = time;
    last = now;
    if (time - since < kPatience) continue;
    interrupted_.store(now);
    interrupt_();
  }
}

}  // namespace ringshift::tests
