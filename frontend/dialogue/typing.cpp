#include "frontend/dialogue/typing.h"

#include <array>
#include <cctype>
#include <utility>

namespace ringshift::frontend {

namespace {

using devices::KeyCode;

// HID Usage Tables 1.12, section 10 (Keyboard/Keypad page).
constexpr u8 kA = 0x04, kDigit1 = 0x1E, kDigit0 = 0x27, kEnter = 0x28, kEscape = 0x29,
             kBackspace = 0x2A, kTab = 0x2B, kSpace = 0x2C, kF1 = 0x3A, kLeftShift = 0xE1;

constexpr std::pair<std::string_view, u8> kNamedKeys[] = {
    {"ret", kEnter},       {"enter", kEnter},     {"esc", kEscape},       {"backspace", kBackspace},
    {"tab", kTab},         {"space", kSpace},     {"spc", kSpace},        {"minus", 0x2D},
    {"equal", 0x2E},       {"bracketleft", 0x2F}, {"bracketright", 0x30}, {"backslash", 0x31},
    {"semicolon", 0x33},   {"apostrophe", 0x34},  {"grave", 0x35},        {"comma", 0x36},
    {"dot", 0x37},         {"slash", 0x38},       {"capslock", 0x39},     {"print", 0x46},
    {"scrolllock", 0x47},  {"pause", 0x48},       {"insert", 0x49},       {"home", 0x4A},
    {"pageup", 0x4B},      {"delete", 0x4C},      {"end", 0x4D},          {"pagedown", 0x4E},
    {"right", 0x4F},       {"left", 0x50},        {"down", 0x51},         {"up", 0x52},
    {"numlock", 0x53},     {"kpdivide", 0x54},    {"kpmultiply", 0x55},   {"kpminus", 0x56},
    {"kpplus", 0x57},      {"kpenter", 0x58},     {"kp1", 0x59},          {"kp2", 0x5A},
    {"kp3", 0x5B},         {"kp4", 0x5C},         {"kp5", 0x5D},          {"kp6", 0x5E},
    {"kp7", 0x5F},         {"kp8", 0x60},         {"kp9", 0x61},          {"kp0", 0x62},
    {"kpdot", 0x63},       {"less", 0x64},        {"menu", 0x65},         {"ctrl", 0xE0},
    {"shift", kLeftShift}, {"alt", 0xE2},         {"meta", 0xE3},         {"ctrl_r", 0xE4},
    {"shift_r", 0xE5},     {"alt_r", 0xE6},       {"meta_r", 0xE7},
};

struct Typed {
  char plain;
  char shifted;
  u8 usage;
};

constexpr Typed kPunctuation[] = {
    {'1', '!', 0x1E}, {'2', '@', 0x1F},  {'3', '#', 0x20}, {'4', '$', 0x21}, {'5', '%', 0x22},
    {'6', '^', 0x23}, {'7', '&', 0x24},  {'8', '*', 0x25}, {'9', '(', 0x26}, {'0', ')', 0x27},
    {'-', '_', 0x2D}, {'=', '+', 0x2E},  {'[', '{', 0x2F}, {']', '}', 0x30}, {'\\', '|', 0x31},
    {';', ':', 0x33}, {'\'', '"', 0x34}, {'`', '~', 0x35}, {',', '<', 0x36}, {'.', '>', 0x37},
    {'/', '?', 0x38},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Resolves backslash escapes; '\n' stands for the Enter key, which sends CR on a serial line.
Result<std::string> unescape(std::string_view text, char enter) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    if (++i == text.size())
      return Error{"lone backslash at the end of '" + std::string(text) + "'"};
    switch (text[i]) {
      case 'n':
        bytes += enter;
        break;
      case 'r':
        bytes += '\r';
        break;
      case 't':
        bytes += '\t';
        break;
      case 'e':
        bytes += '\x1B';
        break;
      case '\\':
        bytes += '\\';
        break;
      case 'x': {
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) return Error{"\\x needs two hexadecimal digits"};
        bytes += static_cast<char>(high * 16 + low);
        i += 2;
        break;
      }
      default:
        return Error{std::string("unknown escape '\\") + text[i] + "'"};
    }
  }
  return bytes;
}

Result<KeyChord> parse_chord(std::string_view names) {
  KeyChord chord;
  while (!names.empty()) {
    const auto dash = names.size() > 1 ? names.find('-', 1) : std::string_view::npos;
    const std::string_view name = names.substr(0, dash);
    if (const auto key = key_by_name(name)) {
      chord.push_back(*key);
    } else if (const auto typed = name.size() == 1 ? chord_for(name[0]) : std::nullopt) {
      chord.insert(chord.end(), typed->begin(), typed->end());
    } else {
      return Error{"unknown key '" + std::string(name) + "'"};
    }
    names = dash == std::string_view::npos ? std::string_view{} : names.substr(dash + 1);
  }
  return chord;
}

Result<Sending> parse_keys(std::string_view names) {
  Sending sending;
  while (true) {
    const auto start = names.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    names.remove_prefix(start);
    const auto end = names.find(' ');
    auto chord = parse_chord(names.substr(0, end));
    if (!chord) return chord.error();
    sending.chords.push_back(*std::move(chord));
    names = end == std::string_view::npos ? std::string_view{} : names.substr(end);
  }
  if (sending.chords.empty()) return Error{"key: names no key"};
  return sending;
}

Result<Sending> parse_typed(std::string_view text) {
  auto characters = unescape(text, '\n');
  if (!characters) return characters.error();
  Sending sending;
  for (const char character : *characters) {
    auto chord = chord_for(character);
    if (!chord) return Error{"no key types the character " + std::to_string(u8(character))};
    sending.chords.push_back(*std::move(chord));
  }
  return sending;
}

}  // namespace

std::optional<KeyCode> key_by_name(std::string_view name) {
  for (const auto& [known, usage] : kNamedKeys) {
    if (known == name) return KeyCode{usage};
  }
  if (name.size() == 1) {
    const char c = name[0];
    if (c >= 'a' && c <= 'z') return KeyCode{static_cast<u8>(kA + (c - 'a'))};
    if (c >= '1' && c <= '9') return KeyCode{static_cast<u8>(kDigit1 + (c - '1'))};
    if (c == '0') return KeyCode{kDigit0};
  }
  if ((name.size() == 2 || name.size() == 3) && name[0] == 'f') {
    int number = 0;
    for (const char c : name.substr(1)) {
      if (std::isdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
      number = number * 10 + (c - '0');
    }
    if (number >= 1 && number <= 12) return KeyCode{static_cast<u8>(kF1 + number - 1)};
  }
  return std::nullopt;
}

std::optional<KeyChord> chord_for(char character) {
  if (character >= 'a' && character <= 'z')
    return KeyChord{{static_cast<u8>(kA + character - 'a')}};
  if (character >= 'A' && character <= 'Z') {
    return KeyChord{{kLeftShift}, {static_cast<u8>(kA + character - 'A')}};
  }
  switch (character) {
    case '\n':
    case '\r':
      return KeyChord{{kEnter}};
    case '\t':
      return KeyChord{{kTab}};
    case ' ':
      return KeyChord{{kSpace}};
    case '\b':
      return KeyChord{{kBackspace}};
    case '\x1B':
      return KeyChord{{kEscape}};
    default:
      break;
  }
  for (const Typed& key : kPunctuation) {
    if (character == key.plain) return KeyChord{{key.usage}};
    if (character == key.shifted) return KeyChord{{kLeftShift}, {key.usage}};
  }
  return std::nullopt;
}

Result<Sending> parse_sending(const std::string& text) {
  const std::string_view view = text;
  if (view.starts_with("key:")) return parse_keys(view.substr(4));
  if (view.starts_with("type:")) return parse_typed(view.substr(5));
  auto bytes = unescape(view, '\r');
  if (!bytes) return bytes.error();
  Sending sending;
  sending.serial = *std::move(bytes);
  return sending;
}

}  // namespace ringshift::frontend
