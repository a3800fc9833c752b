#include "devices/ide/ide_drive.h"

#include <algorithm>

namespace ringshift::devices {

using ata::Register;

IdeDrive::IdeDrive(EventClock& clock) : timer_(clock, [this] { on_timer(); }) {}

void IdeDrive::plug_in(IdeCable& cable, unsigned position) {
  cable_ = &cable;
  cable_position_ = position;
}

void IdeDrive::TaskFile::serialize(StateArchive& archive) {
  archive.field("feature", feature);
  archive.field("count", count);
  archive.field("lba low", lba_low);
  archive.field("lba mid", lba_mid);
  archive.field("lba high", lba_high);
}

// --- The command block --------------------------------------------------------------------------

void IdeDrive::set_interrupt(bool raised) {
  if (interrupt_ == raised) return;
  interrupt_ = raised;
  if (cable_ != nullptr) cable_->interrupt_changed();
}

void IdeDrive::acknowledge_interrupt() {
  set_interrupt(false);
}

u8 IdeDrive::read_register(Register at, bool high) const {
  const TaskFile& from = high ? previous_ : current_;
  switch (at) {
    case Register::Error:
      return error_;
    case Register::Count:
      return from.count;
    case Register::LbaLow:
      return from.lba_low;
    case Register::LbaMid:
      return from.lba_mid;
    case Register::LbaHigh:
      return from.lba_high;
    case Register::Device:
      return device_;
    case Register::Data:
    case Register::Status:
      break;
  }
  return status_;
}

void IdeDrive::write_register(Register at, u8 value) {
  if ((status_ & (ata::kBusy | ata::kDataRequest)) != 0) return;
  const auto store = [value](u8& now, u8& before) {
    before = now;
    now = value;
  };
  switch (at) {
    case Register::Error:
      store(current_.feature, previous_.feature);
      break;
    case Register::Count:
      store(current_.count, previous_.count);
      break;
    case Register::LbaLow:
      store(current_.lba_low, previous_.lba_low);
      break;
    case Register::LbaMid:
      store(current_.lba_mid, previous_.lba_mid);
      break;
    case Register::LbaHigh:
      store(current_.lba_high, previous_.lba_high);
      break;
    case Register::Device:
      device_ = value;
      break;
    case Register::Data:
    case Register::Status:
      break;
  }
}

void IdeDrive::write_command(u8 command) {
  if (is_device_reset(command)) {
    if (phase_ == Phase::SoftReset) return;
    reset_settings(false, ResetKind::System);
    restart(false);
    return;
  }
  if ((status_ & (ata::kBusy | ata::kDataRequest)) != 0) return;
  set_interrupt(false);
  command_ = command;
  status_ = ata::kBusy;
  error_ = 0;
  phase_ = Phase::Command;
  timer_.arm_in(kCommandTime);
}

u32 IdeDrive::read_data(unsigned size) {
  if (phase_ != Phase::PioIn) return 0xFFFF'FFFF;
  u32 value = 0;
  for (unsigned i = 0; i < size && position_ + i < end_; ++i) {
    value |= u32{buffer_[position_ + i]} << (8 * i);
  }
  move_window(std::max(size, 2U));  // a data transfer is a word at least
  return value;
}

void IdeDrive::write_data(u32 value, unsigned size) {
  if (phase_ != Phase::PioOut) return;
  for (unsigned i = 0; i < size && position_ + i < end_; ++i) {
    buffer_[position_ + i] = static_cast<u8>(value >> (8 * i));
  }
  move_window(std::max(size, 2U));
}

std::optional<DmaDirection> IdeDrive::dma_request() const {
  if (phase_ == Phase::DmaIn) return DmaDirection::ToMemory;
  if (phase_ == Phase::DmaOut) return DmaDirection::FromMemory;
  return std::nullopt;
}

void IdeDrive::dma_transferred(std::size_t bytes) {
  move_window(bytes);
}

void IdeDrive::move_window(std::size_t bytes) {
  position_ = std::min(position_ + bytes, end_);
  if (position_ < end_) return;
  status_ = ata::kBusy;
  phase_ = Phase::Step;
  window_done();
}

// --- Steps of a command -------------------------------------------------------------------------

void IdeDrive::on_timer() {
  switch (phase_) {
    case Phase::Command:
      phase_ = Phase::Step;
      execute(command_);
      break;
    case Phase::Step:
      step();
      break;
    case Phase::Backend:
      if (!issued_) issue_request();  // after a restore
      break;
    case Phase::Restart:
      finish_restart();
      break;
    case Phase::Idle:
    case Phase::PioIn:
    case Phase::PioOut:
    case Phase::DmaIn:
    case Phase::DmaOut:
    case Phase::SoftReset:
      break;
  }
}

void IdeDrive::complete(Announce announce) {
  phase_ = Phase::Idle;
  status_ = ata::kReady | ata::kSeekComplete;
  if (error_ != 0) status_ |= ata::kError;
  if (announce == Announce::WithInterrupt) set_interrupt(true);
}

void IdeDrive::fail(u8 error) {
  error_ = error;
  complete();
}

void IdeDrive::schedule_step() {
  phase_ = Phase::Step;
  status_ = ata::kBusy;
  timer_.arm_in(kStepTime);
}

void IdeDrive::open_window(Phase phase, std::size_t begin, std::size_t end, Announce announce,
                           u8 status) {
  phase_ = phase;
  position_ = begin;
  end_ = std::min(end, buffer_.size());
  status_ = status;
  if (announce == Announce::WithInterrupt) set_interrupt(true);
}

void IdeDrive::pio_to_host(std::size_t begin, std::size_t end, Announce announce, u8 status) {
  open_window(Phase::PioIn, begin, end, announce, status | ata::kDataRequest);
}

void IdeDrive::pio_from_host(std::size_t begin, std::size_t end, Announce announce, u8 status) {
  open_window(Phase::PioOut, begin, end, announce, status | ata::kDataRequest);
}

void IdeDrive::dma_to_memory(std::size_t begin, std::size_t end) {
  open_window(Phase::DmaIn, begin, end, Announce::Silently, ata::kBusy);
  if (cable_ != nullptr) cable_->dma_requested();
}

void IdeDrive::dma_from_memory(std::size_t begin, std::size_t end) {
  open_window(Phase::DmaOut, begin, end, Announce::Silently, ata::kBusy);
  if (cable_ != nullptr) cable_->dma_requested();
}

// --- The backend --------------------------------------------------------------------------------

void IdeDrive::read_backend(u64 offset, std::size_t length) {
  start_request(Request::Read, offset, length);
}
void IdeDrive::write_backend(u64 offset, std::size_t length) {
  start_request(Request::Write, offset, length);
}
void IdeDrive::flush_backend() {
  start_request(Request::Flush, 0, 0);
}
void IdeDrive::discard_backend(u64 offset, u64 length) {
  start_request(Request::Discard, offset, length);
}

void IdeDrive::start_request(Request request, u64 offset, u64 length) {
  phase_ = Phase::Backend;
  status_ = ata::kBusy;
  request_ = request;
  request_offset_ = offset;
  request_length_ = length;
  issue_request();
}

void IdeDrive::issue_request() {
  const u64 token = ++token_;
  BlockBackend* const image = backend();
  const u64 size = image == nullptr ? 0 : image->size();
  issued_ = true;
  if (image == nullptr) {
    request_done(token, BlockStatus::NoMedium);
    return;
  }
  const auto done = [this, token](BlockStatus status) { request_done(token, status); };
  // The image may have changed since the command was checked (another medium, a snapshot).
  const bool fits = request_offset_ <= size && request_length_ <= size - request_offset_ &&
                    (request_ == Request::Discard || request_length_ <= buffer_.size());
  if (!fits) {
    request_done(token, BlockStatus::Failed);
    return;
  }
  const std::span<u8> bytes(buffer_.data(), request_ == Request::Discard ? 0 : request_length_);
  switch (request_) {
    case Request::Read:
      image->read(request_offset_, bytes, done);
      break;
    case Request::Write:
      image->write(request_offset_, bytes, done);
      break;
    case Request::Flush:
      image->flush(done);
      break;
    case Request::Discard:
      image->discard(request_offset_, request_length_, done);
      break;
    case Request::None:
      request_done(token, BlockStatus::Failed);
      break;
  }
}

void IdeDrive::request_done(u64 token, BlockStatus status) {
  if (token != token_ || !issued_) {
    std::erase_if(abandoned_, [token](const Abandoned& old) { return old.token == token; });
    return;
  }
  issued_ = false;
  request_ = Request::None;
  if (phase_ == Phase::Backend) {
    phase_ = Phase::Step;
    backend_done(status);
  } else if (phase_ == Phase::Restart && !timer_.armed()) {
    finish_restart();  // the reset was waiting for this
  }
}

// --- Resets -------------------------------------------------------------------------------------

void IdeDrive::begin_soft_reset() {
  timer_.cancel();
  phase_ = Phase::SoftReset;
  status_ = ata::kBusy;
  set_interrupt(false);
}

void IdeDrive::end_soft_reset() {
  if (phase_ != Phase::SoftReset) return;
  reset_settings(false, ResetKind::System);
  restart(false);
}

void IdeDrive::diagnose(bool raise_interrupt) {
  if (phase_ == Phase::SoftReset) return;
  restart(raise_interrupt);
}

void IdeDrive::restart(bool raise_interrupt) {
  phase_ = Phase::Restart;
  status_ = ata::kBusy;
  set_interrupt(false);
  interrupt_after_restart_ = raise_interrupt;
  timer_.arm_in(kResetTime);
}

void IdeDrive::hardware_reset(ResetKind kind) {
  timer_.cancel();
  set_interrupt(false);
  interrupt_after_restart_ = false;
  current_ = previous_ = {};
  command_ = 0;
  reset_settings(true, kind);
  phase_ = Phase::Restart;
  status_ = ata::kBusy;
  finish_restart();
}

void IdeDrive::finish_restart() {
  // A request in flight still owns the buffer: the drive stays busy until the host has answered.
  if (issued_) return;
  request_ = Request::None;
  request_offset_ = request_length_ = 0;
  position_ = end_ = 0;
  phase_ = Phase::Idle;
  error_ = ata::kDiagnosticPassed;
  device_ = 0;
  status_ = put_signature();
  if (interrupt_after_restart_) set_interrupt(true);
  interrupt_after_restart_ = false;
}

// --- Snapshots ----------------------------------------------------------------------------------

void IdeDrive::serialize(StateArchive& archive) {
  if (archive.restoring() && issued_) {
    // The live request keeps its buffer until it answers; nobody will listen.
    abandoned_.push_back({token_, std::move(buffer_)});
    buffer_ = std::vector<u8>(kBufferSize);
    issued_ = false;
  }
  archive.field("current", current_);
  archive.field("previous", previous_);
  archive.field("device", device_);
  archive.field("error", error_);
  archive.field("status", status_);
  archive.field("timer", timer_);
  archive.field("phase", phase_);
  archive.field("command", command_);
  archive.field("interrupt", interrupt_);
  archive.field("interrupt after restart", interrupt_after_restart_);
  u64 position = position_;
  u64 end = end_;
  archive.field("position", position);
  archive.field("end", end);
  archive.field("request", request_);
  archive.field("request offset", request_offset_);
  archive.field("request length", request_length_);
  std::vector<u8> content;  // an idle drive's buffer means nothing
  if (phase_ != Phase::Idle) content = buffer_;
  archive.field("buffer", content, buffer_.size());
  if (!archive.restoring()) return;
  std::copy(content.begin(), content.end(), buffer_.begin());
  end_ = std::min<u64>(end, buffer_.size());
  position_ = std::min<u64>(position, end_);
  if (phase_ > Phase::Restart || request_ > Request::Discard) archive.refuse("bad drive phase");
  after_restore();
}

void IdeDrive::after_restore() {
  switch (phase_) {
    case Phase::Backend:
      timer_.arm_in(0);  // asks again when the whole machine has been restored
      break;
    case Phase::Restart:
      if (!timer_.armed()) timer_.arm_in(0);
      break;
    case Phase::PioIn:
    case Phase::PioOut:
    case Phase::DmaIn:
    case Phase::DmaOut:
      if (position_ >= end_) phase_ = Phase::Idle;  // not a state that a drive saves
      break;
    case Phase::Idle:
    case Phase::Command:
    case Phase::Step:
    case Phase::SoftReset:
      break;
  }
}

}  // namespace ringshift::devices
