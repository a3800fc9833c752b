#include "devices/vga/edid.h"

#include <algorithm>
#include <string_view>

namespace ringshift::devices {

namespace {

struct StandardTiming {
  unsigned width;
  u8 aspect;  // 0 16:10, 1 4:3, 2 5:4, 3 16:9
};

constexpr std::array<StandardTiming, 8> kStandardTimings = {{
    {1280, 2},
    {1600, 1},
    {1920, 3},
    {1280, 0},
    {1280, 1},
    {1440, 0},
    {1680, 0},
    {1152, 1},
}};

// 1024x768 at 60 Hz: VESA DMT ID 10h. 65 MHz; 1344 dots by 806 lines; 320 by 240 mm; both syncs
// negative.
constexpr std::array<u8, 18> kPreferredTiming = {0x64, 0x19, 0x00, 0x40, 0x41, 0x00,
                                                 0x26, 0x30, 0x18, 0x88, 0x36, 0x00,
                                                 0x40, 0xF0, 0x10, 0x00, 0x00, 0x18};

// 50-75 Hz, 30-82 kHz, at most 180 MHz; no secondary timing formula.
constexpr std::array<u8, 18> kRangeLimits = {0x00, 0x00, 0x00, 0xFD, 0x00, 0x32, 0x4B, 0x1E, 0x52,
                                             0x12, 0x00, 0x0A, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20};

std::array<u8, 18> text_descriptor(u8 tag, std::string_view text) {
  std::array<u8, 18> descriptor{0x00, 0x00, 0x00, tag, 0x00};
  std::fill(descriptor.begin() + 5, descriptor.end(), u8{0x20});
  std::copy(text.begin(), text.end(), descriptor.begin() + 5);
  if (text.size() < 13) descriptor[5 + text.size()] = 0x0A;
  return descriptor;
}

}  // namespace

std::array<u8, 128> make_edid() {
  std::array<u8, 128> block{
      0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00,  // header
      0x4A, 0x68, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00,  // manufacturer "RSH", product 1, serial 1
      0x01, 0x22, 0x01, 0x03,                          // week 1 of 2024, EDID 1.3
      0x80, 0x20, 0x18, 0x78, 0x0A,  // digital, 32 x 24 cm, gamma 2.2, preferred timing first
      0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54,  // sRGB primaries
      0xA1, 0x08, 0x00,  // 720x400@70, 640x480@60, 800x600@60, 1024x768@60
  };
  for (unsigned i = 0; i < kStandardTimings.size(); ++i) {
    block[38 + 2 * i] = static_cast<u8>(kStandardTimings[i].width / 8 - 31);
    block[39 + 2 * i] = static_cast<u8>(kStandardTimings[i].aspect << 6);  // 60 Hz
  }
  std::copy(kPreferredTiming.begin(), kPreferredTiming.end(), block.begin() + 54);
  std::copy(kRangeLimits.begin(), kRangeLimits.end(), block.begin() + 72);
  const auto name = text_descriptor(0xFC, "Ringshift");
  std::copy(name.begin(), name.end(), block.begin() + 90);
  const auto serial = text_descriptor(0xFF, "1");
  std::copy(serial.begin(), serial.end(), block.begin() + 108);
  u8 sum = 0;
  for (const u8 byte : block) sum = static_cast<u8>(sum + byte);
  block[127] = static_cast<u8>(-sum);
  return block;
}

}  // namespace ringshift::devices
