#include "devices/ide/ata_disk.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

/// Commands (ATA/ATAPI-6 §8; the obsolete ones from ATA-3, which old systems still use).
enum Command : u8 {
  kDataSetManagement = 0x06,
  kRecalibrate = 0x10,  // 10h-1Fh
  kReadSectors = 0x20,
  kReadSectorsNoRetry = 0x21,
  kReadSectorsExt = 0x24,
  kReadDmaExt = 0x25,
  kReadNativeMaxExt = 0x27,
  kReadMultipleExt = 0x29,
  kWriteSectors = 0x30,
  kWriteSectorsNoRetry = 0x31,
  kWriteSectorsExt = 0x34,
  kWriteDmaExt = 0x35,
  kSetMaxExt = 0x37,
  kWriteMultipleExt = 0x39,
  kWriteVerify = 0x3C,
  kWriteDmaFuaExt = 0x3D,
  kVerify = 0x40,
  kVerifyNoRetry = 0x41,
  kVerifyExt = 0x42,
  kSeek = 0x70,  // 70h-7Fh
  kInitializeParameters = 0x91,
  kStandbyImmediateOld = 0x94,
  kIdleImmediateOld = 0x95,
  kStandbyOld = 0x96,
  kIdleOld = 0x97,
  kCheckPowerOld = 0x98,
  kSleepOld = 0x99,
  kSmart = 0xB0,
  kReadMultiple = 0xC4,
  kWriteMultiple = 0xC5,
  kSetMultiple = 0xC6,
  kReadDma = 0xC8,
  kReadDmaNoRetry = 0xC9,
  kWriteDma = 0xCA,
  kWriteDmaNoRetry = 0xCB,
  kWriteMultipleFuaExt = 0xCE,
  kStandbyImmediate = 0xE0,
  kIdleImmediate = 0xE1,
  kStandby = 0xE2,
  kIdle = 0xE3,
  kReadBuffer = 0xE4,
  kCheckPower = 0xE5,
  kSleep = 0xE6,
  kFlushCache = 0xE7,
  kWriteBuffer = 0xE8,
  kFlushCacheExt = 0xEA,
  kIdentify = 0xEC,
  kReadNativeMax = 0xF8,
  kSetMax = 0xF9
};

constexpr u64 kMostShortSectors = 0x0FFF'FFFF;

}  // namespace

AtaDisk::AtaDisk(EventClock& clock, BlockBackend& image, DriveIdentity identity)
    : IdeDrive(clock), image_(image), identity_(std::move(identity)) {
  hardware_reset(ResetKind::PowerOn);
}

void AtaDisk::reset_settings(bool hardware, ResetKind kind) {
  action_ = Action::None;
  native_max_read_ = false;
  power_ = Power::Active;
  if (!hardware && !revert_on_reset_) return;
  geometry_ = default_geometry();
  multiple_ = 0;
  write_cache_ = true;
  look_ahead_ = true;
  if (!hardware) return;
  method_ = Method::Pio;
  addressing_ = Addressing::Short;
  force_unit_access_ = false;
  sector_ = 0;
  remaining_ = chunk_ = block_at_ = trim_at_ = 0;
  modes_ = {};
  revert_on_reset_ = true;
  smart_enabled_ = true;
  if (visible_volatile_ || kind == ResetKind::PowerOn) visible_ = 0;
  visible_volatile_ = false;
  if (kind == ResetKind::PowerOn) sector_buffer_ = {};
}

u8 AtaDisk::put_signature() {
  current_.count = 1;
  current_.lba_low = 1;
  current_.lba_mid = 0;
  current_.lba_high = 0;
  return ata::kReady | ata::kSeekComplete;
}

bool AtaDisk::is_device_reset(u8 command) const {
  static_cast<void>(command);
  return false;
}

// --- Commands -----------------------------------------------------------------------------------

void AtaDisk::execute(u8 command) {
  const bool after_native_max = std::exchange(native_max_read_, false);
  if (power_ == Power::Sleep) {
    // Only a reset wakes a sleeping drive: it takes no command and raises no interrupt.
    complete(Announce::Silently);
    return;
  }
  action_ = Action::None;
  force_unit_access_ = false;
  if (command == kSetMax || command == kSetMaxExt) native_max_read_ = after_native_max;
  if (!execute_transfer(command) && !execute_mode(command) && !execute_protected_area(command) &&
      !execute_information(command)) {
    fail(ata::kAborted);
  }
}

bool AtaDisk::execute_transfer(u8 command) {
  using enum Action;
  using enum Method;
  using enum Addressing;
  struct Transfer {
    u8 command;
    Action action;
    Method method;
    Addressing addressing;
    bool force_unit_access = false;
  };
  static constexpr Transfer kTransfers[] = {
      {kReadSectors, Read, Pio, Short},
      {kReadSectorsNoRetry, Read, Pio, Short},
      {kReadSectorsExt, Read, Pio, Extended},
      {kReadMultiple, Read, Multiple, Short},
      {kReadMultipleExt, Read, Multiple, Extended},
      {kReadDma, Read, Dma, Short},
      {kReadDmaNoRetry, Read, Dma, Short},
      {kReadDmaExt, Read, Dma, Extended},
      {kWriteSectors, Write, Pio, Short},
      {kWriteSectorsNoRetry, Write, Pio, Short},
      {kWriteVerify, Write, Pio, Short},
      {kWriteSectorsExt, Write, Pio, Extended},
      {kWriteMultiple, Write, Multiple, Short},
      {kWriteMultipleExt, Write, Multiple, Extended},
      {kWriteMultipleFuaExt, Write, Multiple, Extended, true},
      {kWriteDma, Write, Dma, Short},
      {kWriteDmaNoRetry, Write, Dma, Short},
      {kWriteDmaExt, Write, Dma, Extended},
      {kWriteDmaFuaExt, Write, Dma, Extended, true},
      {kVerify, Action::Verify, Pio, Short},
      {kVerifyNoRetry, Action::Verify, Pio, Short},
      {kVerifyExt, Action::Verify, Pio, Extended},
  };
  const auto found = std::find_if(std::begin(kTransfers), std::end(kTransfers),
                                  [command](const Transfer& t) { return t.command == command; });
  if (found == std::end(kTransfers)) return false;
  force_unit_access_ = found->force_unit_access;
  start_transfer(found->action, found->method, found->addressing);
  return true;
}

bool AtaDisk::execute_mode(u8 command) {
  switch (command) {
    case kDataSetManagement:
      start_trim();
      return true;
    case kFlushCache:
    case kFlushCacheExt:
      action_ = Action::Flush;
      flush_backend();
      return true;
    case kSetMultiple:
      // Zero disables the commands; else a power of two.
      if (current_.count > kMostMultiple || (current_.count & (current_.count - 1)) != 0) {
        fail(ata::kAborted);
        return true;
      }
      multiple_ = current_.count;
      complete();
      return true;
    case ata::kSetFeatures:
      set_features();
      return true;
    case kInitializeParameters:
      set_geometry();
      return true;
    case kStandby:
    case kStandbyOld:
    case kStandbyImmediate:
    case kStandbyImmediateOld:
      power_ = Power::Standby;
      action_ = Action::Flush;
      flush_backend();
      return true;
    case kIdle:
    case kIdleOld:
    case kIdleImmediate:
    case kIdleImmediateOld:
      power_ = Power::Idle;
      complete();
      return true;
    case kSleep:
    case kSleepOld:
      power_ = Power::Sleep;
      action_ = Action::Flush;
      flush_backend();
      return true;
    case kCheckPower:
    case kCheckPowerOld:
      current_.count = power_ == Power::Standby ? 0x00 : power_ == Power::Idle ? 0x80 : 0xFF;
      complete();
      return true;
    default:
      return false;
  }
}

bool AtaDisk::execute_protected_area(u8 command) {
  switch (command) {
    case kReadNativeMax:
      if ((device_ & ata::kLbaMode) == 0 || sectors() == 0) {
        fail(ata::kAborted);
        return true;
      }
      put_sector(std::min(sectors() - 1, kMostShortSectors - 1), Addressing::Short);
      native_max_read_ = true;
      complete();
      return true;
    case kReadNativeMaxExt:
      if ((device_ & ata::kLbaMode) == 0 || sectors() == 0) {
        fail(ata::kAborted);
        return true;
      }
      put_sector(sectors() - 1, Addressing::Extended);
      native_max_read_ = true;
      complete();
      return true;
    case kSetMax:
      set_max(Addressing::Short);
      return true;
    case kSetMaxExt:
      set_max(Addressing::Extended);
      return true;
    default:
      return false;
  }
}

bool AtaDisk::execute_information(u8 command) {
  if ((command & 0xF0) == kRecalibrate) {
    complete();
    return true;
  }
  if ((command & 0xF0) == kSeek) {
    if (addressed_sector(Addressing::Short) >= visible_sectors()) {
      fail(ata::kIdNotFound);
    } else {
      complete();
    }
    return true;
  }
  switch (command) {
    case kIdentify:
      identify();
      send_block();
      return true;
    case kReadBuffer:
      std::copy(sector_buffer_.begin(), sector_buffer_.end(), buffer().begin());
      send_block();
      return true;
    case kWriteBuffer:
      action_ = Action::ReceiveBuffer;
      pio_from_host(0, kSectorSize, Announce::Silently, ata::kReady | ata::kSeekComplete);
      return true;
    case kSmart:
      smart();
      return true;
    default:
      return false;
  }
}

// --- Addresses ----------------------------------------------------------------------------------

u64 AtaDisk::addressed_sector(Addressing addressing) const {
  const u64 low = u64{current_.lba_low} | u64{current_.lba_mid} << 8 | u64{current_.lba_high} << 16;
  if (addressing == Addressing::Extended) {
    // The 48-bit commands have no cylinder-head-sector form.
    if ((device_ & ata::kLbaMode) == 0) return kBadSector;
    return low | u64{previous_.lba_low} << 24 | u64{previous_.lba_mid} << 32 |
           u64{previous_.lba_high} << 40;
  }
  if ((device_ & ata::kLbaMode) != 0) return low | u64{device_ & 0x0FU} << 24;
  const u32 sector = current_.lba_low;
  const u32 cylinder = current_.lba_mid | u32{current_.lba_high} << 8;
  const u32 head = device_ & 0x0F;
  if (sector == 0 || sector > geometry_.sectors || head >= geometry_.heads ||
      cylinder >= geometry_.cylinders) {
    return kBadSector;
  }
  return (u64{cylinder} * geometry_.heads + head) * geometry_.sectors + sector - 1;
}

void AtaDisk::put_sector(u64 sector, Addressing addressing) {
  if (addressing == Addressing::Short && (device_ & ata::kLbaMode) == 0) {
    if (geometry_.sectors == 0 || geometry_.heads == 0) return;
    const u64 track = sector / geometry_.sectors;
    const u64 cylinder = track / geometry_.heads;
    current_.lba_low = static_cast<u8>(sector % geometry_.sectors + 1);
    current_.lba_mid = static_cast<u8>(cylinder);
    current_.lba_high = static_cast<u8>(cylinder >> 8);
    device_ = static_cast<u8>((device_ & 0xF0) | (track % geometry_.heads));
    return;
  }
  current_.lba_low = static_cast<u8>(sector);
  current_.lba_mid = static_cast<u8>(sector >> 8);
  current_.lba_high = static_cast<u8>(sector >> 16);
  if (addressing == Addressing::Short) {
    device_ = static_cast<u8>((device_ & 0xF0) | (sector >> 24 & 0x0F));
    return;
  }
  previous_.lba_low = static_cast<u8>(sector >> 24);
  previous_.lba_mid = static_cast<u8>(sector >> 32);
  previous_.lba_high = static_cast<u8>(sector >> 40);
}

u32 AtaDisk::sector_count(Addressing addressing) const {
  if (addressing == Addressing::Short) return current_.count == 0 ? 256 : current_.count;
  const u32 count = current_.count | u32{previous_.count} << 8;
  return count == 0 ? 65536 : count;
}

AtaDisk::Geometry AtaDisk::default_geometry() const {
  // ATA/ATAPI-5 annex B: 16 heads of 63 sectors, at most 16,383 cylinders; tiny disks get fewer
  // heads.
  Geometry geometry{0, 16, 63};
  while (geometry.heads > 1 && sectors() < u64{geometry.heads} * geometry.sectors) {
    geometry.heads /= 2;
  }
  if (sectors() < geometry.sectors)
    geometry.sectors = static_cast<u16>(std::max<u64>(sectors(), 1));
  geometry.cylinders =
      static_cast<u16>(std::min<u64>(sectors() / (u64{geometry.heads} * geometry.sectors), 16383));
  return geometry;
}

void AtaDisk::set_geometry() {
  const u16 heads = static_cast<u16>((device_ & 0x0F) + 1);
  const u16 per_track = current_.count;
  if (per_track == 0) {
    fail(ata::kAborted);
    return;
  }
  const u64 cylinders = std::min<u64>(visible_sectors() / (u64{heads} * per_track), 65535);
  geometry_ = {static_cast<u16>(cylinders), heads, per_track};
  complete();
}

// --- Settings -----------------------------------------------------------------------------------

void AtaDisk::set_features() {
  switch (current_.feature) {
    case 0x02:
      write_cache_ = true;
      break;
    case 0x82:
      // What the cache holds must be safe from here on.
      write_cache_ = false;
      action_ = Action::Flush;
      flush_backend();
      return;
    case 0x03:
      if (!modes_.select(current_.count)) {
        fail(ata::kAborted);
        return;
      }
      break;
    case 0x55:
      look_ahead_ = false;
      break;
    case 0xAA:
      look_ahead_ = true;
      break;
    case 0x66:
      revert_on_reset_ = false;
      break;
    case 0xCC:
      revert_on_reset_ = true;
      break;
    default:
      fail(ata::kAborted);
      return;
  }
  complete();
}

void AtaDisk::set_max(Addressing addressing) {
  // Features other than 00h are the password commands of the security extension.
  const bool follows = std::exchange(native_max_read_, false);
  const bool plain = addressing == Addressing::Extended || current_.feature == 0;
  if (!follows || !plain || (device_ & ata::kLbaMode) == 0) {
    fail(ata::kAborted);
    return;
  }
  const u64 last = addressed_sector(addressing);
  if (last >= sectors()) {
    fail(ata::kIdNotFound);
    return;
  }
  visible_ = last + 1;
  visible_volatile_ = (current_.count & 1) == 0;
  complete();
}

// --- Snapshots ----------------------------------------------------------------------------------

void AtaDisk::Geometry::serialize(StateArchive& archive) {
  archive.field("cylinders", cylinders);
  archive.field("heads", heads);
  archive.field("sectors", sectors);
}

void AtaDisk::serialize(StateArchive& archive) {
  archive.section("ata disk", 1);
  u64 size = sectors();
  archive.field("sectors", size);
  if (size != sectors()) archive.refuse("snapshot has a disk of another size");
  archive.field("geometry", geometry_);
  archive.field("multiword mode", modes_.multiword);
  archive.field("ultra mode", modes_.ultra);
  archive.field("multiple", multiple_);
  archive.field("write cache", write_cache_);
  archive.field("look ahead", look_ahead_);
  archive.field("smart", smart_enabled_);
  archive.field("revert", revert_on_reset_);
  archive.field("power", power_);
  archive.field("visible", visible_);
  archive.field("visible volatile", visible_volatile_);
  archive.field("native max read", native_max_read_);
  archive.field("sector buffer", sector_buffer_);
  archive.field("action", action_);
  archive.field("method", method_);
  archive.field("addressing", addressing_);
  archive.field("force unit access", force_unit_access_);
  archive.field("sector", sector_);
  archive.field("remaining", remaining_);
  archive.field("chunk", chunk_);
  archive.field("block at", block_at_);
  archive.field("trim at", trim_at_);
  if (archive.restoring()) {
    constexpr u32 kMostSectors = kBufferSize / kSectorSize;
    if (chunk_ > kMostSectors || block_at_ > chunk_ || remaining_ > 65536 ||
        multiple_ > kMostMultiple || (action_ == Action::Trim && remaining_ > kMostTrimBlocks)) {
      archive.refuse("bad disk transfer");
      action_ = Action::None;
      chunk_ = block_at_ = remaining_ = 0;
    }
  }
  IdeDrive::serialize(archive);
}

}  // namespace ringshift::devices
