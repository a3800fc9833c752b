// Pieces of control transfer that calls, interrupts and task switches share.
#pragma once

#include "cpu/descriptor.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

/// The stack that the current TSS holds for a more privileged level.
struct InnerStack {
  SegmentRegister segment;
  u32 pointer = 0;
};

/// Reads SSn:ESPn (or SPn) of the current TSS and checks it. SDM 3A §5.8.5.
/// Faults: #TS(TR) when the TSS is too short, #TS(SS), #SS(SS), #PF.
GuestResult<InnerStack> fetch_inner_stack(Processor& processor, u8 privilege);

/// Checks the TSS selector in a task gate and switches. `flags` is the EFLAGS image to be saved.
GuestResult<void> enter_task_gate(Processor& processor, const Descriptor& gate,
                                  TaskSwitchSource source, u64 return_rip, u64 flags);
/// Processor::task_switch with an EFLAGS image of the caller's choice for the old TSS: faults save
/// it with RF set.
GuestResult<void> switch_task(Processor& processor, u16 selector, TaskSwitchSource source,
                              u64 return_rip, u64 flags);

/// After a return to an outer level: data segments that the new CPL may not use become null.
/// SDM 2A RETF, "RETURN-TO-OUTER-PRIVILEGE-LEVEL".
void drop_privileged_segments(State& state);

}  // namespace ringshift::cpu
