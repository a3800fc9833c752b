#include "devices/clock.h"

#include <algorithm>

namespace ringshift::devices {

void EventClock::insert(Timer& timer) {
  armed_.push_back(&timer);
  timer.sequence_ = sequence_++;
  set_next(std::min(next_deadline_, timer.deadline_));
}

void EventClock::remove(Timer& timer) {
  std::erase(armed_, &timer);
  Nanoseconds next = kNever;
  for (const Timer* other : armed_) next = std::min(next, other->deadline_);
  set_next(next);
}

u32 EventClock::order_of(const Timer& timer) const {
  if (!timer.armed()) return 0;
  return static_cast<u32>(std::count_if(armed_.begin(), armed_.end(), [&timer](const Timer* other) {
    return other->deadline_ == timer.deadline_ && other->sequence_ < timer.sequence_;
  }));
}

void EventClock::set_next(Nanoseconds deadline) {
  if (deadline == next_deadline_) return;
  next_deadline_ = deadline;
  if (listener_ != nullptr) listener_->deadline_changed(deadline);
}

void EventClock::run_due() {
  const Nanoseconds time = now();
  for (unsigned fired = 0; next_deadline_ <= time && fired < kMostRepeats; ++fired) {
    auto earliest = std::min_element(armed_.begin(), armed_.end(), [](Timer* a, Timer* b) {
      return std::pair(a->deadline_, a->sequence_) < std::pair(b->deadline_, b->sequence_);
    });
    Timer& timer = **earliest;
    timer.cancel();
    timer.action_();
  }
}

void Timer::arm(Nanoseconds deadline) {
  cancel();
  if (deadline == kNever) return;
  deadline_ = deadline;
  clock_.insert(*this);
}

void Timer::cancel() {
  if (!armed()) return;
  deadline_ = kNever;
  clock_.remove(*this);
}

void Timer::serialize(StateArchive& archive) {
  Nanoseconds deadline = deadline_;
  u32 order = clock_.order_of(*this);
  archive.field("deadline", deadline);
  archive.field("order", order);
  if (!archive.restoring()) return;
  arm(deadline);
  sequence_ = order;
}

}  // namespace ringshift::devices
