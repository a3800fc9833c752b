// The definition block that describes the board to the operating system's ACPI driver: the PCI root
// with its windows and interrupt routing, the ISA devices behind the PIIX bridge, the processors
// and the sleep states.
#pragma once

#include "bios/acpi/aml.h"
#include "bios/acpi/board_description.h"

namespace ringshift::bios::acpi {

/// The AML of the DSDT, without the table header.
Aml make_dsdt(const BoardDescription& board);

}  // namespace ringshift::bios::acpi
