// The person's terminal while a guest's serial line uses it: no echo, no line editing, and the old
// settings back whatever happens, a crash included.
#pragma once

#include <termios.h>

namespace ringshift::frontend {

class TerminalGuard {
 public:
  /// Switches `file` to raw input if it is a terminal in the foreground; keeps Ctrl-C as a signal.
  explicit TerminalGuard(int file);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

  bool is_terminal() const { return active_; }
  void restore();
  void make_raw();

 private:
  int file_;
  bool active_ = false;
  termios old_{};
};

}  // namespace ringshift::frontend
