#include "translator/host_signals.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "cpu/engine.h"
#include "cpu/host_unit/floating_point_signal.h"

namespace ringshift::translator {

namespace {

constexpr greg_t kTrapFlag = 0x100;
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

thread_local SignalClient* client = nullptr;
/// What other handlers had been there; indexed like kFaults.
std::array<struct sigaction, std::size(kFaults)> previous_actions;

/// The stack that this thread's handlers run on: room for the FPU state's frame, a page-table walk
/// and its mappings.
struct AlternateStack {
  static constexpr std::size_t kBytes = 256 << 10;
  void* memory = nullptr;
  AlternateStack() {
    memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("ringshift: a stack for signals");
      std::abort();
    }
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = kBytes;
    sigaltstack(&stack, nullptr);
  }
  ~AlternateStack() {
    stack_t stack{};
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, nullptr);
    munmap(memory, kBytes);
  }
};

void report(int signal, const HostFault& fault) {
  std::array<char, 1024> text{};
  int length = std::snprintf(text.data(), text.size(),
                             "ringshift: bug: %s at host address %llx accessing %llx\n",
                             strsignal(signal), static_cast<unsigned long long>(fault.pc()),
                             static_cast<unsigned long long>(fault.address));
  if (client != nullptr && length > 0) {
    const auto used = static_cast<std::size_t>(length);
    client->describe(text.data() + used, text.size() - used);
  }
  const ssize_t written = write(STDERR_FILENO, text.data(), std::strlen(text.data()));
  (void)written;
}

HostFault describe_fault(int signal, const siginfo_t* info, ucontext_t* context) {
  constexpr greg_t kWriteBit = 2;
  HostFault fault;
  fault.signal = signal;
  fault.registers = context->uc_mcontext.gregs;
  fault.trap = static_cast<int>(fault.registers[REG_TRAPNO]);
  fault.address = reinterpret_cast<u64>(info->si_addr);
  fault.write = (fault.registers[REG_ERR] & kWriteBit) != 0;
  return fault;
}

/// To whoever handled the signal before; the default action ends the process at the same place.
void hand_on(int signal, siginfo_t* info, void* context) {
  for (std::size_t i = 0; i < std::size(kFaults); ++i) {
    if (kFaults[i] != signal) continue;
    const struct sigaction& previous = previous_actions[i];
    if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
      previous.sa_sigaction(signal, info, context);
      return;
    }
    sigaction(signal, &previous, nullptr);
  }
}

void on_fault(int signal, siginfo_t* info, void* raw) {
  auto* context = static_cast<ucontext_t*>(raw);
  HostFault fault = describe_fault(signal, info, context);
  if (client != nullptr && client->owns_code(fault.pc()) &&
      client->on_fault(fault) != Verdict::Bug) {
    return;
  }
  if (signal == SIGFPE && cpu::divert_floating_point_signal(raw)) return;
  if (client != nullptr) report(signal, fault);
  hand_on(signal, info, raw);
}

/// A request to leave generated code: at once where the guest is between two instructions, else
/// after as many single steps as it takes.
void on_interrupt(int signal, siginfo_t* info, void* raw) {
  auto* context = static_cast<ucontext_t*>(raw);
  HostFault fault = describe_fault(signal, info, context);
  fault.registers[REG_EFL] &= ~kTrapFlag;
  if (client == nullptr) return;
  if (!client->owns_code(fault.pc())) {
    client->on_interrupt_outside(fault);
    return;
  }
  if (client->on_interrupt(fault) == Verdict::Step) fault.registers[REG_EFL] |= kTrapFlag;
}

void install_handlers() {
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, cpu::kick_signal());
  // A fault in the handler is a bug to be reported as well.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  action.sa_sigaction = on_fault;
  for (std::size_t i = 0; i < std::size(kFaults); ++i) {
    sigaction(kFaults[i], &action, &previous_actions[i]);
  }
  action.sa_sigaction = on_interrupt;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(cpu::kick_signal(), &action, nullptr);
  sigaction(SIGTRAP, &action, nullptr);
}

/// Whoever else is in this process may have put handlers of his own there since the last time.
void ensure_handlers() {
  static std::mutex installing;
  struct sigaction present {};
  sigaction(SIGSEGV, nullptr, &present);
  if ((present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == on_fault) return;
  const std::lock_guard lock(installing);
  install_handlers();
}

}  // namespace

SignalScope::SignalScope(SignalClient& which) : previous_(client) {
  ensure_handlers();
  static thread_local AlternateStack stack;
  client = &which;
}

SignalScope::~SignalScope() {
  client = previous_;
}

}  // namespace ringshift::translator
