// What the ACPI tables say about the board, as constants and options in one place. They repeat what
// devices/ implements (the folders don't include each other): the board's own tests compare the
// two.
#pragma once

#include "bios/memory_layout.h"
#include "cpu/types.h"

namespace ringshift::bios::acpi {

// Power management of the PIIX4 (82371AB data sheet §7), at the base that SeaBIOS programs.
inline constexpr u16 kPowerManagementBase = 0x600;
inline constexpr u16 kPm1EventBlock = kPowerManagementBase + 0x00;
inline constexpr u16 kPm1ControlBlock = kPowerManagementBase + 0x04;
inline constexpr u16 kPmTimerBlock = kPowerManagementBase + 0x08;
inline constexpr u16 kGpe0Block = kPowerManagementBase + 0x0C;
inline constexpr u8 kGpe0Length = 4;
inline constexpr u16 kSmbusBase = 0x700;
inline constexpr u16 kSmiCommandPort = 0xB2;
inline constexpr u8 kAcpiEnable = 0xF1;
inline constexpr u8 kAcpiDisable = 0xF0;
inline constexpr u8 kSciInterrupt = 9;
inline constexpr u8 kCmosCentury = 0x32;
inline constexpr u16 kResetPort = 0xCF9;
inline constexpr u8 kResetValue = 0x06;  ///< hard reset of processor and system
inline constexpr u8 kSleepTypeOff = 0;   ///< PM1_CNT.SLP_TYP: soft-off
inline constexpr u8 kSleepTypeOn = 5;    ///< working

inline constexpr u32 kLocalApicBase = 0xFEE0'0000;
inline constexpr u32 kIoApicBase = 0xFEC0'0000;
inline constexpr u8 kIoApicId = 0;
inline constexpr u32 kHpetBase = 0xFED0'0000;
/// The low half of the HPET's capabilities: Intel, legacy replacement, 64-bit, 3 comparators,
/// rev. 1.
inline constexpr u32 kHpetBlockId = 0x8086'A201;

inline constexpr u8 kIsaSlot = 1;  ///< PIIX3/4: function 0 ISA bridge, 3 power management
inline constexpr u8 kPirqRouteControl = 0x60;  ///< PIRQRC[A:D] in the ISA bridge's configuration

struct BoardDescription {
  MemoryLayout memory;
  unsigned processors = 1;  ///< APIC identifiers 0 upwards
  bool hpet = true;
  bool pvpanic = true;
  unsigned floppies = 1;      ///< 1.44 MB drives, 0 to 2; none: no controller either
  unsigned serial_ports = 2;  ///< COM1, COM2
  unsigned parallel_ports = 1;
};

}  // namespace ringshift::bios::acpi
