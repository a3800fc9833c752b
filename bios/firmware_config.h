// Everything the firmware learns from the machine, gathered in one place: memory, processors, boot
// order, boot menu, ACPI and SMBIOS tables, a kernel to start directly.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "bios/direct_boot/direct_boot.h"
#include "bios/firmware_items.h"
#include "bios/memory_layout.h"
#include "bios/smbios.h"
#include "cpu/result.h"

namespace ringshift::bios {

/// A drive's place on the PIIX IDE controller: channel 0 primary, 1 secondary; unit 0 master, 1
/// slave.
struct IdePlace {
  unsigned channel = 0;
  unsigned unit = 0;
};

/// Which drives the board has, for the boot order.
struct BootDrives {
  unsigned floppies = 1;
  std::vector<IdePlace> hard_disks = {{0, 0}};
  std::vector<IdePlace> cd_drives = {{1, 0}};
};

/// Where the firmware shows its text and takes keys from besides the keyboard.
enum class FirmwareConsole : u8 { Screen, Serial };

struct BootMenu {
  bool enabled = false;  ///< F12 / Esc shows the menu
  std::optional<u16> wait_milliseconds;
  /// How long to wait after "No bootable device" before a reboot; nothing: for ever.
  std::optional<u32> retry_milliseconds;
};

struct FirmwareOptions {
  MemoryLayout memory;
  unsigned processors = 1;
  ProcessorIdentity processor = {};
  std::array<u8, 16> uuid{};
  std::string boot_order = "cad";  ///< a floppy, c hard disk, d CD, each at most once
  BootDrives drives = {};
  BootMenu menu = {};
  FirmwareConsole console = FirmwareConsole::Screen;
  // Which optional devices the board has, for ACPI.
  bool hpet = true;
  bool pvpanic = true;
  unsigned serial_ports = 2;
  unsigned parallel_ports = 1;
  /// A kernel to start before any drive.
  std::optional<DirectBoot> direct_boot = {};
};

/// Checks a boot order string: letters a, c and d, each at most once, at least one.
Result<void> check_boot_order(std::string_view order);

/// The content of the `bootorder` file: OpenFirmware device paths by falling priority, one a line.
/// `first` are paths that go before the drives.
std::vector<u8> boot_order_file(std::string_view order, const BootDrives& drives,
                                const std::vector<std::string>& first);

/// All items and files for the fw_cfg device.
FirmwareItems make_firmware_items(FirmwareOptions options);

}  // namespace ringshift::bios
