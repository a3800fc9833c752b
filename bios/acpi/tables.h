// The ACPI tables as files for the firmware: RSDP, RSDT, FADT, FACS, DSDT, MADT, HPET and WAET,
// with the script that links them. The DSDT describes devices; the others describe what an
// operating system needs before it can interpret AML.
#pragma once

#include <vector>

#include "bios/acpi/board_description.h"
#include "cpu/types.h"

namespace ringshift::bios::acpi {

inline constexpr const char* kTablesFile = "etc/acpi/tables";
inline constexpr const char* kRsdpFile = "etc/acpi/rsdp";
inline constexpr const char* kLoaderFile = "etc/table-loader";

struct TableFiles {
  std::vector<u8> tables;  ///< all but the RSDP; addresses are offsets until linked
  std::vector<u8> rsdp;
  std::vector<u8> loader;
};

TableFiles make_tables(const BoardDescription& board);

}  // namespace ringshift::bios::acpi
