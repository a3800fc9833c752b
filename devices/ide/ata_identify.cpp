// What an ATA disk says of itself: IDENTIFY DEVICE and SMART.
#include <algorithm>
#include <numeric>

#include "devices/ide/ata_disk.h"

namespace ringshift::devices {

namespace {

// Words 82-87: what the drive supports, and has enabled.
constexpr u16 kSmartSet = 0x0001;
constexpr u16 kPowerManagement = 0x0008;
constexpr u16 kWriteCache = 0x0020;
constexpr u16 kLookAhead = 0x0040;
constexpr u16 kProtectedArea = 0x0400;
constexpr u16 kWriteBufferCommand = 0x1000;
constexpr u16 kReadBufferCommand = 0x2000;
constexpr u16 kNopCommand = 0x4000;
constexpr u16 kFixedSets =
    kPowerManagement | kProtectedArea | kWriteBufferCommand | kReadBufferCommand | kNopCommand;
constexpr u16 kExtendedAddresses = 0x0400;
constexpr u16 kFlushCacheCommands = 0x3000;
constexpr u16 kForceUnitAccess = 0x0040;
constexpr u16 kValid = 0x4000;

// SMART (ATA/ATAPI-6 §8.55) is addressed by a signature in the cylinder registers.
constexpr u8 kSmartMid = 0x4F;
constexpr u8 kSmartHigh = 0xC2;

}  // namespace

void AtaDisk::identify() {
  IdentifyData data({buffer().data(), kSectorSize});
  const Geometry initial = default_geometry();
  data.word(0, 0x0040);  // fixed
  data.word(1, initial.cylinders);
  data.word(3, initial.heads);
  data.word(6, initial.sectors);
  data.identity(identity_);
  data.word(20, 3);  // buffer type and size in sectors: of interest to ATA-1 systems only
  data.word(21, 256);
  data.word(22, 4);  // bytes appended by READ LONG
  data.word(47, 0x8000 | kMostMultiple);
  data.word(48, 1);       // can do 32-bit data port accesses
  data.word(49, 0x0F00);  // DMA, LBA, IORDY
  data.word(50, kValid);
  data.word(51, 0x0200);  // PIO and DMA timing modes of ATA-1
  data.word(52, 0x0200);
  data.word(53, 0x0007);  // words 54-58, 64-70 and 88 are valid
  data.word(54, geometry_.cylinders);
  data.word(55, geometry_.heads);
  data.word(56, geometry_.sectors);
  data.words(57, 2, u64{geometry_.cylinders} * geometry_.heads * geometry_.sectors);
  data.word(59, multiple_ == 0 ? 0 : 0x0100 | multiple_);
  data.words(60, 2, std::min<u64>(visible_sectors(), 0x0FFF'FFFF));
  data.word(63, modes_.multiword_word());
  data.word(64, 0x0003);                                                    // PIO modes 3 and 4
  for (const unsigned index : {65U, 66U, 67U, 68U}) data.word(index, 120);  // cycle times in ns
  data.word(80, 0x00F0);                                                    // ATA/ATAPI-4 to -7
  data.word(82, kFixedSets | kSmartSet | kWriteCache | kLookAhead);
  data.word(83, kValid | kExtendedAddresses | kFlushCacheCommands);
  data.word(84, kValid | kForceUnitAccess);
  data.word(85, kFixedSets | (smart_enabled_ ? kSmartSet : 0U) | (write_cache_ ? kWriteCache : 0U) |
                    (look_ahead_ ? kLookAhead : 0U));
  data.word(86, kExtendedAddresses | kFlushCacheCommands);
  data.word(87, kValid | kForceUnitAccess);
  data.word(88, modes_.ultra_word());
  data.reset_result(position_in_cable());
  data.words(100, 4, visible_sectors());
  data.word(105, kMostTrimBlocks);
  data.word(106, kValid);  // 512-byte logical sectors, one in each physical one
  data.word(119, kValid);
  data.word(120, kValid);
  data.word(169, 0x0001);  // TRIM
  data.finish();
}

void AtaDisk::smart() {
  if (current_.lba_mid != kSmartMid || current_.lba_high != kSmartHigh ||
      (!smart_enabled_ && current_.feature != 0xD8)) {
    fail(ata::kAborted);
    return;
  }
  switch (current_.feature) {
    case 0xD0:  // read data
      smart_data();
      send_block();
      break;
    case 0xD1: {  // read thresholds: no attributes, so none
      const std::span<u8> block(buffer().data(), kSectorSize);
      std::fill(block.begin(), block.end(), u8{0});
      block[0] = 0x10;
      block[511] = static_cast<u8>(-0x10);
      send_block();
      break;
    }
    case 0xD2:  // attribute autosave: nothing to save, so either setting holds
      complete();
      break;
    case 0xD4:  // execute off-line immediate: only the off-line routine, which ends at once
      current_.lba_low == 0 ? complete() : fail(ata::kAborted);
      break;
    case 0xD8:
      smart_enabled_ = true;
      complete();
      break;
    case 0xD9:
      smart_enabled_ = false;
      complete();
      break;
    case 0xDA:  // return status: the signature unchanged means that no threshold is exceeded
      complete();
      break;
    default:
      fail(ata::kAborted);
      break;
  }
}

void AtaDisk::smart_data() {
  const std::span<u8> block(buffer().data(), kSectorSize);
  std::fill(block.begin(), block.end(), u8{0});
  block[0] = 0x10;    // structure revision
  block[362] = 0x02;  // off-line collection completed without error
  block[364] = 1;     // seconds to complete it
  block[367] = 0x01;  // EXECUTE OFF-LINE IMMEDIATE is implemented
  block[368] = 0x03;  // saves data before power modes, autosave
  const u8 sum = std::accumulate(block.begin(), block.end(), u8{0},
                                 [](u8 a, u8 b) { return static_cast<u8>(a + b); });
  block[511] = static_cast<u8>(-sum);
}

}  // namespace ringshift::devices
