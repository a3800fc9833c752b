#include <catch2/catch.hpp>

#include "devices/input/a20_gate.h"
#include "devices/input/keyboard_controller.h"
#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"
#include "tests/unit/devices/legacy_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

using Bytes = std::vector<u8>;
constexpr Nanoseconds kMillisecond = 1'000'000;

struct Input : LegacyBoard {
  A20Gate a20{panel};
  Ps2Keyboard keyboard{clock};
  Ps2Mouse mouse{clock};
  KeyboardController controller{clock, panel, a20, keyboard, mouse};
  IoHandler& data = controller.data_port();
  IoHandler& control = controller.command_port();

  Input() {
    controller.keyboard_irq().connect(lines, 1);
    controller.mouse_irq().connect(lines, 12);
  }
  void command(u8 value) { out(control, 0, value); }
  void command(u8 value, u8 parameter) { command(value), out(data, 0, parameter); }
  u8 answer(u8 value) { return command(value), in(data); }
  /// Both lines on; interrupts, translation as `command_byte` says.
  void open(u8 command_byte) { command(0x60, command_byte); }
  /// All bytes that come within `duration`, as a driver would read them.
  Bytes receive(Nanoseconds duration = 60 * kMillisecond) {
    Bytes bytes;
    for (Nanoseconds left = duration; left > 0; left -= kMillisecond / 10) {
      run(kMillisecond / 10);
      if ((in(control)&1) != 0) bytes.push_back(in(data));
    }
    return bytes;
  }
  Bytes ask_keyboard(const Bytes& commands) {
    Bytes all;
    for (const u8 byte : commands) {
      out(data, 0, byte);
      for (const u8 reply : receive()) all.push_back(reply);
    }
    return all;
  }
  Bytes ask_mouse(const Bytes& commands) {
    Bytes all;
    for (const u8 byte : commands) {
      command(0xD4, byte);
      for (const u8 reply : receive()) all.push_back(reply);
    }
    return all;
  }
  Bytes type(u8 usage) {
    keyboard.key({usage}, true);
    Bytes bytes = receive();
    keyboard.key({usage}, false);
    for (const u8 byte : receive()) bytes.push_back(byte);
    return bytes;
  }
};

constexpr u8 kA = 0x04, kPrint = 0x46, kPauseKey = 0x48, kHome = 0x4A, kSlash = 0x54;
constexpr u8 kControl = 0xE0, kShift = 0xE1, kAlt = 0xE2, kRightShift = 0xE5;

Bytes codes(ScanCodeSet set, u8 usage, KeyAction action, const KeyModifiers& modifiers = {}) {
  const ScanSequence sequence = scan_sequence(set, {usage}, action, modifiers);
  return {sequence.bytes().begin(), sequence.bytes().end()};
}

}  // namespace

// --- Scan codes ---------------------------------------------------------------------------------

TEST_CASE("scan codes: plain and extended keys in all sets") {
  using enum KeyAction;
  CHECK(codes(ScanCodeSet::One, kA, Press) == Bytes{0x1E});
  CHECK(codes(ScanCodeSet::One, kA, Release) == Bytes{0x9E});
  CHECK(codes(ScanCodeSet::Two, kA, Press) == Bytes{0x1C});
  CHECK(codes(ScanCodeSet::Two, kA, Release) == Bytes{0xF0, 0x1C});
  CHECK(codes(ScanCodeSet::Three, kA, Press) == Bytes{0x1C});
  CHECK(codes(ScanCodeSet::Three, kA, Release) == Bytes{0xF0, 0x1C});
  CHECK(codes(ScanCodeSet::One, 0xE4, Press) == Bytes{0xE0, 0x1D});  // right Control
  CHECK(codes(ScanCodeSet::Two, 0xE4, Release) == Bytes{0xE0, 0xF0, 0x14});
  CHECK(codes(ScanCodeSet::Three, 0xE4, Press) == Bytes{0x58});
  CHECK(codes(ScanCodeSet::One, 0x40, Press) == Bytes{0x41});  // F7: 83h in set 2
  CHECK(codes(ScanCodeSet::Two, 0x40, Press) == Bytes{0x83});
  CHECK(codes(ScanCodeSet::One, 0x45, Press) == Bytes{0x58});  // F12
  CHECK(codes(ScanCodeSet::One, 0x90, Press) == Bytes{0xF2});  // Hangul has no break code
  CHECK(codes(ScanCodeSet::Two, 0x90, Release).empty());
  CHECK(codes(ScanCodeSet::One, 0xED, Press) == Bytes{0xE0, 0x30});  // volume up
  CHECK(codes(ScanCodeSet::One, 0x66, Press) == Bytes{0xE0, 0x5E});  // power
  CHECK(codes(ScanCodeSet::Two, 0x00, Press).empty());
  CHECK(codes(ScanCodeSet::Three, 0x66, Press).empty());
}

TEST_CASE("scan codes: every key of a 102-key keyboard has a code of its own in each set") {
  for (const ScanCodeSet set : {ScanCodeSet::One, ScanCodeSet::Two, ScanCodeSet::Three}) {
    std::map<Bytes, unsigned> seen;
    for (unsigned usage = 0x04; usage <= 0xE7; ++usage) {
      // 32h is 31h on the keyboards that have it (only set 3 knows the difference), F24 and Zenkaku
      // share a code.
      if (usage > 0x65 && usage < 0xE0) continue;
      if (usage == 0x32) continue;
      const Bytes code = codes(set, static_cast<u8>(usage), KeyAction::Press);
      INFO("set " << int(set) << " usage " << usage);
      REQUIRE_FALSE(code.empty());
      CHECK(seen.emplace(code, usage).second);
      CHECK(code.size() <= kLongestScanSequence);
    }
  }
}

TEST_CASE("scan codes: Pause and Print Screen") {
  using enum KeyAction;
  CHECK(codes(ScanCodeSet::One, kPauseKey, Press) == Bytes{0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5});
  CHECK(codes(ScanCodeSet::Two, kPauseKey, Press) ==
        Bytes{0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77});
  CHECK(codes(ScanCodeSet::Two, kPauseKey, Release).empty());
  CHECK(codes(ScanCodeSet::Three, kPauseKey, Press) == Bytes{0x62});
  KeyModifiers control;
  control.control = true;
  CHECK(codes(ScanCodeSet::One, kPauseKey, Press, control) == Bytes{0xE0, 0x46, 0xE0, 0xC6});
  CHECK(codes(ScanCodeSet::One, kPrint, Press) == Bytes{0xE0, 0x2A, 0xE0, 0x37});
  CHECK(codes(ScanCodeSet::One, kPrint, Release) == Bytes{0xE0, 0xB7, 0xE0, 0xAA});
  CHECK(codes(ScanCodeSet::Two, kPrint, Repeat) == Bytes{0xE0, 0x7C});
  CHECK(codes(ScanCodeSet::Two, kPrint, Press, control) == Bytes{0xE0, 0x7C});
  CHECK(codes(ScanCodeSet::Two, kPrint, Release, control) == Bytes{0xE0, 0xF0, 0x7C});
  KeyModifiers alternate;
  alternate.alternate = true;
  CHECK(codes(ScanCodeSet::One, kPrint, Press, alternate) == Bytes{0x54});
  CHECK(codes(ScanCodeSet::Two, kPrint, Release, alternate) == Bytes{0xF0, 0x84});
}

TEST_CASE("scan codes: grey keys fake shifts so that the keypad's meaning stays out") {
  using enum KeyAction;
  KeyModifiers none, num, left, both, num_left;
  num.num_lock = num_left.num_lock = true;
  left.left_shift = both.left_shift = num_left.left_shift = true;
  both.right_shift = true;
  const ScanCodeSet two = ScanCodeSet::Two;
  CHECK(codes(two, kHome, Press, none) == Bytes{0xE0, 0x6C});
  CHECK(codes(two, kHome, Press, num) == Bytes{0xE0, 0x12, 0xE0, 0x6C});
  CHECK(codes(two, kHome, Release, num) == Bytes{0xE0, 0xF0, 0x6C, 0xE0, 0xF0, 0x12});
  CHECK(codes(two, kHome, Repeat, num) == Bytes{0xE0, 0x6C});
  CHECK(codes(two, kHome, Press, left) == Bytes{0xE0, 0xF0, 0x12, 0xE0, 0x6C});
  CHECK(codes(two, kHome, Release, left) == Bytes{0xE0, 0xF0, 0x6C, 0xE0, 0x12});
  CHECK(codes(two, kHome, Press, num_left) == Bytes{0xE0, 0x6C});
  CHECK(codes(ScanCodeSet::One, kHome, Press, both) == Bytes{0xE0, 0xAA, 0xE0, 0xB6, 0xE0, 0x47});
  CHECK(codes(ScanCodeSet::One, kHome, Release, both) == Bytes{0xE0, 0xC7, 0xE0, 0x36, 0xE0, 0x2A});
  CHECK(codes(two, kSlash, Press, num) == Bytes{0xE0, 0x4A});
  CHECK(codes(two, kSlash, Press, left) == Bytes{0xE0, 0xF0, 0x12, 0xE0, 0x4A});
  for (const auto action : {Press, Release, Repeat}) {
    CHECK(codes(two, kHome, action, both).size() <= kLongestScanSequence);
  }
}

// --- Keyboard through the controller ------------------------------------------------------------

TEST_CASE("keyboard: keys arrive translated, one frame time apart, with IRQ 1 each") {
  Input input;
  input.open(0x45);
  input.keyboard.key({kA}, true);
  CHECK((in(input.control) & 1) == 0);
  input.run(880'000 - 1);
  CHECK((in(input.control) & 1) == 0);
  input.run(1);
  CHECK((in(input.control) & 0x21) == 0x01);
  CHECK(input.lines.levels[1]);
  CHECK(in(input.data) == 0x1E);
  CHECK_FALSE(input.lines.levels[1]);
  CHECK(in(input.data) == 0x1E);  // an empty buffer repeats its last byte
  input.keyboard.key({kA}, false);
  CHECK(input.receive() == Bytes{0x9E});
  CHECK(input.lines.rises[1] == 2);
  CHECK(input.type(kPauseKey) == Bytes{0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5});
  CHECK(input.type(0x4F) == Bytes{0xE0, 0x4D, 0xE0, 0xCD});
}

TEST_CASE("keyboard: without translation set 2 passes, and sets 1 and 3 can be chosen") {
  Input input;
  input.open(0x00);
  CHECK(input.type(kA) == Bytes{0x1C, 0xF0, 0x1C});
  CHECK(input.lines.rises[1] == 0);
  CHECK(input.ask_keyboard({0xF0, 0x01}) == Bytes{0xFA, 0xFA});
  CHECK(input.type(0x4F) == Bytes{0xE0, 0x4D, 0xE0, 0xCD});
  CHECK(input.ask_keyboard({0xF0, 0x03}) == Bytes{0xFA, 0xFA});
  CHECK(input.ask_keyboard({0xF0, 0x00}) == Bytes{0xFA, 0xFA, 0x03});
  CHECK(input.ask_keyboard({0xF0, 0x04}) == Bytes{0xFA, 0xFE});
  CHECK(input.ask_keyboard({0xF0, 0x02}) == Bytes{0xFA, 0xFA});
}

TEST_CASE("keyboard: set 3 break codes and repeat are per key") {
  Input input;
  input.open(0x00);
  input.ask_keyboard({0xF0, 0x03});
  CHECK(input.type(kA) == Bytes{0x1C});                  // typematic: no break code
  CHECK(input.type(kShift) == Bytes{0x12, 0xF0, 0x12});  // make/break
  CHECK(input.type(0x3A) == Bytes{0x07});                // F1: make only
  CHECK(input.ask_keyboard({0xF8}) == Bytes{0xFA});
  CHECK(input.type(kA) == Bytes{0x1C, 0xF0, 0x1C});
  CHECK(input.ask_keyboard({0xF9}) == Bytes{0xFA});
  CHECK(input.type(kA) == Bytes{0x1C});
  CHECK(input.ask_keyboard({0xFA}) == Bytes{0xFA});
  CHECK(input.type(kA) == Bytes{0x1C, 0xF0, 0x1C});
  CHECK(input.ask_keyboard({0xF7}) == Bytes{0xFA});
  CHECK(input.type(kA) == Bytes{0x1C});
  // FBh-FDh take any number of keys, until the next command.
  CHECK(input.ask_keyboard({0xFC, 0x1C, 0x1B, 0xF4}) == Bytes{0xFA, 0xFA, 0xFA, 0xFA});
  CHECK(input.type(kA) == Bytes{0x1C, 0xF0, 0x1C});
  CHECK(input.ask_keyboard({0xFD, 0x1C, 0xF4}) == Bytes{0xFA, 0xFA, 0xFA});
  CHECK(input.type(kA) == Bytes{0x1C});
  input.keyboard.key({kA}, true);
  CHECK(input.receive(1000 * kMillisecond) == Bytes{0x1C});  // make only: no repeat
  input.keyboard.key({kA}, false);
  CHECK(input.ask_keyboard({0xFB, 0x1C, 0xF4}) == Bytes{0xFA, 0xFA, 0xFA});
  input.keyboard.key({kA}, true);
  CHECK(input.receive(1000 * kMillisecond).size() > 2);
}

TEST_CASE("keyboard: commands") {
  Input input;
  input.open(0x00);
  CHECK(input.ask_keyboard({0xEE}) == Bytes{0xEE});
  CHECK(input.ask_keyboard({0xF2}) == Bytes{0xFA, 0xAB, 0x83});
  CHECK(input.ask_keyboard({0xFE}) == Bytes{0x83});
  CHECK(input.ask_keyboard({0xED, 0x05}) == Bytes{0xFA, 0xFA});
  CHECK(input.keyboard.leds() == 5);
  CHECK(input.ask_keyboard({0xED, 0xF2}) == Bytes{0xFA, 0xFA, 0xAB, 0x83});  // a command instead
  CHECK(input.keyboard.leds() == 5);
  CHECK(input.ask_keyboard({0xEF}) == Bytes{0xFE});
  CHECK(input.ask_keyboard({0x00}) == Bytes{0xFE});
  CHECK(input.ask_keyboard({0xF5}) == Bytes{0xFA});
  CHECK_FALSE(input.keyboard.ready_for_key());
  CHECK(input.type(kA).empty());
  CHECK(input.ask_keyboard({0xF4}) == Bytes{0xFA});
  CHECK(input.keyboard.ready_for_key());
  CHECK(input.type(kA) == Bytes{0x1C, 0xF0, 0x1C});
  CHECK(input.ask_keyboard({0xF6}) == Bytes{0xFA});
  CHECK(input.ask_keyboard({0xFF}) == Bytes{0xFA, 0xAA});
  CHECK(input.keyboard.leds() == 0);
}

TEST_CASE(
    "keyboard: the translated identification is AB 41, and commands are ignored in self test") {
  Input input;
  input.open(0x40);
  CHECK(input.ask_keyboard({0xF2}) == Bytes{0xFA, 0xAB, 0x41});
  out(input.data, 0, 0xFF);
  CHECK(input.receive(3 * kMillisecond) == Bytes{0xFA});
  CHECK_FALSE(input.keyboard.ready_for_key());
  out(input.data, 0, 0xEE);
  input.keyboard.key({kA}, true);
  CHECK(input.receive() == Bytes{0xAA});
}

TEST_CASE("keyboard: typematic repeat follows the programmed delay and rate") {
  Input input;
  input.open(0x40);
  input.keyboard.key({kA}, true);
  CHECK(input.receive(495 * kMillisecond) == Bytes{0x1E});
  CHECK(input.receive(10 * kMillisecond) == Bytes{0x1E});
  // 2Bh: (8 + 3) * 2 / 240 s = 91.7 ms
  CHECK(input.receive(917 * kMillisecond).size() == 10);
  input.keyboard.key({kA}, false);
  CHECK(input.receive(500 * kMillisecond) == Bytes{0x9E});
  CHECK(input.ask_keyboard({0xF3, 0x00}) == Bytes{0xFA, 0xFA});  // 250 ms, 30 a second
  input.keyboard.key({kA}, true);
  input.keyboard.key({kA}, true);  // the host's own repeat is no key press
  CHECK(input.receive(245 * kMillisecond).size() == 1);
  CHECK(input.receive(1010 * kMillisecond).size() == 31);
  input.keyboard.key({0x05}, true);  // the last key pressed repeats
  const Bytes bytes = input.receive(400 * kMillisecond);
  CHECK(bytes.back() == 0x30);
  input.keyboard.key({kA}, false);  // another key's release doesn't stop it
  CHECK(input.receive(200 * kMillisecond).back() == 0x30);
  input.keyboard.key({kPauseKey}, true);
  CHECK(input.receive(1000 * kMillisecond).size() == 6);
}

TEST_CASE("keyboard: a guest that doesn't read gets an overrun code after 16 bytes") {
  Input input;
  input.open(0x20);
  for (u8 usage = 0x04; usage < 0x04 + 12; ++usage) {
    input.keyboard.key({usage}, true);
    input.keyboard.key({usage}, false);
  }
  CHECK_FALSE(input.keyboard.ready_for_key());
  const Bytes bytes = input.receive(100 * kMillisecond);
  REQUIRE(bytes.size() == 17);
  CHECK(bytes.back() == 0x00);
  CHECK(bytes[13] == 0xF0);
  CHECK(bytes[15] == 0x2B);  // the sixth key's make code was the last to fit
  input.keyboard.key({kA}, true);
  CHECK(input.receive(100 * kMillisecond) == Bytes{0x1C});
}

TEST_CASE("keyboard: modifiers reach the grey keys, Num Lock from the lights") {
  Input input;
  input.open(0x40);
  input.ask_keyboard({0xED, 0x02});
  CHECK(input.type(kHome) == Bytes{0xE0, 0x2A, 0xE0, 0x47, 0xE0, 0xC7, 0xE0, 0xAA});
  input.keyboard.key({kRightShift}, true);
  input.receive();
  CHECK(input.type(kHome) == Bytes{0xE0, 0x47, 0xE0, 0xC7});
  input.keyboard.key({kAlt}, true);
  input.receive();
  CHECK(input.type(kPrint) == Bytes{0x54, 0xD4});
  input.keyboard.key({kAlt}, false);
  input.keyboard.key({kControl}, true);
  input.receive();
  CHECK(input.type(kPauseKey) == Bytes{0xE0, 0x46, 0xE0, 0xC6});
}

// --- Controller ---------------------------------------------------------------------------------

TEST_CASE("8042: self tests, RAM and the command byte") {
  Input input;
  CHECK((in(input.control) & 0x04) == 0);
  CHECK(input.answer(0x20) == 0x70);
  CHECK(input.answer(0xAA) == 0x55);
  CHECK((in(input.control) & 0x1C) == 0x1C);  // system flag, last write a command, not locked
  CHECK(input.answer(0xA9) == 0x00);
  CHECK(input.answer(0xAB) == 0x00);
  CHECK(input.answer(0xA4) == 0xF1);
  input.command(0x60, 0xC3);
  CHECK((in(input.control) & 0x0C) == 0);
  CHECK(input.answer(0x20) == 0x43);
  input.command(0x6A, 0x5A);
  CHECK(input.answer(0x2A) == 0x5A);
  input.command(0xA7);
  input.command(0xAD);
  CHECK(input.answer(0x20) == 0x73);
  CHECK(input.answer(0xE0) == 0x00);
  input.command(0xA8);
  input.command(0xAE);
  CHECK(input.answer(0x20) == 0x43);
  CHECK(input.answer(0xE0) == 0x03);
  CHECK(input.answer(0xC0) == 0xB0);
  input.command(0xC2);
  CHECK((in(input.control) & 0xF0) == 0xB0);
  input.command(0xC1);
  CHECK((in(input.control) & 0xF0) == 0x00);
  input.command(0xB0);  // unknown: nothing
  CHECK((in(input.control) & 1) == 0);
}

TEST_CASE("8042: a disabled line holds its device's bytes back") {
  Input input;
  input.command(0x60, 0x50);
  input.keyboard.key({kA}, true);
  CHECK(input.receive().empty());
  input.command(0xAE);
  CHECK(input.receive() == Bytes{0x1E});
  input.command(0xAD);
  out(input.data, 0, 0xEE);  // sending opens the line again
  CHECK(input.receive() == Bytes{0xEE});
  CHECK((input.answer(0x20) & 0x10) == 0);
}

TEST_CASE("8042: D2 and D3 put bytes into the buffer as a device would") {
  Input input;
  input.open(0x03);
  input.command(0xD2, 0x5A);
  CHECK((in(input.control) & 0x21) == 0x01);
  CHECK(input.lines.levels[1]);
  CHECK(in(input.data) == 0x5A);
  input.command(0xD3, 0xA5);
  CHECK((in(input.control) & 0x21) == 0x21);
  CHECK(input.lines.levels[12]);
  CHECK((input.controller.mouse_irq().level()));
  CHECK(in(input.data) == 0xA5);
  CHECK_FALSE(input.lines.levels[12]);
  // An answer waits for the buffer and goes before the devices.
  input.command(0xD2, 0x11);
  input.keyboard.key({kA}, true);
  input.command(0xAA);
  CHECK(in(input.data) == 0x11);
  CHECK(in(input.data) == 0x55);
  CHECK(input.receive() == Bytes{0x1C});
}

TEST_CASE("8042: an answer that comes while a byte is on the line delays it, no more") {
  Input input;
  input.open(0x00);
  input.keyboard.key({kA}, true);
  input.run(500'000);
  input.command(0xAA);
  input.run(kMillisecond);
  CHECK(in(input.data) == 0x55);
  CHECK(input.receive() == Bytes{0x1C});
}

TEST_CASE("8042: output port, A20 and reset") {
  Input input;
  input.a20.reset(ResetKind::PowerOn);
  input.controller.reset(ResetKind::PowerOn);
  CHECK(input.panel.a20 == std::vector<bool>{true});
  CHECK((input.answer(0xD0) & 0x03) == 0x03);
  input.command(0xD1, 0xDD);
  CHECK_FALSE(input.a20.enabled());
  CHECK((input.answer(0xD0) & 0x03) == 0x01);
  input.command(0xD1, 0xDF);
  input.command(0xDD);
  CHECK_FALSE(input.a20.enabled());
  out(input.a20.port92(), 0, 0x02);  // the other way to open it
  CHECK(input.a20.enabled());
  CHECK(in(input.a20.port92()) == 0x02);
  input.command(0xDF);
  out(input.a20.port92(), 0, 0x00);
  CHECK(input.a20.enabled());
  CHECK(input.panel.a20 == std::vector<bool>{true, false, true, false, true});
  CHECK(input.panel.resets == 0);
  input.command(0xFE);
  CHECK(input.panel.resets == 1);
  input.command(0xFF);  // pulses nothing
  input.command(0xD1, 0xDE);
  CHECK(input.panel.resets == 2);
  out(input.a20.port92(), 0, 0x01);
  out(input.a20.port92(), 0, 0x01);  // only a rise resets
  CHECK(input.panel.resets == 3);
  input.command(0xD2, 0x00);
  CHECK((input.answer(0xD0) & 0x10) == 0x00);  // (that was the byte itself)
  CHECK((in(input.data) & 0x30) == 0x10);
}

// --- Mouse --------------------------------------------------------------------------------------

TEST_CASE("mouse: reset, identification, status and defaults") {
  Input input;
  input.open(0x02);
  CHECK(input.ask_mouse({0xFF}) == Bytes{0xFA, 0xAA, 0x00});
  CHECK(input.lines.rises[12] == 3);
  CHECK(input.ask_mouse({0xF2}) == Bytes{0xFA, 0x00});
  CHECK(input.ask_mouse({0xE9}) == Bytes{0xFA, 0x00, 0x02, 0x64});
  CHECK(input.ask_mouse({0xE8, 0x03, 0xF3, 0x28, 0xE7, 0xF4}) == Bytes(6, 0xFA));
  input.mouse.pointer({0, 0, 0, 0x05});
  input.receive();
  CHECK(input.ask_mouse({0xE9}) == Bytes{0xFA, 0x36, 0x03, 0x28});
  CHECK(input.ask_mouse({0xFE}) == Bytes{0x28});
  CHECK(input.ask_mouse({0xF6, 0xE9}) == Bytes{0xFA, 0xFA, 0x06, 0x02, 0x64});
}

TEST_CASE("mouse: packets at the sample rate, what doesn't fit in the next") {
  Input input;
  input.open(0x02);
  input.mouse.pointer({5, 5, 0, 1});
  CHECK(input.receive().empty());  // reporting is off
  CHECK(input.ask_mouse({0xF4}) == Bytes{0xFA});
  input.mouse.pointer({3, 2, 0, 1});
  CHECK(input.receive(9 * kMillisecond).empty());
  CHECK(input.receive(30 * kMillisecond) == Bytes{0x29, 0x03, 0xFE});  // 2 down is -2 up
  input.mouse.pointer({-300, 0, 1, 3});
  CHECK(input.receive() == Bytes{0x1B, 0x01, 0x00, 0x1B, 0xD3, 0x00});
  input.mouse.pointer({0, 0, 0, 3});
  CHECK(input.receive().empty());  // no news
  input.mouse.pointer({0, 0, 0, 0x1B});
  CHECK(input.receive().empty());  // buttons that this model hasn't got
  CHECK(input.ask_mouse({0xF5}) == Bytes{0xFA});
  input.mouse.pointer({1, 1, 0, 0});
  CHECK(input.receive().empty());
}

TEST_CASE("mouse: two-to-one scaling in stream mode only") {
  Input input;
  input.open(0x02);
  input.ask_mouse({0xE7, 0xF4});
  const std::pair<int, int> expected[] = {{1, 1}, {2, 1},  {3, 3},    {4, 6},
                                          {5, 9}, {6, 12}, {127, 254}};
  for (const auto& [counts, scaled] : expected) {
    input.mouse.pointer({counts, 0, 0, 0});
    CHECK(input.receive() == Bytes{0x08, static_cast<u8>(scaled), 0x00});
    input.mouse.pointer({-counts, 0, 0, 0});
    CHECK(input.receive() == Bytes{0x18, static_cast<u8>(-scaled), 0x00});
  }
  input.ask_mouse({0xF0});
  input.mouse.pointer({6, 0, 0, 0});
  CHECK(input.ask_mouse({0xEB}) == Bytes{0xFA, 0x08, 0x06, 0x00});
  CHECK(input.ask_mouse({0xE6, 0xEA}) == Bytes{0xFA, 0xFA});
}

TEST_CASE("mouse: remote and wrap modes") {
  Input input;
  input.open(0x02);
  CHECK(input.ask_mouse({0xF0}) == Bytes{0xFA});
  input.mouse.pointer({1, 2, 0, 4});
  CHECK(input.receive().empty());
  CHECK(input.ask_mouse({0xEB}) == Bytes{0xFA, 0x2C, 0x01, 0xFE});
  CHECK(input.ask_mouse({0xEB}) == Bytes{0xFA, 0x0C, 0x00, 0x00});
  CHECK((input.ask_mouse({0xE9})[1] & 0x40) != 0);
  CHECK(input.ask_mouse({0xEE}) == Bytes{0xFA});
  CHECK(input.ask_mouse({0xF2, 0x55}) == Bytes{0xF2, 0x55});
  CHECK(input.ask_mouse({0xEC}) == Bytes{0xFA});
  CHECK(input.ask_mouse({0xF2}) == Bytes{0xFA, 0x00});
}

TEST_CASE("mouse: wheel and side buttons after the knock") {
  Input input;
  input.open(0x02);
  CHECK(input.ask_mouse({0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF2}).back() == 0x03);
  input.ask_mouse({0xF4});
  input.mouse.pointer({0, 0, 1, 0});
  CHECK(input.receive() == Bytes{0x08, 0, 0, 0x01});
  input.mouse.pointer({0, 0, -20, 0});
  CHECK(input.receive(100 * kMillisecond) ==
        Bytes{0x08, 0, 0, 0xF8, 0x08, 0, 0, 0xF8, 0x08, 0, 0, 0xFC});
  CHECK(input.ask_mouse({0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF2}).back() == 0x04);
  input.mouse.pointer({0, 0, -1, 0x18});
  CHECK(input.receive() == Bytes{0x08, 0, 0, 0x3F});
  CHECK(input.ask_mouse({0xFF}) == Bytes{0xFA, 0xAA, 0x00});
}

TEST_CASE("mouse: unknown bytes are asked for again, then refused") {
  Input input;
  input.open(0x02);
  CHECK(input.ask_mouse({0xE1}) == Bytes{0xFE});
  CHECK(input.ask_mouse({0xE1}) == Bytes{0xFC});
  CHECK(input.ask_mouse({0xF3, 33, 33, 60}) == Bytes{0xFA, 0xFE, 0xFC, 0xFA});
  CHECK(input.ask_mouse({0xE8, 9, 9, 1}) == Bytes{0xFA, 0xFE, 0xFC, 0xFA});
  CHECK(input.ask_mouse({0xE9}) == Bytes{0xFA, 0x00, 0x01, 60});
  input.command(0xD4, 0xFF);
  input.receive(3 * kMillisecond);
  input.command(0xD4, 0xF4);
  CHECK(input.receive() == Bytes{0xAA, 0x00});
}

TEST_CASE("input devices: state survives snapshots; a system reset leaves what has its own power") {
  Input input;
  input.open(0x47);
  input.ask_keyboard({0xED, 0x02, 0xF3});
  input.ask_mouse({0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF4});
  input.keyboard.key({kHome}, true);
  input.mouse.pointer({7, 8, 1, 1});
  input.run(20 * kMillisecond);
  input.command(0xDD);
  out(input.a20.port92(), 0, 0x02);
  Input other;
  CHECK(copies(input.keyboard, other.keyboard));
  CHECK(copies(input.mouse, other.mouse));
  CHECK(copies(input.controller, other.controller));
  CHECK(copies(input.a20, other.a20));
  CHECK(other.panel.a20 == std::vector<bool>{true});
  CHECK(other.lines.rises.empty());
  CHECK(other.controller.mouse_irq().level() == input.controller.mouse_irq().level());
  input.keyboard.reset(ResetKind::System);
  input.mouse.reset(ResetKind::System);
  CHECK(input.keyboard.leds() == 2);
  input.controller.reset(ResetKind::System);
  CHECK_FALSE(input.lines.levels[12]);
  for (const Device* device :
       {static_cast<Device*>(&input.keyboard), static_cast<Device*>(&input.mouse),
        static_cast<Device*>(&input.controller), static_cast<Device*>(&input.a20)}) {
    CHECK_FALSE(device->name().empty());
  }
}

TEST_CASE("a byte queue refuses a snapshot that points outside it") {
  ByteQueue<4> queue;
  for (u8 byte = 1; byte <= 6; ++byte) queue.push(byte);
  CHECK(queue.size() == 4);
  CHECK(queue.pop() == 1);
  queue.push(5);
  StateArchive saved;
  queue.serialize(saved);
  std::vector<u8> bytes = saved.bytes();
  bytes.back() = 200;  // size
  StateArchive bad(bytes);
  ByteQueue<4> other;
  other.serialize(bad);
  CHECK_FALSE(bad.finish().ok());
  CHECK(other.empty());
}
