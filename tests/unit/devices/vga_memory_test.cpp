#include <catch2/catch.hpp>

#include "tests/unit/devices/vga_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

/// Mode 12h with known bytes at offset 5 of the planes.
struct Planar : VgaFixture {
  Planar() {
    set_mode(kMode12);
    set(0x11, 0x22, 0x44, 0x88);
  }
  void set(u8 p0, u8 p1, u8 p2, u8 p3) {
    plane(0, 5) = p0, plane(1, 5) = p1, plane(2, 5) = p2, plane(3, 5) = p3;
  }
  std::array<u8, 4> get() { return {plane(0, 5), plane(1, 5), plane(2, 5), plane(3, 5)}; }
  void write(u8 value) { poke(0xA0005, value); }
  u8 read() { return peek(0xA0005); }
};

using Bytes = std::array<u8, 4>;

}  // namespace

TEST_CASE("VGA memory: the window by Memory Map Select") {
  VgaFixture f;
  f.set_mode(kMode12);
  const u64 probes[] = {0xA0000, 0xAFFFF, 0xB0000, 0xB7FFF, 0xB8000, 0xBFFFF};
  const unsigned decoded[] = {0b111111, 0b000011, 0b001100, 0b110000};
  for (u8 select = 0; select < 4; ++select) {
    f.graphics(6, static_cast<u8>(1 | select << 2));
    for (unsigned i = 0; i < 6; ++i) {
      f.poke(probes[i], 0x5A);
      CHECK(f.peek(probes[i]) == ((decoded[select] >> i & 1) != 0 ? 0x5A : 0xFF));
    }
  }
  f.out(0x3C2, 0xE1);  // RAM disabled
  CHECK(f.peek(0xB8000) == 0xFF);
}

TEST_CASE("VGA memory: map mask and read map") {
  Planar f;
  f.sequencer(2, 0x05);
  f.write(0xFF);
  CHECK(f.get() == Bytes{0xFF, 0x22, 0xFF, 0x88});
  for (u8 plane = 0; plane < 4; ++plane) {
    f.graphics(4, plane);
    CHECK(f.read() == f.get()[plane]);
  }
}

TEST_CASE("VGA memory: write mode 0 with rotate, set/reset, function and bit mask") {
  Planar f;
  f.graphics(3, 3);  // rotate right by 3
  f.write(0x0F);
  CHECK(f.get() == Bytes{0xE1, 0xE1, 0xE1, 0xE1});
  f.graphics(3, 0);
  f.graphics(0, 0x05), f.graphics(1, 0x07);  // set/reset planes 0-2
  f.write(0x3C);
  CHECK(f.get() == Bytes{0xFF, 0x00, 0xFF, 0x3C});
  f.graphics(1, 0x00);
  const u8 functions[] = {0x0C, 0x0C & 0x5A, 0x0C | 0x5A, 0x0C ^ 0x5A};
  for (u8 function = 0; function < 4; ++function) {
    f.set(0x5A, 0x5A, 0x5A, 0x5A);
    f.read();
    f.graphics(3, static_cast<u8>(function << 3));
    f.write(0x0C);
    CHECK(f.get()[2] == functions[function]);
  }
  f.graphics(3, 0);
  f.set(0x11, 0x22, 0x44, 0x88);
  f.read();
  f.graphics(8, 0xF0);
  f.write(0xFF);
  CHECK(f.get() == Bytes{0xF1, 0xF2, 0xF4, 0xF8});
}

TEST_CASE("VGA memory: write mode 1 copies the latches") {
  Planar f;
  f.read();
  f.graphics(5, 1);
  f.poke(0xA0009, 0x00);
  for (unsigned p = 0; p < 4; ++p) CHECK(f.plane(p, 9) == f.plane(p, 5));
}

TEST_CASE("VGA memory: write mode 2 spreads a colour") {
  Planar f;
  f.read();
  f.graphics(5, 2), f.graphics(8, 0x0F);
  f.write(0x0A);
  CHECK(f.get() == Bytes{0x10, 0x2F, 0x40, 0x8F});
}

TEST_CASE("VGA memory: write mode 3 masks set/reset with the data") {
  Planar f;
  f.read();
  f.graphics(5, 3), f.graphics(0, 0x03), f.graphics(8, 0x3F);
  f.graphics(3, 4);
  f.write(0x0F);  // rotated F0h, masked 30h
  CHECK(f.get() == Bytes{0x31, 0x32, 0x44, 0x88});
}

TEST_CASE("VGA memory: read mode 1 compares colours") {
  Planar f;
  f.set(0xF0, 0xCC, 0xAA, 0x00);
  f.graphics(5, 8);
  f.graphics(2, 0x03), f.graphics(7, 0x0F);  // planes 0 and 1 set, 2 and 3 clear
  CHECK(f.read() == 0x40);
  f.graphics(7, 0x03);  // planes 2 and 3 don't matter
  CHECK(f.read() == 0xC0);
  f.graphics(7, 0x00);
  CHECK(f.read() == 0xFF);
}

TEST_CASE("VGA memory: odd/even addressing in text modes") {
  VgaFixture f;
  f.set_mode(kMode3);
  f.map.write_value({0xB8002}, 0x1F41, 2);
  CHECK(f.plane(0, 2) == 'A');
  CHECK(f.plane(1, 2) == 0x1F);
  CHECK(f.map.read_value({0xB8002}, 2) == 0x1F41);
  f.out(0x3C2, 0x47);  // the other page lies at odd plane offsets
  f.poke(0xB8002, 'B');
  CHECK(f.plane(0, 3) == 'B');
  // Font access as every video BIOS does it: sequential, plane 2, at A0000h.
  f.sequencer(2, 0x04), f.sequencer(4, 0x06);
  f.graphics(4, 2), f.graphics(5, 0), f.graphics(6, 0);
  f.poke(0xA0021, 0x99);
  CHECK(f.plane(2, 0x21) == 0x99);
  CHECK(f.peek(0xA0021) == 0x99);
}

TEST_CASE("VGA memory: odd/even over the 128 KiB window takes A16") {
  VgaFixture f;
  f.set_mode(kMode3);
  f.graphics(6, 0x02);
  f.poke(0xB0006, 0x77);
  CHECK(f.plane(0, 7) == 0x77);
  f.poke(0xA0007, 0x78);
  CHECK(f.plane(1, 6) == 0x78);
}

TEST_CASE("VGA memory: chain 4") {
  VgaFixture f;
  f.set_mode(kMode13);
  f.map.write_value({0xA0104}, 0x8877665544332211, 8);
  CHECK(f.plane(0, 0x104) == 0x11);
  CHECK(f.plane(3, 0x104) == 0x44);
  CHECK(f.plane(1, 0x108) == 0x66);
  CHECK(f.map.read_value({0xA0104}, 8) == 0x8877665544332211);
  f.sequencer(2, 0x0E);
  f.poke(0xA0104, 0xEE);
  CHECK(f.plane(0, 0x104) == 0x11);
}

TEST_CASE("VGA memory: banked VBE modes") {
  VgaFixture f;
  f.set_mode(kMode13);
  f.dispi(1, 640), f.dispi(2, 480), f.dispi(3, 8), f.dispi(4, 0x01);
  f.dispi(5, 3);
  f.poke(0xA0010, 0x42);
  CHECK(f.video.host[0x30010] == 0x42);
  CHECK(f.peek(0xA0010) == 0x42);
  CHECK(f.peek(VgaFixture::kFrameBuffer + 0x30010) == 0x42);
  CHECK(f.peek(0xB0000) == 0xFF);
  f.dispi(5, 0x3FFF);  // wraps inside video memory
  f.poke(0xAFFFF, 0x43);
  CHECK(f.video.host[VgaFixture::kVideoMemory - 1] == 0x43);
  f.dispi(4, 0x11);
  f.dispi(5, 1);
  f.poke(0xA0000, 0x44);
  CHECK(f.video.host[0x8000] == 0x44);
}

TEST_CASE("VGA memory: planar VBE modes bank the planes") {
  VgaFixture f;
  f.set_mode(kMode12);
  f.dispi(1, 1024), f.dispi(2, 768), f.dispi(3, 4), f.dispi(4, 0x01);
  f.dispi(5, 1);
  f.sequencer(2, 0x02);
  f.poke(0xA0003, 0x81);
  CHECK(f.plane(1, 0x10003) == 0x81);
  f.dispi(5, 0x3FFF);
  f.poke(0xAFFFF, 0x82);
  CHECK(f.plane(1, VgaFixture::kVideoMemory / 4 - 1) == 0x82);
}
