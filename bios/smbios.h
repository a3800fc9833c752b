// SMBIOS tables: who made the machine, its processors and memory, as inventory tools and the
// kernel's DMI quirks read them. The firmware copies them to low memory. Source: DMTF DSP0134,
// version 2.8.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "bios/memory_layout.h"
#include "cpu/types.h"

namespace ringshift::bios {

inline constexpr const char* kSmbiosTablesFile = "etc/smbios/smbios-tables";
inline constexpr const char* kSmbiosAnchorFile = "etc/smbios/smbios-anchor";

/// What SMBIOS says about each processor; from the machine's CPUID.
struct ProcessorIdentity {
  std::string manufacturer = "Ringshift";
  std::string version = "Ringshift virtual processor";  ///< the brand string
  u32 signature = 0;                                    ///< CPUID.01H:EAX
  u32 features = 0;                                     ///< CPUID.01H:EDX
  u16 megahertz = 0;                                    ///< 0: unknown
};

struct SmbiosDescription {
  MemoryLayout memory;
  unsigned processors = 1;
  ProcessorIdentity processor = {};
  std::array<u8, 16> uuid{};  ///< in the order of its text form
  std::string version = "0.1.0";
};

struct SmbiosFiles {
  std::vector<u8> tables;
  std::vector<u8> anchor;  ///< the 32-bit entry point; the firmware sets address and checksums
};

SmbiosFiles make_smbios(const SmbiosDescription& description);

}  // namespace ringshift::bios
