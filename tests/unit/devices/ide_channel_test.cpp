#include "tests/unit/devices/ide_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using test::IdeBoard;

namespace {
constexpr u16 P = IdeBoard::kPrimary;
}  // namespace

TEST_CASE_METHOD(IdeBoard, "the IDE function decodes only what is enabled") {
  CHECK(ide.config_read(0x00, 4) == 0x70108086);
  CHECK(ide.config_read(0x08, 4) == 0x01018000);
  CHECK(ide.config_read(0x20, 4) == (kBusMaster | 1));
  ide.config_write(0x41, 0, 1);
  CHECK(in(P + 7) == 0xFF);
  CHECK(in(0x177) == 0x00);
  ide.config_write(0x41, 0x80, 1);
  CHECK(in(P + 7) == 0x50);
  ide.config_write(0x04, 0, 2);
  CHECK(in(P + 7) == 0xFF);
  CHECK(in(0x3F6) == 0xFF);
  ide.config_write(0x04, 0xFFFF, 2);
  CHECK(ide.config_read(0x04, 2) == 0x05);
}

TEST_CASE_METHOD(IdeBoard, "device 0 answers for an absent device 1") {
  out(P + 2, 0x5A), out(P + 3, 0xA5);
  out(P + 6, 0xB0);
  CHECK(status() == 0);
  CHECK(alternate() == 0);
  CHECK(in(P + 2) == 0x5A);
  CHECK(in(P + 6) == 0xB0);
  out(P + 7, 0xEC);
  run(kLong);
  CHECK(status() == 0);
  CHECK_FALSE(interrupts.level(14));
  out(P + 6, 0xA0);
  CHECK(status() == 0x50);
}

TEST_CASE("an empty cable floats, but never shows BSY") {
  test::Board board;
  PiixIde ide(board.spaces);
  ide.config_write(0x40, 0x8000, 2);
  ide.config_write(0x04, 1, 2);
  for (u16 port = P + 1; port < P + 8; ++port) {
    board.ports.write(port, 0x12, 1);
    CHECK(board.ports.read(port, 1) == 0x7F);
  }
  CHECK(board.ports.read(0x3F6, 1) == 0x7F);
  CHECK(board.ports.read(P, 2) == 0xFF7F);
  board.ports.write(0x3F6, 4, 1);
  board.ports.write(P + 7, 0x90, 1);
}

TEST_CASE_METHOD(IdeBoard, "nIEN holds the interrupt back, not its cause") {
  out(P + 0x206, 2);
  command(0xEC);
  CHECK_FALSE(interrupts.level(14));
  out(P + 0x206, 0);
  CHECK(interrupts.level(14));
  status();
  CHECK_FALSE(interrupts.level(14));
}

TEST_CASE_METHOD(IdeBoard, "the interrupt follows the selected drive") {
  test::MemoryBackend second(1 << 20);
  AtaDisk slave(clock, second, {});
  ide.channel(0).attach(1, slave);
  command(0xEC);
  CHECK(interrupts.level(14));
  out(P + 6, 0xB0);  // the register is latched by device 1; device 0 moves data
  CHECK_FALSE(interrupts.level(14));
  out(P + 6, 0xA0);
  CHECK(interrupts.level(14));
}

TEST_CASE_METHOD(IdeBoard, "a busy drive ignores commands and registers") {
  out(P + 2, 0x33);
  out(P + 7, 0xE5);
  out(P + 2, 0x44);
  out(P + 7, 0xEC);
  CHECK(settle() == 0x50);
  CHECK(in(P + 2) == 0xFF);  // CHECK POWER MODE's answer
}

TEST_CASE_METHOD(IdeBoard, "SRST holds both drives busy and ends with the signature") {
  lba28(5, 4);
  command(0x20);
  take(256);
  out(P + 0x206, 4);
  CHECK(alternate() == 0x80);
  run(kLong);
  CHECK(alternate() == 0x80);
  CHECK_FALSE(interrupts.level(14));
  out(P + 0x206, 0);
  CHECK(alternate() == 0x80);
  CHECK(settle() == 0x50);
  CHECK(error() == 1);
  CHECK(in(P + 2) == 1);
  CHECK(in(P + 6) == 0);
  CHECK_FALSE(interrupts.level(14));
  CHECK(ports.read(P, 2) == 0xFFFF);
}

TEST_CASE_METHOD(IdeBoard, "a reset waits for the host to let go of the buffer") {
  image.deferred = true;
  lba28(5, 1);
  out(P + 7, 0x20);
  run(kLong);
  CHECK(image.waiting() == 1);
  out(P + 0x206, 4);
  out(P + 0x206, 0);
  run(kLong);
  CHECK(alternate() == 0x80);
  CHECK(image.answer());
  CHECK(alternate() == 0x50);
  CHECK(error() == 1);
  image.deferred = false;
  lba28(6, 1);
  command(0x20);
  CHECK(take(512) == sector_of(image, 6 * 512, 512));
}

TEST_CASE_METHOD(IdeBoard, "a machine reset survives a request under way") {
  image.deferred = true;
  lba28(5, 1);
  out(P + 7, 0x20);
  run(kLong);
  ide.reset(ResetKind::System);
  ide.config_write(0x40, 0x80008000, 4);
  ide.config_write(0x04, 5, 2);
  CHECK(alternate() == 0x80);
  CHECK(image.answer());
  CHECK(alternate() == 0x50);
  CHECK_FALSE(interrupts.level(14));
}

TEST_CASE_METHOD(IdeBoard, "EXECUTE DEVICE DIAGNOSTIC runs on both drives, device 0 reports") {
  test::MemoryBackend second(1 << 20);
  AtaDisk slave(clock, second, {});
  ide.channel(0).attach(1, slave);
  out(P + 6, 0xB0);
  CHECK(command(0x90) == 0x50);
  CHECK(interrupts.level(14));
  CHECK(error() == 1);
  CHECK((in(P + 6) & 0x10) == 0);
  CHECK(status() == 0x50);
  CHECK(interrupts.edges(14) == 1);
}

TEST_CASE_METHOD(IdeBoard, "READ DMA scatters over the PRD table") {
  table(0x1000, {{0x20000, 512}, {0x30001, 1024 + 1}, {0x40000, 512 | kLast}});
  lba28(50, 4);
  out(P + 7, 0xC8);
  start_dma(0x1000, Dma::ToMemory);
  CHECK((dma_status() & 1) == 1);
  CHECK(settle() == 0x50);
  CHECK(dma_status() == 0x04);
  CHECK(interrupts.edges(14) == 1);
  const auto expected = sector_of(image, 50 * 512, 2048);
  CHECK(std::equal(expected.begin(), expected.begin() + 512, ram.host + 0x20000));
  CHECK(std::equal(expected.begin() + 512, expected.begin() + 1536, ram.host + 0x30000));
  CHECK(std::equal(expected.begin() + 1536, expected.end(), ram.host + 0x40000));
  out(kBusMaster + 2, 0x04);
  CHECK(dma_status() == 0);
}

TEST_CASE_METHOD(IdeBoard, "WRITE DMA gathers, and a zero count is 64 KiB") {
  for (u32 i = 0; i < 0x20000; ++i) ram.host[0x20000 + i] = static_cast<u8>(i * 13 >> 3);
  table(0x1000, {{0x20000, 0}, {0x30000, kLast}});
  lba28(1000, 0);
  out(P + 7, 0xCA);
  start_dma(0x1000, Dma::FromMemory);
  CHECK(settle() == 0x50);
  CHECK(dma_status() == 0x04);
  CHECK(std::equal(ram.host + 0x20000, ram.host + 0x40000, image.content.begin() + 1000 * 512));
}

TEST_CASE_METHOD(IdeBoard, "large LBA48 DMA transfers pass in pieces") {
  table(0x1000, {{0x20000, 0}, {0x30000, 0}, {0x40000, 0}, {0x50000, 0 | kLast}});
  lba48(0x100, 512);
  out(P + 7, 0x25);
  start_dma(0x1000, Dma::ToMemory);
  CHECK(settle() == 0x50);
  CHECK(image.reads == 2);
  CHECK(interrupts.edges(14) == 1);
  CHECK(std::equal(ram.host + 0x20000, ram.host + 0x60000, image.content.begin() + 0x100 * 512));
  lba48(0x100, 512);
  out(P + 7, 0x3D);  // WRITE DMA FUA EXT ends on stable storage
  start_dma(0x1000, Dma::FromMemory);
  CHECK(settle() == 0x50);
  CHECK(image.flushes == 1);
}

TEST_CASE_METHOD(IdeBoard, "a PRD table shorter than the transfer leaves the drive waiting") {
  table(0x1000, {{0x20000, 512 | kLast}});
  lba28(50, 2);
  out(P + 7, 0xC8);
  start_dma(0x1000, Dma::ToMemory);
  run(kLong);
  CHECK((dma_status() & 5) == 0);
  CHECK((alternate() & 0x80) == 0x80);
  table(0x1000, {{0x22000, 512 | kLast}});  // driven on by a second table
  start_dma(0x1000, Dma::ToMemory);
  out(kBusMaster, 0);
  out(kBusMaster, 9);
  CHECK(settle() == 0x50);
  CHECK(ram.host[0x22000] == image.content[51 * 512]);
}

TEST_CASE_METHOD(IdeBoard, "a PRD table longer than the transfer stays active with the interrupt") {
  table(0x1000, {{0x20000, 4096 | kLast}});
  lba28(50, 2);
  out(P + 7, 0xC8);
  start_dma(0x1000, Dma::ToMemory);
  CHECK(settle() == 0x50);
  CHECK(dma_status() == 0x05);
  out(kBusMaster, 0);
  CHECK(dma_status() == 0x04);
}

TEST_CASE_METHOD(IdeBoard, "the engine needs the right direction and bus mastering") {
  table(0x1000, {{0x20000, 512 | kLast}});
  lba28(50, 1);
  out(P + 7, 0xC8);
  start_dma(0x1000, Dma::FromMemory);
  run(kLong);
  CHECK((alternate() & 0x80) == 0x80);
  out(kBusMaster, 0);
  ide.config_write(0x04, 1, 2);
  start_dma(0x1000, Dma::ToMemory);
  run(kLong);
  CHECK((alternate() & 0x80) == 0x80);
  ide.config_write(0x04, 5, 2);
  CHECK(settle() == 0x50);
  CHECK(ram.host[0x20000] == image.content[50 * 512]);
}

TEST_CASE_METHOD(IdeBoard, "PRD tables in nowhere and pointing nowhere do no harm") {
  lba28(50, 1);
  out(P + 7, 0xC8);
  start_dma(0xFFFFFFF8, Dma::ToMemory);
  CHECK(settle() == 0x50);
  table(0x1000, {{0xF0000000, 512 | kLast}});
  lba28(50, 1);
  out(P + 7, 0xCA);
  start_dma(0x1000, Dma::FromMemory);
  CHECK(settle() == 0x50);
  CHECK(image.content[50 * 512] == 0xFF);
}

TEST_CASE_METHOD(IdeBoard, "bus master registers") {
  ports.write(kBusMaster + 4, 0x12345677, 4);
  CHECK(ports.read(kBusMaster + 4, 4) == 0x12345674);
  CHECK(ports.read(kBusMaster + 6, 2) == 0x1234);
  out(kBusMaster + 10, 0xFF);
  CHECK(dma_status(1) == 0x60);
  CHECK(ports.read(kBusMaster, 4) == 0);
  out(kBusMaster + 1, 0xFF);
  CHECK(in(kBusMaster + 1) == 0);
}

TEST_CASE_METHOD(IdeBoard, "DATA SET MANAGEMENT discards ranges") {
  const u64 entries[] = {u64{8} << 48 | 100, u64{0} << 48 | 5, u64{16} << 48 | 300};
  for (unsigned i = 0; i < 3; ++i) memory.write_value({0x20000 + 8 * i}, entries[i], 8);
  table(0x1000, {{0x20000, 512 | kLast}});
  lba48(0, 1);
  out(P + 1, 0), out(P + 1, 1);
  out(P + 7, 0x06);
  start_dma(0x1000, Dma::FromMemory);
  CHECK(settle() == 0x50);
  CHECK(image.discarded ==
        std::vector<std::pair<u64, u64>>{{100 * 512, 8 * 512}, {300 * 512, 16 * 512}});
  memory.write_value({0x20000}, u64{8} << 48 | 0xFFFFFFFF, 8);
  lba48(0, 1);
  out(P + 1, 1);
  out(P + 7, 0x06);
  start_dma(0x1000, Dma::FromMemory);
  CHECK(settle() == 0x51);
  CHECK(error() == 0x14);
  lba48(0, 9);
  CHECK(command(0x06) == 0x51);
  CHECK(error() == 0x04);
}

TEST_CASE_METHOD(IdeBoard, "a snapshot in the middle of a PIO transfer continues") {
  lba28(20, 3);
  command(0x20);
  const auto head = take(700 - 188);
  settle();
  take(100);
  StateArchive saved;
  ide.serialize(saved);
  const auto tail = take(412);
  out(P + 0x206, 4);
  out(P + 0x206, 0);
  run(kLong);
  StateArchive restored(saved.bytes());
  ide.serialize(restored);
  REQUIRE(restored.finish());
  CHECK(take(412) == tail);
  CHECK(settle() == 0x58);
  CHECK(take(512) == sector_of(image, 22 * 512, 512));
  CHECK(status() == 0x50);
}

TEST_CASE_METHOD(IdeBoard, "an unanswered request is asked again after restoring") {
  image.deferred = true;
  lba28(20, 1);
  out(P + 7, 0x20);
  run(kLong);
  REQUIRE(image.waiting() == 1);
  StateArchive saved;
  ide.serialize(saved);
  StateArchive restored(saved.bytes());
  ide.serialize(restored);
  REQUIRE(restored.finish());
  run(kLong);
  CHECK(image.waiting() == 2);
  image.answer();  // the request of before the restore: nobody listens
  CHECK(alternate() == 0x80);
  image.answer();
  CHECK(alternate() == 0x58);
  CHECK(take(512) == sector_of(image, 20 * 512, 512));
}

TEST_CASE_METHOD(IdeBoard, "a snapshot with other drives is refused") {
  StateArchive saved;
  ide.serialize(saved);
  test::MemoryBackend second(1 << 20);
  AtaDisk slave(clock, second, {});
  ide.channel(0).attach(1, slave);
  StateArchive restored(saved.bytes());
  ide.serialize(restored);
  CHECK_FALSE(restored.finish());
}
