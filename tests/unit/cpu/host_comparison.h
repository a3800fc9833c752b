// Runs one instruction natively, with registers and memory as a test has filled them: what the
// interpreter's result is compared with. The assembler produces both encodings from one text, the
// guest's in .code32.
#pragma once

#include <array>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::cpu::test {

struct alignas(64) NativeRegisters {
  std::array<std::array<u8, 32>, 8> ymm{};   // 0
  std::array<u64, 8> mmx{};                  // 256
  std::array<u8, 108> fpu{};                 // 320: FNSAVE's 32-bit protected layout
  u32 mxcsr = 0x1F80;                        // 428
  u64 flags = 2;                             // 432
  std::array<u64, 3> gpr{};                  // 440: EAX, ECX, EDX
  u64 memory_pointer = 0;                    // 464
  alignas(64) std::array<u8, 64> memory{};
};

struct HostCase {
  std::string_view name;
  const u8* guest;
  const u8* guest_end;
  void (*native)();
};

extern "C" void ringshift_test_run_simd(NativeRegisters* registers, void (*operation)());
extern "C" void ringshift_test_run_x87(NativeRegisters* registers, void (*operation)());

// A list of cases is a macro LIST(R, M): R(id, text) for operands in registers, M(id, before, after)
// with a memory operand [ESI] between the two texts.
#define HOST_CASE_CODE(id, text32, text64)                                             \
  __asm__(".pushsection .rodata\n.code32\nhost_case_guest_" #id ":\n" text32           \
          "\nhost_case_end_" #id ":\n.code64\n.popsection\n"                           \
          ".pushsection .text\nhost_case_native_" #id ":\n" text64 "\nret\n.popsection");
#define HOST_CASE_CODE_R(id, text) HOST_CASE_CODE(id, text, text)
#define HOST_CASE_CODE_M(id, before, after) \
  HOST_CASE_CODE(id, before "(%esi)" after, before "(%rsi)" after)
#define HOST_CASE_DECLARE_R(id, text)             \
  extern "C" const u8 host_case_guest_##id[];     \
  extern "C" const u8 host_case_end_##id[];       \
  extern "C" void host_case_native_##id();
#define HOST_CASE_DECLARE_M(id, before, after) HOST_CASE_DECLARE_R(id, before)
#define HOST_CASE_ENTRY_R(id, text) \
  {#id, host_case_guest_##id, host_case_end_##id, host_case_native_##id},
#define HOST_CASE_ENTRY_M(id, before, after) HOST_CASE_ENTRY_R(id, before)

}  // namespace ringshift::cpu::test
