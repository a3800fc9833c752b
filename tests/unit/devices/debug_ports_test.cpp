#include <catch2/catch.hpp>

#include "devices/debug/debug_ports.h"
#include "devices/parallel/parallel_port.h"

using namespace ringshift;
using namespace ringshift::devices;

namespace {

struct Text : CharacterBackend {
  void transmit(u8 byte) override { sent += static_cast<char>(byte); }
  std::string sent;
};

struct Panel : MachineControl {
  void request_reset() override {}
  void request_power_off() override {}
  void request_debug_exit(u32 value) override { exit_value = value; }
  void guest_panicked() override { ++panics; }
  void set_a20(bool) override {}
  u32 exit_value = 0;
  unsigned panics = 0;
};

struct Printer {
  ManualTime time;
  EventClock clock{time};
  Text paper;
  ParallelPort port{clock, "LPT1", &paper};
  u8 in(u64 offset) { return static_cast<u8>(port.io_read(offset, 1)); }
  void out(u64 offset, u8 value) { port.io_write(offset, value, 1); }
  void wait(Nanoseconds by) {
    time.advance(by);
    clock.run_due();
  }
};

}  // namespace

TEST_CASE("debug console: probe and output") {
  Text text;
  DebugConsole console("debug-console", &text);
  CHECK(console.io_read(0, 1) == 0xE9);
  console.io_write(0, 'o', 1);
  console.io_write(0, 'k', 1);
  CHECK(text.sent == "ok");
  DebugConsole silent("silent", nullptr);
  silent.io_write(0, 'x', 1);
  silent.reset(ResetKind::PowerOn);
  StateArchive archive;
  silent.serialize(archive);
  CHECK(silent.name() == "silent");
}

TEST_CASE("debug exit and pvpanic reach the machine") {
  Panel panel;
  DebugExit exit(panel);
  exit.io_write(0, 0x12345678, 4);
  CHECK(panel.exit_value == 0x12345678);
  CHECK(exit.io_read(0, 4) == 0);
  exit.reset(ResetKind::System);
  CHECK(exit.name() == "debug-exit");
  PanicPort port(panel);
  CHECK(port.name() == "pvpanic");
  CHECK(port.io_read(0, 1) == 3);
  port.io_write(0, 2, 1);
  CHECK(panel.panics == 0);
  port.io_write(0, 1, 1);
  CHECK(panel.panics == 1);
  CHECK(port.events() == 3);
  StateArchive saved;
  exit.serialize(saved);
  port.serialize(saved);
  PanicPort other(panel);
  StateArchive restoring(saved.bytes());
  exit.serialize(restoring);
  other.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(other.events() == 3);
  other.reset(ResetKind::System);
  CHECK(other.events() == 0);
}

TEST_CASE("parallel port: strobe, busy, acknowledge, interrupt") {
  Printer p;
  CHECK(p.in(1) == 0xDF);  // not busy, nACK, no paper out, selected, no fault, nIRQ
  CHECK(p.in(2) == 0xC0);
  p.out(2, 0x1C);
  p.out(0, 'P');
  CHECK(p.in(0) == 'P');
  p.out(2, 0x1D);
  CHECK(p.paper.sent == "P");
  CHECK(p.in(1) == 0x5F);
  p.out(2, 0x1C);
  p.out(2, 0x1D);  // a busy printer doesn't listen
  CHECK(p.paper.sent == "P");
  p.wait(2'000);
  CHECK(p.in(1) == 0x1F);
  p.wait(5'000);
  CHECK(p.port.interrupt().level());
  CHECK(p.in(1) == 0xDB);
  CHECK_FALSE(p.port.interrupt().level());
  CHECK(p.in(1) == 0xDF);
}

TEST_CASE("parallel port: who doesn't listen, and the other direction") {
  Printer p;
  p.out(0, 'x');
  p.out(2, 0x08), p.out(2, 0x09);  // nINIT low
  p.out(2, 0x04), p.out(2, 0x05);  // not selected
  p.out(2, 0x2C), p.out(2, 0x2D);  // data lines let go
  CHECK(p.paper.sent.empty());
  CHECK(p.in(0) == 0xFF);
  CHECK(p.in(3) == 0xFF);
  ParallelPort empty(p.clock, "LPT2", nullptr);
  CHECK(empty.io_read(1, 1) == 0x7F);
  empty.io_write(2, 0x0D, 1);
  CHECK(empty.io_read(2, 1) == 0xCD);
}

TEST_CASE("parallel port: snapshot") {
  Printer p;
  p.out(2, 0x1C), p.out(0, 'a'), p.out(2, 0x1D);
  StateArchive saved;
  p.port.serialize(saved);
  Printer q;
  StateArchive restoring(saved.bytes());
  q.port.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(q.in(0) == 'a');
  CHECK(q.in(1) == 0x5F);
  q.wait(2'000);
  q.wait(5'000);
  CHECK(q.port.interrupt().level());
  q.out(2, 0x0C);
  CHECK_FALSE(q.port.interrupt().level());
  q.port.reset(ResetKind::System);
  CHECK(q.in(2) == 0xC0);
  CHECK(q.port.name() == "LPT1");
}
