// The CD drive's commands on the medium and the drive's mechanics (MMC-3, INCITS 360).
#include <algorithm>

#include "devices/ide/atapi_cdrom.h"
#include "devices/ide/mmc_bytes.h"

namespace ringshift::devices {

namespace {

enum Operation : u8 {
  kTestUnitReady = 0x00,
  kRequestSense = 0x03,
  kInquiry = 0x12,
  kModeSelect6 = 0x15,
  kModeSense6 = 0x1A,
  kStartStopUnit = 0x1B,
  kPreventAllow = 0x1E,
  kReadCapacity = 0x25,
  kRead10 = 0x28,
  kSeek10 = 0x2B,
  kReadSubchannel = 0x42,
  kReadToc = 0x43,
  kReadHeader = 0x44,
  kPlayAudio10 = 0x45,
  kGetConfiguration = 0x46,
  kPlayAudioMsf = 0x47,
  kPlayAudioTrack = 0x48,
  kGetEventStatus = 0x4A,
  kPauseResume = 0x4B,
  kStopPlay = 0x4E,
  kReadDiscInformation = 0x51,
  kReadTrackInformation = 0x52,
  kModeSelect10 = 0x55,
  kModeSense10 = 0x5A,
  kPlayAudio12 = 0xA5,
  kRead12 = 0xA8,
  kReadDvdStructure = 0xAD,
  kReadCdMsf = 0xB9,
  kSetCdSpeed = 0xBB,
  kMechanismStatus = 0xBD,
  kReadCd = 0xBE
};

constexpr u8 kUnitAttention = 6;

void put_text(u8* out, std::size_t length, std::string_view text) {
  for (std::size_t i = 0; i < length; ++i) {
    out[i] = i < text.size() ? static_cast<u8>(text[i]) : u8{' '};
  }
}

}  // namespace

void AtapiCdrom::run_packet() {
  const u8 operation = packet_[0];
  // A pending unit attention is told before anything else is done, except to those who only ask.
  const bool exempt = operation == kInquiry || operation == kRequestSense ||
                      operation == kGetConfiguration || operation == kGetEventStatus;
  if (attention_ != 0 && !exempt) {
    check({kUnitAttention, std::exchange(attention_, u8{0}), 0});
    return;
  }
  if (!run_basic(operation) && !run_medium(operation)) check(kInvalidCommand);
}

bool AtapiCdrom::run_basic(u8 command) {
  switch (command) {
    case kTestUnitReady:
      if (ready()) success();
      return true;
    case kRequestSense:
      request_sense();
      return true;
    case kInquiry:
      inquiry();
      return true;
    case kModeSelect6:
      mode_select(packet_[4]);
      return true;
    case kModeSelect10:
      mode_select(packet_word(7));
      return true;
    case kModeSense6:
      mode_sense(4, packet_[4]);
      return true;
    case kModeSense10:
      mode_sense(8, packet_word(7));
      return true;
    case kStartStopUnit:
      start_stop_unit();
      return true;
    case kPreventAllow:
      prevent_allow();
      return true;
    case kGetConfiguration:
      get_configuration();
      return true;
    case kGetEventStatus:
      get_event_status();
      return true;
    case kMechanismStatus:
      mechanism_status();
      return true;
    case kSetCdSpeed:
      success();  // a hint: an image has no speed
      return true;
    default:
      return false;
  }
}

bool AtapiCdrom::run_medium(u8 command) {
  switch (command) {
    case kReadCapacity:
      read_capacity();
      return true;
    case kRead10:
      read(packet_long(2), packet_word(7));
      return true;
    case kRead12:
      read(packet_long(2), packet_long(6));
      return true;
    case kReadCd:
      read_cd(packet_long(2), u32{packet_[6]} << 16 | packet_word(7));
      return true;
    case kReadCdMsf:
      read_cd_msf();
      return true;
    case kSeek10:
      seek();
      return true;
    case kReadSubchannel:
      read_subchannel();
      return true;
    case kReadToc:
      read_toc();
      return true;
    case kReadHeader:
      read_header();
      return true;
    case kReadDiscInformation:
      read_disc_information();
      return true;
    case kReadTrackInformation:
      read_track_information();
      return true;
    case kReadDvdStructure:
      read_dvd_structure();
      return true;
    case kPlayAudio10:
    case kPlayAudio12:
    case kPlayAudioMsf:
    case kPlayAudioTrack:
      play_audio();
      return true;
    case kPauseResume:
      if (ready()) check(kSequence);  // nothing is playing
      return true;
    case kStopPlay:
      if (ready()) success();
      return true;
    default:
      return false;
  }
}

void AtapiCdrom::request_sense() {
  constexpr u32 kLength = 18;
  Sense told = sense_;
  if (told.key == 0 && attention_ != 0) {
    told = {kUnitAttention, std::exchange(attention_, u8{0}), 0};
  }
  u8* const out = reply_buffer(kLength);
  out[0] = 0x70;  // current error, fixed format
  out[2] = told.key;
  out[7] = kLength - 8;
  out[12] = told.code;
  out[13] = told.qualifier;
  reply(kLength, packet_[4]);
}

void AtapiCdrom::inquiry() {
  constexpr u32 kLength = 36;
  constexpr u8 kVitalData = 0x01;
  if ((packet_[1] & kVitalData) != 0 || packet_[2] != 0) {
    check(kInvalidField);
    return;
  }
  u8* const out = reply_buffer(kLength);
  out[0] = 0x05;  // CD/DVD device
  out[1] = 0x80;  // removable
  out[3] = 0x21;  // ATAPI-2, response format of SFF 8020i
  out[4] = kLength - 5;
  put_text(out + 8, 8, "RINGSHFT");
  put_text(out + 16, 16, identity_.model);
  put_text(out + 32, 4, identity_.firmware);
  reply(kLength, packet_[4]);
}

// --- Reading ------------------------------------------------------------------------------------

void AtapiCdrom::read(u64 block, u32 count) {
  if (ready()) start_reading(block, count, kUserDataOnly);
}

void AtapiCdrom::read_cd(u64 block, u32 count) {
  if (!ready()) return;
  const u8 expected_type = packet_[1] >> 2 & 7;
  const u8 selection = packet_[9] & 0xF8;
  const u8 error_flags = packet_[9] & 0x06;
  const u8 subchannels = packet_[10] & 0x07;
  if (error_flags != 0 || subchannels != 0 || (packet_[9] & 1) != 0) {
    check(kInvalidField);  // an image has neither C2 pointers nor sub-channels
    return;
  }
  // 0: any type, 2: Mode 1. Audio and Mode 2 sectors are not on this disc.
  if (expected_type != 0 && expected_type != 2) {
    check(kIllegalMode);
    return;
  }
  // The sub-header code selects nothing in Mode 1.
  start_reading(block, count, selection & static_cast<u8>(~0x40));
}

void AtapiCdrom::read_cd_msf() {
  if (!ready()) return;
  const i64 first = block_of({packet_[3], packet_[4], packet_[5]});
  const i64 end = block_of({packet_[6], packet_[7], packet_[8]});
  if (first < 0 || end < first) {
    check(kOutOfRange);
    return;
  }
  read_cd(static_cast<u64>(first), static_cast<u32>(end - first));
}

void AtapiCdrom::read_capacity() {
  if (!ready()) return;
  u8* const out = reply_buffer(8);
  put_long(out, std::min<u64>(blocks() - 1, 0xFFFF'FFFF));
  put_long(out + 4, kCdUserData);
  reply(8, 8);
}

void AtapiCdrom::read_header() {
  if (!ready()) return;
  const u64 block = packet_long(2);
  if (block >= blocks()) {
    check(kOutOfRange);
    return;
  }
  u8* const out = reply_buffer(8);
  out[0] = 1;  // Mode 1
  put_address(out + 4, block, (packet_[1] & 2) != 0);
  reply(8, packet_word(7));
}

void AtapiCdrom::seek() {
  if (!ready()) return;
  packet_long(2) < blocks() ? success() : check(kOutOfRange);
}

void AtapiCdrom::read_subchannel() {
  if (!ready()) return;
  constexpr u8 kNoAudioStatus = 0x15;
  constexpr u8 kDataTrack = 0x14;  // ADR 1: position; control: data
  const bool as_msf = (packet_[1] & 2) != 0;
  const bool wants_data = (packet_[2] & 0x40) != 0;
  const u8 format = packet_[3];
  u8* const out = reply_buffer(24);
  u32 length = 4;
  out[1] = kNoAudioStatus;
  if (wants_data) {
    if (format < 1 || format > 3) {
      check(kInvalidField);
      return;
    }
    out[4] = format;
    length = 24;  // catalogue number and ISRC: absent, so their valid bits stay clear
    if (format == 1) {
      length = 16;
      out[5] = kDataTrack;
      out[6] = 1;
      out[7] = 1;
      put_address(out + 8, 0, as_msf);
    } else if (format == 3) {
      out[5] = kDataTrack;
      out[6] = packet_[6];
    }
    out[3] = static_cast<u8>(length - 4);
  }
  reply(length, packet_word(7));
}

void AtapiCdrom::play_audio() {
  if (ready()) check(kIllegalMode);  // the only track holds data
}

// --- Mechanics ----------------------------------------------------------------------------------

void AtapiCdrom::start_stop_unit() {
  constexpr u8 kStart = 0x01;
  constexpr u8 kLoadEject = 0x02;
  const bool power_condition = (packet_[4] & 0xF0) != 0;
  if (power_condition || (packet_[4] & kLoadEject) == 0) {
    success();  // spinning up and down leaves no trace
    return;
  }
  if ((packet_[4] & kStart) == 0) {
    if (locked_) {
      check(kRemovalPrevented);
      return;
    }
    if (has_medium()) event_ = MediaEvent::Removal;
    tray_open_ = true;
  } else {
    if (tray_open_ && medium_ != nullptr) {
      tray_open_ = false;
      attention_ = 0x28;  // medium may have changed
      event_ = MediaEvent::NewMedia;
    }
    tray_open_ = false;
  }
  success();
}

void AtapiCdrom::prevent_allow() {
  locked_ = (packet_[4] & 1) != 0;
  success();
}

}  // namespace ringshift::devices
