// The register file of an IBM VGA (IBM PS/2 Hardware Interface Technical Reference, Video
// Subsystem): sequencer, CRT controller, graphics controller, attribute controller, DAC and the
// general registers. It holds state and the rules for reaching it; what the bits mean for memory
// and for the picture is VgaMemory's and VgaRenderer's.
#pragma once

#include <array>

#include "cpu/state_archive.h"
#include "cpu/types.h"
#include "devices/clock.h"

namespace ringshift::devices {

class VgaRegisters {
 public:
  explicit VgaRegisters(EventClock& clock) : clock_(clock) { reset(); }

  void reset();
  void serialize(StateArchive& archive);

  /// `port` by the number that all VGA documentation uses: 3B4h, 3B5h, 3BAh, 3C0h-3CFh, 3D4h, 3D5h,
  /// 3DAh. The CRT controller answers at 3Bx or 3Dx as Miscellaneous Output bit 0 says.
  u8 read(u16 port);
  void write(u16 port, u8 value);

  /// Grows with every write that may change the picture.
  u64 changes() const { return changes_; }

  std::array<u8, 5> sequencer{};
  std::array<u8, 0x19> crtc{};
  std::array<u8, 9> graphics{};
  std::array<u8, 0x15> attribute{};
  u8 miscellaneous = 0;
  u8 feature = 0;
  u8 dac_mask = 0xFF;
  std::array<u8, 3 * 256> dac{};
  /// VBE's switch: the DAC takes eight bits a colour in place of six.
  bool dac_8bit = false;

  // --- What the register bits add up to ---
  bool screen_enabled() const {
    return (attribute_index_ & 0x20) != 0 && (sequencer[1] & 0x20) == 0;
  }
  bool graphics_mode() const { return (graphics[6] & 1) != 0; }
  unsigned dots_per_character() const { return graphics_mode() || (sequencer[1] & 1) != 0 ? 8 : 9; }
  bool half_dot_clock() const { return (sequencer[1] & 8) != 0; }
  unsigned columns() const { return crtc[0x01] + 1U; }
  /// Displayed scan lines.
  unsigned lines() const;
  unsigned line_compare() const;
  u32 start_address() const { return static_cast<u32>(crtc[0x0C]) << 8 | crtc[0x0D]; }
  u32 cursor_address() const { return static_cast<u32>(crtc[0x0E]) << 8 | crtc[0x0F]; }
  /// By how much the address counter grows from one character row to the next.
  u32 row_pitch() const { return crtc[0x13] * 2U; }

  /// Duration of one frame as the CRT controller is programmed; 1/70 s if that makes no sense.
  Nanoseconds frame_time() const;
  /// How many frames have been shown: blinking follows it.
  u64 frame_number() const { return clock_.now() / frame_time(); }

 private:
  struct Raster {
    bool display_enabled;
    bool vertical_retrace;
  };
  Raster raster() const;
  unsigned total_lines() const;
  u8 read_status_1();
  u8 read_crtc_data() const;
  void write_crtc_data(u8 value);
  void write_attribute(u8 value);
  u8 read_dac_data();
  void write_dac_data(u8 value);
  void write_at_3cx(u16 port, u8 value);

  EventClock& clock_;
  u64 changes_ = 0;
  u8 sequencer_index_ = 0;
  u8 crtc_index_ = 0;
  u8 graphics_index_ = 0;
  u8 attribute_index_ = 0;  // with bit 5, the palette address source
  bool attribute_data_next_ = false;
  u8 dac_read_index_ = 0;
  u8 dac_write_index_ = 0;
  u8 dac_component_ = 0;
  bool dac_reading_ = false;
  std::array<u8, 3> dac_buffer_{};
};

}  // namespace ringshift::devices
