// Switches of the translator: each optimisation can be taken away, so that a wrong result can be
// pinned on one of them and each can be measured and tested on its own.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::translator {

enum class Optimisation : u8 {
  Chaining,          ///< direct branches jump from block to block
  BranchTable,       ///< indirect branches find their block without the dispatcher
  PairedReturns,     ///< calls and returns use the host's
  StackDelta,        ///< pushes and pops in a row change ESP once
  InternalBranches,  ///< branches within a block don't leave it
  LoopAlignment,     ///< loop heads start a cache line
  CallOutSites,      ///< instructions that keep faulting become call-outs
  InlineStrings,     ///< string instructions run as the host's own
  InlineSystem,      ///< CLI, STI, PUSHF, RDTSC and the like without a call-out
  InlineTimeStamp,   ///< RDTSC reads the host's counter
  FlagLiveness,      ///< flags that nothing will look at needn't survive
  WindowIndex,       ///< the window's base is an index register where it can be
  FpuHoisting,       ///< loops ask once whether the FPU's state is loaded
  FsGsBase,          ///< windows are switched by WRGSBASE, not by a system call
};

inline constexpr std::array<std::string_view, 14> kOptimisationNames = {
    "chaining",       "branch-table",   "paired-returns", "stack-delta",   "internal-branches",
    "loop-alignment", "call-out-sites", "inline-strings", "inline-system", "inline-time-stamp",
    "flag-liveness",  "window-index",   "fpu-hoisting",   "fsgsbase"};

class Options {
 public:
  bool on(Optimisation which) const { return (off_ & bit(which)) == 0; }
  void disable(Optimisation which) { off_ |= bit(which); }
  /// By the name that --disable-opt takes; nothing: there is none of that name.
  static std::optional<Optimisation> find(std::string_view name) {
    for (std::size_t i = 0; i < kOptimisationNames.size(); ++i) {
      if (kOptimisationNames[i] == name) return static_cast<Optimisation>(i);
    }
    return std::nullopt;
  }

  /// Generated code counts the guest instructions that it executes.
  void count_instructions() { counting_ = true; }
  bool counts_instructions() const { return counting_; }

  /// For tests: room for so many bytes of generated code.
  void limit_code(std::size_t bytes) { code_capacity_ = bytes; }
  std::size_t code_capacity() const { return code_capacity_; }

 private:
  static constexpr u32 bit(Optimisation which) { return 1U << static_cast<u8>(which); }
  u32 off_ = 0;
  bool counting_ = false;
  std::size_t code_capacity_ = std::size_t{64} << 20;
};

}  // namespace ringshift::translator
