#include "devices/timer/pit.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/legacy_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

struct Pits : LegacyBoard {
  Pit pit{clock};
  IoHandler& ports = pit.ports();
  u64 ticks = 0;

  Pits() { pit.irq().connect(lines, 0); }

  /// Moves time to `count` CLK pulses later.
  void pulses(u64 count) {
    ticks += count;
    const u64 nanoseconds = (ticks * 1'000'000'000 + 1'193'181) / 1'193'182;
    run(nanoseconds - time.now());
  }
  void program(unsigned channel, u8 mode, u16 count, u8 access = 0x30, bool bcd = false) {
    out(ports, 3, static_cast<u8>(channel << 6 | access | mode << 1 | (bcd ? 1 : 0)));
    if (access != 0x20) out(ports, channel, static_cast<u8>(count));
    if (access != 0x10) out(ports, channel, static_cast<u8>(count >> 8));
  }
  u16 read(unsigned channel) {
    const u8 low = in(ports, channel);
    return static_cast<u16>(low | in(ports, channel) << 8);
  }
  u16 latched(unsigned channel) {
    out(ports, 3, static_cast<u8>(channel << 6));
    return read(channel);
  }
  u8 status(unsigned channel) {
    out(ports, 3, static_cast<u8>(0xE0 | 2U << channel));
    return in(ports, channel);
  }
  bool output(unsigned channel) { return (status(channel) & 0x80) != 0; }
  void gate2(bool on) { out(pit.system_control(), 0, on ? 1 : 0); }
};

}  // namespace

TEST_CASE("8254 mode 0: OUT rises N + 1 pulses after the count is written") {
  Pits pits;
  pits.program(0, 0, 4);
  CHECK_FALSE(pits.output(0));
  CHECK((pits.status(0) & 0x40) != 0);  // null count until the next pulse
  pits.pulses(1);
  CHECK((pits.status(0) & 0x40) == 0);
  CHECK(pits.latched(0) == 4);
  pits.pulses(3);
  CHECK(pits.latched(0) == 1);
  CHECK_FALSE(pits.output(0));
  CHECK(pits.lines.rises[0] == 0);
  pits.pulses(1);
  CHECK(pits.output(0));
  CHECK(pits.lines.take_rises(0) == 1);
  pits.pulses(2);
  CHECK(pits.latched(0) == 0xFFFE);  // goes on counting
  CHECK(pits.output(0));
  pits.pulses(70000);
  CHECK(pits.lines.take_rises(0) == 0);
}

TEST_CASE("8254 mode 0: the first byte of a new count stops counting and lowers OUT") {
  Pits pits;
  pits.program(0, 0, 2);
  pits.pulses(10);
  CHECK(pits.lines.levels[0]);
  out(pits.ports, 0, 0x03);
  CHECK_FALSE(pits.output(0));
  CHECK_FALSE(pits.lines.levels[0]);
  const u16 stopped = pits.latched(0);
  pits.pulses(100);
  CHECK(pits.latched(0) == stopped);
  out(pits.ports, 0, 0x00);
  pits.pulses(3);
  CHECK_FALSE(pits.output(0));
  pits.pulses(1);
  CHECK(pits.output(0));
}

TEST_CASE("8254 mode 0: GATE low suspends counting") {
  Pits pits;
  pits.gate2(true);
  pits.program(2, 0, 10);
  pits.pulses(4);
  CHECK(pits.latched(2) == 7);
  pits.gate2(false);
  pits.pulses(100);
  CHECK(pits.latched(2) == 7);
  pits.gate2(true);
  pits.pulses(6);
  CHECK_FALSE(pits.output(2));
  pits.pulses(1);
  CHECK(pits.output(2));
}

TEST_CASE("8254 mode 1: a trigger starts a one-shot of N pulses and can start it anew") {
  Pits pits;
  pits.program(2, 1, 5);
  CHECK(pits.output(2));
  pits.pulses(20);
  CHECK(pits.output(2));
  CHECK((pits.status(2) & 0x40) != 0);
  pits.gate2(true);
  pits.pulses(1);
  CHECK_FALSE(pits.output(2));
  pits.pulses(3);
  pits.gate2(false);  // no effect
  pits.gate2(true);   // again
  pits.pulses(5);
  CHECK_FALSE(pits.output(2));
  pits.pulses(1);
  CHECK(pits.output(2));
}

TEST_CASE("8254 mode 2: OUT is low for the last of N pulses") {
  Pits pits;
  pits.program(0, 2, 3);
  CHECK(pits.output(0));
  CHECK(pits.lines.take_rises(0) == 1);  // OUT was low before the control word
  pits.pulses(1);
  CHECK(pits.latched(0) == 3);
  pits.pulses(1);
  CHECK(pits.output(0));
  pits.pulses(1);
  CHECK_FALSE(pits.output(0));
  CHECK(pits.latched(0) == 1);
  CHECK(pits.lines.rises[0] == 0);
  pits.pulses(1);
  CHECK(pits.output(0));
  CHECK(pits.latched(0) == 3);
  CHECK(pits.lines.take_rises(0) == 1);
  pits.pulses(30);
  CHECK(pits.lines.take_rises(0) == 10);
}

TEST_CASE("8254 mode 2: a new count waits for the end of the period; GATE restarts it") {
  Pits pits;
  pits.gate2(true);
  pits.program(2, 2, 10);
  pits.pulses(4);
  CHECK(pits.latched(2) == 7);
  out(pits.ports, 2, 20);
  out(pits.ports, 2, 0);
  CHECK((pits.status(2) & 0x40) != 0);
  pits.pulses(6);
  CHECK(pits.latched(2) == 1);
  pits.gate2(false);
  CHECK(pits.output(2));
  pits.pulses(50);
  pits.gate2(true);
  pits.pulses(1);
  CHECK(pits.latched(2) == 20);
  CHECK((pits.status(2) & 0x40) == 0);
}

TEST_CASE("8254 mode 2: a count of 1 is illegal and rests instead of flooding") {
  Pits pits;
  pits.program(0, 2, 1);
  pits.lines.take_rises(0);
  pits.pulses(100000);
  CHECK(pits.lines.take_rises(0) == 0);
  CHECK(pits.clock.next_deadline() == kNever);
  pits.program(0, 2, 5);
  pits.pulses(2);
  out(pits.ports, 0, 1);
  out(pits.ports, 0, 0);
  pits.pulses(1000);
  CHECK(pits.clock.next_deadline() == kNever);
}

TEST_CASE("8254 mode 3: even counts give equal halves in steps of two") {
  Pits pits;
  pits.program(0, 3, 4);
  pits.lines.take_rises(0);
  pits.pulses(1);
  std::string wave;
  std::string counts;
  for (int i = 0; i < 8; ++i) {
    wave += pits.output(0) ? '1' : '0';
    counts += static_cast<char>('0' + pits.latched(0));
    pits.pulses(1);
  }
  CHECK(wave == "11001100");
  CHECK(counts == "42424242");
  CHECK(pits.lines.take_rises(0) == 2);
}

TEST_CASE("8254 mode 3: odd counts are high for one pulse more") {
  Pits pits;
  pits.gate2(true);
  pits.program(2, 3, 5);
  pits.pulses(1);
  std::string wave;
  std::string counts;
  for (int i = 0; i < 10; ++i) {
    wave += pits.output(2) ? '1' : '0';
    counts += static_cast<char>('0' + pits.latched(2));
    pits.pulses(1);
  }
  CHECK(wave == "1110011100");
  CHECK(counts == "4204242042");
  pits.gate2(false);
  CHECK(pits.output(2));
}

TEST_CASE("8254 mode 3: a new count takes effect with the next half period") {
  Pits pits;
  pits.program(0, 7, 8);  // mode 7 is mode 3
  CHECK((pits.status(0) & 0x3F) == 0x3E);
  pits.pulses(2);
  out(pits.ports, 0, 4);
  out(pits.ports, 0, 0);
  pits.pulses(2);
  CHECK(pits.output(0));
  pits.pulses(1);
  CHECK_FALSE(pits.output(0));  // after 4 pulses of 8
  CHECK(pits.latched(0) == 4);
  pits.pulses(2);
  CHECK(pits.output(0));  // and 2 of 4
  pits.program(0, 3, 1);
  pits.lines.take_rises(0);
  pits.pulses(1000);
  CHECK(pits.lines.take_rises(0) == 0);
}

TEST_CASE("8254 mode 4: a strobe one pulse long, N + 1 after writing") {
  Pits pits;
  pits.program(0, 4, 3);
  pits.lines.take_rises(0);
  CHECK(pits.output(0));
  pits.pulses(3);
  CHECK(pits.output(0));
  pits.pulses(1);
  CHECK_FALSE(pits.output(0));
  CHECK(pits.lines.take_rises(0) == 0);
  pits.pulses(1);
  CHECK(pits.output(0));
  CHECK(pits.lines.take_rises(0) == 1);
  pits.pulses(200000);
  CHECK(pits.lines.take_rises(0) == 0);
  out(pits.ports, 0, 9);  // software retrigger
  out(pits.ports, 0, 0);
  pits.pulses(11);
  CHECK(pits.lines.take_rises(0) == 1);
}

TEST_CASE("8254 mode 5: the strobe is started by GATE") {
  Pits pits;
  pits.program(2, 5, 3);
  pits.pulses(50);
  CHECK(pits.output(2));
  pits.gate2(true);
  pits.gate2(false);
  pits.pulses(4);
  CHECK_FALSE(pits.output(2));
  pits.pulses(1);
  CHECK(pits.output(2));
}

TEST_CASE("8254: BCD counting, zero as the largest count, single-byte access") {
  Pits pits;
  pits.program(0, 0, 0x0000, 0x30, true);
  pits.pulses(1);
  CHECK(pits.latched(0) == 0x0000);
  pits.pulses(1);
  CHECK(pits.latched(0) == 0x9999);
  pits.pulses(9998);
  CHECK_FALSE(pits.output(0));
  pits.pulses(1);
  CHECK(pits.output(0));
  pits.program(0, 2, 0x12, 0x10);
  pits.pulses(3);
  CHECK(in(pits.ports, 0) == 0x10);
  CHECK(in(pits.ports, 0) == 0x10);
  pits.program(0, 2, 0x1200, 0x20);
  pits.pulses(2);
  CHECK(in(pits.ports, 0) == 0x11);
  out(pits.ports, 3, 0x00);
  CHECK(in(pits.ports, 0) == 0x11);
  pits.program(0, 2, 0);
  pits.pulses(2);
  CHECK(pits.read(0) == 0xFFFF);
}

TEST_CASE("8254: a latch holds until it is read, and the second latch is ignored") {
  Pits pits;
  pits.program(0, 2, 1000);
  pits.pulses(11);
  out(pits.ports, 3, 0x00);
  pits.pulses(50);
  out(pits.ports, 3, 0x00);
  CHECK(pits.read(0) == 990);
  CHECK(pits.read(0) == 940);
  out(pits.ports, 3, 0xC2);  // read-back: count and status of channel 0
  pits.pulses(10);
  out(pits.ports, 3, 0xC2);
  CHECK(in(pits.ports, 0) == 0xB4);  // OUT high, both bytes, mode 2
  CHECK(pits.read(0) == 940);
  CHECK(pits.read(0) == 930);
  CHECK(in(pits.ports, 3) == 0xFF);
}

TEST_CASE("8254: a late host gives one interrupt for all missed periods and keeps the phase") {
  Pits pits;
  pits.program(0, 2, 1193);
  pits.lines.take_rises(0);
  const Nanoseconds first = pits.clock.next_deadline();
  pits.stall(10'500'000);
  CHECK(pits.lines.take_rises(0) == 1);
  // The next one comes on the grid that the first defined.
  const u64 period_ns = u64{1193} * 1'000'000'000 / 1'193'182;
  const u64 offset = (pits.clock.next_deadline() - first) % period_ns;
  CHECK((offset < 100 || offset > period_ns - 100));
  pits.run(10'000'000);
  CHECK(pits.lines.take_rises(0) == 10);
}

TEST_CASE("8254: whoever reads the counter after the edge finds the interrupt raised") {
  Pits pits;
  pits.program(0, 2, 100);
  pits.lines.take_rises(0);
  pits.time.advance(100'000);  // the event is due but hasn't run
  CHECK(pits.lines.rises[0] == 0);
  pits.latched(0);
  CHECK(pits.lines.take_rises(0) == 1);
  pits.clock.run_due();
  CHECK(pits.lines.take_rises(0) == 0);
}

TEST_CASE("port 61h: gate, speaker, refresh toggle and OUT 2") {
  Pits pits;
  IoHandler& port = pits.pit.system_control();
  pits.program(2, 3, 1193);
  CHECK_FALSE(pits.pit.speaker().on);
  out(port, 0, 0xFF);
  CHECK((in(port)&0x0F) == 0x0F);
  const Pit::Speaker speaker = pits.pit.speaker();
  CHECK(speaker.on);
  CHECK(speaker.frequency == Approx(1193182.0 / 1193));
  out(port, 0, 0x01);
  CHECK_FALSE(pits.pit.speaker().on);
  const bool refresh = (in(port)&0x10) != 0;
  pits.run(15'085);
  CHECK(((in(port)&0x10) != 0) == !refresh);
  pits.program(2, 0, 2);
  CHECK((in(port)&0x20) == 0);
  pits.run(10'000);
  CHECK((in(port)&0x20) != 0);
}

TEST_CASE("8254: state survives a snapshot and reset forgets") {
  Pits pits;
  pits.program(0, 3, 777);
  pits.program(1, 2, 18, 0x10);
  pits.program(2, 1, 9);
  pits.gate2(true);
  pits.pulses(12345);
  out(pits.ports, 3, 0xC2);
  Pits other;
  CHECK(copies(pits.pit, other.pit));
  CHECK(other.clock.next_deadline() == pits.clock.next_deadline());
  CHECK(other.lines.rises[0] == 0);
  pits.pit.reset(ResetKind::System);
  CHECK(pits.clock.next_deadline() == kNever);
  CHECK(in(pits.pit.system_control()) == (in(pits.pit.system_control()) & 0x10));
  CHECK_FALSE(pits.pit.name().empty());
}
