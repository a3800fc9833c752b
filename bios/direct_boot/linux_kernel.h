// Reading the header of a Linux kernel image: where its parts are and what it asks of a boot
// loader. Source: Linux Documentation/x86/boot.rst, "The Real-Mode Kernel Header".
#pragma once

#include <span>
#include <string>

#include "bios/direct_boot/direct_boot.h"
#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::bios {

/// Offsets of header fields from the start of the file.
namespace linux_header {
inline constexpr std::size_t kSetupSectors = 0x1F1, kSystemSize = 0x1F4, kVideoMode = 0x1FA,
                             kBootFlag = 0x1FE, kSignature = 0x202, kVersion = 0x206,
                             kLoaderType = 0x210, kLoadFlags = 0x211, kRamDiskImage = 0x218,
                             kRamDiskSize = 0x21C, kHeapEnd = 0x224, kCommandLine = 0x228,
                             kInitrdAddressMax = 0x22C, kKernelAlignment = 0x230,
                             kRelocatable = 0x234, kExtendedLoadFlags = 0x236,
                             kCommandLineSize = 0x238, kPreferredAddress = 0x258, kInitSize = 0x260,
                             kEnd = 0x268;
}  // namespace linux_header

struct LinuxKernel {
  u16 version = 0;             ///< boot protocol, 0x020C is 2.12
  std::size_t setup_size = 0;  ///< bytes of boot sector and setup code; the kernel follows
  bool loaded_high = false;    ///< bzImage: belongs at 1 MiB, not at 64 KiB
  u64 initrd_address_max = 0;  ///< last address that a RAM disk may occupy
  u64 command_line_max = 0;    ///< bytes without the terminating zero
  u64 run_address = 0;         ///< where it unpacks itself, and how much it needs there
  u64 run_size = 0;
};

/// Whether the bytes have the signatures of a Linux image, good or not.
bool looks_like_linux(std::span<const u8> head);

/// Checks the image. `name` is for messages.
Result<LinuxKernel> parse_linux_kernel(std::span<const u8> image, const std::string& name,
                                       LongMode long_mode);

Result<DirectBoot> prepare_linux_boot(KernelBoot boot);

}  // namespace ringshift::bios
