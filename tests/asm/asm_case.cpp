#include "tests/asm/asm_case.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/asm/compare.h"
#include "tests/asm/guest_tables.h"
#include "tests/asm/host_engine.h"

namespace ringshift::tests {

namespace {

constexpr std::size_t kDataBytes = layout::kDataPages * kPageSize;
constexpr unsigned kStepLimit = 200000;

struct FlagName {
  const char* name;
  u64 mask;
};
constexpr FlagName kFlags[] = {
    {"cf", cpu::eflags::CF}, {"pf", cpu::eflags::PF}, {"af", cpu::eflags::AF},
    {"zf", cpu::eflags::ZF}, {"sf", cpu::eflags::SF}, {"tf", cpu::eflags::TF},
    {"if", cpu::eflags::IF}, {"df", cpu::eflags::DF}, {"of", cpu::eflags::OF},
    {"nt", cpu::eflags::NT}, {"ac", cpu::eflags::AC}, {"id", cpu::eflags::ID},
    {"vm", cpu::eflags::VM},
};

u32 flag_mask(const std::string& name) {
  for (const FlagName& flag : kFlags) {
    if (name == flag.name) return static_cast<u32>(flag.mask);
  }
  return 0;
}

u32 number(const std::string& text) {
  return static_cast<u32>(std::strtoull(text.c_str(), nullptr, 0));
}

/// "name=value" words of a line; a word without '=' has the value "".
std::vector<std::pair<std::string, std::string>> assignments(const std::string& line) {
  std::vector<std::pair<std::string, std::string>> out;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    out.emplace_back(word.substr(0, equals),
                     equals == std::string::npos ? "" : word.substr(equals + 1));
  }
  return out;
}

MemoryBytes memory_bytes(const std::string& line) {
  MemoryBytes memory;
  std::istringstream words(line);
  std::string word;
  words >> word;
  memory.address = number(word);
  while (words >> word) memory.bytes.push_back(static_cast<u8>(std::stoul(word, nullptr, 16)));
  return memory;
}

/// The register of that name in an image; null: no such register.
u8* register_bytes(CpuImage& image, const std::string& name, unsigned& length) {
  length = 4;
  for (unsigned n = 0; n < 8; ++n) {
    if (name == kGprNames[n]) return reinterpret_cast<u8*>(&image.gpr[n]);
  }
  if (name == "eip") return reinterpret_cast<u8*>(&image.eip);
  if (name == "eflags") return reinterpret_cast<u8*>(&image.eflags);
  u8* legacy = image.extended.legacy.data();
  if (name == "mxcsr") return legacy + 24;
  length = 2;
  if (name == "fcw") return legacy;
  if (name == "fsw") return legacy + 2;
  length = 1;
  if (name == "ftw") return legacy + 4;
  return nullptr;
}

bool set_register(CpuImage& image, const std::string& name, u32 value) {
  unsigned length = 0;
  u8* bytes = register_bytes(image, name, length);
  if (bytes != nullptr) std::memcpy(bytes, &value, length);
  return bytes != nullptr;
}

Result<void> parse_fault(AsmCase& test, const std::string& line) {
  test.outcome.ending = Ending::Fault;
  for (const auto& [name, value] : assignments(line)) {
    if (name == "error") {
      test.outcome.error_code = number(value);
      test.error_code_given = true;
    } else if (name == "cr2") {
      test.outcome.cr2 = number(value);
      test.cr2_given = true;
    } else if (value.empty()) {
      test.outcome.vector = static_cast<u8>(number(name));
    } else {
      return Error{test.name + ": unknown word in fault: " + name};
    }
  }
  return {};
}

Result<void> parse_mode(AsmCase& test, const std::string& mode) {
  if (mode == "user32") return {};
  test.on_host = false;
  if (mode == "kernel32")
    test.mode = TestMode::Kernel32;
  else if (mode == "real16")
    test.mode = TestMode::Real16;
  else
    return Error{test.name + ": unknown mode " + mode};
  return {};
}

Result<void> parse_registers(AsmCase& test, const std::string& key, const std::string& value) {
  for (const auto& [name, text] : assignments(value)) {
    CpuImage scratch;
    CpuImage& image = key == "set" ? test.start : scratch;
    if (!set_register(image, name, number(text))) {
      return Error{test.name + ": unknown register " + name};
    }
    if (key == "expect") test.registers[name] = number(text);
  }
  return {};
}

Result<void> parse_flags(AsmCase& test, const std::string& key, const std::string& value) {
  for (const auto& [name, text] : assignments(value)) {
    const u32 mask = flag_mask(name);
    if (mask == 0) return Error{test.name + ": unknown flag " + name};
    if (key == "undefined") {
      test.undefined_flags |= mask;
    } else {
      test.flags_mask |= mask;
      if (number(text) != 0) test.flags_value |= mask;
    }
  }
  return {};
}

Result<void> parse_line(AsmCase& test, const std::string& key, const std::string& value) {
  if (key == "mode") return parse_mode(test, value);
  if (key == "set" || key == "expect") return parse_registers(test, key, value);
  if (key == "flags" || key == "undefined") return parse_flags(test, key, value);
  if (key == "fault") return parse_fault(test, value);
  if (key == "host") test.on_host = value != "no";
  if (key == "memory") test.memory.push_back(memory_bytes(value));
  if (key == "expect-memory") test.expected_memory.push_back(memory_bytes(value));
  return {};
}

Result<void> parse_header(AsmCase& test, std::istream& source) {
  for (std::string line; std::getline(source, line);) {
    if (line.empty() || line[0] != ';') break;
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string key = line.substr(1, colon - 1);
    key.erase(0, key.find_first_not_of(' '));
    if (const Result<void> parsed = parse_line(test, key, line.substr(colon + 2)); !parsed) {
      return parsed.error();
    }
  }
  return {};
}

void fill_memory(const AsmCase& test, const TestMemory& memory) {
  std::memset(memory.data, 0, kDataBytes);
  std::memset(memory.stack, 0, kPageSize);
  for (const MemoryBytes& bytes : test.memory) {
    const u32 offset = bytes.address - layout::kData;
    if (offset + bytes.bytes.size() <= kDataBytes) {
      std::copy(bytes.bytes.begin(), bytes.bytes.end(), memory.data + offset);
    }
  }
}

AsmResult collect(std::string engine, const CpuImage& image, const Outcome& outcome,
                  const TestMemory& memory) {
  return {std::move(engine),
          image,
          outcome,
          {memory.data, memory.data + kDataBytes},
          {memory.stack, memory.stack + kPageSize}};
}

Result<std::unique_ptr<GuestEngine>> prepared_engine(const AsmCase& test, EngineKind kind,
                                                     translator::Options options = {}) {
  auto engine = GuestEngine::create(kind, options);
  if (!engine) return engine.error();
  (*engine)->enter(test.mode);
  fill_memory(test, (*engine)->memory());
  std::vector<u8> code = test.program;
  if (test.mode != TestMode::User32) code.push_back(kHlt);
  (*engine)->place_code(test.entry(), code);
  return engine;
}

/// One way to run a test on a guest machine.
struct Variant {
  std::string name;
  EngineKind kind = EngineKind::Interpreter;
  bool steps = false;
  translator::Options options;
};

std::vector<Variant> all_variants() {
  std::vector<Variant> variants{
      {"interpreter, by steps", EngineKind::Interpreter, true, {}},
      {"interpreter, by blocks", EngineKind::Interpreter, false, {}},
      {"translator", EngineKind::Translator, false, {}},
  };
  variants.push_back({"translator, checked", EngineKind::CheckedTranslator, false, {}});
  translator::Options none;
  for (const std::string_view name : translator::kOptimisationNames) {
    const auto which = *translator::Options::find(name);
    translator::Options others;
    others.disable(which);
    none.disable(which);
    variants.push_back(
        {"translator without " + std::string(name), EngineKind::Translator, false, others});
  }
  variants.push_back({"translator without optimisations", EngineKind::Translator, false, none});
  variants.push_back(
      {"translator without optimisations, checked", EngineKind::CheckedTranslator, false, none});
  return variants;
}

Result<AsmResult> run_variant(const AsmCase& test, const Variant& variant) {
  auto engine = prepared_engine(test, variant.kind, variant.options);
  if (!engine) return engine.error();
  CpuImage image = test.start;
  Outcome outcome;
  if (variant.steps)
    outcome = (*engine)->run_until(image, test.end(), kStepLimit);
  else if (test.mode == TestMode::User32)
    outcome = (*engine)->run_program(image);
  else
    outcome = (*engine)->run_to_halt(image, test.end());
  return collect(variant.name, image, outcome, (*engine)->memory());
}

std::string failed_check(const AsmCase& test, const AsmResult& result) {
  constexpr u8 kInvalidOpcode = 6;
  if (test.outcome.ending == Ending::Fault) return {};
  const bool gave_up = test.mode == TestMode::User32 ? result.outcome.ending == Ending::Fault &&
                                                           result.outcome.vector == kInvalidOpcode
                                                     : result.outcome.ending == Ending::OutOfSteps;
  return gave_up ? ": check number " + std::to_string(result.image.gpr[0]) + " failed" : "";
}

void judge_memory(const AsmCase& test, const AsmResult& result, std::vector<std::string>& out) {
  for (const MemoryBytes& expected : test.expected_memory) {
    const u32 offset = expected.address - layout::kData;
    if (offset + expected.bytes.size() > kDataBytes) {
      out.push_back("expect-memory outside the data area");
      continue;
    }
    const std::string line =
        memory_difference("memory", expected.address, expected.bytes,
                          std::span(result.data).subspan(offset, expected.bytes.size()));
    if (!line.empty()) out.push_back(result.engine + ": " + line);
  }
}

void judge_one(const AsmCase& test, const AsmResult& result, std::vector<std::string>& out) {
  Outcome expected = test.outcome;
  if (!test.error_code_given) expected.error_code = result.outcome.error_code;
  if (!test.cr2_given) expected.cr2 = result.outcome.cr2;
  if (!(expected == result.outcome)) {
    out.push_back(result.engine + ": " + describe(test.outcome) + " expected, " +
                  describe(result.outcome) + failed_check(test, result));
  } else if (expected.ending == Ending::Reached && result.image.eip != test.end()) {
    char text[64];
    std::snprintf(text, sizeof text, ": ended at %08X, not at its end", result.image.eip);
    out.push_back(result.engine + text);
  }
  for (const auto& [name, value] : test.registers) {
    CpuImage copy = result.image;
    unsigned length = 0;
    u32 actual = 0;
    const u8* bytes = register_bytes(copy, name, length);
    std::memcpy(&actual, bytes, length);
    if (actual == value) continue;
    char text[96];
    std::snprintf(text, sizeof text, ": %s is %08X, expected %08X", name.c_str(), actual, value);
    out.push_back(result.engine + text);
  }
  if ((result.image.eflags & test.flags_mask) != test.flags_value) {
    char text[96];
    std::snprintf(text, sizeof text, ": flags are %08X, expected %08X of %08X", result.image.eflags,
                  test.flags_value, test.flags_mask);
    out.push_back(result.engine + text);
  }
  judge_memory(test, result, out);
}

}  // namespace

Result<AsmCase> load_case(const std::string& source, const std::string& binary) {
  AsmCase test;
  test.name = source.substr(source.find_last_of('/') + 1);
  std::ifstream text(source);
  std::ifstream code(binary, std::ios::binary);
  if (!text || !code) return Error{test.name + ": can't be read"};
  test.start.extended = initial_extended_state();
  test.start.gpr[cpu::Rsp] = layout::kStack + kPageSize;
  if (const Result<void> parsed = parse_header(test, text); !parsed) return parsed.error();
  test.program.assign(std::istreambuf_iterator<char>(code), {});
  if (test.mode == TestMode::Real16) {
    test.start.gpr[cpu::Rsp] = 0x7C00;
    test.start.eflags = 2;
  } else if (test.program.size() > layout::kCodePages * kPageSize) {
    return Error{test.name + ": larger than the code area"};
  }
  if (test.mode == TestMode::Kernel32) test.start.eflags = 2;
  test.start.eip = test.entry();
  return test;
}

Result<std::vector<AsmResult>> run_case(const AsmCase& test) {
  std::vector<AsmResult> results;
  if (test.on_host) {
    auto host = HostEngine::create();
    if (host) {
      fill_memory(test, (*host)->memory());
      (*host)->place_code(test.entry(), test.program);
      CpuImage image = test.start;
      const Outcome outcome = (*host)->run(image);
      results.push_back(collect("host", image, outcome, (*host)->memory()));
    } else {
      std::printf("without the host: %s\n", host.error().message.c_str());
    }
  }
  for (const Variant& variant : all_variants()) {
    auto result = run_variant(test, variant);
    if (!result) return result.error();
    results.push_back(std::move(*result));
  }
  return results;
}

Result<void> trace_case(const AsmCase& test, const GuestEngine::Executed& executed) {
  auto engine = prepared_engine(test, EngineKind::Interpreter);
  if (!engine) return engine.error();
  CpuImage image = test.start;
  (void)(*engine)->run_until(image, test.end(), kStepLimit, executed);
  return {};
}

std::vector<std::string> judge(const AsmCase& test, const std::vector<AsmResult>& results) {
  std::vector<std::string> out;
  for (const AsmResult& result : results) judge_one(test, result, out);
  Tolerance tolerance;
  tolerance.eflags = test.undefined_flags;
  const AsmResult& first = results.front();
  tolerance.x87_pointers = first.engine == "host" && !host_saves_x87_pointers_alike();
  for (std::size_t n = 1; n < results.size(); ++n) {
    const AsmResult& other = results[n];
    std::vector<std::string> found =
        differences(first.image, first.outcome, other.image, other.outcome, tolerance);
    found.push_back(memory_difference("data", layout::kData, first.data, other.data));
    found.push_back(memory_difference("stack", layout::kStack, first.stack, other.stack));
    for (const std::string& line : found) {
      if (!line.empty()) out.push_back(first.engine + " against " + other.engine + ": " + line);
    }
  }
  return out;
}

}  // namespace ringshift::tests
