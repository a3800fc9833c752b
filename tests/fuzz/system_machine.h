// A machine for random system code: everything that an instruction can reach is put back before
// each program, exceptions end in handlers that halt, and all of it can be compared with another
// machine's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/asm/chosen_engine.h"
#include "tests/fuzz/program.h"

namespace ringshift::tests {

class SystemMachine {
 public:
  /// What the host is like is measured: two machines are alike only by the same `model`, which
  /// must outlive them.
  static Result<std::unique_ptr<SystemMachine>> create(EngineKind kind, Environment environment,
                                                       const cpu::CpuidModel& model,
                                                       translator::Options options);

  /// Everything as it was, with this program in place. `data` and `stack` are those areas.
  /// As segments start that aren't flat, by Program::segment_kinds.
  static cpu::SegmentRegister segment_of_kind(unsigned kind, cpu::SegmentName name);
  void prepare(const Program& program, std::span<const u8> data, std::span<const u8> stack);
  /// Until it halts or shuts down. False: it does neither.
  bool run();

  /// Before the next program all memory is put back, not only where programs usually write. What
  /// isn't compared must be alike, too.
  void restore_all() { run_away_ = true; }

  const cpu::State& state() const { return processor_.state; }
  const cpu::Decoder& decoder() const { return decoder_; }
  /// All differences to `other` after the same program, one a line.
  std::vector<std::string> differences(const SystemMachine& other) const;

 private:
  SystemMachine(mmu::GuestMemory&& memory, Environment environment, const cpu::CpuidModel& model);

  /// A piece of memory that programs reach.
  struct Range {
    u64 begin = 0;
    u64 end = 0;
  };
  void build();
  void build_real_vectors();
  void build_test_descriptors();
  void set_start_state();
  void restore(const Range& range);
  void put(u32 linear, std::span<const u8> bytes);
  u64 physical(u32 linear) const;
  bool paged_areas() const { return environment_ == Environment::Kernel32; }

  const Environment environment_;
  mmu::GuestMemory guest_memory_;
  mmu::MemoryBlock ram_;
  mmu::MemoryMap map_;
  const cpu::CpuidModel& model_;
  mmu::ProcessorMemory port_;
  TestPlatform platform_;
  cpu::Processor processor_;
  cpu::Decoder decoder_{model_};
  std::unique_ptr<ChosenEngine> engine_;
  cpu::State start_;
  std::vector<u8> clean_;  ///< all memory at the start of every program, but for the program
  std::vector<Range> ranges_;
  cpu::Exit exit_ = cpu::Exit::Halt;
  bool run_away_ = false;  ///< it may have written anywhere
};

}  // namespace ringshift::tests
