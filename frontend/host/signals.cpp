#include "frontend/host/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <initializer_list>

#include "frontend/host/deadline_timer.h"

namespace ringshift::frontend {

SignalReader::SignalReader() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCONT}) sigaddset(&mask, number);
  pthread_sigmask(SIG_BLOCK, &mask, &old_mask_);
  block_kick_signal();
  // A closed pipe shows as EPIPE from write(), where it can be handled.
  std::signal(SIGPIPE, SIG_IGN);
  file_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

SignalReader::~SignalReader() {
  close(file_);
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

int SignalReader::next() const {
  signalfd_siginfo info{};
  if (read(file_, &info, sizeof info) != sizeof info) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace ringshift::frontend
