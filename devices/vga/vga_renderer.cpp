#include "devices/vga/vga_renderer.h"

#include <algorithm>
#include <cstring>

namespace ringshift::devices {

namespace {

constexpr u32 kPlaneMask = 0xFFFF;
constexpr std::size_t kVgaMemory = 4 * (kPlaneMask + 1);

/// Four independent lanes, so that a frame buffer is hashed at memory speed.
u64 hash(std::span<const u8> bytes) {
  constexpr u64 kMultiplier = 0x9E3779B97F4A7C15;
  std::array<u64, 4> lanes = {1, 2, 3, 4};
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (unsigned lane = 0; lane < 4; ++lane) {
      u64 word = 0;
      std::memcpy(&word, bytes.data() + at + 8 * lane, 8);
      lanes[lane] = (lanes[lane] ^ word) * kMultiplier;
      lanes[lane] ^= lanes[lane] >> 29;
    }
  }
  for (; at < bytes.size(); ++at) lanes[0] = (lanes[0] ^ bytes[at]) * kMultiplier;
  return lanes[0] ^ (lanes[1] << 1) ^ (lanes[2] << 2) ^ (lanes[3] << 3) ^ (lanes[1] >> 7);
}

constexpr u32 rgb(u32 red, u32 green, u32 blue) {
  return red << 16 | green << 8 | blue;
}
constexpr u32 widen5(u32 value) {
  return value << 3 | value >> 2;
}
constexpr u32 widen6(u32 value) {
  return value << 2 | value >> 4;
}

}  // namespace

void VgaRenderer::set_byte_order(ByteOrder order) {
  byte_order_ = order;
}

// --- Has anything changed? -----------------------------------------------------------------------

std::span<const u8> VgaRenderer::displayed_memory() const {
  if (!vbe_.enabled()) return memory_.first(std::min(kVgaMemory, memory_.size()));
  const u64 planes = vbe_.packed() ? 1 : 4;
  const u64 start = vbe_.start() * planes;
  const u64 length = vbe_.pitch() * vbe_.height() * planes;
  if (start + length > memory_.size()) return memory_;  // it wraps
  return memory_.subspan(start, length);
}

VgaRenderer::Signature VgaRenderer::signature() const {
  Signature now;
  now.registers = registers_.changes();
  now.vbe = vbe_.changes();
  // The cursor's and the characters' blinking, each half a period of 8 frames.
  now.blink = text_mode() ? registers_.frame_number() / 8 % 4 : 0;
  now.memory = hash(displayed_memory());
  now.order = byte_order_;
  return now;
}

bool VgaRenderer::changed() {
  return !rendered_ || signature() != last_;
}

void VgaRenderer::render(Frame& frame) {
  last_ = signature();
  rendered_ = true;
  load_palettes();
  if (vbe_.packed()) {
    render_packed(frame);
  } else if (vbe_.enabled()) {
    render_vbe_planar(frame);
  } else {
    render_vga(frame);
  }
}

// --- Colours -------------------------------------------------------------------------------------

u32 VgaRenderer::dac_colour(u8 index) const {
  const unsigned entry = (index & registers_.dac_mask) * 3U;
  const u32 red = registers_.dac[entry];
  const u32 green = registers_.dac[entry + 1];
  const u32 blue = registers_.dac[entry + 2];
  if (registers_.dac_8bit) return rgb(red, green, blue);
  return rgb(widen6(red & 0x3F), widen6(green & 0x3F), widen6(blue & 0x3F));
}

/// Four bits from the planes to a DAC entry: colour plane enable, palette, colour select.
u32 VgaRenderer::attribute_colour(u8 colour) const {
  const auto& attribute = registers_.attribute;
  const u8 palette = attribute[colour & attribute[0x12] & 0x0F];
  const bool select_5_4 = (attribute[0x10] & 0x80) != 0;
  const unsigned low =
      select_5_4 ? (palette & 0x0FU) | (attribute[0x14] & 0x03U) << 4 : palette & 0x3FU;
  return dac_colour(static_cast<u8>(low | (attribute[0x14] & 0x0CU) << 4));
}

void VgaRenderer::load_palettes() {
  for (unsigned i = 0; i < 256; ++i) dac_colours_[i] = dac_colour(static_cast<u8>(i));
  for (unsigned i = 0; i < 16; ++i) attribute_colours_[i] = attribute_colour(static_cast<u8>(i));
}

// --- The CRT controller's counters ---------------------------------------------------------------

VgaRenderer::ScanLine VgaRenderer::first_line() const {
  const u8 preset = registers_.crtc[0x08];
  return {(registers_.start_address() + ((preset >> 5) & 3U)) & kPlaneMask, preset & 0x1FU, false,
          true};
}

/// From scan line `number` to the next.
void VgaRenderer::advance(ScanLine& line, unsigned number) const {
  if (number == registers_.line_compare()) {
    line = {0, 0, true, true};
    return;
  }
  const u8 maximum = registers_.crtc[0x09];
  if ((maximum & 0x80) != 0 && line.first_of_pair) {
    line.first_of_pair = false;
    return;
  }
  line.first_of_pair = true;
  if (line.row_scan == (maximum & 0x1FU)) {
    line.row_scan = 0;
    line.counter = (line.counter + registers_.row_pitch()) & kPlaneMask;
  } else {
    line.row_scan = (line.row_scan + 1) & 0x1F;
  }
}

/// The address counter as it reaches memory: doubleword, word or byte addressing (CRTC 14h bit 6,
/// 17h bits 6 and 5), and the row scan bits that take the place of A13 and A14 for CGA and Hercules
/// memory layouts (17h bits 1:0 clear).
u32 VgaRenderer::memory_address(u32 counter, unsigned row_scan) const {
  const u8 mode = registers_.crtc[0x17];
  u32 address = counter & kPlaneMask;
  if ((registers_.crtc[0x14] & 0x40) != 0) {
    address = address << 2 | (address >> 14 & 3);
  } else if ((mode & 0x40) == 0) {
    address = address << 1 | (address >> ((mode & 0x20) != 0 ? 15 : 13) & 1);
  }
  if ((mode & 0x01) == 0) address = (address & ~0x2000U) | (row_scan & 1) << 13;
  if ((mode & 0x02) == 0) address = (address & ~0x4000U) | (row_scan & 2) << 13;
  return address & kPlaneMask;
}

/// One byte of each plane, plane 0 lowest.
u32 VgaRenderer::fetch(u32 address) const {
  u32 value = 0;
  std::memcpy(&value, memory_.data() + 4 * std::size_t{address & kPlaneMask}, sizeof value);
  return value;
}

u32 VgaRenderer::column_address(const ScanLine& line, unsigned column) const {
  unsigned step = column;
  if ((registers_.crtc[0x14] & 0x20) != 0) {
    step /= 4;  // count by four
  } else if ((registers_.crtc[0x17] & 0x08) != 0) {
    step /= 2;  // count by two
  }
  return memory_address(line.counter + step, line.row_scan);
}

/// By how many dots the line is shifted to the left.
unsigned VgaRenderer::panning(const ScanLine& line) const {
  // Mode control bit 5: the part below the split doesn't pan.
  if (line.below_split && (registers_.attribute[0x10] & 0x20) != 0) return 0;
  const unsigned value = registers_.attribute[0x13] & 0x0F;
  if (registers_.dots_per_character() == 9) return value >= 8 ? 0 : value + 1;
  if ((registers_.graphics[5] & 0x40) != 0) return value & 6;
  return value & 7;
}

// --- VGA modes -----------------------------------------------------------------------------------

void VgaRenderer::render_vga(Frame& frame) {
  frame_number_ = registers_.frame_number();
  if (!programmed()) {  // before the video BIOS has run
    frame.width = 720;
    frame.height = 400;
    frame.pixels.assign(std::size_t{720} * 400, 0);
    return;
  }
  const unsigned dots = registers_.columns() * registers_.dots_per_character();
  const unsigned repeat = registers_.half_dot_clock() ? 2 : 1;
  frame.width = dots * repeat;
  frame.height = registers_.lines();
  frame.pixels.assign(std::size_t{frame.width} * frame.height, 0);
  if (!registers_.screen_enabled()) return;

  dots_.resize(std::size_t{dots} + registers_.dots_per_character());
  ScanLine line = first_line();
  u32* out = frame.pixels.data();
  for (unsigned y = 0; y < frame.height; ++y) {
    draw_line(line);
    const u32* from = dots_.data() + panning(line);
    for (unsigned x = 0; x < dots; ++x) {
      for (unsigned i = 0; i < repeat; ++i) *out++ = from[x];
    }
    advance(line, y);
  }
}

/// Fills `dots_` with the line and one character more, for panning.
void VgaRenderer::draw_line(const ScanLine& line) {
  if (!registers_.graphics_mode()) {
    draw_text(line);
  } else if ((registers_.graphics[5] & 0x40) != 0) {
    draw_256(line);
  } else if ((registers_.graphics[5] & 0x20) != 0) {
    draw_interleaved(line);
  } else {
    draw_planar(line);
  }
}

/// A character's pattern for one row, from plane 2. Attribute bit 3 chooses between the two fonts
/// that Character Map Select names; they lie in 8 KiB steps: 0, 4, 1, 5, 2, 6, 3, 7.
u8 VgaRenderer::font_row(u8 character, u8 attribute, unsigned row_scan) const {
  const u8 select = registers_.sequencer[3];
  const unsigned map = (attribute & 8) != 0 ? ((select >> 2) & 3U) | (select >> 3 & 4U)
                                            : (select & 3U) | (select >> 2 & 4U);
  const u32 base = (map & 3) * 0x4000 + (map >> 2) * 0x2000;
  return static_cast<u8>(fetch(base + character * 32U + row_scan) >> 16);
}

bool VgaRenderer::cursor_at(const ScanLine& line, unsigned column) const {
  const u8 start = registers_.crtc[0x0A];
  const u8 end = registers_.crtc[0x0B];
  if ((start & 0x20) != 0 || (frame_number_ & 8) != 0) return false;
  const unsigned skew = (end >> 5) & 3;
  const u32 here = (line.counter + column - skew) & kPlaneMask;
  return here == registers_.cursor_address() && line.row_scan >= (start & 0x1FU) &&
         line.row_scan <= (end & 0x1FU);
}

void VgaRenderer::draw_text(const ScanLine& line) {
  const u8 mode = registers_.attribute[0x10];
  const bool blink_enabled = (mode & 0x08) != 0;
  const bool blink_off = (frame_number_ & 16) != 0;
  const bool monochrome = (mode & 0x02) != 0;
  const unsigned width = registers_.dots_per_character();
  const unsigned underline = registers_.crtc[0x14] & 0x1F;
  u32* out = dots_.data();
  for (unsigned column = 0; column <= registers_.columns(); ++column) {
    const u32 cell = fetch(column_address(line, column));
    const u8 character = static_cast<u8>(cell);
    const u8 attribute = static_cast<u8>(cell >> 8);
    u8 foreground = attribute & 0x0F;
    const u8 background = (attribute >> 4) & (blink_enabled ? 7 : 15);
    unsigned pattern = font_row(character, attribute, line.row_scan) << 1U;
    // The ninth dot repeats the eighth for the box-drawing characters, if mode control bit 2 says
    // so.
    if ((mode & 0x04) != 0 && (character & 0xE0) == 0xC0) pattern |= (pattern >> 1) & 1;
    if (monochrome && (attribute & 7) == 1 && line.row_scan == underline) pattern = 0x1FF;
    if (blink_enabled && (attribute & 0x80) != 0 && blink_off) foreground = background;
    if (cursor_at(line, column)) {
      pattern = 0x1FF;
      foreground = attribute & 0x0F;
    }
    const u32 on = attribute_colours_[foreground];
    const u32 off = attribute_colours_[background];
    for (unsigned dot = 0; dot < width; ++dot) *out++ = (pattern >> (8 - dot) & 1) != 0 ? on : off;
  }
}

void VgaRenderer::draw_planar(const ScanLine& line) {
  u32* out = dots_.data();
  for (unsigned column = 0; column <= registers_.columns(); ++column) {
    const u32 planes = fetch(column_address(line, column));
    for (unsigned bit = 8; bit-- > 0;) {
      const u32 dot = planes >> bit;
      *out++ = attribute_colours_[(dot & 1) | (dot >> 7 & 2) | (dot >> 14 & 4) | (dot >> 21 & 8)];
    }
  }
}

/// Shift register mode 1 (CGA's four colours): bit pairs of planes 0 and 2, then of planes 1 and 3.
void VgaRenderer::draw_interleaved(const ScanLine& line) {
  u32* out = dots_.data();
  for (unsigned column = 0; column <= registers_.columns(); ++column) {
    const u32 planes = fetch(column_address(line, column));
    for (unsigned dot = 0; dot < 8; ++dot) {
      const unsigned shift = (dot < 4 ? 0 : 8) + 6 - 2 * (dot & 3);
      *out++ = attribute_colours_[(planes >> shift & 3) | (planes >> (shift + 16) & 3) << 2];
    }
  }
}

/// Shift register mode 2: a byte of each plane in turn, each two dots wide.
void VgaRenderer::draw_256(const ScanLine& line) {
  u32* out = dots_.data();
  for (unsigned column = 0; column <= registers_.columns(); ++column) {
    const u32 planes = fetch(column_address(line, column));
    for (unsigned plane = 0; plane < 4; ++plane) {
      const u32 colour = dac_colours_[planes >> (8 * plane) & 0xFF];
      *out++ = colour;
      *out++ = colour;
    }
  }
}

TextScreen VgaRenderer::text() const {
  TextScreen screen;
  if (!text_mode()) return screen;
  screen.columns = registers_.columns();
  ScanLine line = first_line();
  for (unsigned y = 0; y < registers_.lines(); ++y) {
    const bool begins = y == 0 || (line.row_scan == 0 && line.first_of_pair);
    if (begins) {
      ++screen.rows;
      for (unsigned column = 0; column < screen.columns; ++column) {
        screen.characters.push_back(static_cast<u8>(fetch(column_address(line, column))));
      }
    }
    advance(line, y);
  }
  return screen;
}

// --- VBE modes -----------------------------------------------------------------------------------

/// Copies part of a line out of video memory, which wraps.
void VgaRenderer::copy_line(u64 from, std::size_t length) {
  const std::size_t mask = memory_.size() - 1;
  line_bytes_.resize(length);
  std::size_t done = 0;
  while (done < length) {
    const std::size_t at = (from + done) & mask;
    const std::size_t piece = std::min(length - done, memory_.size() - at);
    std::memcpy(line_bytes_.data() + done, memory_.data() + at, piece);
    done += piece;
  }
}

u32 VgaRenderer::packed_pixel(std::size_t x) const {
  const u8* bytes = line_bytes_.data();
  switch (vbe_.bits()) {
    case 8:
      return dac_colours_[bytes[x]];
    case 15:
    case 16: {
      const unsigned first = bytes[2 * x], second = bytes[2 * x + 1];
      const u32 value =
          byte_order_ == ByteOrder::Little ? first | second << 8 : second | first << 8;
      if (vbe_.bits() == 15) {
        return rgb(widen5(value >> 10 & 31), widen5(value >> 5 & 31), widen5(value & 31));
      }
      return rgb(widen5(value >> 11 & 31), widen6(value >> 5 & 63), widen5(value & 31));
    }
    case 24:
      return rgb(bytes[3 * x + 2], bytes[3 * x + 1], bytes[3 * x]);
    default: {
      const u8* pixel = bytes + 4 * x;
      if (byte_order_ == ByteOrder::Big) return rgb(pixel[1], pixel[2], pixel[3]);
      return rgb(pixel[2], pixel[1], pixel[0]);
    }
  }
}

void VgaRenderer::render_packed(Frame& frame) {
  frame.width = vbe_.width();
  frame.height = vbe_.height();
  frame.pixels.resize(std::size_t{frame.width} * frame.height);
  const std::size_t bytes_per_pixel = (vbe_.bits() + 7) / 8;
  u32* out = frame.pixels.data();
  for (unsigned y = 0; y < frame.height; ++y) {
    copy_line(vbe_.start() + y * vbe_.pitch(), frame.width * bytes_per_pixel);
    for (unsigned x = 0; x < frame.width; ++x) *out++ = packed_pixel(x);
  }
}

void VgaRenderer::render_vbe_planar(Frame& frame) {
  frame.width = vbe_.width();
  frame.height = vbe_.height();
  frame.pixels.resize(std::size_t{frame.width} * frame.height);
  const unsigned pan = vbe_.x_offset() & 7;
  u32* out = frame.pixels.data();
  for (unsigned y = 0; y < frame.height; ++y) {
    copy_line(4 * (vbe_.start() + y * vbe_.pitch()), 4 * std::size_t{frame.width / 8 + 1});
    for (unsigned x = 0; x < frame.width; ++x) {
      const u8* planes = line_bytes_.data() + 4 * std::size_t{(x + pan) / 8};
      const unsigned bit = 7 - ((x + pan) & 7);
      unsigned colour = 0;
      for (unsigned plane = 0; plane < 4; ++plane) colour |= (planes[plane] >> bit & 1U) << plane;
      *out++ = attribute_colours_[colour];
    }
  }
}

}  // namespace ringshift::devices
