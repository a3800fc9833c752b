#include "frontend/host/terminal.h"

#include <unistd.h>
#include <csignal>
#include <initializer_list>

namespace ringshift::frontend {

namespace {

// The one process-wide exception to "no globals": a signal handler can be handed nothing else, and
// a process has one controlling terminal.
volatile std::sig_atomic_t crash_restore_armed = 0;
int crash_file = -1;
termios crash_settings{};

void restore_and_die(int signal_number) {
  if (crash_restore_armed != 0) tcsetattr(crash_file, TCSANOW, &crash_settings);
  // The disposition was reset (SA_RESETHAND): raising again ends the process as it would have
  // ended.
  raise(signal_number);
}

void arm_crash_restore(int file, const termios& settings) {
  crash_file = file;
  crash_settings = settings;
  crash_restore_armed = 1;
  struct sigaction action {};
  action.sa_handler = restore_and_die;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGQUIT}) {
    struct sigaction old {};
    sigaction(number, nullptr, &old);
    if (old.sa_handler == SIG_DFL) sigaction(number, &action, nullptr);
  }
}

}  // namespace

TerminalGuard::TerminalGuard(int file) : file_(file) {
  if (isatty(file) == 0 || tcgetpgrp(file) != getpgrp() || tcgetattr(file, &old_) != 0) return;
  active_ = true;
  arm_crash_restore(file, old_);
  make_raw();
}

TerminalGuard::~TerminalGuard() {
  restore();
}

void TerminalGuard::make_raw() {
  if (!active_) return;
  termios raw = old_;
  raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IXON | ISTRIP | BRKINT);
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;
  raw.c_cc[VQUIT] = _POSIX_VDISABLE;
  tcsetattr(file_, TCSANOW, &raw);
}

void TerminalGuard::restore() {
  if (!active_) return;
  crash_restore_armed = 0;
  tcsetattr(file_, TCSANOW, &old_);
}

}  // namespace ringshift::frontend
