// What translated code and the monitor share at run time. Generated code reaches it through one
// register, so its layout is part of the code that has been generated: plain data, offsets known to
// the emitter, the busiest fields first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

#include "cpu/state.h"
#include "cpu/types.h"

namespace ringshift::translator {

/// What follows a call-out.
enum class Onward : u32 {
  Leave,      ///< to the dispatcher
  Stay,       ///< behind the instruction, in the block
  Elsewhere,  ///< to context.entry
};

/// Why generated code came back to the dispatcher.
enum class Leave : u32 {
  Link,             ///< a direct branch that isn't linked yet; value: number of the exit site
  Indirect,         ///< a branch target that the table doesn't know; value: EIP
  CallOut,          ///< a call-out said so; RIP is exact
  CallOutAndEvent,  ///< a signal asked while a call-out was returning; value: its number
  Refused,          ///< the request to leave came before the first instruction
  Event,            ///< a signal asked, and the guest's state is at an instruction boundary
  Emulate,          ///< a host fault that the interpreter must resolve; RIP is at the instruction
};

/// A segment as generated code needs it.
struct SegmentView {
  u64 base = 0;
  u64 limit = 0;  ///< last valid offset
};

struct Context {
  u32* branch_table = nullptr;  ///< of the current lane: offsets into the code area
  u64 call_stack = 0;           ///< the guest code's host stack pointer while it isn't running
  u64 monitor_stack = 0;        ///< the monitor's while guest code is running
  u64 window = 0;               ///< host address of guest linear address 0
  u32 exit_value = 0;           ///< see Leave
  u32 exit_reason = 0;
  std::atomic<u32> exit_request{0};
  u16 saved_flags = 0;  ///< AL: OF, AH: as LAHF leaves it
  u8 interrupt_flag = 0;
  u8 fpu_absent = 1;       ///< 0: the guest's x87, SSE and AVX state is in the host's registers
  u8 interrupt_waits = 0;  ///< the processor's interrupt line or an NMI is up
  u16 x87_opcode = 0;      ///< FOP when the state was loaded into the host's registers
  u32 x87_data = 0;        ///< likewise FDP
  i32 direction = 0;       ///< DF: 0 or -2, by so many elements strings step other than upwards
  std::array<SegmentView, 6> segments;
  const u8* entry = nullptr;
  Onward (*call_out)(Context*, u32) = nullptr;
  void* owner = nullptr;  ///< the Translator
  cpu::State* state = nullptr;
  cpu::ExtendedState* extended = nullptr;
  u64 tsc_offset = 0;  ///< guest TSC minus host TSC
  u32 monitor_mxcsr = 0x1F80;
  u64 instructions = 0;  ///< executed by generated code, if Options::counts_instructions()
  u64 step_entry = 0;    ///< see Stubs::step_in
};

}  // namespace ringshift::translator
