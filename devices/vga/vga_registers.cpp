#include "devices/vga/vga_registers.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

// Which bits exist. IBM Video Subsystem, register descriptions; the others read as zero.
constexpr std::array<u8, 5> kSequencerBits = {0x03, 0x3D, 0x0F, 0x3F, 0x0E};
constexpr std::array<u8, 9> kGraphicsBits = {0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF};
constexpr std::array<u8, 0x19> kCrtcBits = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F,
                                            0xFF, 0x3F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                            0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xEF, 0xFF};
constexpr std::array<u8, 0x15> kAttributeBits = {0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
                                                 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
                                                 0x3F, 0x3F, 0xEF, 0xFF, 0x3F, 0x0F, 0x0F};

constexpr u8 kColourAddress = 0x01;  // Miscellaneous Output: CRTC at 3Dx
constexpr u8 kProtect = 0x80;        // CRTC 11h: registers 0-7 are read-only

constexpr Nanoseconds kUsualFrameTime = kNanosecondsPerSecond / 70;

}  // namespace

// Power-on values are undefined on the IBM adapter; the video BIOS sets them all. Zero keeps the
// screen dark.
void VgaRegisters::reset() {
  sequencer = {};
  crtc = {};
  graphics = {};
  attribute = {};
  miscellaneous = feature = 0;
  dac_mask = 0xFF;
  dac = {};
  dac_8bit = false;
  sequencer_index_ = crtc_index_ = graphics_index_ = attribute_index_ = 0;
  attribute_data_next_ = dac_reading_ = false;
  dac_read_index_ = dac_write_index_ = dac_component_ = 0;
  dac_buffer_ = {};
  ++changes_;
}

void VgaRegisters::serialize(StateArchive& archive) {
  archive.section("vga-registers", 1);
  archive.field("sequencer", sequencer);
  archive.field("crtc", crtc);
  archive.field("graphics", graphics);
  archive.field("attribute", attribute);
  archive.field("miscellaneous", miscellaneous);
  archive.field("feature", feature);
  archive.field("dac_mask", dac_mask);
  archive.field("dac", dac);
  archive.field("dac_8bit", dac_8bit);
  archive.field("sequencer_index", sequencer_index_);
  archive.field("crtc_index", crtc_index_);
  archive.field("graphics_index", graphics_index_);
  archive.field("attribute_index", attribute_index_);
  archive.field("attribute_data_next", attribute_data_next_);
  archive.field("dac_read_index", dac_read_index_);
  archive.field("dac_write_index", dac_write_index_);
  archive.field("dac_component", dac_component_);
  archive.field("dac_reading", dac_reading_);
  archive.field("dac_buffer", dac_buffer_);
  if (!archive.restoring()) return;
  if (dac_component_ > 2) archive.refuse("impossible DAC state in the snapshot");
  dac_component_ %= 3;
  ++changes_;
}

u8 VgaRegisters::read(u16 port) {
  const bool colour = (miscellaneous & kColourAddress) != 0;
  switch (port) {
    case 0x3B4:
      return colour ? 0xFF : crtc_index_;
    case 0x3D4:
      return colour ? crtc_index_ : 0xFF;
    case 0x3B5:
      return colour ? 0xFF : read_crtc_data();
    case 0x3D5:
      return colour ? read_crtc_data() : 0xFF;
    case 0x3BA:
      return colour ? 0xFF : read_status_1();
    case 0x3DA:
      return colour ? read_status_1() : 0xFF;
    case 0x3C0:
      return attribute_index_;
    case 0x3C1: {
      const u8 index = attribute_index_ & 0x1F;
      return index < attribute.size() ? attribute[index] : 0;
    }
    case 0x3C2:
      return 0x10;  // switch sense: a colour display is connected; no interrupt pending
    case 0x3C4:
      return sequencer_index_;
    case 0x3C5:
      return sequencer_index_ < sequencer.size() ? sequencer[sequencer_index_] : 0;
    case 0x3C6:
      return dac_mask;
    case 0x3C7:
      return dac_reading_ ? 3 : 0;
    case 0x3C8:
      return dac_write_index_;
    case 0x3C9:
      return read_dac_data();
    case 0x3CA:
      return feature;
    case 0x3CC:
      return miscellaneous;
    case 0x3CE:
      return graphics_index_;
    case 0x3CF:
      return graphics_index_ < graphics.size() ? graphics[graphics_index_] : 0;
    default:
      return 0xFF;
  }
}

void VgaRegisters::write(u16 port, u8 value) {
  const u16 crtc_base = (miscellaneous & kColourAddress) != 0 ? 0x3D0 : 0x3B0;
  if (port >= 0x3C0 && port <= 0x3CF) {
    write_at_3cx(port, value);
  } else if (port == crtc_base + 4) {
    crtc_index_ = value & 0x3F;
  } else if (port == crtc_base + 5) {
    write_crtc_data(value);
  } else if (port == crtc_base + 0xA) {
    feature = value & 0x0B;
  }
}

void VgaRegisters::write_at_3cx(u16 port, u8 value) {
  switch (port) {
    case 0x3C0:
      write_attribute(value);
      return;
    case 0x3C2:
      miscellaneous = value & 0xEF;
      break;
    case 0x3C4:
      sequencer_index_ = value & 0x07;
      return;
    case 0x3C5:
      if (sequencer_index_ < sequencer.size()) {
        sequencer[sequencer_index_] = value & kSequencerBits[sequencer_index_];
      }
      break;
    case 0x3C6:
      dac_mask = value;
      break;
    case 0x3C7:
      dac_read_index_ = value;
      dac_component_ = 0;
      dac_reading_ = true;
      return;
    case 0x3C8:
      dac_write_index_ = value;
      dac_component_ = 0;
      dac_reading_ = false;
      return;
    case 0x3C9:
      write_dac_data(value);
      break;
    case 0x3CE:
      graphics_index_ = value & 0x0F;
      return;
    case 0x3CF:
      if (graphics_index_ < graphics.size()) {
        graphics[graphics_index_] = value & kGraphicsBits[graphics_index_];
      }
      break;
    default:
      return;
  }
  ++changes_;
}

u8 VgaRegisters::read_crtc_data() const {
  return crtc_index_ < crtc.size() ? crtc[crtc_index_] : 0;
}

void VgaRegisters::write_crtc_data(u8 value) {
  if (crtc_index_ >= crtc.size()) return;
  u8& target = crtc[crtc_index_];
  if (crtc_index_ <= 7 && (crtc[0x11] & kProtect) != 0) {
    // Only the line compare bit of the overflow register stays open.
    if (crtc_index_ == 7) target = static_cast<u8>((target & ~0x10) | (value & 0x10));
  } else {
    target = value & kCrtcBits[crtc_index_];
  }
  ++changes_;
}

// One port for index and data in turn; reading Input Status 1 makes the next write an index.
void VgaRegisters::write_attribute(u8 value) {
  ++changes_;
  if (!attribute_data_next_) {
    attribute_index_ = value & 0x3F;
    attribute_data_next_ = true;
    return;
  }
  attribute_data_next_ = false;
  const u8 index = attribute_index_ & 0x1F;
  // While the palette drives the picture the processor can't reach it.
  const bool palette_locked = index < 0x10 && (attribute_index_ & 0x20) != 0;
  if (index < attribute.size() && !palette_locked) attribute[index] = value & kAttributeBits[index];
}

u8 VgaRegisters::read_dac_data() {
  const u8 value = dac[dac_read_index_ * 3U + dac_component_];
  if (++dac_component_ == 3) {
    dac_component_ = 0;
    ++dac_read_index_;
  }
  return value;
}

// A colour changes when all three components have arrived.
void VgaRegisters::write_dac_data(u8 value) {
  dac_buffer_[dac_component_] = dac_8bit ? value : value & 0x3F;
  if (++dac_component_ < 3) return;
  dac_component_ = 0;
  for (unsigned i = 0; i < 3; ++i) dac[dac_write_index_ * 3U + i] = dac_buffer_[i];
  ++dac_write_index_;
}

// --- Timing --------------------------------------------------------------------------------------

unsigned VgaRegisters::lines() const {
  const unsigned end = crtc[0x12] | (crtc[0x07] & 0x02U) << 7 | (crtc[0x07] & 0x40U) << 3;
  // CRTC 17h bit 2 clocks the vertical counters with every second line.
  return (end + 1) << ((crtc[0x17] >> 2) & 1);
}

unsigned VgaRegisters::line_compare() const {
  const unsigned line = crtc[0x18] | (crtc[0x07] & 0x10U) << 4 | (crtc[0x09] & 0x40U) << 3;
  return line << ((crtc[0x17] >> 2) & 1);
}

unsigned VgaRegisters::total_lines() const {
  const unsigned total = crtc[0x06] | (crtc[0x07] & 0x01U) << 8 | (crtc[0x07] & 0x20U) << 4;
  return (total + 2) << ((crtc[0x17] >> 2) & 1);
}

Nanoseconds VgaRegisters::frame_time() const {
  const u64 clock = (miscellaneous & 0x0C) == 0x04 ? 28'322'000 : 25'175'000;  // Hz
  const u64 dots = (crtc[0x00] + 5U) * u64{dots_per_character()} << (half_dot_clock() ? 1 : 0);
  const Nanoseconds time = dots * total_lines() * kNanosecondsPerSecond / clock;
  // No monitor shows less than 40 or more than 200 frames a second.
  const bool sane = time >= kNanosecondsPerSecond / 200 && time <= kNanosecondsPerSecond / 40;
  return sane ? time : kUsualFrameTime;
}

VgaRegisters::Raster VgaRegisters::raster() const {
  const Nanoseconds frame = frame_time();
  const Nanoseconds into_frame = clock_.now() % frame;
  const unsigned total = total_lines();
  const u64 position = into_frame * total;  // in line fractions of `frame`
  const unsigned line = static_cast<unsigned>(position / frame);
  const u64 total_characters = crtc[0x00] + 5U;
  const u64 character = position % frame * total_characters / frame;

  unsigned retrace_start = crtc[0x10] | (crtc[0x07] & 0x04U) << 6 | (crtc[0x07] & 0x80U) << 2;
  unsigned retrace_lines = (crtc[0x11] - retrace_start) & 0x0F;
  retrace_start <<= (crtc[0x17] >> 2) & 1;
  if (retrace_lines == 0) retrace_lines = 16;
  // An unprogrammed controller still shows a retrace and an end of it.
  retrace_start = std::min(retrace_start, total - 1);
  retrace_lines = std::min(retrace_lines, total / 2);
  const bool retrace = line >= retrace_start && line < retrace_start + retrace_lines;
  return {line < lines() && character < columns(), retrace};
}

// Bit 0: no display data now (in either blanking); bit 3: vertical retrace.
u8 VgaRegisters::read_status_1() {
  attribute_data_next_ = false;
  const Raster now = raster();
  return static_cast<u8>((now.display_enabled ? 0 : 0x01) | (now.vertical_retrace ? 0x08 : 0));
}

}  // namespace ringshift::devices
