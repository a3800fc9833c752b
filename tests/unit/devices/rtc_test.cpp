#include "devices/timer/rtc.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/legacy_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kMillisecond = 1'000'000;
// 2024-02-28 23:59:58 UTC, a Wednesday, and 0.25 s.
constexpr i64 kStart = i64{1709164798} * 1'000'000'000 + 250'000'000;

struct Clocks : LegacyBoard {
  FixedWallClock wall;
  Rtc rtc;
  explicit Clocks(i64 start = kStart) : wall(start), rtc(clock, wall) {
    rtc.irq().connect(lines, 8);
  }
  u8 get(u8 index) { return out(rtc.ports(), 0, index), in(rtc.ports(), 1); }
  void set(u8 index, u8 value) { out(rtc.ports(), 0, index), out(rtc.ports(), 1, value); }
  std::vector<u8> date() {
    return {get(0x32), get(9), get(8), get(7), get(4), get(2), get(0), get(6)};
  }
  void set_date(std::vector<u8> values) {
    const u8 control = get(0x0B);
    set(0x0B, control | 0x80);
    const u8 indices[] = {0x32, 9, 8, 7, 4, 2, 0, 6};
    for (unsigned i = 0; i < values.size(); ++i) set(indices[i], values[i]);
    set(0x0B, control & 0x7F);
  }
};

}  // namespace

TEST_CASE("MC146818: power-on shows the wall clock's time in BCD") {
  Clocks clocks;
  CHECK(clocks.date() == std::vector<u8>{0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58, 0x04});
  CHECK(clocks.get(0x0D) == 0x80);
  CHECK((clocks.get(0x0A) & 0x7F) == 0x26);
  CHECK(clocks.get(0x0B) == 0x02);
  clocks.run(750 * kMillisecond);  // the second that was running ends
  CHECK(clocks.get(0) == 0x59);
  clocks.run(kSecond);
  CHECK(clocks.date() == std::vector<u8>{0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00, 0x05});
  clocks.run(86'400 * kSecond);
  CHECK(clocks.date() == std::vector<u8>{0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00, 0x06});
}

TEST_CASE("MC146818: leap years, year and century roll over") {
  Clocks clocks;
  clocks.set_date({0x20, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59, 0x07});
  clocks.run(kSecond);
  CHECK(clocks.date() == std::vector<u8>{0x21, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x01});
  clocks.set_date({0x21, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59, 0x01});
  clocks.run(kSecond);
  CHECK(clocks.get(8) == 0x03);  // 2100 is no leap year
  clocks.set_date({0x20, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59, 0x01});
  clocks.run(kSecond);
  CHECK(clocks.get(7) == 0x29);  // 2000 was
  clocks.set_date({0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x07});
  clocks.stall(u64{146'097} * 86'400 * kSecond / 400);  // a year and a bit in one go
  CHECK(clocks.get(9) == 0x00);
  CHECK(clocks.get(8) == 0x12);
}

TEST_CASE("MC146818: binary and twelve-hour modes") {
  Clocks clocks;
  clocks.set(0x0B, 0x84);  // SET, binary, 12 hours
  for (const auto& [index, value] :
       {std::pair{0, 59}, {2, 59}, {4, 11}, {7, 31}, {8, 12}, {9, 25}, {0x32, 20}, {6, 3}}) {
    clocks.set(static_cast<u8>(index), static_cast<u8>(value));
  }
  clocks.set(0x0B, 0x04);
  clocks.run(kSecond);
  CHECK(clocks.get(4) == 0x8C);  // 12 PM
  CHECK(clocks.get(7) == 31);
  clocks.run(3600 * kSecond);
  CHECK(clocks.get(4) == 0x81);
  clocks.run(11 * 3600 * kSecond);
  CHECK(clocks.get(4) == 12);  // 12 AM
  CHECK(clocks.get(9) == 26);
  CHECK(clocks.get(0x32) == 20);
}

TEST_CASE("MC146818: SET holds the calendar, clears UIE, and the chain goes on") {
  Clocks clocks;
  clocks.set(0x0B, 0x12);
  CHECK(clocks.get(0x0B) == 0x12);
  clocks.set(0x0B, 0x92);
  CHECK(clocks.get(0x0B) == 0x82);
  const u8 before = clocks.get(0);
  clocks.run(5 * kSecond);
  CHECK(clocks.get(0) == before);
  CHECK((clocks.get(0x0A) & 0x80) == 0);
  clocks.set(0, 0x10);
  clocks.set(0x0B, 0x02);
  CHECK(clocks.get(0) == 0x10);
  clocks.run(749 * kMillisecond);
  CHECK(clocks.get(0) == 0x10);
  clocks.run(kMillisecond);
  CHECK(clocks.get(0) == 0x11);
}

TEST_CASE("MC146818: UIP for 2,228 us before the end of each update cycle") {
  Clocks clocks;
  clocks.run(750 * kMillisecond - 2'228'001);
  CHECK((clocks.get(0x0A) & 0x80) == 0);
  clocks.run(1);
  CHECK((clocks.get(0x0A) & 0x80) != 0);
  clocks.run(2'227'999);
  CHECK((clocks.get(0x0A) & 0x80) != 0);
  CHECK(clocks.get(0) == 0x58);
  clocks.run(1);
  CHECK((clocks.get(0x0A) & 0x80) == 0);
  CHECK(clocks.get(0) == 0x59);
  CHECK(clocks.get(0x0C) == 0x50);  // UF, and PF of the periodic rate
  CHECK(clocks.get(0x0C) == 0x00);
}

TEST_CASE("MC146818: the divider in reset stops time; released, it takes half a second") {
  Clocks clocks;
  clocks.set(0x0A, 0x76);
  clocks.run(10 * kSecond);
  CHECK(clocks.get(0) == 0x58);
  CHECK(clocks.get(0x0C) == 0);
  clocks.set(0x0A, 0x26);
  clocks.run(kSecond / 2 - 1);
  CHECK(clocks.get(0) == 0x58);
  clocks.run(1);
  CHECK(clocks.get(0) == 0x59);
}

TEST_CASE("MC146818: update-ended interrupt on IRQ 8 until register C is read") {
  Clocks clocks;
  clocks.set(0x0B, 0x12);
  clocks.run(750 * kMillisecond - 1);
  CHECK_FALSE(clocks.lines.levels[8]);
  clocks.run(1);
  CHECK(clocks.lines.levels[8]);
  clocks.run(3 * kSecond);
  CHECK(clocks.lines.take_rises(8) == 1);  // nobody has read C
  CHECK((clocks.get(0x0C) & 0x90) == 0x90);
  CHECK_FALSE(clocks.lines.levels[8]);
  clocks.run(kSecond);
  CHECK(clocks.lines.take_rises(8) == 1);
}

TEST_CASE("MC146818: an enable that meets a raised flag interrupts at once") {
  Clocks clocks;
  clocks.run(2 * kSecond);
  clocks.set(0x0B, 0x12);
  CHECK(clocks.lines.levels[8]);
  clocks.set(0x0B, 0x02);
  CHECK_FALSE(clocks.lines.levels[8]);
}

TEST_CASE("MC146818: alarm, exact and with don't-cares") {
  Clocks clocks;
  clocks.set(1, 0x01);
  clocks.set(3, 0x00);
  clocks.set(5, 0x00);
  clocks.set(0x0B, 0x22);
  clocks.run(2 * kSecond);  // 00:00:00.25
  CHECK_FALSE(clocks.lines.levels[8]);
  clocks.run(kSecond);
  CHECK(clocks.lines.levels[8]);
  CHECK((clocks.get(0x0C) & 0xB0) == 0xB0);
  clocks.run(86'399 * kSecond);
  CHECK_FALSE(clocks.lines.levels[8]);
  clocks.run(kSecond);
  CHECK(clocks.lines.levels[8]);
  clocks.get(0x0C);
  clocks.set(3, 0xC0);  // every minute
  clocks.set(5, 0xFF);
  clocks.lines.take_rises(8);
  for (int minute = 0; minute < 3; ++minute) {
    clocks.run(60 * kSecond);
    CHECK((clocks.get(0x0C) & 0x20) != 0);
  }
  CHECK(clocks.lines.take_rises(8) == 3);
  clocks.set(0x0B, 0x02);
  clocks.set(1, 0x30);
  clocks.stall(100 * kSecond);  // flags rise without an interrupt too
  CHECK((clocks.get(0x0C) & 0x30) == 0x30);
  clocks.set(5, 0x25);  // an hour that never comes
  clocks.stall(200'000 * kSecond);
  CHECK((clocks.get(0x0C) & 0x30) == 0x10);
}

TEST_CASE("MC146818: periodic interrupt rates") {
  struct Rate {
    u8 select;
    unsigned hertz;
  };
  for (const Rate rate : {Rate{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {9, 128}, {15, 2}}) {
    Clocks clocks;
    clocks.set(0x0A, static_cast<u8>(0x20 | rate.select));
    clocks.get(0x0C);
    clocks.set(0x0B, 0x42);
    unsigned interrupts = 0;
    const Nanoseconds end = clocks.time.now() + kSecond;
    while (clocks.clock.next_deadline() <= end) {
      clocks.run(clocks.clock.next_deadline() - clocks.time.now());
      if ((clocks.get(0x0C) & 0xC0) == 0xC0) ++interrupts;
    }
    INFO("rate select " << unsigned{rate.select});
    CHECK(interrupts == rate.hertz);
  }
  Clocks off;
  off.set(0x0A, 0x20);
  off.set(0x0B, 0x42);
  CHECK(off.clock.next_deadline() == kNever);
}

TEST_CASE("MC146818: late hosts see one periodic flag and no drift") {
  Clocks clocks;
  clocks.get(0x0C);
  clocks.set(0x0B, 0x42);
  clocks.stall(100 * kMillisecond);
  CHECK(clocks.lines.take_rises(8) == 1);
  CHECK((clocks.get(0x0C) & 0xC0) == 0xC0);
  const Nanoseconds next = clocks.clock.next_deadline() + 250'000'000;
  CHECK(next % 976'562 < 200);  // on the chain's grid of 1/1024 s, within rounding
}

TEST_CASE("MC146818: two banks of memory, the NMI mask and power-on values") {
  Clocks clocks;
  IoHandler& ports = clocks.rtc.ports();
  clocks.rtc.set_nvram(0x10, 0x40);
  clocks.rtc.set_nvram(0x90, 0x12);
  clocks.rtc.set_nvram(0x00, 0x77);  // clock registers aren't for it
  clocks.rtc.set_nvram(0x100, 0x77);
  CHECK(clocks.get(0x00) == 0x58);
  CHECK(clocks.get(0x10) == 0x40);
  out(ports, 2, 0x10);
  CHECK(in(ports, 3) == 0x12);
  out(ports, 3, 0x34);
  CHECK(in(ports, 3) == 0x34);
  CHECK(clocks.rtc.nvram(0x90) == 0x34);
  clocks.set(0x10, 0x41);
  clocks.set(0x0D, 0x00);
  clocks.set(0x0C, 0xFF);
  CHECK(clocks.get(0x0D) == 0x80);
  CHECK_FALSE(clocks.rtc.nmi_masked());
  out(ports, 0, 0x8F);
  CHECK(clocks.rtc.nmi_masked());
  CHECK(in(ports, 0) == 0xFF);
  CHECK(in(ports, 2) == 0xFF);

  clocks.set(0x0B, 0x7A);
  clocks.rtc.reset(ResetKind::System);
  CHECK(clocks.get(0x10) == 0x41);
  CHECK(clocks.get(0x0B) == 0x02);
  CHECK(clocks.get(0x0C) == 0x00);
  clocks.rtc.reset(ResetKind::PowerOn);
  CHECK(clocks.get(0x10) == 0x40);
}

TEST_CASE("MC146818: state survives a snapshot") {
  Clocks clocks;
  clocks.set(0x0B, 0x52);
  clocks.run(1234 * kMillisecond);
  Clocks other(0);
  CHECK(copies(clocks.rtc, other.rtc));
  CHECK(other.rtc.irq().level());
  CHECK(other.lines.rises[8] == 0);
  CHECK(other.clock.next_deadline() == clocks.clock.next_deadline());
  CHECK_FALSE(clocks.rtc.name().empty());
  HostWallClock host;
  CHECK(host.since_epoch() > kStart);
}
