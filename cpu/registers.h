// Names and bits of the architectural registers, as the SDM names them.
#pragma once

#include "cpu/types.h"

namespace ringshift::cpu {

enum Gpr : u8 { Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15 };

/// In the encoding order of the reg field.
enum class SegmentName : u8 { ES, CS, SS, DS, FS, GS };

/// EFLAGS. SDM 1 §3.4.3.
namespace eflags {
inline constexpr u64 CF = 1U << 0, Fixed = 1U << 1, PF = 1U << 2, AF = 1U << 4, ZF = 1U << 6,
                     SF = 1U << 7, TF = 1U << 8, IF = 1U << 9, DF = 1U << 10, OF = 1U << 11,
                     IOPL = 3U << 12, NT = 1U << 14, RF = 1U << 16, VM = 1U << 17, AC = 1U << 18,
                     VIF = 1U << 19, VIP = 1U << 20, ID = 1U << 21;
inline constexpr u64 Arithmetic = CF | PF | AF | ZF | SF | OF;
}  // namespace eflags

/// CR0. SDM 3A §2.5.
namespace cr0 {
inline constexpr u64 PE = 1U << 0, MP = 1U << 1, EM = 1U << 2, TS = 1U << 3, ET = 1U << 4,
                     NE = 1U << 5, WP = 1U << 16, AM = 1U << 18, NW = 1U << 29, CD = 1U << 30,
                     PG = 1U << 31;
}  // namespace cr0

/// CR4. SDM 3A §2.5.
namespace cr4 {
inline constexpr u64 VME = 1U << 0, PVI = 1U << 1, TSD = 1U << 2, DE = 1U << 3, PSE = 1U << 4,
                     PAE = 1U << 5, MCE = 1U << 6, PGE = 1U << 7, PCE = 1U << 8, OSFXSR = 1U << 9,
                     OSXMMEXCPT = 1U << 10, UMIP = 1U << 11, FSGSBASE = 1U << 16,
                     OSXSAVE = 1U << 18, SMEP = 1U << 20, SMAP = 1U << 21;
}  // namespace cr4

/// IA32_EFER. SDM 3A §2.2.1.
namespace efer {
inline constexpr u64 SCE = 1U << 0, LME = 1U << 8, LMA = 1U << 10, NXE = 1U << 11;
}  // namespace efer

}  // namespace ringshift::cpu
