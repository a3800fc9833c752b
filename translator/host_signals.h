// Host signals that concern generated code: a fault in it is the guest's business, an interrupt
// request must find a place between two guest instructions. Everything else that arrives here is a
// bug of the monitor's and ends it with a report.
//
// A signal handler can only find its data through globals: this is one of the places of the code
// base that have them, a thread-local pointer to the client that is running on the thread, and the
// previous actions, written when the handlers are installed.
#pragma once

#include <ucontext.h>

#include "cpu/types.h"

namespace ringshift::translator {

/// A signal that found the thread in generated code.
struct HostFault {
  int signal = 0;
  int trap = 0;        ///< x86 exception vector
  u64 address = 0;     ///< page faults: the linear address
  bool write = false;  ///< page faults
  greg_t* registers = nullptr;

  u64 pc() const { return static_cast<u64>(registers[REG_RIP]); }
};

enum class Verdict : u8 {
  Resume,  ///< go on with the registers as they are now
  Step,    ///< execute one host instruction, then ask on_interrupt again
  Bug,     ///< not the guest's doing
};

class SignalClient {
 public:
  virtual ~SignalClient() = default;
  virtual bool owns_code(u64 pc) const = 0;
  /// SIGSEGV, SIGBUS, SIGFPE, SIGILL at a PC that it owns.
  virtual Verdict on_fault(HostFault& fault) = 0;
  /// The kick signal: Step until it says Resume.
  virtual Verdict on_interrupt(HostFault& fault) = 0;
  /// The kick signal or its stepping has left generated code, or never was in it.
  virtual void on_interrupt_outside(const HostFault& fault) = 0;
  /// One-line description of the guest for a bug report. Async-signal-safe as far as possible.
  virtual void describe(char* buffer, std::size_t size) const = 0;
};

/// While it exists, signals of this thread in generated code go to the client. Handlers run on a
/// stack of their own, because the host's stack pointer isn't the monitor's there.
class SignalScope {
 public:
  explicit SignalScope(SignalClient& client);
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

 private:
  SignalClient* previous_;
};

}  // namespace ringshift::translator
