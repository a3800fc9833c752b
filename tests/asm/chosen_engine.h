// An engine of the instruction tests, made by its kind, that comes back whatever its guest does.
#pragma once

#include <memory>

#include "cpu/interpreter/interpreter.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "tests/asm/test_platform.h"
#include "tests/asm/watchdog.h"
#include "translator/translator.h"

namespace ringshift::tests {

enum class EngineKind : u8 {
  Interpreter,
  Translator,
  CheckedTranslator,  ///< in lockstep, and with its recovery checked; ends the process if wrong
};

class ChosenEngine {
 public:
  struct Parts {
    cpu::Processor& processor;
    TestPlatform& platform;
    mmu::MemoryMap& map;
    mmu::ProcessorMemory& memory;
    const mmu::GuestMemory& guest_memory;
  };
  /// `options` are the translator's.
  static Result<std::unique_ptr<ChosenEngine>> create(EngineKind kind, const Parts& parts,
                                                      translator::Options options);

  /// Until the guest ends by itself, or has run for far too long: Exit::Kicked or Deadline.
  cpu::Exit run();
  /// The interpreter, if it is one.
  cpu::Interpreter* interpreter() { return interpreter_.get(); }
  EngineKind kind() const {
    return interpreter_ ? EngineKind::Interpreter : EngineKind::Translator;
  }

 private:
  explicit ChosenEngine(const Parts& parts) : parts_(parts) {}

  Parts parts_;
  std::unique_ptr<cpu::Interpreter> interpreter_;
  std::unique_ptr<translator::Translator> translator_;
  std::unique_ptr<Watchdog> watchdog_;  ///< over an engine that doesn't ask for deadlines
};

}  // namespace ringshift::tests
