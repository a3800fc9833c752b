#include "frontend/engine_factory.h"

#include <algorithm>
#include <array>

#include "cpu/interpreter/interpreter.h"

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
    KnownEngine{EngineKind::Translator, "translator", false, true},
    KnownEngine{EngineKind::Interpreter, "interpreter", true, false},
    KnownEngine{EngineKind::Lockstep, "lockstep", false, true},
};

const KnownEngine& known(EngineKind kind) {
  return kEngines[static_cast<std::size_t>(kind)];
}

}  // namespace

Result<std::unique_ptr<cpu::Engine>> make_engine(const EngineConfig& config,
                                                 const EngineParts& parts) {
  switch (config.kind) {
    case EngineKind::Interpreter:
      return std::unique_ptr<cpu::Engine>(std::make_unique<cpu::Interpreter>(parts.processor));
    case EngineKind::Translator:
    case EngineKind::Lockstep:
      break;
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
    case EngineKind::Interpreter:
    case EngineKind::Translator:
    case EngineKind::Lockstep:
      break;
  }
  return {};
}

}  // namespace ringshift::frontend
