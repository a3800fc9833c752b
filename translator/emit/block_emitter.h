// Writes the host code of one block. Instructions are dispatched by the policy that
// cpu/instructions.def gives them; each policy's emitter is in a file of its own beside this one.
//
// Invariants between two guest instructions: guest registers are in their host registers, ESP but
// for a pending delta that is known here; guest flags are in the host's; the host's DF is clear.
#pragma once

#include <asmjit/x86.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpu/instruction.h"
#include "translator/block.h"
#include "translator/emit/encoding.h"
#include "translator/options.h"
#include "translator/stubs.h"

namespace ringshift::translator {

/// Who numbers a block's exits and call-outs.
class EmissionSink {
 public:
  virtual ~EmissionSink() = default;
  virtual u32 add_exit(const ExitSite& site) = 0;
  virtual u32 add_call_out(const CallOut& call_out) = 0;
  virtual ExitSite& exit(u32 number) = 0;
};

/// A guest instruction of the block to be.
struct SourceInstruction {
  cpu::Instruction instruction;
  u32 eip = 0;
  bool decoded = true;    ///< else the interpreter is to fetch it and raise what it raises
  bool call_out = false;  ///< known to fault: not worth doing natively
  u16 patience = 0;       ///< as in FaultSites::Advice
  bool wraps = false;     ///< known to wrap at 4 GiB
};

class BlockEmitter {
 public:
  /// It may emit any number of blocks, one after the other: what it needs to do so is kept.
  BlockEmitter(const Stubs& stubs, const Options& options, EmissionSink& sink)
      : stubs_(stubs), options_(options), sink_(sink) {}
  BlockEmitter(const BlockEmitter&) = delete;
  BlockEmitter& operator=(const BlockEmitter&) = delete;

  /// Emits `source` for `block`, whose address, EIP and mode are set; fills in its points, exits
  /// and entry. The code is to be placed at `at`. Valid until the next one.
  std::span<const u8> emit(Block& block, std::span<const SourceInstruction> source, const u8* at);

 private:
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;
  using Label = asmjit::Label;

  /// Code that runs seldom, behind the block.
  using Tail = std::function<void()>;

  // block_emitter.cpp
  void begin(Block& block, std::span<const SourceInstruction> source, const u8* at);
  void stagger(const u8* at);
  std::span<const u8> code() const;
  void emit_instruction(std::size_t index);
  void keep_region(std::size_t index);
  void align_loop(std::size_t index);
  void emit_by_policy(const cpu::Instruction& instruction);
  void mark(bool boundary, u8 recovery = 0);
  void count_run(std::size_t first);
  u8 counted_ahead() const;
  u8 left_in_run(std::size_t index) const;
  void flush_pending();
  void add_pending(i32 delta);
  void call_out(bool leaves, bool whole = false);
  void emit_tails();
  void finish_sites();
  SegmentKind segment_kind(cpu::SegmentName name) const;
  u32 next_eip() const { return current_->eip + current_->instruction.length; }

  // block_analysis.cpp
  void find_targets();
  static std::optional<u32> branch_target(const SourceInstruction& item);
  std::optional<std::size_t> internal_target(u32 eip) const;
  bool keeps_fpu(std::size_t index) const;
  void close_region(std::size_t& begin, std::size_t& end) const;
  void find_fpu_regions();
  std::optional<std::size_t> flags_dead_until(std::size_t index) const;

  // memory.cpp
  enum class Reach : u8 { Direct, Computed, Impossible };
  /// Where the current instruction's memory operand is. Impossible: left to the interpreter.
  std::optional<HostMemory> memory_operand(unsigned size);
  std::optional<HostMemory> encodable_operand(unsigned size);
  /// Turns the offset in R8D into a linear address there. False: the segment is odd.
  bool segment_address(cpu::SegmentName name, unsigned size);
  bool load_based_address(unsigned size);
  static Mem window_memory(const HostMemory& memory, unsigned size);
  Mem at_r8(unsigned size, i32 displacement = 0) const;
  HostMemory near_window(const HostMemory& memory) const;
  void load_effective_offset();
  void save_flags();
  void restore_flags();
  /// Where the slow way of the current instruction begins: it runs in the interpreter.
  Label slow_path();

  // copy.cpp
  void emit_copy();
  void emit_fpu();
  bool fpu_allowed(cpu::TranslationPolicy policy) const;
  /// Parts of the FPU state. None is loaded without the vectors.
  enum FpuPart : u8 { kVectors = 1, kX87 = 2, kUpper = 4 };
  static u8 fpu_need(cpu::TranslationPolicy policy);
  void ensure_fpu(u8 need);
  void note_x87();
  bool copy_with(const HostMemory* memory);
  bool copy_with_legacy_base(const HostMemory& memory);

  // stack.cpp
  bool flat_stack() const;
  void emit_stack();
  void push_value(const Gp& value, unsigned size);
  void push_immediate(u32 value, unsigned size);
  bool stack_slot(i32 delta, unsigned size, Mem& slot);
  void move_stack(i32 delta);
  void rebase_stack_pointer();
  bool emit_stack_pointer_arithmetic();
  void emit_push();
  void emit_pop();
  void emit_leave_frame();
  void emit_push_all();
  void emit_pop_all();
  bool load_memory(const Gp& into, unsigned size);

  // branch.cpp
  void emit_branch();
  void emit_jump(u32 target);
  void emit_conditional(unsigned condition);
  void emit_counted(u8 opcode);
  void emit_call(u32 target);
  void emit_indirect(bool call);
  void emit_return();
  void table_jump(bool call);
  void landing(u32 eip);
  bool target_in_segment(u32 target) const;
  bool on_this_page(u32 eip) const;
  /// A label at which the exit to `eip` begins; `patched` is told where the jump to it ends.
  Label exit_label(u32 eip);
  void note_exit_jump();

  // string.cpp
  enum class StringDirection : u8 { Up, Down };
  void emit_string();
  void emit_single_string();
  void emit_repeated_string();
  void emit_repetition(StringDirection direction);
  Mem string_element(const Gp& pointer, cpu::SegmentName segment, unsigned size);

  // system.cpp
  void emit_flag();
  void emit_sti();
  void emit_flag_stack();
  void emit_push_flags();
  void emit_pop_flags();
  void emit_inline();
  void emit_read_time_stamp();
  void emit_emulated();
  bool emit_store_selector();
  void load_selector(unsigned segment);
  void emit_push_selector(unsigned segment);
  void emit_translate_byte();

  struct PendingExit {
    u32 number = 0;
    std::size_t jump_end = 0;
    Label stub;
    u32 target = 0;
    bool other_page = false;
    std::size_t stub_offset = 0;
    std::size_t table_offset = 0;
  };

  const Stubs& stubs_;
  const Options& options_;
  EmissionSink& sink_;
  /// Far more than the longest block takes.
  std::vector<u8> buffer_ = std::vector<u8>(std::size_t{256} << 10);
  asmjit::CodeHolder holder_;
  asmjit::x86::Assembler a_;
  Block* block_ = nullptr;
  std::span<const SourceInstruction> source_;
  const SourceInstruction* current_ = nullptr;
  std::size_t index_ = 0;
  Mode mode_;
  i32 pending_ = 0;
  /// ESP has been added to since memory was last accessed at it. An access out of the window
  /// faults, and puts R15 right again; arithmetic alone must not carry it away into other windows.
  bool stack_unchecked_ = false;
  /// Up to this instruction the guest's flags are gone, and nothing will miss them.
  std::size_t flags_lost_until_ = 0;
  u8 fpu_known_ = 0;           ///< parts of the FPU state that are loaded for certain
  bool reachable_ = true;      ///< control can fall into what comes next
  bool shadowed_ = false;      ///< no interrupt may come before the next instruction
  std::optional<Label> slow_;  ///< of the current instruction
  i32 slow_pending_ = 0;       ///< the pending delta where it branches off
  std::vector<Label> labels_;  ///< by instruction; valid where is_target_
  /// By instruction: the number of the one that it jumps to, or kNowhere.
  static constexpr u16 kNowhere = 0xFFFF;
  std::vector<u16> jumps_to_;
  std::vector<bool> is_target_;
  enum class Loop : u8 { None, Outer, Innermost };
  std::vector<Loop> loop_head_;
  /// The parts of the FPU state that a stretch with a loop uses and can't lose: loaded at its
  /// beginning. 0: not in such a stretch.
  std::vector<u8> fpu_region_;
  std::vector<FaultPoint> points_;
  std::vector<Tail> tails_;
  std::vector<PendingExit> exits_;
};

}  // namespace ringshift::translator
