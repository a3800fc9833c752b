// Random instructions from cpu/instructions.def, executed by the host's processor, the interpreter
// and the translator from the same random state: everything that a program can see must come out
// the same. With --length, a case is up to so many instructions in a row, with branches among them.
//
//   instruction_fuzz [--engines host,interpreter,translator|checked] [--length N] [--width 16|32]
//                    [--count N] [--seed S] [--first I] [--only MNEMONIC] [--keep-going N]
//                    [--disable-opt NAME|all]...
//
// Case I of seed S is the same on every run: `--seed S --first I --count 1` repeats a report.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>

#include "tests/asm/compare.h"
#include "tests/asm/guest_engine.h"
#include "tests/asm/guest_tables.h"
#include "tests/asm/host_engine.h"
#include "tests/fuzz/program.h"

namespace ringshift::tests {
namespace {

struct Options {
  u64 count = 200000;
  u64 seed = 0;
  u64 first = 0;
  u64 keep_going = 1;  ///< reports before giving up
  std::string only;
  CodeWidth width = CodeWidth::Bits32;
  unsigned length = 1;
  bool host = true, interpreter = true, translator = true;
  bool checked = false;  ///< the translator checks its recovery information at each step
  translator::Options translation;
};

/// What the manual leaves open *and* the host's processor answers in a way that the interpreter
/// can't be asked to repeat. Each line is a decision; the table is to stay short. Undefined flags
/// need none: the interpreter computes flags with the host's ALU.
struct OpenResult {
  std::string_view mnemonic;  ///< how it begins
  Tolerance tolerance;
  const char* reason;
};
constexpr OpenResult kOpenResults[] = {
    {"vmaskmovp",
     {.cr2_in_page = true},
     "a page fault on part of a masked vector may name any byte of it in that page"},
    {"vpmaskmov", {.cr2_in_page = true}, "as VMASKMOVPS"},
};

Tolerance tolerance_for(const Program& program) {
  Tolerance tolerance;
  tolerance.x87_pointers = !host_saves_x87_pointers_alike();
  for (const Program::Part& part : program.parts) {
    for (const OpenResult& line : kOpenResults) {
      if (part.name.substr(0, line.mnemonic.size()) != line.mnemonic) continue;
      tolerance.eflags |= line.tolerance.eflags;
      tolerance.cr2_in_page |= line.tolerance.cr2_in_page;
    }
  }
  return tolerance;
}

constexpr std::size_t kDataBytes = layout::kDataPages * kPageSize;

/// The contents of the areas at the start of every case.
struct BasePattern {
  std::array<u8, kDataBytes + kPageSize> data;
  std::array<u8, kPageSize> stack;

  BasePattern() {
    Random random(0x52494E47);
    for (std::size_t n = 0; n < data.size(); n += 16) random.interesting_vector(data.data() + n);
    for (std::size_t n = 0; n < stack.size(); n += 16) random.interesting_vector(stack.data() + n);
  }
};

/// The first address at which the host engine would meet what isn't the test's: AddressSanitizer's
/// shadow memory begins at 7FFF8000h.
#if defined(__SANITIZE_ADDRESS__)
constexpr u64 kFirstTakenAddress = 0x7FFF8000;
#else
constexpr u64 kFirstTakenAddress = u64{1} << 32;
#endif

struct Run {
  CpuImage image;
  Outcome outcome;
};

/// The engines of a run; those that aren't wanted are null, but for the interpreter, which says
/// first what the host may be asked.
struct Engines {
  std::unique_ptr<HostEngine> host;
  std::unique_ptr<GuestEngine> interpreter;
  std::unique_ptr<GuestEngine> translator;
};

class Fuzzer {
 public:
  Fuzzer(Engines& engines, const Options& options)
      : engines_(engines),
        options_(options),
        space_(engines.interpreter->decoder(), options.width),
        maker_(space_, engines.interpreter->decoder(), options.length),
        clean_code_(layout::kCodePages * kPageSize, kInt3) {
    if (!options.only.empty()) space_.restrict_to(options.only);
    for (const GuestEngine* guest : {engines.interpreter.get(), engines.translator.get()}) {
      if (guest == nullptr) continue;
      std::memcpy(guest->memory().data, pattern_.data.data(), pattern_.data.size());
    }
    if (engines.host) engines.host->fill_read_only(std::span(pattern_.data).subspan(kDataBytes));
  }

  const EncodingSpace& space() const { return space_; }
  u64 faults() const { return faults_; }
  u64 without_host() const { return without_host_; }
  u64 failures() const { return failures_; }

  void summarise() const {
    for (const auto& [name, count] : failures_by_name_) {
      std::printf("  %-16s %llu mismatches\n", name.c_str(),
                  static_cast<unsigned long long>(count));
    }
  }

  /// False when enough has gone wrong.
  bool run_case(u64 index) {
    Program program = maker_.make(options_.seed, index);
    Complaint complaint = judge(program, index);
    if (complaint.lines.empty()) return true;
    if (program.parts.size() > 1) complaint = reduce(program, index, std::move(complaint));
    // One full report for each name; the others are counted.
    if (failures_by_name_[program.name() + ", " + complaint.engines]++ == 0) {
      report(program, index, complaint);
    }
    return ++failures_ < options_.keep_going;
  }

 private:
  /// How two engines' results differ.
  struct Complaint {
    std::string engines;
    std::vector<std::string> lines;
  };
  /// What the interpreter's steps say about a program.
  enum class Suitability : u8 {
    ForAll,
    NotForHost,
    ForNone,  ///< it doesn't end
  };

  /// Runs a program everywhere; the first disagreement, if any.
  Complaint judge(const Program& program, u64 index) {
    Run steps;
    const Suitability suitability = run_steps(program, steps);
    if (steps.outcome.ending == Ending::Fault) ++faults_;
    if (suitability == Suitability::ForNone) return {};
    GuestEngine& interpreter = *engines_.interpreter;
    if (engines_.host && suitability == Suitability::ForAll) {
      const Run native = run(*engines_.host, program);
      const View reference{"host", native, engines_.host->memory()};
      if (options_.interpreter) {
        Complaint found = compare(program, reference, {"interpreter", steps, interpreter.memory()});
        if (!found.lines.empty()) return found;
        // Blocks take another way through the interpreter than single instructions.
        constexpr u64 kBlockShare = 8;
        if (index % kBlockShare == 0 || program.parts.size() > 1) {
          const Run blocks = run(interpreter, program);
          found =
              compare(program, reference, {"interpreter by blocks", blocks, interpreter.memory()});
          if (!found.lines.empty()) return found;
        }
      }
      return engines_.translator ? judge_translator(program, reference) : Complaint{};
    }
    ++without_host_;
    if (!engines_.translator) return {};
    const Run blocks = run(interpreter, program);
    if (blocks.outcome.ending == Ending::OutOfSteps) return {};
    return judge_translator(program, {"interpreter", blocks, interpreter.memory()});
  }

  /// One engine's result and the memory that it left.
  struct View {
    const char* engine;
    const Run& run;
    TestMemory memory;
  };

  Complaint judge_translator(const Program& program, const View& reference) {
    const Run translated = run(*engines_.translator, program);
    return compare(program, reference, {"translator", translated, engines_.translator->memory()});
  }

  Run run(HostEngine& host, const Program& program) {
    reset(host.memory(), program);
    // What jumps to an address has it in a register, which may become an operand's.
    const bool row = program.parts.size() > 1;
    host.place_code(program.address, {program.code.data(), program.placed},
                    row ? HostEngine::WayBack::Trap : HostEngine::WayBack::Jump);
    Run run{program.image, {}};
    run.outcome = host.run(run.image);
    return run;
  }

  Run run(GuestEngine& guest, const Program& program) {
    place(guest, program);
    Run run{program.image, {}};
    run.outcome = guest.run_program(run.image);
    return run;
  }

  /// Memory and code as the program expects them, whatever programs before it have written.
  void place(GuestEngine& guest, const Program& program) {
    reset(guest.memory(), program);
    guest.place_code(program.address, {program.code.data(), program.placed});
    if (!code_is_intact(guest, program)) {
      guest.place_code(layout::kCode, clean_code_);
      guest.place_code(program.address, {program.code.data(), program.placed});
    }
  }

  /// Nothing has been written where code is, or may come to be.
  bool code_is_intact(const GuestEngine& guest, const Program& program) const {
    const u8* code = guest.memory().code;
    const u32 begin = program.address - layout::kCode, end = begin + program.placed;
    return std::memcmp(code, clean_code_.data(), begin) == 0 &&
           std::memcmp(code + begin, program.code.data(), program.placed) == 0 &&
           std::memcmp(code + end, clean_code_.data(), clean_code_.size() - end) == 0;
  }

  /// By the interpreter, one instruction at a time, to see where it goes.
  Suitability run_steps(const Program& program, Run& run) {
    // A program that goes round in circles for longer is none that the host should be asked.
    constexpr unsigned kMostSteps = 200;
    GuestEngine& interpreter = *engines_.interpreter;
    place(interpreter, program);
    run.image = program.image;
    for (unsigned step = 0; step < kMostSteps; ++step) {
      run.outcome = interpreter.step(run.image);
      const u32 offset = run.image.eip - program.image.eip;
      const bool goes_on = run.outcome.ending == Ending::Reached && offset < program.length() &&
                           program.has_part_at(offset);
      if (program.parts.size() > 1 && !code_is_intact(interpreter, program)) {
        return Suitability::NotForHost;
      }
      if (!goes_on || program.parts.size() == 1) {
        return comparable(program, run) ? Suitability::ForAll : Suitability::NotForHost;
      }
    }
    return Suitability::ForNone;
  }

  Complaint compare(const Program& program, const View& one, const View& other) const {
    Complaint complaint{std::string(one.engine) + ", " + other.engine,
                        differences(one.run.image, one.run.outcome, other.run.image,
                                    other.run.outcome, tolerance_for(program))};
    const auto add = [&](std::string line) {
      if (!line.empty()) complaint.lines.push_back(std::move(line));
    };
    add(memory_difference("data", layout::kData, {one.memory.data, kDataBytes},
                          {other.memory.data, kDataBytes}));
    add(memory_difference("read-only page", layout::kReadOnly,
                          std::span(pattern_.data).subspan(kDataBytes),
                          {other.memory.data + kDataBytes, kPageSize}));
    add(memory_difference("stack", layout::kStack, {one.memory.stack, kPageSize},
                          {other.memory.stack, kPageSize}));
    return complaint;
  }

  /// Takes away what the disagreement doesn't need.
  Complaint reduce(Program& program, u64 index, Complaint complaint) {
    for (std::size_t n = 0; n < program.parts.size(); ++n) {
      Program smaller = program;
      smaller.blank(smaller.parts[n]);
      Complaint still = judge(smaller, index);
      if (still.lines.empty() || still.engines != complaint.engines) continue;
      program = std::move(smaller);
      complaint = std::move(still);
    }
    return complaint;
  }

  void reset(const TestMemory& memory, const Program& program) const {
    std::memcpy(memory.data, pattern_.data.data(), kDataBytes);
    std::memcpy(memory.stack, pattern_.stack.data(), kPageSize);
    for (const MemoryPatch& patch : program.patches) {
      for (unsigned n = 0; n < MemoryPatch::kLength; ++n) {
        const u32 address = patch.address + n;
        if (address - layout::kData < kDataBytes) {
          memory.data[address - layout::kData] = patch.bytes[n];
        } else if (address - layout::kStack < kPageSize) {
          memory.stack[address - layout::kStack] = patch.bytes[n];
        }
      }
    }
  }

  static bool in_own_memory(u32 address) {
    return address - layout::kHost < layout::kHostSize || address >= kFirstTakenAddress;
  }

  /// Whether the host may run it: a branch into the middle of an instruction or of the way back
  /// behind the last would run bytes that nobody has looked at; and where the interpreter has its
  /// supervisor pages the host has nothing, so that error codes differ. Where this process has
  /// something of its own in the low 4 GiB, the host wouldn't fault, be it on data or on code.
  bool comparable(const Program& program, const Run& run) const {
    constexpr u32 kWayBackLength = 8;
    constexpr u8 kPageFault = 14;
    if (run.outcome.ending == Ending::Fault) {
      return run.outcome.vector != kPageFault ||
             (run.outcome.cr2 - layout::kKernel >= layout::kKernelSize &&
              !in_own_memory(run.outcome.cr2));
    }
    if (in_own_memory(run.image.eip + maker_.segments().code.base)) return false;
    const u32 offset = run.image.eip - program.image.eip;
    return offset == program.length() || offset >= program.length() + kWayBackLength;
  }

  void report(const Program& program, u64 index, const Complaint& complaint) const {
    std::printf("MISMATCH --seed %llu --first %llu --count 1",
                static_cast<unsigned long long>(options_.seed),
                static_cast<unsigned long long>(index));
    if (options_.length > 1) std::printf(" --length %u", options_.length);
    if (options_.width == CodeWidth::Bits16) std::printf(" --width 16");
    std::printf("\n%s  %s:\n", maker_.listing(program).c_str(), complaint.engines.c_str());
    for (const std::string& line : complaint.lines) std::printf("    %s\n", line.c_str());
    std::printf("  before:\n%s", describe(program.image).c_str());
    for (const MemoryPatch& patch : program.patches) {
      std::printf("memory %08X: %s\n", patch.address, hexadecimal(patch.bytes).c_str());
    }
    std::fflush(stdout);
  }

  Engines& engines_;
  const Options& options_;
  EncodingSpace space_;
  ProgramMaker maker_;
  BasePattern pattern_;
  const std::vector<u8> clean_code_;
  std::map<std::string, u64> failures_by_name_;
  u64 faults_ = 0, without_host_ = 0, failures_ = 0;
};

/// "host,interpreter,translator" or some of them; "checked" is the translator with its own checks.
bool parse_engines(std::string_view list, Options& options) {
  options.host = options.interpreter = options.translator = false;
  while (!list.empty()) {
    const std::string_view name = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), name.size() + 1));
    if (name == "host")
      options.host = true;
    else if (name == "interpreter")
      options.interpreter = true;
    else if (name == "translator")
      options.translator = true;
    else if (name == "checked")
      options.translator = options.checked = true;
    else
      return false;
  }
  return true;
}

bool parse_option(std::string_view name, const char* text, Options& options) {
  if (name == "--engines") return parse_engines(text, options);
  if (name == "--only") {
    options.only = text;
    return true;
  }
  if (name == "--disable-opt") {
    if (std::string_view(text) == "all") {
      for (const std::string_view each : translator::kOptimisationNames) {
        options.translation.disable(*translator::Options::find(each));
      }
      return true;
    }
    const auto which = translator::Options::find(text);
    if (which) options.translation.disable(*which);
    return which.has_value();
  }
  const u64 value = std::strtoull(text, nullptr, 0);
  if (name == "--width")
    options.width = value == 16 ? CodeWidth::Bits16 : CodeWidth::Bits32;
  else if (name == "--length")
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

bool parse(int argc, char** argv, Options& options) {
  options.seed = std::random_device{}();
  for (int n = 1; n + 1 < argc; n += 2) {
    if (!parse_option(argv[n], argv[n + 1], options)) return false;
  }
  return argc % 2 == 1;
}

/// ctest's convention for "this machine can't do it".
constexpr int kSkipped = 77;

/// The exit status, or 0 to go on.
int make_engines(const Options& options, Engines& engines) {
  const bool narrow = options.width == CodeWidth::Bits16;
  if (options.host) {
    auto host = HostEngine::create();
    if (!host) return std::printf("skipped: %s\n", host.error().message.c_str()), kSkipped;
    engines.host = *std::move(host);
    if (narrow && !engines.host->use(kSegmented16)) {
      return std::printf("skipped: the host has no 16-bit segments\n"), kSkipped;
    }
  }
  const auto make = [&](EngineKind kind, std::unique_ptr<GuestEngine>& into) {
    auto guest = GuestEngine::create(kind, options.translation);
    if (!guest) return std::printf("%s\n", guest.error().message.c_str()), false;
    into = *std::move(guest);
    if (narrow) into->enter(TestMode::User16);
    return true;
  };
  if (!make(EngineKind::Interpreter, engines.interpreter)) return 1;
  const EngineKind kind = options.checked ? EngineKind::CheckedTranslator : EngineKind::Translator;
  if (options.translator && !make(kind, engines.translator)) return 1;
  return 0;
}

int fuzz(const Options& options) {
  Engines engines;
  if (const int status = make_engines(options, engines); status != 0) return status;
  Fuzzer fuzzer(engines, options);
  std::size_t encodings = 0;
  for (const auto& mnemonic : fuzzer.space().mnemonics()) encodings += mnemonic.encodings.size();
  std::printf("seed %llu: %zu mnemonics in %zu encodings\n",
              static_cast<unsigned long long>(options.seed), fuzzer.space().mnemonics().size(),
              encodings);
  std::fflush(stdout);
  if (encodings == 0) return 1;
  const auto start = std::chrono::steady_clock::now();
  u64 done = 0;
  while (done < options.count && fuzzer.run_case(options.first + done)) ++done;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu cases, %llu faults, %llu without the host, %llu mismatches; %.0f a second\n",
      static_cast<unsigned long long>(done), static_cast<unsigned long long>(fuzzer.faults()),
      static_cast<unsigned long long>(fuzzer.without_host()),
      static_cast<unsigned long long>(fuzzer.failures()), static_cast<double>(done) / time.count());
  fuzzer.summarise();
  return fuzzer.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  ringshift::tests::Options options;
  if (!ringshift::tests::parse(argc, argv, options)) {
    std::printf(
        "usage: instruction_fuzz [--engines host,interpreter,translator|checked] [--length N]\n"
        "                        [--width 16|32] [--count N] [--seed S] [--first I]\n"
        "                        [--only MNEMONIC] [--keep-going N] [--disable-opt NAME|all]...\n");
    return 2;
  }
  return ringshift::tests::fuzz(options);
}
