// Random code with all instructions of the table, privileged ones too, on the interpreter and on
// the translator: registers, system registers, hidden parts of segments, memory and writes to ports
// must come out the same. Every program ends in an HLT: of an exception's handler, or its own.
//
//   system_fuzz [--mode kernel32|real16|v86] [--length N] [--count N] [--seed S] [--first I]
//               [--keep-going N] [--engine translator|checked]
//               [--disable-opt NAME|all]...
//
// Case I of seed S is the same on every run: `--seed S --first I --count 1` repeats a report.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "tests/asm/compare.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/system_machine.h"
#include "tests/fuzz/system_operands.h"

namespace ringshift::tests {
namespace {

struct Options {
  Environment environment = Environment::Kernel32;
  unsigned length = 6;
  u64 count = 100000;
  u64 seed = 0;
  u64 first = 0;
  u64 keep_going = 1;
  EngineKind engine = EngineKind::Translator;
  translator::Options translation;
};

CodeWidth width_of(Environment environment) {
  return environment == Environment::Kernel32 ? CodeWidth::Bits32 : CodeWidth::Bits16;
}

class SystemFuzzer {
 public:
  SystemFuzzer(SystemMachine& reference, SystemMachine& tested, const Options& options)
      : reference_(reference),
        tested_(tested),
        options_(options),
        space_(reference.decoder(), width_of(options.environment), Selection::All),
        maker_(space_, reference.decoder(), options.length, options.environment),
        data_(3 * kPageSize),
        stack_(kPageSize) {
    Random random(0x52494E47);
    for (std::size_t n = 0; n < data_.size(); n += 16) random.interesting_vector(&data_[n]);
    for (std::size_t n = 0; n < stack_.size(); n += 16) random.interesting_vector(&stack_[n]);
  }

  u64 failures() const { return failures_; }
  u64 endless() const { return endless_; }
  void summarise() const {
    for (const auto& [name, count] : failures_by_name_) {
      std::printf("  %-16s %llu mismatches\n", name.c_str(),
                  static_cast<unsigned long long>(count));
    }
  }

  /// False when enough has gone wrong.
  bool run_case(u64 index) {
    Program program = maker_.make(options_.seed, index);
    Random random(options_.seed ^ index * 0xD1342543DE82EF95);
    program.image.eflags = random_flags(options_.environment, random) & ~kTrapFlags;
    std::vector<std::string> found = judge(program);
    if (found.empty()) return true;
    for (std::size_t n = 0; n < program.parts.size(); ++n) {
      Program smaller = program;
      smaller.blank(smaller.parts[n]);
      std::vector<std::string> still = judge(smaller);
      if (still.empty()) continue;
      program = std::move(smaller);
      found = std::move(still);
    }
    if (failures_by_name_[program.name()]++ == 0) report(program, index, found);
    return ++failures_ < options_.keep_going;
  }

 private:
  static constexpr u32 kTrapFlags = static_cast<u32>(cpu::eflags::NT | cpu::eflags::RF);

  std::vector<std::string> judge(const Program& program) {
    reference_.prepare(program, data_, stack_);
    if (!reference_.run()) {
      tested_.restore_all();
      ++endless_;
      return {};
    }
    tested_.prepare(program, data_, stack_);
    tested_.run();
    return reference_.differences(tested_);
  }

  void report(const Program& program, u64 index, const std::vector<std::string>& found) const {
    static constexpr const char* kModes[] = {"user", "kernel32", "real16", "v86"};
    std::printf("MISMATCH --mode %s --length %u --seed %llu --first %llu --count 1\n%s",
                kModes[static_cast<u8>(options_.environment)], options_.length,
                static_cast<unsigned long long>(options_.seed),
                static_cast<unsigned long long>(index), maker_.listing(program).c_str());
    std::printf("  interpreter, translator:\n");
    for (const std::string& line : found) std::printf("    %s\n", line.c_str());
    std::printf("  before:\n%s", describe(program.image).c_str());
    std::fflush(stdout);
  }

  SystemMachine& reference_;
  SystemMachine& tested_;
  const Options& options_;
  EncodingSpace space_;
  ProgramMaker maker_;
  std::vector<u8> data_, stack_;
  std::map<std::string, u64> failures_by_name_;
  u64 failures_ = 0, endless_ = 0;
};

/// Random numbers are never the same twice, and a program may run into its data, which may be
/// anything.
cpu::CpuidModel repeatable_model() {
  cpu::CpuidModel model = cpu::CpuidModel::from_host();
  model.features.reset(static_cast<std::size_t>(cpu::Feature::Rdrand));
  model.features.reset(static_cast<std::size_t>(cpu::Feature::Rdseed));
  return model;
}

bool disable(std::string_view name, translator::Options& options) {
  bool known = false;
  for (const std::string_view each : translator::kOptimisationNames) {
    if (name != each && name != "all") continue;
    options.disable(*translator::Options::find(each));
    known = true;
  }
  return known;
}

bool parse_option(std::string_view name, std::string_view text, Options& options) {
  if (name == "--disable-opt") return disable(text, options.translation);
  if (name == "--engine") {
    options.engine = text == "checked" ? EngineKind::CheckedTranslator : EngineKind::Translator;
    return text == "checked" || text == "translator";
  }
  if (name == "--mode") {
    if (text == "kernel32")
      options.environment = Environment::Kernel32;
    else if (text == "real16")
      options.environment = Environment::Real16;
    else if (text == "v86")
      options.environment = Environment::Virtual8086;
    else
      return false;
    return true;
  }
  const u64 value = std::strtoull(text.data(), nullptr, 0);
  if (name == "--length")
    options.length = static_cast<unsigned>(std::clamp<u64>(value, 1, 32));
  else if (name == "--count")
    options.count = value;
  else if (name == "--seed")
    options.seed = value;
  else if (name == "--first")
    options.first = value;
  else if (name == "--keep-going")
    options.keep_going = value;
  else
    return false;
  return true;
}

int fuzz(const Options& options) {
  const cpu::CpuidModel model = repeatable_model();
  auto reference = SystemMachine::create(EngineKind::Interpreter, options.environment, model, {});
  auto tested =
      SystemMachine::create(options.engine, options.environment, model, options.translation);
  if (!reference || !tested) {
    std::printf("%s\n", (reference ? tested : reference).error().message.c_str());
    return 1;
  }
  SystemFuzzer fuzzer(**reference, **tested, options);
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  u64 done = 0;
  while (done < options.count && fuzzer.run_case(options.first + done)) ++done;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu programs, %llu endless, %llu mismatches; %.0f a second\n",
      static_cast<unsigned long long>(done), static_cast<unsigned long long>(fuzzer.endless()),
      static_cast<unsigned long long>(fuzzer.failures()), static_cast<double>(done) / time.count());
  fuzzer.summarise();
  return fuzzer.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  ringshift::tests::Options options;
  options.seed = std::random_device{}();
  bool good = argc % 2 == 1;
  for (int n = 1; good && n + 1 < argc; n += 2) {
    good = ringshift::tests::parse_option(argv[n], argv[n + 1], options);
  }
  if (!good) {
    std::printf(
        "usage: system_fuzz [--mode kernel32|real16|v86] [--length N] [--count N] [--seed S]\n"
        "                   [--first I] [--keep-going N] [--engine translator|checked]\n"
        "                   [--disable-opt NAME|all]...\n");
    return 2;
  }
  return ringshift::tests::fuzz(options);
}
