#include "devices/input/scan_codes.h"

namespace ringshift::devices {

namespace {

enum class Kind : u8 {
  Absent,
  Plain,
  Extended,    // E0h before it
  Navigation,  // extended, and faked shifts around it (the grey keys)
  PadSlash,    // extended, and faked shifts when Shift is down
  MakeOnly     // Korean language keys: no break code
};

enum class Default : u8 { Typematic, MakeBreak, MakeOnly };  // set 3

struct Entry {
  u8 usage;
  Kind kind;
  u8 set2;
  u8 set3;
  Default set3_default;
};

constexpr u8 kPrintScreen = 0x46;
constexpr u8 kPause = 0x48;

using enum Kind;
constexpr Default T = Default::Typematic;
constexpr Default B = Default::MakeBreak;
constexpr Default M = Default::MakeOnly;

// Usages E8h-FBh are reserved in the HID tables; the keyboard page carries the keys of multimedia
// keyboards there by a common convention.
constexpr Entry kEntries[] = {
    // Letters A-Z
    {0x04, Plain, 0x1C, 0x1C, T},
    {0x05, Plain, 0x32, 0x32, T},
    {0x06, Plain, 0x21, 0x21, T},
    {0x07, Plain, 0x23, 0x23, T},
    {0x08, Plain, 0x24, 0x24, T},
    {0x09, Plain, 0x2B, 0x2B, T},
    {0x0A, Plain, 0x34, 0x34, T},
    {0x0B, Plain, 0x33, 0x33, T},
    {0x0C, Plain, 0x43, 0x43, T},
    {0x0D, Plain, 0x3B, 0x3B, T},
    {0x0E, Plain, 0x42, 0x42, T},
    {0x0F, Plain, 0x4B, 0x4B, T},
    {0x10, Plain, 0x3A, 0x3A, T},
    {0x11, Plain, 0x31, 0x31, T},
    {0x12, Plain, 0x44, 0x44, T},
    {0x13, Plain, 0x4D, 0x4D, T},
    {0x14, Plain, 0x15, 0x15, T},
    {0x15, Plain, 0x2D, 0x2D, T},
    {0x16, Plain, 0x1B, 0x1B, T},
    {0x17, Plain, 0x2C, 0x2C, T},
    {0x18, Plain, 0x3C, 0x3C, T},
    {0x19, Plain, 0x2A, 0x2A, T},
    {0x1A, Plain, 0x1D, 0x1D, T},
    {0x1B, Plain, 0x22, 0x22, T},
    {0x1C, Plain, 0x35, 0x35, T},
    {0x1D, Plain, 0x1A, 0x1A, T},
    // Digits 1-9, 0
    {0x1E, Plain, 0x16, 0x16, T},
    {0x1F, Plain, 0x1E, 0x1E, T},
    {0x20, Plain, 0x26, 0x26, T},
    {0x21, Plain, 0x25, 0x25, T},
    {0x22, Plain, 0x2E, 0x2E, T},
    {0x23, Plain, 0x36, 0x36, T},
    {0x24, Plain, 0x3D, 0x3D, T},
    {0x25, Plain, 0x3E, 0x3E, T},
    {0x26, Plain, 0x46, 0x46, T},
    {0x27, Plain, 0x45, 0x45, T},
    // Enter, Escape, Backspace, Tab, Space, then - = [ ] \ # ; ' ` , . /
    {0x28, Plain, 0x5A, 0x5A, T},
    {0x29, Plain, 0x76, 0x08, M},
    {0x2A, Plain, 0x66, 0x66, T},
    {0x2B, Plain, 0x0D, 0x0D, T},
    {0x2C, Plain, 0x29, 0x29, T},
    {0x2D, Plain, 0x4E, 0x4E, T},
    {0x2E, Plain, 0x55, 0x55, T},
    {0x2F, Plain, 0x54, 0x54, T},
    {0x30, Plain, 0x5B, 0x5B, T},
    {0x31, Plain, 0x5D, 0x5C, T},
    {0x32, Plain, 0x5D, 0x53, T},
    {0x33, Plain, 0x4C, 0x4C, T},
    {0x34, Plain, 0x52, 0x52, T},
    {0x35, Plain, 0x0E, 0x0E, T},
    {0x36, Plain, 0x41, 0x41, T},
    {0x37, Plain, 0x49, 0x49, T},
    {0x38, Plain, 0x4A, 0x4A, T},
    {0x39, Plain, 0x58, 0x14, B},
    // F1-F12
    {0x3A, Plain, 0x05, 0x07, M},
    {0x3B, Plain, 0x06, 0x0F, M},
    {0x3C, Plain, 0x04, 0x17, M},
    {0x3D, Plain, 0x0C, 0x1F, M},
    {0x3E, Plain, 0x03, 0x27, M},
    {0x3F, Plain, 0x0B, 0x2F, M},
    {0x40, Plain, 0x83, 0x37, M},
    {0x41, Plain, 0x0A, 0x3F, M},
    {0x42, Plain, 0x01, 0x47, M},
    {0x43, Plain, 0x09, 0x4F, M},
    {0x44, Plain, 0x78, 0x56, M},
    {0x45, Plain, 0x07, 0x5E, M},
    // Print Screen and Pause (special in sets 1 and 2), Scroll Lock
    {kPrintScreen, Extended, 0x7C, 0x57, M},
    {0x47, Plain, 0x7E, 0x5F, M},
    {kPause, Plain, 0x77, 0x62, M},
    // Insert, Home, Page Up, Delete, End, Page Down, Right, Left, Down, Up
    {0x49, Navigation, 0x70, 0x67, M},
    {0x4A, Navigation, 0x6C, 0x6E, M},
    {0x4B, Navigation, 0x7D, 0x6F, M},
    {0x4C, Navigation, 0x71, 0x64, T},
    {0x4D, Navigation, 0x69, 0x65, M},
    {0x4E, Navigation, 0x7A, 0x6D, M},
    {0x4F, Navigation, 0x74, 0x6A, T},
    {0x50, Navigation, 0x6B, 0x61, T},
    {0x51, Navigation, 0x72, 0x60, T},
    {0x52, Navigation, 0x75, 0x63, T},
    // Keypad: Num Lock / * - + Enter 1-9 0 .
    {0x53, Plain, 0x77, 0x76, M},
    {0x54, PadSlash, 0x4A, 0x77, M},
    {0x55, Plain, 0x7C, 0x7E, M},
    {0x56, Plain, 0x7B, 0x84, M},
    {0x57, Plain, 0x79, 0x7C, T},
    {0x58, Extended, 0x5A, 0x79, M},
    {0x59, Plain, 0x69, 0x69, M},
    {0x5A, Plain, 0x72, 0x72, M},
    {0x5B, Plain, 0x7A, 0x7A, M},
    {0x5C, Plain, 0x6B, 0x6B, M},
    {0x5D, Plain, 0x73, 0x73, M},
    {0x5E, Plain, 0x74, 0x74, M},
    {0x5F, Plain, 0x6C, 0x6C, M},
    {0x60, Plain, 0x75, 0x75, M},
    {0x61, Plain, 0x7D, 0x7D, M},
    {0x62, Plain, 0x70, 0x70, M},
    {0x63, Plain, 0x71, 0x71, M},
    // European \, Application, Power, keypad =
    {0x64, Plain, 0x61, 0x13, T},
    {0x65, Extended, 0x2F, 0x8D, B},
    {0x66, Extended, 0x37, 0x00, M},
    {0x67, Plain, 0x0F, 0x00, M},
    // F13-F24
    {0x68, Plain, 0x08, 0x00, M},
    {0x69, Plain, 0x10, 0x00, M},
    {0x6A, Plain, 0x18, 0x00, M},
    {0x6B, Plain, 0x20, 0x00, M},
    {0x6C, Plain, 0x28, 0x00, M},
    {0x6D, Plain, 0x30, 0x00, M},
    {0x6E, Plain, 0x38, 0x00, M},
    {0x6F, Plain, 0x40, 0x00, M},
    {0x70, Plain, 0x48, 0x00, M},
    {0x71, Plain, 0x50, 0x00, M},
    {0x72, Plain, 0x57, 0x00, M},
    {0x73, Plain, 0x5F, 0x00, M},
    // Help, Undo, Cut, Copy, Paste, Mute, Volume Up, Volume Down, keypad comma
    {0x75, Extended, 0x05, 0x00, M},
    {0x7A, Extended, 0x3D, 0x00, M},
    {0x7B, Extended, 0x43, 0x00, M},
    {0x7C, Extended, 0x44, 0x00, M},
    {0x7D, Extended, 0x46, 0x00, M},
    {0x7F, Extended, 0x23, 0x00, M},
    {0x80, Extended, 0x32, 0x00, M},
    {0x81, Extended, 0x21, 0x00, M},
    {0x85, Plain, 0x6D, 0x00, M},
    // International: Ro, Katakana/Hiragana, Yen, Henkan, Muhenkan, PC-98 comma
    {0x87, Plain, 0x51, 0x51, T},
    {0x88, Plain, 0x13, 0x87, T},
    {0x89, Plain, 0x6A, 0x5D, T},
    {0x8A, Plain, 0x64, 0x86, T},
    {0x8B, Plain, 0x67, 0x85, T},
    {0x8C, Plain, 0x27, 0x00, M},
    // Languages: Hangul, Hanja, Katakana, Hiragana, Zenkaku/Hankaku
    {0x90, Kind::MakeOnly, 0xF2, 0x00, M},
    {0x91, Kind::MakeOnly, 0xF1, 0x00, M},
    {0x92, Plain, 0x63, 0x00, M},
    {0x93, Plain, 0x62, 0x00, M},
    {0x94, Plain, 0x5F, 0x00, M},
    // Modifiers: left Control, Shift, Alt, GUI, then the right ones
    {0xE0, Plain, 0x14, 0x11, B},
    {0xE1, Plain, 0x12, 0x12, B},
    {0xE2, Plain, 0x11, 0x19, B},
    {0xE3, Extended, 0x1F, 0x8B, B},
    {0xE4, Extended, 0x14, 0x58, M},
    {0xE5, Plain, 0x59, 0x59, B},
    {0xE6, Extended, 0x11, 0x39, M},
    {0xE7, Extended, 0x27, 0x8C, B},
    // Multimedia: play/pause, stop, previous, next, eject, volume up, volume down, mute
    {0xE8, Extended, 0x34, 0x00, M},
    {0xE9, Extended, 0x3B, 0x00, M},
    {0xEA, Extended, 0x15, 0x00, M},
    {0xEB, Extended, 0x4D, 0x00, M},
    {0xEC, Extended, 0x1A, 0x00, M},
    {0xED, Extended, 0x32, 0x00, M},
    {0xEE, Extended, 0x21, 0x00, M},
    {0xEF, Extended, 0x23, 0x00, M},
    // Browser: home, back, forward, stop, search; then sleep, favourites, refresh, calculator
    {0xF0, Extended, 0x3A, 0x00, M},
    {0xF1, Extended, 0x38, 0x00, M},
    {0xF2, Extended, 0x30, 0x00, M},
    {0xF3, Extended, 0x28, 0x00, M},
    {0xF4, Extended, 0x10, 0x00, M},
    {0xF8, Extended, 0x3F, 0x00, M},
    {0xF9, Extended, 0x18, 0x00, M},
    {0xFA, Extended, 0x20, 0x00, M},
    {0xFB, Extended, 0x2B, 0x00, M},
};

constexpr std::array<Entry, 256> kByUsage = [] {
  std::array<Entry, 256> table{};
  for (const Entry& entry : kEntries) table[entry.usage] = entry;
  return table;
}();

// Set 2 to set 1 for 00h-7Fh; 83h and 84h have places of their own, all else passes unchanged.
constexpr std::array<u8, 128> kTranslation = {
    0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29, 0x59,
    0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03, 0x5B,
    0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06, 0x5D,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5F,
    0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C, 0x61,
    0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F, 0x6F,
    0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54};

/// Writes make and break codes in set 1 or set 2, of which the first is the translated second.
class Writer {
 public:
  explicit Writer(ScanCodeSet set) : one_(set == ScanCodeSet::One) {}
  void make(Kind kind, u8 code) {
    prefix(kind);
    sequence_.push(one_ ? translate_scan_code(code) : code);
  }
  void release(Kind kind, u8 code) {
    prefix(kind);
    if (one_) {
      sequence_.push(translate_scan_code(code) | 0x80);
    } else {
      sequence_.push(0xF0);
      sequence_.push(code);
    }
  }
  void raw(u8 byte) { sequence_.push(byte); }
  const ScanSequence& sequence() const { return sequence_; }

 private:
  void prefix(Kind kind) {
    if (kind != Plain && kind != Kind::MakeOnly) sequence_.push(0xE0);
  }
  bool one_;
  ScanSequence sequence_;
};

constexpr u8 kLeftShift = 0x12;
constexpr u8 kRightShift = 0x59;

void pause(Writer& writer, KeyAction action, const KeyModifiers& modifiers) {
  if (action != KeyAction::Press) return;  // all of it on the press, nothing afterwards
  if (modifiers.control) {
    writer.make(Extended, 0x7E);
    writer.release(Extended, 0x7E);
    return;
  }
  writer.raw(0xE1);
  writer.make(Plain, 0x14);
  writer.make(Plain, 0x77);
  writer.raw(0xE1);
  writer.release(Plain, 0x14);
  writer.release(Plain, 0x77);
}

void print_screen(Writer& writer, KeyAction action, const KeyModifiers& modifiers) {
  const bool faked = !modifiers.control && !modifiers.shift();
  if (modifiers.alternate) {  // System Request
    action == KeyAction::Release ? writer.release(Plain, 0x84) : writer.make(Plain, 0x84);
  } else if (action == KeyAction::Release) {
    writer.release(Extended, 0x7C);
    if (faked) writer.release(Extended, kLeftShift);
  } else {
    if (faked && action == KeyAction::Press) writer.make(Extended, kLeftShift);
    writer.make(Extended, 0x7C);
  }
}

/// Lifts the shifts that are down, or puts them back.
void fake_shifts_up(Writer& writer, const KeyModifiers& modifiers) {
  if (modifiers.left_shift) writer.release(Extended, kLeftShift);
  if (modifiers.right_shift) writer.release(Extended, kRightShift);
}

void fake_shifts_back(Writer& writer, const KeyModifiers& modifiers) {
  if (modifiers.right_shift) writer.make(Extended, kRightShift);
  if (modifiers.left_shift) writer.make(Extended, kLeftShift);
}

/// The grey keys pretend to be the keypad's of an 84-key keyboard: whatever Shift and Num Lock say,
/// software that knows only the keypad must see the cursor key and not the digit.
void grey_key(Writer& writer, const Entry& entry, KeyAction action, const KeyModifiers& modifiers) {
  const bool navigation = entry.kind == Navigation;
  const bool lift = modifiers.shift() && !(navigation && modifiers.num_lock);
  const bool press = navigation && modifiers.num_lock && !modifiers.shift();
  if (action == KeyAction::Release) {
    writer.release(Extended, entry.set2);
    if (lift) fake_shifts_back(writer, modifiers);
    if (press) writer.release(Extended, kLeftShift);
    return;
  }
  if (action == KeyAction::Press) {
    if (lift) fake_shifts_up(writer, modifiers);
    if (press) writer.make(Extended, kLeftShift);
  }
  writer.make(Extended, entry.set2);
}

ScanSequence set3_sequence(const Entry& entry, KeyAction action) {
  ScanSequence sequence;
  if (entry.set3 == 0) return sequence;
  if (action == KeyAction::Release) sequence.push(0xF0);
  sequence.push(entry.set3);
  return sequence;
}

}  // namespace

u8 translate_scan_code(u8 set2) {
  if (set2 < 0x80) return kTranslation[set2];
  if (set2 == 0x83) return 0x41;
  if (set2 == 0x84) return 0x54;
  return set2;
}

u8 set3_code(KeyCode key) {
  return kByUsage[key.usage].set3;
}

KeyBehaviour default_set3_behaviour(KeyCode key) {
  switch (kByUsage[key.usage].set3_default) {
    case Default::Typematic:
      return {true, false};
    case Default::MakeBreak:
      return {false, true};
    case Default::MakeOnly:
      break;
  }
  return {};
}

ScanSequence scan_sequence(ScanCodeSet set, KeyCode key, KeyAction action,
                           const KeyModifiers& modifiers) {
  const Entry& entry = kByUsage[key.usage];
  if (entry.kind == Absent) return {};
  if (set == ScanCodeSet::Three) return set3_sequence(entry, action);
  Writer writer(set);
  if (key.usage == kPause) {
    pause(writer, action, modifiers);
  } else if (key.usage == kPrintScreen) {
    print_screen(writer, action, modifiers);
  } else if (entry.kind == Navigation || entry.kind == PadSlash) {
    grey_key(writer, entry, action, modifiers);
  } else if (action != KeyAction::Release) {
    writer.make(entry.kind, entry.set2);
  } else if (entry.kind != Kind::MakeOnly) {
    writer.release(entry.kind, entry.set2);
  }
  return writer.sequence();
}

}  // namespace ringshift::devices
