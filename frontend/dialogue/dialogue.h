// A dialogue with the guest: the steps of --expect, --send and --script, done in order, and the
// --fail-on patterns that are looked for all along. It knows neither threads nor devices: whoever
// drives it hands in what the guest says and the time, and carries out what it asks for.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "frontend/dialogue/matcher.h"
#include "frontend/dialogue/typing.h"
#include "frontend/options.h"

namespace ringshift::frontend {

/// What a dialogue asks of the session. Called from within Dialogue's own functions.
class DialogueActions {
 public:
  virtual ~DialogueActions() = default;
  virtual void send_serial(const std::string& bytes) = 0;
  virtual void send_key(devices::KeyCode key, bool pressed) = 0;
  /// Whether the guest takes another key, or won't in a while.
  virtual bool ready_for_key() = 0;
  virtual void take_screenshot(const std::string& path) = 0;
};

class Dialogue {
 public:
  using Seconds = double;

  /// Keys go down and up this far apart, so that firmware with a 15-key buffer keeps up; on a busy
  /// host farther, because the keyboard's own buffer holds 16 codes. So often it is asked then.
  static constexpr Seconds kKeyInterval = 0.02;
  static constexpr Seconds kAskInterval = 0.005;

  /// The options have been checked: patterns and texts are well formed.
  Dialogue(const RunOptions& options, DialogueActions& actions);

  void on_serial(std::string_view bytes);
  /// The text screen now reads so (rows joined by newlines); empty in graphics modes.
  void on_screen(const std::string& text);
  /// Does all steps that can be done at this time (seconds since the start).
  void advance(Seconds now);

  /// Whether there were expectations, all have been met, and all steps are done. A dialogue that
  /// ends by sending something ("poweroff") has its answer in how the guest ends.
  bool met() const { return expectations_ > 0 && done() && !ends_by_sending(); }
  bool done() const { return next_ == steps_.size() && key_events_.empty(); }
  /// Why the run has failed: a --fail-on pattern or a kernel panic appeared.
  const std::optional<std::string>& failure() const { return failure_; }
  /// "--expect 'REGEX'" of the first expectation that hasn't been met, or nothing.
  std::optional<std::string> unmet() const;
  /// Whether the screen is worth looking at (a pattern might match there).
  bool wants_screen() const { return expectations_ > 0 || !fail_on_.empty(); }
  /// When to call `advance` again at the latest; infinity if only new output matters.
  Seconds next_deadline() const;
  const SerialText& serial() const { return serial_; }
  const std::string& screen() const { return screen_; }

 private:
  struct Step {
    DialogueStep what;
    std::optional<Pattern> pattern;
  };
  struct KeyEvent {
    devices::KeyCode key;
    bool pressed;
  };
  bool ends_by_sending() const {
    return !steps_.empty() && steps_.back().what.kind == DialogueStep::Kind::Send;
  }
  bool try_step(Step& step, Seconds now);
  bool try_expect(const Pattern& pattern);
  void start_sending(const std::string& text);
  void check_failures(std::string_view serial_line_text);

  DialogueActions& actions_;
  std::vector<Step> steps_;
  std::size_t next_ = 0;
  std::size_t expectations_ = 0;
  std::vector<Pattern> fail_on_;
  std::optional<Pattern> panic_;
  std::optional<std::string> failure_;
  SerialText serial_;
  std::string line_;  ///< the serial line that is being printed, for --fail-on
  std::string screen_;
  std::string screen_at_last_step_;
  std::optional<Seconds> wait_until_;
  std::deque<KeyEvent> key_events_;
  Seconds next_key_ = 0;
};

}  // namespace ringshift::frontend
