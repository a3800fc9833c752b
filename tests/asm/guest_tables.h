// What the guest machines of the instruction tests have in memory besides the program: page tables
// that map the test areas where and how the host engine has them, descriptor tables, a TSS, and for
// each vector a handler that halts.
#pragma once

#include "cpu/cpuid.h"
#include "cpu/state.h"
#include "mmu/memory_map.h"
#include "tests/asm/test_state.h"

namespace ringshift::tests {

/// Physical layout: real-mode memory and tables below 2 MiB, which the kernel sees at
/// layout::kKernel; the test areas above.
namespace guest {
inline constexpr u64 kRamSize = u64{4} << 20;
inline constexpr u64 kPdpt = 0x10000, kDirectoryLow = 0x11000, kDirectoryHigh = 0x12000;
inline constexpr u64 kDataTable = 0x13000, kStackTable = 0x14000, kCodeTable = 0x15000;
inline constexpr u64 kGdt = 0x18000, kTss = 0x19000, kIdt = 0x1A000;
/// One HLT for each vector: where the exceptions of user tests end up.
inline constexpr u64 kHandlers = 0x1C000, kHandlerSize = 16;
inline constexpr u64 kKernelStackTop = 0x1F000;
inline constexpr u64 kDataPhysical = 0x200000, kStackPhysical = 0x210000, kCodePhysical = 0x220000;
}  // namespace guest

inline constexpr u8 kInt3 = 0xCC, kHlt = 0xF4;

void build_page_tables(mmu::MemoryMap& map);
/// The kernel tests' GDT: 08h code, 10h data, 18h a spare; 23h, 2Bh the user's; 30h a 32-bit TSS.
/// The IDT has 256 interrupt gates, of which programs may call 3 and 4; kernel tests load their
/// own.
void build_descriptors(mmu::MemoryMap& map);
/// Control and table registers that go with them: PAE paging, the model's SIMD features in force.
void enable_tables(cpu::State& state, const cpu::CpuidModel& model);

}  // namespace ringshift::tests
