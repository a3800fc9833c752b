#include <numeric>

#include "tests/unit/devices/ide_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using test::IdeBoard;

namespace {
constexpr u16 P = IdeBoard::kPrimary;
constexpr u64 kSectors = (4 << 20) / 512;
}  // namespace

TEST_CASE_METHOD(IdeBoard, "an ATA disk shows its signature after power-on") {
  CHECK(status() == 0x50);
  CHECK(error() == 0x01);
  CHECK(in(P + 2) == 1);
  CHECK(in(P + 3) == 1);
  CHECK(in(P + 4) == 0);
  CHECK(in(P + 5) == 0);
}

TEST_CASE_METHOD(IdeBoard, "commands show BSY first and interrupt later") {
  out(P + 7, 0xEC);
  CHECK(alternate() == 0x80);
  CHECK_FALSE(interrupts.level(14));
  CHECK(settle() == 0x58);
  CHECK(interrupts.level(14));
  CHECK(status() == 0x58);  // acknowledges
  CHECK_FALSE(interrupts.level(14));
}

TEST_CASE_METHOD(IdeBoard, "IDENTIFY DEVICE describes the disk") {
  command(0xEC);
  const auto data = take(512);
  CHECK(alternate() == 0x50);
  CHECK(word(data, 0) == 0x0040);
  CHECK(word(data, 1) == kSectors / (16 * 63));
  CHECK(word(data, 3) == 16);
  CHECK(word(data, 6) == 63);
  std::string model;
  for (unsigned i = 27; i < 47; ++i) {
    model += static_cast<char>(word(data, i) >> 8);
    model += static_cast<char>(word(data, i));
  }
  CHECK(model == "Test disk                               ");
  CHECK(word(data, 47) == 0x8010);
  CHECK((word(data, 49) & 0x0300) == 0x0300);
  CHECK(word(data, 53) == 7);
  CHECK(word(data, 60) == (kSectors & 0xFFFF));
  CHECK(word(data, 61) == kSectors >> 16);
  CHECK(word(data, 63) == 0x0407);
  CHECK(word(data, 88) == 0x003F);
  CHECK((word(data, 83) & 0xC400) == 0x4400);
  CHECK(word(data, 85) == word(data, 82));
  CHECK(word(data, 93) == 0x600B);
  CHECK(word(data, 100) == (kSectors & 0xFFFF));
  CHECK((word(data, 255) & 0xFF) == 0xA5);
  CHECK(static_cast<u8>(std::accumulate(data.begin(), data.end(), 0)) == 0);
}

TEST_CASE_METHOD(IdeBoard, "READ SECTORS interrupts once for each sector and not at the end") {
  interrupts.edges(14);
  lba28(100, 3);
  CHECK(command(0x20) == 0x58);
  std::vector<u8> data;
  for (int i = 0; i < 3; ++i) {
    CHECK(status() == 0x58);
    const auto part = take(512);
    data.insert(data.end(), part.begin(), part.end());
    settle();
  }
  CHECK(data == sector_of(image, 100 * 512, 3 * 512));
  run(kLong);
  CHECK(status() == 0x50);
  CHECK(interrupts.edges(14) == 3);
  CHECK(ports.read(P, 2) == 0xFFFF);
}

TEST_CASE_METHOD(IdeBoard, "the data port takes dwords and a zero count means 256") {
  lba28(0, 0);
  command(0x21);
  u64 bytes = 0;
  while ((alternate() & 8) != 0) {
    for (int i = 0; i < 128; ++i) {
      const u32 value = ports.read(P, 4);
      if (i == 0) CHECK((value & 0xFF) == image.content[bytes]);
    }
    bytes += 512;
    settle();
  }
  CHECK(bytes == 256 * 512);
}

TEST_CASE_METHOD(IdeBoard, "WRITE SECTORS asks without an interrupt first") {
  interrupts.edges(14);
  lba28(7, 2);
  CHECK(command(0x30) == 0x58);
  CHECK(interrupts.edges(14) == 0);
  const std::vector<u8> first(512, 0xA1);
  const std::vector<u8> second(512, 0xB2);
  give(first);
  CHECK(alternate() == 0x80);
  CHECK(settle() == 0x58);
  CHECK(interrupts.edges(14) == 1);
  status();
  give(second);
  CHECK(settle() == 0x50);
  CHECK(interrupts.edges(14) == 1);
  CHECK(sector_of(image, 7 * 512, 512) == first);
  CHECK(sector_of(image, 8 * 512, 512) == second);
}

TEST_CASE_METHOD(IdeBoard, "multiple transfers move blocks, the last one partial") {
  out(P + 2, 3);
  CHECK(command(0xC6) == 0x51);
  CHECK(error() == 0x04);
  out(P + 2, 32);
  CHECK(command(0xC6) == 0x51);
  lba28(10, 5);
  CHECK(command(0xC4) == 0x51);  // not set yet
  out(P + 2, 4);
  CHECK(command(0xC6) == 0x50);
  lba28(10, 5);
  interrupts.edges(14);
  CHECK(command(0xC4) == 0x58);
  auto data = take(4 * 512);
  status();
  CHECK(settle() == 0x58);
  const auto rest = take(512);
  data.insert(data.end(), rest.begin(), rest.end());
  CHECK(data == sector_of(image, 10 * 512, 5 * 512));
  CHECK(status() == 0x50);
  CHECK(interrupts.edges(14) == 2);
  lba28(20, 5);
  CHECK(command(0xC5) == 0x58);
  give(std::vector<u8>(4 * 512, 0x31));
  CHECK(settle() == 0x58);
  give(std::vector<u8>(512, 0x32));
  CHECK(settle() == 0x50);
  CHECK(image.writes == 2);
  CHECK(image.content[20 * 512] == 0x31);
  CHECK(image.content[24 * 512] == 0x32);
  command(0xEC);
  CHECK(word(take(512), 59) == 0x0104);
}

TEST_CASE_METHOD(IdeBoard, "48-bit commands use the previous register contents") {
  lba48(0x1F00, 2);
  out(P + 0x206, 0x80);  // HOB
  CHECK(in(P + 2) == 0);
  CHECK(in(P + 3) == 0);
  out(P + 0x206, 0);
  CHECK(in(P + 4) == 0x1F);
  CHECK(command(0x24) == 0x58);
  CHECK(take(512) == sector_of(image, u64{0x1F00} * 512, 512));
  settle();
  take(512);
  CHECK(status() == 0x50);
  lba48(0x1F00, 1);
  CHECK(command(0x34) == 0x58);
  give(std::vector<u8>(512, 0x77));
  settle();
  CHECK(image.content[u64{0x1F00} * 512] == 0x77);
  lba48(u64{1} << 24, 1);  // beyond 28 bits' low part, and the disk
  CHECK(command(0x24) == 0x51);
  CHECK(error() == 0x10);
}

TEST_CASE_METHOD(IdeBoard, "HOB shows the previous contents until a register is written") {
  out(P + 2, 0x11), out(P + 2, 0x22);
  out(P + 0x206, 0x80);
  CHECK(in(P + 2) == 0x11);
  out(P + 3, 0);
  CHECK(in(P + 2) == 0x22);
}

TEST_CASE_METHOD(IdeBoard, "cylinder, head and sector follow the current translation") {
  out(P + 6, 0xA0 | 2);
  out(P + 2, 1), out(P + 3, 5), out(P + 4, 3), out(P + 5, 0);
  command(0x20);
  CHECK(take(512) == sector_of(image, ((3 * 16 + 2) * 63 + 4) * 512, 512));
  out(P + 2, 17), out(P + 6, 0xA0 | 3);  // 4 heads of 17 sectors
  CHECK(command(0x91) == 0x50);
  out(P + 2, 1), out(P + 3, 5), out(P + 4, 3), out(P + 6, 0xA0 | 2);
  command(0x20);
  CHECK(take(512) == sector_of(image, ((3 * 4 + 2) * 17 + 4) * 512, 512));
  for (const auto& [sector, head] : {std::pair{0, 0}, {18, 0}, {1, 4}}) {
    out(P + 2, 1), out(P + 3, static_cast<u32>(sector));
    out(P + 6, 0xA0U | static_cast<u32>(head));
    CHECK(command(0x20) == 0x51);
    CHECK(error() == 0x10);
  }
  command(0xEC);
  const auto data = take(512);
  CHECK(word(data, 54) == kSectors / 68);
  CHECK(word(data, 55) == 4);
  CHECK(word(data, 56) == 17);
  out(P + 2, 0);
  CHECK(command(0x91) == 0x51);
}

TEST_CASE_METHOD(IdeBoard, "addresses beyond the disk are not found") {
  lba28(kSectors - 1, 1);
  CHECK(command(0x40) == 0x50);
  lba28(kSectors - 1, 2);
  CHECK(command(0x20) == 0x51);
  CHECK(error() == 0x10);
  lba28(kSectors, 1);
  CHECK(command(0x70) == 0x51);
  lba28(kSectors - 1, 1);
  CHECK(command(0x7F) == 0x50);
  CHECK(command(0x10) == 0x50);
}

TEST_CASE_METHOD(IdeBoard, "host errors become uncorrectable data or aborted writes") {
  image.bad_byte = 130 * 512;
  lba28(128, 8);
  CHECK(command(0x20) == 0x51);
  CHECK(error() == 0x40);
  lba28(129, 2);
  command(0x30);
  give(std::vector<u8>(512, 1));
  CHECK(settle() == 0x58);
  give(std::vector<u8>(512, 2));
  CHECK(settle() == 0x51);
  CHECK(error() == 0x04);
  CHECK(in(P + 3) == 130);  // the first sector that failed
  CHECK(in(P + 2) == 1);
  lba28(128, 8);
  CHECK(command(0x40) == 0x51);
  image.flush_fails = true;
  CHECK(command(0xE7) == 0x51);
  CHECK(error() == 0x04);
}

TEST_CASE_METHOD(IdeBoard, "a read-only image is write-protected") {
  image.write_protected = true;
  lba28(0, 1);
  CHECK(command(0x30) == 0x51);
  CHECK(error() == 0x44);
  CHECK(command(0xCA) == 0x51);
  CHECK(image.writes == 0);
}

TEST_CASE_METHOD(IdeBoard, "the write cache can be switched off") {
  lba28(1, 1);
  command(0x30);
  give(std::vector<u8>(512, 1));
  settle();
  CHECK(image.flushes == 0);
  out(P + 1, 0x82);
  CHECK(command(0xEF) == 0x50);
  CHECK(image.flushes == 1);
  lba28(1, 1);
  command(0x30);
  give(std::vector<u8>(512, 1));
  CHECK(settle() == 0x50);
  CHECK(image.flushes == 2);
  command(0xEC);
  CHECK((word(take(512), 85) & 0x20) == 0);
  out(P + 1, 0x02);
  command(0xEF);
  command(0xEC);
  CHECK((word(take(512), 85) & 0x20) == 0x20);
}

TEST_CASE_METHOD(IdeBoard, "SET FEATURES selects transfer modes and refuses what isn't there") {
  const auto set = [&](u8 feature, u8 count) {
    out(P + 1, feature), out(P + 2, count);
    return command(0xEF);
  };
  CHECK(set(3, 0x45) == 0x50);
  command(0xEC);
  auto data = take(512);
  CHECK(word(data, 88) == 0x203F);
  CHECK(word(data, 63) == 0x0007);
  CHECK(set(3, 0x21) == 0x50);
  CHECK(set(3, 0x0C) == 0x50);
  CHECK(set(3, 0x00) == 0x50);
  command(0xEC);
  data = take(512);
  CHECK(word(data, 63) == 0x0207);
  CHECK(word(data, 88) == 0x003F);
  for (const u8 mode : {0x46, 0x23, 0x0D, 0x80, 0x02}) CHECK(set(3, mode) == 0x51);
  CHECK(set(0x55, 0) == 0x50);
  CHECK(set(0xAA, 0) == 0x50);
  CHECK(set(0x66, 0) == 0x50);
  CHECK(set(0xCC, 0) == 0x50);
  CHECK(set(0x05, 1) == 0x51);
}

TEST_CASE_METHOD(IdeBoard, "power commands") {
  CHECK(command(0xE5) == 0x50);
  CHECK(in(P + 2) == 0xFF);
  CHECK(command(0xE0) == 0x50);
  command(0xE5);
  CHECK(in(P + 2) == 0x00);
  CHECK(command(0xE1) == 0x50);
  command(0x98);
  CHECK(in(P + 2) == 0x80);
  lba28(0, 1);
  command(0x40);
  command(0xE5);
  CHECK(in(P + 2) == 0xFF);
  CHECK(command(0xE6) == 0x50);
  status();
  command(0xEC);  // asleep: no data, no interrupt
  CHECK((alternate() & 8) == 0);
  CHECK_FALSE(interrupts.level(14));
  out(P + 0x206, 4);
  out(P + 0x206, 0);
  settle();
  CHECK(command(0xEC) == 0x58);
}

TEST_CASE_METHOD(IdeBoard, "the host protected area hides the end of the disk") {
  out(P + 6, 0xE0);
  CHECK(command(0xF8) == 0x50);
  CHECK(u32(in(P + 3) | in(P + 4) << 8 | in(P + 5) << 16 | (in(P + 6) & 15) << 24) == kSectors - 1);
  lba28(999, 0);
  CHECK(command(0xF9) == 0x50);
  lba28(1000, 1);
  CHECK(command(0x20) == 0x51);
  CHECK(error() == 0x10);
  command(0xEC);
  CHECK(word(take(512), 60) == 1000);
  lba28(1999, 1);
  CHECK(command(0xF9) == 0x51);  // not right after READ NATIVE MAX
  CHECK(error() == 0x04);
  lba48(0, 0);
  CHECK(command(0x27) == 0x50);
  CHECK(in(P + 4) == ((kSectors - 1) >> 8 & 0xFF));
  lba48(kSectors, 1);
  CHECK(command(0x37) == 0x51);
  CHECK(error() == 0x10);
  lba48(0, 0);
  command(0x27);
  lba48(kSectors - 1, 1);
  CHECK(command(0x37) == 0x50);
  lba28(1000, 1);
  CHECK(command(0x40) == 0x50);
  ide.channel(0).reset(ResetKind::System);
  lba28(kSectors - 1, 1);
  CHECK(command(0x40) == 0x50);
}

TEST_CASE_METHOD(IdeBoard, "buffer commands return what was written") {
  CHECK(command(0xE8) == 0x58);
  std::vector<u8> data(512);
  std::iota(data.begin(), data.end(), u8{3});
  give(data);
  CHECK(settle() == 0x50);
  CHECK(command(0xE4) == 0x58);
  CHECK(take(512) == data);
}

TEST_CASE_METHOD(IdeBoard, "SMART tells of a healthy disk") {
  const auto smart = [&](u8 feature, u8 low = 0) {
    out(P + 1, feature), out(P + 3, low), out(P + 4, 0x4F), out(P + 5, 0xC2);
    return command(0xB0);
  };
  CHECK(smart(0xDA) == 0x50);
  CHECK(in(P + 4) == 0x4F);
  CHECK(in(P + 5) == 0xC2);
  for (const u8 feature : {0xD0, 0xD1}) {
    CHECK(smart(feature) == 0x58);
    const auto data = take(512);
    CHECK(static_cast<u8>(std::accumulate(data.begin(), data.end(), 0)) == 0);
  }
  CHECK(smart(0xD2) == 0x50);
  CHECK(smart(0xD4) == 0x50);
  CHECK(smart(0xD4, 2) == 0x51);
  CHECK(smart(0xD5) == 0x51);
  CHECK(smart(0xD9) == 0x50);
  CHECK(smart(0xDA) == 0x51);
  CHECK(smart(0xD8) == 0x50);
  out(P + 1, 0xDA), out(P + 4, 0), out(P + 5, 0);
  CHECK(command(0xB0) == 0x51);
}

TEST_CASE_METHOD(IdeBoard, "commands of other devices are aborted") {
  for (const u8 code : {0x00, 0x08, 0xA0, 0xA1, 0x22, 0x92, 0xF1, 0xF6, 0xC7, 0xFF}) {
    CHECK(command(code) == 0x51);
    CHECK(error() == 0x04);
    CHECK(status() == 0x51);
  }
}

TEST_CASE_METHOD(IdeBoard, "tiny disks have a geometry") {
  test::MemoryBackend tiny(100 * 512);
  AtaDisk small(clock, tiny, {});
  ide.channel(0).attach(1, small);
  out(P + 6, 0xB0);
  command(0xEC);
  const auto data = take(512);
  CHECK(word(data, 1) == 1);
  CHECK(word(data, 3) == 1);
  CHECK(word(data, 6) == 63);
  CHECK(word(data, 60) == 100);
  CHECK(word(data, 93) == 0x6B00);
}
