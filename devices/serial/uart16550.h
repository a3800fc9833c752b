// The 16550A UART (National Semiconductor PC16550D data sheet) as it sits on a PC's serial card. It
// is the console of every headless guest, so the interrupt and FIFO rules that drivers probe for
// are exact; only the transmitter is faster than any line: a byte reaches the host as it is
// written.
#pragma once

#include <array>
#include <span>
#include <string>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

class Uart16550 final : public Device, public IoHandler, public CharacterReceiver {
 public:
  static constexpr unsigned kPortCount = 8;
  static constexpr unsigned kFifoDepth = 16;

  /// The modem's inputs as MSR bits 7:4 show them.
  enum ModemInput : u8 {
    kClearToSend = 0x10,
    kDataSetReady = 0x20,
    kRingIndicator = 0x40,
    kDataCarrierDetect = 0x80,
  };

  /// `backend` may be null (nothing plugged in) and must outlive the device.
  Uart16550(EventClock& clock, std::string name, CharacterBackend* backend);

  std::string_view name() const override { return name_; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// INTRPT as the PC wires it: passed on while MCR.OUT2 is set.
  IrqLine& interrupt() { return interrupt_; }

  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

  /// Bytes from the line. Takes what fits; the backend hears `ready_to_receive()` when there is
  /// room again.
  std::size_t receive(std::span<const u8> bytes) override;
  /// A break condition from the line.
  void receive_break();
  /// Sets the modem's outputs, a set of ModemInput bits. With a backend, CTS, DSR and DCD are on.
  void set_modem_inputs(u8 inputs);

 private:
  bool fifo_enabled() const { return (fcr_ & 1) != 0; }
  bool loopback() const { return (mcr_ & 0x10) != 0; }
  unsigned capacity() const { return fifo_enabled() ? kFifoDepth : 1; }
  unsigned trigger_level() const;
  u8 word_mask() const { return static_cast<u8>(0x1F | (0xE0 & ~(~0U << (5 + (lcr_ & 3))))); }
  Nanoseconds character_time() const;

  u8 read_receiver();
  u8 read_interrupt_identification();
  u8 read_line_status();
  u8 read_modem_status();
  void write_transmitter(u8 byte);
  void write_interrupt_enable(u8 value);
  void write_fifo_control(u8 value);
  void write_line_control(u8 value);
  void write_modem_control(u8 value);

  void push(u8 byte, u8 errors);
  void pop();
  void clear_receiver();
  void offer_room();
  void update_modem_status();
  u8 pending_interrupt() const;
  void update_interrupt();

  std::string name_;
  CharacterBackend* backend_;
  IrqLine interrupt_;

  u8 ier_ = 0;
  u8 fcr_ = 0;
  u8 lcr_ = 0;
  u8 mcr_ = 0;
  u8 lsr_ = 0;  // overrun and the errors of the byte at the head; the rest is computed
  u8 msr_ = 0;
  u8 scratch_ = 0;
  u16 divisor_ = 0;
  u8 modem_inputs_ = 0;  // what the line says, looped back or not
  bool transmitter_interrupt_ = false;
  bool timed_out_ = false;
  bool starved_ = false;  // the backend has bytes that didn't fit
  std::array<u8, kFifoDepth> bytes_{};
  std::array<u8, kFifoDepth> errors_{};  // LSR bits that belong to each byte
  u8 first_ = 0;
  u8 count_ = 0;
  Timer timeout_;
};

}  // namespace ringshift::devices
