// SIGINT, SIGTERM, SIGHUP and SIGCONT as something to poll for: the session ends cleanly on the
// first three, and puts the terminal right on the last. Create it before any thread, which then
// inherit the blocked mask. The signal that interrupts the vCPU's thread is blocked, too: that
// thread unblocks it for itself (DeadlineTimer).
#pragma once

#include <csignal>

namespace ringshift::frontend {

class SignalReader {
 public:
  SignalReader();
  ~SignalReader();
  SignalReader(const SignalReader&) = delete;
  SignalReader& operator=(const SignalReader&) = delete;

  int file() const { return file_; }
  /// The next pending signal's number, or 0.
  int next() const;

 private:
  int file_;
  sigset_t old_mask_{};
};

}  // namespace ringshift::frontend
