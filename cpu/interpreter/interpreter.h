// The reference engine: runs decoded blocks by calling one handler for each instruction. It is what
// the other engines are compared with, so where speed and exactness differ it is exact: faults name
// the instruction that caused them, a store into the next instruction is seen by it, traps come
// where the manual puts them.
#pragma once

#include "cpu/block_cache.h"
#include "cpu/decoder.h"
#include "cpu/engine.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

class Interpreter final : public Engine, public CodeCacheClient {
 public:
  /// Registers itself as the processor's code cache, which must outlive it.
  explicit Interpreter(Processor& processor);
  ~Interpreter() override;
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  std::string_view name() const override { return "interpreter"; }
  Exit run() override;
  bool polls_deadlines() const override { return true; }
  EngineStatistics statistics() const override;

  /// Executes exactly one instruction, or delivers exactly one pending event or fault, for lockstep
  /// runs and tests. All iterations of a REP instruction are one instruction unless an event or
  /// trap comes between. Returns false if the processor is halted or shut down.
  bool run_one();

  /// The decoder of this processor's model, for disassembly.
  const Decoder& decoder() const { return decoder_; }

  // CodeCacheClient.
  void code_written(PhysicalAddress address, u64 length) override;
  void translations_changed() override;

 private:
  /// Instructions between two questions whether a device event is due.
  static constexpr i64 kDeadlineInterval = 1000;
  static constexpr u64 kNoPage = ~u64{0};

  void refresh();
  Block* next_block();
  Block* look_up(u64 linear);
  void execute(Block& block);
  /// What became of one instruction.
  enum class StepResult : u8 {
    Done,        ///< completed, or its fault was delivered
    Unfinished,  ///< gave way between iterations, or its block was found dead
  };
  StepResult step();
  bool crossing_holds(u64 linear, const Block& block);
  void suspend_repetition();
  void deliver_fault();

  Processor& processor_;
  Decoder decoder_;
  BlockCache cache_;
  // What block lookup depends on besides RIP; refreshed after whatever may change it.
  DecodeMode mode_;
  u64 code_base_ = 0;
  u64 code_limit_ = 0;
  // The page that code is running in, while its translation is known to hold.
  u64 linear_page_ = kNoPage;
  PhysicalAddress physical_page_;
  Block* last_block_ = nullptr;  ///< whose successors may be consulted and taught
  i64 until_deadline_check_ = kDeadlineInterval;
  u64 instructions_ = 0;
};

}  // namespace ringshift::cpu
