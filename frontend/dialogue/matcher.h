// Matching what the guest says. Serial output is a stream that expectations consume; the text
// screen is a picture that expectations look at. RE2 does the matching: linear time, whatever the
// pattern and whatever a hostile guest prints.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cpu/result.h"
#include "cpu/types.h"

namespace re2 {
class RE2;
}

namespace ringshift::frontend {

/// A compiled regular expression (RE2 syntax, `^` and `$` at line ends).
class Pattern {
 public:
  static Result<Pattern> compile(const std::string& expression);
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  /// Position after the first match in `text`, or npos.
  std::size_t match_end(std::string_view text) const;
  bool matches(std::string_view text) const { return match_end(text) != std::string_view::npos; }
  const std::string& source() const;

 private:
  explicit Pattern(std::unique_ptr<re2::RE2> regex);
  std::unique_ptr<re2::RE2> regex_;
};

/// Serial output as text: escape sequences and carriage returns removed, only the end kept.
class SerialText {
 public:
  static constexpr std::size_t kMost = 256 * 1024;

  void append(std::string_view bytes);
  /// All that no expectation has consumed.
  std::string_view unread() const { return std::string_view(text_).substr(read_); }
  void consume(std::size_t length) { read_ += length; }
  /// The last `count` lines, for reports.
  std::string last_lines(unsigned count) const;

 private:
  enum class Escape : u8 { None, Started, Sequence, String };
  void append_byte(char byte);

  std::string text_;
  std::size_t read_ = 0;
  Escape escape_ = Escape::None;
};

}  // namespace ringshift::frontend
