// Our own option ROMs: the small programs that the firmware runs as a boot device to start a kernel
// directly. They are assembled when Ringshift is built. Direct boot goes through the firmware so
// that the guest finds everything a firmware leaves behind: ACPI, a memory map, initialised
// devices.
#pragma once

#include <span>
#include <vector>

#include "cpu/types.h"

namespace ringshift::bios {

/// The assembled bytes of bios/boot_rom/linux.asm and multiboot.asm, without size and checksums.
std::span<const u8> linux_boot_rom();
std::span<const u8> multiboot_boot_rom();

/// A ROM as the firmware wants it: padded to 512 bytes, with its length byte, the checksum of its
/// Plug and Play header and its own.
std::vector<u8> finish_option_rom(std::span<const u8> assembled);

}  // namespace ringshift::bios
