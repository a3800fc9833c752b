// The one place that knows which engines there are and how each is built. The machine and the
// command line know engines by kind and name only.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/engine.h"
#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::cpu {
class Processor;
}
namespace ringshift::mmu {
class GuestMemory;
class MemoryMap;
class ProcessorMemory;
}  // namespace ringshift::mmu

namespace ringshift::frontend {

enum class EngineKind : u8 {
  Translator,
  Interpreter,
  Lockstep,  ///< the translator, each block checked against the interpreter
};
inline constexpr EngineKind kDefaultEngine = EngineKind::Translator;

/// Which engine, and what is asked of it.
struct EngineConfig {
  EngineKind kind = kDefaultEngine;
  std::vector<std::string> disabled_optimisations;  ///< names of optimisations(kind)
  std::string dump_blocks;  ///< file for guest and host code side by side, "-": standard error
  bool count_instructions = false;  ///< for the statistics; costs a little
  bool check_recovery = false;      ///< lockstep: at each host instruction of new blocks
  bool perf_map = false;            ///< tell `perf` of generated code, in /tmp/perf-PID.map
};

/// What an engine runs on. All of it outlives the engine.
struct EngineParts {
  cpu::Processor& processor;
  mmu::ProcessorMemory& memory;
  mmu::MemoryMap& map;
  mmu::GuestMemory& guest_memory;
};

/// Error: an engine that isn't built in, a file that can't be written, memory that isn't there.
Result<std::unique_ptr<cpu::Engine>> make_engine(const EngineConfig& config,
                                                 const EngineParts& parts);

/// Every kind by its name on the command line, built in or not.
std::span<const EngineKind> engine_kinds();
std::string_view engine_name(EngineKind kind);
std::optional<EngineKind> engine_kind(std::string_view name);
bool engine_built_in(EngineKind kind);
/// Whether it generates code that can be dumped and named to `perf`.
bool engine_translates(EngineKind kind);
/// Names of the optimisations that can be disabled one by one.
std::span<const std::string_view> optimisations(EngineKind kind);

}  // namespace ringshift::frontend
