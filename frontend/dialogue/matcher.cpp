#include "frontend/dialogue/matcher.h"

#include <re2/re2.h>

#include <algorithm>

namespace ringshift::frontend {

Result<Pattern> Pattern::compile(const std::string& expression) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_one_line(false);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  auto regex = std::make_unique<re2::RE2>("(?m)" + expression, options);
  if (!regex->ok()) {
    return Error{"bad regular expression '" + expression + "': " + regex->error()};
  }
  return Pattern(std::move(regex));
}

Pattern::Pattern(std::unique_ptr<re2::RE2> regex) : regex_(std::move(regex)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

std::size_t Pattern::match_end(std::string_view text) const {
  re2::StringPiece found;
  const re2::StringPiece input(text.data(), text.size());
  if (!regex_->Match(input, 0, text.size(), re2::RE2::UNANCHORED, &found, 1)) {
    return std::string_view::npos;
  }
  return static_cast<std::size_t>(found.data() - text.data()) + found.size();
}

const std::string& Pattern::source() const {
  return regex_->pattern();
}

void SerialText::append_byte(char byte) {
  switch (escape_) {
    case Escape::Started:
      if (byte == '[') {
        escape_ = Escape::Sequence;
      } else if (byte == ']' || byte == 'P') {
        escape_ = Escape::String;
      } else if (byte < 0x20 || byte > 0x2F) {
        escape_ = Escape::None;  // else an intermediate byte: "ESC ( 0" selects a character set
      }
      return;
    case Escape::Sequence:
      // ECMA-48 §5.4: parameters and intermediates, then one final byte.
      if (byte >= 0x40 && byte <= 0x7E) escape_ = Escape::None;
      return;
    case Escape::String:
      if (byte == '\a' || byte == '\\') escape_ = Escape::None;
      return;
    case Escape::None:
      break;
  }
  if (byte == '\x1B') {
    escape_ = Escape::Started;
  } else if (byte == '\b') {
    if (text_.size() > read_ && text_.back() != '\n') text_.pop_back();
  } else if (byte != '\r' && byte != '\0') {
    text_ += byte;
  }
}

void SerialText::append(std::string_view bytes) {
  for (const char byte : bytes) append_byte(byte);
  if (text_.size() > kMost) {
    const std::size_t drop = text_.size() - kMost / 2;
    text_.erase(0, drop);
    read_ -= std::min(read_, drop);
  }
}

std::string SerialText::last_lines(unsigned count) const {
  std::size_t end = text_.size();
  while (end > 0 && text_[end - 1] == '\n') --end;
  std::size_t start = end;
  for (unsigned lines = 0; start > 0; --start) {
    if (text_[start - 1] == '\n' && ++lines == count) break;
  }
  return text_.substr(start, end - start);
}

}  // namespace ringshift::frontend
