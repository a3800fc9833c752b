// Registers, phases and the commands that move no data.
#include "devices/floppy/floppy_controller.h"

#include <algorithm>
#include <cstdlib>

namespace ringshift::devices {

namespace {

constexpr u8 kDorReset = 0x04;  // low: the chip is held in reset
constexpr u8 kDorGate = 0x08;
constexpr u8 kConfigureFifoOff = 0x20;  // EFIFO, set out of reset
constexpr u8 kConfigurePollOff = 0x10;

constexpr u8 kSt0Invalid = 0x80;
constexpr u8 kSt0ReadyChanged = 0xC0;
constexpr u8 kSt0Abnormal = 0x40;
constexpr u8 kSt0SeekEnd = 0x20;
constexpr u8 kSt0EquipmentCheck = 0x10;

constexpr Nanoseconds kResetTime = 250'000;
constexpr Nanoseconds kSettleTime = 300'000;
constexpr Nanoseconds kStepTime = 60'000;
constexpr unsigned kRecalibrateSteps = 79;

}  // namespace

const FloppyController::Command* FloppyController::find_command(u8 opcode) {
  using C = FloppyController;
  static constexpr Command kCommands[] = {
      {0x1F, 0x06, 8, &C::read_data},
      {0x1F, 0x0C, 8, &C::read_data},
      {0x3F, 0x05, 8, &C::write_data},
      {0x3F, 0x09, 8, &C::write_data},
      {0x9F, 0x02, 8, &C::read_track},
      {0x1F, 0x16, 8, &C::verify},
      {0x1F, 0x11, 8, &C::scan},
      {0x1F, 0x19, 8, &C::scan},
      {0x1F, 0x1D, 8, &C::scan},
      {0xBF, 0x0D, 5, &C::format_track},
      {0xBF, 0x0A, 1, &C::read_id},
      {0xFF, 0x03, 2, &C::specify},
      {0xFF, 0x04, 1, &C::sense_drive_status},
      {0xFF, 0x07, 1, &C::recalibrate},
      {0xFF, 0x08, 0, &C::sense_interrupt_status},
      {0xFF, 0x0E, 0, &C::dump_registers},
      {0xFF, 0x0F, 2, &C::seek},
      {0xBF, 0x8F, 2, &C::relative_seek},
      {0xFF, 0x10, 0, &C::version},
      {0xFF, 0x12, 1, &C::perpendicular_mode},
      {0xFF, 0x13, 3, &C::configure},
      {0x7F, 0x14, 0, &C::lock},
      // PART ID, SAVE, RESTORE and OPTION came with the 82078; like any other code this chip
      // doesn't know they answer 80h, which is how drivers tell the two apart.
      {0x00, 0x00, 0, &C::invalid},
  };
  const auto* found = std::find_if(
      std::begin(kCommands), std::end(kCommands),
      [opcode](const Command& command) { return (opcode & command.mask) == command.value; });
  return found;
}

FloppyController::FloppyController(EventClock& clock, DmaChannel& dma, FloppyInterface interface)
    : clock_(clock),
      dma_(dma),
      interface_(interface),
      step_timer_(clock, [this] { on_step(); }),
      reset_timer_(clock, [this] { on_reset_done(); }),
      seek_timers_{
          Timer{clock, [this] { on_seek_done(0); }}, Timer{clock, [this] { on_seek_done(1); }},
          Timer{clock, [this] { on_seek_done(2); }}, Timer{clock, [this] { on_seek_done(3); }}} {
  reset(ResetKind::PowerOn);
}

void FloppyController::reset(ResetKind kind) {
  if (kind == ResetKind::PowerOn) {
    for (FloppyDrive& drive : drives_) drive.power_on();
    srt_hut_ = hlt_nd_ = 0;
  }
  // The RESET pin unlocks what LOCK protects from software resets, and clears the DOR.
  locked_ = false;
  perpendicular_ = 0;
  tdr_ = dsr_ = 0;
  rate_ = 2;
  dor_ = 0;
  for (FloppyDrive& drive : drives_) drive.set_motor(false);
  enter_reset();
}

void FloppyController::serialize(StateArchive& archive) {
  archive.section("82077AA", 1);
  for (FloppyDrive& drive : drives_) drive.serialize(archive);
  archive.field("dor", dor_);
  archive.field("tdr", tdr_);
  archive.field("dsr", dsr_);
  archive.field("rate", rate_);
  archive.field("phase", phase_);
  archive.field("parameters", parameters_);
  archive.field("received", received_);
  archive.field("expected", expected_);
  archive.field("result", result_);
  archive.field("result_length", result_length_);
  archive.field("result_position", result_position_);
  archive.field("interrupt", interrupt_);
  archive.field("srt_hut", srt_hut_);
  archive.field("hlt_nd", hlt_nd_);
  archive.field("configuration", configuration_);
  archive.field("precompensation_track", precompensation_track_);
  archive.field("perpendicular", perpendicular_);
  archive.field("locked", locked_);
  archive.field("cylinders", cylinders_);
  archive.field("seek_target", seek_target_);
  archive.field("seek_steps", seek_steps_);
  archive.field("seek_status", seek_status_);
  archive.field("seeking", seeking_);
  archive.field("interrupt_causes", interrupt_causes_);
  serialize_transfer(archive);
  step_timer_.serialize(archive);
  reset_timer_.serialize(archive);
  for (Timer& timer : seek_timers_) timer.serialize(archive);
  if (archive.saving()) return;
  const bool fits = received_ <= parameters_.size() && expected_ <= parameters_.size() &&
                    result_length_ <= result_.size() && result_position_ <= result_length_ &&
                    data_length_ <= data_.size() && data_position_ <= data_length_;
  if (!fits) {
    archive.refuse("diskette controller out of range");
    enter_reset();
  }
  // A transfer of the image that was under way starts again: nothing of it has been seen yet.
  ++backend_token_;
  if (step_ == Step::BackendRead || step_ == Step::BackendWrite) {
    step_ = step_ == Step::BackendRead ? Step::Locate : Step::Store;
    step_timer_.arm_in(0);
  }
  irq_.restore_level(interrupt_ && gate_open());
}

void FloppyController::serialize_transfer(StateArchive& archive) {
  archive.field("operation", operation_);
  archive.field("step", step_);
  archive.field("st0", st0_);
  archive.field("st1", st1_);
  archive.field("st2", st2_);
  archive.field("c", cylinder_);
  archive.field("h", head_);
  archive.field("r", sector_);
  archive.field("n", size_code_);
  archive.field("physical_head", physical_head_);
  archive.field("sectors_done", sectors_done_);
  archive.field("last_sector", last_sector_);
  archive.field("terminal_count", terminal_count_);
  archive.field("backend_offset", backend_offset_);
  archive.field("data", data_);
  archive.field("host_data", host_data_);
  archive.field("data_position", data_position_);
  archive.field("data_length", data_length_);
}

// --- Reset and interrupt ------------------------------------------------------------------------

/// What both software resets and the pin do to the chip: whatever runs is abandoned.
void FloppyController::enter_reset() {
  step_timer_.cancel();
  reset_timer_.cancel();
  for (Timer& timer : seek_timers_) timer.cancel();
  ++backend_token_;
  phase_ = Phase::Command;
  step_ = Step::Idle;
  parameters_.fill(0);
  result_.fill(0);
  received_ = expected_ = result_length_ = result_position_ = 0;
  seeking_ = interrupt_causes_ = 0;
  cylinders_.fill(0);
  seek_target_.fill(0);
  seek_steps_.fill(0);
  seek_status_.fill(0);
  clear_transfer();
  perpendicular_ &= 0xFC;  // GAP and WGATE; the drive bits stay
  if (!locked_) {
    configuration_ = kConfigureFifoOff;
    precompensation_track_ = 0;
  }
  dma_.set_request(false);
  set_interrupt(false);
}

void FloppyController::clear_transfer() {
  operation_ = Operation::Read;
  st0_ = st1_ = st2_ = 0;
  cylinder_ = head_ = sector_ = size_code_ = 0;
  physical_head_ = sectors_done_ = last_sector_ = 0;
  terminal_count_ = false;
  backend_offset_ = 0;
  // Buffers that the host still has are none of ours.
  if (backend_outstanding_ == 0) {
    data_.fill(0);
    host_data_.fill(0);
  }
  data_position_ = data_length_ = 0;
}

/// Out of reset the chip polls all four drives and reports each of them as changed.
void FloppyController::leave_reset() {
  if ((configuration_ & kConfigurePollOff) == 0) reset_timer_.arm_in(kResetTime);
}

void FloppyController::on_reset_done() {
  for (unsigned i = 0; i < 4; ++i) seek_status_[i] = static_cast<u8>(kSt0ReadyChanged | i);
  interrupt_causes_ = 0x0F;
  set_interrupt(true);
}

void FloppyController::update_line() {
  irq_.set(interrupt_ && gate_open());
}

bool FloppyController::gate_open() const {
  return interface_ == FloppyInterface::Ps2 || (dor_ & kDorGate) != 0;
}

void FloppyController::set_interrupt(bool asserted) {
  interrupt_ = asserted;
  update_line();
}

// --- Registers ----------------------------------------------------------------------------------

u64 FloppyController::read_port(u64 offset, unsigned /*size*/) {
  switch (offset) {
    case 0:
      return interface_ == FloppyInterface::Ps2 ? status_a() : 0xFF;
    case 1:
      return interface_ == FloppyInterface::Ps2 ? status_b() : 0xFF;
    case 2:
      return dor_;
    case 3:
      return 0xFC | tdr_;  // bits 7-2 aren't driven
    case 4:
      return main_status();
    default:
      return read_fifo();
  }
}

void FloppyController::write_port(u64 offset, u64 value, unsigned /*size*/) {
  const u8 byte = static_cast<u8>(value);
  switch (offset) {
    case 2:
      write_digital_output(byte);
      break;
    case 3:
      tdr_ = byte & 3;
      break;
    case 4:
      write_data_rate_select(byte);
      break;
    case 5:
      write_fifo(byte);
      break;
    default:
      break;  // status registers A and B are read-only
  }
}

/// INT, DRV2#, STEP, TRK0#, HDSEL, INDX#, WP#, DIR of the selected drive.
u8 FloppyController::status_a() const {
  const FloppyDrive& selected = drives_[dor_ & 3];
  u8 value = 0x04;  // INDX#: no index hole just now
  if (interrupt_) value |= 0x80;
  if (!drives_[1].present()) value |= 0x40;
  if (!selected.at_track0()) value |= 0x10;
  if (physical_head_ != 0) value |= 0x08;
  if (!selected.write_protected()) value |= 0x02;
  return value;
}

/// Two unused ones, drive select 0, then toggles of data lines that never move here, and the
/// motors.
u8 FloppyController::status_b() const {
  return static_cast<u8>(0xC0 | ((dor_ & 1) != 0 ? 0x20 : 0) | (dor_ >> 4 & 3));
}

u8 FloppyController::main_status() const {
  if ((dor_ & kDorReset) == 0) return 0;
  u8 value = seeking_ & 0x0F;
  switch (phase_) {
    case Phase::Command:
      value |= 0x80;
      if (received_ != 0) value |= 0x10;
      break;
    case Phase::Execution:
      value |= 0x10;
      if (dma_mode()) break;
      value |= 0x20;
      if (step_ == Step::Host) value |= host_to_controller() ? 0x80 : 0xC0;
      break;
    case Phase::Result:
      value |= 0xD0;
      break;
  }
  return value;
}

void FloppyController::write_digital_output(u8 value) {
  const u8 changed = dor_ ^ value;
  dor_ = value;
  for (unsigned i = 0; i < 4; ++i) drives_[i].set_motor((value >> (4 + i) & 1) != 0);
  if ((changed & kDorReset) != 0) {
    if ((value & kDorReset) == 0) {
      enter_reset();
    } else {
      leave_reset();
    }
  }
  update_line();
}

void FloppyController::write_data_rate_select(u8 value) {
  dsr_ = value & 0x7F;
  rate_ = value & 3;
  if ((value & 0x80) != 0) {  // a reset that ends by itself
    enter_reset();
    if ((dor_ & kDorReset) != 0) leave_reset();
  }
}

u64 FloppyController::read_digital_input(u64 /*offset*/, unsigned /*size*/) {
  // The line is that of the selected drive, and only while its motor bit is set.
  const unsigned selected = dor_ & 3;
  const bool enabled = (dor_ >> (4 + selected) & 1) != 0;
  u8 value = enabled && drives_[selected].changed() ? 0x80 : 0;
  if (interface_ == FloppyInterface::Ps2) {
    const bool high_density = rate_ == 0 || rate_ == 3;
    value |= static_cast<u8>(0x78 | rate_ << 1 | (high_density ? 0 : 1));
  }
  return value;
}

void FloppyController::write_configuration_control(u64 /*offset*/, u64 value, unsigned /*size*/) {
  rate_ = value & 3;
}

u8 FloppyController::read_fifo() {
  if ((dor_ & kDorReset) == 0) return 0;
  if (phase_ == Phase::Execution && step_ == Step::Host && !host_to_controller()) {
    const u8 value = data_[data_position_++];
    on_host_byte();
    return value;
  }
  if (phase_ != Phase::Result) return 0;
  if (result_position_ == 0) {
    // The interrupt goes with the first result byte, and comes again for a seek not yet asked
    // about.
    set_interrupt(false);
    set_interrupt(seek_news());
  }
  const u8 value = result_[result_position_++];
  if (result_position_ == result_length_) {
    phase_ = Phase::Command;
    received_ = 0;
  }
  return value;
}

void FloppyController::write_fifo(u8 value) {
  if ((dor_ & kDorReset) == 0) return;
  if (phase_ == Phase::Execution && step_ == Step::Host && host_to_controller()) {
    host_data_[data_position_++] = value;
    on_host_byte();
    return;
  }
  if (phase_ != Phase::Command) return;
  if (received_ == 0) expected_ = static_cast<u8>(1 + find_command(value)->parameters);
  parameters_[received_++] = value;
  if (received_ < expected_) return;
  received_ = 0;
  (this->*find_command(parameters_[0])->execute)();
}

/// Enters the result phase without an interrupt.
void FloppyController::reply(std::initializer_list<u8> bytes) {
  std::copy(bytes.begin(), bytes.end(), result_.begin());
  result_length_ = static_cast<u8>(bytes.size());
  result_position_ = 0;
  phase_ = Phase::Result;
}

// --- Commands without data ----------------------------------------------------------------------

void FloppyController::invalid() {
  reply({kSt0Invalid});
}

void FloppyController::specify() {
  srt_hut_ = parameters_[1];
  hlt_nd_ = parameters_[2];
}

/// ST3: write protect, track 0, head and drive; bits 5 and 3 are always set.
void FloppyController::sense_drive_status() {
  u8 st3 = static_cast<u8>(0x28 | (parameters_[1] & 7));
  if (drive().write_protected()) st3 |= 0x40;
  if (drive().at_track0()) st3 |= 0x10;
  reply({st3});
}

void FloppyController::start_seek(unsigned drive, int steps, u8 new_cylinder, u8 status) {
  seek_steps_[drive] = steps;
  seek_target_[drive] = new_cylinder;
  seek_status_[drive] = status;
  seeking_ |= static_cast<u8>(1U << drive);
  interrupt_causes_ &= static_cast<u8>(~(1U << drive));
  seek_timers_[drive].arm_in(kSettleTime + static_cast<u64>(std::abs(steps)) * kStepTime);
}

void FloppyController::recalibrate() {
  const unsigned number = parameters_[1] & 3;
  const FloppyDrive& which = drives_[number];
  // Outwards until TRK0, at most 79 steps: where it isn't found by then the drive is reported.
  const bool found = which.present() && which.head_position() <= kRecalibrateSteps;
  const int steps = found ? static_cast<int>(which.head_position()) : int{kRecalibrateSteps};
  const u8 status = found ? kSt0SeekEnd : kSt0Abnormal | kSt0SeekEnd | kSt0EquipmentCheck;
  start_seek(number, -steps, 0, static_cast<u8>(status | number));
}

void FloppyController::seek() {
  const unsigned number = parameters_[1] & 3;
  const int steps = int{parameters_[2]} - int{cylinders_[number]};
  start_seek(number, steps, parameters_[2], static_cast<u8>(kSt0SeekEnd | (parameters_[1] & 7)));
}

void FloppyController::relative_seek() {
  const unsigned number = parameters_[1] & 3;
  const int distance = parameters_[2];
  const int steps = (parameters_[0] & 0x40) != 0 ? distance : -distance;
  start_seek(number, steps, static_cast<u8>(cylinders_[number] + steps),
             static_cast<u8>(kSt0SeekEnd | (parameters_[1] & 7)));
}

void FloppyController::on_seek_done(unsigned drive) {
  drives_[drive].step(seek_steps_[drive]);
  cylinders_[drive] = seek_target_[drive];
  seeking_ &= static_cast<u8>(~(1U << drive));
  interrupt_causes_ |= static_cast<u8>(1U << drive);
  set_interrupt(true);
}

/// Whether a seek has ended that SENSE INTERRUPT STATUS hasn't reported. After a reset one
/// interrupt stands for all four drives, so their reports don't count.
bool FloppyController::seek_news() const {
  for (unsigned number = 0; number < 4; ++number) {
    const bool polled = (seek_status_[number] & kSt0ReadyChanged) == kSt0ReadyChanged;
    if ((interrupt_causes_ >> number & 1) != 0 && !polled) return true;
  }
  return false;
}

void FloppyController::sense_interrupt_status() {
  for (unsigned number = 0; number < 4; ++number) {
    if ((interrupt_causes_ >> number & 1) == 0) continue;
    interrupt_causes_ &= static_cast<u8>(~(1U << number));
    set_interrupt(false);
    reply({seek_status_[number], cylinders_[number]});
    return;
  }
  reply({kSt0Invalid});
}

void FloppyController::version() {
  reply({0x90});
}

void FloppyController::dump_registers() {
  const u8 last = static_cast<u8>((locked_ ? 0x80 : 0) | perpendicular_);
  reply({cylinders_[0], cylinders_[1], cylinders_[2], cylinders_[3], srt_hut_, hlt_nd_,
         last_sector_, last, configuration_, precompensation_track_});
}

void FloppyController::perpendicular_mode() {
  // The drive bits change only with OW set; GAP and WGATE always.
  const u8 value = parameters_[1];
  if ((value & 0x80) != 0) perpendicular_ = value & 0x3C;
  perpendicular_ = static_cast<u8>((perpendicular_ & 0x3C) | (value & 3));
}

void FloppyController::configure() {
  configuration_ = parameters_[2] & 0x7F;
  precompensation_track_ = parameters_[3];
}

void FloppyController::lock() {
  locked_ = (parameters_[0] & 0x80) != 0;
  reply({static_cast<u8>(locked_ ? 0x10 : 0)});
}

}  // namespace ringshift::devices
