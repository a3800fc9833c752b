#include "tests/asm/chosen_engine.h"

#include <cstdio>
#include <cstdlib>

namespace ringshift::tests {

Result<std::unique_ptr<ChosenEngine>> ChosenEngine::create(EngineKind kind, const Parts& parts,
                                                           translator::Options options) {
  std::unique_ptr<ChosenEngine> engine(new ChosenEngine(parts));
  if (kind == EngineKind::Interpreter) {
    engine->interpreter_ = std::make_unique<cpu::Interpreter>(parts.processor);
    return engine;
  }
  auto made = translator::Translator::create(
      parts.processor, {parts.map, parts.memory, parts.guest_memory.file()}, options);
  if (!made) return made.error();
  engine->translator_ = *std::move(made);
  if (kind == EngineKind::CheckedTranslator) engine->translator_->enable_recovery_checks();
  engine->watchdog_ = std::make_unique<Watchdog>([self = engine.get()] {
    self->parts_.processor.kick();
    self->translator_->wake();
  });
  return engine;
}

cpu::Exit ChosenEngine::run() {
  constexpr i64 kDeadlineChecks = 1000;
  parts_.processor.update_attention();
  parts_.platform.checks_left = kDeadlineChecks;
  if (interpreter_) return interpreter_->run();
  const Watchdog::Shift shift(*watchdog_);
  for (;;) {
    const cpu::Exit exit = translator_->run();
    if (exit == cpu::Exit::Failure) {
      std::fprintf(stderr, "%s", translator_->failure().c_str());
      std::abort();
    }
    const bool interrupted = exit == cpu::Exit::Kicked || exit == cpu::Exit::Deadline;
    // An interruption may have come too late for the run that it was meant for.
    if (!interrupted || shift.too_long()) return exit;
  }
}

}  // namespace ringshift::tests
