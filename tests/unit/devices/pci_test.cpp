#include <catch2/catch.hpp>

#include "devices/pci/config_ports.h"
#include "devices/pci/pci.h"
#include "mmu/guest_memory.h"
#include "tests/unit/devices/board_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;

namespace {

class Registers final : public IoHandler {
 public:
  u64 io_read(u64 offset, unsigned size) override { return 0x1000 * size + offset; }
  void io_write(u64 offset, u64 value, unsigned size) override { last = {offset, value, size}; }
  struct Write {
    u64 offset = 0, value = 0;
    unsigned size = 0;
  } last;
};

constexpr PciIdentity kCard = {.vendor = 0x1234,
                               .device = 0x5678,
                               .revision = 9,
                               .class_code = 3,
                               .subclass = 1,
                               .programming_interface = 2,
                               .subsystem_vendor = 0xAAAA,
                               .subsystem = 0xBBBB,
                               .header_type = 0,
                               .interrupt_pin = 1};

class Card final : public PciFunction {
 public:
  Card(PciAddressSpaces spaces, const mmu::MemoryBlock& frame_buffer, const mmu::MemoryBlock& rom)
      : PciFunction(kCard, spaces) {
    add_io_bar(0, 32, "card ports", registers);
    add_mmio_bar(1, 0x1000, "card registers", registers);
    add_memory_bar(2, "card memory", frame_buffer);
    set_expansion_rom("card rom", rom);
    config()[0x40] = 0x5A;  // a read-only register of the device
  }
  std::string_view name() const override { return "card"; }
  using PciFunction::set_interrupt;
  Registers registers;
};

struct PciBoard : test::Board {
  mmu::GuestMemory guest = std::move(mmu::GuestMemory::create(4 << 20).value());
  mmu::MemoryBlock ram = guest.allocate(2 << 20, "ram").value();
  mmu::MemoryBlock frame_buffer = guest.allocate(0x10000, "fb").value();
  mmu::MemoryBlock rom = guest.allocate(0x8000, "rom").value();
  Card card{spaces, frame_buffer, rom};
  Card other{spaces, frame_buffer, rom};
  ConfigurationPorts configuration{bus, control};

  PciBoard() {
    memory.map_memory({0}, ram.size, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    bus.attach(3, 0, card);
    bus.attach(4, 0, other);
    REQUIRE(ports.map(ConfigurationPorts::kFirstPort, ConfigurationPorts::kPortCount, "pci",
                      configuration, {1, 4}));
  }
  void select(unsigned slot, u8 offset) {
    ports.write(0xCF8, 0x80000000U | slot << 11 | (offset & 0xFCU), 4);
  }
  u32 get(unsigned slot, u8 offset, unsigned size = 4) {
    select(slot, offset);
    return ports.read(static_cast<u16>(0xCFC + (offset & 3)), size);
  }
  void put(unsigned slot, u8 offset, u32 value, unsigned size = 4) {
    select(slot, offset);
    ports.write(static_cast<u16>(0xCFC + (offset & 3)), value, size);
  }
};

}  // namespace

TEST_CASE_METHOD(PciBoard, "configuration mechanism 1 latches dwords only") {
  ports.write(0xCF8, 0xFFFFFFFF, 4);
  CHECK(ports.read(0xCF8, 4) == 0x80FFFFFC);
  ports.write(0xCF8, 0x12, 1);
  ports.write(0xCFA, 0x3456, 2);
  CHECK(ports.read(0xCF8, 4) == 0x80FFFFFC);
  CHECK(ports.read(0xCF8, 2) == 0xFFFF);
  ports.write(0xCF8, 0x1800, 4);  // enable bit clear: the window is closed
  CHECK(ports.read(0xCFC, 4) == 0xFFFFFFFF);
  ports.write(0xCFC, 0, 4);
  CHECK(get(3, 0x00) == 0x56781234);
}

TEST_CASE_METHOD(PciBoard, "the data window takes bytes, words, dwords and unaligned words") {
  CHECK(get(3, 0x08) == 0x03010209);
  CHECK(get(3, 0x0B, 1) == 0x03);
  CHECK(get(3, 0x0A, 2) == 0x0301);
  CHECK(get(3, 0x09, 2) == 0x0102);
  put(3, 0x11, 0xABCD, 2);
  CHECK(get(3, 0x10) == 0x00ABCD01);
}

TEST_CASE_METHOD(PciBoard, "absent functions and buses read as all ones") {
  CHECK(get(9, 0) == 0xFFFFFFFF);
  CHECK(get(9, 0, 1) == 0xFF);
  CHECK(get(9, 0, 2) == 0xFFFF);
  ports.write(0xCF8, 0x80011800, 4);
  CHECK(ports.read(0xCFC, 4) == 0xFFFFFFFF);
  put(9, 4, 7);
  CHECK(bus.at(9, 0) == nullptr);
  CHECK(bus.at(3, 0) == &card);
  CHECK(bus.at(40, 0) == nullptr);
}

TEST_CASE_METHOD(PciBoard, "the reset control register resets on a rising RCPU bit") {
  ports.write(0xCF9, 0x02, 1);
  CHECK(control.resets == 0);
  CHECK(ports.read(0xCF9, 1) == 0x02);
  ports.write(0xCF9, 0x06, 1);
  CHECK(control.resets == 1);
  ports.write(0xCF9, 0x06, 1);
  CHECK(control.resets == 1);
  configuration.reset(ResetKind::System);
  CHECK(ports.read(0xCF9, 1) == 0);
}

TEST_CASE_METHOD(PciBoard, "the header's identity can't be written") {
  const u32 before = get(3, 0x2C);
  CHECK(before == 0xBBBBAAAA);
  for (const u8 offset : {0x00, 0x08, 0x2C, 0x28, 0x34, 0x40}) put(3, offset, 0);
  CHECK(get(3, 0x00) == 0x56781234);
  CHECK(get(3, 0x2C) == before);
  CHECK(get(3, 0x40, 1) == 0x5A);
  put(3, 0x3C, 0xFFFF, 2);
  CHECK(get(3, 0x3C, 2) == 0x01FF);  // line writable, pin not
  put(3, 0x04, 0xFFFF, 2);
  CHECK(get(3, 0x04, 2) == 0x0547);
}

TEST_CASE_METHOD(PciBoard, "BARs report their size") {
  for (const u8 offset : {0x10, 0x14, 0x18, 0x1C, 0x30}) put(3, offset, 0xFFFFFFFF);
  CHECK(get(3, 0x10) == 0xFFFFFFE1);
  CHECK(get(3, 0x14) == 0xFFFFF000);
  CHECK(get(3, 0x18) == 0xFFFF0008);
  CHECK(get(3, 0x1C) == 0);
  CHECK(get(3, 0x30) == 0xFFFF8001);
}

TEST_CASE_METHOD(PciBoard, "an I/O BAR is mapped while decoding is enabled") {
  put(3, 0x10, 0xC001);
  CHECK(ports.read(0xC004, 4) == 0xFFFFFFFF);
  put(3, 0x04, 1, 2);
  CHECK(ports.read(0xC004, 4) == 0x4004);
  put(3, 0x10, 0xC101);
  CHECK(ports.read(0xC004, 4) == 0xFFFFFFFF);
  CHECK(ports.read(0xC104, 2) == 0x2004);
  ports.write(0xC110, 0x1234, 2);
  CHECK(card.registers.last.offset == 0x10);
  CHECK(card.registers.last.value == 0x1234);
  put(3, 0x04, 0, 2);
  CHECK(ports.read(0xC104, 2) == 0xFFFF);
}

TEST_CASE_METHOD(PciBoard, "absurd I/O addresses stay unmapped") {
  put(3, 0x04, 1, 2);
  const std::size_t before = ports.regions().size();
  for (const u32 address : {0x0U, 0xFFFFFFFFU, 0x10000U, 0xCF0U}) {
    put(3, 0x10, address);
    INFO(address);
    CHECK(ports.regions().size() == before);
  }
}

TEST_CASE_METHOD(PciBoard, "memory BARs reach registers, memory and ROM") {
  rom.host[0] = 0x55;
  put(3, 0x14, 0xE0000000);
  put(3, 0x18, 0xE0100000);
  put(3, 0x30, 0xE0200001);
  CHECK(memory.read_value({0xE0000010}, 4) == 0xFFFFFFFF);
  put(3, 0x04, 2, 2);
  CHECK(memory.read_value({0xE0000010}, 4) == 0x4010);
  memory.write_value({0xE0100020}, 0xCAFE, 2);
  CHECK(frame_buffer.host[0x20] == 0xFE);
  CHECK(memory.read_value({0xE0200000}, 1) == 0x55);
  memory.write_value({0xE0200000}, 0, 1);
  CHECK(rom.host[0] == 0x55);
  put(3, 0x30, 0xE0200000);  // ROM decode off
  CHECK(memory.read_value({0xE0200000}, 1) == 0xFF);
  put(3, 0x18, 0xE0300000);
  CHECK(memory.read_value({0xE0100020}, 2) == 0xFFFF);
  CHECK(memory.read_value({0xE0300020}, 2) == 0xCAFE);
}

TEST_CASE_METHOD(PciBoard, "memory BARs never cover RAM, the ISA map or the firmware") {
  put(3, 0x04, 2, 2);
  ram.host[0x100010] = 0x77;
  for (const u32 address : {0x0U, 0xA0000U, 0x100000U, 0xFFFFF000U}) {
    put(3, 0x14, address);
    put(3, 0x18, address & 0xFFFF0000);
    put(3, 0x30, (address & 0xFFFF8000) | 1);
  }
  put(3, 0x14, 0x100000);
  CHECK(memory.read_value({0x100010}, 1) == 0x77);
  CHECK(memory.read_value({0xFFFFF010}, 4) == 0xFFFFFFFF);
}

TEST_CASE_METHOD(PciBoard, "an overlapping BAR waits until its place is free") {
  put(3, 0x10, 0xC001);
  put(3, 0x04, 3, 2);
  put(3, 0x14, 0xE0000000);
  put(4, 0x10, 0xC001);
  put(4, 0x14, 0xE0000000);
  put(4, 0x04, 3, 2);
  ports.write(0xC000, 1, 1);
  memory.write_value({0xE0000000}, 2, 4);
  CHECK(other.registers.last.size == 0);
  CHECK(card.registers.last.value == 2);
  put(3, 0x04, 0, 2);
  ports.write(0xC000, 3, 1);
  CHECK(other.registers.last.value == 3);
  memory.write_value({0xE0000000}, 4, 4);
  CHECK(other.registers.last.value == 4);
}

TEST_CASE_METHOD(PciBoard, "the interrupt pin obeys Interrupt Disable and shows in the status") {
  test::Interrupts sink;
  card.interrupt().connect(sink, 5);
  card.set_interrupt(true);
  CHECK(sink.level(5));
  CHECK((get(3, 0x06, 2) & 8) == 8);
  put(3, 0x04, 0x400, 2);
  CHECK_FALSE(sink.level(5));
  CHECK((get(3, 0x06, 2) & 8) == 8);
  put(3, 0x04, 0, 2);
  CHECK(sink.level(5));
  card.reset(ResetKind::System);
  CHECK_FALSE(sink.level(5));
  CHECK((get(3, 0x06, 2) & 8) == 0);
}

TEST_CASE_METHOD(PciBoard, "reset clears what is writable and unmaps") {
  put(3, 0x10, 0xC001);
  put(3, 0x04, 7, 2);
  put(3, 0x3C, 11, 1);
  card.reset(ResetKind::System);
  CHECK(get(3, 0x10) == 1);
  CHECK(get(3, 0x04, 2) == 0);
  CHECK(get(3, 0x3C, 1) == 0);
  CHECK(get(3, 0x00) == 0x56781234);
  CHECK(ports.read(0xC000, 1) == 0xFF);
}

TEST_CASE_METHOD(PciBoard, "a snapshot restores the BARs' mappings") {
  put(3, 0x10, 0xC001);
  put(3, 0x04, 1, 2);
  put(4, 0x10, 0xC101);
  put(4, 0x04, 1, 2);
  StateArchive saved;
  card.serialize(saved);
  other.serialize(saved);
  // Swap the two places, so that each is in the other's way while restoring.
  put(3, 0x10, 0xC201);
  put(4, 0x10, 0xC001);
  put(3, 0x10, 0xC101);
  bus.release_mappings();
  StateArchive restored(saved.bytes());
  card.serialize(restored);
  other.serialize(restored);
  REQUIRE(restored.finish());
  ports.write(0xC000, 0x11, 1);
  ports.write(0xC100, 0x22, 1);
  CHECK(card.registers.last.value == 0x11);
  CHECK(other.registers.last.value == 0x22);
}
