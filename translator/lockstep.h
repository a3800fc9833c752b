// The translator's conscience: every block runs twice, first on trial in the interpreter, its
// writes taken back, then as translated code, and both must leave the same registers, flags, FPU
// state and memory. The first difference ends the run with a report that shows both sides.
//
// A trial must have no effect that can't be taken back: it stops before an access to a device. An
// instruction that does more than compute and access memory makes a block of its own, which isn't
// compared.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpu/processor.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "translator/block.h"
#include "translator/context.h"
#include "translator/emit/block_emitter.h"

namespace ringshift::translator {

class Lockstep final : private mmu::AccessJournal {
 public:
  Lockstep(cpu::Processor& processor, mmu::MemoryMap& map, mmu::ProcessorMemory& memory);
  ~Lockstep() override;
  Lockstep(const Lockstep&) = delete;
  Lockstep& operator=(const Lockstep&) = delete;

  /// Whether the interpreter can execute it on trial.
  static bool on_trial(const SourceInstruction& source);

  void remember(const Block& block, std::span<const SourceInstruction> source);
  /// From now on trials keep the state before each instruction, for compare_recovered().
  void keep_states() { keeps_states_ = true; }
  /// Whether the block begun last is compared at all, and is executed for the first time.
  bool first_time();
  /// Against the state that the interpreter had before the instruction at `recovered.rip`. Empty:
  /// the same, or it never came there.
  std::string compare_recovered(const Recovered& recovered) const;
  void forget_all() { sources_.clear(); }

  /// Executes the block's instructions in the interpreter and takes everything back.
  void begin(const Block& block);
  /// The translated block hands the instruction at the processor's RIP to the interpreter: what
  /// came before it must agree. False: it doesn't.
  bool at_call_out();
  /// The translated block has left; the processor has its state. False: it differs.
  bool end(Leave reason);
  /// What differed, once something did.
  const std::string& report() const { return report_; }
  u64 blocks_compared() const { return compared_; }

 private:
  struct Snapshot {
    std::array<u64, 8> gpr{};
    u64 rip = 0;
    u64 rflags = 0;
    cpu::ExtendedState extended;  ///< only of blocks that use it
  };
  /// A write of the trial's.
  struct Write {
    u8* host;
    u64 before;
    u64 expected;  ///< there when the trial, or the part of it that is repeated, ended
    u64 at_end;    ///< there when the trial ended, before anything was taken back
    PhysicalAddress address;
    u32 size;
  };
  /// How a trial ended.
  enum class Outcome : u8 {
    Completed,  ///< behind the block's last instruction
    Faulted,    ///< the next instruction raises an exception
    Denied,     ///< the next instruction would reach a device
    Open,       ///< how it goes on from here can't be foretold
  };
  struct Source {
    std::vector<SourceInstruction> instructions;
    const Block* block = nullptr;
    bool uses_fpu = false;
    bool changes_flags = false;  ///< IF or others that the processor's attention follows
    bool executed = false;
  };

  bool on_write(PhysicalAddress address, u64 value, unsigned size) override;
  bool on_device_read(PhysicalAddress address, unsigned size) override;

  // lockstep.cpp
  void take(Snapshot& snapshot) const;
  void restore(const Snapshot& snapshot);
  void try_instructions(std::size_t most);
  bool step(const SourceInstruction& source);
  void keep_state();
  void try_iterations(const cpu::Instruction& instruction, u64 iterations);
  void note_end();
  void keep_ends();
  void expect_writes();
  static void undo(std::span<const Write> writes);
  std::optional<std::size_t> stopped_at() const;
  bool compare_at(std::size_t executed);
  bool compare_within(std::size_t executed);
  bool compare_behind();
  bool compare();
  void compare_registers();
  void compare_fpu();
  void compare_memory();

  // lockstep_report.cpp
  void differs(const char* what, u64 interpreter, u64 translator);
  void write_report();

  cpu::Processor& processor_;
  mmu::MemoryMap& map_;
  mmu::ProcessorMemory& memory_;
  std::unordered_map<const Block*, Source> sources_;

  Source* source_ = nullptr;  ///< of the block that is being compared
  bool trying_ = false;
  bool denied_ = false;
  bool keeps_states_ = false;
  std::vector<Recovered> states_;  ///< before each instruction, if they are kept
  bool at_fault_ = false;
  Outcome outcome_ = Outcome::Completed;
  unsigned vector_ = 0;       ///< Faulted: of the exception
  std::size_t executed_ = 0;  ///< instructions of the trial, up to where `expected_` is
  Snapshot before_;
  Snapshot expected_;
  std::vector<Write> writes_;
  std::vector<Write> rest_;        ///< of the instruction that the trial didn't get through
  std::vector<Write> all_writes_;  ///< both, while a part of the trial is repeated
  u64 compared_ = 0;
  std::string differences_;
  std::string report_;
};

}  // namespace ringshift::translator
