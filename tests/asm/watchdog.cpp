#include "tests/asm/watchdog.h"

#include <signal.h>

#include <chrono>

namespace ringshift::tests {

namespace {

/// A run is stopped when it is found under way this often in a row.
constexpr unsigned kPatience = 20;
constexpr std::chrono::milliseconds kInterval{100};

}  // namespace

Watchdog::Watchdog(std::function<void()> interrupt) : interrupt_(std::move(interrupt)) {
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
  unsigned seen = 0;
  while (!stop_.wait_for(lock, kInterval, [this] { return stopping_; })) {
    const u64 now = runs_.load();
    seen = now == last && now % 2 == 1 ? seen + 1 : 0;
    last = now;
    if (seen < kPatience) continue;
    interrupted_.store(now);
    interrupt_();
  }
}

}  // namespace ringshift::tests
