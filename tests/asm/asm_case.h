// One .asm test: a program and, in its leading comments, the state it starts from and the result it
// must have. The program checks most of its results itself (common.inc): a check that fails ends
// the program with its number in EAX.
//
//   ; mode: user32 | kernel32 | real16     which machine; user32 runs on the host's processor as
//   well ; host: no                             not on the host (privileged, or about paging) ;
//   set: eax=1 mxcsr=0x1F80              registers at the start (others are zero; ESP is valid) ;
//   memory: 0x20000000 01 02 FF          bytes at the start ; expect: ebx=5 registers at the end ;
//   flags: cf=1 zf=0                     EFLAGS bits at the end ; expect-memory: 0x20000000 01 02
//   bytes at the end ; fault: 14 error=6 cr2=0x20002000     the program must end with this
//   exception ; undefined: af of                     flags in which processors may differ
//
// Whatever a test expects, all engines that run it must agree on every register and byte.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cpu/result.h"
#include "tests/asm/guest_engine.h"
#include "tests/asm/test_state.h"

namespace ringshift::tests {

struct MemoryBytes {
  u32 address = 0;
  std::vector<u8> bytes;
};

struct AsmCase {
  std::string name;
  TestMode mode = TestMode::User32;
  bool on_host = true;
  std::vector<u8> program;
  CpuImage start;
  std::vector<MemoryBytes> memory;
  Outcome outcome;  ///< expected; only `fault_fields` of it where it is a fault
  bool error_code_given = false;
  bool cr2_given = false;
  std::map<std::string, u32> registers;  ///< expected, by name
  u32 flags_mask = 0, flags_value = 0;
  std::vector<MemoryBytes> expected_memory;
  u32 undefined_flags = 0;

  u32 entry() const { return mode == TestMode::Real16 ? 0x7C00 : layout::kCode; }
  u32 end() const { return entry() + static_cast<u32>(program.size()); }
};

/// Reads a test: its source for the header, its assembled form for the code.
Result<AsmCase> load_case(const std::string& source, const std::string& binary);

/// What one engine made of a test.
struct AsmResult {
  std::string engine;
  CpuImage image;
  Outcome outcome;
  std::vector<u8> data, stack;
};

/// Runs the test on every engine that can, the translator also without each of its optimisations
/// and without all; the host is left out where it refuses.
Result<std::vector<AsmResult>> run_case(const AsmCase& test);
/// Runs the test on the interpreter alone, reporting each instruction executed.
Result<void> trace_case(const AsmCase& test, const GuestEngine::Executed& executed);

/// All violated expectations and all disagreements, one a line.
std::vector<std::string> judge(const AsmCase& test, const std::vector<AsmResult>& results);

}  // namespace ringshift::tests
