#include "devices/input/keyboard_controller.h"

#include "devices/input/scan_codes.h"

namespace ringshift::devices {

namespace {

constexpr u8 kStatusOutputFull = 0x01;
constexpr u8 kStatusSystem = 0x04;
constexpr u8 kStatusCommand = 0x08;   // the last write went to port 64h
constexpr u8 kStatusUnlocked = 0x10;  // the key lock is open
constexpr u8 kStatusMouse = 0x20;     // the output buffer holds a byte of the mouse

constexpr u8 kCommandKeyboardInterrupt = 0x01;
constexpr u8 kCommandMouseInterrupt = 0x02;
constexpr u8 kCommandSystem = 0x04;
constexpr u8 kCommandKeyboardOff = 0x10;
constexpr u8 kCommandMouseOff = 0x20;
constexpr u8 kCommandTranslate = 0x40;

constexpr u8 kOutputReset = 0x01;  // low resets the processor
constexpr u8 kOutputA20 = 0x02;

/// Key lock open, colour display, manufacturing jumper not set, second RAM bank enabled.
constexpr u8 kInputPort = 0xB0;

constexpr Nanoseconds kFrameTime = 880'000;

}  // namespace

KeyboardController::KeyboardController(EventClock& clock, MachineControl& machine, A20Gate& a20,
                                       Ps2Device& keyboard, Ps2Device& mouse)
    : machine_(machine), a20_(a20), keyboard_(keyboard), mouse_(mouse), frame_(clock, [this] {
        deliver();
      }) {
  keyboard_.connect(*this);
  mouse_.connect(*this);
  ram_[0] = kCommandTranslate | kCommandMouseOff | kCommandKeyboardOff;
  status_ = kStatusUnlocked;
}

void KeyboardController::reset(ResetKind /*kind*/) {
  ram_.fill(0);
  command_byte() = kCommandTranslate | kCommandMouseOff | kCommandKeyboardOff;
  status_ = kStatusUnlocked;
  output_ = answer_ = waiting_command_ = 0;
  output_full_ = answer_waits_ = break_prefix_ = false;
  poll_ = Poll::None;
  a20_pin_ = true;
  a20_.set_keyboard_controller(true);
  frame_.cancel();
  update_lines();
}

void KeyboardController::serialize(StateArchive& archive) {
  archive.section("8042", 1);
  archive.field("ram", ram_);
  archive.field("status", status_);
  archive.field("output", output_);
  archive.field("output_source", output_source_);
  archive.field("output_full", output_full_);
  archive.field("answer", answer_);
  archive.field("answer_source", answer_source_);
  archive.field("answer_waits", answer_waits_);
  archive.field("waiting_command", waiting_command_);
  archive.field("break_prefix", break_prefix_);
  archive.field("a20_pin", a20_pin_);
  archive.field("poll", poll_);
  frame_.serialize(archive);
  if (archive.saving()) return;
  const bool mouse = output_source_ == Source::Mouse;
  keyboard_irq_.restore_level(output_full_ && !mouse &&
                              (command_byte() & kCommandKeyboardInterrupt) != 0);
  mouse_irq_.restore_level(output_full_ && mouse && (command_byte() & kCommandMouseInterrupt) != 0);
}

// --- Output buffer ------------------------------------------------------------------------------

void KeyboardController::update_lines() {
  const bool mouse = output_source_ == Source::Mouse;
  keyboard_irq_.set(output_full_ && !mouse && (command_byte() & kCommandKeyboardInterrupt) != 0);
  mouse_irq_.set(output_full_ && mouse && (command_byte() & kCommandMouseInterrupt) != 0);
}

void KeyboardController::fill(u8 byte, Source source) {
  output_ = byte;
  output_source_ = source;
  output_full_ = true;
  update_lines();
}

/// The controller's own bytes wait for the buffer but go before the devices'.
void KeyboardController::answer(u8 byte, Source source) {
  answer_ = byte;
  answer_source_ = source;
  answer_waits_ = true;
  schedule();
}

void KeyboardController::schedule() {
  if (output_full_) return;
  if (answer_waits_) {
    answer_waits_ = false;
    fill(answer_, answer_source_);
    return;
  }
  const bool waiting =
      (keyboard_enabled() && keyboard_.has_data()) || (mouse_enabled() && mouse_.has_data());
  if (waiting && !frame_.armed()) frame_.arm_in(kFrameTime);
}

/// Folds set 2 into set 1. False: the byte was a prefix, and nothing comes of it alone.
bool KeyboardController::translate(u8& byte) {
  if ((command_byte() & kCommandTranslate) == 0) return true;
  if (byte == 0xF0) {
    break_prefix_ = true;
    return false;
  }
  byte = translate_scan_code(byte);
  if (break_prefix_) byte |= 0x80;
  break_prefix_ = false;
  return true;
}

void KeyboardController::deliver() {
  if (output_full_) return;  // an answer came between; the next read schedules again
  while (keyboard_enabled() && keyboard_.has_data()) {
    u8 byte = keyboard_.take();
    if (!translate(byte)) continue;
    fill(byte, Source::Keyboard);
    return;
  }
  if (mouse_enabled() && mouse_.has_data()) fill(mouse_.take(), Source::Mouse);
}

u64 KeyboardController::read_data(u64 /*offset*/, unsigned /*size*/) {
  const u8 value = output_;
  output_full_ = false;
  update_lines();
  schedule();
  return value;
}

u64 KeyboardController::read_status(u64 /*offset*/, unsigned /*size*/) {
  u8 status = status_;
  if (output_full_) status |= kStatusOutputFull;
  if (output_full_ && output_source_ == Source::Mouse) status |= kStatusMouse;
  if (poll_ == Poll::Low) return (status & 0x0F) | static_cast<u8>(kInputPort << 4);
  if (poll_ == Poll::High) return (status & 0x0F) | (kInputPort & 0xF0);
  return status;
}

// --- Commands -----------------------------------------------------------------------------------

void KeyboardController::send_to_keyboard(u8 byte) {
  command_byte() &= static_cast<u8>(~kCommandKeyboardOff);  // sending reopens the line
  break_prefix_ = false;
  keyboard_.receive(byte);
}

void KeyboardController::send_to_mouse(u8 byte) {
  command_byte() &= static_cast<u8>(~kCommandMouseOff);
  mouse_.receive(byte);
}

void KeyboardController::write_command_byte(u8 value) {
  command_byte() = value & 0x7F;
  status_ &= static_cast<u8>(~kStatusSystem);
  if ((value & kCommandSystem) != 0) status_ |= kStatusSystem;
  update_lines();
  schedule();
}

/// P20 reset, P21 A20, P22/P23 mouse data and clock, P24/P25 interrupts, P26/P27 keyboard clock and
/// data.
u8 KeyboardController::output_port() const {
  const bool mouse = output_source_ == Source::Mouse;
  u8 value = kOutputReset | 0x80;
  if (a20_pin_) value |= kOutputA20;
  if (!mouse_enabled()) value |= 0x08;
  if (output_full_ && !mouse) value |= 0x10;
  if (output_full_ && mouse) value |= 0x20;
  if (keyboard_enabled()) value |= 0x40;
  return value;
}

void KeyboardController::write_output_port(u8 value) {
  a20_pin_ = (value & kOutputA20) != 0;
  a20_.set_keyboard_controller(a20_pin_);
  if ((value & kOutputReset) == 0) machine_.request_reset();
}

void KeyboardController::write_data(u64 /*offset*/, u64 value, unsigned /*size*/) {
  const u8 byte = static_cast<u8>(value);
  const u8 command = waiting_command_;
  waiting_command_ = 0;
  poll_ = Poll::None;
  status_ &= static_cast<u8>(~kStatusCommand);
  if (command == 0x60) {
    write_command_byte(byte);
  } else if (command > 0x60 && command < 0x80) {
    ram_[command & 0x1F] = byte;
  } else if (command == 0xD1) {
    write_output_port(byte);
  } else if (command == 0xD2) {
    answer(byte, Source::Keyboard);
  } else if (command == 0xD3) {
    answer(byte, Source::Mouse);
  } else if (command == 0xD4) {
    send_to_mouse(byte);
  } else {
    send_to_keyboard(byte);
  }
}

void KeyboardController::write_command(u64 /*offset*/, u64 value, unsigned /*size*/) {
  const u8 command = static_cast<u8>(value);
  status_ |= kStatusCommand;
  waiting_command_ = 0;
  poll_ = Poll::None;
  if (command >= 0x20 && command < 0x40) {
    answer(ram_[command & 0x1F]);
    return;
  }
  if (command >= 0x60 && command < 0x80) {
    waiting_command_ = command;
    return;
  }
  if (command >= 0xF0) {  // pulse the output port's low bits
    if ((command & kOutputReset) == 0) machine_.request_reset();
    return;
  }
  if (!query(command)) control(command);
}

/// The commands that answer with a byte. False: it is none of them.
bool KeyboardController::query(u8 command) {
  switch (command) {
    case 0xA4:  // is a password loaded? None: this controller has no security feature
      answer(0xF1);
      return true;
    case 0xA9:  // mouse line test
    case 0xAB:  // keyboard line test
      answer(0x00);
      return true;
    case 0xAA:  // self test
      status_ |= kStatusSystem;
      command_byte() |= kCommandSystem;
      answer(0x55);
      return true;
    case 0xC0:
      answer(kInputPort);
      return true;
    case 0xD0:
      answer(output_port());
      return true;
    case 0xE0:  // test inputs: keyboard and mouse clock
      answer(static_cast<u8>((keyboard_enabled() ? 1 : 0) | (mouse_enabled() ? 2 : 0)));
      return true;
    default:
      return false;
  }
}

void KeyboardController::control(u8 command) {
  switch (command) {
    case 0xA7:
      command_byte() |= kCommandMouseOff;
      break;
    case 0xA8:
      command_byte() &= static_cast<u8>(~kCommandMouseOff);
      schedule();
      break;
    case 0xAD:
      command_byte() |= kCommandKeyboardOff;
      break;
    case 0xAE:
      command_byte() &= static_cast<u8>(~kCommandKeyboardOff);
      schedule();
      break;
    case 0xC1:
      poll_ = Poll::Low;
      break;
    case 0xC2:
      poll_ = Poll::High;
      break;
    case 0xD1:
    case 0xD2:
    case 0xD3:
    case 0xD4:
      waiting_command_ = command;
      break;
    case 0xDD:
    case 0xDF:
      a20_pin_ = command == 0xDF;
      a20_.set_keyboard_controller(a20_pin_);
      break;
    default:
      break;  // no command of this controller
  }
}

}  // namespace ringshift::devices
