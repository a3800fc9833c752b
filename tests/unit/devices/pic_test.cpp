#include "devices/interrupt/pic.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/legacy_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

struct Pics {
  DualPic pic;
  LineRecorder lines;
  IoHandler& master = pic.master_ports();
  IoHandler& slave = pic.slave_ports();

  explicit Pics(u8 icw4 = 0x01) {
    pic.reset(ResetKind::PowerOn);
    pic.output().connect(lines, 0);
    initialise(icw4);
  }
  void initialise(u8 icw4) {
    for (const u8 value : {u8{0x08}, u8{0x04}, icw4}) {
      if (value == 0x08) out(master, 0, 0x11);
      out(master, 1, value);
    }
    out(slave, 0, 0x11);
    out(slave, 1, 0x70);
    out(slave, 1, 0x02);
    out(slave, 1, icw4);
  }
  bool intr() { return lines.levels[0]; }
  u8 irr(IoHandler& chip) { return out(chip, 0, 0x0A), in(chip, 0); }
  u8 isr(IoHandler& chip) { return out(chip, 0, 0x0B), in(chip, 0); }
  void pulse(unsigned irq) { pic.set_irq(irq, false), pic.set_irq(irq, true); }
};

}  // namespace

TEST_CASE("8259A: a chip that was never initialised stays silent") {
  DualPic pic;
  LineRecorder lines;
  pic.output().connect(lines, 0);
  pic.set_irq(1, true);
  CHECK(lines.rises[0] == 0);
}

TEST_CASE("8259A: an edge request is taken into service and ended by a non-specific EOI") {
  Pics pics;
  pics.pic.set_irq(1, true);
  CHECK(pics.intr());
  CHECK(pics.irr(pics.master) == 0x02);
  CHECK(pics.pic.acknowledge() == 0x09);
  CHECK_FALSE(pics.intr());
  CHECK(pics.irr(pics.master) == 0);
  CHECK(pics.isr(pics.master) == 0x02);
  pics.pic.set_irq(1, true);  // still high: no new edge
  out(pics.master, 0, 0x20);
  CHECK(pics.isr(pics.master) == 0);
  CHECK_FALSE(pics.intr());
  pics.pulse(1);
  CHECK(pics.intr());
}

TEST_CASE("8259A: IMR holds requests back without losing them") {
  Pics pics;
  out(pics.master, 1, 0xFF);
  CHECK(in(pics.master, 1) == 0xFF);
  pics.pic.set_irq(3, true);
  CHECK_FALSE(pics.intr());
  out(pics.master, 1, 0xF7);
  CHECK(pics.pic.acknowledge() == 0x0B);
}

TEST_CASE("8259A: fully nested: only a higher level interrupts one in service") {
  Pics pics;
  pics.pic.set_irq(4, true);
  CHECK(pics.pic.acknowledge() == 0x0C);
  pics.pic.set_irq(6, true);
  CHECK_FALSE(pics.intr());
  pics.pic.set_irq(0, true);
  CHECK(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x08);
  CHECK(pics.isr(pics.master) == 0x11);
  out(pics.master, 0, 0x20);  // ends level 0
  CHECK(pics.isr(pics.master) == 0x10);
  out(pics.master, 0, 0x64);  // specific EOI of level 4
  CHECK(pics.isr(pics.master) == 0);
  CHECK(pics.pic.acknowledge() == 0x0E);
}

TEST_CASE("8259A: a request that goes away before INTA ends as spurious IRQ 7") {
  Pics pics;
  pics.pic.set_irq(5, true);
  pics.pic.set_irq(5, false);
  CHECK_FALSE(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x0F);
  CHECK(pics.isr(pics.master) == 0);
}

TEST_CASE("8259A: the slave's requests come through IR2 with its own vectors") {
  Pics pics;
  pics.pic.set_irq(8, true);
  pics.pic.set_irq(12, true);
  CHECK(pics.irr(pics.master) == 0x04);
  CHECK(pics.pic.acknowledge() == 0x70);
  CHECK(pics.isr(pics.master) == 0x04);
  CHECK(pics.isr(pics.slave) == 0x01);
  CHECK_FALSE(pics.intr());
  out(pics.slave, 0, 0x20);
  CHECK_FALSE(pics.intr());  // IR2 is still in service
  out(pics.master, 0, 0x20);
  CHECK(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x74);
  pics.pic.set_irq(2, true);  // the cascade isn't a line of the board
  pics.pic.set_irq(16, true);
  CHECK(pics.irr(pics.master) == 0x00);
}

TEST_CASE("8259A: a slave that masks its request takes the master's with it") {
  Pics pics;
  pics.pic.set_irq(10, true);
  CHECK(pics.intr());
  out(pics.slave, 1, 0xFF);
  CHECK_FALSE(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x0F);  // IR2 fell before INTA: the master's default IR7
  CHECK(pics.isr(pics.master) == 0);
}

TEST_CASE("8259A: special fully nested mode lets a higher slave request through") {
  Pics normal;
  normal.pic.set_irq(12, true);
  CHECK(normal.pic.acknowledge() == 0x74);
  normal.pic.set_irq(8, true);
  CHECK_FALSE(normal.intr());

  Pics nested(0x11);
  nested.pic.set_irq(12, true);
  CHECK(nested.pic.acknowledge() == 0x74);
  nested.pic.set_irq(13, true);
  CHECK_FALSE(nested.intr());
  nested.pic.set_irq(8, true);
  CHECK(nested.intr());
  CHECK(nested.pic.acknowledge() == 0x70);
}

TEST_CASE("8259A: automatic EOI leaves nothing in service, and may rotate") {
  Pics pics(0x03);
  pics.pic.set_irq(3, true);
  CHECK(pics.pic.acknowledge() == 0x0B);
  CHECK(pics.isr(pics.master) == 0);

  out(pics.master, 0, 0x80);  // rotate in automatic EOI mode: set
  pics.pulse(3);
  CHECK(pics.pic.acknowledge() == 0x0B);
  pics.pulse(3);
  pics.pic.set_irq(4, true);
  CHECK(pics.pic.acknowledge() == 0x0C);  // 3 now has the lowest priority
  CHECK(pics.pic.acknowledge() == 0x0B);
  out(pics.master, 0, 0x00);  // clear
  pics.pulse(5);
  pics.pulse(6);
  CHECK(pics.pic.acknowledge() == 0x0D);
  pics.pulse(5);
  CHECK(pics.pic.acknowledge() == 0x0D);  // no rotation any more
}

TEST_CASE("8259A: priority rotation by command") {
  Pics pics;
  out(pics.master, 0, 0xC3);  // set priority: 3 is lowest, 4 highest
  pics.pic.set_irq(0, true);
  pics.pic.set_irq(4, true);
  CHECK(pics.pic.acknowledge() == 0x0C);
  out(pics.master, 0, 0xA0);  // rotate on non-specific EOI: 4 becomes lowest
  pics.pulse(4);
  pics.pic.set_irq(5, true);
  CHECK(pics.pic.acknowledge() == 0x0D);
  out(pics.master, 0, 0xE5);  // rotate on specific EOI: 5 becomes lowest, 6 highest
  CHECK(pics.isr(pics.master) == 0);
  CHECK(pics.pic.acknowledge() == 0x08);
  out(pics.master, 0, 0xA0);
  out(pics.master, 0, 0x40);  // no operation
  CHECK(pics.pic.acknowledge() == 0x0C);
  out(pics.master, 0, 0x20);
  out(pics.master, 0, 0xA0);  // nothing in service: nothing happens
  CHECK(pics.isr(pics.master) == 0);
}

TEST_CASE("8259A: special mask mode frees lower levels of a masked one in service") {
  Pics pics;
  pics.pic.set_irq(1, true);
  CHECK(pics.pic.acknowledge() == 0x09);
  pics.pic.set_irq(5, true);
  CHECK_FALSE(pics.intr());
  out(pics.master, 1, 0x02);
  out(pics.master, 0, 0x68);  // ESMM, SMM
  CHECK(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x0D);
  out(pics.master, 0, 0x20);  // skips the masked level
  CHECK(pics.isr(pics.master) == 0x02);
  out(pics.master, 0, 0x20);
  CHECK(pics.isr(pics.master) == 0x02);
  out(pics.master, 0, 0x48);  // back to normal
  out(pics.master, 0, 0x20);
  CHECK(pics.isr(pics.master) == 0);
}

TEST_CASE("8259A: a poll acknowledges and names the level") {
  Pics pics;
  out(pics.master, 0, 0x0C);
  CHECK(in(pics.master, 0) == 0x00);
  pics.pic.set_irq(6, true);
  out(pics.master, 0, 0x0C);
  CHECK(in(pics.master, 1) == 0x86);
  CHECK_FALSE(pics.intr());
  CHECK(pics.isr(pics.master) == 0x40);

  pics.pic.set_irq(9, true);
  pics.pic.set_irq(15, true);
  out(pics.slave, 0, 0x0C);
  CHECK(in(pics.slave, 0) == 0x81);
  CHECK(pics.irr(pics.master) == 0x00);  // nothing of the slave's is above the level in service
  out(pics.slave, 0, 0x20);
  CHECK(pics.irr(pics.master) == 0x04);
}

TEST_CASE("8259A: level-triggered inputs by ELCR request as long as they are high") {
  Pics pics;
  IoHandler& elcr = pics.pic.elcr_ports();
  out(elcr, 0, 0xFF);
  out(elcr, 1, 0xFF);
  CHECK(in(elcr, 0) == 0xF8);  // IRQ 0-2 and 8, 13 can't be level
  CHECK(in(elcr, 1) == 0xDE);
  pics.pic.set_irq(11, true);
  CHECK(pics.pic.acknowledge() == 0x73);
  out(pics.slave, 0, 0x20);
  out(pics.master, 0, 0x20);
  CHECK(pics.intr());
  CHECK(pics.pic.acknowledge() == 0x73);
  pics.pic.set_irq(11, false);
  out(pics.slave, 0, 0x20);
  out(pics.master, 0, 0x20);
  CHECK_FALSE(pics.intr());

  out(elcr, 0, 0x00);
  pics.pic.set_irq(5, true);
  CHECK(pics.pic.acknowledge() == 0x0D);
  out(pics.master, 0, 0x20);
  CHECK_FALSE(pics.intr());
  out(elcr, 0, 0x20);  // an input that is high becomes a request when it turns level-triggered
  CHECK(pics.intr());
}

TEST_CASE("8259A: ICW1 clears mask, service and edges, and single mode skips ICW3") {
  Pics pics;
  out(pics.master, 1, 0xAA);
  pics.pic.set_irq(0, true);
  pics.pic.set_irq(3, true);
  out(pics.master, 0, 0x13);  // single, ICW4 follows
  CHECK(in(pics.master, 1) == 0x00);
  CHECK_FALSE(pics.intr());
  out(pics.master, 1, 0x20);
  out(pics.master, 1, 0x01);
  CHECK_FALSE(pics.intr());   // the edges from before are forgotten
  out(pics.master, 1, 0xFB);  // OCW1 again
  CHECK(in(pics.master, 1) == 0xFB);
  out(pics.master, 1, 0x00);
  pics.pic.set_irq(14, true);
  CHECK(pics.pic.acknowledge() == 0x22);  // in single mode IR2 is the master's own
}

TEST_CASE("8259A: without ICW4 the vector is the low half of a CALL address") {
  Pics pics;
  out(pics.master, 0, 0x10 | 0x02 | 0x04 | 0xA0);
  out(pics.master, 1, 0x00);
  pics.pic.set_irq(5, true);
  CHECK(pics.pic.acknowledge() == (0xA0 | 5 << 2));
  out(pics.master, 0, 0x10 | 0x02 | 0x80);
  out(pics.master, 1, 0x00);
  pics.pulse(6);
  CHECK(pics.pic.acknowledge() == (0x80 | 6 << 3));
}

TEST_CASE("8259A: when no slave answers the cascade address the bus floats") {
  Pics pics;
  out(pics.slave, 0, 0x11);
  for (const u8 icw : {0x70, 0x05, 0x01}) out(pics.slave, 1, icw);  // identity 5: not where it sits
  pics.pic.set_irq(14, true);
  CHECK(pics.pic.acknowledge() == 0xFF);
}

TEST_CASE("8259A: state survives a snapshot without a pulse on INTR") {
  Pics pics;
  pics.pic.set_irq(4, true);
  pics.pic.set_irq(9, true);
  CHECK(pics.pic.acknowledge() == 0x71);
  pics.pulse(0);
  Pics other;
  CHECK(copies(pics.pic, other.pic));
  CHECK(other.lines.rises[0] == 0);
  CHECK(other.pic.output().level());
  CHECK(other.pic.acknowledge() == 0x08);
  CHECK(other.pic.name() == pics.pic.name());
}
