// An unmasked SIMD exception inside a thunk reaches this process as SIGFPE. The handler here sends
// the thunk to its fault exit; every other SIGFPE goes to whoever handled it before.
//
// A signal handler can only find its data through globals, so this is one of the two places of the
// code base that have them: the previous action (written when the handler is installed) and a
// thread-local pointer to the guard that is open on the thread.
#pragma once

#include "cpu/types.h"

namespace ringshift::cpu {

class CodeArea;

/// While one exists on a thread, a SIGFPE with a program counter inside `area` continues at
/// `fault_exit`. Guards don't nest.
class FloatingPointGuard {
 public:
  FloatingPointGuard(const CodeArea& area, const u8* fault_exit);
  ~FloatingPointGuard();
  FloatingPointGuard(const FloatingPointGuard&) = delete;
  FloatingPointGuard& operator=(const FloatingPointGuard&) = delete;

  const CodeArea& area() const { return area_; }
  const u8* fault_exit() const { return fault_exit_; }

 private:
  const CodeArea& area_;
  const u8* fault_exit_;
};

/// Installs the process-wide handler, unless it is in place. Every HostUnit does so when it is
/// made; it must not happen while another thread runs a thunk.
void install_floating_point_handler();

/// For a handler that someone else installs over ours: true if the signal came from a guarded thunk
/// and `context` (a ucontext_t) now continues at its fault exit. Async-signal-safe.
bool divert_floating_point_signal(void* context);

}  // namespace ringshift::cpu
