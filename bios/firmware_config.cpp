#include "bios/firmware_config.h"

#include <algorithm>

#include "bios/acpi/tables.h"

namespace ringshift::bios {

namespace {

std::string drive_path(IdePlace place) {
  return "/pci@i0cf8/ide@1,1/drive@" + std::to_string(place.channel) + "/disk@" +
         std::to_string(place.unit);
}

void append_lines(std::vector<u8>& out, char letter, const BootDrives& drives) {
  const auto line = [&out](const std::string& path) { append_text(out, path + "\n"); };
  switch (letter) {
    case 'a':
      for (unsigned unit = 0; unit < drives.floppies; ++unit) {
        line("/pci@i0cf8/isa@1/fdc@03f0/floppy@" + std::to_string(unit));
      }
      break;
    case 'c':
      for (IdePlace place : drives.hard_disks) line(drive_path(place));
      break;
    case 'd':
      for (IdePlace place : drives.cd_drives) line(drive_path(place));
      break;
    default:
      break;
  }
}

void add_machine(FirmwareItems& result, const FirmwareOptions& options) {
  result.add_item(fw_cfg_key::kUuid, {options.uuid.begin(), options.uuid.end()});
  result.add_number(fw_cfg_key::kRamSize, options.memory.total(), 8);
  result.add_number(fw_cfg_key::kNoGraphic, options.console == FirmwareConsole::Serial ? 1 : 0, 2);
  result.add_number(fw_cfg_key::kProcessors, options.processors, 2);
  result.add_number(fw_cfg_key::kMostProcessors, options.processors, 2);
  // No NUMA nodes: a count of zero, then nothing for each processor.
  result.add_item(fw_cfg_key::kNuma, std::vector<u8>(8 + 8 * std::size_t{options.processors}));
  result.add_number(fw_cfg_key::kAcpiTables, 0, 2);     // none to add to the linker script's
  result.add_number(fw_cfg_key::kSmbiosEntries, 0, 2);  // likewise
  result.add_number(fw_cfg_key::kIrq0Override, 1, 4);   // the timer is wired to I/O APIC pin 2
  result.add_file("etc/e820", options.memory.e820_file());
  // Neither S3 nor S4 is offered; the low bits are the chipset's sleep types for them.
  result.add_file("etc/system-states", {128, 0, 0, 1, 2, 128});
}

void add_tables(FirmwareItems& result, const FirmwareOptions& options) {
  acpi::TableFiles tables = acpi::make_tables({.memory = options.memory,
                                               .processors = options.processors,
                                               .hpet = options.hpet,
                                               .pvpanic = options.pvpanic,
                                               .floppies = options.drives.floppies,
                                               .serial_ports = options.serial_ports,
                                               .parallel_ports = options.parallel_ports});
  result.add_file(acpi::kTablesFile, std::move(tables.tables));
  result.add_file(acpi::kRsdpFile, std::move(tables.rsdp));
  result.add_file(acpi::kLoaderFile, std::move(tables.loader));
  SmbiosFiles smbios = make_smbios({.memory = options.memory,
                                    .processors = options.processors,
                                    .processor = options.processor,
                                    .uuid = options.uuid});
  result.add_file(kSmbiosTablesFile, std::move(smbios.tables));
  result.add_file(kSmbiosAnchorFile, std::move(smbios.anchor));
}

void add_boot_menu(FirmwareItems& result, const BootMenu& menu) {
  result.add_number(fw_cfg_key::kBootMenu, menu.enabled ? 1 : 0, 2);
  if (menu.wait_milliseconds) {
    result.add_number_file("etc/boot-menu-wait", *menu.wait_milliseconds, 2);
  }
  result.add_number_file("etc/boot-fail-wait", menu.retry_milliseconds.value_or(~0U), 4);
}

}  // namespace

Result<void> check_boot_order(std::string_view order) {
  const bool known = !order.empty() && order.find_first_not_of("acd") == std::string_view::npos;
  bool repeated = false;
  for (char letter : order)
    repeated = repeated || std::count(order.begin(), order.end(), letter) > 1;
  if (known && !repeated) return {};
  return Error{"boot order '" + std::string(order) +
               "': use the letters a (floppy), c (hard disk) and d (CD), each at most once"};
}

std::vector<u8> boot_order_file(std::string_view order, const BootDrives& drives,
                                const std::vector<std::string>& first) {
  std::vector<u8> file;
  for (const std::string& path : first) append_text(file, path + "\n");
  for (char letter : order) append_lines(file, letter, drives);
  file.push_back(0);
  return file;
}

FirmwareItems make_firmware_items(FirmwareOptions options) {
  FirmwareItems result;
  std::vector<std::string> first;
  if (options.direct_boot) {
    first.push_back(options.direct_boot->boot_path);
    result = std::move(options.direct_boot->items);
  }
  add_machine(result, options);
  add_tables(result, options);
  add_boot_menu(result, options.menu);
  result.add_file("bootorder", boot_order_file(options.boot_order, options.drives, first));
  return result;
}

}  // namespace ringshift::bios
