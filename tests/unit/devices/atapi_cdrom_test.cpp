#include <numeric>

#include "tests/unit/devices/ide_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using test::IdeBoard;

namespace {

constexpr u16 S = IdeBoard::kSecondary;
constexpr u32 kBlocks = (4 << 20) / 2048;

struct CdBoard : IdeBoard {
  CdBoard() {
    packet({0x00});  // takes the unit attention of power-on away
    sense();
  }

  struct Outcome {
    u8 status = 0;
    std::vector<u8> data;
    std::vector<u32> pieces;
  };
  /// Runs a packet command by PIO with this byte count limit.
  Outcome packet(std::vector<u8> bytes, u32 limit = 0xFFFE, std::vector<u8> list = {}) {
    bytes.resize(12);
    out(S + 6, 0xA0);
    out(S + 1, 0);
    out(S + 4, limit & 0xFF), out(S + 5, limit >> 8);
    REQUIRE(command(0xA0, S) == 0x48);
    REQUIRE((in(S + 2) & 3) == 1);
    give(bytes, S);
    Outcome outcome;
    for (outcome.status = settle(S); (outcome.status & 8) != 0; outcome.status = settle(S)) {
      const u32 count = in(S + 4) | u32{in(S + 5)} << 8;
      outcome.pieces.push_back(count);
      if ((in(S + 2) & 2) == 0) {
        give(std::span(list).first(count), S);
        continue;
      }
      const auto part = take(count, S);
      outcome.data.insert(outcome.data.end(), part.begin(), part.end());
    }
    CHECK((in(S + 2) & 3) == 3);
    CHECK(interrupts.level(15));
    status(S);
    return outcome;
  }
  /// The sense that a command left: key, code, qualifier.
  std::array<u8, 3> sense() {
    const auto data = packet({0x03, 0, 0, 0, 18}).data;
    return {data.at(2), data.at(12), data.at(13)};
  }
  bool fails(std::vector<u8> bytes, std::array<u8, 3> expected) {
    const auto outcome = packet(std::move(bytes));
    CHECK(outcome.status == 0x51);
    CHECK(error(S) >> 4 == expected[0]);
    const auto found = sense();
    CHECK(found == expected);
    return found == expected;
  }
};

u32 big(const std::vector<u8>& data, std::size_t at, unsigned bytes) {
  u32 value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | data.at(at + i);
  return value;
}

using Key = std::array<u8, 3>;

}  // namespace

TEST_CASE_METHOD(IdeBoard, "a packet device shows its signature") {
  CHECK(status(S) == 0x00);
  CHECK(error(S) == 0x01);
  CHECK(in(S + 4) == 0x14);
  CHECK(in(S + 5) == 0xEB);
  CHECK(command(0xEC, S) == 0x51);  // IDENTIFY DEVICE leads to the signature, too
  CHECK(error(S) == 0x04);
  CHECK(in(S + 4) == 0x14);
  CHECK(in(S + 5) == 0xEB);
  CHECK(command(0x20, S) == 0x51);
  CHECK(command(0x00, S) == 0x51);
}

TEST_CASE_METHOD(IdeBoard, "IDENTIFY PACKET DEVICE describes the drive") {
  CHECK(command(0xA1, S) == 0x58);
  const auto data = take(512, S);
  CHECK(word(data, 0) == 0x85C0);
  CHECK(word(data, 27) == ('T' << 8 | 'e'));
  CHECK((word(data, 49) & 0x0300) == 0x0300);
  CHECK((word(data, 82) & 0x0210) == 0x0210);
  CHECK(static_cast<u8>(std::accumulate(data.begin(), data.end(), 0)) == 0);
  CHECK(alternate(S) == 0x50);
}

TEST_CASE_METHOD(IdeBoard, "task file commands of a packet device") {
  out(S + 1, 3), out(S + 2, 0x44);
  CHECK(command(0xEF, S) == 0x50);
  CHECK(command(0xA1, S) == 0x58);
  CHECK(word(take(512, S), 88) == 0x103F);
  out(S + 1, 0x02);
  CHECK(command(0xEF, S) == 0x51);
  CHECK(command(0xE0, S) == 0x50);
  command(0xE5, S);
  CHECK(in(S + 2) == 0);
  CHECK(command(0xE1, S) == 0x50);
  command(0xE5, S);
  CHECK(in(S + 2) == 0x80);
  CHECK(command(0xE7, S) == 0x50);
  CHECK(command(0xE6, S) == 0x50);
  CHECK((command(0xA1, S) & 8) == 0);
  out(S + 7, 0x08);
  settle(S);
  CHECK((command(0xA1, S) & 8) == 8);
}

TEST_CASE_METHOD(IdeBoard, "DEVICE RESET is taken while the drive is busy") {
  command(0xA1, S);
  take(10, S);
  out(S + 7, 0x08);
  CHECK(alternate(S) == 0x80);
  CHECK(settle(S) == 0x00);
  CHECK(in(S + 4) == 0x14);
  CHECK(error(S) == 1);
  CHECK_FALSE(interrupts.level(15));
}

TEST_CASE_METHOD(IdeBoard, "the packet phase raises no interrupt, and overlap is refused") {
  out(S + 1, 0);
  out(S + 4, 0), out(S + 5, 8);
  CHECK(command(0xA0, S) == 0x48);
  CHECK_FALSE(interrupts.level(15));
  give(std::vector<u8>(12), S);
  CHECK(settle(S) == 0x51);
  CHECK(interrupts.level(15));
  out(S + 1, 2);
  CHECK(command(0xA0, S) == 0x51);
  CHECK(error(S) == 0x04);
}

TEST_CASE_METHOD(CdBoard, "the unit attention of power-on is told once") {
  ide.channel(1).reset(ResetKind::System);
  CHECK(packet({0x12, 0, 0, 0, 36}).status == 0x50);  // INQUIRY doesn't mind
  CHECK(packet({0x00}).status == 0x51);
  CHECK(error(S) == 0x60);
  CHECK(sense() == Key{6, 0x29, 0});
  CHECK(sense() == Key{0, 0, 0});
  CHECK(packet({0x00}).status == 0x50);
  ide.channel(1).reset(ResetKind::System);
  CHECK(sense() == Key{6, 0x29, 0});  // REQUEST SENSE takes it
  CHECK(packet({0x00}).status == 0x50);
}

TEST_CASE_METHOD(CdBoard, "INQUIRY") {
  const auto data = packet({0x12, 0, 0, 0, 255}).data;
  REQUIRE(data.size() == 36);
  CHECK(data[0] == 5);
  CHECK(data[1] == 0x80);
  CHECK(data[4] == 31);
  CHECK(std::string(data.begin() + 16, data.begin() + 23) == "Test CD");
  CHECK(packet({0x12, 0, 0, 0, 5}).data.size() == 5);
  CHECK(packet({0x12, 0, 0, 0, 0}).data.empty());
  CHECK(fails({0x12, 1, 0x80, 0, 36}, {5, 0x24, 0}));
}

TEST_CASE_METHOD(CdBoard, "READ CAPACITY and READ") {
  const auto capacity = packet({0x25}).data;
  CHECK(big(capacity, 0, 4) == kBlocks - 1);
  CHECK(big(capacity, 4, 4) == 2048);
  const auto read10 = packet({0x28, 0, 0, 0, 0, 16, 0, 0, 40});
  CHECK(read10.status == 0x50);
  CHECK(read10.data == sector_of(disc, 16 * 2048, 40 * 2048));
  const auto read12 = packet({0xA8, 0, 0, 0, 0, 17, 0, 0, 0, 1});
  CHECK(read12.data == sector_of(disc, 17 * 2048, 2048));
  CHECK(packet({0x28, 0, 0, 0, 0, 16, 0, 0, 0}).status == 0x50);
  CHECK(fails({0x28, 0, 0, 0, 0x07, 0xFF, 0, 0, 2}, {5, 0x21, 0}));
  CHECK(fails({0xA8, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, {5, 0x21, 0}));
}

TEST_CASE_METHOD(CdBoard, "data come in pieces of at most the byte count limit") {
  const auto outcome = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 1000);
  CHECK(outcome.pieces == std::vector<u32>{1000, 1000, 48});
  CHECK(outcome.data == sector_of(disc, 3 * 2048, 2048));
  CHECK(packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 1001).pieces == std::vector<u32>{1000, 1000, 48});
  CHECK(packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 0).pieces == std::vector<u32>{2048});
  CHECK(packet({0x12, 0, 0, 0, 7}, 4).pieces == std::vector<u32>{4, 3});
}

TEST_CASE_METHOD(CdBoard, "packet commands by DMA") {
  interrupts.edges(15);
  table(0x1000, {{0x20000, 0}, {0x30000, 0x4000 | kLast}});
  out(S + 6, 0xA0);
  out(S + 1, 1);
  CHECK(command(0xA0, S) == 0x48);
  give(std::vector<u8>{0x28, 0, 0, 0, 0, 16, 0, 0, 40, 0, 0, 0}, S);
  start_dma(0x1000, Dma::ToMemory, 1);
  CHECK(settle(S) == 0x50);
  CHECK(dma_status(1) == 0x04);
  const auto expected = sector_of(disc, 16 * 2048, 40 * 2048);
  CHECK(std::equal(expected.begin(), expected.end(), ram.host + 0x20000));
  CHECK(interrupts.edges(15) == 1);
}

TEST_CASE_METHOD(CdBoard, "host errors are medium errors") {
  disc.bad_byte = 100 * 2048;
  CHECK(fails({0x28, 0, 0, 0, 0, 100, 0, 0, 1}, {3, 0x11, 0}));
}

TEST_CASE_METHOD(CdBoard, "an image that ends inside a block is padded with zeros") {
  test::MemoryBackend odd(2048 + 100);
  std::fill(odd.content.begin(), odd.content.end(), u8{9});
  cdrom.insert(odd);
  sense();
  CHECK(big(packet({0x25}).data, 0, 4) == 1);
  const auto data = packet({0x28, 0, 0, 0, 0, 1, 0, 0, 1}).data;
  CHECK(data[99] == 9);
  CHECK(data[100] == 0);
  CHECK(data.size() == 2048);
}

TEST_CASE_METHOD(CdBoard, "READ CD gives any part of a Mode 1 sector") {
  const auto user = sector_of(disc, 20 * 2048, 2048);
  CHECK(packet({0xBE, 0, 0, 0, 0, 20, 0, 0, 1, 0x10}).data == user);
  const auto raw = packet({0xBE, 0x08, 0, 0, 0, 20, 0, 0, 2, 0xF8}).data;
  REQUIRE(raw.size() == 2 * 2352);
  CHECK(raw[0] == 0);
  CHECK(raw[1] == 0xFF);
  CHECK(raw[11] == 0);
  CHECK(raw[12] == 0x00);
  CHECK(raw[13] == 0x02);
  CHECK(raw[14] == 0x20);  // frame 20 in BCD
  CHECK(raw[15] == 1);
  CHECK(std::equal(user.begin(), user.end(), raw.begin() + 16));
  CHECK(raw[2352 + 14] == 0x21);
  CHECK(packet({0xBE, 0, 0, 0, 0, 20, 0, 0, 1, 0x20}).data.size() == 4);
  CHECK(packet({0xBE, 0, 0, 0, 0, 20, 0, 0, 1, 0x00}).data.empty());
  CHECK(packet({0xB9, 0, 0, 0, 2, 20, 0, 2, 21, 0x10}).data == user);
  CHECK(fails({0xB9, 0, 0, 0, 1, 20, 0, 2, 21, 0x10}, {5, 0x21, 0}));
  CHECK(fails({0xBE, 0x04, 0, 0, 0, 20, 0, 0, 1, 0x10}, {5, 0x64, 0}));
  CHECK(fails({0xBE, 0, 0, 0, 0, 20, 0, 0, 1, 0x12}, {5, 0x24, 0}));
  CHECK(fails({0xBE, 0, 0, 0, 0, 20, 0, 0, 1, 0x10, 1}, {5, 0x24, 0}));
}

TEST_CASE_METHOD(CdBoard, "READ TOC formats 0, 1 and 2") {
  const auto toc = packet({0x43, 0, 0, 0, 0, 0, 0, 1, 0}).data;
  REQUIRE(toc.size() == 20);
  CHECK(big(toc, 0, 2) == 18);
  CHECK(toc[2] == 1);
  CHECK(toc[3] == 1);
  CHECK(toc[5] == 0x14);
  CHECK(toc[6] == 1);
  CHECK(big(toc, 8, 4) == 0);
  CHECK(toc[14] == 0xAA);
  CHECK(big(toc, 16, 4) == kBlocks);
  const auto msf = packet({0x43, 2, 0, 0, 0, 0, 0xAA, 1, 0}).data;
  REQUIRE(msf.size() == 12);
  const u32 frames = kBlocks + 150;
  CHECK(msf[9] == frames / 4500);
  CHECK(msf[10] == frames / 75 % 60);
  CHECK(msf[11] == frames % 75);
  const auto session = packet({0x43, 0, 1, 0, 0, 0, 0, 1, 0}).data;
  CHECK(session.size() == 12);
  CHECK(packet({0x43, 0, 0, 0, 0, 0, 0, 1, 0, 0x40}).data == session);  // SFF 8020i's place
  const auto full = packet({0x43, 2, 2, 0, 0, 0, 0, 1, 0}).data;
  REQUIRE(full.size() == 4 + 4 * 11);
  CHECK(full[7] == 0xA0);
  CHECK(full[12] == 1);
  CHECK(full[18] == 0xA1);
  CHECK(full[29] == 0xA2);
  CHECK(full[36] == frames % 75);
  CHECK(full[40] == 1);
  CHECK(full[46] == 2);
  CHECK(packet({0x43, 0, 0, 0, 0, 0, 0, 0, 4}).data.size() == 4);
  CHECK(fails({0x43, 0, 0, 0, 0, 0, 2, 1, 0}, {5, 0x24, 0}));
  CHECK(fails({0x43, 0, 5, 0, 0, 0, 0, 1, 0}, {5, 0x24, 0}));
}

TEST_CASE_METHOD(CdBoard, "mode pages") {
  const auto error_page = packet({0x5A, 0, 0x01, 0, 0, 0, 0, 0, 255}).data;
  REQUIRE(error_page.size() == 16);
  CHECK(big(error_page, 0, 2) == 14);
  CHECK(error_page[2] == 1);
  CHECK(error_page[8] == 1);
  CHECK(error_page[9] == 6);
  CHECK(error_page[11] == 5);
  const auto changeable = packet({0x5A, 0, 0x41, 0, 0, 0, 0, 0, 255}).data;
  CHECK(changeable[11] == 0);
  const auto capabilities = packet({0x1A, 0, 0x2A, 0, 255}).data;
  REQUIRE(capabilities.size() == 24);
  CHECK(capabilities[0] == 23);
  CHECK(capabilities[4] == 0x2A);
  CHECK(capabilities[5] == 18);
  CHECK(capabilities[10] == 0x29);
  std::vector<u8> codes;
  const auto all = packet({0x5A, 0, 0x3F, 0, 0, 0, 0, 1, 0}).data;
  for (std::size_t at = 8; at < all.size(); at += all[at + 1] + 2U) codes.push_back(all[at]);
  CHECK(codes == std::vector<u8>{0x01, 0x08, 0x0D, 0x0E, 0x1D, 0x2A});
  CHECK(fails({0x5A, 0, 0xC1, 0, 0, 0, 0, 0, 255}, {5, 0x39, 0}));
  CHECK(fails({0x5A, 0, 0x05, 0, 0, 0, 0, 0, 255}, {5, 0x24, 0}));
}

TEST_CASE_METHOD(CdBoard, "MODE SELECT takes only what holds already") {
  auto list = packet({0x5A, 0, 0x0E, 0, 0, 0, 0, 0, 255}).data;
  const u8 length = static_cast<u8>(list.size());
  list[0] = list[1] = 0;
  CHECK(packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, length}, 0xFFFE, list).status == 0x50);
  list[8 + 9] = 0x12;
  CHECK(packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, length}, 0xFFFE, list).status == 0x51);
  CHECK(sense() == Key{5, 0x26, 0});
  CHECK(packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, 0}).status == 0x50);
  CHECK(packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, 4}, 0xFFFE, list).status == 0x51);
  CHECK(sense() == Key{5, 0x1A, 0});
  const std::vector<u8> six(4);
  CHECK(packet({0x15, 0x10, 0, 0, 4}, 0xFFFE, six).status == 0x50);
  std::vector<u8> odd(9);
  odd[4] = 0x0D, odd[5] = 6;
  CHECK(packet({0x15, 0x10, 0, 0, 9}, 0xFFFE, odd).status == 0x51);  // page cut off
}

TEST_CASE_METHOD(CdBoard, "GET CONFIGURATION names the current profile") {
  const auto all = packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0}).data;
  CHECK(big(all, 0, 4) == all.size() - 4);
  CHECK(big(all, 6, 2) == 0x0008);
  CHECK(big(all, 8, 2) == 0);
  CHECK(all[10] == 3);
  CHECK(big(all, 12, 2) == 0x10);
  CHECK(all[14] == 0);
  CHECK(all[18] == 1);
  const auto one = packet({0x46, 2, 0, 0x1E, 0, 0, 0, 1, 0}).data;
  REQUIRE(one.size() == 16);
  CHECK(one[10] == 1);
  const auto current = packet({0x46, 1, 0, 0x1D, 0, 0, 0, 1, 0}).data;
  CHECK(current.size() < all.size());
  CHECK(big(current, 8, 2) == 0x1D);
  CHECK(fails({0x46, 3, 0, 0, 0, 0, 0, 1, 0}, {5, 0x24, 0}));
  REQUIRE(cdrom.eject());
  CHECK(big(packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0}).data, 6, 2) == 0);
}

TEST_CASE_METHOD(CdBoard, "changing the disc is told by sense and by event") {
  const std::vector<u8> poll = {0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8};
  auto event = packet(poll).data;
  CHECK(event == std::vector<u8>{0, 6, 4, 0x10, 0, 2, 0, 0});
  CHECK(cdrom.eject());
  event = packet(poll).data;
  CHECK(event[4] == 3);
  CHECK(event[5] == 0);
  CHECK(fails({0x00}, {2, 0x3A, 1}));
  CHECK(fails({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, {2, 0x3A, 1}));
  CHECK(fails({0x25}, {2, 0x3A, 1}));
  test::MemoryBackend other(1 << 20);
  cdrom.insert(other);
  CHECK(fails({0x00}, {6, 0x28, 0}));
  CHECK(packet({0x00}).status == 0x50);
  event = packet(poll).data;
  CHECK(event[4] == 2);
  CHECK(event[5] == 2);
  CHECK(packet(poll).data[4] == 0);
  CHECK(packet({0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8}).data == std::vector<u8>{0, 2, 0x80, 0x10});
  CHECK(fails({0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8}, {5, 0x24, 0}));
}

TEST_CASE_METHOD(CdBoard, "the guest locks, opens and closes the drive") {
  CHECK(packet({0x1E, 0, 0, 0, 1}).status == 0x50);
  CHECK(cdrom.locked());
  CHECK_FALSE(cdrom.eject());
  CHECK(cdrom.has_medium());
  CHECK(packet({0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8}).data[4] == 1);  // eject request
  CHECK(fails({0x1B, 0, 0, 0, 2}, {5, 0x53, 2}));
  CHECK(packet({0x1E, 0, 0, 0, 0}).status == 0x50);
  CHECK(packet({0x1B, 0, 0, 0, 2}).status == 0x50);
  CHECK(cdrom.tray_open());
  CHECK(fails({0x00}, {2, 0x3A, 2}));
  CHECK(packet({0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8}).data[1] == 0x10);
  CHECK(packet({0x5A, 0, 0x01, 0, 0, 0, 0, 0, 255}).data[2] == 0x71);
  CHECK(packet({0x1B, 0, 0, 0, 3}).status == 0x50);
  CHECK(fails({0x00}, {6, 0x28, 0}));
  CHECK(packet({0x00}).status == 0x50);
  CHECK(packet({0x1B, 0, 0, 0, 1}).status == 0x50);
  CHECK(packet({0x1B, 0, 0, 0, 0}).status == 0x50);
  CHECK(packet({0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8}).data[1] == 0);
}

TEST_CASE_METHOD(CdBoard, "disc, track and sub-channel information") {
  const auto info = packet({0x51, 0, 0, 0, 0, 0, 0, 0, 255}).data;
  REQUIRE(info.size() == 34);
  CHECK(big(info, 0, 2) == 32);
  CHECK(info[2] == 0x0E);
  const auto track = packet({0x52, 1, 0, 0, 0, 1, 0, 0, 255}).data;
  REQUIRE(track.size() == 36);
  CHECK(big(track, 24, 4) == kBlocks);
  CHECK(fails({0x52, 1, 0, 0, 0, 2, 0, 0, 255}, {5, 0x24, 0}));
  CHECK(packet({0x42, 0, 0, 1, 0, 0, 0, 0, 255}).data == std::vector<u8>{0, 0x15, 0, 0});
  const auto position = packet({0x42, 2, 0x40, 1, 0, 0, 0, 0, 255}).data;
  REQUIRE(position.size() == 16);
  CHECK(position[3] == 12);
  CHECK(position[10] == 2);
  CHECK(packet({0x42, 0, 0x40, 2, 0, 0, 0, 0, 255}).data.size() == 24);
  CHECK(packet({0x42, 0, 0x40, 3, 0, 0, 1, 0, 255}).data[6] == 1);
  CHECK(fails({0x42, 0, 0x40, 4, 0, 0, 0, 0, 255}, {5, 0x24, 0}));
  const auto header = packet({0x44, 2, 0, 0, 0, 1, 0, 0, 8}).data;
  CHECK(header == std::vector<u8>{1, 0, 0, 0, 0, 0, 2, 1});
  CHECK(fails({0x44, 0, 0, 1, 0, 0, 0, 0, 8}, {5, 0x21, 0}));
}

TEST_CASE_METHOD(CdBoard, "audio commands fail on a data disc") {
  for (const u8 play : {0x45, 0x47, 0x48, 0xA5}) {
    CHECK(fails({play, 0, 0, 0, 0, 0, 0, 0, 1, 1}, {5, 0x64, 0}));
  }
  CHECK(fails({0x4B, 0, 0, 0, 0, 0, 0, 0, 1}, {5, 0x2C, 0}));
  CHECK(packet({0x4E}).status == 0x50);
  CHECK(packet({0xBB, 0, 0xFF, 0xFF}).status == 0x50);
  CHECK(packet({0x2B, 0, 0, 0, 0, 5}).status == 0x50);
  CHECK(fails({0x2B, 0, 0, 1, 0, 5}, {5, 0x21, 0}));
  CHECK(fails({0xAD, 0, 0, 0, 0, 0, 0, 0, 1, 0}, {5, 0x30, 2}));
  CHECK(fails({0xC5}, {5, 0x20, 0}));
}

TEST_CASE_METHOD(CdBoard, "an empty drive is not ready") {
  AtapiCdrom empty(clock, nullptr, {});
  CHECK_FALSE(empty.has_medium());
  CHECK(empty.eject());
  CHECK_FALSE(empty.tray_open());
}

TEST_CASE_METHOD(CdBoard, "taking the disc out during a read ends the read") {
  disc.deferred = true;
  out(S + 1, 0);
  out(S + 4, 0), out(S + 5, 8);
  command(0xA0, S);
  give(std::vector<u8>{0x28, 0, 0, 0, 0, 16, 0, 0, 64, 0, 0, 0}, S);
  run(kLong);
  REQUIRE(disc.waiting() == 1);
  CHECK(cdrom.eject());
  disc.answer();
  while ((settle(S) & 8) != 0) take(2048, S);
  CHECK(alternate(S) == 0x51);
  CHECK(error(S) >> 4 == 2);
}

TEST_CASE_METHOD(CdBoard, "a snapshot in the middle of a read continues") {
  out(S + 1, 0);
  out(S + 4, 0), out(S + 5, 8);
  command(0xA0, S);
  give(std::vector<u8>{0x28, 0, 0, 0, 0, 16, 0, 0, 2, 0, 0, 0}, S);
  settle(S);
  take(1000, S);
  StateArchive saved;
  ide.serialize(saved);
  out(S + 7, 0x08);
  settle(S);
  StateArchive restored(saved.bytes());
  ide.serialize(restored);
  REQUIRE(restored.finish());
  const auto expected = sector_of(disc, 16 * 2048, 4096);
  CHECK(take(1048, S) == std::vector<u8>(expected.begin() + 1000, expected.begin() + 2048));
  settle(S);
  CHECK(take(2048, S) == std::vector<u8>(expected.begin() + 2048, expected.end()));
  CHECK(settle(S) == 0x50);
  test::MemoryBackend other(1 << 20);
  cdrom.insert(other);
  StateArchive wrong(saved.bytes());
  ide.serialize(wrong);
  CHECK_FALSE(wrong.finish());
}

namespace {

/// A large disc without its contents.
class HugeDisc final : public BlockBackend {
 public:
  u64 size() const override { return u64{4} << 30; }
  bool read_only() const override { return true; }
  void read(u64, std::span<u8>, Completion done) override { done(BlockStatus::Done); }
  void write(u64, std::span<const u8>, Completion done) override { done(BlockStatus::Failed); }
  void flush(Completion done) override { done(BlockStatus::Done); }
};

}  // namespace

TEST_CASE_METHOD(CdBoard, "a large image is a DVD") {
  HugeDisc dvd;
  cdrom.insert(dvd);
  sense();
  CHECK(big(packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0}).data, 6, 2) == 0x0010);
  const auto physical = packet({0xAD, 0, 0, 0, 0, 0, 0, 0, 8, 4}).data;
  REQUIRE(physical.size() == 2052);
  CHECK(big(physical, 0, 2) == 2050);
  CHECK(big(physical, 8, 4) == 0x30000);
  CHECK(big(physical, 12, 4) == 0x30000 + (u32{1} << 21) - 1);
  CHECK(packet({0xAD, 0, 0, 0, 0, 0, 0, 1, 8, 4}).data.size() == 8);
  CHECK(packet({0xAD, 0, 0, 0, 0, 0, 0, 4, 0, 8}).data.size() == 8);
  CHECK(fails({0xAD, 0, 0, 0, 0, 0, 0, 3, 8, 4}, {5, 0x24, 0}));
  // Beyond 99:59:74 the lead-out's time saturates.
  const auto toc = packet({0x43, 2, 0, 0, 0, 0, 0xAA, 1, 0}).data;
  CHECK(std::vector<u8>(toc.begin() + 9, toc.end()) == std::vector<u8>{99, 59, 74});
}
