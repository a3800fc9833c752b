// The machine: the composition root that owns everything a guest runs on, in construction order,
// and its main loop. It is a library's face: a session (the command line, a window, a test) creates
// one, runs it on a thread of its own and talks to it through post().
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bios/firmware_config.h"
#include "bios/memory_layout.h"
#include "cpu/engine.h"
#include "cpu/processor.h"
#include "devices/board.h"
#include "frontend/engine_factory.h"
#include "frontend/host/deadline_timer.h"
#include "frontend/host/host_time.h"
#include "frontend/machine_platform.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"

namespace ringshift::frontend {

/// Everything that a machine is built from. Host files are open already.
struct MachineConfig {
  u64 memory = u64{256} << 20;  ///< bytes
  std::string bios;             ///< firmware ROM; empty: SeaBIOS
  std::string boot_order;       ///< letters of a, c, d; empty: "cad"
  bios::BootMenu boot_menu;
  std::string kernel;                ///< Linux or Multiboot kernel to start directly; empty: none
  std::vector<std::string> initrds;  ///< Linux: joined; Multiboot: modules, "FILE arguments"
  std::string command_line;
  devices::BoardConfig board;
  EngineConfig engine;
};

/// Builds the machine's engine: make_engine(), or a program's own.
using EngineMaker =
    std::function<Result<std::unique_ptr<cpu::Engine>>(const EngineConfig&, const EngineParts&)>;

/// How a machine came to its end.
struct MachineEnd {
  enum class Reason : u8 {
    PowerOff,     ///< ACPI soft-off
    Reset,        ///< the guest reset the machine and `reboot` was off
    TripleFault,  ///< likewise, by a triple fault
    Panic,        ///< the guest said so (pvpanic)
    DebugExit,    ///< isa-debug-exit; see `value`
    Stopped,      ///< stop() was called
    HostFailure,  ///< the host couldn't give what running needs; see `message`
  };
  Reason reason = Reason::Stopped;
  u32 value = 0;
  std::string message;
  cpu::State state;  ///< the processor at that moment, for reports
};

enum class RebootPolicy : u8 { Reboot, End };

class Machine final : private devices::MachineControl {
 public:
  static Result<std::unique_ptr<Machine>> create(MachineConfig config, RebootPolicy policy,
                                                 const EngineMaker& maker = make_engine);
  ~Machine() override;

  /// Runs the guest until it ends; call once, on the thread that is to be the vCPU's.
  MachineEnd run();

  // --- From any thread ---
  /// Runs `action` on the vCPU's thread soon, between guest instructions. The one gate through
  /// which input enters the machine.
  void post(std::function<void()> action);
  void stop();

  // --- On the vCPU's thread (from within posted actions), or before and after run() ---
  devices::Board& board() { return *board_; }
  const cpu::State& processor_state() const { return processor_->state; }
  const cpu::Engine& engine() const { return *engine_; }
  devices::EventClock& clock() { return clock_; }
  u64 resident_guest_memory() const { return memory_.resident(); }
  const mmu::MemoryMap& memory_map() const { return map_; }

 private:
  Machine(mmu::GuestMemory memory, MachineConfig config, RebootPolicy policy);
  Result<void> assemble(const EngineMaker& maker);
  Result<void> map_memory(const bios::MemoryLayout& layout);
  Result<void> configure_firmware(const bios::MemoryLayout& layout);
  void reset(devices::ResetKind kind);
  Result<void> prepare_deadlines();
  cpu::Exit run_engine();
  void run_posted();
  void wait_for_event();
  void handle_requests();
  void end(MachineEnd::Reason reason, u32 value = 0);

  void request_reset() override;
  void request_power_off() override;
  void request_debug_exit(u32 value) override;
  void guest_panicked() override;
  void set_a20(bool enabled) override;

  MachineConfig config_;
  RebootPolicy policy_;
  HostTime time_;
  devices::HostWallClock wall_;
  devices::EventClock clock_{time_};
  mmu::GuestMemory memory_;
  mmu::MemoryMap map_;
  cpu::CpuidModel model_;
  mmu::ProcessorMemory processor_memory_;
  MachinePlatform platform_;
  std::unique_ptr<cpu::Processor> processor_;
  std::unique_ptr<devices::Board> board_;
  std::unique_ptr<cpu::Engine> engine_;
  std::unique_ptr<DeadlineTimer> deadline_timer_;  ///< during run(), unless the engine polls
  std::atomic<bool> engine_runs_ = false;

  std::optional<MachineEnd> end_;
  bool reset_requested_ = false;

  std::mutex mutex_;
  std::condition_variable posted_;
  std::vector<std::function<void()>> queue_;  ///< guarded by mutex_
};

}  // namespace ringshift::frontend
