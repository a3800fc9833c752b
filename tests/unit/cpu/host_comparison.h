// Runs one instruction natively, with registers and memory as a test has filled them: what the
// interpreter's result is compared with. Encodings with registers 0-7 or the operand [ESI] mean the
// same in 32-bit and in 64-bit code.
#pragma once

#include <array>
#include <span>

#include "cpu/host_unit/code_area.h"
#include "cpu/types.h"

namespace ringshift::cpu::test {

struct alignas(64) NativeRegisters {
  std::array<std::array<u8, 32>, 8> ymm{};  // 0
  std::array<u64, 8> mmx{};                 // 256
  std::array<u8, 108> fpu{};                // 320: FNSAVE's 32-bit protected layout
  u32 mxcsr = 0x1F80;                       // 428
  u64 flags = 2;                            // 432
  std::array<u64, 3> gpr{};                 // 440: EAX, ECX, EDX
  u64 memory_pointer = 0;                   // 464
  alignas(64) std::array<u8, 64> memory{};
};

/// Native code for one instruction at a time.
class NativeCode {
 public:
  using Function = void (*)();
  /// The instruction followed by RET; valid until the next call.
  Function make(std::span<const u8> instruction);

 private:
  CodeArea area_{kPageSize};
};

extern "C" void ringshift_test_run_simd(NativeRegisters* registers, void (*operation)());
extern "C" void ringshift_test_run_x87(NativeRegisters* registers, void (*operation)());

}  // namespace ringshift::cpu::test
