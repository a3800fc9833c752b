// Interrupts an engine that doesn't poll when the guest's next device event is due: a POSIX timer
// that sends cpu::kick_signal() to the vCPU's thread, and to no other.
//
// Signals and system calls are dear next to guest instructions, so the host's timer is lazy: it is
// never set later than it is, because an early signal is harmless (the main loop finds nothing due
// and sets the timer again), and it is set only while the engine runs. A periodic guest timer costs
// one timer_settime a tick.
#pragma once

#include <csignal>
#include <ctime>
#include <memory>

#include "cpu/result.h"
#include "devices/clock.h"
#include "frontend/host/host_time.h"

namespace ringshift::cpu {
class Processor;
}

namespace ringshift::frontend {

class DeadlineTimer final : public devices::DeadlineListener {
 public:
  /// For the calling thread, which must also be the one to destroy it: unblocks the signal there,
  /// and listens to `clock`. Where nobody handles the signal yet, installs a handler that kicks
  /// `processor`. Error: the host has no timer left (RLIMIT_SIGPENDING).
  static Result<std::unique_ptr<DeadlineTimer>> create(HostTime& time, devices::EventClock& clock,
                                                       cpu::Processor& processor);
  ~DeadlineTimer() override;
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  /// The engine is about to run: from now on no deadline may pass without a signal.
  void engine_enters();
  /// The engine has come back: a signal that is on its way may still arrive.
  void engine_leaves() { engine_runs_ = false; }
  /// The vCPU is about to sleep and needs no signal to wake it.
  void disarm();

  void deadline_changed(devices::Nanoseconds next) override;

  /// How often the host's timer has been set.
  u64 settings() const { return settings_; }

 private:
  /// A guest that programs a timer at an absurd rate still gets this long between two signals.
  static constexpr devices::Nanoseconds kLeastDelay = 20'000;

  DeadlineTimer(HostTime& time, devices::EventClock& clock) : time_(time), clock_(clock) {}
  void set(devices::Nanoseconds deadline);

  HostTime& time_;
  devices::EventClock& clock_;
  timer_t timer_{};
  sigset_t old_mask_{};
  bool engine_runs_ = false;
  devices::Nanoseconds armed_ = devices::kNever;  ///< when the signal is to come, guest time
  u64 settings_ = 0;
};

/// Keeps cpu::kick_signal() from the calling thread and from those that it starts.
void block_kick_signal();

}  // namespace ringshift::frontend
