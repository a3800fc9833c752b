// An IBM enhanced (PS/2) keyboard: scan codes in all three sets, every command, its 16-byte buffer
// and typematic repeat, which is the device's own and not the host's, so that a guest's chosen rate
// holds and a recorded run repeats. Source: IBM Personal System/2 Hardware Interface Technical
// Reference, "101- and 102-Key Keyboard".
#pragma once

#include <array>
#include <bitset>
#include <string_view>

#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/input/ps2_device.h"
#include "devices/input/scan_codes.h"

namespace ringshift::devices {

class Ps2Keyboard final : public Ps2Device, public KeyboardSink {
 public:
  explicit Ps2Keyboard(EventClock& clock);

  std::string_view name() const override { return "PS/2 keyboard"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  void key(KeyCode code, bool pressed) override;
  bool ready_for_key() const override;

  void receive(u8 byte) override;
  bool has_data() const override;
  u8 take() override;

  /// Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock.
  u8 leds() const { return leds_; }

 private:
  /// Set 3 behaviour of a key: bit 0 repeats, bit 1 sends a break code.
  static constexpr u8 kRepeats = 1;
  static constexpr u8 kBreaks = 2;
  static constexpr std::size_t kBufferSize = 16;

  void restore_defaults();
  void clear_buffer();
  void respond(u8 byte) { responses_.push(byte); }
  void command(u8 byte);
  void argument(u8 byte);
  void set_all_keys(u8 behaviour) { behaviours_.fill(behaviour); }
  void finish_reset();
  KeyModifiers modifiers() const;
  bool repeats(KeyCode code) const;
  void send(KeyCode code, KeyAction action);
  void on_repeat();

  ByteQueue<8> responses_;
  ByteQueue<kBufferSize + 1> codes_;  // one more for the overrun code
  std::array<u8, 256> behaviours_{};  // set 3, by scan code
  std::array<u8, 32> pressed_{};      // one bit for each usage
  ScanCodeSet set_ = ScanCodeSet::Two;
  bool scanning_ = true;
  bool overrun_ = false;
  u8 leds_ = 0;
  u8 typematic_ = 0x2B;
  u8 waiting_command_ = 0;  // the command that waits for its argument, 0 for none
  u8 last_sent_ = 0;
  u8 repeating_ = 0;  // usage, 0 for none
  Timer repeat_;
  Timer self_test_;
};

}  // namespace ringshift::devices
