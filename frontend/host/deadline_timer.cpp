#include "frontend/host/deadline_timer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cpu/engine.h"
#include "cpu/processor.h"

// Some C libraries name the member of sigevent that SIGEV_THREAD_ID reads only in a union.
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace ringshift::frontend {

namespace {

/// For engines that need no more than the processor's attention. One that sends itself the signal
/// by other means than the timer has set that attention before.
void kick_processor(int, siginfo_t* info, void*) {
  if (info->si_code != SI_TIMER) return;
  static_cast<cpu::Processor*>(info->si_value.sival_ptr)->kick();
}

/// The handler stays when the machine goes: a late signal must find one.
void install_default_handler() {
  struct sigaction present {};
  sigaction(cpu::kick_signal(), nullptr, &present);
  if ((present.sa_flags & SA_SIGINFO) != 0 || present.sa_handler != SIG_DFL) return;
  struct sigaction action {};
  action.sa_sigaction = kick_processor;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigaction(cpu::kick_signal(), &action, nullptr);
}

sigset_t kick_signal_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, cpu::kick_signal());
  return set;
}

}  // namespace

void block_kick_signal() {
  const sigset_t set = kick_signal_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<std::unique_ptr<DeadlineTimer>> DeadlineTimer::create(HostTime& time,
                                                             devices::EventClock& clock,
                                                             cpu::Processor& processor) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = cpu::kick_signal();
  event.sigev_value.sival_ptr = &processor;
  event.sigev_notify_thread_id = gettid();
  timer_t timer{};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
    return Error{std::string("can't create a host timer: ") + std::strerror(errno)};
  }
  std::unique_ptr<DeadlineTimer> made(new DeadlineTimer(time, clock));
  made->timer_ = timer;
  install_default_handler();
  const sigset_t set = kick_signal_set();
  pthread_sigmask(SIG_UNBLOCK, &set, &made->old_mask_);
  clock.set_listener(made.get());
  return made;
}

DeadlineTimer::~DeadlineTimer() {
  clock_.set_listener(nullptr);
  // A signal that is still pending names a processor that may soon be gone: take it here.
  block_kick_signal();
  timer_delete(timer_);
  const sigset_t set = kick_signal_set();
  const timespec at_once{};
  while (sigtimedwait(&set, nullptr, &at_once) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

void DeadlineTimer::engine_enters() {
  engine_runs_ = true;
  if (armed_ != devices::kNever && armed_ <= time_.now()) armed_ = devices::kNever;  // has gone off
  deadline_changed(clock_.next_deadline());
}

void DeadlineTimer::deadline_changed(devices::Nanoseconds next) {
  if (!engine_runs_ || next >= armed_) return;
  const devices::Nanoseconds at = std::max(next, time_.now() + kLeastDelay);
  if (at < armed_) set(at);
}

void DeadlineTimer::disarm() {
  if (armed_ != devices::kNever) set(devices::kNever);
}

/// Guest time 0 is past on the host's clock, so the time set is never 0, which would disarm.
void DeadlineTimer::set(devices::Nanoseconds deadline) {
  itimerspec setting{};
  if (deadline != devices::kNever) {
    const u64 at = time_.host_monotonic(deadline);
    setting.it_value.tv_sec = static_cast<time_t>(at / devices::kNanosecondsPerSecond);
    setting.it_value.tv_nsec = static_cast<long>(at % devices::kNanosecondsPerSecond);
  }
  timer_settime(timer_, TIMER_ABSTIME, &setting, nullptr);
  armed_ = deadline;
  ++settings_;
}

}  // namespace ringshift::frontend
