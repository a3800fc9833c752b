#include <catch2/catch.hpp>

#include <numeric>

#include "tests/unit/devices/vga_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

TEST_CASE("VGA: identity, BARs and ROM") {
  VgaFixture f;
  CHECK(f.vga.config_read(0x00, 4) == 0x11111234);
  CHECK(f.vga.config_read(0x08, 4) == 0x03000002);
  CHECK(f.vga.config_read(0x10, 4) == (VgaFixture::kFrameBuffer | 8));
  f.vga.config_write(0x10, 0xFFFFFFFF, 4);
  CHECK(f.vga.config_read(0x10, 4) == 0xFFC00008);
  f.vga.config_write(0x18, 0xFFFFFFFF, 4);
  CHECK(f.vga.config_read(0x18, 4) == 0xFFFFF000);
  f.vga.config_write(0x30, 0xC0000001, 4);
  f.vga.refresh_mappings();
  CHECK(f.peek(0xC0000000) == 0x55);
  CHECK(f.vga.name() == "vga");
}

TEST_CASE("VGA: the command register switches legacy decoding") {
  VgaFixture f;
  f.set_mode(kMode3);
  f.poke(0xB8000, 'x');
  f.dispi(1, 640);
  f.vga.config_write(0x04, 0x00, 2);
  CHECK(f.in(0x3CC) == 0xFF);
  CHECK(f.peek(0xB8000) == 0xFF);
  CHECK(f.dispi(0) == 0xFFFF);
  f.out(0x3C2, 0x00);
  f.poke(0xB8000, 'y');
  f.vga.config_write(0x04, 0x03, 2);
  CHECK(f.in(0x3CC) == 0x67);
  CHECK(f.peek(0xB8000) == 'x');
}

TEST_CASE("VGA: indexed registers keep the bits that exist") {
  VgaFixture f;
  f.out(0x3C2, 0xFF);
  CHECK(f.in(0x3CC) == 0xEF);
  const u8 sequencer[] = {0x03, 0x3D, 0x0F, 0x3F, 0x0E, 0x00};
  for (u8 i = 0; i < 6; ++i) {
    f.sequencer(i, 0xFF);
    CHECK(f.in_indexed(0x3C4, i) == sequencer[i]);
  }
  const u8 graphics[] = {0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF, 0x00};
  for (u8 i = 0; i < 10; ++i) {
    f.graphics(i, 0xFF);
    CHECK(f.in_indexed(0x3CE, i) == graphics[i]);
  }
  f.crtc(0x11, 0x00);
  f.crtc(0x08, 0xFF);
  CHECK(f.in_indexed(0x3D4, 0x08) == 0x7F);
  f.crtc(0x19, 0xFF);
  CHECK(f.in_indexed(0x3D4, 0x19) == 0);
  CHECK(f.in(0x3D4) == 0x19);
  CHECK(f.in(0x3CE) == 9);
  CHECK(f.in(0x3C4) == 5);
  f.out(0x3DA, 0xFF);
  CHECK(f.in(0x3CA) == 0x0B);
  CHECK(f.in(0x3C2) == 0x10);
  CHECK(f.in(0x3CB) == 0xFF);
  f.out(0x3CB, 0);
}

TEST_CASE("VGA: the CRT controller answers at one of two addresses") {
  VgaFixture f;
  f.out(0x3C2, 0x01);
  f.crtc(0x0A, 0x15);
  CHECK(f.in(0x3B4) == 0xFF);
  CHECK(f.in(0x3B5) == 0xFF);
  CHECK(f.in(0x3BA) == 0xFF);
  f.out(0x3C2, 0x00);
  CHECK(f.in(0x3D4) == 0xFF);
  CHECK(f.in(0x3D5) == 0xFF);
  CHECK(f.in(0x3DA) == 0xFF);
  f.out(0x3D5, 0x00);
  CHECK(f.in(0x3B4) == 0x0A);
  CHECK(f.in(0x3B5) == 0x15);
  CHECK(f.in(0x3BA) != 0xFF);
}

TEST_CASE("VGA: CRTC 11h bit 7 protects registers 0-7 but for line compare") {
  VgaFixture f;
  f.set_mode(kMode3);
  f.crtc(0x00, 0x11);
  f.crtc(0x07, 0x00);
  CHECK(f.in_indexed(0x3D4, 0x00) == 0x5F);
  CHECK(f.in_indexed(0x3D4, 0x07) == 0x0F);
  f.crtc(0x0E, 0x12);
  CHECK(f.in_indexed(0x3D4, 0x0E) == 0x12);
}

TEST_CASE("VGA: the attribute controller's flip-flop and palette lock") {
  VgaFixture f;
  f.out(0x3C2, 0x01);
  f.in(0x3DA);
  f.out(0x3C0, 0x05);
  CHECK(f.in(0x3C0) == 0x05);
  f.out(0x3C0, 0xFF);
  CHECK(f.in(0x3C1) == 0x3F);
  f.out(0x3C0, 0x25);
  f.out(0x3C0, 0x01);
  CHECK(f.in(0x3C1) == 0x3F);  // locked while it drives the picture
  f.out(0x3C0, 0x30);
  f.out(0x3C0, 0xFF);
  CHECK(f.in(0x3C1) == 0xEF);  // the others aren't
  f.out(0x3C0, 0x33);
  f.in(0x3DA);
  f.out(0x3C0, 0x14);  // an index again
  CHECK(f.in(0x3C1) == 0);
  f.out(0x3C0, 0x00);
  f.out(0x3C0, 0x1F);
  f.out(0x3C0, 0xFF);
  CHECK(f.in(0x3C1) == 0);
}

TEST_CASE("VGA: the DAC") {
  VgaFixture f;
  f.out(0x3C8, 254);
  for (u8 i = 1; i <= 6; ++i) f.out(0x3C9, static_cast<u8>(0xC0 + i));
  CHECK(f.in(0x3C8) == 0);
  CHECK(f.in(0x3C7) == 0);
  f.out(0x3C7, 254);
  CHECK(f.in(0x3C7) == 3);
  for (u8 i = 1; i <= 6; ++i) CHECK(f.in(0x3C9) == i);
  f.out(0x3C8, 1);
  f.out(0x3C9, 1), f.out(0x3C9, 2);  // not complete: no change
  f.out(0x3C7, 1);
  CHECK(f.in(0x3C9) == 0);
  f.out(0x3C6, 0x0F);
  CHECK(f.in(0x3C6) == 0x0F);
  f.dispi(4, 0x20);
  f.set_colour(7, 0xFF, 0x80, 0x01);
  f.out(0x3C7, 7);
  CHECK(f.in(0x3C9) == 0xFF);
  CHECK(f.in(0x3C9) == 0x80);
}

TEST_CASE("VGA: status 1 follows the programmed timing") {
  VgaFixture f;
  f.set_mode(kMode12);
  // 25.175 MHz, 800 dots, 525 lines: 31.78 µs a line, 16.68 ms a frame.
  CHECK((f.in(0x3DA) & 0x09) == 0);  // top left
  f.time.advance(26'000);            // behind dot 640
  CHECK((f.in(0x3DA) & 0x09) == 0x01);
  f.time.advance(32'000 - 26'000);
  CHECK((f.in(0x3DA) & 0x01) == 0);
  f.time.advance(31'778 * 490 - 32'000 + 1'000);  // vertical retrace starts with line 490
  CHECK((f.in(0x3DA) & 0x09) == 0x09);
  f.time.advance(31'778 * 2);
  CHECK((f.in(0x3DA) & 0x09) == 0x01);
  // Even an adapter that nobody has set up shows retraces to those who wait for one.
  VgaFixture g;
  g.out(0x3C2, 1);
  bool seen[2] = {};
  for (unsigned i = 0; i < 2000; ++i) {
    seen[(g.in(0x3DA) >> 3) & 1] = true;
    g.time.advance(10'000);
  }
  CHECK(seen[0]);
  CHECK(seen[1]);
}

TEST_CASE("VGA: VBE dispi registers") {
  VgaFixture f;
  CHECK(f.dispi(0) == 0xB0C5);
  f.dispi(0, 0xB0C2);
  CHECK(f.dispi(0) == 0xB0C2);
  f.dispi(0, 0x1234);
  CHECK(f.dispi(0) == 0xB0C2);
  CHECK(f.dispi(10) == 64);
  f.dispi(10, 1);
  CHECK(f.dispi(10) == 64);
  f.dispi(4, 0x02);
  CHECK(f.dispi(1) == 4096);
  CHECK(f.dispi(2) == 4096);
  CHECK(f.dispi(3) == 32);
  f.dispi(4, 0x00);
  f.dispi(1, 805), f.dispi(2, 600), f.dispi(3, 17);
  CHECK(f.dispi(1) == 800);
  CHECK(f.dispi(3) == 8);
  f.dispi(3, 32);
  f.dispi(4, 0x41);
  CHECK(f.dispi(4) == 0x41);
  f.dispi(1, 640);  // not while enabled
  CHECK(f.dispi(1) == 800);
  CHECK(f.dispi(6) == 800);
  CHECK(f.dispi(7) == (4u << 20) / 3200);
  f.dispi(6, 1024);
  CHECK(f.dispi(6) == 1024);
  f.dispi(6, 640);   // narrower than the screen
  f.dispi(6, 8000);  // more than memory holds
  CHECK(f.dispi(6) == 1024);
  f.dispi(8, 5), f.dispi(9, 6), f.dispi(5, 7);
  CHECK(f.dispi(8) == 5);
  CHECK(f.dispi(9) == 6);
  CHECK(f.dispi(5) == 7);
  CHECK(f.dispi(11) == 0);
  CHECK(f.ports.read(0x1CE, 2) == 11);
  f.dispi(4, 0x00);
  f.dispi(1, 4096), f.dispi(2, 4096);
  f.dispi(4, 0x41);
  CHECK(f.dispi(4) == 0x40);  // doesn't fit
  f.dispi(1, 0);
  f.dispi(4, 0x01);
  CHECK(f.dispi(4) == 0x00);
}

TEST_CASE("VGA: setting a VBE mode clears video memory unless told not to") {
  VgaFixture f;
  f.video.host[0] = f.video.host[63'999] = f.video.host[64'000] = 1;
  f.dispi(1, 320), f.dispi(2, 200), f.dispi(3, 8);
  f.dispi(4, 0x81);
  CHECK(f.video.host[0] == 1);
  f.dispi(4, 0x00);
  f.dispi(4, 0x01);
  CHECK(f.video.host[0] == 0);
  CHECK(f.video.host[63'999] == 0);
  CHECK(f.video.host[64'000] == 1);
}

TEST_CASE("VGA: register BAR") {
  VgaFixture f;
  auto read = [&](u64 offset, unsigned size) {
    return f.map.read_value({VgaFixture::kRegisters + offset}, size);
  };
  auto write = [&](u64 offset, u64 value, unsigned size) {
    f.map.write_value({VgaFixture::kRegisters + offset}, value, size);
  };
  CHECK(read(0, 8) == 0x00FFFFFFFFFFFF00);
  CHECK(read(0x80, 4) == 0);
  unsigned sum = 0;
  for (u64 i = 0; i < 128; ++i) sum += static_cast<unsigned>(read(i, 1));
  CHECK(sum % 256 == 0);
  write(0x402, 0x67, 1);
  CHECK(read(0x40C, 1) == 0x67);
  write(0x404, 0x0F02, 2);
  CHECK(read(0x405, 1) == 0x0F);
  CHECK(read(0x500, 2) == 0xB0C5);
  write(0x502, 1024, 2);
  write(0x504, 0x00200300, 4);
  CHECK(f.dispi(1) == 1024);
  CHECK(f.dispi(2) == 768);
  CHECK(read(0x506, 2) == 32);
  CHECK(read(0x600, 4) == 8);
  CHECK(read(0x604, 4) == 0x1E1E1E1E);
  write(0x604, 0xBEBEBEBE, 4);
  CHECK(read(0x604, 4) == 0xBEBEBEBE);
  write(0x604, 0x12345678, 4);
  CHECK(read(0x604, 4) == 0xBEBEBEBE);
  write(0x604, 0x1E1E1E1E, 4);
  CHECK(read(0x604, 4) == 0x1E1E1E1E);
  CHECK(read(0x700, 4) == 0xFFFFFFFF);
  write(0x700, 1, 4);
}

TEST_CASE("VGA: snapshot") {
  VgaFixture f;
  f.set_mode(kMode3);
  f.load_font();
  f.print(0xB8000, "snapshot");
  f.dispi(1, 640);
  StateArchive saved;
  f.vga.serialize(saved);
  CHECK(saved.bytes().size() < 1'000'000);  // video memory that was never used isn't saved
  VgaFixture g;
  g.video.host[VgaFixture::kVideoMemory - 1] = 1;
  StateArchive restoring(saved.bytes());
  g.vga.serialize(restoring);
  const Result<void> restored = restoring.finish();
  INFO((restored.ok() ? "" : restored.error().message));
  REQUIRE(restored.ok());
  CHECK(g.video.host[VgaFixture::kVideoMemory - 1] == 0);
  CHECK(g.vga.text().row(0) == "snapshot");
  CHECK(g.dispi(1) == 640);
  CHECK(g.in(0x3CC) == 0x67);
  f.render(), g.render();
  CHECK(f.frame.pixels == g.frame.pixels);
  g.vga.reset(ResetKind::System);
  CHECK(g.vga.config_read(0x04, 2) == 0);
  CHECK_FALSE(g.vga.text().is_text());
}
