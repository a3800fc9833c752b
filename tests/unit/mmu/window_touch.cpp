#include "tests/unit/mmu/window_touch.h"

#include <ucontext.h>

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace ringshift::tests {

namespace {

/// What the signal handler needs to know; there is no other way into one.
struct Touching {
  mmu::ShadowMmu* shadow = nullptr;  ///< null: nobody is asked
  u64 base = 0;
  u64 address = 0;  ///< of the access under way; 0 when there is none
  unsigned faults = 0;
  mmu::FaultClass verdict = mmu::FaultClass::Mapped;
  sigjmp_buf out;
  struct sigaction before;
};
Touching touching;

constexpr unsigned kMostFaults = 16;

void on_fault(int number, siginfo_t* info, void* raw) {
  const u64 address = reinterpret_cast<u64>(info->si_addr);
  if (touching.address == 0 || address - touching.address >= 4) {
    std::fprintf(stderr, "a fault at %llxh that no touch explains\n",
                 static_cast<unsigned long long>(address));
    std::signal(number, SIG_DFL);
    return;
  }
  ++touching.faults;
  touching.verdict = mmu::FaultClass::Device;
  if (touching.shadow != nullptr && touching.faults <= kMostFaults) {
    const auto* context = static_cast<const ucontext_t*>(raw);
    const bool write = (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
    touching.verdict = touching.shadow->resolve(
        {address - touching.base}, write ? cpu::AccessType::Write : cpu::AccessType::Read);
    if (touching.verdict == mmu::FaultClass::Mapped) return;
  }
  siglongjmp(touching.out, 1);
}

}  // namespace

WindowTouch::WindowTouch(mmu::ShadowMmu& shadow) : shadow_(shadow) {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSEGV, &action, &touching.before) != 0) std::abort();
}

WindowTouch::~WindowTouch() {
  sigaction(SIGSEGV, &touching.before, nullptr);
}

WindowTouch::Outcome WindowTouch::touch(u64 base, u64 linear, std::optional<u32> value, Ask ask) {
  touching.shadow = ask == Ask::ShadowMmu ? &shadow_ : nullptr;
  touching.base = base;
  touching.address = base + linear;
  touching.faults = 0;
  touching.verdict = mmu::FaultClass::Mapped;
  volatile u32* place = reinterpret_cast<volatile u32*>(base + linear);
  volatile u32 read = 0;
  if (sigsetjmp(touching.out, 0) == 0) {
    if (value.has_value()) {
      *place = *value;
    } else {
      read = *place;
    }
    touching.verdict = mmu::FaultClass::Mapped;
  }
  touching.address = 0;
  return {touching.verdict, touching.faults, read};
}

WindowTouch::Outcome WindowTouch::read(const mmu::Window& window, u64 linear) {
  return touch(window.base, linear, std::nullopt, Ask::ShadowMmu);
}

WindowTouch::Outcome WindowTouch::write(const mmu::Window& window, u64 linear, u32 value) {
  return touch(window.base, linear, value, Ask::ShadowMmu);
}

bool WindowTouch::readable(const mmu::Window& window, u64 linear) {
  return touch(window.base, linear, std::nullopt, Ask::Nobody).faults == 0;
}

bool WindowTouch::writable(const mmu::Window& window, u64 linear) {
  const Outcome there = touch(window.base, linear, std::nullopt, Ask::Nobody);
  return there.faults == 0 && touch(window.base, linear, there.value, Ask::Nobody).faults == 0;
}

}  // namespace ringshift::tests
