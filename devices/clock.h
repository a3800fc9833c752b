// The one clock of the machine. Every device timer is an event on it and every device counter is
// computed from its `now()`, so that a virtual-time mode is a change of TimeSource and not of
// devices.
// Events carry no pointers: a snapshot holds deadlines, and their order where they are equal. Ties
// run in the order of arming.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "cpu/state_archive.h"
#include "cpu/types.h"

namespace ringshift::devices {

using Nanoseconds = u64;  ///< Guest time since power-on.
inline constexpr Nanoseconds kNanosecondsPerSecond = 1'000'000'000;
inline constexpr Nanoseconds kNever = ~Nanoseconds{0};

/// Where guest time comes from: the host's monotonic clock, a test's hand, later executed
/// instructions. Never goes backwards.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual Nanoseconds now() = 0;
};

/// A TimeSource that tests move by hand.
class ManualTime final : public TimeSource {
 public:
  Nanoseconds now() override { return now_; }
  void advance(Nanoseconds by) { now_ += by; }

 private:
  Nanoseconds now_ = 0;
};

/// Hears at once when the earliest deadline changes, so that whoever waits for it can wait for
/// another.
class DeadlineListener {
 public:
  virtual ~DeadlineListener() = default;
  /// `next` is EventClock::next_deadline(). Must not arm or cancel timers.
  virtual void deadline_changed(Nanoseconds next) = 0;
};

class Timer;

class EventClock {
 public:
  explicit EventClock(TimeSource& source) : source_(source) {}
  EventClock(const EventClock&) = delete;
  EventClock& operator=(const EventClock&) = delete;

  Nanoseconds now() { return source_.now(); }

  /// Deadline of the earliest armed timer, or kNever.
  Nanoseconds next_deadline() const { return next_deadline_; }

  /// One at a time; null takes it away. A timer that is armed anew is cancelled first: that may be
  /// two calls, the first with a later deadline.
  void set_listener(DeadlineListener* listener) { listener_ = listener; }

  /// Fires every timer whose deadline has come, earliest first; a timer that re-arms itself in the
  /// past fires again in the same call, at most `kMostRepeats` times, so that a guest that programs
  /// an absurd rate can't keep the machine here.
  void run_due();

 private:
  friend class Timer;
  static constexpr unsigned kMostRepeats = 64;
  void insert(Timer& timer);
  /// How many timers with the same deadline come before it.
  u32 order_of(const Timer& timer) const;
  void remove(Timer& timer);
  void set_next(Nanoseconds deadline);

  TimeSource& source_;
  std::vector<Timer*> armed_;  // unordered: a board has some twenty timers
  Nanoseconds next_deadline_ = kNever;
  DeadlineListener* listener_ = nullptr;
  /// Below are the orders of timers from a snapshot, which were armed before all others.
  u64 sequence_ = u64{1} << 32;
};

/// One event of a device. It lives in its device and is bound to its action for life.
class Timer {
 public:
  Timer(EventClock& clock, std::function<void()> action)
      : clock_(clock), action_(std::move(action)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires once when guest time reaches `deadline`; replaces an earlier deadline.
  void arm(Nanoseconds deadline);
  void arm_in(Nanoseconds delay) { arm(clock_.now() + delay); }
  void cancel();
  bool armed() const { return deadline_ != kNever; }
  Nanoseconds deadline() const { return deadline_; }

  void serialize(StateArchive& archive);

 private:
  friend class EventClock;
  EventClock& clock_;
  std::function<void()> action_;
  Nanoseconds deadline_ = kNever;
  u64 sequence_ = 0;
};

}  // namespace ringshift::devices
