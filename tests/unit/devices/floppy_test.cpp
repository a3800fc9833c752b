#include <catch2/catch.hpp>

#include "devices/floppy/floppy_controller.h"
#include "tests/unit/devices/dma_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

namespace {

using Bytes = std::vector<u8>;
constexpr Nanoseconds kMillisecond = 1'000'000;

/// An image in memory that can be told to fail or to take its time.
struct Image final : BlockBackend {
  explicit Image(u64 size) : bytes(size) {
    for (u64 sector = 0; sector < size / 512; ++sector) {
      for (unsigned i = 0; i < 512; ++i) bytes[sector * 512 + i] = static_cast<u8>(sector * 7 + i);
    }
  }
  u64 size() const override { return bytes.size(); }
  bool read_only() const override { return protect; }
  void read(u64 offset, std::span<u8> buffer, Completion completion) override {
    REQUIRE(offset + buffer.size() <= bytes.size());
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), buffer.size(), buffer.begin());
    finish(std::move(completion));
  }
  void write(u64 offset, std::span<const u8> buffer, Completion completion) override {
    REQUIRE(offset + buffer.size() <= bytes.size());
    if (status == BlockStatus::Done) {
      std::copy(buffer.begin(), buffer.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    finish(std::move(completion));
  }
  void flush(Completion completion) override { completion(BlockStatus::Done); }
  void finish(Completion completion) {
    if (deferred) {
      waiting.push_back(std::move(completion));
    } else {
      completion(status);
    }
  }
  void complete() {
    auto ready = std::exchange(waiting, {});
    for (auto& completion : ready) completion(status);
  }
  Bytes sector(u64 number) const {
    const auto start = bytes.begin() + static_cast<std::ptrdiff_t>(number * 512);
    return {start, start + 512};
  }
  Bytes bytes;
  bool protect = false;
  bool deferred = false;
  BlockStatus status = BlockStatus::Done;
  std::vector<Completion> waiting;
};

constexpr u64 k1440 = 1'474'560;
constexpr u32 kBuffer = 0x10000;
constexpr u8 kRead = 0x46, kWrite = 0x45;
constexpr u8 kDmaToMemory = 0x44, kDmaFromMemory = 0x48;

struct Floppy : DmaBoard {
  FloppyController fdc;
  Image image{k1440};
  IoHandler& ports = fdc.ports();

  explicit Floppy(FloppyInterface interface = FloppyInterface::PcAt)
      : fdc(clock, dma.channel(2), interface) {
    fdc.irq().connect(lines, 6);
    fdc.set_drive_type(0, FloppyDriveType::Inch3High);
    fdc.insert(0, image);
  }
  u8 msr() { return in(ports, 4); }
  bool irq() { return lines.levels[6]; }
  void dor(u8 value) { out(ports, 2, value); }
  void rate(u8 value) { out(fdc.digital_input(), 0, value); }
  void send(const Bytes& bytes) {
    for (const u8 byte : bytes) {
      CHECK((msr() & 0xC0) == 0x80);
      out(ports, 5, byte);
    }
  }
  Bytes results() {
    Bytes bytes;
    while ((msr() & 0xD0) == 0xD0 && bytes.size() < 16) bytes.push_back(in(ports, 5));
    return bytes;
  }
  Bytes sense() {
    send({0x08});
    return results();
  }
  /// Runs until the next rising edge of IRQ 6; false when none comes in two seconds.
  bool wait() {
    for (int i = 0; i < 2000 && lines.rises[6] == 0; ++i) run(kMillisecond);
    return lines.take_rises(6) != 0;
  }
  /// Out of reset, motor 0 on, 500 kbit/s, DMA, head at track 0.
  void start(u8 data_rate = 0, u8 nd = 0) {
    dor(0x00);
    dor(0x1C);
    CHECK(wait());
    for (u8 i = 0; i < 4; ++i) CHECK(sense() == Bytes{static_cast<u8>(0xC0 | i), 0});
    rate(data_rate);
    send({0x03, 0xDF, static_cast<u8>(0x02 | nd)});
  }
  void seek(u8 cylinder, u8 drive = 0) {
    send({0x0F, drive, cylinder});
    CHECK(wait());
    CHECK(sense() == Bytes{static_cast<u8>(0x20 | drive), cylinder});
  }
  Bytes transfer(const Bytes& command) {
    send(command);
    CHECK((msr() & 0xD0) == 0x10);
    CHECK_FALSE(irq());
    REQUIRE(wait());
    return results();
  }
  Bytes buffer(std::size_t size) { return {at(kBuffer), at(kBuffer) + size}; }
};

u64 lba(unsigned cylinder, unsigned head, unsigned sector) {
  return (cylinder * 2 + head) * 18 + sector - 1;
}

}  // namespace

// --- Formats and drives -------------------------------------------------------------------------

TEST_CASE("floppy: formats by image size") {
  struct Expected {
    u64 kib;
    u8 cylinders, heads, sectors;
    FloppyDriveType home;
  };
  for (const Expected& e : {Expected{160, 40, 1, 8, FloppyDriveType::Inch5Double},
                            {180, 40, 1, 9, FloppyDriveType::Inch5Double},
                            {320, 40, 2, 8, FloppyDriveType::Inch5Double},
                            {360, 40, 2, 9, FloppyDriveType::Inch5Double},
                            {720, 80, 2, 9, FloppyDriveType::Inch3Double},
                            {1200, 80, 2, 15, FloppyDriveType::Inch5High},
                            {1440, 80, 2, 18, FloppyDriveType::Inch3High},
                            {1680, 80, 2, 21, FloppyDriveType::Inch3High},
                            {1722, 82, 2, 21, FloppyDriveType::Inch3High},
                            {2880, 80, 2, 36, FloppyDriveType::Inch3Extra}}) {
    const FloppyFormat format = floppy_format_for(e.kib * 1024);
    INFO(e.kib << " KiB");
    CHECK(format.cylinders == e.cylinders);
    CHECK(format.heads == e.heads);
    CHECK(format.sectors == e.sectors);
    CHECK(floppy_drive_for(format) == e.home);
  }
  CHECK(floppy_format_for(512).sectors == 18);
  CHECK(floppy_format_for(2'000'000).sectors == 36);
}

TEST_CASE("floppy: which drive reads which diskette at which data rate") {
  const auto rates = [](FloppyDriveType type, u64 size) {
    Image image(size);
    FloppyDrive drive;
    drive.set_type(type);
    drive.insert(image);
    drive.set_motor(true);
    std::string readable;
    for (u8 rate = 0; rate < 4; ++rate) {
      if (drive.readable(rate)) readable += static_cast<char>('0' + rate);
    }
    return readable;
  };
  CHECK(rates(FloppyDriveType::Inch3High, k1440) == "0");
  CHECK(rates(FloppyDriveType::Inch3High, 737'280) == "2");
  CHECK(rates(FloppyDriveType::Inch3High, 2 * k1440) == "");
  CHECK(rates(FloppyDriveType::Inch3Extra, 2 * k1440) == "3");
  CHECK(rates(FloppyDriveType::Inch3Double, k1440) == "");
  CHECK(rates(FloppyDriveType::Inch5High, 368'640) == "1");
  CHECK(rates(FloppyDriveType::Inch5Double, 368'640) == "2");
  CHECK(rates(FloppyDriveType::None, k1440) == "");
}

TEST_CASE("floppy: a 40-track diskette in a 1.2 MB drive lies under every second position") {
  Image image(368'640);
  FloppyDrive drive;
  drive.set_type(FloppyDriveType::Inch5High);
  drive.insert(image);
  drive.step(10);
  CHECK(drive.cylinder_under_head() == 5);
  CHECK(drive.offset(1, 9) == ((5 * 2 + 1) * 9 + 8) * 512);
  CHECK_FALSE(drive.offset(1, 10));
  CHECK_FALSE(drive.offset(2, 1));
  CHECK_FALSE(drive.offset(0, 0));
  drive.step(200);
  CHECK(drive.head_position() == 83);
  CHECK_FALSE(drive.offset(0, 1));
}

// --- Registers and commands without data --------------------------------------------------------

TEST_CASE("82077AA: in reset it is silent; out of reset it reports all four drives") {
  Floppy floppy;
  CHECK(floppy.msr() == 0x00);
  out(floppy.ports, 5, 0x10);
  CHECK(in(floppy.ports, 5) == 0);
  floppy.dor(0x0C);
  CHECK(floppy.msr() == 0x80);
  CHECK_FALSE(floppy.irq());  // not within the write
  CHECK(floppy.wait());
  CHECK(in(floppy.ports, 2) == 0x0C);
  for (u8 i = 0; i < 4; ++i) CHECK(floppy.sense() == Bytes{static_cast<u8>(0xC0 | i), 0});
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.sense() == Bytes{0x80});
  out(floppy.ports, 4, 0x80);  // the same by the DSR's self-clearing bit
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0xC0, 0});
}

TEST_CASE("82077AA: DOR bit 3 gates the interrupt on a PC/AT") {
  Floppy floppy;
  floppy.dor(0x04);
  floppy.run(5 * kMillisecond);
  CHECK_FALSE(floppy.irq());
  floppy.dor(0x0C);
  CHECK(floppy.irq());
  Floppy ps2(FloppyInterface::Ps2);
  ps2.dor(0x04);
  CHECK(ps2.wait());
}

TEST_CASE("82077AA: polling can be turned off, and LOCK protects the configuration") {
  Floppy floppy;
  floppy.start();
  floppy.send({0x13, 0x00, 0x57, 0x20});
  floppy.dor(0x18);
  floppy.dor(0x1C);
  CHECK(floppy.wait());  // the reset has restored the defaults
  floppy.sense();
  floppy.send({0x13, 0x00, 0x57, 0x20});
  floppy.send({0x94});
  CHECK(floppy.results() == Bytes{0x10});
  floppy.dor(0x18);
  floppy.dor(0x1C);
  CHECK_FALSE(floppy.wait());
  floppy.send({0x0E});
  Bytes dump = floppy.results();
  REQUIRE(dump.size() == 10);
  CHECK(dump[7] == 0x80);
  CHECK(dump[8] == 0x57);
  CHECK(dump[9] == 0x20);
  floppy.send({0x14});
  CHECK(floppy.results() == Bytes{0x00});
  floppy.send({0x94});
  floppy.results();
  floppy.fdc.reset(ResetKind::System);  // the pin doesn't respect it
  floppy.dor(0x1C);
  CHECK(floppy.wait());
}

TEST_CASE("82077AA: dump, version, perpendicular mode and invalid commands") {
  Floppy floppy;
  floppy.start();
  floppy.send({0x10});
  CHECK(floppy.results() == Bytes{0x90});
  floppy.send({0x12, 0xBF});  // OW: drive bits, GAP and WGATE
  floppy.send({0x12, 0x01});  // without OW the drive bits stay
  floppy.seek(7);
  floppy.send({0x0E});
  CHECK(floppy.results() == Bytes{7, 0, 0, 0, 0xDF, 0x02, 0, 0x3D, 0x20, 0x00});
  for (const u8 opcode : {0x18, 0x33, 0x2E, 0x00, 0x1F, 0xC2}) {
    floppy.send({opcode});
    CHECK(floppy.results() == Bytes{0x80});
  }
  CHECK_FALSE(floppy.irq());
}

TEST_CASE("82077AA: seek, recalibrate and relative seek") {
  Floppy floppy;
  floppy.start();
  floppy.send({0x0F, 0x04, 40});
  CHECK(floppy.msr() == 0x81);
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.wait());
  CHECK(floppy.msr() == 0x80);
  CHECK(floppy.sense() == Bytes{0x24, 40});
  CHECK_FALSE(floppy.irq());
  floppy.send({0xCF, 0x00, 5});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x20, 45});
  floppy.send({0x8F, 0x00, 3});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x20, 42});
  floppy.send({0x04, 0x00});
  CHECK(floppy.results() == Bytes{0x28});
  floppy.send({0x07, 0x00});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x20, 0});
  floppy.send({0x04, 0x04});
  CHECK(floppy.results() == Bytes{0x3C});
  // Beyond 79 steps, and where there is no drive, track 0 isn't found.
  floppy.seek(82);
  floppy.send({0x07, 0x00});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x70, 0});
  floppy.send({0x07, 0x00});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x20, 0});
  floppy.send({0x07, 0x01});
  CHECK(floppy.wait());
  CHECK(floppy.sense() == Bytes{0x71, 0});
}

TEST_CASE("82077AA: seeks of two drives overlap and each has its interrupt") {
  Floppy floppy;
  floppy.fdc.set_drive_type(1, FloppyDriveType::Inch3High);
  floppy.start();
  floppy.send({0x0F, 0x00, 30});
  floppy.send({0x0F, 0x01, 10});
  CHECK(floppy.msr() == 0x83);
  floppy.run(20 * kMillisecond);
  CHECK(floppy.sense() == Bytes{0x20, 30});
  CHECK(floppy.irq());
  CHECK(floppy.sense() == Bytes{0x21, 10});
  CHECK_FALSE(floppy.irq());
}

TEST_CASE("82077AA: disk change is seen through DIR until the head moves with a diskette in") {
  Floppy floppy;
  floppy.start();
  IoHandler& dir = floppy.fdc.digital_input();
  CHECK(in(dir) == 0x80);
  floppy.dor(0x0C);  // motor off: not driven
  CHECK(in(dir) == 0x00);
  floppy.dor(0x1C);
  floppy.send({0x07, 0x00});  // already at track 0: no step
  floppy.wait();
  floppy.sense();
  CHECK(in(dir) == 0x80);
  floppy.seek(1);
  CHECK(in(dir) == 0x00);
  floppy.fdc.eject(0);
  floppy.seek(2);
  CHECK(in(dir) == 0x80);
  floppy.fdc.insert(0, floppy.image);
  CHECK(in(dir) == 0x80);
  floppy.seek(0);
  CHECK(in(dir) == 0x00);
}

TEST_CASE("82077AA: status registers A and B, TDR and the PS/2 form of DIR") {
  Floppy at;
  CHECK(in(at.ports, 0) == 0xFF);
  CHECK(in(at.ports, 1) == 0xFF);
  out(at.ports, 3, 0xFF);
  CHECK(in(at.ports, 3) == 0xFF);
  out(at.ports, 3, 0x01);
  CHECK(in(at.ports, 3) == 0xFD);
  out(at.ports, 0, 0x55);

  Floppy floppy(FloppyInterface::Ps2);
  floppy.start();
  CHECK(in(floppy.ports, 0) == 0x46);  // no second drive, not at index, not protected, track 0
  floppy.image.protect = true;
  floppy.seek(3);
  CHECK(in(floppy.ports, 0) == 0x54);
  floppy.fdc.set_drive_type(1, FloppyDriveType::Inch3High);
  CHECK(in(floppy.ports, 0) == 0x14);
  CHECK(in(floppy.ports, 1) == 0xC1);
  floppy.dor(0x2D);
  CHECK(in(floppy.ports, 1) == 0xE2);
  floppy.dor(0x1C);
  CHECK(in(floppy.fdc.digital_input()) == 0x78);
  floppy.rate(2);
  CHECK(in(floppy.fdc.digital_input()) == 0x7D);
  out(floppy.ports, 4, 0x03);
  CHECK(in(floppy.fdc.digital_input()) == 0x7E);
}

// --- Reading ------------------------------------------------------------------------------------

TEST_CASE("82077AA: a sector by DMA with terminal count") {
  Floppy floppy;
  floppy.start();
  floppy.seek(5);
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 0x04, 5, 1, 7, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x04, 0x00, 0x00, 5, 1, 8, 2});
  CHECK(floppy.buffer(512) == floppy.image.sector(lba(5, 1, 7)));
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.msr() == 0x80);
}

TEST_CASE("82077AA: the interrupt goes with the first result byte") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  floppy.send({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF});
  REQUIRE(floppy.wait());
  CHECK(floppy.irq());
  CHECK(floppy.msr() == 0xD0);
  out(floppy.ports, 5, 0x08);  // a command now is ignored
  in(floppy.ports, 5);
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.results().size() == 6);
}

TEST_CASE("82077AA: multi-track reads cross to head 1; result values at the ends") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 4 * 512);
  CHECK(floppy.transfer({0x80 | kRead, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x04, 0, 0, 0, 1, 3, 2});
  CHECK(floppy.buffer(2048) ==
        Bytes(floppy.image.bytes.begin() + 16 * 512, floppy.image.bytes.begin() + 20 * 512));
  // Table of result values: the last sector of head 0 with MT, of head 1 with MT, and without MT.
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({0x80 | kRead, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x00, 0, 0, 0, 1, 1, 2});
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({0x80 | kRead, 4, 0, 1, 18, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x04, 0, 0, 1, 0, 1, 2});
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 4, 0, 1, 18, 2, 18, 0x1B, 0xFF}) == Bytes{0x04, 0, 0, 1, 1, 1, 2});
}

TEST_CASE("82077AA: a transfer that passes EOT without TC ends with EN") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 0x4000);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x80, 0, 1, 0, 1, 2});
}

TEST_CASE("82077AA: terminal count in the middle of a sector ends normally") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 100);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) == Bytes{0, 0, 0, 0, 0, 2, 2});
  CHECK(floppy.buffer(100) == Bytes(floppy.image.bytes.begin(), floppy.image.bytes.begin() + 100));
  CHECK(*floppy.at(kBuffer + 100) == 0);
}

TEST_CASE("82077AA: sectors that aren't there") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  // R beyond the track, wrong H, wrong N: no data. Wrong C: wrong cylinder as well.
  CHECK(floppy.transfer({kRead, 0, 0, 0, 19, 2, 20, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x04, 0, 0, 0, 19, 2});
  CHECK(floppy.transfer({kRead, 0, 0, 1, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x04, 0, 0, 1, 1, 2});
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 3, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x04, 0, 0, 0, 1, 3});
  CHECK(floppy.transfer({kRead, 0, 9, 0, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x04, 0x10, 9, 0, 1, 2});
  // FM, another data rate, no motor, no drive, no diskette: no address marks.
  const Bytes missing = {0x40, 0x01, 0, 0, 0, 1, 2};
  CHECK(floppy.transfer({0x06, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) == missing);
  floppy.rate(2);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) == missing);
  floppy.rate(0);
  floppy.dor(0x0C);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) == missing);
  floppy.dor(0x1C);
  CHECK(floppy.transfer({kRead, 1, 0, 0, 1, 2, 18, 0x1B, 0xFF})[0] == 0x41);
  floppy.fdc.eject(0);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) == missing);
}

TEST_CASE("82077AA: a DMA channel that doesn't answer is an overrun") {
  Floppy floppy;
  floppy.start();
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x10, 0, 0, 0, 1, 2});
}

TEST_CASE("82077AA: implied seek moves the head first") {
  Floppy floppy;
  floppy.start();
  floppy.send({0x13, 0x00, 0x40, 0x00});
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 0, 33, 0, 2, 2, 18, 0x1B, 0xFF}) == Bytes{0, 0, 0, 33, 0, 3, 2});
  CHECK(floppy.buffer(512) == floppy.image.sector(lba(33, 0, 2)));
}

TEST_CASE("82077AA: non-DMA reads pass through the FIFO, with an interrupt for each sector") {
  Floppy floppy;
  floppy.start(0, 1);
  floppy.send({kRead, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF});
  CHECK(floppy.msr() == 0x30);
  Bytes got;
  for (int sector = 0; sector < 2; ++sector) {
    REQUIRE(floppy.wait());
    CHECK(floppy.msr() == 0xF0);
    for (int i = 0; i < 512; ++i) {
      CHECK(floppy.irq());
      got.push_back(in(floppy.ports, 5));
    }
  }
  CHECK(got == Bytes(floppy.image.bytes.begin() + 16 * 512, floppy.image.bytes.begin() + 18 * 512));
  CHECK(floppy.wait());
  // Nothing can signal TC here, so such a transfer ends by EOT.
  CHECK(floppy.results() == Bytes{0x40, 0x80, 0, 1, 0, 1, 2});
}

TEST_CASE("82077AA: a FIFO that nobody empties is an overrun in the end") {
  Floppy floppy;
  floppy.start(0, 1);
  floppy.send({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF});
  REQUIRE(floppy.wait());
  in(floppy.ports, 5);
  floppy.run(249 * kMillisecond);
  CHECK(floppy.msr() == 0xF0);
  CHECK(floppy.wait());
  CHECK(floppy.results()[1] == 0x10);
}

TEST_CASE("82077AA: READ ID, VERIFY and READ TRACK") {
  Floppy floppy;
  floppy.start();
  floppy.seek(3);
  Bytes id = floppy.transfer({0x4A, 0x04});
  REQUIRE(id.size() == 7);
  CHECK(id[0] == 0x04);
  CHECK(id[3] == 3);
  CHECK(id[4] == 1);
  CHECK((id[5] >= 1 && id[5] <= 18));
  CHECK(id[6] == 2);
  floppy.run(50 * kMillisecond);
  CHECK(floppy.transfer({0x4A, 0x04})[5] != id[5]);  // the diskette turns

  CHECK(floppy.transfer({0x56, 0x00, 3, 0, 1, 2, 18, 0x1B, 0xFF}) == Bytes{0, 0, 0, 4, 0, 1, 2});
  CHECK(floppy.transfer({0x56, 0x80, 3, 0, 1, 2, 18, 0x1B, 5}) == Bytes{0, 0, 0, 3, 0, 6, 2});
  CHECK(floppy.transfer({0x56, 0x80, 3, 0, 17, 2, 18, 0x1B, 5}) ==
        Bytes{0x40, 0x80, 0, 4, 0, 1, 2});

  floppy.program(2, kDmaToMemory, kBuffer, 18 * 512);
  CHECK(floppy.transfer({0x42, 0x00, 3, 0, 1, 2, 18, 0x1B, 0xFF})[1] == 0x00);
  CHECK(floppy.buffer(512) == floppy.image.sector(lba(3, 0, 1)));
  floppy.program(2, kDmaToMemory, kBuffer, 0x8000);
  CHECK(floppy.transfer({0x42, 0x00, 3, 0, 5, 2, 2, 0x1B, 0xFF})[1] == 0x04);  // IDs differ
  CHECK(floppy.buffer(512) == floppy.image.sector(lba(3, 0, 1)));
  floppy.fdc.eject(0);
  CHECK(floppy.transfer({0x4A, 0x00})[1] == 0x01);
}

TEST_CASE("82077AA: READ DELETED DATA meets normal marks only") {
  Floppy floppy;
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 1024);
  CHECK(floppy.transfer({0x4C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0, 0, 0x40, 0, 0, 2, 2});  // reads one sector, then stops
  CHECK(floppy.buffer(512) == floppy.image.sector(0));
  CHECK(floppy.transfer({0x6C, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x80, 0x40, 1, 0, 1, 2});  // skips all
}

TEST_CASE("82077AA: an image that ends early reads as blank, and its errors are data errors") {
  Floppy floppy;
  Image small(700);
  floppy.fdc.insert(0, small);
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 3 * 512);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF})[0] == 0x00);
  Bytes expected = small.bytes;
  expected.resize(3 * 512);
  CHECK(floppy.buffer(3 * 512) == expected);
  floppy.program(2, kDmaFromMemory, kBuffer, 512);
  CHECK(floppy.transfer({kWrite, 0, 0, 0, 2, 2, 18, 0x1B, 0xFF})[0] == 0x50);
  small.status = BlockStatus::Failed;
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x20, 0x20, 0, 0, 1, 2});
  small.status = BlockStatus::NoMedium;
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF})[1] == 0x01);
}

TEST_CASE("82077AA: 720 KB and 2.88 MB diskettes at their own rates") {
  Floppy floppy;
  Image dd(737'280), ed(2 * k1440);
  floppy.fdc.insert(0, dd);
  floppy.start(2);
  floppy.seek(79);
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 4, 79, 1, 9, 2, 9, 0x1B, 0xFF})[0] == 0x04);
  CHECK(floppy.buffer(512) == dd.sector(1439));
  floppy.fdc.set_drive_type(0, FloppyDriveType::Inch3Extra);
  floppy.fdc.insert(0, ed);
  floppy.rate(3);
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  CHECK(floppy.transfer({kRead, 4, 79, 1, 36, 2, 36, 0x1B, 0xFF})[0] == 0x04);
  CHECK(floppy.buffer(512) == ed.sector(5759));
}

// --- Writing, scanning, formatting --------------------------------------------------------------

TEST_CASE("82077AA: writing by DMA; what TC leaves of a sector becomes zeros") {
  Floppy floppy;
  floppy.start();
  for (unsigned i = 0; i < 600; ++i) *floppy.at(kBuffer + i) = static_cast<u8>(i ^ 0x5A);
  floppy.program(2, kDmaFromMemory, kBuffer, 600);
  CHECK(floppy.transfer({kWrite, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF}) == Bytes{0, 0, 0, 0, 0, 5, 2});
  Bytes expected = floppy.buffer(600);
  expected.resize(1024);
  CHECK(Bytes(floppy.image.bytes.begin() + 1024, floppy.image.bytes.begin() + 2048) == expected);
  floppy.program(2, kDmaFromMemory, kBuffer, 512);  // WRITE DELETED DATA: the image keeps no marks
  CHECK(floppy.transfer({0x49, 0, 0, 0, 9, 2, 18, 0x1B, 0xFF})[0] == 0x00);
  CHECK(floppy.image.sector(8) == floppy.buffer(512));
}

TEST_CASE("82077AA: writing through the FIFO") {
  Floppy floppy;
  floppy.start(0, 1);
  floppy.send({kWrite, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF});
  REQUIRE(floppy.wait());
  CHECK(floppy.msr() == 0xB0);
  for (int i = 0; i < 512; ++i) out(floppy.ports, 5, static_cast<u8>(i * 3));
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.wait());
  CHECK(floppy.results() == Bytes{0x40, 0x80, 0, 1, 0, 1, 2});
  CHECK(floppy.image.sector(17)[5] == 15);
}

TEST_CASE("82077AA: a protected diskette isn't written") {
  Floppy floppy;
  floppy.start();
  floppy.image.protect = true;
  const Bytes before = floppy.image.bytes;
  floppy.program(2, kDmaFromMemory, kBuffer, 512);
  CHECK(floppy.transfer({kWrite, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF}) ==
        Bytes{0x40, 0x02, 0, 0, 0, 1, 2});
  CHECK(floppy.transfer({0x4D, 0, 2, 18, 0x54, 0xF6})[1] == 0x02);
  floppy.send({0x04, 0x00});
  CHECK(floppy.results() == Bytes{0x78});
  CHECK(floppy.image.bytes == before);
  floppy.image.protect = false;
  floppy.image.status = BlockStatus::Failed;
  CHECK(floppy.transfer({kWrite, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF})[0] == 0x50);
}

TEST_CASE("82077AA: formatting fills the sectors named by the host") {
  Floppy floppy;
  floppy.start();
  floppy.seek(2);
  for (u8 r = 1; r <= 18; ++r) {
    const u8 id[] = {2, 1, r, 2};
    std::copy(std::begin(id), std::end(id), floppy.at(kBuffer + (r - 1U) * 4));
  }
  floppy.program(2, kDmaFromMemory, kBuffer, 18 * 4);
  CHECK(floppy.transfer({0x4D, 0x04, 2, 18, 0x54, 0xF6})[0] == 0x04);
  CHECK(floppy.image.sector(lba(2, 1, 1)) == Bytes(512, 0xF6));
  CHECK(floppy.image.sector(lba(2, 1, 18)) == Bytes(512, 0xF6));
  CHECK(floppy.image.sector(lba(2, 0, 18)) != Bytes(512, 0xF6));
  CHECK(floppy.image.sector(lba(3, 0, 1)) != Bytes(512, 0xF6));
  // An ID that the image has no place for.
  floppy.program(2, kDmaFromMemory, kBuffer, 18 * 4);
  *floppy.at(kBuffer + 2) = 19;
  CHECK(floppy.transfer({0x4D, 0x04, 2, 18, 0x54, 0xF6})[0] == 0x54);
  // Through the FIFO, with fewer sectors.
  floppy.send({0x03, 0xDF, 0x03});
  floppy.send({0x4D, 0x00, 2, 1, 0x54, 0x77});
  REQUIRE(floppy.wait());
  for (const u8 byte : {2, 0, 4, 2}) out(floppy.ports, 5, byte);
  CHECK(floppy.wait());
  CHECK(floppy.results()[0] == 0x00);
  CHECK(floppy.image.sector(lba(2, 0, 4)) == Bytes(512, 0x77));
  floppy.fdc.eject(0);
  floppy.send({0x4D, 0x00, 2, 1, 0x54, 0x77});
  REQUIRE(floppy.wait());
  CHECK(floppy.results()[1] == 0x01);
}

TEST_CASE("82077AA: scan equal, low or equal, high or equal") {
  Floppy floppy;
  floppy.start();
  for (unsigned sector = 0; sector < 18; ++sector) {
    std::fill_n(floppy.image.bytes.begin() + sector * 512, 512, static_cast<u8>(0x10 + sector));
  }
  const auto scan = [&](u8 opcode, u8 first, u8 value, u8 step = 1) {
    std::fill_n(floppy.at(kBuffer), 0x4000, value);
    floppy.program(2, kDmaFromMemory, kBuffer, 0x4000);
    return floppy.transfer({opcode, 0, 0, 0, first, 2, 18, 0x1B, step});
  };
  CHECK(scan(0x51, 1, 0x14) == Bytes{0, 0, 0x08, 0, 0, 5, 2});     // found: equal
  CHECK(scan(0x51, 1, 0x77) == Bytes{0, 0, 0x04, 1, 0, 1, 2});     // not found
  CHECK(scan(0x51, 1, 0xFF) == Bytes{0, 0, 0x08, 0, 0, 1, 2});     // FFh agrees with all
  CHECK(scan(0x51, 1, 0x15, 2) == Bytes{0, 0, 0x04, 1, 0, 1, 2});  // sector 6 is stepped over
  CHECK(scan(0x59, 4, 0x40) == Bytes{0, 0, 0x00, 0, 0, 4, 2});     // diskette lower
  CHECK(scan(0x5D, 1, 0x1F) == Bytes{0, 0, 0x08, 0, 0, 16, 2});    // first not lower: equal
  CHECK(scan(0x5D, 17, 0x01) == Bytes{0, 0, 0x00, 0, 0, 17, 2});
  // TC before the condition is met
  floppy.program(2, kDmaFromMemory, kBuffer, 512);
  std::fill_n(floppy.at(kBuffer), 512, u8{0x77});
  CHECK(floppy.transfer({0x51, 0, 0, 0, 1, 2, 18, 0x1B, 1})[2] == 0x04);
}

// --- Slow images, resets, snapshots -------------------------------------------------------------

TEST_CASE("82077AA: a reset abandons a transfer of the image; the next command waits for it") {
  Floppy floppy;
  floppy.start();
  floppy.image.deferred = true;
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  floppy.send({kRead, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF});
  CHECK_FALSE(floppy.wait());
  REQUIRE(floppy.image.waiting.size() == 1);
  floppy.start();
  floppy.program(2, kDmaToMemory, kBuffer, 512);
  floppy.send({kRead, 0, 0, 0, 2, 2, 18, 0x1B, 0xFF});
  CHECK_FALSE(floppy.wait());
  CHECK(floppy.image.waiting.size() == 1);
  floppy.image.deferred = false;
  floppy.image.complete();
  CHECK(floppy.wait());
  CHECK(floppy.results() == Bytes{0, 0, 0, 0, 0, 3, 2});
  CHECK(floppy.buffer(512) == floppy.image.sector(1));
}

TEST_CASE("82077AA: a snapshot during a slow transfer starts it again") {
  for (const u8 opcode : {kRead, kWrite}) {
    Floppy floppy;
    floppy.start();
    floppy.image.deferred = true;
    std::fill_n(floppy.at(kBuffer), 512, u8{0xEE});
    floppy.program(2, opcode == kRead ? kDmaToMemory : kDmaFromMemory, kBuffer, 512);
    floppy.send({opcode, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK_FALSE(floppy.wait());
    REQUIRE(floppy.image.waiting.size() == 1);
    Floppy other;
    other.time.advance(floppy.time.now());
    other.program(2, opcode == kRead ? kDmaToMemory : kDmaFromMemory, kBuffer, 512);
    StateArchive archive(save(floppy.fdc));
    other.fdc.serialize(archive);
    REQUIRE(archive.finish().ok());
    CHECK(other.wait());
    CHECK(other.results() == Bytes{0, 0, 0, 0, 0, 2, 2});
    if (opcode == kRead) CHECK(other.buffer(512) == other.image.sector(0));
    if (opcode == kWrite) CHECK(other.image.sector(0) == Bytes(512, 0xEE));
  }
}

TEST_CASE("82077AA: state survives a snapshot, and one out of range is refused") {
  Floppy floppy;
  floppy.start(0, 1);
  floppy.seek(4);
  floppy.send({kRead, 0, 4, 0, 1, 2, 18, 0x1B, 0xFF});
  REQUIRE(floppy.wait());
  for (int i = 0; i < 100; ++i) in(floppy.ports, 5);
  Floppy other;
  other.time.advance(floppy.time.now());
  CHECK(copies(floppy.fdc, other.fdc));
  CHECK(other.fdc.irq().level());
  CHECK(other.lines.rises[6] == 0);
  CHECK(in(other.ports, 5) == in(floppy.ports, 5));

  Floppy idle;
  idle.start();
  const Bytes before = save(idle.fdc);
  idle.send({0x0F});
  Bytes broken = save(idle.fdc);
  for (std::size_t i = 0; i < broken.size(); ++i) {
    if (broken[i] != before[i]) broken[i] = 200;  // among them the number of bytes received
  }
  StateArchive archive(broken);
  other.fdc.serialize(archive);
  CHECK_FALSE(archive.finish().ok());
  floppy.fdc.reset(ResetKind::PowerOn);
  CHECK_FALSE(floppy.irq());
  CHECK(floppy.msr() == 0);
  CHECK(floppy.fdc.drive_type(0) == FloppyDriveType::Inch3High);
  CHECK_FALSE(floppy.fdc.name().empty());
}
