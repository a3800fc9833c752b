// Expected values: Intel 82093AA data sheet.
#include <catch2/catch.hpp>

#include "tests/unit/devices/apic_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

struct IoApicFixture : ApicFixture {
  explicit IoApicFixture(IoApic::Version version = IoApic::Version::WithEoiRegister,
                         u32 active_low = 0)
      : io(bus, version, active_low) {
    enable();
  }
  u32 get(u8 index) {
    io.io_write(0, index, 4);
    return static_cast<u32>(io.io_read(0x10, 4));
  }
  void set(u8 index, u32 value) {
    io.io_write(0, index, 4);
    io.io_write(0x10, value, 4);
  }
  void program(unsigned pin, u32 low, u32 high = 0) {
    set(static_cast<u8>(0x11 + 2 * pin), high);
    set(static_cast<u8>(0x10 + 2 * pin), low);
  }
  u32 entry(unsigned pin) { return get(static_cast<u8>(0x10 + 2 * pin)); }
  void end() { write(0xB0, 0); }
  IoApic io;
};

}  // namespace

TEST_CASE("I/O APIC: registers after reset") {
  IoApicFixture f;
  CHECK(f.get(0) == 0);
  CHECK(f.get(1) == 0x00170020);
  for (unsigned pin = 0; pin < 24; ++pin) CHECK(f.entry(pin) == 0x10000);
  f.set(0, 0xFFFFFFFF);
  CHECK(f.get(0) == 0x0F000000);
  CHECK(f.get(2) == 0x0F000000);
  f.set(1, 0);
  CHECK(f.get(1) == 0x00170020);
  CHECK(f.get(0x40) == 0);
  CHECK(f.io.io_read(0, 4) == 0x40);
  CHECK(f.io.io_read(0x20, 4) == 0);
  f.io.io_write(0x20, 1, 4);
  f.program(3, 0xFFFFFFFF, 0xFFFFFFFF);
  CHECK(f.entry(3) == 0x1AFFF);  // delivery status and remote IRR are read-only
  CHECK(f.get(0x17) == 0xFF000000);
  f.io.reset(ResetKind::System);
  CHECK(f.entry(3) == 0x10000);
  IoApicFixture old(IoApic::Version::I82093aa);
  CHECK(old.get(1) == 0x00170011);
}

TEST_CASE("I/O APIC: an edge is one interrupt, and lost while masked") {
  IoApicFixture f;
  f.program(4, 0x34);
  f.io.set_irq(4, true);
  CHECK(f.apic.acknowledge() == 0x34);
  f.end();
  CHECK_FALSE(f.intr.now);
  f.io.set_irq(4, false);
  f.program(4, 0x10034);
  f.io.set_irq(4, true);
  f.program(4, 0x34);
  CHECK_FALSE(f.intr.now);
  f.io.set_irq(24, true);  // no such pin
}

TEST_CASE("I/O APIC: a level repeats after EOI until it goes away") {
  IoApicFixture f;
  f.program(10, 0x8045);
  f.io.set_irq(10, true);
  CHECK(f.entry(10) == 0xC045);
  CHECK(f.apic.acknowledge() == 0x45);
  CHECK_FALSE(f.intr.now);
  f.end();
  CHECK(f.intr.now);
  CHECK(f.apic.acknowledge() == 0x45);
  f.io.set_irq(10, false);
  f.end();
  CHECK_FALSE(f.intr.now);
  CHECK(f.entry(10) == 0x8045);
}

TEST_CASE("I/O APIC: masked levels wait; unmasking sends them") {
  IoApicFixture f;
  f.program(11, 0x18046);
  f.io.set_irq(11, true);
  CHECK_FALSE(f.intr.now);
  f.program(11, 0x8046);
  CHECK(f.intr.now);
}

TEST_CASE("I/O APIC: EOI register and the edge trick clear remote IRR") {
  IoApicFixture f;
  f.program(10, 0x8045);
  f.io.set_irq(10, true);
  f.io.set_irq(10, false);
  f.io.io_write(0x40, 0x45, 4);
  CHECK(f.entry(10) == 0x8045);

  IoApicFixture old(IoApic::Version::I82093aa);
  old.program(10, 0x8045);
  old.io.set_irq(10, true);
  old.io.set_irq(10, false);
  old.io.io_write(0x40, 0x45, 4);
  CHECK(old.entry(10) == 0xC045);
  old.program(10, 0x10045);
  old.program(10, 0x8045);
  CHECK(old.entry(10) == 0x8045);
}

TEST_CASE("I/O APIC: polarity, by the wire and by the entry") {
  IoApicFixture f(IoApic::Version::WithEoiRegister, 1u << 16);
  f.program(16, 0xA050);  // level, active low, on an active-low wire
  CHECK_FALSE(f.intr.now);
  f.io.set_irq(16, true);
  CHECK(f.apic.acknowledge() == 0x50);
  f.end();
  f.io.set_irq(16, false);
  f.apic.acknowledge();
  f.end();
  CHECK_FALSE(f.intr.now);
  f.program(5, 0x2051);  // active low on an idle active-high wire: an edge by itself
  CHECK(f.apic.acknowledge() == 0x51);
}

TEST_CASE("I/O APIC: a level nobody takes is sent when a local APIC is enabled") {
  IoApicFixture f;
  f.write(0xF0, 0xFF);
  f.program(9, 0x8049);
  f.io.set_irq(9, true);
  CHECK(f.entry(9) == 0x8049);
  f.enable();
  CHECK(f.apic.acknowledge() == 0x49);
  CHECK(f.entry(9) == 0xC049);
}

TEST_CASE("I/O APIC: logical destination, lowest priority, NMI and ExtINT") {
  IoApicFixture f;
  f.write(0xD0, 0x04000000);
  f.program(3, 0x0960, 0x04000000);
  f.io.set_irq(3, true);
  CHECK(f.apic.acknowledge() == 0x60);
  f.end();
  f.program(4, 0x0861, 0x08000000);
  f.io.set_irq(4, true);
  CHECK_FALSE(f.intr.now);

  f.program(5, 0x8400);  // NMI is an edge even with the level bit
  f.io.set_irq(5, true);
  CHECK(f.nmi.rises == 1);
  CHECK((f.entry(5) & 0x4000) == 0);

  f.program(0, 0x0700);
  f.io.set_irq(0, true);
  CHECK(f.intr.now);
  CHECK(f.apic.acknowledge() == 0x08);
  f.program(0, 0x10700);
  CHECK_FALSE(f.intr.now);
  f.program(6, 0x0362);  // reserved delivery mode
  f.io.set_irq(6, true);
  CHECK_FALSE(f.intr.now);
}

TEST_CASE("I/O APIC: snapshot") {
  IoApicFixture f;
  f.program(10, 0x8045);
  f.set(0, 0x02000000);
  f.io.set_irq(10, true);
  StateArchive saved;
  f.io.serialize(saved);
  IoApicFixture g;
  StateArchive restoring(saved.bytes());
  g.io.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(g.intr.rises == 0);
  CHECK(g.entry(10) == 0xC045);
  CHECK(g.get(0) == 0x02000000);
  CHECK(g.io.name() == "io-apic");
}
