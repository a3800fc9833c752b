// The high precision event timer block (IA-PC HPET Specification 1.0a): one 64-bit counter that all
// guests can read cheaply and three comparators. The counter is computed from the machine's clock;
// an event is armed only for a comparator whose interrupt is enabled.
#pragma once

#include <array>
#include <functional>

#include "cpu/io_handler.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

class Hpet final : public Device, public IoHandler {
 public:
  static constexpr unsigned kTimerCount = 3;
  static constexpr unsigned kRouteCount = 32;
  static constexpr u64 kRegionSize = 0x400;
  static constexpr u64 kNanosecondsPerTick = 10;
  static constexpr u32 kFemtosecondsPerTick = 10'000'000;

  /// `routes`: the I/O APIC inputs that timers may be routed to, as INT_ROUTE_CAP shows them. The
  /// board connects `route(n)` for each, and must not share them with other devices.
  Hpet(EventClock& clock, u32 routes);

  std::string_view name() const override { return "hpet"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  IrqLine& route(unsigned number) { return routes_[number]; }
  /// Timer 0 in place of the 8254 (IRQ 0, I/O APIC input 2) and timer 1 in place of the RTC (IRQ 8)
  /// while legacy replacement is on. §2.3.5.
  IrqLine& legacy_timer() { return legacy_timer_; }
  IrqLine& legacy_clock() { return legacy_clock_; }
  bool legacy_replacement() const { return (configuration_ & 2) != 0; }
  /// Called when the guest turns legacy replacement on or off: the board then cuts or restores the
  /// 8254's and the RTC's own lines. Also called after restoring a snapshot.
  void on_legacy_replacement(std::function<void(bool)> action) { on_legacy_ = std::move(action); }

  /// 32-bit and 64-bit accesses.
  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  struct Comparator {
    u64 configuration = 0;
    u64 comparator = 0;
    u64 period = 0;  // what was last written to the comparator register. §2.3.9.2.2
    void serialize(StateArchive& archive);
  };

  u64 read_register(u64 offset);
  void write_register(u64 offset, u64 value, u64 written);
  void write_configuration(u64 value);
  void write_timer_configuration(unsigned index, u64 value);
  void write_comparator(unsigned index, u64 value, u64 written);
  void clear_status(u32 bits);

  bool running() const { return (configuration_ & 1) != 0; }
  u64 counter();
  u64 counter_mask(const Comparator& timer) const;
  void arm(unsigned index, bool skip_now = false);
  void arm_all();
  void expired(unsigned index);
  IrqLine* output(unsigned index);
  void signal(unsigned index);
  void release(unsigned index);

  EventClock& clock_;
  const u32 route_capability_;
  std::function<void(bool)> on_legacy_;
  std::array<IrqLine, kRouteCount> routes_;
  IrqLine legacy_timer_;
  IrqLine legacy_clock_;

  u64 configuration_ = 0;
  u32 status_ = 0;
  u64 counter_base_ = 0;  // the counter at `counter_start_`, or while halted
  Nanoseconds counter_start_ = 0;
  std::array<Comparator, kTimerCount> timers_;
  std::array<Timer, kTimerCount> events_;
};

}  // namespace ringshift::devices
