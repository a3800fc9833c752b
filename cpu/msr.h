// Addresses of the model-specific registers that this processor has. SDM 4 chapter 2.
#pragma once

#include "cpu/types.h"

namespace ringshift::cpu::msr {

inline constexpr u32 kMachineCheckAddress = 0x000, kMachineCheckType = 0x001;
inline constexpr u32 kTimeStampCounter = 0x010;
inline constexpr u32 kPlatformId = 0x017;
inline constexpr u32 kApicBase = 0x01B;
inline constexpr u32 kPowerOnConfiguration = 0x02A;
inline constexpr u32 kTscAdjust = 0x03B;
inline constexpr u32 kBiosUpdateTrigger = 0x079;
inline constexpr u32 kBiosSignature = 0x08B;
inline constexpr u32 kBusFrequency = 0x0CD;
inline constexpr u32 kPlatformInfo = 0x0CE;
inline constexpr u32 kMtrrCapMsr = 0x0FE;
inline constexpr u32 kArchCapabilitiesMsr = 0x10A;
inline constexpr u32 kSysenterCs = 0x174, kSysenterEsp = 0x175, kSysenterEip = 0x176;
inline constexpr u32 kMcgCap = 0x179, kMcgStatus = 0x17A;
inline constexpr u32 kPerformanceStatus = 0x198;
inline constexpr u32 kMiscEnable = 0x1A0;
inline constexpr u32 kDebugControl = 0x1D9;
inline constexpr u32 kMtrrVariable = 0x200;
inline constexpr u32 kMtrrFix64K = 0x250, kMtrrFix16K = 0x258, kMtrrFix4K = 0x268;
inline constexpr u32 kPat = 0x277;
inline constexpr u32 kMtrrDefaultType = 0x2FF;
inline constexpr u32 kTscDeadline = 0x6E0;
inline constexpr u32 kEfer = 0xC0000080;
inline constexpr u32 kTscAux = 0xC0000103;

/// What CPUID leaf 1 puts into IA32_BIOS_SIGN_ID: the update revision in the upper half.
inline constexpr u64 kMicrocodeRevision = u64{0x21A} << 32;

}  // namespace ringshift::cpu::msr
