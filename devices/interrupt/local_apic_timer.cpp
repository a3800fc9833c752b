// The local APIC's timer (SDM 3A §10.5.4). The count is never stepped: it follows from the guest
// time since the last moment at which it was known, and an event is armed only for an interrupt
// that the guest has asked for.
#include <algorithm>

#include "devices/interrupt/local_apic.h"
#include "devices/interrupt/local_apic_bits.h"

namespace ringshift::devices {

using namespace local_apic;

namespace {

// A period shorter than this would let a guest spend the monitor's whole time on timer events. The
// ticks between are merged into one interrupt, as they are in IRR when a processor is too slow.
constexpr Nanoseconds kShortestPeriod = 10'000;

}  // namespace

LocalApic::TimerMode LocalApic::timer_mode() const {
  const u32 mode = (lvt_[kTimer] >> 17) & 3;
  // 11b is reserved; it counts like one-shot.
  return mode == 3 ? TimerMode::OneShot : static_cast<TimerMode>(mode);
}

// Divide configuration, bits 3, 1 and 0: 000b divides by 2 … 110b by 128, 111b by 1. Figure 10-10.
u64 LocalApic::nanoseconds_per_count() const {
  const u32 code = ((divide_ >> 1) & 4) | (divide_ & 3);
  return kNanosecondsPerTick << ((code + 1) & 7);
}

u32 LocalApic::current_count() {
  if (timer_mode() == TimerMode::TscDeadline || count_at_start_ == 0) return 0;
  const u64 elapsed = (wiring_.clock.now() - count_start_) / nanoseconds_per_count();
  if (elapsed < count_at_start_) return static_cast<u32>(count_at_start_ - elapsed);
  if (timer_mode() == TimerMode::OneShot || initial_count_ == 0) return 0;
  return static_cast<u32>(initial_count_ - (elapsed - count_at_start_) % initial_count_);
}

void LocalApic::write_initial_count(u32 value) {
  if (timer_mode() == TimerMode::TscDeadline) return;
  initial_count_ = value;
  count_at_start_ = value;
  count_start_ = wiring_.clock.now();
  arm_count_timer();
}

void LocalApic::write_divide(u32 value) {
  const u32 count = current_count();
  divide_ = value & 0xB;
  if (timer_mode() == TimerMode::TscDeadline) return;
  count_at_start_ = count;
  count_start_ = wiring_.clock.now();
  arm_count_timer();
}

void LocalApic::set_timer_lvt(u32 value) {
  const TimerMode old_mode = timer_mode();
  const u32 count = current_count();
  lvt_[kTimer] = value;
  const bool was_deadline = old_mode == TimerMode::TscDeadline;
  const bool is_deadline = timer_mode() == TimerMode::TscDeadline;
  // Going to or from TSC-deadline mode disarms the timer. SDM 3A §10.5.4.1.
  if (was_deadline != is_deadline) {
    initial_count_ = count_at_start_ = 0;
    tsc_deadline_ = 0;
    timer_.cancel();
  } else if (is_deadline) {
    return;  // it stays armed; a mask counts when it expires
  } else {
    count_at_start_ = count;
    count_start_ = wiring_.clock.now();
    arm_count_timer();
  }
}

void LocalApic::arm_count_timer() {
  if (count_at_start_ == 0 || (lvt_[kTimer] & kLvtMasked) != 0) {
    timer_.cancel();
    return;
  }
  timer_.arm(count_start_ + count_at_start_ * nanoseconds_per_count());
}

// Zero disarms; a value that has passed expires at once. SDM 3A §10.5.4.1.
void LocalApic::write_deadline(u64 tsc) {
  if (timer_mode() != TimerMode::TscDeadline) return;
  tsc_deadline_ = tsc;
  timer_.cancel();
  if (tsc == 0) return;
  if (tsc <= wiring_.tsc.tsc()) {
    timer_expired();
  } else {
    timer_.arm(wiring_.tsc.time_of_tsc(tsc));
  }
}

void LocalApic::timer_expired() {
  switch (timer_mode()) {
    case TimerMode::TscDeadline:
      // The counter may have been moved back since the deadline was computed.
      if (wiring_.tsc.tsc() < tsc_deadline_) {
        const Nanoseconds due = wiring_.tsc.time_of_tsc(tsc_deadline_);
        timer_.arm(std::max(due, wiring_.clock.now() + 1));
        return;
      }
      tsc_deadline_ = 0;
      break;
    case TimerMode::OneShot:
      count_at_start_ = 0;
      break;
    case TimerMode::Periodic: {
      const Nanoseconds now = wiring_.clock.now();
      const u64 counts = (now - count_start_) / nanoseconds_per_count();
      if (initial_count_ == 0) {
        count_at_start_ = 0;
      } else if (counts >= count_at_start_) {
        const u64 periods = (counts - count_at_start_) / initial_count_;
        count_start_ += (count_at_start_ + periods * initial_count_) * nanoseconds_per_count();
        count_at_start_ = initial_count_;
      }
      arm_count_timer();
      if (timer_.armed()) timer_.arm(std::max(timer_.deadline(), now + kShortestPeriod));
      break;
    }
  }
  fire_lvt(kTimer);
}

}  // namespace ringshift::devices
