// The guest machine of the instruction tests: a processor with the test areas mapped at the same
// linear addresses and with the same rights as the host engine has them, PAE paging with
// execute-disable like the host's own, flat 32-bit segments at CPL 3 (or 0 for system
// instructions). Which engine runs it is chosen when it is made: all must come to the same results.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cpu/result.h"
#include "tests/asm/chosen_engine.h"
#include "tests/asm/test_state.h"

namespace ringshift::cpu {
class Decoder;
class Processor;
}  // namespace ringshift::cpu

namespace ringshift::tests {

enum class TestMode : u8 {
  User32,    ///< CPL 3, flat 32-bit segments, paging
  User16,    ///< CPL 3, 16-bit segments, paging
  Kernel32,  ///< CPL 0, flat 32-bit segments, paging; supervisor may reach all areas
  Real16,    ///< real-address mode; code at 7C00h
};

class GuestEngine {
 public:
  /// `options` are the translator's.
  static Result<std::unique_ptr<GuestEngine>> create(EngineKind kind,
                                                     translator::Options options = {});
  ~GuestEngine();
  GuestEngine(const GuestEngine&) = delete;
  GuestEngine& operator=(const GuestEngine&) = delete;

  EngineKind kind() const;
  TestMemory memory() const;
  /// Copies code to linear `address`, telling whoever has decoded what was there.
  void place_code(u32 address, std::span<const u8> bytes);
  /// Puts the processor into the state that tests of this mode start from.
  void enter(TestMode mode);
  /// User modes: whole blocks at a time until an exception; an INT3 outside the placed code, or an
  /// address without memory, is Ending::Reached, as with the host engine.
  Outcome run_program(CpuImage& image);
  /// Kernel32, Real16: whole blocks at a time until the HLT that the caller has placed at `end`.
  Outcome run_to_halt(CpuImage& image, u32 end);

  // --- The interpreter only: other engines have no single steps ---
  /// User modes: one instruction from image.eip (a repeated string instruction: all its
  /// iterations).
  Outcome step(CpuImage& image);
  /// Any mode, instruction by instruction until control reaches linear address `end`, calling
  /// `executed` with the mnemonic of each one. Kernel32 and Real16: exceptions go where the guest's
  /// own tables say; a triple fault is Ending::Fault.
  using Executed = std::function<void(u16 mnemonic)>;
  Outcome run_until(CpuImage& image, u32 end, unsigned step_limit, const Executed& executed = {});

  cpu::Processor& processor();
  const cpu::Decoder& decoder() const;

 private:
  GuestEngine();
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ringshift::tests
