#include "devices/vga/vbe_dispi.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr u16 kFirstId = 0xB0C0;
constexpr u16 kNewestId = 0xB0C5;

bool legal_bits(u16 bits) {
  return bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

}  // namespace

void VbeDispi::reset() {
  id_ = kNewestId;
  x_resolution_ = y_resolution_ = 0;
  bits_ = 8;
  enable_ = bank_ = 0;
  virtual_width_ = x_offset_ = y_offset_ = 0;
  ++changes_;
}

void VbeDispi::serialize(StateArchive& archive) {
  archive.section("vbe-dispi", 1);
  archive.field("id", id_);
  archive.field("x_resolution", x_resolution_);
  archive.field("y_resolution", y_resolution_);
  archive.field("bits", bits_);
  archive.field("enable", enable_);
  archive.field("bank", bank_);
  archive.field("virtual_width", virtual_width_);
  archive.field("x_offset", x_offset_);
  archive.field("y_offset", y_offset_);
  if (!archive.restoring()) return;
  const bool shown =
      !enabled() || (x_resolution_ != 0 && y_resolution_ != 0 && virtual_width_ >= x_resolution_);
  if (!legal_bits(bits_) || x_resolution_ > kMostX || y_resolution_ > kMostY || !shown) {
    archive.refuse("impossible VBE mode in the snapshot");
    reset();
  }
  ++changes_;
}

u64 VbeDispi::bytes_per_line(u64 pixels) const {
  return bits_ == 4 ? pixels / 8 : pixels * ((bits_ + 7U) / 8);
}

u64 VbeDispi::memory_for(u64 pixels, u64 lines) const {
  return bytes_per_line(pixels) * lines * (bits_ == 4 ? 4 : 1);
}

u64 VbeDispi::pitch() const {
  return bytes_per_line(virtual_width_);
}

u64 VbeDispi::bank_offset() const {
  if (!enabled()) return 0;
  return u64{bank_} << ((enable_ & kBankGranularity32K) != 0 ? 15 : 16);
}

u64 VbeDispi::start() const {
  return y_offset_ * pitch() + bytes_per_line(x_offset_);
}

u16 VbeDispi::read(u16 index) const {
  const bool capabilities = (enable_ & kGetCapabilities) != 0;
  switch (index) {
    case kId:
      return id_;
    case kXResolution:
      return capabilities ? kMostX : x_resolution_;
    case kYResolution:
      return capabilities ? kMostY : y_resolution_;
    case kBitsPerPixel:
      return capabilities ? kMostBits : bits_;
    case kEnable:
      return enable_;
    case kBank:
      return bank_;
    case kVirtualWidth:
      return virtual_width_;
    case kVirtualHeight: {
      const u64 line = memory_for(virtual_width_, 1);
      return line == 0 ? 0 : static_cast<u16>(std::min<u64>(video_memory_ / line, 0xFFFF));
    }
    case kXOffset:
      return x_offset_;
    case kYOffset:
      return y_offset_;
    case kVideoMemory64K:
      return static_cast<u16>(video_memory_ >> 16);
    default:
      return 0;
  }
}

void VbeDispi::write(u16 index, u16 value) {
  ++changes_;
  switch (index) {
    case kId:
      if (value >= kFirstId && value <= kNewestId) id_ = value;
      break;
    // A mode is set up while disabled and takes effect when enabled.
    case kXResolution:
      if (!enabled()) x_resolution_ = std::min<u16>(value, kMostX) & 0xFFF8;
      break;
    case kYResolution:
      if (!enabled()) y_resolution_ = std::min<u16>(value, kMostY);
      break;
    case kBitsPerPixel:
      if (!enabled()) bits_ = legal_bits(value) ? value : 8;
      break;
    case kEnable:
      enable(value);
      break;
    case kBank:
      bank_ = value & 0x3FFF;
      break;  // bits 15:14 would choose read and write banks apart
    case kVirtualWidth:
      if (value >= x_resolution_ && memory_for(value, y_resolution_) <= video_memory_) {
        virtual_width_ = value;
      }
      break;
    case kXOffset:
      x_offset_ = value;
      break;
    case kYOffset:
      y_offset_ = value;
      break;
    default:
      break;  // virtual height follows from the width; memory size is fixed
  }
}

void VbeDispi::enable(u16 value) {
  const bool begins = (value & kEnabled) != 0 && !enabled();
  const u16 bits = value & (kEnabled | kGetCapabilities | kBankGranularity32K | k8BitDac |
                            kLinearFrameBuffer | kNoClearMemory);
  // A mode that video memory can't hold isn't entered.
  const bool possible = x_resolution_ != 0 && y_resolution_ != 0 &&
                        memory_for(x_resolution_, y_resolution_) <= video_memory_;
  if (begins && !possible) {
    enable_ = static_cast<u16>(bits & ~kEnabled);
    return;
  }
  enable_ = bits;
  if (!begins) return;
  virtual_width_ = x_resolution_;
  x_offset_ = y_offset_ = bank_ = 0;
  if ((value & kNoClearMemory) == 0 && on_clear_)
    on_clear_(memory_for(x_resolution_, y_resolution_));
}

}  // namespace ringshift::devices
