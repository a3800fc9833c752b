// What runs guest instructions: the interpreter, the translator, or both in lockstep. The main loop
// knows engines only by this page.
#pragma once

#include <string_view>

#include "cpu/types.h"

namespace ringshift::cpu {

/// Why an engine came back. A closed set: the main loop switches over it without a default.
enum class Exit : u8 {
  Deadline,  ///< Platform::deadline_due() said so: device events wait
  Kicked,    ///< Processor::kick() was called
  Halt,      ///< HLT with nothing to deliver
  Shutdown,  ///< triple fault
};

/// Counters that `--stats` shows.
struct EngineStatistics {
  u64 instructions = 0;  ///< guest instructions retired (REP iterations count one each)
  u64 blocks_decoded = 0;
  u64 blocks_invalidated = 0;
  u64 interrupts = 0;  ///< external interrupts delivered
  u64 exceptions = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  /// Runs the processor, delivering interrupts and exceptions, until something needs the machine.
  virtual Exit run() = 0;
  virtual EngineStatistics statistics() const = 0;
};

}  // namespace ringshift::cpu
