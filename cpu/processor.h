// One guest processor: its architectural state and the operations that the manual describes in
// terms of that state: memory access through segmentation and paging, control transfer, exceptions,
// task switches, control registers. Engines execute instructions; whatever in an instruction is
// more than data flow is a member here, shared by the interpreter's handlers and the translator's
// call-outs.
//
// Members are implemented by topic: memory_access.cpp, segmentation.cpp, far_transfer.cpp,
// interrupts.cpp, task_switch.cpp, control_registers.cpp, debug_registers.cpp, msr.cpp.
#pragma once

#include <array>
#include <atomic>
#include <cstring>

#include "cpu/cpuid.h"
#include "cpu/guest_fault.h"
#include "cpu/host_unit/host_unit.h"
#include "cpu/instruction.h"
#include "cpu/memory_port.h"
#include "cpu/platform.h"
#include "cpu/state.h"
#include "cpu/tlb.h"

namespace ringshift::cpu {

enum class InterruptSource : u8 {
  External,      ///< INTR or NMI
  Exception,     ///< a fault, trap or abort of the processor's
  Software,      ///< INT n (CDh)
  SoftwareTrap,  ///< INT3 (CCh), INTO: in virtual-8086 mode without IOPL check and VME redirection
  Privileged,    ///< INT1
};

enum class FarKind : u8 { Jump, Call };
enum class TaskSwitchSource : u8 { Jump, Call, Interrupt, Iret };

/// Hears of guest code being overwritten and of mode changes; an engine's block cache.
class CodeCacheClient {
 public:
  virtual ~CodeCacheClient() = default;
  /// `length` bytes within one page, or whole pages in which all code may have become other code.
  virtual void code_written(PhysicalAddress address, u64 length) = 0;
  /// The linear-to-physical mapping may have changed (CR3, INVLPG, paging bits).
  virtual void translations_changed() = 0;
  /// The same for a single page (INVLPG).
  virtual void page_translation_changed(u64 linear) {
    (void)linear;
    translations_changed();
  }
};

class Processor final : public CodeObserver {
 public:
  Processor(MemoryPort& memory, Platform& platform, const CpuidModel& model);
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  State state;

  /// Power-on or INIT state. SDM 3A §9.1.1 table 9-1.
  void reset();
  void set_code_cache(CodeCacheClient* client) { code_cache_ = client; }
  MemoryPort& memory() { return memory_; }
  Platform& platform() { return platform_; }
  const CpuidModel& model() const { return model_; }
  HostUnit& host_unit() { return host_unit_; }

  // --- Faults: raise() records the exception and returns what GuestResult and Completion take ---
  Faulted raise(Vector vector);                  ///< without error code
  Faulted raise(Vector vector, u32 error_code);  ///< with error code
  Faulted raise_page_fault(u64 linear, u32 error_code);
  Faulted raise_debug(u64 dr6_bits);
  const GuestException& pending_exception() const { return pending_exception_; }

  // --- General registers ---
  u64 read_gpr(unsigned reg, unsigned size) const {
    return state.gpr[reg] & (size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1);
  }
  /// A 32-bit write clears the upper half, narrower ones keep the rest. SDM 1 §3.4.1.1.
  void write_gpr(unsigned reg, unsigned size, u64 value) {
    switch (size) {
      case 1:
        state.gpr[reg] = (state.gpr[reg] & ~u64{0xFF}) | (value & 0xFF);
        break;
      case 2:
        state.gpr[reg] = (state.gpr[reg] & ~u64{0xFFFF}) | (value & 0xFFFF);
        break;
      case 4:
        state.gpr[reg] = value & 0xFFFFFFFF;
        break;
      default:
        state.gpr[reg] = value;
        break;
    }
  }
  u8 read_high_byte(unsigned reg) const { return static_cast<u8>(state.gpr[reg] >> 8); }
  void write_high_byte(unsigned reg, u8 value) {
    state.gpr[reg] = (state.gpr[reg] & ~u64{0xFF00}) | (u64{value} << 8);
  }
  /// Offset part of a memory operand, wrapped to the address size. Not yet checked or segmented.
  u64 effective_offset(const Instruction& instruction) const {
    const MemoryOperand& operand = instruction.memory;
    u64 offset = static_cast<u64>(operand.displacement);
    if (operand.base != kNoRegister) offset += state.gpr[operand.base];
    if (operand.index != kNoRegister) offset += state.gpr[operand.index] * operand.scale;
    return offset &
           (instruction.address_size == 8 ? ~u64{0}
                                          : (u64{1} << (8 * instruction.address_size)) - 1);
  }

  // --- Memory through segmentation and paging at the current privilege (memory_access.h/.cpp) ---
  /// T is u8, u16, u32 or u64. Faults: #GP/#SS (segment), #PF, #AC.
  template <typename T>
  GuestResult<T> read(SegmentName segment, u64 offset);
  template <typename T>
  GuestResult<void> write(SegmentName segment, u64 offset, T value);
  /// Reads for a read-modify-write: faults exactly as a write would, and counts as one.
  template <typename T>
  GuestResult<T> read_for_write(SegmentName segment, u64 offset);
  /// The second half of `read_for_write` at the same place: can't fault.
  template <typename T>
  void write_back(SegmentName segment, u64 offset, T value);
  /// Longer operands (10-byte x87, 16/32-byte vectors, FXSAVE areas): whole or not at all. No
  /// alignment demand beyond #AC; instructions that need 16-byte alignment check it themselves.
  GuestResult<void> read_bytes(SegmentName segment, u64 offset, void* into, unsigned length);
  GuestResult<void> write_bytes(SegmentName segment, u64 offset, const void* from, unsigned length);
  /// Checks that a write of `length` bytes would succeed, without writing (A/D bits are set).
  GuestResult<void> probe_write(SegmentName segment, u64 offset, unsigned length);
  /// Segment check alone: the linear address of an access. Faults: #GP/#SS.
  GuestResult<u64> linear_address(SegmentName segment, u64 offset, unsigned length,
                                  AccessType type);

  // --- Memory by linear address (descriptor tables, TSS: Supervisor + implicit; page fault only)
  // ---
  template <typename T>
  GuestResult<T> read_linear(u64 linear, PageAccess access);
  template <typename T>
  GuestResult<void> write_linear(u64 linear, T value, PageAccess access);
  GuestResult<void> read_linear_bytes(u64 linear, void* into, unsigned length, PageAccess access);
  GuestResult<void> write_linear_bytes(u64 linear, const void* from, unsigned length,
                                       PageAccess access);
  GuestResult<PhysicalAddress> translate(u64 linear, PageAccess access);
  /// The privilege of ordinary accesses: User at CPL 3.
  Privilege data_privilege() const {
    return state.cpl == 3 ? Privilege::User : Privilege::Supervisor;
  }
  PagingContext paging_context() const;
  void flush_tlb(bool also_global);
  void flush_tlb_page(u64 linear);

  // --- Stack (SS.B decides SP or ESP) ---
  unsigned stack_address_size() const { return state.segment(SegmentName::SS).big ? 4 : 2; }
  /// `size` 2, 4 or 8. SP/ESP changes only when the access succeeds.
  GuestResult<void> push(u64 value, unsigned size);
  GuestResult<u64> pop(unsigned size);
  /// Reads the stack at `depth` bytes above the top without popping.
  GuestResult<u64> peek(u64 depth, unsigned size);
  /// Adds to SP or ESP, wrapping at the stack's address size.
  void add_to_stack_pointer(i64 delta);

  // --- Segmentation (segmentation.cpp) ---
  /// MOV/POP/LxS to DS ES FS GS SS with all checks and the accessed bit; never CS.
  GuestResult<void> load_segment(SegmentName name, u16 selector);
  /// The same when real_selectors(): base = selector * 16, limit untouched.
  void load_real_segment(SegmentName name, u16 selector);
  GuestResult<void> load_ldt(u16 selector);
  GuestResult<void> load_task_register(u16 selector);
  /// LAR, LSL, VERR, VERW: true when the selector passes; `value` for LAR/LSL.
  GuestResult<bool> load_access_rights(u16 selector, u32& value);
  GuestResult<bool> load_segment_limit(u16 selector, u32& value);
  GuestResult<bool> verify_segment(u16 selector, AccessType type);
  /// Offset of a near branch is inside CS's limit; sets RIP. Fault: #GP(0).
  GuestResult<void> branch_near(u64 offset, unsigned operand_size);

  // --- Control transfer (far_transfer.cpp, interrupts.cpp, task_switch.cpp) ---
  GuestResult<void> far_transfer(FarKind kind, u16 selector, u64 offset, unsigned operand_size,
                                 u64 return_rip);
  GuestResult<void> far_return(unsigned operand_size, unsigned bytes_to_release);
  GuestResult<void> interrupt_return(unsigned operand_size);
  /// INT n / INT3 / INTO / INT1: `return_rip` is the address after the instruction.
  GuestResult<void> software_interrupt(u8 vector, InterruptSource source, u64 return_rip);
  GuestResult<void> sysenter();
  GuestResult<void> sysexit(unsigned operand_size);
  GuestResult<void> task_switch(u16 selector, TaskSwitchSource source, u64 return_rip);
  /// Delivers `exception` with double- and triple-fault rules (SDM 3A §6.15 tables 6-4, 6-5). After
  /// a triple fault state.activity is Shutdown. Clears partial effects: RIP must be the faulting
  /// one's.
  void deliver_exception(const GuestException& exception);
  void deliver_pending_exception() { deliver_exception(pending_exception_); }
  /// Delivers an external interrupt or NMI; faults during delivery are delivered as exceptions.
  void deliver_interrupt(u8 vector);

  // --- Between instructions ---
  /// Anything for service_events() to look at? One load and one test on the engine's hot path.
  bool attention() const { return attention_.load(std::memory_order_relaxed) != 0; }
  /// Debug traps, NMI, interrupts, instruction breakpoints, in the manual's order (SDM 3A §6.9
  /// table 6-2); wakes from HLT. Returns true if control flow has changed.
  ///
  /// An engine calls it before an instruction whenever attention() is set. Where attention() is
  /// still set afterwards (single-step, breakpoints, RF, an STI or MOV SS shadow, a kick), the
  /// engine runs exactly one instruction and calls again; where state.activity isn't Running, it
  /// leaves.
  bool service_events();
  /// INTR. From the vCPU's thread only.
  void set_interrupt_line(bool asserted);
  /// An interrupt or NMI waits for the processor to accept it.
  bool interrupt_waits() const { return interrupt_line_ || state.nmi_pending; }
  void request_nmi();
  /// Asks the engine to come back soon with Exit::Kicked. From any thread.
  void kick() { attention_.fetch_or(kKick); }
  bool take_kick() { return (attention_.fetch_and(~kKick) & kKick) != 0; }
  /// Must be called whenever IF, TF, a shadow or the like changes in a way that lets events in.
  void update_attention();
  bool interrupts_enabled() const {
    return state.flag(eflags::IF) && !state.sti_shadow && !state.mov_ss_shadow;
  }

  // --- System registers (control_registers.cpp, debug_registers.cpp, msr.cpp) ---
  GuestResult<void> write_cr(unsigned number, u64 value);
  u64 read_cr(unsigned number);
  GuestResult<u64> read_dr(unsigned number);
  GuestResult<void> write_dr(unsigned number, u64 value);
  GuestResult<u64> read_msr(u32 index);
  GuestResult<void> write_msr(u32 index, u64 value);
  GuestResult<void> write_xcr(u32 index, u64 value);
  GuestResult<void> invalidate_page(u64 linear);
  u64 time_stamp() { return platform_.time_stamp() + state.tsc_offset; }
  /// POPF/IRET's rules: which bits may change at this CPL/IOPL and mode.
  void write_flags(u64 value, u64 mask);

  /// I/O permission: IOPL or the TSS bitmap. SDM 1 §19.5. Fault: #GP(0).
  GuestResult<void> check_io_permission(u16 port, unsigned size);
  /// Data breakpoints and I/O breakpoints that match set pending_debug bits.
  void check_data_breakpoints(u64 linear, unsigned length, AccessType type);
  void check_io_breakpoints(u16 port, unsigned size);
  /// Instruction breakpoints at this linear address; DR6 bits, 0 if none or RF is set.
  u64 instruction_breakpoints(u64 linear) const;

  DecodeMode decode_mode() const {
    const SegmentRegister& cs = state.segment(SegmentName::CS);
    return {cs.big, false, state.real_selectors()};
  }

  // CodeObserver.
  void on_code_write(PhysicalAddress address, u64 length) override;
  void on_memory_remapped(PhysicalAddress first, u64 length) override;
  void on_page_watched(PhysicalAddress page) override;

  u64 exceptions_delivered = 0;
  u64 interrupts_delivered = 0;
  u64 string_iterations = 0;  ///< of REP instructions, beyond the first

 private:
  static constexpr u32 kKick = 1, kInterrupt = 2, kNmi = 4, kDebug = 8, kShadow = 16,
                       kActivity = 32;

  struct Implementation;  // helpers of the topic files that need private access
  friend struct Implementation;
  friend struct MemoryAccess;

  GuestResult<const TlbEntry*> fill_tlb(u64 linear, PageAccess access);

  MemoryPort& memory_;
  Platform& platform_;
  const CpuidModel& model_;
  HostUnit host_unit_{model_};
  CodeCacheClient* code_cache_ = nullptr;
  GuestException pending_exception_;
  std::atomic<u32> attention_{0};
  bool interrupt_line_ = false;
  bool delivering_external_ = false;  ///< for the EXT bit of error codes
  Tlb tlb_;
};

}  // namespace ringshift::cpu

#include "cpu/memory_access.h"  // the templates' definitions
