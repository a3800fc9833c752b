#include "cpu/host_unit/floating_point_signal.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include <ucontext.h>

#include "cpu/host_unit/code_area.h"

namespace ringshift::cpu {
namespace {

thread_local const FloatingPointGuard* active_guard = nullptr;
struct sigaction previous_action {};
std::mutex installing;

void handle_signal(int number, siginfo_t* info, void* context) {
  if (divert_floating_point_signal(context)) return;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(number, info, context);
    return;
  }
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(number);
    return;
  }
  // A fault of the monitor's own: die of it, with the default action, when the instruction repeats.
  sigaction(number, &previous_action, nullptr);
}

}  // namespace

FloatingPointGuard::FloatingPointGuard(const CodeArea& area, const u8* fault_exit)
    : area_(area), fault_exit_(fault_exit) {
  active_guard = this;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

FloatingPointGuard::~FloatingPointGuard() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  active_guard = nullptr;
}

void install_floating_point_handler() {
  const std::lock_guard lock(installing);
  struct sigaction current {};
  if (sigaction(SIGFPE, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) != 0 &&
      current.sa_sigaction == handle_signal) {
    return;
  }
  previous_action = current;
  struct sigaction action {};
  action.sa_sigaction = handle_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGFPE, &action, nullptr) != 0) {
    std::perror("SIGFPE handler");
    std::abort();
  }
}

bool divert_floating_point_signal(void* context) {
  const FloatingPointGuard* guard = active_guard;
  if (guard == nullptr) return false;
  greg_t& pc = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  if (!guard->area().contains(static_cast<u64>(pc))) return false;
  // The frame holds MXCSR with the flags of the exception; it comes back to life with the
  // registers.
  pc = reinterpret_cast<greg_t>(guard->fault_exit());
  return true;
}

}  // namespace ringshift::cpu
