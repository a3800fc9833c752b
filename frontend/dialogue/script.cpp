#include "frontend/dialogue/script.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "frontend/dialogue/matcher.h"
#include "frontend/dialogue/typing.h"

namespace ringshift::frontend {

namespace {

std::optional<double> parse_seconds(const std::string& text) {
  std::istringstream stream(text);
  double seconds = 0;
  if (!(stream >> seconds) || seconds < 0 || !(stream >> std::ws).eof()) return std::nullopt;
  return seconds;
}

/// One line's step into `script`; an empty string, or what is wrong with it.
std::string parse_line(Script& script, const std::string& verb, const std::string& rest,
                       const std::string& origin) {
  if (verb == "expect" || verb == "fail-on") {
    if (rest.empty()) return verb + " needs a regular expression";
    if (const auto pattern = Pattern::compile(rest); !pattern) return pattern.error().message;
    if (verb == "fail-on") {
      script.fail_on.push_back(rest);
    } else {
      script.steps.push_back({DialogueStep::Kind::Expect, rest, 0, origin});
    }
    return {};
  }
  if (verb == "send") {
    if (const auto keystrokes = parse_sending(rest); !keystrokes) {
      return keystrokes.error().message;
    }
    script.steps.push_back({DialogueStep::Kind::Send, rest, 0, origin});
    return {};
  }
  if (verb == "screenshot") {
    if (rest.empty()) return "screenshot needs a file name";
    script.steps.push_back({DialogueStep::Kind::Screenshot, rest, 0, origin});
    return {};
  }
  if (verb == "wait" || verb == "timeout") {
    const auto seconds = parse_seconds(rest);
    if (!seconds) return verb + " needs a number of seconds";
    if (verb == "timeout") {
      script.timeout = *seconds;
    } else {
      script.steps.push_back({DialogueStep::Kind::Wait, "", *seconds, origin});
    }
    return {};
  }
  return "unknown step '" + verb + "'";
}

}  // namespace

Result<Script> parse_script(const std::string& text, const std::string& name) {
  Script script;
  std::istringstream lines(text);
  std::string line;
  for (unsigned number = 1; std::getline(lines, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const auto start = line.find_first_not_of(" \t");
    if (start == std::string::npos || line[start] == '#') continue;
    const auto end = line.find_first_of(" \t", start);
    const std::string verb = line.substr(start, end == std::string::npos ? end : end - start);
    const auto argument = line.find_first_not_of(" \t", end);
    const std::string rest = argument == std::string::npos ? "" : line.substr(argument);
    const std::string origin = name + ":" + std::to_string(number);
    if (std::string wrong = parse_line(script, verb, rest, origin); !wrong.empty()) {
      return Error{wrong.insert(0, origin + ": ")};
    }
  }
  return script;
}

Result<Script> load_script(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(text << file.rdbuf()))) {
    return Error{"script '" + path + "': " + std::strerror(errno)};
  }
  return parse_script(text.str(), path);
}

}  // namespace ringshift::frontend
