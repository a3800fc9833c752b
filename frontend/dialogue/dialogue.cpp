#include "frontend/dialogue/dialogue.h"

#include <algorithm>
#include <limits>

namespace ringshift::frontend {

namespace {

/// Linux' own last words. A guest that prints them and then powers off must not look like success.
constexpr const char* kKernelPanic = "Kernel panic - not syncing";

Pattern checked_pattern(const std::string& expression) {
  auto pattern = Pattern::compile(expression);
  return *std::move(pattern);  // options.cpp has compiled it once already
}

}  // namespace

Dialogue::Dialogue(const RunOptions& options, DialogueActions& actions) : actions_(actions) {
  for (const DialogueStep& step : options.dialogue) {
    Step& added = steps_.emplace_back(Step{step, std::nullopt});
    if (step.kind == DialogueStep::Kind::Expect) {
      added.pattern = checked_pattern(step.text);
      ++expectations_;
    }
  }
  for (const std::string& text : options.fail_on) fail_on_.push_back(checked_pattern(text));
  if (!options.allow_panic) panic_ = checked_pattern(kKernelPanic);
}

void Dialogue::on_serial(std::string_view bytes) {
  serial_.append(bytes);
  // --fail-on sees whole lines and the one being printed, each byte of output a bounded number of
  // times: a guest that prints one endless line must not make this quadratic.
  constexpr std::size_t kLongestLine = 4096;
  for (const char byte : bytes) {
    if (byte == '\n' || line_.size() >= kLongestLine) {
      check_failures(line_);
      line_.clear();
    }
    if (byte != '\n' && byte != '\r') line_ += byte;
  }
  check_failures(line_);
}

void Dialogue::on_screen(const std::string& text) {
  if (text == screen_) return;
  screen_ = text;
  check_failures(screen_);
}

void Dialogue::check_failures(std::string_view text) {
  if (failure_) return;
  for (const Pattern& pattern : fail_on_) {
    if (pattern.matches(text)) {
      failure_ = "--fail-on '" + pattern.source().substr(4) + "' matched";
      return;
    }
  }
  if (panic_ && panic_->matches(text)) failure_ = "the guest's kernel panicked";
}

bool Dialogue::try_expect(const Pattern& pattern) {
  const std::size_t end = pattern.match_end(serial_.unread());
  if (end != std::string_view::npos) {
    serial_.consume(end);
    screen_at_last_step_ = screen_;
    return true;
  }
  // A picture that already satisfied an earlier step says nothing new.
  if (screen_.empty() || screen_ == screen_at_last_step_) return false;
  if (!pattern.matches(screen_)) return false;
  screen_at_last_step_ = screen_;
  return true;
}

void Dialogue::start_sending(const std::string& text) {
  const auto sending = parse_sending(text);
  if (!sending->serial.empty()) actions_.send_serial(sending->serial);
  for (const KeyChord& chord : sending->chords) {
    for (const auto key : chord) key_events_.push_back({key, true});
    for (auto key = chord.rbegin(); key != chord.rend(); ++key)
      key_events_.push_back({*key, false});
  }
}

bool Dialogue::try_step(Step& step, Seconds now) {
  switch (step.what.kind) {
    case DialogueStep::Kind::Expect:
      return try_expect(*step.pattern);
    case DialogueStep::Kind::Send:
      start_sending(step.what.text);
      return true;
    case DialogueStep::Kind::Screenshot:
      actions_.take_screenshot(step.what.text);
      return true;
    case DialogueStep::Kind::Wait:
      if (!wait_until_) wait_until_ = now + step.what.seconds;
      if (now < *wait_until_) return false;
      wait_until_.reset();
      return true;
  }
  return true;
}

void Dialogue::advance(Seconds now) {
  while (true) {
    while (!key_events_.empty() && now >= next_key_) {
      if (!actions_.ready_for_key()) {
        next_key_ = now + kAskInterval;
        break;
      }
      const KeyEvent event = key_events_.front();
      key_events_.pop_front();
      actions_.send_key(event.key, event.pressed);
      next_key_ = now + kKeyInterval;
    }
    if (!key_events_.empty() || next_ == steps_.size()) return;
    if (!try_step(steps_[next_], now)) return;
    ++next_;
  }
}

Dialogue::Seconds Dialogue::next_deadline() const {
  if (!key_events_.empty()) return next_key_;
  if (wait_until_) return *wait_until_;
  return std::numeric_limits<Seconds>::infinity();
}

std::optional<std::string> Dialogue::unmet() const {
  for (std::size_t i = next_; i < steps_.size(); ++i) {
    if (steps_[i].what.kind == DialogueStep::Kind::Expect) {
      return steps_[i].what.origin + " '" + steps_[i].what.text + "'";
    }
  }
  return std::nullopt;
}

}  // namespace ringshift::frontend
