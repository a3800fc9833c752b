// Every mnemonic of cpu/instructions.def must be tested: drawn by the fuzzer, or executed by an
// .asm test. Arguments: SOURCE BINARY pairs.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "cpu/decoder.h"
#include "tests/asm/asm_case.h"
#include "tests/fuzz/encoding_space.h"

namespace ringshift::tests {
namespace {

/// Mnemonics that no test can reach here, because the host lacks the feature.
std::set<std::string> absent_features() {
  std::set<std::string> absent;
  const cpu::CpuidModel model = cpu::CpuidModel::from_host();
  std::size_t line = 0;
#define INSTRUCTION(mnemonic, binder, feature, test, policy)           \
  if (!model.has(cpu::Feature::feature)) {                             \
    absent.insert(std::string(cpu::instruction_table_mnemonic(line))); \
  }                                                                    \
  ++line;
#include "cpu/instructions.def"
#undef INSTRUCTION
  return absent;
}

int check(int argc, char** argv) {
  std::set<std::string> covered = absent_features();
  auto engine = GuestEngine::create(EngineKind::Interpreter);
  if (!engine) return std::printf("%s\n", engine.error().message.c_str()), 1;
  const EncodingSpace generated((*engine)->decoder());
  for (const auto& mnemonic : generated.mnemonics()) covered.insert(mnemonic.name);
  const std::size_t by_fuzzer = covered.size();
  for (int n = 1; n + 1 < argc; n += 2) {
    const auto test = load_case(argv[n], argv[n + 1]);
    if (!test) return std::printf("%s\n", test.error().message.c_str()), 1;
    const auto traced = trace_case(
        *test, [&](u16 mnemonic) { covered.insert(std::string(cpu::mnemonic_name(mnemonic))); });
    if (!traced) return std::printf("%s\n", traced.error().message.c_str()), 1;
  }
  std::printf("%zu mnemonics by the fuzzer, %zu more by .asm tests\n", by_fuzzer,
              covered.size() - by_fuzzer);
  int missing = 0;
  for (const TableEntry& entry : instruction_table()) {
    if (covered.insert(std::string(entry.name)).second) {
      std::printf("not tested: %s\n", std::string(entry.name).c_str());
      ++missing;
    }
  }
  return missing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  return ringshift::tests::check(argc, argv);
}
