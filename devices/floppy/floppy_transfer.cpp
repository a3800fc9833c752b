// The commands of the diskette controller that move data: one sector at a time comes under the head
// (the step timer), is read from or written to the image, and passes to or from the host by DMA or
// through the FIFO.
#include <algorithm>
#include <cstdlib>

#include "devices/floppy/floppy_controller.h"

namespace ringshift::devices {

namespace {

constexpr u8 kSt0Abnormal = 0x40;
constexpr u8 kSt0EquipmentCheck = 0x10;
constexpr u8 kSt1EndOfCylinder = 0x80;
constexpr u8 kSt1DataError = 0x20;
constexpr u8 kSt1Overrun = 0x10;
constexpr u8 kSt1NoData = 0x04;
constexpr u8 kSt1NotWritable = 0x02;
constexpr u8 kSt1MissingMark = 0x01;
constexpr u8 kSt2ControlMark = 0x40;
constexpr u8 kSt2DataError = 0x20;
constexpr u8 kSt2WrongCylinder = 0x10;
constexpr u8 kSt2ScanEqual = 0x08;
constexpr u8 kSt2ScanNotSatisfied = 0x04;

constexpr u8 kOpcodeMfm = 0x40;
constexpr u8 kOpcodeSkip = 0x20;
constexpr u8 kVerifyCount = 0x80;  // EC, in VERIFY's second byte
constexpr u8 kConfigureImpliedSeek = 0x40;
constexpr u8 kSizeCode512 = 2;  // N

constexpr Nanoseconds kSectorTime = 400'000;
constexpr Nanoseconds kStepTime = 60'000;
constexpr Nanoseconds kRevolution = 200'000'000;
/// How long the guest may leave the FIFO alone. A real chip waits some microseconds; a guest that
/// the host has stopped for a moment must not see an error that no hardware would have caused.
constexpr Nanoseconds kOverrunTime = 250'000'000;

}  // namespace

void FloppyController::read_data() {
  begin(Operation::Read);
}
void FloppyController::write_data() {
  begin(Operation::Write);
}
void FloppyController::verify() {
  begin(Operation::Verify);
}
void FloppyController::read_track() {
  begin(Operation::ReadTrack);
}
void FloppyController::scan() {
  begin(Operation::Scan);
}
void FloppyController::format_track() {
  begin(Operation::Format);
}
void FloppyController::read_id() {
  begin(Operation::ReadId);
}

void FloppyController::begin(Operation operation) {
  phase_ = Phase::Execution;
  operation_ = operation;
  st0_ = st1_ = st2_ = 0;
  sectors_done_ = 0;
  terminal_count_ = false;
  physical_head_ = parameters_[1] >> 2 & 1;
  const unsigned number = parameters_[1] & 3;
  Nanoseconds delay = kSectorTime;
  if (operation == Operation::Format) {
    cylinder_ = cylinders_[number];
    head_ = physical_head_;
    sector_ = 1;
    size_code_ = parameters_[2];
    last_sector_ = parameters_[3];
  } else if (operation != Operation::ReadId) {
    cylinder_ = parameters_[2];
    head_ = parameters_[3];
    sector_ = parameters_[4];
    size_code_ = parameters_[5];
    last_sector_ = parameters_[6];
    if ((configuration_ & kConfigureImpliedSeek) != 0) {
      const int steps = int{cylinder_} - int{cylinders_[number]};
      drive().step(steps);
      cylinders_[number] = cylinder_;
      delay += static_cast<u64>(std::abs(steps)) * kStepTime;
    }
  }
  wait_for_sector(delay);
}

void FloppyController::wait_for_sector(Nanoseconds delay) {
  step_ = Step::Locate;
  step_timer_.arm_in(delay);
}

void FloppyController::on_step() {
  if (backend_outstanding_ != 0) {  // an abandoned transfer still uses the buffers
    step_timer_.arm_in(kSectorTime);
    return;
  }
  switch (step_) {
    case Step::Locate:
      if (operation_ == Operation::Format) {
        locate_for_format();
      } else if (operation_ == Operation::ReadId) {
        finish_read_id();
      } else {
        locate();
      }
      break;
    case Step::Host:
      fail(kSt0Abnormal, kSt1Overrun, 0);
      break;
    case Step::Store:
      start_backend_write();
      break;
    case Step::Idle:
    case Step::BackendRead:
    case Step::BackendWrite:
      break;
  }
}

// --- Finding a sector ---------------------------------------------------------------------------

/// Whether address marks pass under the head; the command fails where none do.
bool FloppyController::track_exists() {
  st0_ = parameters_[1] & 3;
  if (physical_head_ != 0) st0_ |= 4;
  const bool modified = (parameters_[0] & kOpcodeMfm) != 0;  // nothing here is recorded in FM
  if (modified && drive().readable(rate_) && drive().offset(physical_head_, 1)) return true;
  fail(kSt0Abnormal, kSt1MissingMark, 0);
  return false;
}

/// Whether a sector with the wanted ID passes; the command fails where none does.
bool FloppyController::sector_exists() {
  if (cylinder_ != drive().cylinder_under_head()) {
    fail(kSt0Abnormal, kSt1NoData, kSt2WrongCylinder);
    return false;
  }
  if (head_ == physical_head_ && size_code_ == kSizeCode512 &&
      drive().offset(physical_head_, sector_)) {
    return true;
  }
  fail(kSt0Abnormal, kSt1NoData, 0);
  return false;
}

void FloppyController::locate() {
  if (!track_exists()) return;
  if (operation_ == Operation::ReadTrack) {
    // All sectors in the order of the track, whatever their IDs; a difference is only noted.
    const unsigned number = sectors_done_ % drive().format().sectors + 1U;
    const bool same = cylinder_ == drive().cylinder_under_head() && head_ == physical_head_ &&
                      sector_ == number && size_code_ == kSizeCode512;
    if (!same) st1_ |= kSt1NoData;
    start_backend_read(*drive().offset(physical_head_, number));
    return;
  }
  if (operation_ == Operation::Write && drive().write_protected()) {
    fail(kSt0Abnormal, kSt1NotWritable, 0);
    return;
  }
  if (!sector_exists()) return;
  backend_offset_ = *drive().offset(physical_head_, sector_);
  if (operation_ == Operation::Write) {
    exchange_with_host(FloppyDrive::kSectorSize);
    return;
  }
  // An image can't say that a sector is deleted: READ DELETED DATA finds only normal marks.
  if (operation_ == Operation::Read && (parameters_[0] & 0x1F) == 0x0C) {
    st2_ |= kSt2ControlMark;
    if ((parameters_[0] & kOpcodeSkip) != 0) {
      next_sector(false);
      return;
    }
  }
  start_backend_read(backend_offset_);
}

void FloppyController::locate_for_format() {
  if (!track_exists()) return;
  if (drive().write_protected()) {
    fail(kSt0Abnormal, kSt1NotWritable, 0);
    return;
  }
  exchange_with_host(4);
}

/// READ ID reports the sector that comes next as the diskette turns.
void FloppyController::finish_read_id() {
  if (!track_exists()) return;
  const unsigned sectors = drive().format().sectors;
  cylinder_ = static_cast<u8>(drive().cylinder_under_head());
  head_ = physical_head_;
  sector_ = static_cast<u8>(clock_.now() % kRevolution * sectors / kRevolution + 1);
  size_code_ = kSizeCode512;
  finish();
}

// --- The image ----------------------------------------------------------------------------------

void FloppyController::start_backend_read(u64 offset) {
  step_ = Step::BackendRead;
  backend_offset_ = offset;
  BlockBackend& image = *drive().image();
  // An image may end before its diskette does: the rest is blank.
  const u64 size = image.size();
  const u64 present = offset < size ? std::min<u64>(size - offset, data_.size()) : 0;
  data_.fill(0);
  const u32 token = ++backend_token_;
  if (present == 0) {
    on_backend_done(token, BlockStatus::Done);
    return;
  }
  ++backend_outstanding_;
  image.read(offset, std::span(data_).first(present), [this, token](BlockStatus status) {
    --backend_outstanding_;
    on_backend_done(token, status);
  });
}

void FloppyController::start_backend_write() {
  step_ = Step::BackendWrite;
  const u32 token = ++backend_token_;
  BlockBackend* image = drive().image();
  if (image == nullptr || backend_offset_ + host_data_.size() > image->size()) {
    on_backend_done(token, BlockStatus::Failed);
    return;
  }
  ++backend_outstanding_;
  image->write(backend_offset_, host_data_, [this, token](BlockStatus status) {
    --backend_outstanding_;
    on_backend_done(token, status);
  });
}

void FloppyController::on_backend_done(u32 token, BlockStatus status) {
  if (token != backend_token_) return;  // the controller was reset meanwhile
  if (status == BlockStatus::NoMedium) {
    fail(kSt0Abnormal, kSt1MissingMark, 0);
  } else if (step_ == Step::BackendRead) {
    if (status != BlockStatus::Done) {
      fail(kSt0Abnormal, kSt1DataError, kSt2DataError);
    } else if (operation_ == Operation::Verify) {
      next_sector(false);
    } else {
      exchange_with_host(FloppyDrive::kSectorSize);
    }
  } else if (status != BlockStatus::Done) {
    fail(kSt0Abnormal | kSt0EquipmentCheck, 0, 0);  // write fault
  } else {
    next_sector(terminal_count_);
  }
}

// --- The host -----------------------------------------------------------------------------------

void FloppyController::exchange_with_host(u16 length) {
  data_position_ = 0;
  data_length_ = length;
  if (dma_mode()) {
    exchange_by_dma();
    return;
  }
  step_ = Step::Host;
  step_timer_.arm_in(kOverrunTime);
  set_interrupt(true);
}

void FloppyController::exchange_by_dma() {
  DmaChannel::Outcome outcome;
  if (gate_open()) {
    dma_.set_request(true);
    outcome = host_to_controller() ? dma_.read_memory(std::span(host_data_).first(data_length_))
                                   : dma_.write_memory(std::span(data_).first(data_length_));
    dma_.set_request(false);
  }
  data_position_ = static_cast<u16>(outcome.transferred);
  if (data_position_ < data_length_ && !outcome.terminal_count) {
    fail(kSt0Abnormal, kSt1Overrun, 0);
  } else {
    host_done(outcome.terminal_count);
  }
}

void FloppyController::on_host_byte() {
  if (data_position_ == data_length_) {
    step_timer_.cancel();
    set_interrupt(false);
    host_done(false);  // the FIFO has no TC pin: such a command ends at EOT
  } else {
    step_timer_.arm_in(kOverrunTime);
  }
}

void FloppyController::host_done(bool terminal_count) {
  terminal_count_ = terminal_count;
  switch (operation_) {
    case Operation::Write:
      // After TC the rest of the sector is written as zeros.
      std::fill(host_data_.begin() + data_position_, host_data_.end(), u8{0});
      step_ = Step::Store;
      step_timer_.arm_in(kSectorTime);
      break;
    case Operation::Format:
      format_sector();
      break;
    case Operation::Scan:
      compare(terminal_count);
      break;
    default:
      next_sector(terminal_count);
      break;
  }
}

/// The host has given C, H, R and N of the next sector of the track.
void FloppyController::format_sector() {
  const std::optional<u64> offset = drive().offset(physical_head_, host_data_[2]);
  const bool fits = data_position_ == 4 && host_data_[0] == drive().cylinder_under_head() &&
                    host_data_[1] == physical_head_ && host_data_[3] == kSizeCode512 &&
                    size_code_ == kSizeCode512 && offset.has_value();
  if (!fits) {  // a raw image has no place for a sector with such an ID
    fail(kSt0Abnormal | kSt0EquipmentCheck, 0, 0);
    return;
  }
  sector_ = host_data_[2];
  backend_offset_ = *offset;
  host_data_.fill(parameters_[5]);
  step_ = Step::Store;
  step_timer_.arm_in(kSectorTime);
}

/// Diskette (D) against processor (P), byte by byte; FFh on either side agrees with everything.
void FloppyController::compare(bool terminal_count) {
  const u8 relation = parameters_[0] & 0x1F;
  bool equal = true;
  bool satisfied = true;
  for (unsigned i = 0; i < data_position_; ++i) {
    const u8 disk = data_[i];
    const u8 host = host_data_[i];
    if (disk == host || disk == 0xFF || host == 0xFF) continue;
    equal = false;
    const bool holds = relation == 0x19 ? disk < host : relation == 0x1D && disk > host;
    satisfied = satisfied && holds;
  }
  if (satisfied) {
    if (equal) st2_ |= kSt2ScanEqual;
    finish();
    return;
  }
  bool ended = terminal_count;
  const unsigned stride = parameters_[8] == 2 ? 2 : 1;  // STP
  for (unsigned step = 0; step < stride && !ended; ++step) ended = advance();
  if (!ended) {
    wait_for_sector(kSectorTime);
    return;
  }
  st2_ |= kSt2ScanNotSatisfied;
  finish();
}

// --- Going on and ending ------------------------------------------------------------------------

/// Steps C, H and R as the data sheet's table of result values says. True: past the last sector.
bool FloppyController::advance() {
  if (sector_ != last_sector_) {
    ++sector_;
    return false;
  }
  sector_ = 1;
  if (multi_track() && physical_head_ == 0) {
    head_ ^= 1;
    physical_head_ = 1;
    return false;
  }
  if (multi_track()) head_ ^= 1;
  ++cylinder_;
  return true;
}

void FloppyController::next_sector(bool terminal_count) {
  ++sectors_done_;
  if (operation_ == Operation::Format || operation_ == Operation::ReadTrack) {
    if (operation_ == Operation::ReadTrack) ++sector_;
    if (terminal_count || sectors_done_ == last_sector_) {
      finish();
    } else {
      wait_for_sector(kSectorTime);
    }
    return;
  }
  const bool past_end = advance();
  const bool counted = operation_ == Operation::Verify && (parameters_[1] & kVerifyCount) != 0;
  const bool enough = counted && sectors_done_ == parameters_[8];
  const bool deleted = (st2_ & kSt2ControlMark) != 0 && (parameters_[0] & kOpcodeSkip) == 0;
  if (terminal_count || enough || deleted) {
    finish();
  } else if (!past_end) {
    wait_for_sector(kSectorTime);
  } else if (operation_ == Operation::Verify && !counted) {
    finish();  // there is no TC to wait for
  } else {
    fail(kSt0Abnormal, kSt1EndOfCylinder, 0);
  }
}

void FloppyController::fail(u8 st0, u8 st1, u8 st2) {
  st0_ |= st0;
  st1_ |= st1;
  st2_ |= st2;
  finish();
}

/// Enters the result phase and says so by an interrupt.
void FloppyController::finish() {
  step_ = Step::Idle;
  step_timer_.cancel();
  reply({st0_, st1_, st2_, cylinder_, head_, sector_, size_code_});
  set_interrupt(false);  // in non-DMA mode the line may be up for the data: this is a new edge
  set_interrupt(true);
}

}  // namespace ringshift::devices
