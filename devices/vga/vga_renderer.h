// Makes the picture: what the CRT controller's counters, the shift registers, the attribute
// controller and the DAC would send to a monitor, from register state and video memory alone. One
// path serves text, planar, CGA-style and 256-colour modes, since on the hardware they differ in a
// few bits too; VBE modes have their own.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "devices/backends.h"
#include "devices/vga/vbe_dispi.h"
#include "devices/vga/vga_registers.h"

namespace ringshift::devices {

enum class ByteOrder : u8 { Little, Big };

class VgaRenderer {
 public:
  VgaRenderer(const VgaRegisters& registers, const VbeDispi& vbe, std::span<const u8> video_memory)
      : registers_(registers), vbe_(vbe), memory_(video_memory) {}

  /// Byte order of 16- and 32-bit pixels in VBE modes.
  void set_byte_order(ByteOrder order);
  ByteOrder byte_order() const { return byte_order_; }

  void render(Frame& frame);
  TextScreen text() const;
  /// Whether the next `render()` would differ from the last.
  bool changed();

 private:
  /// The CRT controller's counters at the beginning of one scan line.
  struct ScanLine {
    u32 counter = 0;
    unsigned row_scan = 0;
    bool below_split = false;
    bool first_of_pair = true;  // of two scan lines that double scanning shows alike
  };
  /// What the picture depends on, in a form that can be compared.
  struct Signature {
    u64 registers = 0;
    u64 vbe = 0;
    u64 blink = 0;
    u64 memory = 0;
    ByteOrder order = ByteOrder::Little;
    friend bool operator==(const Signature&, const Signature&) = default;
  };

  bool programmed() const { return registers_.crtc[0] != 0; }
  bool text_mode() const { return !vbe_.enabled() && programmed() && !registers_.graphics_mode(); }
  Signature signature() const;
  std::span<const u8> displayed_memory() const;

  u32 dac_colour(u8 index) const;
  u32 attribute_colour(u8 colour) const;
  void load_palettes();

  ScanLine first_line() const;
  void advance(ScanLine& line, unsigned number) const;
  u32 memory_address(u32 counter, unsigned row_scan) const;
  u32 fetch(u32 address) const;
  u32 column_address(const ScanLine& line, unsigned column) const;
  unsigned panning(const ScanLine& line) const;

  void render_vga(Frame& frame);
  void draw_line(const ScanLine& line);
  void draw_text(const ScanLine& line);
  void draw_planar(const ScanLine& line);
  void draw_interleaved(const ScanLine& line);
  void draw_256(const ScanLine& line);
  u8 font_row(u8 character, u8 attribute, unsigned row_scan) const;
  bool cursor_at(const ScanLine& line, unsigned column) const;

  void render_packed(Frame& frame);
  void render_vbe_planar(Frame& frame);
  void copy_line(u64 from, std::size_t length);
  u32 packed_pixel(std::size_t x) const;

  const VgaRegisters& registers_;
  const VbeDispi& vbe_;
  std::span<const u8> memory_;
  ByteOrder byte_order_ = ByteOrder::Little;
  Signature last_;
  bool rendered_ = false;

  std::array<u32, 256> dac_colours_{};
  std::array<u32, 16> attribute_colours_{};
  u64 frame_number_ = 0;
  std::vector<u32> dots_;
  std::vector<u8> line_bytes_;
};

}  // namespace ringshift::devices
