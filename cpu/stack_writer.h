// Pushes that don't count yet. A far call or an interrupt writes its frame on a stack that becomes
// the current one only when nothing can fault any more; until then SS, (E)SP and CPL are staged
// here.
#pragma once

#include "cpu/processor.h"

namespace ringshift::cpu {

class StackWriter {
 public:
  /// `stack_pointer` is all of ESP; `privilege` is that of the code that will own the stack.
  StackWriter(Processor& processor, const SegmentRegister& segment, u64 stack_pointer, u8 privilege)
      : processor_(processor),
        segment_(segment),
        pointer_(stack_pointer & 0xFFFFFFFF),
        access_{AccessType::Write, privilege == 3 ? Privilege::User : Privilege::Supervisor,
                false} {}

  /// Checks that `count` pushes of `size` bytes stay within the segment. Fault: #SS(`error_code`).
  GuestResult<void> require(unsigned count, unsigned size, u32 error_code);
  /// Faults: #PF only; the room must have been required.
  GuestResult<void> push(u64 value, unsigned size);
  /// Makes the staged stack the current one.
  void commit();

  u64 pointer() const { return pointer_; }

 private:
  u64 mask() const { return segment_.big ? 0xFFFFFFFF : 0xFFFF; }

  Processor& processor_;
  SegmentRegister segment_;
  u64 pointer_;
  PageAccess access_;
};

/// Sets SP or ESP, as the (already loaded) SS.B says.
void set_stack_pointer(State& state, u64 value);

}  // namespace ringshift::cpu
