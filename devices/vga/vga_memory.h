// The processor's way to video memory through the legacy window A0000h-BFFFFh: the graphics
// controller's latches, write and read modes and the sequencer's plane addressing stand between the
// two (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Graphics Controller").
//
// The four planes are interleaved: byte `offset` of plane `p` is at 4 * offset + p, so that one
// 32-bit access fetches what the hardware's four memory banks deliver at once.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "cpu/io_handler.h"
#include "cpu/state_archive.h"
#include "devices/vga/vbe_dispi.h"
#include "devices/vga/vga_registers.h"

namespace ringshift::devices {

class VgaMemory final : public IoHandler {
 public:
  static constexpr u64 kWindowSize = 0x20000;
  /// Bytes in each plane of an IBM VGA.
  static constexpr u32 kPlaneSize = 0x10000;

  /// `video_memory`: a power of two, at least 256 KiB.
  VgaMemory(const VgaRegisters& registers, const VbeDispi& vbe, std::span<u8> video_memory)
      : registers_(registers), vbe_(vbe), memory_(video_memory) {}

  void reset() { latch_ = 0; }
  void serialize(StateArchive& archive) { archive.field("latch", latch_); }

  /// Offsets from A0000h; 1 to 8 bytes.
  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  /// Where in all four planes an access goes, and which planes its addressing allows.
  struct Target {
    u64 index;  // of the plane-0 byte in memory
    u8 read_plane;
    u8 write_planes;
  };
  std::optional<u32> window_offset(u64 offset) const;
  Target target(u32 address) const;
  u8 read_byte(u64 offset);
  void write_byte(u64 offset, u8 value);
  u32 write_data(u8 value) const;
  u32 load(u64 index) const;
  void store(u64 index, u32 value, u32 plane_mask);

  const VgaRegisters& registers_;
  const VbeDispi& vbe_;
  std::span<u8> memory_;
  u32 latch_ = 0;
};

}  // namespace ringshift::devices
