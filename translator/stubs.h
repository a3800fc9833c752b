// The few pieces of code that every block shares: the way in, the ways out, the call-out to the
// monitor and the look-up of indirect branches. They are emitted once, at the start of the code
// area, where offset 0 is the look-up's miss: a branch table full of zeros knows nothing.
#pragma once

#include <vector>

#include "cpu/host_unit/code_area.h"
#include "translator/context.h"

namespace ringshift::translator {

struct Stubs {
  /// Runs guest code from context.entry until it leaves; the cause is in context.exit_reason.
  using Enter = void (*)(Context*);
  Enter enter = nullptr;
  /// An entry for `enter` that goes on to the one in context.step_entry with the trap flag set: a
  /// SIGTRAP before each host instruction.
  const u8* step_in = nullptr;
  /// R8D: an EIP that the branch table doesn't know. At offset 0.
  const u8* miss = nullptr;
  /// R8D: an EIP; jumps to its block.
  const u8* look_up = nullptr;
  /// The lowest entry of every call stack: where a return goes whose call isn't known any more.
  const u8* bottom_of_calls = nullptr;
  /// R11D: number of the exit site.
  const u8* leave_link = nullptr;
  /// Called; R11D: number of the call-out. Returns, or leaves.
  const u8* call_out = nullptr;
  // Called; load parts of the guest's FPU state that are absent. They change no flags and, of the
  // general registers, R8 and RCX.
  const u8* load_vectors = nullptr;
  const u8* load_x87 = nullptr;    ///< the vectors too
  const u8* load_upper = nullptr;  ///< the vectors too
  /// For signal handlers: the state has been saved but for the FPU.
  const u8* leave_saved = nullptr;
  const u8* end = nullptr;

  struct Named {
    const char* name;
    const u8* code;
  };
  /// In the order of their code.
  std::vector<Named> named() const;

  /// Emits them at the start of the empty `area`.
  static Stubs emit(cpu::CodeArea& area);
};

}  // namespace ringshift::translator
