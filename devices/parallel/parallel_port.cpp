#include "devices/parallel/parallel_port.h"

#include <utility>

namespace ringshift::devices {

namespace {

constexpr u8 kStrobe = 0x01;
constexpr u8 kSelectIn = 0x08;
constexpr u8 kInterruptEnable = 0x10;
constexpr u8 kDirectionInput = 0x20;
constexpr u8 kInitialize = 0x04;  // nINIT: the printer resets while this is 0

// Status: BUSY is inverted, nACK, paper out, selected, nFAULT; nIRQ at bit 2 as on the PS/2.
constexpr u8 kNotBusy = 0x80;
constexpr u8 kNotAcknowledge = 0x40;
constexpr u8 kSelected = 0x10;
constexpr u8 kNoFault = 0x08;
constexpr u8 kNoInterrupt = 0x04;
constexpr u8 kUnused = 0x03;
// All inputs are pulled up, and BUSY is inverted.
constexpr u8 kNothingConnected = 0x7F;

// IEEE 1284 compatibility mode, typical printer: BUSY until nACK ends, nACK for 5 µs.
constexpr Nanoseconds kBusyTime = 2'000;
constexpr Nanoseconds kAcknowledgeTime = 5'000;

}  // namespace

ParallelPort::ParallelPort(EventClock& clock, std::string name, CharacterBackend* backend)
    : name_(std::move(name)), backend_(backend), timer_(clock, [this] { next_phase(); }) {
  reset(ResetKind::PowerOn);
}

void ParallelPort::reset(ResetKind) {
  data_ = 0;
  control_ = 0;
  phase_ = Phase::Idle;
  interrupt_pending_ = false;
  interrupt_.lower();
  timer_.cancel();
}

void ParallelPort::serialize(StateArchive& archive) {
  archive.section(name_, 1);
  archive.field("data", data_);
  archive.field("control", control_);
  archive.field("phase", phase_);
  archive.field("interrupt_pending", interrupt_pending_);
  archive.field("timer", timer_);
  if (archive.restoring()) {
    if (phase_ > Phase::Acknowledge) archive.refuse("impossible phase in the snapshot of " + name_);
    interrupt_.restore_level(interrupt_pending_);
  }
}

u64 ParallelPort::io_read(u64 offset, unsigned) {
  switch (offset) {
    // Turned around, the port reads its pins, which nobody drives.
    case 0:
      return (control_ & kDirectionInput) != 0 ? 0xFF : data_;
    case 1:
      return read_status();
    case 2:
      return control_ | 0xC0;
    default:
      return 0xFF;
  }
}

void ParallelPort::io_write(u64 offset, u64 value, unsigned) {
  if (offset == 0) data_ = static_cast<u8>(value);
  if (offset == 2) write_control(static_cast<u8>(value) & 0x3F);
}

u8 ParallelPort::read_status() {
  u8 status = backend_ == nullptr ? kNothingConnected : kSelected | kNoFault | kUnused;
  if (backend_ != nullptr) {
    if (phase_ == Phase::Idle) status |= kNotBusy;
    if (phase_ != Phase::Acknowledge) status |= kNotAcknowledge;
    if (!interrupt_pending_) status |= kNoInterrupt;
  }
  interrupt_pending_ = false;
  interrupt_.lower();
  return status;
}

void ParallelPort::write_control(u8 value) {
  const bool strobe = (value & ~control_ & kStrobe) != 0;
  control_ = value;
  if ((control_ & kInterruptEnable) == 0) {
    interrupt_pending_ = false;
    interrupt_.lower();
  }
  // A printer that is being reset, is busy or isn't selected doesn't hear the strobe. Neither does
  // one whose data lines the port has let go.
  const bool listening = backend_ != nullptr && phase_ == Phase::Idle &&
                         (control_ & kInitialize) != 0 && (control_ & kSelectIn) != 0 &&
                         (control_ & kDirectionInput) == 0;
  if (!strobe || !listening) return;
  backend_->transmit(data_);
  phase_ = Phase::Busy;
  timer_.arm_in(kBusyTime);
}

void ParallelPort::next_phase() {
  if (phase_ == Phase::Busy) {
    phase_ = Phase::Acknowledge;
    timer_.arm_in(kAcknowledgeTime);
    return;
  }
  phase_ = Phase::Idle;
  // The interrupt comes with the trailing edge of nACK.
  if ((control_ & kInterruptEnable) != 0) {
    interrupt_.lower();
    interrupt_pending_ = true;
    interrupt_.raise();
  }
}

}  // namespace ringshift::devices
