// What `--send` sends: bytes for the serial line, or keys on the keyboard.
//
//   TEXT          to the serial line, with the escapes \n (Enter) \r \t \e \\ \xHH
//   key:NAMES     key presses separated by blanks; a combination is joined by '-':
//   "ctrl-alt-delete" type:TEXT     typed on a US keyboard, with the same escapes
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/result.h"
#include "devices/backends.h"

namespace ringshift::frontend {

/// Keys that go down together, in this order, and up again in reverse.
using KeyChord = std::vector<devices::KeyCode>;

struct Sending {
  std::string serial;            ///< bytes for the serial line
  std::vector<KeyChord> chords;  ///< or keys
};

/// Errors name the unknown key or the bad escape.
Result<Sending> parse_sending(const std::string& text);

/// The key of a name such as "ret", "f1", "left", "a"; nothing if there is none.
std::optional<devices::KeyCode> key_by_name(std::string_view name);
/// How a US keyboard types an ASCII character; nothing if it can't.
std::optional<KeyChord> chord_for(char character);

}  // namespace ringshift::frontend
