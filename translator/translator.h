// The fast engine: guest code becomes host code of the same instruction set, block by block, kept
// and chained, run in this process on the host's own registers. This class is the dispatcher: it
// finds or makes the block at CS:EIP, runs it, and does what must be done between blocks: events,
// faults, instructions that only the interpreter knows, changes of mode and of address space.
#pragma once

#include <atomic>
#include <memory>

#include "cpu/engine.h"
#include "cpu/interpreter/interpreter.h"
#include "cpu/processor.h"
#include "mmu/shadow/shadow_mmu.h"
#include "translator/block_store.h"
#include "translator/code_listing.h"
#include "translator/context.h"
#include "translator/fault_sites.h"
#include "translator/host_signals.h"
#include "translator/lanes.h"
#include "translator/lockstep.h"
#include "translator/options.h"
#include "translator/page_links.h"
#include "translator/perf_map.h"
#include "translator/stubs.h"

namespace ringshift::translator {

class Translator final : public cpu::Engine,
                         public cpu::CodeCacheClient,
                         private mmu::SpaceObserver,
                         private mmu::WriteObserver,
                         private SignalClient {
 public:
  /// What it is made on. `memory_file` is the guest memory's.
  struct Surroundings {
    mmu::MemoryMap& map;
    mmu::ProcessorMemory& memory;
    int memory_file;
  };
  static Result<std::unique_ptr<Translator>> create(cpu::Processor& processor,
                                                    const Surroundings& surroundings,
                                                    Options options);
  /// Each block is checked against the interpreter from now on; before the first run().
  void enable_lockstep();
  /// Lockstep, and what a fault or a signal would recover is checked at each host instruction of a
  /// block when it is first executed.
  void enable_recovery_checks();
  /// Writes every block that is translated from now on to `file` ("-": standard error).
  Result<void> enable_listing(const std::string& file);
  Result<void> enable_perf_map();
  ~Translator() override;

  std::string_view name() const override { return "translator"; }
  cpu::Exit run() override;
  void wake() override;
  cpu::EngineStatistics statistics() const override;
  std::string failure() const override;

  // CodeCacheClient.
  void code_written(PhysicalAddress address, u64 length) override;
  void translations_changed() override;
  void page_translation_changed(u64 linear) override;

 private:
  Translator(cpu::Processor& processor, const Surroundings& surroundings, Options options,
             std::unique_ptr<mmu::ShadowMmu> shadow);

  // translator.cpp: the dispatcher
  void refresh();
  void enter(const Block& block);
  Block* next_block(u64 rip);
  const Block* known_block(u64 rip);
  bool interpret_one();
  void take_state();
  void translate_fpu_pointers();
  void give_state();
  void activate_lane(const Block& block);
  void set_gs_base();
  void prepare(const Block& block);

  // links.cpp
  void follow_link(u32 exit);
  void connect(u32 exit, Block& to);
  void connect_known(const Block& block);
  void follow_indirect(u32 eip);
  bool learn(u32 eip, const Block& block);

  // call_outs.cpp
  static Onward call_out_entry(Context* context, u32 number);
  bool execute_call_out(CallOut& item);
  void judge_site(CallOut& item, bool needed);
  void discount(const CallOut& item);
  bool go_on();
  Onward step_on();
  bool mode_holds() const;
  void view_segments();

  // translate.cpp
  struct CodePlace {
    PhysicalAddress address;
    bool global = false;
  };
  /// Where the code at `linear` lies, if it can be fetched without a fault.
  std::optional<CodePlace> locate(u64 linear);
  /// The same if it has been looked up before, without any trace.
  std::optional<CodePlace> located_before(u64 linear);
  Mode mode_at(const CodePlace& place) const;
  Block* translate(u64 rip, const CodePlace& place, Mode mode);
  void decode_block(u64 rip, const CodePlace& place, std::vector<SourceInstruction>& source,
                    Block& block);
  void decode_crossing(u64 rip, const CodePlace& place, std::vector<SourceInstruction>& source,
                       Block& block);
  static cpu::Instruction undecoded();
  bool fits(std::span<const SourceInstruction> source, u32 limit) const;
  bool ends_block(const SourceInstruction& item, u64& farthest) const;
  void note_site_kind(SourceInstruction& item, u64 address) const;
  void bury_doomed();
  void make_room();

  // SpaceObserver, WriteObserver.
  void on_mapping_changed(u32 space, LinearAddress first, u64 length) override;
  void on_space_dropped(u32 space) override;
  void on_watched_write(PhysicalAddress address, u64 length) override;

  // SignalClient (recovery.cpp).
  bool owns_code(u64 pc) const override;
  Verdict on_fault(HostFault& fault) override;
  Verdict on_interrupt(HostFault& fault) override;
  void on_interrupt_outside(const HostFault& fault) override;
  void note_interrupt(const HostFault& fault);
  void describe(const HostFault& fault, char* buffer, std::size_t size) const override;
  bool at_boundary(const HostFault& fault, const Block*& block, const FaultPoint*& point) const;
  static Recovered recovered_state(const HostFault& fault, const Block& block,
                                   const FaultPoint& point);
  void check_recovery(const HostFault& fault) const;
  void recover(HostFault& fault, const Block& block, const FaultPoint& point, Leave reason);
  void note_faulting_site(const Block& block, const FaultPoint& point);
  void note_wrapping_site(const Block& block, const FaultPoint& point);

  /// Of what is known of blocks: generated code is about as large.
  static constexpr std::size_t kMostFootprint = std::size_t{128} << 20;
  static constexpr std::size_t kRoomForBlock = std::size_t{256} << 10;

  cpu::Processor& processor_;
  mmu::MemoryMap& map_;
  mmu::ProcessorMemory& memory_;
  Options options_;
  cpu::Interpreter interpreter_;
  std::unique_ptr<mmu::ShadowMmu> shadow_;
  cpu::CodeArea area_;
  Stubs stubs_;
  BlockStore store_;
  BlockEmitter emitter_{stubs_, options_, store_};
  LaneCache lanes_;
  Context context_;
  std::unique_ptr<Lockstep> lockstep_;
  bool failed_ = false;  ///< lockstep has found a difference
  bool checks_recovery_ = false;
  bool stepping_ = false;  ///< through a block for check_recovery()
  std::unique_ptr<CodeListing> listing_;
  std::unique_ptr<PerfMap> perf_map_;

  Mode mode_;
  bool alignment_check_ = false;
  bool space_stale_ = true;   ///< the window must be selected again
  bool mode_stale_ = true;    ///< the mode must be computed again
  bool calls_stale_ = false;  ///< call stacks may lead to dead code
  bool segments_stale_ = true;
  mmu::Window window_;
  Lane* lane_ = nullptr;
  bool lane_shared_ = false;
  u64 lane_code_base_ = 0;
  u64 host_gs_ = ~u64{0};
  u64 platform_tsc_offset_ = 0;  ///< the platform's counter minus the host's
  bool use_wrgsbase_;

  /// Answers of ShadowMmu::fetch, in any space and for either privilege. What changes in a space
  /// that isn't current is told when it is selected: before an answer for it is asked for again.
  struct FetchEntry {
    u64 key = 0;  ///< linear page, privilege, space
    u64 generation = 0;
    PhysicalAddress physical;
    bool global = false;
  };
  std::array<FetchEntry, 256> fetches_;
  u64 fetch_generation_ = 1;
  u64 fetch_key(u64 linear) const;
  FetchEntry& fetch_entry(u64 linear);
  void forget_fetches() { ++fetch_generation_; }

  /// Instructions whose accesses keep faulting, by physical address.
  FaultSites sites_;
  std::vector<Block*> doomed_;  ///< to be killed between blocks
  PageLinks page_links_;
  std::vector<SourceInstruction> source_;

  /// The guest's page fault last raised: where, and by which instruction. That is resumed with RF
  /// set, which makes it the interpreter's; then its page is mapped for what follows, which spares
  /// a host fault.
  struct FaultedAccess {
    enum class Stage : u8 { None, Raised, Resumed };
    Stage stage = Stage::None;
    u64 rip = 0;
    u64 linear = 0;
    u32 space = 0;
  };
  FaultedAccess faulted_;
  void map_resumed();

  std::atomic<int> thread_{0};
  std::atomic<bool> woken_{false};  ///< a signal of wake()'s is on its way
  u64 translated_ = 0;
  u64 translated_instructions_ = 0;
  u64 cache_flushes_ = 0;
  u64 called_out_ = 0;
  std::array<u64, cpu::kExitCauses> exits_{};
  void count(cpu::ExitCause cause) { ++exits_[static_cast<u8>(cause)]; }
};

}  // namespace ringshift::translator
