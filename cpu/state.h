// The guest-visible state of one processor, and nothing else: what a snapshot holds, what the
// translator keeps in host registers, what a lockstep run compares. All widths are 64-bit ready.
#pragma once

#include <array>

#include "cpu/registers.h"
#include "cpu/state_archive.h"
#include "cpu/types.h"

namespace ringshift::cpu {

/// A segment register with its hidden part (descriptor cache). SDM 3A §3.4.3.
struct SegmentRegister {
  u16 selector = 0;
  u64 base = 0;
  u32 limit = 0;  ///< last valid offset (first invalid one below, for expand-down), in bytes
  u8 type =
      0;  ///< the 4 type bits; for code/data: bit 3 code, 2 conforming/down, 1 R/W, 0 accessed
  u8 dpl = 0;
  bool code_or_data = false;  ///< the S bit
  bool present = false;       ///< clear: a null selector was loaded, the segment is unusable
  bool available = false;     ///< AVL
  bool long_mode = false;     ///< L
  bool big = false;           ///< D/B
  bool granular = false;      ///< G, kept only to be read back

  bool is_code() const { return code_or_data && (type & 8) != 0; }
  bool expand_down() const { return code_or_data && (type & 0xC) == 4; }
  bool conforming() const { return code_or_data && (type & 0xC) == 0xC; }
  bool writable() const { return code_or_data && (type & 0xA) == 2; }
  bool readable() const { return code_or_data && ((type & 8) == 0 || (type & 2) != 0); }
  friend bool operator==(const SegmentRegister&, const SegmentRegister&) = default;
  void serialize(StateArchive& archive);
};

/// GDTR or IDTR.
struct TableRegister {
  u64 base = 0;
  u16 limit = 0;
  friend bool operator==(const TableRegister&, const TableRegister&) = default;
  void serialize(StateArchive& archive);
};

/// x87, MMX, SSE and AVX state in the layout of XSAVE's standard format (SDM 1 §13.4), so that the
/// host's own XRSTOR/FXRSTOR64 takes it: 512 bytes of FXSAVE, the header, the upper YMM halves.
struct alignas(64) ExtendedState {
  std::array<u8, 512> legacy{};
  std::array<u8, 64> header{};
  std::array<u8, 256> ymm_high{};
  friend bool operator==(const ExtendedState&, const ExtendedState&) = default;
};

enum class Activity : u8 {
  Running,
  Halted,    ///< HLT: until an interrupt
  Shutdown,  ///< triple fault
};

struct State {
  std::array<u64, 16> gpr{};
  u64 rip = 0;
  u64 rflags = eflags::Fixed;

  std::array<SegmentRegister, 6> segments;  ///< by SegmentName
  SegmentRegister ldtr;
  SegmentRegister tr;
  TableRegister gdtr;
  TableRegister idtr;
  u8 cpl = 0;

  u64 cr0 = 0;
  u64 cr2 = 0;
  u64 cr3 = 0;
  u64 cr4 = 0;
  u64 efer = 0;
  u64 xcr0 = 1;
  std::array<u64, 4> pdpte{};
  std::array<u64, 8> dr{};

  Activity activity = Activity::Running;
  /// STI or MOV/POP SS has just run: interrupts (and, for the latter, debug traps) wait for one
  /// instruction. SDM 3A §6.8.1, §6.8.3.
  bool sti_shadow = false;
  bool mov_ss_shadow = false;
  bool nmi_pending = false;
  bool nmi_blocked = false;  ///< until the next IRET
  u64 pending_debug = 0;     ///< DR6 bits of a trap that waits for the end of the instruction

  // MSRs.
  u64 sysenter_cs = 0;
  u64 sysenter_esp = 0;
  u64 sysenter_eip = 0;
  u64 pat = 0x0007'0406'0007'0406;
  u64 misc_enable = 0;
  u64 tsc_offset = 0;  ///< added to Platform::time_stamp
  u64 tsc_adjust = 0;
  u64 tsc_aux = 0;
  u64 mtrr_default_type = 0;
  std::array<u64, 16> mtrr_variable{};  ///< base and mask pairs
  std::array<u64, 11> mtrr_fixed{};
  u64 microcode_revision = 0;
  u64 debug_control = 0;
  u64 mcg_status = 0;

  ExtendedState extended;

  SegmentRegister& segment(SegmentName name) { return segments[static_cast<u8>(name)]; }
  const SegmentRegister& segment(SegmentName name) const { return segments[static_cast<u8>(name)]; }
  bool flag(u64 mask) const { return (rflags & mask) != 0; }
  unsigned iopl() const { return (rflags & eflags::IOPL) >> 12; }
  bool protected_mode() const { return (cr0 & cr0::PE) != 0; }
  bool virtual_8086() const { return (rflags & eflags::VM) != 0; }
  /// Real-address or virtual-8086 mode: selectors are paragraphs.
  bool real_selectors() const { return !protected_mode() || virtual_8086(); }
  void serialize(StateArchive& archive);
};

}  // namespace ringshift::cpu
