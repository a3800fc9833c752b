// What runs guest instructions: the interpreter, the translator, or both in lockstep. The main loop
// knows engines only by this page.
#pragma once

#include <array>
#include <csignal>
#include <string>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::cpu {

/// Why an engine came back. A closed set: the main loop switches over it without a default. After
/// Deadline and Kicked alike the main loop does what is posted and what is due.
enum class Exit : u8 {
  Deadline,  ///< Platform::deadline_due() said so: device events wait
  Kicked,    ///< Processor::kick() was called
  Halt,      ///< HLT with nothing to deliver
  Shutdown,  ///< triple fault
  Failure,   ///< the engine can't go on; see Engine::failure()
};

/// What makes an engine leave the code that it generated: a closed set, counted for `--stats`.
enum class ExitCause : u8 {
  InterpretedInstruction,  ///< one instruction handed to the interpreter's handler
  MemoryCallOut,           ///< an access at a site known to miss: device memory, page tables
  ChainMiss,               ///< a direct branch that wasn't linked to its target
  IndirectMiss,            ///< an indirect branch or return whose target wasn't at hand
  FaultMapped,             ///< a host fault, answered by mapping the page
  FaultEmulated,           ///< a host fault, answered by interpreting the instruction
  CodeWritten,             ///< a write to a page that translations came from
  Event,                   ///< a kick, a deadline, an interrupt
};
inline constexpr std::size_t kExitCauses = std::size_t{1} + static_cast<u8>(ExitCause::Event);

/// Counters that `--stats` shows. What an engine doesn't have or doesn't count stays 0.
struct EngineStatistics {
  // --- Any engine ---
  /// Guest instructions retired. The interpreter counts each iteration of REP, generated code
  /// counts instructions.
  u64 instructions = 0;
  u64 interrupts = 0;  ///< external interrupts delivered
  u64 exceptions = 0;
  u64 instructions_native = 0;       ///< of `instructions`: without leaving generated code
  u64 instructions_interpreted = 0;  ///< of `instructions`: by the interpreter's handlers
  // --- The interpreter's cache ---
  u64 blocks_decoded = 0;
  u64 blocks_invalidated = 0;  ///< dropped because code was overwritten, or for room; any engine
  // --- The translator ---
  u64 blocks_translated = 0;
  u64 instructions_translated = 0;  ///< guest instructions in those blocks, each time counted
  u64 code_cache_bytes = 0;         ///< host code in the cache now
  u64 code_cache_capacity = 0;      ///< bytes that it may grow to
  u64 code_cache_flushes = 0;       ///< times that translations were dropped for room
  std::array<u64, kExitCauses> exits{};
  // --- The shadow of the guest's page tables ---
  u64 shadow_misses = 0;        ///< accesses to pages that no window had yet
  u64 shadow_pages_mapped = 0;  ///< pages entered into windows, eagerly or after a miss
  u64 windows = 0;              ///< guest address spaces cached now
  u64 code_pages_watched = 0;   ///< guest pages watched now because code was translated from them
  u64 table_pages_watched = 0;  ///< guest pages watched now because they are page tables

  u64 exits_by(ExitCause cause) const { return exits[static_cast<u8>(cause)]; }
  void count_exit(ExitCause cause) { ++exits[static_cast<u8>(cause)]; }
};

/// The signal that interrupts guest code: the machine's deadline timer sends it to the vCPU's
/// thread, and an engine may send it from wake(). Every other thread keeps it blocked. Not a
/// real-time signal: those are queued, and sending one fails when the user's queue is full.
///
/// Who handles it: an engine that must leave generated code installs a handler of its own before or
/// in its first run(). Where there is none, the machine installs one that calls Processor::kick().
/// Handlers need SA_RESTART, since the signal may find the thread in a device's host call. A
/// signal of the timer's has si_code SI_TIMER and the Processor's address in si_value.sival_ptr.
constexpr int kick_signal() {
  return SIGURG;
}

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  /// Runs the processor, delivering interrupts and exceptions, until something needs the machine.
  /// Looks at Processor::attention() before the first instruction, and after each device access.
  /// Always called on the same thread.
  virtual Exit run() = 0;
  /// Makes a run() that is under way look at Processor::attention() soon; called after
  /// Processor::kick(). From any thread, at any time, and async-signal-safe. An engine that looks
  /// between instructions anyway has nothing to do here.
  virtual void wake() {}
  /// Whether run() asks Platform::deadline_due() every now and then. If not, the machine interrupts
  /// it with kick_signal() when a deadline has come.
  virtual bool polls_deadlines() const { return false; }
  virtual EngineStatistics statistics() const = 0;
  /// Why run() returned Exit::Failure: a report of one or more lines.
  virtual std::string failure() const { return {}; }
};

}  // namespace ringshift::cpu
