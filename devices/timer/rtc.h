// The MC146818 real-time clock and the two 128-byte banks of battery-backed memory behind ports
// 70h-73h: the calendar, the 1 kHz class periodic interrupt that old kernels profile with, and the
// bytes from which firmware learns memory size, floppy types and boot order. Modelled after the
// Motorola MC146818A data sheet; the second bank and the NMI mask after Intel's 82371AB §2.5.
//
// The registers hold what the guest last wrote or what the last update cycle left, in whatever
// coding was in force then, as in the chip. Update cycles that have passed are applied when someone
// looks; events exist only for interrupts that are enabled.
#pragma once

#include <array>
#include <string_view>

#include "cpu/io_handler.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"
#include "devices/timer/wall_clock.h"

namespace ringshift::devices {

class Rtc final : public Device {
 public:
  static constexpr unsigned kBankSize = 128;

  Rtc(EventClock& clock, WallClock& wall);

  std::string_view name() const override { return "MC146818 real-time clock"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// Sets a byte of battery-backed memory (index 0Eh-7Fh, second bank 80h-FFh) as the board's
  /// set-up would have left it; it also returns to this at power-on.
  void set_nvram(unsigned index, u8 value);
  /// A byte as the guest would read it now, without side effects on the flags in register C.
  u8 nvram(unsigned index) const { return memory_[index % memory_.size()]; }

  /// Bit 7 of the last write to port 70h: NMI doesn't reach the processor.
  bool nmi_masked() const { return nmi_masked_; }

  IrqLine& irq() { return irq_; }        ///< IRQ 8
  IoHandler& ports() { return ports_; }  ///< 4 ports: 70h-73h

 private:
  struct Calendar {
    unsigned second, minute, hour, weekday, day, month, year;  // year with its century
  };

  u64 read_port(u64 offset, unsigned size);
  void write_port(u64 offset, u64 value, unsigned size);
  u8 read_register(unsigned index);
  void write_register(unsigned index, u8 value);
  void write_a(u8 value);
  void write_b(u8 value);

  u8 encode(unsigned value) const;
  unsigned decode(u8 coded) const;
  u8 encode_hour(unsigned hour) const;
  unsigned decode_hour(u8 coded) const;
  Calendar calendar() const;
  void store(const Calendar& calendar);
  void add_seconds(u64 seconds);
  bool alarm_within(u64 seconds) const;
  bool alarm_matches(unsigned second_of_day) const;

  bool dividing() const { return (memory_[kRegisterA] & 0x70) == 0x20; }
  bool updating() const { return dividing() && (memory_[kRegisterB] & 0x80) == 0; }
  bool update_in_progress();
  u64 periodic_ticks() const;
  i64 chain_time() { return static_cast<i64>(clock_.now()) - chain_origin_; }
  void synchronise();
  void raise_flags(u8 flags);
  void arm();
  void on_event();

  static constexpr unsigned kRegisterA = 0x0A;
  static constexpr unsigned kRegisterB = 0x0B;
  static constexpr unsigned kRegisterC = 0x0C;
  static constexpr unsigned kRegisterD = 0x0D;

  EventClock& clock_;
  WallClock& wall_;
  std::array<u8, 2 * kBankSize> initial_{};
  std::array<u8, 2 * kBankSize> memory_{};
  u8 index_ = 0;
  u8 extended_index_ = 0;
  bool nmi_masked_ = false;
  i64 chain_origin_ = 0;  // event-clock time at which the divider chain stood at a whole second
  i64 last_chain_ = 0;    // nanoseconds of the chain that have been accounted for
  IrqLine irq_;
  Timer event_;
  MemberIoHandler<Rtc, &Rtc::read_port, &Rtc::write_port> ports_{*this};
};

}  // namespace ringshift::devices
