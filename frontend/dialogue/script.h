// Scripts: longer dialogues with a guest, one step a line, for `--script`.
//
//   # comment
//   expect REGEX        wait until serial output or the text screen matches
//   send TEXT           to the serial line; \n \r \t \e \\ \xHH; key:NAMES and type:TEXT for keys
//   wait SECONDS        let the guest run
//   screenshot FILE     write the screen as PNG
//   fail-on REGEX       from the start: end with status 1 when it matches
//   timeout SECONDS     for the whole run, unless --timeout is given
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cpu/result.h"
#include "frontend/options.h"

namespace ringshift::frontend {

struct Script {
  std::vector<DialogueStep> steps;
  std::vector<std::string> fail_on;
  std::optional<double> timeout;
};

/// Errors name the file and the line.
Result<Script> load_script(const std::string& path);
Result<Script> parse_script(const std::string& text, const std::string& name);

}  // namespace ringshift::frontend
