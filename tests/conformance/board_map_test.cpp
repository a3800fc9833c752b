// The board against its description: what is claimed where, which requests are wired, which PCI
// functions there are, and that the ACPI tables, which are written elsewhere, tell the same.
#include <catch2/catch.hpp>

#include <set>

#include "bios/acpi/board_description.h"
#include "bios/acpi/dsdt.h"
#include "tests/conformance/board_fixture.h"

namespace ringshift::devices::test {
namespace {

namespace acpi = bios::acpi;
using Kind = BoardEvent::Kind;

struct Range {
  u64 first, length;
  auto operator<=>(const Range&) const = default;
};

/// The board's ports once firmware has placed what moves.
const std::set<Range> kPorts = {
    {0x000, 16}, {0x020, 2},  {0x040, 4}, {0x060, 1},  {0x061, 1},  {0x064, 1}, {0x070, 4},
    {0x080, 16}, {0x092, 1},  {0x0A0, 2}, {0x0B2, 2},  {0x0C0, 32}, {0x0E9, 1}, {0x0F0, 2},
    {0x170, 8},  {0x1CE, 4},  {0x1F0, 8}, {0x2F8, 8},  {0x376, 1},  {0x378, 3}, {0x3B4, 2},
    {0x3BA, 1},  {0x3C0, 16}, {0x3D4, 2}, {0x3DA, 1},  {0x3F0, 6},  {0x3F6, 1}, {0x3F7, 1},
    {0x3F8, 8},  {0x402, 1},  {0x4D0, 2}, {0x501, 4},  {0x505, 1},  {0x510, 2}, {0x514, 8},
    {0x600, 64}, {0x700, 16}, {0xCF8, 8}, {0xC000, 16}};

std::unique_ptr<TestBoard> configured_board() {
  auto board = TestBoard::create();
  board->configure_pci();
  return board;
}

bool claimed(TestBoard& board, u32 port) {
  for (const auto& region : board.board().ports().regions()) {
    if (port >= region.first && port < region.first + region.count) return true;
  }
  return false;
}

std::vector<BoardEvent> after(TestBoard& board, u16 port, u32 value, unsigned size) {
  board.take_events();
  board.out(port, value, size);
  return board.take_events();
}

}  // namespace

TEST_CASE("the board claims the PC's ports, each once") {
  auto board = configured_board();
  std::set<Range> found;
  u32 end = 0;
  for (const auto& region : board->board().ports().regions()) {
    CAPTURE(region.name, region.first);
    CHECK_FALSE(region.name.empty());
    CHECK(region.first >= end);
    end = region.first + region.count;
    found.insert({region.first, region.count});
  }
  CHECK(found == kPorts);
}

TEST_CASE("device memory lies where a PC has it, without overlap") {
  auto board = configured_board();
  u64 end = 0;
  std::set<Range> devices;
  for (const auto& region : board->map().regions()) {
    CAPTURE(region.name, region.first.value);
    CHECK(region.first.value >= end);
    end = region.first.value + region.length;
    if (region.kind == mmu::MemoryMap::Kind::Mmio) {
      devices.insert({region.first.value, region.length});
    }
  }
  CHECK(devices == std::set<Range>{{0xA0000, 0x20000},
                                   {0xFEB0'0000, 0x1000},
                                   {0xFEC0'0000, IoApic::kRegionSize},
                                   {0xFED0'0000, Hpet::kRegionSize},
                                   {0xFEE0'0000, 0x1000}});
}

TEST_CASE("each interrupt request has one source, and each device a name of its own") {
  auto board = configured_board();
  std::set<unsigned> requests;
  for (const auto& [number, name] : board->board().interrupts()) {
    CAPTURE(number, name);
    CHECK_FALSE(name.empty());
    CHECK(requests.insert(number).second);
  }
  CHECK(requests == std::set<unsigned>{0, 1, 3, 4, 6, 7, 8, 9, 12, 13, 14, 15});
  std::set<std::string_view> names;
  for (const Device* device : board->board().all_devices()) {
    CAPTURE(device->name());
    CHECK_FALSE(device->name().empty());
    CHECK(names.insert(device->name()).second);
  }
}

TEST_CASE("the PCI bus has the 440FX chip set and a video card") {
  auto board = configured_board();
  struct Function {
    unsigned slot, function;
    u16 vendor, device;
    u16 class_code;
  };
  const std::vector<Function> expected = {{0, 0, 0x8086, 0x1237, 0x0600},
                                          {1, 0, 0x8086, 0x7000, 0x0601},
                                          {1, 1, 0x8086, 0x7010, 0x0101},
                                          {1, 3, 0x8086, 0x7113, 0x0680},
                                          {2, 0, 0x1234, 0x1111, 0x0300}};
  const auto found = board->board().pci_functions();
  REQUIRE(found.size() == expected.size());
  for (std::size_t n = 0; n < expected.size(); ++n) {
    const Function& function = expected[n];
    CAPTURE(function.slot, function.function, found[n].name);
    CHECK(found[n].slot == function.slot);
    CHECK(found[n].function == function.function);
    CHECK(found[n].vendor == function.vendor);
    CHECK(found[n].device == function.device);
    // And the guest sees the same through the ports.
    CHECK(board->read_config(function.slot, function.function, 0, 4) ==
          (u32{function.device} << 16 | function.vendor));
    CHECK(board->read_config(function.slot, function.function, 0x0A, 2) == function.class_code);
  }
  // Function 0 of the south bridge says that there are more.
  CHECK((board->read_config(1, 0, 0x0E, 1) & 0x80) != 0);
  CHECK(board->read_config(3, 0, 0, 4) == 0xFFFF'FFFF);
}

TEST_CASE("ACPI fixed hardware is where the FADT says") {
  auto board = configured_board();
  CHECK(acpi::kPm1EventBlock - acpi::kPowerManagementBase == PowerManagement::kPm1Event);
  CHECK(acpi::kPm1ControlBlock - acpi::kPowerManagementBase == PowerManagement::kPm1Control);
  CHECK(acpi::kPmTimerBlock - acpi::kPowerManagementBase == PowerManagement::kPmTimer);
  CHECK(acpi::kGpe0Block - acpi::kPowerManagementBase == PowerManagement::kGpe0);

  // SCI_EN follows the SMI command port.
  board->out(acpi::kSmiCommandPort, acpi::kAcpiEnable);
  CHECK((board->in(acpi::kPm1ControlBlock, 2) & 1) == 1);
  board->out(acpi::kSmiCommandPort, acpi::kAcpiDisable);
  CHECK((board->in(acpi::kPm1ControlBlock, 2) & 1) == 0);
  board->out(acpi::kSmiCommandPort, acpi::kAcpiEnable);

  // The PM timer's 3.579545 MHz over a second.
  const u32 start = board->in(acpi::kPmTimerBlock, 4);
  REQUIRE(board->advance(kNanosecondsPerSecond));
  CHECK(((board->in(acpi::kPmTimerBlock, 4) - start) & 0xFF'FFFF) == 3'579'545);

  // GPE0: status, then as many bytes of enable bits.
  board->out(acpi::kGpe0Block + acpi::kGpe0Length / 2, 0x0F01, 2);
  CHECK(board->in(acpi::kGpe0Block + acpi::kGpe0Length / 2, 2) == 0x0F01);

  // The power button raises the SCI, which is ISA request 9: the slave 8259 sees it.
  board->out(acpi::kPm1EventBlock + 2, 0x0100, 2);
  CHECK(board->board().power().press_power_button());
  board->out(0xA0, 0x0A);  // OCW3: read IRR
  CHECK((board->in(0xA0) & 1U << (acpi::kSciInterrupt - 8)) != 0);

  // SLP_TYP and SLP_EN for S5.
  const auto off = after(*board, acpi::kPm1ControlBlock, 0x2000 | acpi::kSleepTypeOff << 10, 2);
  CHECK(off == std::vector<BoardEvent>{{Kind::PowerOff, 0, 0}});
  const auto reset = after(*board, acpi::kResetPort, acpi::kResetValue, 1);
  CHECK(reset == std::vector<BoardEvent>{{Kind::Reset, 0, 0}});
  CHECK(board->read_config(acpi::kIsaSlot, 3, 0x90, 4) == (acpi::kSmbusBase | 1));
}

TEST_CASE("APICs and HPET are where the MADT and the HPET table say") {
  auto board = configured_board();
  u64 base = 0;
  REQUIRE(board->board().read_apic_msr(LocalApic::kApicBaseMsr, base));
  CHECK((base & ~u64{0xFFF}) == acpi::kLocalApicBase);
  CHECK((board->map().read_value({acpi::kLocalApicBase + 0x30}, 4) & 0xFF) >= 0x10);
  board->map().write_value({acpi::kIoApicBase}, 0, 4);
  CHECK(board->map().read_value({acpi::kIoApicBase + 0x10}, 4) >> 24 == acpi::kIoApicId);
  board->map().write_value({acpi::kIoApicBase}, 1, 4);
  CHECK((board->map().read_value({acpi::kIoApicBase + 0x10}, 4) >> 16 & 0xFF) ==
        IoApic::kPinCount - 1);
  CHECK(board->map().read_value({acpi::kHpetBase}, 4) == acpi::kHpetBlockId);
  CHECK(board->map().read_value({acpi::kHpetBase + 4}, 4) == Hpet::kFemtosecondsPerTick);
}

TEST_CASE("the ISA bridge routes as the DSDT's links do") {
  auto board = configured_board();
  for (u8 pirq = 0; pirq < 4; ++pirq) {
    const auto at = static_cast<u8>(acpi::kPirqRouteControl + pirq);
    board->write_config(acpi::kIsaSlot, 0, at, 0x0B, 1);
    CHECK(board->read_config(acpi::kIsaSlot, 0, at, 1) == 0x0B);
    board->write_config(acpi::kIsaSlot, 0, at, 0x80, 1);
    CHECK(board->read_config(acpi::kIsaSlot, 0, at, 1) == 0x80);
  }
}

TEST_CASE("what the DSDT tells of ports, requests and links is what the board has") {
  auto board = configured_board();
  const auto layout = bios::MemoryLayout::create(u64{256} << 20);
  REQUIRE(layout.ok());
  const acpi::BoardDescription description{.memory = *layout, .floppies = 2};
  const std::vector<u8> dsdt = acpi::make_dsdt(description);

  // I/O port descriptors with 16-bit decoding: tag, information, first twice, alignment, length
  // (ACPI 6.3 §6.4.2.5).
  std::set<u32> ports;
  for (std::size_t at = 0; at + 8 <= dsdt.size(); ++at) {
    const u32 first = dsdt[at + 2] | dsdt[at + 3] << 8, last = dsdt[at + 4] | dsdt[at + 5] << 8;
    if (dsdt[at] != 0x47 || dsdt[at + 1] != 0x01 || first != last) continue;
    ports.insert(first);
    CAPTURE(first);
    CHECK(claimed(*board, first));
  }
  for (const u32 port :
       {0x000, 0x020, 0x040, 0x060, 0x061, 0x064, 0x070, 0x080, 0x092, 0x0A0, 0x0B2, 0x0C0,
        0x0F0, 0x2F8, 0x378, 0x3F2, 0x3F7, 0x3F8, 0x4D0, 0x505, 0x510, 0x600, 0x700, 0xCF8}) {
    CAPTURE(port);
    CHECK(ports.contains(port));
  }

  // The 128 entries of _PRT in order name the link of each slot's pin.
  const std::string text(dsdt.begin(), dsdt.end());
  std::size_t at = text.find("_PRT");
  REQUIRE(at != std::string::npos);
  for (unsigned slot = 0; slot < 32; ++slot) {
    for (unsigned pin = 0; pin < 4; ++pin) {
      at = text.find("LNK", at + 1);
      REQUIRE(at != std::string::npos);
      CAPTURE(slot, pin);
      const bool power_management = slot == acpi::kIsaSlot && pin == 0;
      const char expected =
          power_management ? 'S' : static_cast<char>('A' + PirqRouter::pirq_of(slot, pin + 1));
      CHECK(text[at + 3] == expected);
    }
  }
}

TEST_CASE("the board's paravirtual ports answer where firmware looks for them") {
  auto board = configured_board();
  board->out(0x510, FwCfg::kKeySignature, 2);
  std::string signature;
  for (unsigned n = 0; n < 4; ++n) signature += static_cast<char>(board->in(0x511));
  CHECK(signature == "QEMU");
  CHECK(board->in(0x402) == 0xE9);
  CHECK(after(*board, 0x402, 'x', 1) == std::vector<BoardEvent>{{Kind::Transmit, 3, 'x'}});
  CHECK(after(*board, 0x505, 1, 1) == std::vector<BoardEvent>{{Kind::Panic, 0, 0}});
  CHECK(after(*board, TestBoard::kDebugExitPort, 5, 4) ==
        std::vector<BoardEvent>{{Kind::DebugExit, 0, 5}});
}

}  // namespace ringshift::devices::test
