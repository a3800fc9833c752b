#include <catch2/catch.hpp>

#include "tests/unit/devices/vga_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

constexpr u32 kGrey = 0xAAAAAA;
constexpr u32 kBlue = 0x0000AA;
constexpr u32 kWhite = 0xFFFFFF;
// DAC entry 17h of the fixture's palette: all colours two thirds, green full.
constexpr u32 kEgaWhite = 0xAAFFAA;

struct TextMode : VgaFixture {
  explicit TextMode(const VgaMode& mode = kMode3) {
    set_mode(mode);
    load_font();
    crtc(0x0A, 0x20);  // no cursor unless the test wants one
    for (u32 at = 0xB8000; at < 0xB8000 + 80 * 25 * 2; at += 2) poke(at, ' '), poke(at + 1, 0x07);
  }
};

}  // namespace

TEST_CASE("VGA picture: dark before the video BIOS, and while blanked") {
  VgaFixture f;
  f.render();
  CHECK(f.frame.width == 720);
  CHECK(f.frame.height == 400);
  CHECK_FALSE(f.vga.text().is_text());
  TextMode t;
  t.render();
  CHECK(t.pixel(0, 0) == kGrey);
  t.sequencer(1, 0x20);
  t.render();
  CHECK(t.pixel(0, 0) == 0);
  t.sequencer(1, 0x00);
  t.in(0x3DA);
  t.out(0x3C0, 0x00);  // palette address source
  t.render();
  CHECK(t.pixel(0, 0) == 0);
}

TEST_CASE("VGA picture: 80x25 text, nine dots") {
  TextMode f;
  f.print(0xB8000 + 2 * (80 * 3 + 5), "A", 0x1F);
  f.render();
  REQUIRE(f.frame.width == 720);
  REQUIRE(f.frame.height == 400);
  const unsigned x = 5 * 9, y = 3 * 16;
  CHECK(f.pixel(x, y) == kWhite);
  CHECK(f.pixel(x + 3, y + 15) == kWhite);
  CHECK(f.pixel(x + 4, y) == kBlue);
  CHECK(f.pixel(x + 8, y) == kBlue);
  CHECK(f.pixel(x + 9, y) == kGrey);
  CHECK(f.pixel(x - 1, y) == 0);
}

TEST_CASE("VGA picture: the ninth dot of box-drawing characters") {
  TextMode f;
  f.load_font(0, 0x01);
  f.poke(0xB8000, 0xC4), f.poke(0xB8002, 0xB3);
  f.render();
  CHECK(f.pixel(8, 0) == kGrey);
  CHECK(f.pixel(17, 0) == 0);
  f.attribute(0x10, 0x08);
  f.render();
  CHECK(f.pixel(8, 0) == 0);
  CHECK(f.pixel(7, 0) == kGrey);
}

TEST_CASE("VGA picture: eight dots, forty columns, two fonts") {
  TextMode f;
  f.sequencer(1, 0x01);
  f.render();
  CHECK(f.frame.width == 640);
  TextMode g(kMode1);
  g.render();
  CHECK(g.frame.width == 720);
  CHECK(g.vga.text().columns == 40);
  CHECK(g.pixel(0, 0) == kGrey);
  CHECK(g.pixel(7, 0) == kGrey);  // doubled dots
  CHECK(g.pixel(8, 0) == 0);
  f.load_font(0x6000, 0x0F);  // map 5
  f.sequencer(3, 0x24);       // map A = 5, map B = 0
  f.print(0xB8000, "A", 0x0F);
  f.print(0xB8002, "A", 0x07);
  f.render();
  CHECK(f.pixel(0, 0) == 0);
  CHECK(f.pixel(4, 0) == kWhite);
  CHECK(f.pixel(8, 0) == kGrey);
}

TEST_CASE("VGA picture: cursor shape, place and blinking") {
  TextMode f;
  f.crtc(0x0A, 0x0D), f.crtc(0x0B, 0x0E);
  f.crtc(0x0E, 0x00), f.crtc(0x0F, 81);
  f.render();
  const unsigned x = 9, y = 16;
  CHECK(f.pixel(x + 8, y + 12) == 0);
  CHECK(f.pixel(x + 8, y + 13) == kGrey);
  CHECK(f.pixel(x + 8, y + 14) == kGrey);
  CHECK(f.pixel(x + 8, y + 15) == 0);
  f.time.advance(8 * 14'300'000);
  f.render();
  CHECK(f.pixel(x + 8, y + 13) == 0);
  f.time.advance(8 * 14'300'000);
  f.crtc(0x0B, 0x2E);  // skewed by one character
  f.render();
  CHECK(f.pixel(x + 17, y + 13) == kGrey);
}

TEST_CASE("VGA picture: blinking characters or bright backgrounds") {
  TextMode f;
  f.print(0xB8000, "A", 0x9F);
  f.render();
  CHECK(f.pixel(0, 0) == kWhite);
  CHECK(f.pixel(5, 0) == kBlue);
  f.time.advance(16 * 14'300'000);
  f.render();
  CHECK(f.pixel(0, 0) == kBlue);
  f.attribute(0x10, 0x04);
  f.render();
  CHECK(f.pixel(0, 0) == kWhite);
  CHECK(f.pixel(5, 0) == 0x5555FF);
}

TEST_CASE("VGA picture: underline in monochrome text") {
  TextMode f;
  f.load_font(0, 0x00);
  f.attribute(0x10, 0x0E);
  f.crtc(0x14, 0x0D);
  f.print(0xB8000, "A", 0x01);
  f.render();
  CHECK(f.pixel(2, 13) == kBlue);
  CHECK(f.pixel(2, 12) == 0);
}

TEST_CASE("VGA text: rows, start address, code page 437, split screen") {
  TextMode f;
  f.print(0xB8000, "Hello");
  f.print(0xB8000 + 160, "second row");
  f.poke(0xB8000 + 320, 0xB0), f.poke(0xB8000 + 322, 0x01), f.poke(0xB8000 + 324, 0x81);
  f.poke(0xB8000 + 326, 0x00);
  TextScreen text = f.vga.text();
  CHECK(text.columns == 80);
  CHECK(text.rows == 25);
  CHECK(text.row(0) == "Hello");
  CHECK(text.row(1) == "second row");
  CHECK(text.row(2) == "░☺ü");
  CHECK(text.row(3).empty());
  CHECK(text.row(25).empty());
  f.crtc(0x0C, 0), f.crtc(0x0D, 80);
  CHECK(f.vga.text().row(0) == "second row");
  // Line compare 319 (13Fh), the last line of row 19.
  f.crtc(0x18, 0x3F), f.crtc(0x07, 0x1F), f.crtc(0x09, 0x0F);
  text = f.vga.text();
  CHECK(text.rows == 25);
  CHECK(text.row(20) == "Hello");
  f.set_mode(kMode13);
  CHECK_FALSE(f.vga.text().is_text());
  CHECK(f.vga.text().row(0).empty());
}

TEST_CASE("VGA text: fifty rows") {
  TextMode f;
  f.crtc(0x09, 0x47);
  CHECK(f.vga.text().rows == 50);
}

TEST_CASE("VGA picture: panning and preset row scan") {
  TextMode f;
  f.print(0xB8000, "A ", 0x07);
  f.attribute(0x13, 0x02);  // nine dots: 8 is no shift, 0 is one dot
  f.render();
  CHECK(f.pixel(0, 0) == kGrey);
  CHECK(f.pixel(1, 0) == 0);
  f.attribute(0x13, 0x08);
  f.plane(2, 32u * 'A' + 5) = 0x00;
  f.crtc(0x08, 0x05);
  f.render();
  CHECK(f.pixel(0, 0) == 0);
  CHECK(f.pixel(0, 1) == kGrey);
  f.crtc(0x08, 0x20);  // byte panning: one character to the left
  f.print(0xB8002, "B", 0x01);
  f.render();
  CHECK(f.pixel(0, 0) == kBlue);
}

TEST_CASE("VGA picture: mode 13h") {
  VgaFixture f;
  f.set_mode(kMode13);
  f.set_colour(200, 63, 0, 21);
  f.poke(0xA0000 + 320 * 10 + 7, 200);
  f.render();
  REQUIRE(f.frame.width == 640);
  REQUIRE(f.frame.height == 400);
  CHECK(f.pixel(14, 20) == 0xFF0055);
  CHECK(f.pixel(15, 21) == 0xFF0055);
  CHECK(f.pixel(16, 20) == 0);
  CHECK(f.pixel(13, 20) == 0);
  CHECK(f.pixel(14, 19) == 0);
  CHECK(f.pixel(14, 22) == 0);
  f.attribute(0x13, 0x02);  // one pixel
  f.render();
  CHECK(f.pixel(12, 20) == 0xFF0055);
  f.out(0x3C6, 0x07);  // the DAC mask
  f.render();
  CHECK(f.pixel(12, 20) == 0);
}

TEST_CASE("VGA picture: mode X, with page flip and split screen") {
  VgaFixture f;
  f.set_mode(kMode13);
  f.sequencer(4, 0x06);
  f.crtc(0x14, 0x00), f.crtc(0x17, 0xE3);
  f.set_colour(1, 63, 63, 63);
  f.sequencer(2, 0x04);
  f.poke(0xA0000 + 80 * 3 + 2, 1);
  f.render();
  CHECK(f.pixel(2 * (4 * 2 + 2), 6) == kWhite);
  f.crtc(0x0C, 0x40);
  f.render();
  CHECK(f.pixel(20, 6) == 0);
  // Lines from 201 on come from address 0 again.
  f.crtc(0x18, 200), f.crtc(0x07, 0x0F), f.crtc(0x09, 0x01);
  f.render();
  CHECK(f.pixel(20, 201 + 6) == kWhite);
  f.attribute(0x10, 0x61), f.attribute(0x13, 0x02);
  f.render();
  CHECK(f.pixel(20, 201 + 6) == kWhite);  // not panned below the split
}

TEST_CASE("VGA picture: sixteen-colour planar modes") {
  VgaFixture f;
  f.set_mode(kMode12);
  f.sequencer(2, 0x05);
  f.poke(0xA0000 + 80 * 100 + 10, 0x80);
  f.sequencer(2, 0x08);
  f.poke(0xA0000 + 80 * 100 + 10, 0x01);
  f.render();
  REQUIRE(f.frame.width == 640);
  REQUIRE(f.frame.height == 480);
  CHECK(f.pixel(80, 100) == 0xAA00AA);
  CHECK(f.pixel(87, 100) == 0x555555);
  CHECK(f.pixel(81, 100) == 0);
  f.attribute(0x12, 0x01);  // only plane 0 counts
  f.render();
  CHECK(f.pixel(80, 100) == kBlue);
  f.attribute(0x12, 0x0F);
  f.attribute(0x10, 0x81), f.attribute(0x14, 0x01);  // P5 P4 from colour select: 05h -> 15h
  f.render();
  CHECK(f.pixel(80, 100) == 0xAA55AA);
  f.attribute(0x10, 0x01), f.attribute(0x14, 0x0C);
  f.set_colour(0xC5, 1, 2, 3);
  f.render();
  CHECK(f.pixel(80, 100) == 0x04080C);
  f.attribute(0x14, 0x00);
  f.attribute(0x13, 0x03);
  f.render();
  CHECK(f.pixel(77, 100) == 0xAA00AA);
}

TEST_CASE("VGA picture: 320x200 in sixteen colours has doubled dots and lines") {
  VgaFixture f;
  f.set_mode(kModeD);
  f.sequencer(2, 0x0F);
  f.poke(0xA0000 + 40 * 7 + 1, 0x80);
  f.render();
  REQUIRE(f.frame.width == 640);
  REQUIRE(f.frame.height == 400);
  CHECK(f.pixel(16, 14) == kEgaWhite);
  CHECK(f.pixel(17, 15) == kEgaWhite);
  CHECK(f.pixel(18, 14) == 0);
  CHECK(f.pixel(16, 16) == 0);
}

TEST_CASE("VGA picture: CGA modes") {
  VgaFixture f;
  f.set_mode(kMode4);
  f.map.write_value({0xB8000 + 80}, 0x0CC0, 2);  // row 2: colours 3000 0030
  f.map.write_value({0xBA000 + 80}, 0x0002, 2);  // row 3: 0002
  f.render();
  REQUIRE(f.frame.width == 640);
  REQUIRE(f.frame.height == 400);
  CHECK(f.pixel(0, 4) == kEgaWhite);  // palette 17h
  CHECK(f.pixel(12, 4) == kEgaWhite);
  CHECK(f.pixel(2, 4) == 0);
  CHECK(f.pixel(6, 6) == 0xAA55AA);  // palette 15h
  CHECK(f.pixel(4, 6) == 0);
  VgaFixture g;
  g.set_mode(kMode6);
  g.poke(0xB8000 + 1, 0x40);
  g.poke(0xBA000, 0x01);
  g.render();
  REQUIRE(g.frame.width == 640);
  CHECK(g.pixel(9, 0) != 0);
  CHECK(g.pixel(9, 1) != 0);
  CHECK(g.pixel(8, 0) == 0);
  CHECK(g.pixel(7, 2) != 0);
  CHECK(g.pixel(7, 0) == 0);
}

TEST_CASE("VGA picture: count by two and four") {
  VgaFixture f;
  f.set_mode(kMode12);
  f.plane(0, 1) = 0xFF;
  f.crtc(0x17, 0xEB);
  f.render();
  CHECK(f.pixel(8, 0) == 0);
  CHECK(f.pixel(16, 0) == kBlue);
  CHECK(f.pixel(31, 0) == kBlue);
  f.crtc(0x14, 0x20);
  f.render();
  CHECK(f.pixel(31, 0) == 0);
  CHECK(f.pixel(32, 0) == kBlue);
}

TEST_CASE("VGA picture: VBE packed modes") {
  VgaFixture f;
  struct Case {
    u16 bits;
    u64 value;
    u32 colour;
  };
  const Case cases[] = {{8, 5, 0xFF8000},
                        {15, 0x7C1F, 0xFF00FF},
                        {16, 0x07E0, 0x00FF00},
                        {24, 0x123456, 0x123456},
                        {32, 0xFF654321, 0x654321}};
  for (const Case& c : cases) {
    f.dispi(4, 0);
    f.dispi(1, 640), f.dispi(2, 480), f.dispi(3, c.bits);
    f.dispi(4, 0x61);
    f.set_colour(5, 0xFF, 0x80, 0x00);
    const u64 bytes = (c.bits + 7u) / 8;
    for (u64 i = 0; i < bytes; ++i) {
      f.poke(VgaFixture::kFrameBuffer + (640 * 3 + 2) * bytes + i,
             static_cast<u8>(c.value >> (8 * i)));
    }
    f.render();
    REQUIRE(f.frame.width == 640);
    REQUIRE(f.frame.height == 480);
    CHECK(f.pixel(2, 3) == c.colour);
    CHECK(f.pixel(3, 3) == f.pixel(0, 0));
  }
  CHECK_FALSE(f.vga.text().is_text());
}

TEST_CASE("VGA picture: VBE panning, virtual width, wrap-around and byte order") {
  VgaFixture f;
  f.dispi(1, 640), f.dispi(2, 480), f.dispi(3, 32), f.dispi(4, 0x41);
  f.dispi(6, 1024);
  f.dispi(8, 10), f.dispi(9, 20);
  f.map.write_value({VgaFixture::kFrameBuffer + 4 * (1024 * 25 + 13)}, 0x010203, 4);
  f.render();
  CHECK(f.pixel(3, 5) == 0x010203);
  f.map.write_value({VgaFixture::kRegisters + 0x604}, 0xBEBEBEBE, 4);
  f.render();
  CHECK(f.pixel(3, 5) == 0x020100);
  f.dispi(9, 1023);  // the second line is at the beginning of memory
  f.map.write_value({VgaFixture::kFrameBuffer + 4 * 10}, 0x44332211, 4);
  f.render();
  CHECK(f.pixel(0, 1) == 0x223344);
  f.dispi(4, 0), f.dispi(3, 16), f.dispi(4, 0x41);
  f.map.write_value({VgaFixture::kFrameBuffer}, 0x00F8, 2);
  f.render();
  CHECK(f.pixel(0, 0) == 0xFF0000);
}

TEST_CASE("VGA picture: VBE in sixteen colours") {
  VgaFixture f;
  f.set_mode(kMode12);
  f.dispi(1, 800), f.dispi(2, 600), f.dispi(3, 4), f.dispi(4, 0x01);
  f.plane(2, 100 * 50 + 3) = 0x80;
  f.render();
  CHECK(f.frame.width == 800);
  CHECK(f.pixel(24, 50) == 0xAA0000);
  f.dispi(8, 9);
  f.render();
  CHECK(f.pixel(15, 50) == 0xAA0000);
}

TEST_CASE("VGA picture: knows when it has changed") {
  TextMode f;
  CHECK(f.vga.changed());
  f.render();
  CHECK_FALSE(f.vga.changed());
  f.poke(0xB8000, 'x');
  CHECK(f.vga.changed());
  f.render();
  f.crtc(0x0D, 1);
  CHECK(f.vga.changed());
  f.render();
  f.time.advance(8 * 14'300'000);  // blinking
  CHECK(f.vga.changed());
  f.dispi(1, 640), f.dispi(2, 480), f.dispi(3, 32), f.dispi(4, 0x41);
  f.render();
  f.time.advance(1'000'000'000);
  CHECK_FALSE(f.vga.changed());
  f.map.write_value({VgaFixture::kFrameBuffer + 640 * 480 * 4 - 4}, 1, 4);
  CHECK(f.vga.changed());
  f.render();
  f.map.write_value({VgaFixture::kFrameBuffer + 640 * 480 * 4}, 1, 4);  // below the screen
  CHECK_FALSE(f.vga.changed());
  f.dispi(9, 1000);
  CHECK(f.vga.changed());
}

TEST_CASE("VGA picture: whatever the registers hold, it stays inside video memory") {
  VgaFixture f;
  u32 state = 12345;
  auto random = [&state] { return static_cast<u8>((state = state * 1664525 + 1013904223) >> 24); };
  for (unsigned round = 0; round < 20; ++round) {
    f.out(0x3C2, random() | 1);
    f.crtc(0x11, 0);
    for (u8 i = 0; i < 25; ++i) f.crtc(i, random());
    for (u8 i = 0; i < 5; ++i) f.sequencer(i, static_cast<u8>(random() & ~0x20));
    for (u8 i = 0; i < 9; ++i) f.graphics(i, random());
    for (u8 i = 0; i < 21; ++i) f.attribute(i, random());
    f.crtc(0x01, random() & 0x1F);  // narrow, for the sake of time
    f.crtc(0x07, random() & 0xBD), f.crtc(0x17, random() & 0xFB);
    for (unsigned i = 0; i < 50; ++i) {
      const u64 address = 0xA0000 + (random() << 9) + 2 * random();
      f.map.write_value({address}, random(), 1u << (random() & 3));
      f.map.read_value({address}, 4);
    }
    if (round % 3 == 2) {
      constexpr u16 kBits[] = {4, 8, 15, 16, 24, 32};
      f.dispi(4, 0);
      f.dispi(1, random()), f.dispi(2, random() & 0x3F), f.dispi(3, kBits[random() % 6]);
      f.dispi(4, static_cast<u16>(random() | 1));
      f.dispi(6, static_cast<u16>(random() << 4));
      f.dispi(8, static_cast<u16>(random() << 8)), f.dispi(9, static_cast<u16>(random() << 8));
      f.dispi(5, static_cast<u16>(random() << 6));
    }
    f.render();
    CHECK(f.frame.pixels.size() == std::size_t{f.frame.width} * f.frame.height);
    const TextScreen text = f.vga.text();
    CHECK(text.characters.size() == std::size_t{text.columns} * text.rows);
    f.dispi(4, 0);
  }
}
