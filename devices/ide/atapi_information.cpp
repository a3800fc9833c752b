// How the CD drive describes itself and its disc: mode pages, features, events and the table of
// contents (MMC-3, INCITS 360; SFF 8020i).
#include <algorithm>
#include <cstring>

#include "devices/ide/atapi_cdrom.h"
#include "devices/ide/mmc_bytes.h"

namespace ringshift::devices {

namespace {

constexpr u8 kDataTrack = 0x14;  // ADR 1: position; control: data
constexpr u8 kLeadOut = 0xAA;

// Mode pages that the drive has, in the order of their codes.
constexpr u8 kPages[] = {0x01, 0x08, 0x0D, 0x0E, 0x1D, 0x2A};
constexpr u8 kAllPages = 0x3F;
constexpr u32 kSpeed = 8467;  // kB/s: 48 times

// Features (MMC-3 §5.3)
enum class When : u8 { Always = 3, WithMedium = 0, WithCd = 1, WithDvd = 2 };
struct Feature {
  u16 code;
  u8 version;
  When when;
  u8 length;
  u8 data[8];
};
constexpr u16 kProfileDvd = 0x0010;
constexpr u16 kProfileCd = 0x0008;
constexpr Feature kFeatures[] = {
    {0x0000, 0, When::Always, 8, {0x00, 0x10, 0, 0, 0x00, 0x08, 0, 0}},  // profiles
    {0x0001, 0, When::Always, 4, {0, 0, 0, 2}},                          // core, ATAPI
    {0x0002, 0, When::Always, 4, {0}},                                   // morphing: polled events
    {0x0003, 0, When::Always, 4, {0x29}},  // removable: tray, can lock and eject
    {0x0010, 0, When::WithMedium, 8, {0, 0, 0x08, 0, 0, 1, 0, 0}},  // random readable, 2048 bytes
    {0x001D, 0, When::WithCd, 0, {}},                               // multi-read
    {0x001E, 0, When::WithCd, 4, {0}},                              // CD read
    {0x001F, 0, When::WithDvd, 0, {}},                              // DVD read
    {0x0100, 0, When::Always, 0, {}},                               // power management
    {0x0105, 0, When::Always, 0, {}},                               // time-out
};

}  // namespace

bool AtapiCdrom::is_dvd() const {
  constexpr u64 kLargestCd = 99 * 60 * 75;  // blocks of a 99-minute disc
  return blocks() > kLargestCd;
}

// --- Mode pages ---------------------------------------------------------------------------------

u8 AtapiCdrom::medium_type() const {
  if (has_medium()) return 0x01;  // 120 mm data disc
  return tray_open_ ? 0x71 : 0x70;
}

u32 AtapiCdrom::mode_page(u8 page, u8 control, u8* out) const {
  constexpr u8 kChangeable = 1;
  u32 length = 0;
  switch (page) {
    case 0x01:  // read error recovery: five retries
      length = 8;
      out[3] = 5;
      break;
    case 0x08:  // caching: no write cache
      length = 12;
      break;
    case 0x0D:  // CD device parameters: 60 seconds a minute, 75 frames a second
      length = 8;
      out[3] = 0x0D;
      out[5] = 60;
      out[7] = 75;
      break;
    case 0x0E:  // CD audio control: immediate; channels to ports at full volume
      length = 16;
      out[2] = 0x04;
      out[7] = 75;
      out[8] = 0x01;
      out[9] = 0xFF;
      out[10] = 0x02;
      out[11] = 0xFF;
      break;
    case 0x1D:  // timeout and protect
      length = 10;
      break;
    case 0x2A:  // capabilities and mechanical status
      length = 20;
      out[2] = 0x0B;                                       // reads CD-R, CD-RW and DVD-ROM
      out[6] = static_cast<u8>(0x29 | (locked_ ? 2 : 0));  // tray, can lock and eject
      put_word(out + 8, kSpeed);
      put_word(out + 12, 128);  // buffer in KiB
      put_word(out + 14, kSpeed);
      break;
    default:
      return 0;
  }
  if (control == kChangeable) std::fill_n(out, length, u8{0});
  out[0] = page;
  out[1] = static_cast<u8>(length - 2);
  return length;
}

u32 AtapiCdrom::all_mode_pages(u8 page, u8 control, u8* out) const {
  u32 length = 0;
  for (const u8 code : kPages) {
    if (page == kAllPages || page == code) length += mode_page(code, control, out + length);
  }
  return length;
}

void AtapiCdrom::mode_sense(u32 header, u32 allocation) {
  constexpr u8 kSaved = 3;
  const u8 page = packet_[2] & 0x3F;
  const u8 control = packet_[2] >> 6;
  if (control == kSaved) {
    check(kSavingUnsupported);
    return;
  }
  u8* const out = reply_buffer(256);
  const u32 length = all_mode_pages(page, control, out + header);
  if (length == 0) {
    check(kInvalidField);
    return;
  }
  const u32 total = header + length;
  if (header == 8) {
    put_word(out, total - 2);
    out[2] = medium_type();
  } else {
    out[0] = static_cast<u8>(total - 1);
    out[1] = medium_type();
  }
  reply(total, allocation);
}

void AtapiCdrom::mode_select(u32 length) {
  if (length == 0) {
    success();
    return;
  }
  action_ = Action::ReceiveList;
  reply_length_ = length;
  if (dma_) {
    dma_from_memory(0, length);
    return;
  }
  // One block: the list is shorter than any sensible byte count limit.
  current_.count = 0;
  current_.lba_mid = static_cast<u8>(length);
  current_.lba_high = static_cast<u8>(length >> 8);
  pio_from_host(0, length, Announce::WithInterrupt, ata::kReady | ata::kSeekComplete);
}

void AtapiCdrom::check_mode_list() {
  constexpr u8 kModeSelect10 = 0x55;
  const u32 header = packet_[0] == kModeSelect10 ? 8 : 4;
  const u8* const list = buffer().data();
  if (reply_length_ < header) {
    check(kListLength);
    return;
  }
  u32 at = header + (header == 8 ? u32{list[6]} << 8 | list[7] : list[3]);
  // No parameter is changeable: a list is accepted if it says what holds already.
  while (at + 2 <= reply_length_) {
    std::array<u8, 64> current{};
    const u32 length = mode_page(list[at] & 0x3F, 0, current.data());
    if (length == 0 || list[at + 1] + 2U != length || at + length > reply_length_ ||
        std::memcmp(current.data() + 2, list + at + 2, length - 2) != 0) {
      check(kInvalidParameter);
      return;
    }
    at += length;
  }
  at == reply_length_ ? success() : check(kListLength);
}

// --- Features and events ------------------------------------------------------------------------

void AtapiCdrom::get_configuration() {
  const bool cd = has_medium() && !is_dvd();
  const bool dvd = has_medium() && is_dvd();
  const u8 wanted = packet_[1] & 3;  // 0: all, 1: the current ones, 2: one
  const u32 start = packet_word(2);
  u8* const out = reply_buffer(256);
  u32 length = 8;
  if (wanted == 3) {
    check(kInvalidField);
    return;
  }
  for (const Feature& feature : kFeatures) {
    const bool current =
        feature.when == When::Always || (feature.when == When::WithMedium && has_medium()) ||
        (feature.when == When::WithCd && cd) || (feature.when == When::WithDvd && dvd);
    if (wanted == 2 ? feature.code != start : feature.code < start) continue;
    if (wanted == 1 && !current) continue;
    u8* const at = out + length;
    put_word(at, feature.code);
    at[2] = static_cast<u8>(feature.version << 2 | (feature.when == When::Always ? 2 : 0) |
                            (current ? 1 : 0));
    at[3] = feature.length;
    std::copy_n(feature.data, feature.length, at + 4);
    if (feature.code == 0) {
      at[6] = dvd ? 1 : 0;
      at[10] = cd ? 1 : 0;
    }
    length += 4U + feature.length;
  }
  put_long(out, length - 4);
  put_word(out + 6, dvd ? kProfileDvd : cd ? kProfileCd : 0U);
  reply(length, packet_word(7));
}

void AtapiCdrom::get_event_status() {
  constexpr u8 kPolled = 0x01;
  constexpr u8 kMediaClass = 4;
  constexpr u8 kNoEvent = 0x80;
  if ((packet_[1] & kPolled) == 0) {
    check(kInvalidField);  // asynchronous notification isn't supported
    return;
  }
  u8* const out = reply_buffer(8);
  out[3] = 1U << kMediaClass;
  if ((packet_[4] >> kMediaClass & 1) == 0) {
    put_word(out, 2);
    out[2] = kNoEvent;
    reply(4, packet_word(7));
    return;
  }
  put_word(out, 6);
  out[2] = kMediaClass;
  out[4] = static_cast<u8>(std::exchange(event_, MediaEvent::None));
  out[5] = static_cast<u8>((has_medium() ? 2 : 0) | (tray_open_ ? 1 : 0));
  reply(8, packet_word(7));
}

void AtapiCdrom::mechanism_status() {
  u8* const out = reply_buffer(8);
  if (tray_open_) out[1] = 0x10;
  reply(8, packet_word(8));
}

// --- The disc -----------------------------------------------------------------------------------

void AtapiCdrom::read_toc() {
  if (!ready()) return;
  const bool as_msf = (packet_[1] & 2) != 0;
  u8 format = packet_[2] & 0x0F;
  if (format == 0) format = packet_[9] >> 6;  // where SFF 8020i has it
  const u8 start = packet_[6];
  u8* const out = reply_buffer(64);
  u32 length = 4;
  out[2] = out[3] = 1;  // first and last track, or session
  const auto add_track = [&](u8 track, u64 block) {
    out[length + 1] = kDataTrack;
    out[length + 2] = track;
    put_address(out + length + 4, block, as_msf);
    length += 8;
  };
  const auto add_point = [&](u8 point, u8 a, u8 b, u8 c) {
    const u8 entry[11] = {1, kDataTrack, 0, point, 0, 0, 0, 0, a, b, c};
    std::copy(std::begin(entry), std::end(entry), out + length);
    length += sizeof entry;
  };
  switch (format) {
    case 0:
      if (start > 1 && start != kLeadOut) {
        check(kInvalidField);
        return;
      }
      if (start <= 1) add_track(1, 0);
      add_track(kLeadOut, blocks());
      break;
    case 1:
      add_track(1, 0);
      break;
    case 2: {
      const Msf end = msf_of(blocks());
      const Msf begin = msf_of(0);
      add_point(0xA0, 1, 0, 0);  // first track, CD-ROM
      add_point(0xA1, 1, 0, 0);  // last track
      add_point(0xA2, end.minute, end.second, end.frame);
      add_point(0x01, begin.minute, begin.second, begin.frame);
      break;
    }
    default:
      check(kInvalidField);
      return;
  }
  put_word(out, length - 2);
  reply(length, packet_word(7));
}

void AtapiCdrom::read_disc_information() {
  if (!ready()) return;
  constexpr u32 kLength = 34;
  u8* const out = reply_buffer(kLength);
  put_word(out, kLength - 2);
  out[2] = 0x0E;  // last session complete, disc finalized
  out[3] = out[4] = out[5] = out[6] = 1;
  out[7] = 0x20;  // unrestricted use
  reply(kLength, packet_word(7));
}

void AtapiCdrom::read_track_information() {
  if (!ready()) return;
  constexpr u32 kLength = 36;
  const u8 kind = packet_[1] & 3;
  const u32 number = packet_long(2);
  // By block, track or session number.
  const bool known = kind == 0 ? number < blocks() : kind != 3 && number == 1;
  if (!known) {
    check(kInvalidField);
    return;
  }
  u8* const out = reply_buffer(kLength);
  put_word(out, kLength - 2);
  out[2] = out[3] = 1;
  out[5] = 0x04;  // a data track
  out[6] = 0x01;  // in Mode 1
  put_long(out + 24, std::min<u64>(blocks(), 0xFFFF'FFFF));
  reply(kLength, packet_word(7));
}

void AtapiCdrom::read_dvd_structure() {
  if (!ready()) return;
  constexpr u32 kFirstSector = 0x03'0000;  // physical sector number of block 0
  const u8 format = packet_[7];
  const u32 allocation = packet_word(8);
  if (!is_dvd()) {
    check(kIncompatible);
    return;
  }
  u8* const out = reply_buffer(4 + 2048);
  u32 length = 4 + 2048;
  switch (format) {
    case 0:  // physical format: DVD-ROM, 120 mm, one embossed layer
      out[4] = 0x01;
      out[5] = 0x0F;
      out[6] = 0x01;
      put_long(out + 8, kFirstSector);
      put_long(out + 12, kFirstSector + blocks() - 1);
      break;
    case 1:  // copyright: none
      length = 8;
      break;
    case 4:  // disc manufacturing information: none
      break;
    default:
      check(kInvalidField);
      return;
  }
  put_word(out, length - 2);
  reply(length, allocation);
}

}  // namespace ringshift::devices
