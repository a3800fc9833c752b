// Really touches memory in a shadow window, as translated code does: a host fault asks the shadow
// MMU, which either maps the page (the access is retried) or says why not.
#pragma once

#include <optional>

#include "mmu/shadow/shadow_mmu.h"

namespace ringshift::tests {

/// While it lives, SIGSEGV in `read` and `write` goes to the shadow MMU; elsewhere it is fatal as
/// ever. One at a time in a process.
class WindowTouch {
 public:
  explicit WindowTouch(mmu::ShadowMmu& shadow);
  ~WindowTouch();
  WindowTouch(const WindowTouch&) = delete;
  WindowTouch& operator=(const WindowTouch&) = delete;

  struct Outcome {
    /// `Mapped`: the access was made.
    mmu::FaultClass verdict = mmu::FaultClass::Mapped;
    unsigned faults = 0;  ///< host faults on the way
    u32 value = 0;        ///< read
  };
  Outcome read(const mmu::Window& window, u64 linear);
  Outcome write(const mmu::Window& window, u64 linear, u32 value);

  /// Whether the access works without asking the shadow MMU.
  bool readable(const mmu::Window& window, u64 linear);
  /// As `readable`; writes what is there already.
  bool writable(const mmu::Window& window, u64 linear);

 private:
  enum class Ask : u8 { ShadowMmu, Nobody };
  Outcome touch(u64 base, u64 linear, std::optional<u32> value, Ask ask);

  mmu::ShadowMmu& shadow_;
};

}  // namespace ringshift::tests
