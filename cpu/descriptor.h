// Segment and gate descriptors as they lie in guest memory, and how to get at them. Every far
// branch, interrupt, task switch and segment load starts here, and so do most of their error codes.
#pragma once

#include "cpu/guest_fault.h"
#include "cpu/state.h"
#include "cpu/types.h"

namespace ringshift::cpu {

class Processor;

/// The type field of system segments and gates. SDM 3A §3.5 table 3-2.
enum class SystemType : u8 {
  AvailableTss16 = 1,
  Ldt = 2,
  BusyTss16 = 3,
  CallGate16 = 4,
  TaskGate = 5,
  InterruptGate16 = 6,
  TrapGate16 = 7,
  AvailableTss32 = 9,
  BusyTss32 = 11,
  CallGate32 = 12,
  InterruptGate32 = 14,
  TrapGate32 = 15,
};

/// The busy bit of a TSS descriptor's type.
inline constexpr u8 kTssBusy = 2;
/// Type bit that says 32-bit in TSS and gate types.
inline constexpr u8 kSystem32 = 8;

constexpr bool null_selector(u16 selector) {
  return (selector & 0xFFFC) == 0;
}
constexpr bool local_selector(u16 selector) {
  return (selector & 4) != 0;
}
constexpr u8 requested_privilege(u16 selector) {
  return selector & 3;
}
constexpr u16 with_privilege(u16 selector, u8 privilege) {
  return static_cast<u16>((selector & 0xFFFC) | privilege);
}
/// A selector as an error code: EXT and IDT clear. SDM 3A §6.13.
constexpr u32 selector_error(u16 selector) {
  return selector & 0xFFFC;
}

/// Eight bytes of a descriptor table and where they were found.
struct Descriptor {
  u64 raw = 0;
  u64 address = 0;  ///< linear

  // Segments, code, data and system. SDM 3A §3.4.5.
  u64 base() const { return ((raw >> 16) & 0xFFFFFF) | ((raw >> 32) & 0xFF000000); }
  /// In bytes, with granularity applied.
  u32 limit() const {
    const u32 field = static_cast<u32>((raw & 0xFFFF) | ((raw >> 32) & 0xF0000));
    return (raw >> 55) & 1 ? (field << 12) | 0xFFF : field;
  }
  u8 type() const { return (raw >> 40) & 0xF; }
  SystemType system_type() const { return static_cast<SystemType>(type()); }
  bool code_or_data() const { return (raw >> 44) & 1; }
  u8 dpl() const { return (raw >> 45) & 3; }
  bool present() const { return (raw >> 47) & 1; }

  bool is_code() const { return code_or_data() && (type() & 8) != 0; }
  bool is_data() const { return code_or_data() && (type() & 8) == 0; }
  bool conforming() const { return code_or_data() && (type() & 0xC) == 0xC; }
  bool writable_data() const { return code_or_data() && (type() & 0xA) == 2; }
  bool readable() const { return is_data() || (is_code() && (type() & 2) != 0); }
  bool accessed() const { return (type() & 1) != 0; }

  bool is_tss() const { return !code_or_data() && (type() & 5) == 1; }
  bool is_busy_tss() const { return is_tss() && (type() & kTssBusy) != 0; }
  bool is_available_tss() const { return is_tss() && (type() & kTssBusy) == 0; }
  bool is_system(SystemType wanted) const { return !code_or_data() && system_type() == wanted; }

  // Gates. SDM 3A §5.8.3, §6.11.
  u16 gate_selector() const { return static_cast<u16>(raw >> 16); }
  bool gate_is_32() const { return (type() & kSystem32) != 0; }
  u32 gate_offset() const {
    const u32 low = raw & 0xFFFF;
    return gate_is_32() ? low | static_cast<u32>((raw >> 32) & 0xFFFF0000) : low;
  }
  unsigned gate_parameters() const { return (raw >> 32) & 0x1F; }

  /// The hidden part of a segment register loaded from this descriptor.
  SegmentRegister segment(u16 selector) const;
};

/// An unusable segment, as loading a null selector leaves it.
SegmentRegister null_segment(u16 selector);
/// A segment as virtual-8086 mode has it: 64 KiB, read/write, DPL 3.
SegmentRegister virtual_8086_segment(u16 selector);
/// Flat segments as SYSENTER and SYSEXIT load them.
SegmentRegister flat_segment(u16 selector, u8 type, u8 dpl);

/// Reads the descriptor of a selector that isn't null. `false`: outside its table. Fault: #PF.
GuestResult<bool> find_descriptor(Processor& processor, u16 selector, Descriptor& into);
/// The same, where a selector outside its table raises `vector` with the selector as error code.
GuestResult<Descriptor> fetch_descriptor(Processor& processor, u16 selector, Vector vector);
/// Sets the accessed bit in the table and in `descriptor`, if it isn't set. Fault: #PF.
GuestResult<void> mark_accessed(Processor& processor, Descriptor& descriptor);

/// The checks that every load of SS for privilege `privilege` makes: RPL and DPL equal to it,
/// writable data, present. `vector` is #GP for MOV SS and returns, #TS for inner stacks and task
/// switches. Includes the accessed bit. Faults: `vector`(selector), #SS(selector), #PF.
GuestResult<SegmentRegister> fetch_stack_segment(Processor& processor, u16 selector, u8 privilege,
                                                 Vector vector);
/// The checks of a return to a code segment with its RPL as the new privilege (RETF, IRET).
/// Faults: #GP(0), #GP(selector), #NP(selector), #PF.
GuestResult<SegmentRegister> fetch_return_code_segment(Processor& processor, u16 selector);

}  // namespace ringshift::cpu
