// Expected values: National Semiconductor PC16550D data sheet.
#include <catch2/catch.hpp>

#include "devices/serial/uart16550.h"

using namespace ringshift;
using namespace ringshift::devices;

namespace {

struct Line : CharacterBackend, IrqSink {
  void transmit(u8 byte) override { sent += static_cast<char>(byte); }
  void ready_to_receive() override { ++ready; }
  void set_irq(unsigned, bool now) override {
    level = now;
    if (now) ++rises;
  }
  std::string sent;
  unsigned ready = 0, rises = 0;
  bool level = false;
};

struct Fixture {
  ManualTime time;
  EventClock clock{time};
  Line line;
  Uart16550 uart{clock, "COM1", &line};
  Fixture() { uart.interrupt().connect(line, 4); }
  u8 in(u64 offset) { return static_cast<u8>(uart.io_read(offset, 1)); }
  void out(u64 offset, u8 value) { uart.io_write(offset, value, 1); }
  std::size_t receive(std::string_view text) {
    return uart.receive({reinterpret_cast<const u8*>(text.data()), text.size()});
  }
  /// 115200 baud, 8N1, OUT2 on: one character takes 86.8 µs.
  void open(u8 ier, u8 fcr) {
    out(3, 0x83), out(0, 1), out(1, 0), out(3, 0x03);
    out(4, 0x0B), out(2, fcr), out(1, ier);
  }
};

}  // namespace

TEST_CASE("UART: reset state and register access") {
  Fixture f;
  CHECK(f.in(1) == 0);
  CHECK(f.in(2) == 0x01);
  CHECK(f.in(3) == 0);
  CHECK(f.in(4) == 0);
  CHECK(f.in(5) == 0x60);
  CHECK(f.in(6) == 0xB0);
  f.out(7, 0x5A);
  CHECK(f.in(7) == 0x5A);
  f.out(1, 0xFF);
  CHECK(f.in(1) == 0x0F);
  f.out(4, 0xFF);
  CHECK(f.in(4) == 0x1F);
  f.out(3, 0x80);
  f.out(0, 0x34), f.out(1, 0x12);
  CHECK(f.in(0) == 0x34);
  CHECK(f.in(1) == 0x12);
  f.out(3, 0x00);
  CHECK(f.in(1) == 0x0F);
  f.out(5, 0), f.out(6, 0);  // no effect
  CHECK(f.in(5) == 0x60);
  CHECK(f.in(8) == 0xFF);
  CHECK(f.uart.name() == "COM1");
}

TEST_CASE("UART: transmission with THRE interrupts") {
  Fixture f;
  f.open(0x02, 0x00);  // enabling it with an empty register interrupts at once
  CHECK(f.line.level);
  CHECK(f.in(2) == 0x02);
  CHECK_FALSE(f.line.level);  // shown, so cleared
  CHECK(f.in(2) == 0x01);
  f.out(0, 'A');
  CHECK(f.line.sent == "A");
  CHECK(f.line.rises == 2);
  f.out(0, 'B');  // an edge for each
  CHECK(f.line.rises == 3);
  CHECK(f.in(5) == 0x60);
  f.out(1, 0x00);
  CHECK_FALSE(f.line.level);
}

TEST_CASE("UART: without OUT2 the PC sees no interrupt") {
  Fixture f;
  f.open(0x02, 0);
  f.out(4, 0x03);
  CHECK_FALSE(f.line.level);
  f.out(4, 0x0B);
  CHECK(f.line.level);
}

TEST_CASE("UART: the line takes whole bytes, loopback only the word's bits") {
  Fixture f;
  f.open(0, 0);
  f.out(3, 0x00);
  f.out(0, 'A');
  CHECK(f.line.sent == "A");
  f.receive("\xC1");
  CHECK(f.in(0) == 0xC1);
  f.out(4, 0x10);
  f.out(0, 0xFF);
  CHECK(f.in(0) == 0x1F);
  f.out(3, 0x02);
  f.out(0, 0xFF);
  CHECK(f.in(0) == 0x7F);
}

TEST_CASE("UART: receiving without FIFOs") {
  Fixture f;
  f.open(0x01, 0);
  CHECK(f.receive("xyz") == 1);
  CHECK(f.line.level);
  CHECK(f.in(2) == 0x04);
  CHECK(f.in(5) == 0x61);
  CHECK(f.in(0) == 'x');
  CHECK(f.line.ready == 1);
  CHECK_FALSE(f.line.level);
  CHECK(f.in(5) == 0x60);
  CHECK(f.in(0) == 'x');  // an empty register goes on showing its byte
  CHECK(f.line.ready == 1);
}

TEST_CASE("UART: FIFO trigger levels") {
  const unsigned levels[] = {1, 4, 8, 14};
  for (unsigned code = 0; code < 4; ++code) {
    Fixture f;
    f.open(0x01, static_cast<u8>(0x01 | code << 6));
    CHECK(f.in(2) == 0xC1);
    for (unsigned i = 1; i < levels[code]; ++i) f.receive("a");
    CHECK_FALSE(f.line.level);
    f.receive("b");
    CHECK(f.line.level);
    CHECK(f.in(2) == 0xC4);
    f.in(0);
    CHECK_FALSE(f.line.level);
  }
}

TEST_CASE("UART: character timeout after four character times") {
  Fixture f;
  f.open(0x01, 0xC1);
  f.receive("abc");
  f.time.advance(340'000);
  f.clock.run_due();
  CHECK_FALSE(f.line.level);
  f.time.advance(10'000);
  f.clock.run_due();
  CHECK(f.line.level);
  CHECK(f.in(2) == 0xCC);
  CHECK(f.in(0) == 'a');  // a read ends it, and the time starts again
  CHECK_FALSE(f.line.level);
  f.time.advance(350'000);
  f.clock.run_due();
  CHECK(f.in(2) == 0xCC);
  f.in(0), f.in(0);
  CHECK(f.clock.next_deadline() == kNever);
}

TEST_CASE("UART: the FIFO takes sixteen bytes and asks for more when there is room") {
  Fixture f;
  f.open(0, 0x01);
  CHECK(f.receive("0123456789abcdefgh") == 16);
  CHECK(f.line.ready == 0);
  CHECK(f.in(0) == '0');
  CHECK(f.line.ready == 1);
  CHECK(f.in(0) == '1');
  CHECK(f.line.ready == 1);
  f.receive("gh+");
  f.out(2, 0x03);  // reset of the receiver
  CHECK(f.line.ready == 2);
  CHECK(f.in(5) == 0x60);
  f.receive("x");
  f.out(2, 0x00);  // switching FIFOs off empties them
  CHECK(f.in(5) == 0x60);
}

TEST_CASE("UART: overrun, in both modes") {
  Fixture f;
  f.open(0x04, 0x00);
  f.out(4, 0x1B);  // loopback is the only sender that doesn't wait
  f.out(0, 'a'), f.out(0, 'b');
  CHECK(f.in(2) == 0x06);
  CHECK(f.in(5) == 0x63);
  CHECK(f.in(5) == 0x61);
  CHECK(f.in(0) == 'b');
  f.out(2, 0x01);
  for (char c = 'a'; c < 'a' + 17; ++c) f.out(0, static_cast<u8>(c));
  CHECK(f.in(5) == 0x63);
  for (char c = 'a'; c < 'a' + 16; ++c) CHECK(f.in(0) == static_cast<u8>(c));
  CHECK(f.in(5) == 0x60);
}

TEST_CASE("UART: a break shows when its byte reaches the top") {
  Fixture f;
  f.open(0x05, 0x01);
  f.receive("a");
  f.uart.receive_break();
  CHECK(f.in(2) == 0xC4);
  CHECK(f.in(5) == 0xE1);  // an error somewhere in the FIFO
  CHECK(f.in(0) == 'a');
  CHECK(f.in(2) == 0xC6);  // highest priority
  CHECK(f.in(5) == 0xF1);
  CHECK(f.in(5) == 0x61);
  CHECK(f.in(0) == 0);
  f.out(4, 0x1B);
  f.out(3, 0x43);
  CHECK(f.in(5) == 0xF1);
  f.out(4, 0x0B);
  f.out(0, 'x');  // the line is held in break: nothing gets through
  CHECK(f.line.sent.empty());
}

TEST_CASE("UART: modem status deltas") {
  Fixture f;
  f.open(0x08, 0);
  f.in(6);
  f.uart.set_modem_inputs(Uart16550::kRingIndicator | Uart16550::kClearToSend);
  CHECK(f.line.level);
  CHECK(f.in(2) == 0x00);
  CHECK(f.in(6) == 0x5A);  // DSR and DCD have changed; RI's leading edge isn't reported
  CHECK_FALSE(f.line.level);
  f.uart.set_modem_inputs(0);
  CHECK(f.in(6) == 0x05);  // DCTS, TERI
  CHECK(f.in(6) == 0x00);
}

TEST_CASE("UART: loopback of the modem lines") {
  Fixture f;
  f.out(4, 0x10);
  CHECK((f.in(6) & 0xF0) == 0x00);
  f.out(4, 0x1F);
  CHECK((f.in(6) & 0xF0) == 0xF0);
  f.out(4, 0x1A);  // RTS and OUT2: the driver probes with this
  CHECK((f.in(6) & 0xF0) == 0x90);
  CHECK(f.receive("line") == 0);
  f.out(4, 0x00);
  CHECK((f.in(6) & 0xF0) == 0xB0);
  CHECK(f.line.ready == 1);
}

TEST_CASE("UART: interrupt priorities") {
  Fixture f;
  f.open(0x0F, 0x00);
  f.uart.set_modem_inputs(0);
  f.receive("a");
  f.out(4, 0x1B);
  f.out(0, 'b');  // overrun
  f.out(4, 0x0B);
  CHECK(f.in(2) == 0x06);
  f.in(5);
  CHECK(f.in(2) == 0x04);
  f.in(0);
  CHECK(f.in(2) == 0x02);
  CHECK(f.in(2) == 0x00);
  f.in(6);
  CHECK(f.in(2) == 0x01);
}

TEST_CASE("UART: snapshot, and nothing connected") {
  Fixture f;
  f.open(0x01, 0x41);
  f.receive("abcde");
  f.out(7, 9);
  StateArchive saved;
  f.uart.serialize(saved);
  Fixture g;
  StateArchive restoring(saved.bytes());
  g.uart.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(g.line.rises == 0);
  CHECK(g.uart.interrupt().level());
  CHECK(g.in(2) == 0xC4);
  CHECK(g.in(0) == 'a');
  CHECK(g.in(7) == 9);
  g.uart.reset(ResetKind::System);
  CHECK(g.in(5) == 0x60);
  CHECK(g.in(7) == 9);
  Uart16550 bare(f.clock, "COM2", nullptr);
  CHECK(bare.io_read(6, 1) == 0);
  bare.io_write(0, 'x', 1);
}
