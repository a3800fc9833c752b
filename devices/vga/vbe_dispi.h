// The "VBE dispi" registers that Bochs introduced and every PC emulator's standard VGA has:
// sixteen-bit registers by which a video BIOS or driver sets linear frame-buffer modes without a
// CRT controller's timing. The interface's definition is the public vbe_display_api.txt of the
// Bochs VGA BIOS.
#pragma once

#include <functional>

#include "cpu/state_archive.h"
#include "cpu/types.h"

namespace ringshift::devices {

class VbeDispi {
 public:
  enum Index : u16 {
    kId = 0,
    kXResolution = 1,
    kYResolution = 2,
    kBitsPerPixel = 3,
    kEnable = 4,
    kBank = 5,
    kVirtualWidth = 6,
    kVirtualHeight = 7,
    kXOffset = 8,
    kYOffset = 9,
    kVideoMemory64K = 10,
    kRegisterCount = 11,
  };
  enum EnableBit : u16 {
    kEnabled = 0x01,
    kGetCapabilities = 0x02,
    kBankGranularity32K = 0x10,
    k8BitDac = 0x20,
    kLinearFrameBuffer = 0x40,
    kNoClearMemory = 0x80,
  };
  static constexpr u16 kMostX = 4096;
  static constexpr u16 kMostY = 4096;
  static constexpr u16 kMostBits = 32;

  explicit VbeDispi(u64 video_memory) : video_memory_(video_memory) { reset(); }

  void reset();
  void serialize(StateArchive& archive);

  u16 read(u16 index) const;
  void write(u16 index, u16 value);
  /// Called with a number of bytes when a mode set clears that much of video memory.
  void on_clear(std::function<void(u64)> action) { on_clear_ = std::move(action); }

  bool enabled() const { return (enable_ & kEnabled) != 0; }
  bool dac_8bit() const { return (enable_ & k8BitDac) != 0; }
  /// Planar four-bit modes go through the VGA's memory logic, all others are packed pixels.
  bool packed() const { return enabled() && bits_ != 4; }
  unsigned width() const { return x_resolution_; }
  unsigned height() const { return y_resolution_; }
  unsigned bits() const { return bits_; }
  /// Bytes from one line to the next, in packed modes or in each plane.
  u64 pitch() const;
  u64 bank_offset() const;
  /// Where the first displayed line begins in bytes, in packed modes or in each plane.
  u64 start() const;
  unsigned x_offset() const { return x_offset_; }

  u64 changes() const { return changes_; }

 private:
  u64 bytes_per_line(u64 pixels) const;
  u64 memory_for(u64 pixels, u64 lines) const;
  void enable(u16 value);

  const u64 video_memory_;
  std::function<void(u64)> on_clear_;
  u64 changes_ = 0;
  u16 id_ = 0;
  u16 x_resolution_ = 0;
  u16 y_resolution_ = 0;
  u16 bits_ = 8;
  u16 enable_ = 0;
  u16 bank_ = 0;
  u16 virtual_width_ = 0;
  u16 x_offset_ = 0;
  u16 y_offset_ = 0;
};

}  // namespace ringshift::devices
