// From a key's place on the keyboard (USB HID usage) to what an IBM PS/2 keyboard sends for it, in
// each of its three scan code sets, and the table by which the 8042 turns set 2 into set 1.
// Sources: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard"; Microsoft's
// "Keyboard Scan Code Specification" 1.3a for the keys that IBM never had.
#pragma once

#include <array>
#include <span>

#include "cpu/types.h"
#include "devices/backends.h"

namespace ringshift::devices {

enum class ScanCodeSet : u8 { One = 1, Two = 2, Three = 3 };

enum class KeyAction : u8 {
  Press,
  Repeat,  ///< typematic: the make code alone, without the shifts faked around it
  Release
};

/// Keys held and lights lit: sets 1 and 2 depend on them for a few keys.
struct KeyModifiers {
  bool left_shift = false;
  bool right_shift = false;
  bool control = false;
  bool alternate = false;
  bool num_lock = false;

  bool shift() const { return left_shift || right_shift; }
};

/// The bytes for one event; empty where a key sends nothing.
class ScanSequence {
 public:
  void push(u8 byte) {
    if (length_ < bytes_.size()) bytes_[length_++] = byte;
  }
  std::span<const u8> bytes() const { return {bytes_.data(), length_}; }

 private:
  std::array<u8, 12> bytes_{};
  std::size_t length_ = 0;
};

/// The longest sequence that `scan_sequence` makes.
inline constexpr std::size_t kLongestScanSequence = 9;

ScanSequence scan_sequence(ScanCodeSet set, KeyCode key, KeyAction action,
                           const KeyModifiers& modifiers);

/// What a key does in set 3 unless the host has said otherwise.
struct KeyBehaviour {
  bool repeats = false;
  bool breaks = false;  ///< sends a code on release
  friend bool operator==(const KeyBehaviour&, const KeyBehaviour&) = default;
};

/// The set 3 code of a key, 0 for none.
u8 set3_code(KeyCode key);
KeyBehaviour default_set3_behaviour(KeyCode key);

/// The 8042's translation of one byte from set 2 into set 1 (F0h is handled by the controller).
u8 translate_scan_code(u8 set2);

}  // namespace ringshift::devices
