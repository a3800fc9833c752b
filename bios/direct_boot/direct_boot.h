// Starting a kernel file without a boot loader on a disk: what `--kernel`, `--initrd` and
// `--append` lead to. The kernel is taken apart here and placed in the guest's memory map on paper;
// the firmware then boots an option ROM of ours, which fetches the pieces and enters the kernel.
#pragma once

#include <string>
#include <vector>

#include "bios/firmware_items.h"
#include "bios/memory_layout.h"
#include "cpu/result.h"

namespace ringshift::bios {

/// RAM at the end of the low range that is left to the firmware: it keeps its tables there (SeaBIOS
/// at most 256 KiB of them).
inline constexpr u64 kFirmwareReserve = 1 << 20;

enum class LongMode : u8 { Absent, Present };

/// A file that goes with the kernel.
struct BootFile {
  std::string name;  ///< the path, and for a Multiboot module its arguments after a space
  std::vector<u8> content;
};

struct KernelBoot {
  BootFile kernel;
  std::vector<BootFile> initrds;  ///< Linux: joined in order; Multiboot: one module each
  std::string command_line;
  MemoryLayout memory;
  LongMode long_mode = LongMode::Absent;
};

/// What the firmware is given for it.
struct DirectBoot {
  FirmwareItems items;
  std::string boot_path;  ///< the line for the top of `bootorder`
};

/// Prepares a kernel of either kind. Errors are one line that names the file.
Result<DirectBoot> prepare_direct_boot(KernelBoot boot);

/// Reads the files. `initrds` are paths; with a Multiboot kernel each may be followed by a space
/// and the module's arguments.
Result<DirectBoot> load_direct_boot(const std::string& kernel,
                                    const std::vector<std::string>& initrds,
                                    const std::string& command_line, const MemoryLayout& memory,
                                    LongMode long_mode);

}  // namespace ringshift::bios
