// The 8042 keyboard controller of a PS/2-style PC: ports 60h and 64h, the keyboard and mouse plugs,
// the A20 and reset pins of its output port, and the translation of scan codes that makes every PC
// keyboard look like the first one. Source: IBM Personal System/2 Hardware Interface Technical
// Reference, "Keyboard/Auxiliary Device Controller".
//
// A byte from a device appears one frame time (11 bits at 12.5 kHz) after the buffer has become
// free, as on the line, so that each has its own interrupt edge and a polling guest sees an empty
// buffer between two. The controller's own answers are there at once.
#pragma once

#include <array>
#include <string_view>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/input/a20_gate.h"
#include "devices/input/ps2_device.h"
#include "devices/irq.h"

namespace ringshift::devices {

class KeyboardController final : public Device, public Ps2Host {
 public:
  KeyboardController(EventClock& clock, MachineControl& machine, A20Gate& a20, Ps2Device& keyboard,
                     Ps2Device& mouse);

  std::string_view name() const override { return "8042 keyboard controller"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  IrqLine& keyboard_irq() { return keyboard_irq_; }    ///< IRQ 1
  IrqLine& mouse_irq() { return mouse_irq_; }          ///< IRQ 12
  IoHandler& data_port() { return data_port_; }        ///< 1 port: 60h
  IoHandler& command_port() { return command_port_; }  ///< 1 port: 64h

  void data_ready() override { schedule(); }

 private:
  enum class Source : u8 { Keyboard, Mouse };
  enum class Poll : u8 { None, Low, High };  // C1h, C2h

  u64 read_data(u64 offset, unsigned size);
  void write_data(u64 offset, u64 value, unsigned size);
  u64 read_status(u64 offset, unsigned size);
  void write_command(u64 offset, u64 value, unsigned size);
  bool query(u8 command);
  void control(u8 command);
  void send_to_keyboard(u8 byte);
  void send_to_mouse(u8 byte);
  void answer(u8 byte, Source source = Source::Keyboard);
  void fill(u8 byte, Source source);
  void write_command_byte(u8 value);
  u8 output_port() const;
  void write_output_port(u8 value);
  void schedule();
  void deliver();
  bool translate(u8& byte);
  void update_lines();
  u8& command_byte() { return ram_[0]; }
  bool keyboard_enabled() const { return (ram_[0] & 0x10) == 0; }
  bool mouse_enabled() const { return (ram_[0] & 0x20) == 0; }

  MachineControl& machine_;
  A20Gate& a20_;
  Ps2Device& keyboard_;
  Ps2Device& mouse_;

  std::array<u8, 32> ram_{};  // command byte and the rest of the internal RAM
  u8 status_ = 0;             // all but the bits that other members decide
  u8 output_ = 0;
  Source output_source_ = Source::Keyboard;
  bool output_full_ = false;
  u8 answer_ = 0;  // the controller's own next byte
  Source answer_source_ = Source::Keyboard;
  bool answer_waits_ = false;
  u8 waiting_command_ = 0;     // the command whose parameter port 60h takes next, 0 for none
  bool break_prefix_ = false;  // F0h has come in, to be folded into the next code
  bool a20_pin_ = true;
  Poll poll_ = Poll::None;
  IrqLine keyboard_irq_;
  IrqLine mouse_irq_;
  Timer frame_;
  MemberIoHandler<KeyboardController, &KeyboardController::read_data,
                  &KeyboardController::write_data>
      data_port_{*this};
  MemberIoHandler<KeyboardController, &KeyboardController::read_status,
                  &KeyboardController::write_command>
      command_port_{*this};
};

}  // namespace ringshift::devices
