#include <catch2/catch.hpp>

#include "devices/chipset/host_bridge.h"
#include "devices/chipset/isa_bridge.h"
#include "devices/chipset/pirq_router.h"
#include "devices/chipset/power_management.h"
#include "mmu/guest_memory.h"
#include "tests/unit/devices/board_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;

namespace {

struct BridgeBoard : test::Board {
  mmu::GuestMemory guest = std::move(mmu::GuestMemory::create(4 << 20).value());
  mmu::MemoryBlock ram = guest.allocate(2 << 20, "ram").value();
  mmu::MemoryBlock rom = guest.allocate(0x40000, "bios").value();
  HostBridge bridge{spaces, 512 << 20, control};

  BridgeBoard() {
    memory.map_memory({0}, ram.size, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    memory.map_memory({0xC0000}, rom.size, mmu::MemoryMap::Kind::Rom, "bios", rom, 0);
    bridge.reset(ResetKind::PowerOn);
  }
};

struct PmBoard : test::Board {
  PirqRouter router{interrupts};
  PowerManagement pm{spaces, clock, control};
  IsaBridge isa{spaces, router, pm};

  PmBoard() {
    pm.sci().connect(router, PirqRouter::isa_line(9));
    REQUIRE(ports.map(IsaBridge::kApmPort, IsaBridge::kApmPortCount, "apm", isa));
    isa.reset(ResetKind::PowerOn);
    pm.reset(ResetKind::PowerOn);
    pm.config_write(0x40, 0x0601, 4);
    pm.config_write(0x80, 1, 1);
  }
};

constexpr Nanoseconds kHalfPeriodNs = 2'343'484'437;  // 2^23 / 3.579545 MHz, rounded down

}  // namespace

TEST_CASE_METHOD(BridgeBoard, "the host bridge shows its identity and reset values") {
  CHECK(bridge.config_read(0x00, 4) == 0x12378086);
  CHECK(bridge.config_read(0x04, 4) == 0x02800006);
  CHECK(bridge.config_read(0x08, 4) == 0x06000002);
  CHECK(bridge.config_read(0x2C, 4) == 0x11001AF4);
  CHECK(bridge.config_read(0x53, 1) == 0x83);
  CHECK(bridge.config_read(0x57, 1) == 0x01);
  CHECK(bridge.config_read(0x58, 4) == 0x00000010);
  CHECK(bridge.config_read(0x72, 1) == 0x02);
  // 512 MiB are 64 units of 8 MiB in eight equal rows.
  CHECK(bridge.config_read(0x60, 4) == 0x20181008);
  CHECK(bridge.config_read(0x64, 4) == 0x40383028);
  bridge.config_write(0x04, 0, 2);
  CHECK(bridge.config_read(0x04, 2) == 0x0006);
}

TEST_CASE_METHOD(BridgeBoard, "row boundaries of odd and large memories saturate") {
  HostBridge small{spaces, 24 << 20, control};
  CHECK(small.config_read(0x60, 4) == 0x03030201);
  CHECK(small.config_read(0x67, 1) == 3);
  HostBridge large{spaces, u64{3} << 30, control};
  CHECK(large.config_read(0x67, 1) == 0xFF);
}

TEST_CASE_METHOD(BridgeBoard, "PAM registers choose RAM or ROM for reads and writes") {
  rom.host[0x30000] = 0xEA;
  ram.host[0xF0000] = 0x11;
  CHECK(memory.read_value({0xF0000}, 1) == 0xEA);
  bridge.config_write(0x59, 0x20, 1);  // write enable only: copy the BIOS onto itself
  memory.write_value({0xF0000}, 0x22, 1);
  CHECK(memory.read_value({0xF0000}, 1) == 0xEA);
  CHECK(ram.host[0xF0000] == 0x22);
  bridge.config_write(0x59, 0x10, 1);  // read-only RAM
  memory.write_value({0xF0000}, 0x33, 1);
  CHECK(memory.read_value({0xF0000}, 1) == 0x22);
  bridge.config_write(0x59, 0xFF, 1);
  CHECK(bridge.config_read(0x59, 1) == 0x30);
  bridge.reset(ResetKind::System);
  CHECK(memory.read_value({0xF0000}, 1) == 0xEA);
}

TEST_CASE_METHOD(BridgeBoard, "each PAM nibble has its own 16 KiB") {
  for (unsigned i = 0; i < 12; ++i) {
    bridge.reset(ResetKind::System);
    const u8 offset = static_cast<u8>(0x5A + i / 2);
    bridge.config_write(offset, 3U << (4 * (i % 2)), 1);
    for (unsigned j = 0; j < 12; ++j) {
      const u64 address = 0xC0000 + 0x4000 * j + 0x3FFF;
      ram.host[address] = 0;
      memory.write_value({address}, 0x99, 1);
      INFO("register nibble " << i << ", area " << j);
      CHECK((ram.host[address] == 0x99) == (i == j));
    }
  }
}

TEST_CASE_METHOD(BridgeBoard, "SMRAM locks until reset") {
  bridge.config_write(0x72, 0x4A, 1);
  CHECK(bridge.config_read(0x72, 1) == 0x4A);
  bridge.config_write(0x72, 0x5D, 1);  // DOPEN with DLCK: the lock closes it
  CHECK(bridge.config_read(0x72, 1) == 0x1A);
  bridge.config_write(0x72, 0x62, 1);
  CHECK(bridge.config_read(0x72, 1) == 0x3A);
  bridge.reset(ResetKind::System);
  CHECK(bridge.config_read(0x72, 1) == 0x02);
}

TEST_CASE_METHOD(BridgeBoard, "the bridge's reset control register restarts the machine") {
  bridge.config_write(0x93, 0x02, 1);
  bridge.config_write(0x93, 0x06, 1);
  CHECK(control.resets == 1);
}

TEST_CASE_METHOD(BridgeBoard, "a snapshot restores the shadow control") {
  ram.host[0xC0000] = 0x77;
  bridge.config_write(0x5A, 0x03, 1);
  StateArchive saved;
  bridge.serialize(saved);
  bridge.reset(ResetKind::System);
  CHECK(memory.read_value({0xC0000}, 1) == 0);
  StateArchive restored(saved.bytes());
  bridge.serialize(restored);
  REQUIRE(restored.finish());
  CHECK(memory.read_value({0xC0000}, 1) == 0x77);
}

TEST_CASE("PCI pins rotate over the four PIRQs") {
  CHECK(PirqRouter::pirq_of(1, 1) == 0);
  CHECK(PirqRouter::pirq_of(2, 1) == 1);
  CHECK(PirqRouter::pirq_of(3, 1) == 2);
  CHECK(PirqRouter::pirq_of(4, 1) == 3);
  CHECK(PirqRouter::pirq_of(5, 1) == 0);
  CHECK(PirqRouter::pirq_of(3, 2) == 3);
  CHECK(PirqRouter::pirq_of(0, 1) == 3);
}

TEST_CASE_METHOD(PmBoard, "PIRQ route registers steer shared level interrupts") {
  CHECK(isa.config_read(0x00, 4) == 0x70008086);
  CHECK(isa.config_read(0x60, 4) == 0x80808080);
  IrqLine first, second, third;
  first.connect(router, PirqRouter::pci_line(3, 1));   // PIRQC
  second.connect(router, PirqRouter::pci_line(3, 1));  // another function of the slot
  third.connect(router, PirqRouter::pci_line(4, 1));   // PIRQD
  first.raise();
  isa.config_write(0x60, 0x0B0A0B0A, 4);  // A→10, B→11, C→10, D→11
  CHECK(interrupts.level(10));
  CHECK_FALSE(interrupts.level(11));
  second.raise();
  first.lower();
  CHECK(interrupts.level(10));
  third.raise();
  CHECK(interrupts.level(11));
  isa.config_write(0x63, 0x0A, 1);  // both wires on one request
  CHECK_FALSE(interrupts.level(11));
  second.lower();
  CHECK(interrupts.level(10));
  third.lower();
  CHECK_FALSE(interrupts.level(10));
  third.raise();
  for (const u8 reserved : {0x00, 0x01, 0x02, 0x08, 0x0D, 0x8A}) {
    isa.config_write(0x63, reserved, 1);
    for (unsigned irq = 0; irq < 16; ++irq) CHECK_FALSE(interrupts.level(irq));
  }
}

TEST_CASE_METHOD(PmBoard, "the router's state survives a snapshot without pulses") {
  IrqLine line;
  line.connect(router, PirqRouter::pci_line(1, 1));
  isa.config_write(0x60, 0x05, 1);
  line.raise();
  StateArchive saved;
  isa.serialize(saved);
  line.lower();
  StateArchive restored(saved.bytes());
  isa.serialize(restored);
  REQUIRE(restored.finish());
  line.restore_level(true);
  CHECK_FALSE(interrupts.level(5));  // the controller restores its own inputs
  line.lower();
  line.raise();
  CHECK(interrupts.level(5));
}

TEST_CASE_METHOD(PmBoard, "the ISA bridge's registers have their reset values and masks") {
  CHECK(isa.config_read(0x04, 2) == 0x0007);
  CHECK(isa.config_read(0x0E, 1) == 0x80);
  CHECK(isa.config_read(0x4C, 1) == 0x4D);
  CHECK(isa.config_read(0x4E, 2) == 0x0003);
  CHECK(isa.config_read(0x69, 1) == 0x02);
  isa.config_write(0x04, 0, 2);
  CHECK(isa.config_read(0x04, 2) == 0x0007);
  isa.config_write(0x4E, 0xFFFF, 2);
  CHECK(isa.config_read(0x4E, 2) == 0x01FF);
}

TEST_CASE_METHOD(PmBoard, "power management ports follow PMBASE and PMIOSE") {
  CHECK(pm.config_read(0x00, 4) == 0x71138086);
  CHECK(ports.read(0x604, 2) == 0);
  CHECK(ports.read(0x630, 1) == 0xFF);
  pm.config_write(0x40, 0xB000, 4);
  CHECK(pm.config_read(0x40, 4) == 0xB001);
  CHECK(ports.read(0x604, 2) == 0xFFFF);
  CHECK(ports.read(0xB004, 2) == 0);
  pm.config_write(0x80, 0, 1);
  CHECK(ports.read(0xB004, 2) == 0xFFFF);
}

TEST_CASE_METHOD(PmBoard, "firmware sees SMM prepared, and ACPI mode follows the APM port") {
  CHECK((pm.config_read(0x58, 4) & 1U << 25) != 0);
  ports.write(0xB3, 0x42, 1);
  CHECK(ports.read(0xB3, 1) == 0x42);
  ports.write(0xB2, 0xF1, 1);
  CHECK(ports.read(0xB2, 1) == 0xF1);
  CHECK((ports.read(0x604, 2) & 1) == 1);
  ports.write(0xB2, 0xF0, 1);
  CHECK((ports.read(0x604, 2) & 1) == 0);
  pm.config_write(0x58, 0, 4);  // no SMI, so nobody to enable ACPI
  ports.write(0xB2, 0xF1, 1);
  CHECK((ports.read(0x604, 2) & 1) == 0);
}

TEST_CASE_METHOD(PmBoard, "the PM timer counts at 3.579545 MHz in 24 bits") {
  CHECK(ports.read(0x608, 4) == 0);
  run(kNanosecondsPerSecond);
  CHECK(ports.read(0x608, 4) == 3'579'545);
  run(4 * kNanosecondsPerSecond);
  CHECK(ports.read(0x608, 4) == (5 * 3'579'545) % (1 << 24));
  ports.write(0x608, 0, 4);
  CHECK(ports.read(0x608, 4) == (5 * 3'579'545) % (1 << 24));
}

TEST_CASE_METHOD(PmBoard, "a timer overflow sets its status and, when enabled, the SCI") {
  run(kHalfPeriodNs);
  CHECK((ports.read(0x600, 2) & 1) == 0);
  run(1);
  CHECK((ports.read(0x600, 2) & 1) == 1);
  CHECK_FALSE(interrupts.level(9));
  ports.write(0x600, 1, 2);
  CHECK((ports.read(0x600, 2) & 1) == 0);
  CHECK(clock.next_deadline() == kNever);
  ports.write(0x602, 1, 2);
  ports.write(0x604, 1, 2);
  CHECK_FALSE(interrupts.level(9));
  run(kHalfPeriodNs + 1);
  CHECK(interrupts.level(9));
  ports.write(0x600, 1, 2);
  CHECK_FALSE(interrupts.level(9));
  CHECK(clock.next_deadline() != kNever);
}

TEST_CASE_METHOD(PmBoard, "the power button raises the SCI only in ACPI mode") {
  CHECK_FALSE(pm.press_power_button());
  CHECK((ports.read(0x600, 2) & 0x100) == 0x100);
  ports.write(0x600, 0x100, 2);
  ports.write(0x604, 1, 2);
  ports.write(0x602, 0x100, 2);
  CHECK(pm.press_power_button());
  CHECK(interrupts.level(9));
  ports.write(0x601, 1, 1);  // byte-wide acknowledgement
  CHECK_FALSE(interrupts.level(9));
}

TEST_CASE_METHOD(PmBoard, "SUS_EN with type 0 turns the machine off; other types wake at once") {
  ports.write(0x604, 0x2000 | 5 << 10, 2);
  CHECK(control.power_offs == 0);
  CHECK((ports.read(0x600, 2) & 0x8000) == 0x8000);
  CHECK(ports.read(0x604, 2) == 5 << 10);
  ports.write(0x604, 0, 2);
  CHECK(control.power_offs == 0);
  ports.write(0x604, 0x2000, 2);
  CHECK(control.power_offs == 1);
}

TEST_CASE_METHOD(PmBoard, "releasing the global lock tells the ACPI driver") {
  ports.write(0x604, 1, 2);
  ports.write(0x602, 0x20, 2);
  ports.write(0x628, 2, 4);
  CHECK((ports.read(0x600, 2) & 0x20) == 0x20);
  CHECK(interrupts.level(9));
  CHECK(ports.read(0x628, 4) == 0);
}

TEST_CASE_METHOD(PmBoard, "an empty SMBus answers every transaction with DEV_ERR") {
  pm.config_write(0x90, 0x0701, 4);
  pm.config_write(0xD2, 0x09, 1);
  CHECK(ports.read(0x700, 1) == 0xFF);
  pm.config_write(0x04, 1, 2);
  CHECK(ports.read(0x700, 1) == 0);
  ports.write(0x704, 0xA1, 1);
  ports.write(0x703, 0x02, 1);
  ports.write(0x702, 0x49, 1);  // start a byte-data transaction with interrupt
  CHECK(ports.read(0x700, 1) == 0x01);
  CHECK(ports.read(0x702, 1) == 0x09);
  run(1'000'000);
  CHECK(ports.read(0x700, 1) == 0x04);
  CHECK(interrupts.level(9));
  ports.write(0x700, 0xFF, 1);
  CHECK(ports.read(0x700, 1) == 0);
  CHECK_FALSE(interrupts.level(9));
  ports.write(0x702, 0x48, 1);
  ports.write(0x702, 0x02, 1);  // kill
  CHECK(ports.read(0x700, 1) == 0x10);
}

TEST_CASE_METHOD(PmBoard, "the SMBus block array rewinds on a read of the control register") {
  pm.config_write(0x90, 0x0701, 4);
  pm.config_write(0xD2, 0x01, 1);
  pm.config_write(0x04, 1, 2);
  for (u32 i = 0; i < 32; ++i) ports.write(0x707, i, 1);
  ports.read(0x702, 1);
  for (u32 i = 0; i < 33; ++i) CHECK(ports.read(0x707, 1) == i % 32);
  ports.write(0x701, 0xFF, 1);
  ports.write(0x708, 0xFF, 1);
  CHECK(ports.read(0x708, 1) == 0x0F);
  ports.write(0x70F, 0xFF, 1);
  CHECK(ports.read(0x70F, 1) == 0);
}

TEST_CASE_METHOD(PmBoard, "power management survives a snapshot") {
  ports.write(0x604, 1, 2);
  ports.write(0x602, 0x101, 2);
  pm.press_power_button();
  StateArchive saved;
  pm.serialize(saved);
  pm.reset(ResetKind::System);
  CHECK_FALSE(interrupts.level(9));
  StateArchive restored(saved.bytes());
  pm.serialize(restored);
  REQUIRE(restored.finish());
  CHECK(ports.read(0x600, 4) == 0x01010100);
  CHECK(pm.sci().level());
  CHECK(clock.next_deadline() != kNever);
}
