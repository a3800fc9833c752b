// The translator's conscience: every block runs twice, first on trial in the interpreter, its
// writes taken back, then as translated code, and both must leave the same registers, flags, FPU
// state and memory. The first difference ends the run with both sides' listings.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "cpu/processor.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "translator/block.h"
#include "translator/emit/block_emitter.h"

namespace ringshift::translator {

class Lockstep final : private mmu::AccessJournal {
 public:
  Lockstep(cpu::Processor& processor, mmu::MemoryMap& map, mmu::ProcessorMemory& memory);
  ~Lockstep() override;
  Lockstep(const Lockstep&) = delete;
  Lockstep& operator=(const Lockstep&) = delete;

  /// Whether the interpreter can execute it on trial: it does nothing but compute and access
  /// memory. Others make blocks of their own, which aren't compared.
  static bool on_trial(const SourceInstruction& source);

  void remember(const Block& block, std::span<const SourceInstruction> source);
  /// Whether the block begun last is compared at all, and is executed for the first time.
  bool first_time();
  /// Against the state that the interpreter had before the instruction at `recovered.rip`. Empty:
  /// the same, or it never came there.
  std::string compare_recovered(const Recovered& recovered) const;
  void forget_all() { sources_.clear(); }

  /// Executes the block's instructions in the interpreter and takes everything back.
  void begin(const Block& block);
  /// After the translated block has run to where the processor is now: empty, or what differs.
  std::string compare(bool faulted);
  u64 blocks_compared() const { return compared_; }

 private:
  struct Write {
    PhysicalAddress address;
    unsigned size;
    u64 before;
    u64 after;
  };
  bool on_write(PhysicalAddress address, unsigned size) override;
  bool on_device_read(PhysicalAddress address, unsigned size) override;
  bool step(const SourceInstruction& source);
  std::string differences(const cpu::State& expected, bool faulted) const;
  std::string listing() const;

  cpu::Processor& processor_;
  mmu::MemoryMap& map_;
  mmu::ProcessorMemory& memory_;
  struct Remembered {
    std::vector<SourceInstruction> source;
    bool executed = false;
  };
  std::unordered_map<const Block*, Remembered> sources_;
  Remembered* remembered_ = nullptr;
  const std::vector<SourceInstruction>* source_ = nullptr;
  bool trying_ = false;
  bool denied_ = false;
  bool branched_ = false;                 ///< the last step was a branch, taken
  std::vector<cpu::State> states_;        ///< after so many instructions
  std::vector<std::size_t> write_marks_;  ///< writes made by then
  std::vector<Write> writes_;
  u64 compared_ = 0;
};

}  // namespace ringshift::translator
