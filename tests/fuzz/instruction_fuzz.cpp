// Random instructions from cpu/instructions.def, executed by the host's processor and by the
// interpreter from the same random state: everything that a program can see must come out the same.
//
//   instruction_fuzz [--width 16|32] [--count N] [--seed S] [--first I] [--only MNEMONIC]
//   [--keep-going N]
//
// Case I of seed S is the same on every run: `--seed S --first I --count 1` repeats a report.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>

#include "tests/asm/compare.h"
#include "tests/asm/host_engine.h"
#include "tests/asm/guest_engine.h"
#include "tests/fuzz/test_case.h"

namespace ringshift::tests {
namespace {

struct Options {
  u64 count = 200000;
  u64 seed = 0;
  u64 first = 0;
  u64 keep_going = 1;  ///< reports before giving up
  std::string only;
  CodeWidth width = CodeWidth::Bits32;
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
    {"",
     {.x87_pointers = true},
     "when FOP, FDP and the selectors are saved differs between processors; the model's are "
     "always"},
    {"vmaskmovp",
     {.cr2_in_page = true},
     "a page fault on part of a masked vector may name any byte of it in that page"},
    {"vpmaskmov", {.cr2_in_page = true}, "as VMASKMOVPS"},
};

Tolerance tolerance_for(std::string_view mnemonic) {
  Tolerance tolerance;
  for (const OpenResult& line : kOpenResults) {
    if (mnemonic.substr(0, line.mnemonic.size()) != line.mnemonic) continue;
    tolerance.eflags |= line.tolerance.eflags;
    tolerance.x87_pointers |= line.tolerance.x87_pointers;
    tolerance.cr2_in_page |= line.tolerance.cr2_in_page;
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

class Fuzzer {
 public:
  Fuzzer(HostEngine& host, GuestEngine& interpreter, const Options& options)
      : host_(host),
        interpreter_(interpreter),
        options_(options),
        space_(interpreter.decoder(), options.width),
        maker_(space_, interpreter.decoder()) {
    if (!options.only.empty()) space_.restrict_to(options.only);
    for (const TestMemory& memory : {host_.memory(), interpreter_.memory()}) {
      if (memory.data == host_.memory().data) continue;
      std::memcpy(memory.data, pattern_.data.data(), pattern_.data.size());
    }
    host_.fill_read_only(std::span(pattern_.data).subspan(kDataBytes));
  }

  const EncodingSpace& space() const { return space_; }
  u64 faults() const { return faults_; }
  u64 skipped() const { return skipped_; }
  u64 failures() const { return failures_; }

  void summarise() const {
    for (const auto& [name, count] : failures_by_mnemonic_) {
      std::printf("  %-16s %llu mismatches\n", name.c_str(),
                  static_cast<unsigned long long>(count));
    }
  }

  /// False when enough has gone wrong.
  bool run_case(u64 index) {
    const TestCase test = maker_.make(options_.seed, index);
    const std::span code(test.bytes.data(), test.placed);
    reset(interpreter_.memory(), test);
    interpreter_.place_code(test.address, code);
    Run interpreted{test.image, {}};
    interpreted.outcome = interpreter_.step(interpreted.image);
    if (!comparable(test, interpreted)) {
      ++skipped_;
      return true;
    }
    if (interpreted.outcome.ending == Ending::Fault) ++faults_;
    reset(host_.memory(), test);
    host_.place_code(test.address, code);
    Run native{test.image, {}};
    native.outcome = host_.run(native.image);
    if (!same(test, index, native, interpreted, "interpreter")) return false;
    // Blocks take another way through the interpreter than single instructions.
    constexpr u64 kBlockShare = 8;
    if (index % kBlockShare != 0) return true;
    reset(interpreter_.memory(), test);
    Run blocks{test.image, {}};
    blocks.outcome = interpreter_.run_program(blocks.image);
    return same(test, index, native, blocks, "interpreter by blocks");
  }

 private:
  struct Run {
    CpuImage image;
    Outcome outcome;
  };

  /// Compares with the host's result, memory included; false when enough has gone wrong.
  bool same(const TestCase& test, u64 index, const Run& native, const Run& other,
            const char* engine) {
    std::vector<std::string> found = differences(native.image, native.outcome, other.image,
                                                 other.outcome, tolerance_for(test.name));
    compare_memory(found);
    if (found.empty()) return true;
    // One full report a mnemonic; the others are counted.
    if (failures_by_mnemonic_[std::string(test.name)]++ == 0) report(test, index, found, engine);
    return ++failures_ < options_.keep_going;
  }

  void reset(const TestMemory& memory, const TestCase& test) const {
    std::memcpy(memory.data, pattern_.data.data(), kDataBytes);
    std::memcpy(memory.stack, pattern_.stack.data(), kPageSize);
    for (const MemoryPatch& patch : test.patches) {
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

  /// Whether the host may run it: a branch into the middle of the instruction or of the way back
  /// behind it would run bytes that nobody has looked at; and where the interpreter has its
  /// supervisor pages the host has nothing, so that error codes differ. Where this process has
  /// something of its own in the low 4 GiB, the host wouldn't fault, be it on data or on code.
  bool comparable(const TestCase& test, const Run& run) const {
    constexpr u32 kWayBackLength = 8;
    constexpr u8 kPageFault = 14;
    if (run.outcome.ending == Ending::Fault) {
      return run.outcome.vector != kPageFault ||
             (run.outcome.cr2 - layout::kKernel >= layout::kKernelSize &&
              !in_own_memory(run.outcome.cr2));
    }
    if (in_own_memory(run.image.eip + maker_.segments().code.base)) return false;
    const u32 offset = run.image.eip - test.image.eip;
    return offset == test.length || offset >= test.length + kWayBackLength;
  }

  void compare_memory(std::vector<std::string>& found) const {
    const TestMemory native = host_.memory(), interpreted = interpreter_.memory();
    const auto add = [&](std::string line) {
      if (!line.empty()) found.push_back(std::move(line));
    };
    add(memory_difference("data", layout::kData, {native.data, kDataBytes},
                          {interpreted.data, kDataBytes}));
    add(memory_difference("read-only page", layout::kReadOnly,
                          std::span(pattern_.data).subspan(kDataBytes),
                          {interpreted.data + kDataBytes, kPageSize}));
    add(memory_difference("stack", layout::kStack, {native.stack, kPageSize},
                          {interpreted.stack, kPageSize}));
  }

  void report(const TestCase& test, u64 index, const std::vector<std::string>& found,
              const char* engine) const {
    std::printf("MISMATCH --seed %llu --first %llu --count 1\n",
                static_cast<unsigned long long>(options_.seed),
                static_cast<unsigned long long>(index));
    std::printf("  %s   %s%s%s\n", hexadecimal({test.bytes.data(), test.length}).c_str(),
                cpu::format(test.instruction, test.image.eip).c_str(),
                test.undefined ? " (with an illegal LOCK)" : "",
                test.placed < test.length ? " (cut off by the end of the code area)" : "");
    std::printf("  host, %s:\n", engine);
    for (const std::string& line : found) std::printf("    %s\n", line.c_str());
    std::printf("  before:\n%s", describe(test.image).c_str());
    for (const MemoryPatch& patch : test.patches) {
      std::printf("memory %08X: %s\n", patch.address, hexadecimal(patch.bytes).c_str());
    }
    std::fflush(stdout);
  }

  HostEngine& host_;
  GuestEngine& interpreter_;
  const Options& options_;
  EncodingSpace space_;
  TestCaseMaker maker_;
  BasePattern pattern_;
  std::map<std::string, u64> failures_by_mnemonic_;
  u64 faults_ = 0, skipped_ = 0, failures_ = 0;
};

bool parse(int argc, char** argv, Options& options) {
  options.seed = std::random_device{}();
  for (int n = 1; n + 1 < argc; n += 2) {
    const std::string_view name = argv[n];
    if (name == "--only") {
      options.only = argv[n + 1];
      continue;
    }
    const u64 value = std::strtoull(argv[n + 1], nullptr, 0);
    if (name == "--width") {
      options.width = value == 16 ? CodeWidth::Bits16 : CodeWidth::Bits32;
      continue;
    }
    if (name == "--count")
      options.count = value;
    else if (name == "--seed")
      options.seed = value;
    else if (name == "--first")
      options.first = value;
    else if (name == "--keep-going")
      options.keep_going = value;
    else
      return false;
  }
  return argc % 2 == 1;
}

/// ctest's convention for "this machine can't do it".
constexpr int kSkipped = 77;

int fuzz(const Options& options) {
  auto host = HostEngine::create();
  if (!host) {
    std::printf("skipped: %s\n", host.error().message.c_str());
    return kSkipped;
  }
  auto interpreter = GuestEngine::create(EngineKind::Interpreter);
  if (!interpreter) {
    std::printf("%s\n", interpreter.error().message.c_str());
    return 1;
  }
  if (options.width == CodeWidth::Bits16) {
    if (!(*host)->use(kSegmented16)) {
      std::printf("skipped: the host has no 16-bit segments\n");
      return kSkipped;
    }
    (*interpreter)->enter(TestMode::User16);
  }
  Fuzzer fuzzer(**host, **interpreter, options);
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
      "%llu cases, %llu faults, %llu not run on the host, %llu mismatches; %.0f a second\n",
      static_cast<unsigned long long>(done), static_cast<unsigned long long>(fuzzer.faults()),
      static_cast<unsigned long long>(fuzzer.skipped()),
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
        "usage: instruction_fuzz [--width 16|32] [--count N] [--seed S] [--first I] [--only "
        "MNEMONIC] "
        "[--keep-going N]\n");
    return 2;
  }
  return ringshift::tests::fuzz(options);
}
