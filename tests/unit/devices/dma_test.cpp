#include <catch2/catch.hpp>
#include <numeric>

#include "tests/unit/devices/dma_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

std::vector<u8> rising(std::size_t size) {
  std::vector<u8> bytes(size);
  std::iota(bytes.begin(), bytes.end(), u8{1});
  return bytes;
}

constexpr u8 kToMemory = 0x44, kFromMemory = 0x48, kVerify = 0x40;  // single mode
constexpr u8 kAutomatic = 0x10, kDecrement = 0x20;

}  // namespace

TEST_CASE("8237A: a device's bytes go to memory until terminal count, which masks the channel") {
  DmaBoard board;
  board.program(2, kToMemory, 0x12345, 6);
  DmaChannel& channel = board.dma.channel(2);
  CHECK(channel.ready());
  const std::vector<u8> bytes = rising(4);
  DmaChannel::Outcome outcome = channel.write_memory(bytes);
  CHECK(outcome.transferred == 4);
  CHECK_FALSE(outcome.terminal_count);
  CHECK(board.read16(4) == 0x2349);
  CHECK(board.read16(5) == 1);
  CHECK((in(board.dma.first_ports(), 8) & 0x0F) == 0);
  outcome = channel.write_memory(bytes);
  CHECK(outcome.transferred == 2);
  CHECK(outcome.terminal_count);
  CHECK(std::vector<u8>(board.at(0x12345), board.at(0x1234B)) == std::vector<u8>{1, 2, 3, 4, 1, 2});
  CHECK_FALSE(channel.ready());
  CHECK(board.read16(5) == 0xFFFF);
  CHECK(in(board.dma.first_ports(), 8) == 0x04);
  CHECK(in(board.dma.first_ports(), 8) == 0x00);  // reading clears
  CHECK(in(board.dma.first_ports(), 15) == 0x0F);
  CHECK(channel.write_memory(bytes).transferred == 0);
}

TEST_CASE("8237A: memory to device, and cycles in the wrong direction move no data") {
  DmaBoard board;
  const std::vector<u8> bytes = rising(8);
  std::copy(bytes.begin(), bytes.end(), board.at(0x8000));
  board.program(1, kFromMemory, 0x8000, 8);
  std::vector<u8> got(8);
  CHECK(board.dma.channel(1).read_memory(got).terminal_count);
  CHECK(got == bytes);
  board.program(1, kVerify, 0x8000, 8);
  CHECK(board.dma.channel(1).read_memory(got).transferred == 8);
  CHECK(got == std::vector<u8>(8, 0xFF));
  board.program(1, kFromMemory, 0x8000, 8);
  CHECK(board.dma.channel(1).write_memory(std::vector<u8>(8, 0x55)).transferred == 8);
  CHECK(std::vector<u8>(board.at(0x8000), board.at(0x8008)) == bytes);
}

TEST_CASE("8237A: the address wraps within its 64 KiB page") {
  DmaBoard board;
  board.program(3, kToMemory, 0x2FFFE, 4);
  CHECK(board.dma.channel(3).write_memory(rising(4)).terminal_count);
  CHECK(*board.at(0x2FFFE) == 1);
  CHECK(*board.at(0x2FFFF) == 2);
  CHECK(*board.at(0x20000) == 3);
  CHECK(*board.at(0x20001) == 4);
  CHECK(*board.at(0x30000) == 0);
}

TEST_CASE("8237A: decrementing and automatic initialisation") {
  DmaBoard board;
  board.program(0, kToMemory | kDecrement | kAutomatic, 0x10003, 4);
  DmaChannel& channel = board.dma.channel(0);
  CHECK(channel.write_memory(rising(4)).terminal_count);
  CHECK(std::vector<u8>(board.at(0x10000), board.at(0x10004)) == std::vector<u8>{4, 3, 2, 1});
  CHECK(channel.ready());
  CHECK(board.read16(0) == 0x0003);
  CHECK(board.read16(1) == 3);
  CHECK(channel.write_memory(rising(10)).transferred == 4);
}

TEST_CASE("8237A: 16-bit channels count words and wrap at 128 KiB") {
  DmaBoard board;
  IoHandler& ports = board.dma.second_ports();
  IoHandler& pages = board.dma.page_ports();
  const auto program = [&](unsigned channel, u8 page_port, u16 words) {
    out(ports, 0x18, 0);
    out(ports, 0x16, static_cast<u8>(kToMemory | channel));
    out(ports, channel * 4, 0xFF);
    out(ports, channel * 4, 0xFF);  // address 1FFFEh within the page
    out(ports, channel * 4 + 2, static_cast<u8>(words - 1));
    out(ports, channel * 4 + 2, 0);
    out(pages, page_port, 0x05);  // bit 0 isn't used
    out(ports, 0x14, static_cast<u8>(channel));
  };
  program(1, 0xB, 2);
  DmaChannel& channel = board.dma.channel(5);
  CHECK(channel.write_memory(rising(1)).transferred == 0);
  const DmaChannel::Outcome outcome = channel.write_memory(rising(5));
  CHECK(outcome.transferred == 4);
  CHECK(outcome.terminal_count);
  CHECK(*board.at(0x5FFFE) == 1);
  CHECK(*board.at(0x5FFFF) == 2);
  CHECK(*board.at(0x40000) == 3);
  CHECK(*board.at(0x40001) == 4);
  program(2, 0x9, 1);
  CHECK(board.dma.channel(6).write_memory(rising(2)).terminal_count);
  program(3, 0xA, 1);
  CHECK(board.dma.channel(7).write_memory(rising(2)).terminal_count);
  CHECK(in(ports, 0x10) == 0x0E);
  CHECK(in(ports, 0x12) == 0xFF);
}

TEST_CASE("8237A: masks, the controller disable bit and the cascade gate a channel") {
  DmaBoard board;
  IoHandler& first = board.dma.first_ports();
  IoHandler& second = board.dma.second_ports();
  board.program(2, kToMemory, 0x1000, 100);
  const DmaChannel& channel = board.dma.channel(2);
  CHECK(channel.ready());
  out(first, 0xA, 0x06);
  CHECK_FALSE(channel.ready());
  out(first, 0xE, 0);
  CHECK(channel.ready());
  out(first, 0xF, 0xFF);
  CHECK(in(first, 0xF) == 0x0F);
  CHECK_FALSE(channel.ready());
  out(first, 0xF, 0x0B);
  CHECK(channel.ready());
  out(first, 8, 0x04);
  CHECK_FALSE(channel.ready());
  out(first, 8, 0x00);
  out(second, 0x14, 0x04);
  CHECK_FALSE(channel.ready());
  out(second, 0x14, 0x00);
  out(second, 0x16, 0x40);  // channel 4 no longer cascades
  CHECK_FALSE(channel.ready());
  out(second, 0x16, 0xC0);
  CHECK(channel.ready());
  out(second, 0x10, 0x04);
  CHECK_FALSE(channel.ready());
  out(second, 0x10, 0x00);
  CHECK_FALSE(board.dma.channel(4).ready());
  out(first, 0xD, 0);  // master clear
  CHECK_FALSE(channel.ready());
  CHECK(in(first, 0xF) == 0x0F);
}

TEST_CASE("8237A: requests of devices and of software show in the status register") {
  DmaBoard board;
  IoHandler& first = board.dma.first_ports();
  board.dma.channel(3).set_request(true);
  CHECK(in(first, 8) == 0x80);
  out(first, 9, 0x05);
  CHECK(in(first, 8) == 0xA0);
  out(first, 9, 0x01);
  board.dma.channel(3).set_request(false);
  CHECK(in(first, 8) == 0x00);
  out(first, 8, 0x40);  // DREQ active low
  CHECK(in(first, 8) == 0xF0);
}

TEST_CASE("8237A: memory to memory by a software request on channel 0") {
  DmaBoard board;
  IoHandler& first = board.dma.first_ports();
  const std::vector<u8> bytes = rising(5);
  std::copy(bytes.begin(), bytes.end(), board.at(0x11000));
  board.program(0, 0x88, 0x11000, 5);
  board.program(1, 0x84, 0x22000, 5);
  out(first, 9, 0x04);
  CHECK(*board.at(0x22000) == 0);  // not enabled in the command register
  out(first, 9, 0x00);
  out(first, 8, 0x01);
  out(first, 9, 0x04);
  CHECK(std::vector<u8>(board.at(0x22000), board.at(0x22005)) == bytes);
  CHECK(in(first, 0xD) == 5);  // the temporary register
  CHECK((in(first, 8) & 0x12) == 0x02);
  // With the address of channel 0 held, one byte fills a block.
  board.program(0, 0x88, 0x11002, 5);
  board.program(1, 0xA4, 0x22007, 5);
  out(first, 8, 0x03);
  out(first, 9, 0x04);
  CHECK(std::vector<u8>(board.at(0x22003), board.at(0x22008)) == std::vector<u8>(5, 3));
  CHECK(*board.at(0x22002) == 3);  // from the first copy
}

TEST_CASE("8237A: the flip-flop chooses the byte; page registers and port 80h hold what they get") {
  DmaBoard board;
  IoHandler& first = board.dma.first_ports();
  IoHandler& pages = board.dma.page_ports();
  out(first, 0xC, 0);
  out(first, 2, 0x34);
  out(first, 2, 0x12);
  CHECK(in(first, 2) == 0x34);
  CHECK(in(first, 2) == 0x12);
  CHECK(in(first, 2) == 0x34);
  out(first, 0xC, 0);
  CHECK(in(first, 2) == 0x34);
  for (u8 port = 0; port < 16; ++port) out(pages, port, static_cast<u8>(0xA0 + port));
  for (u8 port = 0; port < 16; ++port) CHECK(in(pages, port) == 0xA0 + port);
  CHECK(board.dma.diagnostic_code() == 0xA0);
}

TEST_CASE("8237A: state survives a snapshot; reset masks all channels") {
  DmaBoard board;
  board.program(2, kToMemory, 0x1234, 77);
  board.dma.channel(2).write_memory(rising(3));
  DmaBoard other;
  CHECK(copies(board.dma, other.dma));
  CHECK(other.read16(5) == 73);
  board.dma.reset(ResetKind::System);
  CHECK_FALSE(board.dma.channel(2).ready());
  CHECK(board.read16(4) == 0x1237);
  board.dma.reset(ResetKind::PowerOn);
  CHECK(board.read16(4) == 0);
  CHECK_FALSE(board.dma.name().empty());
}
