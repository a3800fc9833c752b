// Expected values: IA-PC HPET Specification 1.0a.
#include <catch2/catch.hpp>

#include "devices/timer/hpet.h"
#include "tests/unit/devices/apic_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

struct Fixture {
  ManualTime time;
  EventClock clock{time};
  Hpet hpet{clock, 0x00F00000};
  CountingSink irq0, irq8, pin20, pin21;
  Fixture() {
    hpet.legacy_timer().connect(irq0, 0);
    hpet.legacy_clock().connect(irq8, 0);
    hpet.route(20).connect(pin20, 0);
    hpet.route(21).connect(pin21, 0);
  }
  u64 get(u64 offset) { return hpet.io_read(offset, 8); }
  void set(u64 offset, u64 value) { hpet.io_write(offset, value, 8); }
  void advance(Nanoseconds by) {
    time.advance(by);
    clock.run_due();
  }
};

}  // namespace

TEST_CASE("HPET: identification and reset state") {
  Fixture f;
  CHECK(f.get(0x000) == 0x00989680'8086A201);
  CHECK(f.hpet.io_read(0x004, 4) == 10'000'000);
  CHECK(f.get(0x010) == 0);
  CHECK(f.get(0x020) == 0);
  CHECK(f.get(0x0F0) == 0);
  CHECK(f.get(0x100) == 0x00F00000'00000030);
  CHECK(f.get(0x108) == ~u64{0});
  CHECK(f.get(0x110) == 0);
  CHECK(f.get(0x160) == 0);
  f.set(0x000, 0), f.set(0x110, 1), f.set(0x160, 1);
  CHECK(f.get(0x000) == 0x00989680'8086A201);
  f.advance(1000);
  CHECK(f.get(0x0F0) == 0);  // halted
}

TEST_CASE("HPET: the counter counts, halts and can be set") {
  Fixture f;
  f.set(0x010, 1);
  f.advance(1005);
  CHECK(f.get(0x0F0) == 100);
  CHECK(f.hpet.io_read(0x0F0, 4) == 100);
  f.set(0x010, 0);
  f.advance(1000);
  CHECK(f.get(0x0F0) == 100);
  f.set(0x0F0, 0xFFFFFFFF);
  f.hpet.io_write(0x0F4, 7, 4);
  CHECK(f.get(0x0F0) == 0x7'FFFFFFFF);
  f.set(0x010, 1);
  f.advance(10);
  CHECK(f.hpet.io_read(0x0F0, 4) == 0);
  CHECK(f.hpet.io_read(0x0F4, 4) == 8);
}

TEST_CASE("HPET: one-shot comparator, edge-triggered, matches once") {
  Fixture f;
  f.set(0x100, (20 << 9) | 4);
  f.set(0x108, 500);
  f.set(0x010, 1);
  CHECK(f.clock.next_deadline() == 5000);
  f.advance(4999);
  CHECK(f.pin20.rises == 0);
  f.advance(1);
  CHECK(f.pin20.rises == 1);
  CHECK(f.get(0x020) == 0);  // status is for level-triggered timers
  f.advance(1'000'000'000);
  CHECK(f.pin20.rises == 1);
  CHECK(f.clock.next_deadline() == kNever);
  f.set(0x108, 100);  // passed: not before the counter has been all the way round
  CHECK(f.clock.next_deadline() == kNever);
}

TEST_CASE("HPET: level-triggered interrupts stay until the status bit is cleared") {
  Fixture f;
  f.set(0x120, (21 << 9) | 4 | 2);
  f.set(0x128, 100);
  f.set(0x010, 1);
  f.advance(1000);
  CHECK(f.pin21.now);
  CHECK(f.get(0x020) == 2);
  f.set(0x020, 1);
  CHECK(f.pin21.now);
  f.hpet.io_write(0x020, 2, 4);
  CHECK_FALSE(f.pin21.now);
  CHECK(f.get(0x020) == 0);
}

TEST_CASE("HPET: periodic mode with accumulator") {
  Fixture f;
  f.set(0x100, (20 << 9) | 4 | 8 | 0x40);
  f.set(0x108, 10'000);  // VAL_SET: first match
  CHECK((f.get(0x100) & 0x40) == 0);
  f.set(0x108, 5'000);  // period only
  CHECK(f.get(0x108) == 10'000);
  f.set(0x010, 1);
  f.advance(99'999);
  CHECK(f.pin20.rises == 0);
  f.advance(1);
  CHECK(f.pin20.rises == 1);
  CHECK(f.get(0x108) == 15'000);
  f.advance(50'000);
  CHECK(f.pin20.rises == 2);
  f.advance(225'000);  // four and a half periods late: one interrupt
  CHECK(f.pin20.rises == 3);
  CHECK(f.get(0x108) == 40'000);
  f.advance(25'000);
  CHECK(f.pin20.rises == 4);
  f.set(0x010, 0);
  CHECK(f.clock.next_deadline() == kNever);
}

TEST_CASE("HPET: a period of one tick doesn't keep the machine busy") {
  Fixture f;
  f.set(0x100, (20 << 9) | 4 | 8 | 0x40);
  f.set(0x108, 1);
  f.set(0x010, 1);
  f.advance(10);
  CHECK(f.pin20.rises == 1);
  CHECK(f.clock.next_deadline() >= f.time.now() + 10'000);
}

TEST_CASE("HPET: 32-bit mode wraps") {
  Fixture f;
  f.set(0x0F0, 0x1'FFFFFFF0);
  f.set(0x100, (20 << 9) | 4 | 0x100);
  f.hpet.io_write(0x108, 0x10, 4);
  CHECK(f.get(0x108) == 0x10);
  f.set(0x010, 1);
  f.advance(320);
  CHECK(f.pin20.rises == 1);
  f.advance(u64{10} << 32);
  CHECK(f.pin20.rises == 2);
}

TEST_CASE("HPET: halves of a 64-bit comparator") {
  Fixture f;
  f.hpet.io_write(0x108, 0x11111111, 4);
  f.hpet.io_write(0x10C, 0x22222222, 4);
  CHECK(f.get(0x108) == 0x22222222'11111111);
  f.set(0x120, 8 | 0x40);
  f.hpet.io_write(0x128, 0x100, 4);
  f.hpet.io_write(0x12C, 0, 4);  // VAL_SET has cleared itself: period only
  CHECK(f.get(0x128) == 0xFFFFFFFF'00000100);
}

TEST_CASE("HPET: only offered routes are accepted") {
  Fixture f;
  f.set(0x100, 20 << 9);
  f.set(0x100, 5 << 9);
  CHECK(f.get(0x100) == (0x00F00000'00000030 | (20 << 9)));
  f.set(0x120, 4);  // route 0 isn't there: no line to raise
  f.set(0x128, 1);
  f.set(0x010, 1);
  f.advance(100);
  CHECK(f.pin20.rises + f.pin21.rises == 0);
}

TEST_CASE("HPET: legacy replacement takes over IRQ 0 and IRQ 8") {
  Fixture f;
  std::string calls;
  f.hpet.on_legacy_replacement([&](bool on) { calls += on ? '+' : '-'; });
  f.set(0x100, (20 << 9) | 4);
  f.set(0x108, 100);
  f.set(0x120, (21 << 9) | 4 | 2);
  f.set(0x128, 100);
  f.set(0x010, 3);
  CHECK(f.hpet.legacy_replacement());
  f.advance(1000);
  CHECK(f.irq0.rises == 1);
  CHECK(f.irq8.now);
  CHECK(f.pin20.rises + f.pin21.rises == 0);
  f.set(0x010, 1);
  CHECK_FALSE(f.irq8.now);
  CHECK(f.pin21.now);  // the level moves with the route
  f.hpet.reset(ResetKind::System);
  CHECK_FALSE(f.pin21.now);
  CHECK(calls == "+-");
  f.set(0x010, 2);
  f.hpet.reset(ResetKind::System);
  CHECK(calls == "+-+-");
}

TEST_CASE("HPET: halting, going on and moving the counter") {
  Fixture f;
  f.set(0x100, (20 << 9) | 4);
  f.set(0x108, 1000);
  f.set(0x010, 1);
  f.advance(5000);
  f.set(0x010, 0);
  f.advance(100'000);
  CHECK(f.pin20.rises == 0);
  f.set(0x010, 1);
  f.advance(5000);
  CHECK(f.pin20.rises == 1);
  f.set(0x0F0, 900);
  f.advance(1000);
  CHECK(f.pin20.rises == 2);
  f.set(0x100, 20 << 9);  // disabling lets the line go
  CHECK_FALSE(f.pin20.now);
}

TEST_CASE("HPET: snapshot") {
  Fixture f;
  f.set(0x120, (21 << 9) | 4 | 2 | 8 | 0x40);
  f.set(0x128, 100);
  f.set(0x010, 1);
  f.advance(1000);
  StateArchive saved;
  f.hpet.serialize(saved);
  Fixture g;
  StateArchive restoring(saved.bytes());
  g.hpet.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(g.pin21.rises == 0);
  CHECK(g.hpet.route(21).level());
  CHECK(g.get(0x020) == 2);
  CHECK(g.get(0x128) == 200);
  CHECK(g.clock.next_deadline() == f.clock.next_deadline());
  CHECK(g.hpet.name() == "hpet");
}
