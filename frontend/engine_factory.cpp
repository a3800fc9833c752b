#include "frontend/engine_factory.h"

#include <algorithm>
#include <array>

#include "cpu/interpreter/interpreter.h"
#include "mmu/guest_memory.h"
#include "translator/translator.h"

namespace ringshift::frontend {

namespace {

/// One row for each EngineKind, in its order.
struct KnownEngine {
  EngineKind kind;
  std::string_view name;
  bool built_in;
  bool translates;
};
constexpr std::array kEngines = {
    KnownEngine{EngineKind::Translator, "translator", true, true},
    KnownEngine{EngineKind::Interpreter, "interpreter", true, false},
    KnownEngine{EngineKind::Lockstep, "lockstep", true, true},
};

const KnownEngine& known(EngineKind kind) {
  return kEngines[static_cast<std::size_t>(kind)];
}

Result<std::unique_ptr<cpu::Engine>> make_translator(const EngineConfig& config,
                                                     const EngineParts& parts) {
  translator::Options options;
  for (const std::string& name : config.disabled_optimisations) {
    const auto which = translator::Options::find(name);
    if (!which) return Error{"unknown optimisation '" + name + "'"};
    options.disable(*which);
  }
  if (config.count_instructions) options.count_instructions();
  auto made = translator::Translator::create(
      parts.processor, {parts.map, parts.memory, parts.guest_memory.file()}, options);
  if (!made) return made.error();
  if (config.kind == EngineKind::Lockstep) (*made)->enable_lockstep();
  if (config.check_recovery) (*made)->enable_recovery_checks();
  if (!config.dump_blocks.empty()) {
    if (auto opened = (*made)->enable_listing(config.dump_blocks); !opened) return opened.error();
  }
  if (config.perf_map) {
    if (auto opened = (*made)->enable_perf_map(); !opened) return opened.error();
  }
  return std::unique_ptr<cpu::Engine>(*std::move(made));
}

}  // namespace

Result<std::unique_ptr<cpu::Engine>> make_engine(const EngineConfig& config,
                                                 const EngineParts& parts) {
  switch (config.kind) {
    case EngineKind::Interpreter:
      return std::unique_ptr<cpu::Engine>(std::make_unique<cpu::Interpreter>(parts.processor));
    case EngineKind::Translator:
    case EngineKind::Lockstep:
      return make_translator(config, parts);
  }
  return Error{"engine '" + std::string(engine_name(config.kind)) + "' isn't built in"};
}

std::span<const EngineKind> engine_kinds() {
  static constexpr std::array kKinds = {EngineKind::Translator, EngineKind::Interpreter,
                                        EngineKind::Lockstep};
  return kKinds;
}

std::string_view engine_name(EngineKind kind) {
  return known(kind).name;
}

std::optional<EngineKind> engine_kind(std::string_view name) {
  const auto found = std::find_if(kEngines.begin(), kEngines.end(),
                                  [name](const KnownEngine& one) { return one.name == name; });
  if (found == kEngines.end()) return std::nullopt;
  return found->kind;
}

bool engine_built_in(EngineKind kind) {
  return known(kind).built_in;
}

bool engine_translates(EngineKind kind) {
  return known(kind).translates;
}

std::span<const std::string_view> optimisations(EngineKind kind) {
  switch (kind) {
    case EngineKind::Translator:
    case EngineKind::Lockstep:
      return translator::kOptimisationNames;
    case EngineKind::Interpreter:
      break;
  }
  return {};
}

}  // namespace ringshift::frontend
