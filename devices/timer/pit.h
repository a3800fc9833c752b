// The 8254 interval timer with the PC's port 61h around it: the tick that firmware, boot loaders
// and kernels calibrate against. Nothing runs per clock pulse. Each counter is brought up to date,
// in constant time, when someone looks at it, from the event clock; only channel 0's rising edges
// are events, since they interrupt. Modelled after Intel's 8254 data sheet (231164).
//
// Lateness: where the host was late, all rising edges that were missed become one interrupt, as
// they would in a real 8259A that nobody acknowledged; the next edge keeps its place in time, so no
// tick is doubled and no phase is lost. In modes 2 to 5 the IRQ 0 line stays high between one
// rising edge and the next and only dips at the edge: the real OUT is low for up to half a period
// (mode 3), and an 8259A forgets a request whose line falls, so a late host would lose ticks that
// hardware delivers. The OUT pin itself (read-back, port 61h) is exact.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "cpu/io_handler.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

/// One 8254 counter, advanced by numbers of CLK pulses.
class PitCounter {
 public:
  void reset(bool gate);
  void serialize(StateArchive& archive);

  /// Lets `ticks` CLK pulses pass. Returns whether OUT has risen at least once.
  bool advance(u64 ticks);
  /// CLK pulses until OUT next rises; nothing if it won't without the guest's doing.
  std::optional<u64> ticks_to_rise() const;

  /// The control word's bits 5-0. Returns whether OUT has risen by it.
  bool program(u8 control);
  void write(u8 value);
  u8 read();
  void latch_count();
  void latch_status();
  /// Sets GATE. Returns whether OUT has risen by it.
  bool set_gate(bool gate);

  bool output() const { return output_; }
  bool gate() const { return gate_; }
  unsigned mode() const { return mode_; }
  /// The programmed count (1 to 65536); nothing before it has been written.
  std::optional<u32> count() const;

 private:
  enum class Access : u8 { Latch, Low, High, LowThenHigh };

  u32 modulus() const { return bcd_ ? 10000 : 65536; }
  u32 programmed() const;
  bool periodic() const { return mode_ == 2 || mode_ == 3; }
  bool illegal() const { return periodic() && programmed() == 1; }
  bool triggered() const { return mode_ == 1 || mode_ == 5; }
  void complete_write();
  void load();
  bool count_down(u64 ticks);
  bool advance_once(u64 ticks);
  bool advance_rate(u64 ticks);
  bool advance_square(u64 ticks);
  u64 square_half_left() const;
  void load_square_half();
  u16 visible_count() const;

  u8 control_ = 0;  // as written, for read-back
  u8 mode_ = 0;     // 0-5
  bool bcd_ = false;
  Access access_ = Access::LowThenHigh;
  u16 reload_ = 0;   // count register, in the guest's coding
  u32 element_ = 0;  // counting element, linear, 0 to modulus
  bool gate_ = true;
  bool output_ = false;
  bool written_ = false;       // a count has been written since the control word
  bool load_pending_ = false;  // the next CLK pulse moves the count register into the element
  bool counting_ = false;      // the element has been loaded since the control word
  bool armed_ = false;         // modes 0, 1, 4, 5: terminal count is still to come
  bool inhibited_ = false;     // mode 0 between the two bytes of a count
  bool odd_half_ = false;      // mode 3: this half period was loaded from an odd count
  bool null_count_ = true;
  bool write_high_next_ = false;
  bool read_high_next_ = false;
  u8 low_byte_ = 0;
  u8 count_latched_ = 0;  // bytes of the latched count still to be read
  u16 latched_count_ = 0;
  bool status_latched_ = false;
  u8 latched_status_ = 0;
};

class Pit final : public Device {
 public:
  /// Input frequency in Hz: the PC's 14.31818 MHz crystal divided by 12.
  static constexpr u64 kFrequency = 1'193'182;

  /// What the loudspeaker does. A steady level is silence.
  struct Speaker {
    bool on = false;
    double frequency = 0;  ///< in Hz
    friend bool operator==(const Speaker&, const Speaker&) = default;
  };

  explicit Pit(EventClock& clock);

  std::string_view name() const override { return "8254 interval timer"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  IrqLine& irq() { return irq_; }                          ///< IRQ 0
  IoHandler& ports() { return ports_; }                    ///< 4 ports: 40h
  IoHandler& system_control() { return system_control_; }  ///< 1 port: 61h

  Speaker speaker();

 private:
  u64 read_counter(u64 offset, unsigned size);
  void write_counter(u64 offset, u64 value, unsigned size);
  u64 read_port61(u64 offset, unsigned size);
  void write_port61(u64 offset, u64 value, unsigned size);
  void write_control(u8 value);
  void read_back(u8 value);
  void synchronise();
  void settle(bool channel0_rose);
  void arm();

  EventClock& clock_;
  std::array<PitCounter, 3> counters_;
  u64 tick_ = 0;  // CLK pulses since power-on that the counters have seen
  u8 port61_ = 0;
  IrqLine irq_;
  Timer edge_;
  MemberIoHandler<Pit, &Pit::read_counter, &Pit::write_counter> ports_{*this};
  MemberIoHandler<Pit, &Pit::read_port61, &Pit::write_port61> system_control_{*this};
};

}  // namespace ringshift::devices
