#include "devices/input/ps2_mouse.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr u8 kAcknowledge = 0xFA;
constexpr u8 kResend = 0xFE;
constexpr u8 kError = 0xFC;
constexpr u8 kSelfTestPassed = 0xAA;
constexpr u8 kDefaultRate = 100;
constexpr u8 kDefaultResolution = 2;  // 4 counts a millimetre
constexpr Nanoseconds kSelfTestTime = 20'000'000;
constexpr i32 kMostCounts = 1 << 16;  // a person can't move further between two packets

/// 2:1 scaling, in stream mode: small movements are damped, large ones doubled.
i32 scale_two_to_one(i32 counts) {
  constexpr std::array<i32, 6> kSmall = {0, 1, 1, 3, 6, 9};
  const i32 size = std::abs(counts);
  const i32 scaled = size < 6 ? kSmall[static_cast<std::size_t>(size)] : 2 * size;
  return counts < 0 ? -scaled : scaled;
}

void accumulate(i32& sum, int delta) {
  sum = static_cast<i32>(std::clamp<i64>(i64{sum} + delta, -i64{kMostCounts}, i64{kMostCounts}));
}

/// Takes from `sum` what one packet can carry.
i32 portion(i32& sum, i32 least, i32 most) {
  const i32 part = std::clamp(sum, least, most);
  sum -= part;
  return part;
}

}  // namespace

Ps2Mouse::Ps2Mouse(EventClock& clock)
    : sample_(clock, [this] { on_sample(); }), self_test_(clock, [this] { finish_reset(); }) {
  reset(ResetKind::PowerOn);
}

void Ps2Mouse::reset(ResetKind kind) {
  if (kind == ResetKind::System) return;  // a mouse has no reset line: its power stays on
  self_test_.cancel();
  output_.clear();
  rates_.fill(0);
  model_ = Model::Standard;
  wrap_ = rejected_ = false;
  waiting_command_ = 0;
  last_sent_ = 0;
  buttons_ = reported_buttons_ = 0;
  restore_defaults();
}

void Ps2Mouse::serialize(StateArchive& archive) {
  archive.section("PS/2 mouse", 1);
  archive.field("output", output_);
  archive.field("rates", rates_);
  archive.field("model", model_);
  archive.field("mode", mode_);
  archive.field("wrap", wrap_);
  archive.field("reporting", reporting_);
  archive.field("doubled", doubled_);
  archive.field("rejected", rejected_);
  archive.field("resolution", resolution_);
  archive.field("sample_rate", sample_rate_);
  archive.field("waiting_command", waiting_command_);
  archive.field("last_sent", last_sent_);
  archive.field("dx", dx_);
  archive.field("dy", dy_);
  archive.field("dz", dz_);
  archive.field("buttons", buttons_);
  archive.field("reported_buttons", reported_buttons_);
  sample_.serialize(archive);
  self_test_.serialize(archive);
  if (sample_rate_ == 0) sample_rate_ = kDefaultRate;
}

void Ps2Mouse::clear_motion() {
  dx_ = dy_ = dz_ = 0;
  reported_buttons_ = buttons_;
  sample_.cancel();
}

void Ps2Mouse::restore_defaults() {
  mode_ = Mode::Stream;
  reporting_ = doubled_ = false;
  resolution_ = kDefaultResolution;
  sample_rate_ = kDefaultRate;
  clear_motion();
}

// --- Motion -------------------------------------------------------------------------------------

void Ps2Mouse::pointer(const PointerMotion& motion) {
  buttons_ = motion.buttons & 0x1F;
  if (mode_ == Mode::Stream && !reporting_) {
    reported_buttons_ = buttons_;
    return;  // counters stand still while reporting is off
  }
  accumulate(dx_, motion.dx);
  accumulate(dy_, motion.dy == INT32_MIN ? INT32_MAX : -motion.dy);
  accumulate(dz_, motion.wheel);
  schedule();
}

bool Ps2Mouse::something_to_report() const {
  const u8 visible = model_ == Model::Explorer ? 0x1F : 0x07;
  const bool wheel = model_ != Model::Standard && dz_ != 0;
  return dx_ != 0 || dy_ != 0 || wheel || ((buttons_ ^ reported_buttons_) & visible) != 0;
}

/// In stream mode, packets leave at the sample rate as long as there is news.
void Ps2Mouse::schedule() {
  if (mode_ != Mode::Stream || !reporting_ || wrap_ || self_test_.armed()) return;
  if (something_to_report() && !sample_.armed()) {
    sample_.arm_in(kNanosecondsPerSecond / sample_rate_);
  }
}

void Ps2Mouse::on_sample() {
  if (mode_ != Mode::Stream || !reporting_ || wrap_ || waiting_command_ != 0) return;
  // While a packet waits to be taken, motion goes on adding up for the next one.
  if (output_.empty() && something_to_report()) {
    queue_packet(Mode::Stream);
    notify();
  }
  schedule();
}

void Ps2Mouse::queue_packet(Mode mode) {
  const bool scaled = doubled_ && mode == Mode::Stream;
  const i32 most = scaled ? 127 : 255;  // so that it fits after doubling
  i32 dx = portion(dx_, -most, most);
  i32 dy = portion(dy_, -most, most);
  if (scaled) {
    dx = scale_two_to_one(dx);
    dy = scale_two_to_one(dy);
  }
  reported_buttons_ = buttons_;
  respond(static_cast<u8>(0x08 | (buttons_ & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
  respond(static_cast<u8>(dx));
  respond(static_cast<u8>(dy));
  if (model_ == Model::Standard) {
    dz_ = 0;
    return;
  }
  const u8 wheel = static_cast<u8>(portion(dz_, -8, 7));
  if (model_ == Model::IntelliMouse) {
    respond(wheel);
  } else {
    respond(static_cast<u8>((wheel & 0x0F) | (buttons_ & 0x18) << 1));
  }
}

// --- The line -----------------------------------------------------------------------------------

u8 Ps2Mouse::take() {
  last_sent_ = output_.pop();
  schedule();
  return last_sent_;
}

void Ps2Mouse::receive(u8 byte) {
  if (self_test_.armed()) return;
  output_.clear();  // what was under way is aborted
  if (wrap_ && byte != 0xFF && byte != 0xEC) {
    respond(byte);
  } else if (waiting_command_ != 0) {
    argument(byte);
  } else {
    command(byte);
  }
  schedule();
  notify();
}

void Ps2Mouse::status() {
  // The order of the buttons here is not the packet's: right, middle, left from bit 0.
  const u8 right = buttons_ >> 1 & 1;
  const u8 middle = buttons_ >> 2 & 1;
  const u8 left = buttons_ & 1;
  respond(static_cast<u8>((mode_ == Mode::Remote ? 0x40 : 0) | (reporting_ ? 0x20 : 0) |
                          (doubled_ ? 0x10 : 0) | left << 2 | middle << 1 | right));
  respond(resolution_);
  respond(sample_rate_);
}

void Ps2Mouse::command(u8 byte) {
  if (byte == 0xFE) {  // resend
    respond(last_sent_);
    return;
  }
  const bool known = (byte >= 0xE6 && byte <= 0xEE && byte != 0xED) || byte == 0xF0 ||
                     (byte >= 0xF2 && byte <= 0xF6) || byte == 0xFF;
  if (!known) {
    respond(rejected_ ? kError : kResend);
    rejected_ = !rejected_;
    return;
  }
  rejected_ = false;
  respond(kAcknowledge);
  switch (byte) {
    case 0xE6:
    case 0xE7:
      doubled_ = byte == 0xE7;
      break;
    case 0xE8:
    case 0xF3:
      waiting_command_ = byte;
      break;
    case 0xE9:
      status();
      break;
    case 0xEA:
    case 0xF0:
      mode_ = byte == 0xEA ? Mode::Stream : Mode::Remote;
      clear_motion();
      break;
    case 0xEB:  // read data
      queue_packet(Mode::Remote);
      break;
    case 0xEC:
    case 0xEE:
      wrap_ = byte == 0xEE;
      clear_motion();
      break;
    case 0xF2:
      respond(static_cast<u8>(model_));
      break;
    case 0xF4:
    case 0xF5:
      reporting_ = byte == 0xF4;
      clear_motion();
      break;
    case 0xF6:
      restore_defaults();
      break;
    default:  // FFh: reset
      self_test_.arm_in(kSelfTestTime);
      break;
  }
}

void Ps2Mouse::argument(u8 byte) {
  if (waiting_command_ == 0xE8) {
    if (byte > 3) {
      respond(rejected_ ? kError : kResend);
      rejected_ = !rejected_;
      return;
    }
    resolution_ = byte;
  } else {
    constexpr std::array<u8, 7> kRates = {10, 20, 40, 60, 80, 100, 200};
    if (std::find(kRates.begin(), kRates.end(), byte) == kRates.end()) {
      respond(rejected_ ? kError : kResend);
      rejected_ = !rejected_;
      return;
    }
    sample_rate_ = byte;
    knock(byte);
  }
  rejected_ = false;
  waiting_command_ = 0;
  respond(kAcknowledge);
}

/// 200, 100, 80 opens the wheel; 200, 200, 80 the two side buttons as well.
void Ps2Mouse::knock(u8 rate) {
  rates_ = {rates_[1], rates_[2], rate};
  if (rates_ == std::array<u8, 3>{200, 100, 80}) model_ = Model::IntelliMouse;
  if (rates_ == std::array<u8, 3>{200, 200, 80}) model_ = Model::Explorer;
}

void Ps2Mouse::finish_reset() {
  reset(ResetKind::PowerOn);
  respond(kSelfTestPassed);
  respond(static_cast<u8>(model_));
  notify();
}

}  // namespace ringshift::devices
