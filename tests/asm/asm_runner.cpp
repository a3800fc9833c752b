// Runs one .asm test on all engines: asm_runner SOURCE BINARY.
#include <algorithm>
#include <cstdio>
#include <span>

#include "tests/asm/asm_case.h"
#include "tests/asm/compare.h"

int main(int argc, char** argv) {
  using namespace ringshift::tests;
  if (argc != 3) {
    std::printf("usage: asm_runner SOURCE BINARY\n");
    return 2;
  }
  const auto test = load_case(argv[1], argv[2]);
  if (!test) {
    std::printf("%s\n", test.error().message.c_str());
    return 1;
  }
  const auto results = run_case(*test);
  if (!results) {
    std::printf("%s\n", results.error().message.c_str());
    return 1;
  }
  const std::vector<std::string> complaints = judge(*test, *results);
  for (const std::string& complaint : complaints) std::printf("%s\n", complaint.c_str());
  if (complaints.empty()) return 0;
  for (const AsmResult& result : *results) {
    std::printf("%s:\n%s", result.engine.c_str(), describe(result.image).c_str());
    const ringshift::u32 top = result.image.gpr[4] - layout::kStack;
    if (top >= result.stack.size()) continue;
    const auto stack = std::span(result.stack).subspan(top);
    std::printf("stack: %s\n",
                hexadecimal(stack.first(std::min<std::size_t>(stack.size(), 32))).c_str());
  }
  return 1;
}
