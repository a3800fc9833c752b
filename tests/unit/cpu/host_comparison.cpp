#include "tests/unit/cpu/host_comparison.h"

#include <cstddef>
#include <vector>

namespace ringshift::cpu::test {

static_assert(offsetof(NativeRegisters, mmx) == 256 && offsetof(NativeRegisters, fpu) == 320 &&
              offsetof(NativeRegisters, mxcsr) == 428 && offsetof(NativeRegisters, flags) == 432 &&
              offsetof(NativeRegisters, gpr) == 440 &&
              offsetof(NativeRegisters, memory_pointer) == 464);

NativeCode::Function NativeCode::make(std::span<const u8> instruction) {
  constexpr u8 kRet = 0xC3;
  std::vector<u8> code(instruction.begin(), instruction.end());
  code.push_back(kRet);
  area_.clear();
  return reinterpret_cast<Function>(reinterpret_cast<u64>(area_.append(code)));
}

// RBX holds the registers' address, RBP the operation; operations may use EAX ECX EDX RSI RDI.
__asm__(R"(
.text
.globl ringshift_test_run_simd
ringshift_test_run_simd:
  push %rbx
  push %rbp
  sub $24, %rsp
  mov %rdi, %rbx
  mov %rsi, %rbp
  stmxcsr 8(%rsp)
  vmovups (%rbx), %ymm0
  vmovups 32(%rbx), %ymm1
  vmovups 64(%rbx), %ymm2
  vmovups 96(%rbx), %ymm3
  vmovups 128(%rbx), %ymm4
  vmovups 160(%rbx), %ymm5
  vmovups 192(%rbx), %ymm6
  vmovups 224(%rbx), %ymm7
  movq 256(%rbx), %mm0
  movq 264(%rbx), %mm1
  movq 272(%rbx), %mm2
  movq 280(%rbx), %mm3
  movq 288(%rbx), %mm4
  movq 296(%rbx), %mm5
  movq 304(%rbx), %mm6
  movq 312(%rbx), %mm7
  ldmxcsr 428(%rbx)
  mov 440(%rbx), %rax
  mov 448(%rbx), %rcx
  mov 456(%rbx), %rdx
  mov 464(%rbx), %rsi
  mov %rsi, %rdi
  pushq 432(%rbx)
  popfq
  call *%rbp
  pushfq
  popq 432(%rbx)
  mov %rax, 440(%rbx)
  mov %rcx, 448(%rbx)
  mov %rdx, 456(%rbx)
  stmxcsr 428(%rbx)
  ldmxcsr 8(%rsp)
  vmovups %ymm0, (%rbx)
  vmovups %ymm1, 32(%rbx)
  vmovups %ymm2, 64(%rbx)
  vmovups %ymm3, 96(%rbx)
  vmovups %ymm4, 128(%rbx)
  vmovups %ymm5, 160(%rbx)
  vmovups %ymm6, 192(%rbx)
  vmovups %ymm7, 224(%rbx)
  movq %mm0, 256(%rbx)
  movq %mm1, 264(%rbx)
  movq %mm2, 272(%rbx)
  movq %mm3, 280(%rbx)
  movq %mm4, 288(%rbx)
  movq %mm5, 296(%rbx)
  movq %mm6, 304(%rbx)
  movq %mm7, 312(%rbx)
  emms
  vzeroupper
  add $24, %rsp
  pop %rbp
  pop %rbx
  ret

.globl ringshift_test_run_x87
ringshift_test_run_x87:
  push %rbx
  push %rbp
  sub $8, %rsp
  mov %rdi, %rbx
  mov %rsi, %rbp
  mov 464(%rbx), %rsi
  frstor 320(%rbx)
  pushq 432(%rbx)
  popfq
  call *%rbp
  pushfq
  popq 432(%rbx)
  fnsave 320(%rbx)
  add $8, %rsp
  pop %rbp
  pop %rbx
  ret
)");

}  // namespace ringshift::cpu::test
