#include "bios/acpi/dsdt.h"

#include <array>
#include <string>

#include "bios/acpi/resources.h"

namespace ringshift::bios::acpi {

namespace {

// _STA results (ACPI 6.3 §6.3.7): present, enabled, shown, functioning.
constexpr u64 kWorking = 0x0F;
constexpr u64 kWorkingHidden = 0x0B;
constexpr u64 kDisabledHidden = 0x09;

// Bit 7 of a PIRQRC register: not routed to any interrupt.
constexpr u64 kNotRouted = 0x80;
constexpr std::array<std::string_view, 4> kLinks = {"LNKA", "LNKB", "LNKC", "LNKD"};
constexpr std::array<std::string_view, 4> kRoutes = {"PRQA", "PRQB", "PRQC", "PRQD"};

Aml current_resources(const ResourceTemplate& resources) {
  return name("_CRS", resources.buffer());
}
Aml hardware_id(std::string_view id) {
  return name("_HID", eisa_id(id));
}
Aml status(u64 value) {
  return name("_STA", integer(value));
}

// --- PCI interrupt routing
// --------------------------------------------------------------------------

/// A link device: one PIRQ pin of the PIIX with its route register (82371AB §4.1.10).
Aml routed_link(unsigned pin) {
  const Aml route = path(kRoutes[pin]);
  const ResourceTemplate choices = ResourceTemplate().shared_interrupts({5, 10, 11});
  return device(
      kLinks[pin],
      {hardware_id("PNP0C0F"), name("_UID", integer(pin)), name("_PRS", choices.buffer()),
       method(
           "_STA", 0, MethodKind::Concurrent,
           {if_true(bit_and(route, integer(kNotRouted)), {return_value(integer(kDisabledHidden))}),
            return_value(integer(kWorkingHidden))}),
       method("_DIS", 0, MethodKind::Concurrent, {bit_or(route, integer(kNotRouted), route)}),
       method("_CRS", 0, MethodKind::Serialized,
              {name("PRRB", ResourceTemplate().shared_interrupts({0}).buffer()),
               create_dword_field(path("PRRB"), kInterruptNumberOffset, "PRRI"),
               if_true(less(route, integer(kNotRouted)), {store(route, path("PRRI"))}),
               return_value(path("PRRB"))}),
       method("_SRS", 1, MethodKind::Serialized,
              {create_dword_field(argument(0), kInterruptNumberOffset, "PRRI"),
               store(path("PRRI"), route)})});
}

/// The power management function's pin: its SCI is wired to IRQ 9 and can't be moved.
Aml fixed_link() {
  const Aml nine = ResourceTemplate().shared_interrupts({kSciInterrupt}).buffer();
  return device("LNKS", {hardware_id("PNP0C0F"), name("_UID", integer(kLinks.size())),
                         name("_PRS", nine), name("_CRS", nine), status(kWorkingHidden),
                         method("_DIS", 0, MethodKind::Concurrent, {}),
                         method("_SRS", 1, MethodKind::Concurrent, {})});
}

/// Pin INTx of slot s reaches PIRQ (x + s - 1) mod 4; slot 1 INTA is the power management
/// function's.
Aml routing_table() {
  std::vector<Aml> entries;
  for (unsigned slot = 0; slot < 32; ++slot) {
    for (unsigned pin = 0; pin < 4; ++pin) {
      const bool power_management = slot == kIsaSlot && pin == 0;
      const std::string_view link = power_management ? "LNKS" : kLinks[(slot + pin + 3) % 4];
      entries.push_back(
          package({integer(u64{slot} << 16 | 0xFFFF), integer(pin), path(link), integer(0)}));
    }
  }
  return name("_PRT", package(entries));
}

// --- Devices of the ISA bus
// ---------------------------------------------------------------------------

Aml isa_device(std::string_view object, std::string_view id, const ResourceTemplate& resources) {
  return device(object, {hardware_id(id), status(kWorking), current_resources(resources)});
}

Aml numbered_isa_device(std::string_view object, std::string_view id, unsigned number,
                        const ResourceTemplate& resources) {
  return device(object, {hardware_id(id), name("_UID", integer(number)), status(kWorking),
                         current_resources(resources)});
}

/// A 1.44 MB drive: INT 13h AH=08h's answer, which _FDI repeats (ACPI 6.3 §9.9.2).
Aml floppy_drive(unsigned number) {
  constexpr std::array<u8, 15> kGeometry = {4,  79,   18,   1,    0xAF, 0x02, 0x25, 0x02,
                                            18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08};
  std::vector<Aml> information = {integer(number)};
  for (u8 byte : kGeometry) information.push_back(integer(byte));
  return device(number == 0 ? "FLPA" : "FLPB",
                {name("_ADR", integer(number)), name("_FDI", package(information))});
}

Aml floppy_controller(unsigned drives) {
  std::vector<u8> present(20);
  for (unsigned i = 0; i < drives; ++i) present[4 * i] = 1;
  present[16] = 2;  // tape: can't be told
  ResourceTemplate resources;
  resources.ports(0x3F2, 4).ports(0x3F7, 1).irq(6).dma(2);
  return device("FDC0", {hardware_id("PNP0700"), status(kWorking), current_resources(resources),
                         name("_FDE", buffer(present)), floppy_drive(0),
                         drives > 1 ? floppy_drive(1) : Aml{}});
}

Aml input_devices() {
  Aml result =
      isa_device("KBD", "PNP0303", ResourceTemplate().ports(0x60, 1).ports(0x64, 1).irq(1));
  const Aml mouse = isa_device("MOU", "PNP0F13", ResourceTemplate().irq(12));
  result.insert(result.end(), mouse.begin(), mouse.end());
  return result;
}

Aml communication_ports(const BoardDescription& board) {
  Aml result;
  const auto add = [&result](const Aml& part) {
    result.insert(result.end(), part.begin(), part.end());
  };
  if (board.serial_ports > 0) {
    add(numbered_isa_device("COM1", "PNP0501", 1, ResourceTemplate().ports(0x3F8, 8).irq(4)));
  }
  if (board.serial_ports > 1) {
    add(numbered_isa_device("COM2", "PNP0501", 2, ResourceTemplate().ports(0x2F8, 8).irq(3)));
  }
  if (board.parallel_ports > 0) {
    add(numbered_isa_device("LPT1", "PNP0400", 1, ResourceTemplate().ports(0x378, 8).irq(7)));
  }
  return result;
}

/// Interrupt controllers, DMA, timer and speaker: fixed, and known to every system anyway.
Aml legacy_devices() {
  ResourceTemplate dma;
  dma.ports(0x00, 0x10).ports(0x81, 0x0F).ports(0xC0, 0x20).dma(4);
  const std::array<Aml, 6> devices = {
      isa_device("PIC", "PNP0000",
                 ResourceTemplate().ports(0x20, 2).ports(0xA0, 2).ports(0x4D0, 2).irq(2)),
      isa_device("TMR", "PNP0100", ResourceTemplate().ports(0x40, 4).irq(0)),
      isa_device("DMAC", "PNP0200", dma),
      isa_device("SPKR", "PNP0800", ResourceTemplate().ports(0x61, 1)),
      isa_device("FPU", "PNP0C04", ResourceTemplate().ports(0xF0, 0x10).irq(13)),
      isa_device("RTC", "PNP0B00", ResourceTemplate().ports(0x70, 8).irq(8))};
  Aml result;
  for (const Aml& part : devices) result.insert(result.end(), part.begin(), part.end());
  return result;
}

/// Ports of the chipset that no other device here owns, so that nobody places a BAR there.
Aml chipset_ports() {
  ResourceTemplate resources;
  resources.ports(0x80, 1).ports(0x92, 1).ports(kSmiCommandPort, 2);
  resources.ports(kPowerManagementBase, 0x40).ports(kSmbusBase, 0x10);
  return device("MBRS", {hardware_id("PNP0C02"), name("_UID", integer(1)), status(kWorking),
                         current_resources(resources)});
}

Aml paravirtual_devices(const BoardDescription& board) {
  Aml result = device("FWCF", {name("_HID", string("QEMU0002")), status(kWorkingHidden),
                               current_resources(ResourceTemplate().ports(0x510, 0x0C))});
  if (board.pvpanic) {
    const Aml panic = device("PEVT", {name("_HID", string("QEMU0001")), status(kWorking),
                                      current_resources(ResourceTemplate().ports(0x505, 1))});
    result.insert(result.end(), panic.begin(), panic.end());
  }
  return result;
}

Aml isa_bridge(const BoardDescription& board) {
  return device("ISA", {name("_ADR", integer(u64{kIsaSlot} << 16)),
                        operation_region("PIRQ", RegionSpace::PciConfig, kPirqRouteControl, 4),
                        input_devices(), communication_ports(board),
                        board.floppies > 0 ? floppy_controller(board.floppies) : Aml{},
                        legacy_devices(), chipset_ports(), paravirtual_devices(board)});
}

// --- The PCI root
// ---------------------------------------------------------------------------------------

Aml root_resources(const BoardDescription& board) {
  ResourceTemplate resources;
  resources.bus_window(0, 0xFF).ports(0xCF8, 8);
  resources.port_window(0x0000, 0x0CF7).port_window(0x0D00, 0xFFFF);
  resources.memory_window(0xA0000, 0xBFFFF, ResourceTemplate::Caching::Cacheable);
  resources.memory_window(static_cast<u32>(board.memory.pci_hole_first()),
                          static_cast<u32>(MemoryLayout::kPciHoleEnd - 1),
                          ResourceTemplate::Caching::NonCacheable);
  return current_resources(resources);
}

Aml pci_root(const BoardDescription& board) {
  return device("PCI0", {hardware_id("PNP0A03"), name("_UID", integer(0)), root_resources(board),
                         routing_table(), isa_bridge(board)});
}

Aml hpet_device() {
  return device("HPET", {hardware_id("PNP0103"), name("_UID", integer(0)), status(kWorking),
                         current_resources(ResourceTemplate().memory(kHpetBase, 0x400))});
}

std::vector<Aml> system_bus(const BoardDescription& board) {
  std::vector<Aml> result;
  for (unsigned i = 0; i < board.processors; ++i) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const std::string object = {'C', 'P', kDigits[i >> 4 & 0xF], kDigits[i & 0xF]};
    result.push_back(processor(object, static_cast<u8>(i), {}));
  }
  result.push_back(pci_root(board));
  if (board.hpet) result.push_back(hpet_device());
  // The links stand beside the root so that their methods reach the route registers by short names.
  result.push_back(byte_field(
      "PCI0.ISA.PIRQ", {{kRoutes[0], 8}, {kRoutes[1], 8}, {kRoutes[2], 8}, {kRoutes[3], 8}}));
  for (unsigned pin = 0; pin < kLinks.size(); ++pin) result.push_back(routed_link(pin));
  result.push_back(fixed_link());
  return result;
}

Aml sleep_state(std::string_view object, u8 sleep_type) {
  return name(object, package({integer(sleep_type), integer(sleep_type), integer(0), integer(0)}));
}

}  // namespace

Aml make_dsdt(const BoardDescription& board) {
  const std::array<Aml, 6> parts = {
      scope("\\_SB", system_bus(board)),
      scope("\\_GPE", {name("_HID", string("ACPI0006"))}),
      name("\\PICF", integer(0)),
      method("\\_PIC", 1, MethodKind::Concurrent, {store(argument(0), path("\\PICF"))}),
      sleep_state("\\_S0", kSleepTypeOn),
      sleep_state("\\_S5", kSleepTypeOff)};
  Aml result;
  for (const Aml& part : parts) result.insert(result.end(), part.begin(), part.end());
  return result;
}

}  // namespace ringshift::bios::acpi
