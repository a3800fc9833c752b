#include "devices/ide/atapi_cdrom.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

// Commands of the packet feature set (ATA/ATAPI-6 §8).
constexpr u8 kReadSectors = 0x20;
constexpr u8 kPacket = 0xA0;
constexpr u8 kIdentifyPacket = 0xA1;
constexpr u8 kIdentifyDevice = 0xEC;
constexpr u8 kStandbyImmediate = 0xE0;
constexpr u8 kIdleImmediate = 0xE1;
constexpr u8 kStandby = 0xE2;
constexpr u8 kIdle = 0xE3;
constexpr u8 kCheckPower = 0xE5;
constexpr u8 kSleep = 0xE6;
constexpr u8 kFlushCache = 0xE7;

// The interrupt reason register, which the sector count register is here.
constexpr u8 kReasonCommand = 0x01;  // C/D
constexpr u8 kReasonToHost = 0x02;   // I/O
constexpr u8 kReasonDone = kReasonCommand | kReasonToHost;

constexpr u8 kFeatureDma = 0x01;
constexpr u8 kFeatureOverlap = 0x02;

constexpr u8 kAttentionMediumChanged = 0x28;
constexpr u8 kAttentionReset = 0x29;

}  // namespace

AtapiCdrom::AtapiCdrom(EventClock& clock, BlockBackend* medium, DriveIdentity identity)
    : IdeDrive(clock), medium_(medium), identity_(std::move(identity)) {
  hardware_reset(ResetKind::PowerOn);
}

void AtapiCdrom::insert(BlockBackend& medium) {
  medium_ = &medium;
  tray_open_ = false;
  attention_ = kAttentionMediumChanged;
  event_ = MediaEvent::NewMedia;
}

bool AtapiCdrom::eject() {
  if (locked_ && has_medium()) {
    event_ = MediaEvent::EjectRequest;  // the guest may unlock and eject by itself
    return false;
  }
  const bool had_medium = has_medium();
  medium_ = nullptr;
  tray_open_ = false;
  if (had_medium) {
    event_ = MediaEvent::Removal;
    attention_ = 0;
  }
  return true;
}

void AtapiCdrom::reset_settings(bool hardware, ResetKind kind) {
  static_cast<void>(kind);
  action_ = Action::None;
  power_ = Power::Active;
  if (!hardware) return;
  dma_ = false;
  packet_ = {};
  byte_limit_ = reply_length_ = reply_at_ = 0;
  block_ = blocks_left_ = chunk_ = 0;
  selection_ = 0;
  locked_ = false;
  modes_ = {};
  sense_ = {};
  attention_ = kAttentionReset;
  event_ = MediaEvent::None;
  tray_open_ = false;  // the drive pulls the tray in when power comes
}

u8 AtapiCdrom::put_signature() {
  current_.count = 1;
  current_.lba_low = 1;
  current_.lba_mid = 0x14;
  current_.lba_high = 0xEB;
  return 0;
}

bool AtapiCdrom::is_device_reset(u8 command) const {
  return command == ata::kDeviceReset;
}

u64 AtapiCdrom::blocks() const {
  return has_medium() ? (medium_->size() + kCdUserData - 1) / kCdUserData : 0;
}

// --- Commands of the task file ------------------------------------------------------------------

void AtapiCdrom::execute(u8 command) {
  action_ = Action::None;
  if (power_ == Power::Sleep) {
    complete(Announce::Silently);  // only a reset wakes it
    return;
  }
  switch (command) {
    case kPacket:
      start_packet();
      return;
    case kIdentifyPacket:
      identify_packet();
      return;
    case kIdentifyDevice:
    case kReadSectors:
      // The old commands fail in a way that tells a host what it has found.
      put_signature();
      fail(ata::kAborted);
      return;
    case ata::kSetFeatures:
      set_features();
      return;
    case kStandby:
    case kStandbyImmediate:
      power_ = Power::Standby;
      complete();
      return;
    case kIdle:
    case kIdleImmediate:
      power_ = Power::Idle;
      complete();
      return;
    case kSleep:
      power_ = Power::Sleep;
      complete();
      return;
    case kCheckPower:
      current_.count = power_ == Power::Standby ? 0x00 : power_ == Power::Idle ? 0x80 : 0xFF;
      complete();
      return;
    case kFlushCache:
      complete();
      return;
    default:
      fail(ata::kAborted);
      return;
  }
}

void AtapiCdrom::set_features() {
  constexpr u8 kSetTransferMode = 0x03;
  if (current_.feature == kSetTransferMode && modes_.select(current_.count)) {
    complete();
  } else {
    fail(ata::kAborted);
  }
}

void AtapiCdrom::identify_packet() {
  constexpr u16 kSets = 0x4218;  // NOP, DEVICE RESET, PACKET, power management
  IdentifyData data({buffer().data(), 512});
  data.word(0, 0x85C0);  // packet device, CD-ROM, removable, 12-byte packets, DRQ within 50 µs
  data.identity(identity_);
  data.word(49, 0x0B00);  // DMA, LBA, IORDY
  data.word(50, 0x4000);
  data.word(53, 0x0006);  // words 64-70 and 88 are valid
  data.word(63, modes_.multiword_word());
  data.word(64, 0x0003);
  for (const unsigned index : {65U, 66U, 67U, 68U}) data.word(index, 120);
  data.word(80, 0x00F0);
  data.word(82, kSets);
  data.word(83, 0x4000);
  data.word(84, 0x4000);
  data.word(85, kSets);
  data.word(87, 0x4000);
  data.word(88, modes_.ultra_word());
  data.reset_result(position_in_cable());
  data.finish();
  action_ = Action::SendIdentify;
  pio_to_host(0, 512, Announce::WithInterrupt, ata::kReady | ata::kSeekComplete);
}

// --- The packet protocol ------------------------------------------------------------------------

void AtapiCdrom::start_packet() {
  if ((current_.feature & kFeatureOverlap) != 0) {
    fail(ata::kAborted);
    return;
  }
  power_ = Power::Active;
  dma_ = (current_.feature & kFeatureDma) != 0;
  byte_limit_ = current_.lba_mid | u32{current_.lba_high} << 8;
  // The limit is even, and zero isn't a limit.
  if (byte_limit_ == 0 || byte_limit_ == 0xFFFF) byte_limit_ = 0xFFFE;
  action_ = Action::ReceivePacket;
  current_.count = kReasonCommand;
  pio_from_host(0, packet_.size(), Announce::Silently, ata::kReady);
}

void AtapiCdrom::window_done() {
  switch (action_) {
    case Action::ReceivePacket:
      std::copy_n(buffer().begin(), packet_.size(), packet_.begin());
      action_ = Action::RunPacket;
      schedule_step();
      break;
    case Action::Reply:
    case Action::ReadBlocks:
      if (reply_at_ < reply_length_ || blocks_left_ != 0) {
        schedule_step();
      } else {
        success();
      }
      break;
    case Action::ReceiveList:
      check_mode_list();
      break;
    case Action::SendIdentify:
      complete(Announce::Silently);
      break;
    case Action::None:
    case Action::RunPacket:
      fail(ata::kAborted);
      break;
  }
}

void AtapiCdrom::step() {
  if (action_ == Action::RunPacket) {
    run_packet();
  } else if (reply_at_ < reply_length_) {
    next_reply_block();
  } else if (action_ == Action::ReadBlocks && blocks_left_ != 0) {
    next_blocks();
  } else {
    fail(ata::kAborted);
  }
}

void AtapiCdrom::success() {
  action_ = Action::None;
  sense_ = {};
  current_.count = kReasonDone;
  complete();
}

void AtapiCdrom::check(Sense sense) {
  constexpr u8 kIllegalRequest = 5;
  action_ = Action::None;
  sense_ = sense;
  current_.count = kReasonDone;
  fail(static_cast<u8>(sense.key << 4 | (sense.key == kIllegalRequest ? ata::kAborted : 0)));
}

bool AtapiCdrom::ready() {
  if (has_medium() && blocks() != 0) return true;
  check(tray_open_ ? kNotReadyOpen : kNotReadyClosed);
  return false;
}

u8* AtapiCdrom::reply_buffer(u32 length) {
  std::fill_n(buffer().begin(), length, u8{0});
  return buffer().data();
}

void AtapiCdrom::reply(u32 length, u32 allocation) {
  reply_length_ = std::min(length, allocation);
  reply_at_ = 0;
  blocks_left_ = 0;
  if (reply_length_ == 0) {
    success();
    return;
  }
  action_ = Action::Reply;
  next_reply_block();
}

void AtapiCdrom::next_reply_block() {
  const u32 left = reply_length_ - reply_at_;
  const u32 begin = reply_at_;
  current_.count = kReasonToHost;
  if (dma_) {
    reply_at_ = reply_length_;
    dma_to_memory(begin, reply_length_);
    return;
  }
  u32 length = std::min(left, byte_limit_);
  // All blocks but the last have an even length.
  if (length < left && length > 1) length &= ~1U;
  current_.lba_mid = static_cast<u8>(length);
  current_.lba_high = static_cast<u8>(length >> 8);
  reply_at_ += length;
  pio_to_host(begin, reply_at_, Announce::WithInterrupt, ata::kReady | ata::kSeekComplete);
}

void AtapiCdrom::start_reading(u64 block, u32 count, u8 selection) {
  if (block >= blocks() || count > blocks() - block) {
    check(kOutOfRange);
    return;
  }
  if (count == 0 || selection == 0) {
    success();
    return;
  }
  action_ = Action::ReadBlocks;
  block_ = block;
  blocks_left_ = count;
  selection_ = selection;
  next_blocks();
}

void AtapiCdrom::next_blocks() {
  chunk_ = std::min(blocks_left_, kMostChunk);
  reply_at_ = 0;
  reply_length_ = 0;
  if (!ready()) return;  // taken out meanwhile
  const u64 offset = block_ * kCdUserData;
  const u64 size = medium_->size();
  if (offset >= size) {
    check(kOutOfRange);
    return;
  }
  // The image may end inside the last block.
  const u64 length = std::min<u64>(u64{chunk_} * kCdUserData, size - offset);
  std::fill(buffer().begin() + static_cast<std::ptrdiff_t>(length),
            buffer().begin() + chunk_ * kCdUserData, u8{0});
  read_backend(offset, length);
}

void AtapiCdrom::backend_done(BlockStatus status) {
  if (action_ != Action::ReadBlocks || status != BlockStatus::Done) {
    check(status == BlockStatus::NoMedium ? kNotReadyClosed : kReadError);
    return;
  }
  expand_blocks();
  block_ += chunk_;
  blocks_left_ -= chunk_;
  next_reply_block();
}

void AtapiCdrom::expand_blocks() {
  if (selection_ == kUserDataOnly) {
    reply_length_ = chunk_ * kCdUserData;
    return;
  }
  // READ CD byte 9: sync, header codes (sub-header, header), user data, EDC and ECC, in the
  // sector's order. A Mode 1 sector has no sub-header.
  std::vector<u8> out;
  std::array<u8, kCdRawSector> sector{};
  for (u32 i = 0; i < chunk_; ++i) {
    const std::span<const u8, kCdUserData> data(buffer().data() + i * kCdUserData, kCdUserData);
    make_mode1_sector(block_ + i, data, sector);
    const auto take = [&](u8 bits, unsigned begin, unsigned end) {
      if ((selection_ & bits) != 0) {
        out.insert(out.end(), sector.begin() + begin, sector.begin() + end);
      }
    };
    take(0x80, 0, 12);
    take(0x20, 12, 16);
    take(0x10, 16, 16 + kCdUserData);
    take(0x08, 16 + kCdUserData, kCdRawSector);
  }
  std::copy(out.begin(), out.end(), buffer().begin());
  reply_length_ = static_cast<u32>(out.size());
}

// --- Snapshots ----------------------------------------------------------------------------------

void AtapiCdrom::serialize(StateArchive& archive) {
  archive.section("atapi cdrom", 1);
  bool loaded = medium_ != nullptr;
  u64 size = loaded ? medium_->size() : 0;
  archive.field("loaded", loaded);
  archive.field("medium size", size);
  if (loaded != (medium_ != nullptr) || (loaded && size != medium_->size())) {
    archive.refuse("snapshot has another disc in the CD drive");
  }
  archive.field("multiword mode", modes_.multiword);
  archive.field("ultra mode", modes_.ultra);
  archive.field("power", power_);
  archive.field("tray open", tray_open_);
  archive.field("locked", locked_);
  archive.field("sense key", sense_.key);
  archive.field("sense code", sense_.code);
  archive.field("sense qualifier", sense_.qualifier);
  archive.field("attention", attention_);
  archive.field("event", event_);
  archive.field("action", action_);
  archive.field("dma", dma_);
  archive.field("byte limit", byte_limit_);
  archive.field("packet", packet_);
  archive.field("reply length", reply_length_);
  archive.field("reply at", reply_at_);
  archive.field("block", block_);
  archive.field("blocks left", blocks_left_);
  archive.field("chunk", chunk_);
  archive.field("selection", selection_);
  if (archive.restoring() &&
      (chunk_ > kMostChunk || reply_length_ > kBufferSize || reply_at_ > reply_length_ ||
       byte_limit_ > 0xFFFE ||
       (action_ == Action::ReadBlocks && chunk_ > blocks_left_ + kMostChunk))) {
    archive.refuse("bad CD transfer");
    action_ = Action::None;
    chunk_ = blocks_left_ = reply_at_ = reply_length_ = 0;
  }
  IdeDrive::serialize(archive);
}

}  // namespace ringshift::devices
