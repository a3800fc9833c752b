#include "devices/timer/hpet.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

// §2.3.2 and table 2.
enum Offset : u64 {
  kCapabilities = 0x000,
  kConfiguration = 0x010,
  kStatus = 0x020,
  kCounter = 0x0F0,
  kTimers = 0x100,
  kTimerStride = 0x20,
};
enum TimerOffset : u64 { kTimerConfiguration = 0x00, kComparator = 0x08, kFsbRoute = 0x10 };

// Revision 1, three timers, 64-bit counter, legacy replacement capable, vendor 8086h. §2.3.4.
constexpr u64 kCapabilitiesValue = (static_cast<u64>(Hpet::kFemtosecondsPerTick) << 32) |
                                   (0x8086ULL << 16) | (1 << 15) | (1 << 13) |
                                   ((Hpet::kTimerCount - 1) << 8) | 1;

// Tn configuration. §2.3.8.
constexpr u64 kLevel = 1 << 1;
constexpr u64 kInterruptEnable = 1 << 2;
constexpr u64 kPeriodic = 1 << 3;
constexpr u64 kPeriodicCapable = 1 << 4;
constexpr u64 kSize64 = 1 << 5;
constexpr u64 kValueSet = 1 << 6;
constexpr u64 k32BitMode = 1 << 8;
constexpr u64 kRouteMask = 0x1F << 9;
constexpr u64 kWritable =
    kLevel | kInterruptEnable | kPeriodic | kValueSet | k32BitMode | kRouteMask;

// Bounds the work that an absurd period causes; matches between are merged into one.
constexpr Nanoseconds kShortestPeriod = 10'000;

constexpr u64 kLow = 0xFFFFFFFF;

}  // namespace

void Hpet::Comparator::serialize(StateArchive& archive) {
  archive.field("configuration", configuration);
  archive.field("comparator", comparator);
  archive.field("period", period);
}

Hpet::Hpet(EventClock& clock, u32 routes)
    : clock_(clock),
      route_capability_(routes),
      events_{Timer(clock, [this] { expired(0); }), Timer(clock, [this] { expired(1); }),
              Timer(clock, [this] { expired(2); })} {
  reset(ResetKind::PowerOn);
}

void Hpet::reset(ResetKind) {
  const bool was_legacy = legacy_replacement();
  configuration_ = 0;
  status_ = 0;
  counter_base_ = 0;
  counter_start_ = 0;
  for (unsigned index = 0; index < kTimerCount; ++index) {
    events_[index].cancel();
    timers_[index].configuration =
        (static_cast<u64>(route_capability_) << 32) | kPeriodicCapable | kSize64;
    timers_[index].comparator = ~u64{0};
    timers_[index].period = 0;
  }
  for (IrqLine& line : routes_) line.lower();
  legacy_timer_.lower();
  legacy_clock_.lower();
  if (was_legacy && on_legacy_) on_legacy_(false);
}

void Hpet::serialize(StateArchive& archive) {
  archive.section("hpet", 1);
  archive.field("configuration", configuration_);
  archive.field("status", status_);
  archive.field("counter_base", counter_base_);
  archive.field("counter_start", counter_start_);
  for (Comparator& timer : timers_) archive.field("timer", timer);
  for (Timer& event : events_) archive.field("event", event);
  u64 levels = (u64{legacy_timer_.level()} << 32) | (u64{legacy_clock_.level()} << 33);
  for (unsigned i = 0; i < kRouteCount; ++i) levels |= u64{routes_[i].level()} << i;
  archive.field("levels", levels);
  if (!archive.restoring()) return;
  for (unsigned i = 0; i < kRouteCount; ++i) routes_[i].restore_level(((levels >> i) & 1) != 0);
  legacy_timer_.restore_level(((levels >> 32) & 1) != 0);
  legacy_clock_.restore_level(((levels >> 33) & 1) != 0);
  if (on_legacy_) on_legacy_(legacy_replacement());
}

// --- Registers -----------------------------------------------------------------------------------

u64 Hpet::io_read(u64 offset, unsigned size) {
  const u64 value = read_register(offset & ~u64{7});
  return size == 8 ? value : (value >> (8 * (offset & 4))) & kLow;
}

void Hpet::io_write(u64 offset, u64 value, unsigned size) {
  const u64 at = offset & ~u64{7};
  if (size == 8) {
    write_register(at, value, ~u64{0});
    return;
  }
  // Half a register: the other half keeps what it has. `written` says which bits are new.
  const unsigned shift = 8 * (offset & 4);
  const u64 written = kLow << shift;
  u64 old = read_register(at);
  if (at == kStatus) old = 0;
  write_register(at, (old & ~written) | ((value & kLow) << shift), written);
}

u64 Hpet::read_register(u64 offset) {
  switch (offset) {
    case kCapabilities:
      return kCapabilitiesValue;
    case kConfiguration:
      return configuration_;
    case kStatus:
      return status_;
    case kCounter:
      return counter();
    default:
      break;
  }
  if (offset < kTimers || offset >= kTimers + kTimerCount * kTimerStride) return 0;
  const Comparator& timer = timers_[(offset - kTimers) / kTimerStride];
  switch ((offset - kTimers) % kTimerStride) {
    case kTimerConfiguration:
      return timer.configuration;
    case kComparator:
      return timer.comparator;
    default:
      return 0;  // no FSB interrupts
  }
}

void Hpet::write_register(u64 offset, u64 value, u64 written) {
  switch (offset) {
    case kConfiguration:
      write_configuration(value);
      return;
    case kStatus:
      clear_status(static_cast<u32>(value));
      return;
    case kCounter:
      counter_base_ = value;
      counter_start_ = clock_.now();
      arm_all();
      return;
    default:
      break;
  }
  if (offset < kTimers || offset >= kTimers + kTimerCount * kTimerStride) return;
  const unsigned index = static_cast<unsigned>((offset - kTimers) / kTimerStride);
  switch ((offset - kTimers) % kTimerStride) {
    case kTimerConfiguration:
      write_timer_configuration(index, value);
      break;
    case kComparator:
      write_comparator(index, value, written);
      break;
    default:
      break;
  }
}

void Hpet::write_configuration(u64 value) {
  const u64 now = counter();
  const u64 changed = (configuration_ ^ value) & 3;
  if ((changed & 2) != 0) {
    for (unsigned index = 0; index < kTimerCount; ++index) release(index);
  }
  configuration_ = value & 3;
  counter_base_ = now;
  counter_start_ = clock_.now();
  if ((changed & 2) != 0) {
    if (on_legacy_) on_legacy_(legacy_replacement());
    for (unsigned index = 0; index < kTimerCount; ++index) {
      if (((status_ >> index) & 1) != 0) signal(index);
    }
  }
  // Halting and going on doesn't make a comparator that has matched match again.
  if ((changed & 1) != 0) arm_all();
}

void Hpet::clear_status(u32 bits) {
  const u32 cleared = status_ & bits;
  status_ &= ~bits;
  for (unsigned index = 0; index < kTimerCount; ++index) {
    if (((cleared >> index) & 1) != 0) release(index);
  }
}

void Hpet::write_timer_configuration(unsigned index, u64 value) {
  Comparator& timer = timers_[index];
  u64 configuration = (timer.configuration & ~kWritable) | (value & kWritable);
  // A route that isn't offered isn't accepted: software reads back to find out. §2.3.8.
  const u64 route = (value & kRouteMask) >> 9;
  if (((route_capability_ >> route) & 1) == 0) {
    configuration = (configuration & ~kRouteMask) | (timer.configuration & kRouteMask);
  }
  const u64 changed = timer.configuration ^ configuration;
  if ((changed & (kLevel | kRouteMask | kInterruptEnable)) != 0) release(index);
  timer.configuration = configuration;
  if ((configuration & k32BitMode) != 0) {
    timer.comparator &= kLow;
    timer.period &= kLow;
  }
  if ((configuration & kLevel) == 0) {
    status_ &= ~(1U << index);
  } else if (((status_ >> index) & 1) != 0) {
    signal(index);
  }
  arm(index, true);
}

// In periodic mode the register is the period; VAL_SET lets the next write reach the accumulator
// too, and clears itself with it. §2.3.9.2.2.
void Hpet::write_comparator(unsigned index, u64 value, u64 written) {
  Comparator& timer = timers_[index];
  const u64 mask = counter_mask(timer);
  const bool periodic = (timer.configuration & kPeriodic) != 0;
  if (periodic) timer.period = ((timer.period & ~written) | (value & written)) & mask;
  if (!periodic || (timer.configuration & kValueSet) != 0) {
    timer.comparator = ((timer.comparator & ~written) | (value & written)) & mask;
  }
  timer.configuration &= ~kValueSet;
  arm(index);
}

// --- Counting ------------------------------------------------------------------------------------

u64 Hpet::counter() {
  if (!running()) return counter_base_;
  return counter_base_ + (clock_.now() - counter_start_) / kNanosecondsPerTick;
}

u64 Hpet::counter_mask(const Comparator& timer) const {
  return (timer.configuration & k32BitMode) != 0 ? kLow : ~u64{0};
}

/// Arms the event for the comparator's next match; `skip_now` if a match right now has been seen.
void Hpet::arm(unsigned index, bool skip_now) {
  const Comparator& timer = timers_[index];
  Timer& event = events_[index];
  event.cancel();
  if (!running() || (timer.configuration & kInterruptEnable) == 0) return;
  const u64 mask = counter_mask(timer);
  const Nanoseconds now = clock_.now();
  u64 ticks = (timer.comparator - counter()) & mask;
  if (ticks == 0 && skip_now) {
    if (mask != kLow) return;
    ticks = u64{1} << 32;  // once round
  }
  // Centuries away is never, and keeps the arithmetic inside 64 bits.
  if (ticks > (kNever - now) / kNanosecondsPerTick / 2) return;
  // The tick began a little before now: the match is at a whole tick.
  const Nanoseconds into_tick = (now - counter_start_) % kNanosecondsPerTick;
  event.arm(now + ticks * kNanosecondsPerTick - std::min(into_tick, ticks * kNanosecondsPerTick));
}

void Hpet::arm_all() {
  for (unsigned index = 0; index < kTimerCount; ++index) arm(index);
}

void Hpet::expired(unsigned index) {
  Comparator& timer = timers_[index];
  const u64 mask = counter_mask(timer);
  if ((timer.configuration & kPeriodic) != 0 && timer.period != 0) {
    // All matches up to now are this one.
    const u64 late = (counter() - timer.comparator) & mask;
    timer.comparator = (timer.comparator + (late / timer.period + 1) * timer.period) & mask;
    arm(index);
    if (events_[index].armed()) {
      events_[index].arm(std::max(events_[index].deadline(), clock_.now() + kShortestPeriod));
    }
  } else {
    arm(index, true);
  }
  if ((timer.configuration & kLevel) != 0) status_ |= 1U << index;
  signal(index);
}

// --- Interrupts ----------------------------------------------------------------------------------

IrqLine* Hpet::output(unsigned index) {
  if (legacy_replacement() && index == 0) return &legacy_timer_;
  if (legacy_replacement() && index == 1) return &legacy_clock_;
  const unsigned route = static_cast<unsigned>((timers_[index].configuration & kRouteMask) >> 9);
  return ((route_capability_ >> route) & 1) != 0 ? &routes_[route] : nullptr;
}

/// A level-triggered line stays up until the status bit is cleared. An edge-triggered one stays up
/// until the next edge, as the 8254's does, because an 8259 wants to see it at the acknowledge
/// cycle.
void Hpet::signal(unsigned index) {
  IrqLine* line = output(index);
  if (line == nullptr || (timers_[index].configuration & kInterruptEnable) == 0) return;
  if ((timers_[index].configuration & kLevel) == 0) line->lower();
  line->raise();
}

void Hpet::release(unsigned index) {
  if (IrqLine* line = output(index)) line->lower();
}

}  // namespace ringshift::devices
