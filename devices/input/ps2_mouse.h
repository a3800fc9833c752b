// A PS/2 mouse that turns into an IntelliMouse (wheel) or IntelliMouse Explorer (five buttons) when
// the driver knocks with the right sequence of sample rates. Sources: IBM Personal System/2 Mouse
// Technical Reference; Microsoft's "Legacy mode of the IntelliMouse".
//
// Motion arrives in counts, whatever the resolution setting says: the person's own pointer has been
// scaled already. What doesn't fit one packet goes into the next, so no count is lost and the
// overflow bits stay clear.
#pragma once

#include <array>
#include <string_view>

#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/input/ps2_device.h"

namespace ringshift::devices {

class Ps2Mouse final : public Ps2Device, public PointerSink {
 public:
  explicit Ps2Mouse(EventClock& clock);

  std::string_view name() const override { return "PS/2 mouse"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// Buttons beyond the three of PointerMotion are bits 3 and 4 (Explorer mode).
  void pointer(const PointerMotion& motion) override;

  void receive(u8 byte) override;
  bool has_data() const override { return !output_.empty(); }
  u8 take() override;

 private:
  enum class Model : u8 { Standard = 0, IntelliMouse = 3, Explorer = 4 };
  enum class Mode : u8 { Stream, Remote };

  void restore_defaults();
  void clear_motion();
  void command(u8 byte);
  void argument(u8 byte);
  void knock(u8 rate);
  void respond(u8 byte) { output_.push(byte); }
  void status();
  bool something_to_report() const;
  void queue_packet(Mode mode);
  void schedule();
  void on_sample();
  void finish_reset();

  ByteQueue<16> output_;
  std::array<u8, 3> rates_{};  // the last three sample rates set, latest last
  Model model_ = Model::Standard;
  Mode mode_ = Mode::Stream;
  bool wrap_ = false;
  bool reporting_ = false;
  bool doubled_ = false;   // 2:1 scaling
  bool rejected_ = false;  // the last byte was answered with FEh
  u8 resolution_ = 2;
  u8 sample_rate_ = 100;
  u8 waiting_command_ = 0;
  u8 last_sent_ = 0;
  i32 dx_ = 0;
  i32 dy_ = 0;  // upwards
  i32 dz_ = 0;
  u8 buttons_ = 0;
  u8 reported_buttons_ = 0;
  Timer sample_;
  Timer self_test_;
};

}  // namespace ringshift::devices
