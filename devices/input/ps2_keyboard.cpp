#include "devices/input/ps2_keyboard.h"

namespace ringshift::devices {

namespace {

constexpr u8 kAcknowledge = 0xFA;
constexpr u8 kResend = 0xFE;
constexpr u8 kSelfTestPassed = 0xAA;
constexpr u8 kDefaultTypematic = 0x2B;  // 10.9 characters a second after 500 ms
/// The self test takes a real keyboard half a second; nothing depends on more than its being later
/// than the acknowledgement.
constexpr Nanoseconds kSelfTestTime = 20'000'000;

constexpr u8 kUsageLeftControl = 0xE0;
constexpr u8 kUsageLeftShift = 0xE1;
constexpr u8 kUsageLeftAlt = 0xE2;
constexpr u8 kUsageRightControl = 0xE4;
constexpr u8 kUsageRightShift = 0xE5;
constexpr u8 kUsageRightAlt = 0xE6;
constexpr u8 kUsagePause = 0x48;

/// Delay: a quarter of a second times bits 6-5 plus one.
Nanoseconds repeat_delay(u8 typematic) {
  return (1 + ((typematic >> 5) & 3U)) * kNanosecondsPerSecond / 4;
}

/// Period: (8 + bits 2-0) * 2 to the bits 4-3, in units of 1/240 s.
Nanoseconds repeat_period(u8 typematic) {
  const u64 units = (8 + (typematic & 7U)) << ((typematic >> 3) & 3U);
  return units * kNanosecondsPerSecond / 240;
}

}  // namespace

Ps2Keyboard::Ps2Keyboard(EventClock& clock)
    : repeat_(clock, [this] { on_repeat(); }), self_test_(clock, [this] { finish_reset(); }) {
  reset(ResetKind::PowerOn);
}

/// At power-on the controller has taken the self test's result long before firmware looks.
void Ps2Keyboard::reset(ResetKind kind) {
  if (kind == ResetKind::System) return;  // a keyboard has no reset line: its power stays on
  self_test_.cancel();
  responses_.clear();
  pressed_.fill(0);
  set_ = ScanCodeSet::Two;
  scanning_ = true;
  leds_ = 0;
  waiting_command_ = 0;
  last_sent_ = 0;
  restore_defaults();
}

void Ps2Keyboard::serialize(StateArchive& archive) {
  archive.section("PS/2 keyboard", 1);
  archive.field("responses", responses_);
  archive.field("codes", codes_);
  archive.field("behaviours", behaviours_);
  archive.field("pressed", pressed_);
  archive.field("set", set_);
  archive.field("scanning", scanning_);
  archive.field("overrun", overrun_);
  archive.field("leds", leds_);
  archive.field("typematic", typematic_);
  archive.field("waiting_command", waiting_command_);
  archive.field("last_sent", last_sent_);
  archive.field("repeating", repeating_);
  repeat_.serialize(archive);
  self_test_.serialize(archive);
}

void Ps2Keyboard::clear_buffer() {
  codes_.clear();
  overrun_ = false;
  repeating_ = 0;
  repeat_.cancel();
}

void Ps2Keyboard::restore_defaults() {
  clear_buffer();
  typematic_ = kDefaultTypematic;
  behaviours_.fill(kRepeats);
  for (unsigned usage = 0; usage < 256; ++usage) {
    const KeyCode code{static_cast<u8>(usage)};
    const KeyBehaviour behaviour = default_set3_behaviour(code);
    if (const u8 scan = set3_code(code); scan != 0) {
      behaviours_[scan] =
          static_cast<u8>((behaviour.repeats ? kRepeats : 0) | (behaviour.breaks ? kBreaks : 0));
    }
  }
}

// --- Keys ---------------------------------------------------------------------------------------

KeyModifiers Ps2Keyboard::modifiers() const {
  const auto down = [this](u8 usage) { return (pressed_[usage / 8] >> (usage % 8) & 1) != 0; };
  KeyModifiers now;
  now.left_shift = down(kUsageLeftShift);
  now.right_shift = down(kUsageRightShift);
  now.control = down(kUsageLeftControl) || down(kUsageRightControl);
  now.alternate = down(kUsageLeftAlt) || down(kUsageRightAlt);
  now.num_lock = (leds_ & 2) != 0;
  return now;
}

bool Ps2Keyboard::repeats(KeyCode code) const {
  if (set_ != ScanCodeSet::Three) return code.usage != kUsagePause;
  return (behaviours_[set3_code(code)] & kRepeats) != 0;
}

void Ps2Keyboard::send(KeyCode code, KeyAction action) {
  if (set_ == ScanCodeSet::Three && action == KeyAction::Release &&
      (behaviours_[set3_code(code)] & kBreaks) == 0) {
    return;
  }
  const ScanSequence sequence = scan_sequence(set_, code, action, modifiers());
  if (codes_.size() + sequence.bytes().size() > kBufferSize) {
    // One overrun code takes the place of all that is lost until there is room again.
    if (!overrun_) codes_.push(set_ == ScanCodeSet::One ? 0xFF : 0x00);
    overrun_ = true;
    return;
  }
  overrun_ = false;
  for (const u8 byte : sequence.bytes()) codes_.push(byte);
  notify();
}

void Ps2Keyboard::key(KeyCode code, bool pressed) {
  u8& group = pressed_[code.usage / 8];
  const u8 place = static_cast<u8>(1U << (code.usage % 8));
  if (((group & place) != 0) == pressed) return;  // the host's own repeat
  if (pressed) {
    group |= place;
  } else {
    group &= static_cast<u8>(~place);
  }
  if (!scanning_ || self_test_.armed()) return;
  send(code, pressed ? KeyAction::Press : KeyAction::Release);
  if (pressed) {
    repeating_ = repeats(code) ? code.usage : 0;
    if (repeating_ != 0) {
      repeat_.arm_in(repeat_delay(typematic_));
    } else {
      repeat_.cancel();
    }
  } else if (code.usage == repeating_) {
    repeating_ = 0;
    repeat_.cancel();
  }
}

bool Ps2Keyboard::ready_for_key() const {
  return scanning_ && !self_test_.armed() && waiting_command_ == 0 &&
         codes_.size() + kLongestScanSequence <= kBufferSize;
}

/// A repeat that the guest has no time for is left out: it would only queue up behind itself.
void Ps2Keyboard::on_repeat() {
  if (repeating_ == 0) return;
  if (codes_.empty()) send(KeyCode{repeating_}, KeyAction::Repeat);
  repeat_.arm_in(repeat_period(typematic_));
}

// --- The line -----------------------------------------------------------------------------------

bool Ps2Keyboard::has_data() const {
  if (!responses_.empty()) return true;
  return !codes_.empty() && scanning_ && waiting_command_ == 0;
}

u8 Ps2Keyboard::take() {
  last_sent_ = responses_.empty() ? codes_.pop() : responses_.pop();
  return last_sent_;
}

void Ps2Keyboard::receive(u8 byte) {
  if (self_test_.armed()) return;  // the clock line is held until the test has ended
  responses_.clear();              // a new command ends the answer to the one before
  if (waiting_command_ != 0 && byte < 0xED) {
    argument(byte);
  } else {
    waiting_command_ = 0;
    command(byte);
  }
  notify();
}

void Ps2Keyboard::command(u8 byte) {
  switch (byte) {
    case 0xEE:  // echo
      respond(0xEE);
      return;
    case 0xFE:  // resend
      respond(last_sent_);
      return;
    case 0xED:  // lights
    case 0xF0:  // scan code set
    case 0xF3:  // typematic rate and delay
    case 0xFB:  // set 3: this key typematic
    case 0xFC:  // make/break
    case 0xFD:  // make only
      waiting_command_ = byte;
      break;
    case 0xF2:  // identify
      respond(kAcknowledge);
      respond(0xAB);
      respond(0x83);
      return;
    case 0xF4:  // enable
      clear_buffer();
      scanning_ = true;
      break;
    case 0xF5:  // defaults, disable
      restore_defaults();
      scanning_ = false;
      break;
    case 0xF6:  // defaults
      restore_defaults();
      break;
    case 0xF7:
      set_all_keys(kRepeats);
      break;
    case 0xF8:
      set_all_keys(kBreaks);
      break;
    case 0xF9:
      set_all_keys(0);
      break;
    case 0xFA:
      set_all_keys(kRepeats | kBreaks);
      break;
    case 0xFF:  // reset
      clear_buffer();
      self_test_.arm_in(kSelfTestTime);
      break;
    default:
      respond(kResend);
      return;
  }
  respond(kAcknowledge);
}

void Ps2Keyboard::argument(u8 byte) {
  const u8 command = waiting_command_;
  switch (command) {
    case 0xED:
      leds_ = byte & 7;
      break;
    case 0xF3:
      typematic_ = byte & 0x7F;
      break;
    case 0xF0:
      if (byte > 3) {
        respond(kResend);
        return;
      }
      if (byte != 0) {
        clear_buffer();
        set_ = static_cast<ScanCodeSet>(byte);
      }
      break;
    case 0xFB:
      behaviours_[byte] = kRepeats;
      break;
    case 0xFC:
      behaviours_[byte] = kBreaks;
      break;
    default:
      behaviours_[byte] = 0;
      break;
  }
  // FBh-FDh take keys until the next command.
  if (command < 0xFB) waiting_command_ = 0;
  respond(kAcknowledge);
  if (command == 0xF0 && byte == 0) respond(static_cast<u8>(set_));
}

void Ps2Keyboard::finish_reset() {
  const auto held = pressed_;
  reset(ResetKind::PowerOn);
  pressed_ = held;
  respond(kSelfTestPassed);
  notify();
}

}  // namespace ringshift::devices
