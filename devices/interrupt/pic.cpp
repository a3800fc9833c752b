#include "devices/interrupt/pic.h"

namespace ringshift::devices {

namespace {

constexpr u8 bit(unsigned level) {
  return static_cast<u8>(1U << level);
}

}  // namespace

// --- One chip -----------------------------------------------------------------------------------

void Pic8259::reset() {
  initialisation_ = Initialisation::Never;
  icw1_ = icw2_ = icw3_ = icw4_ = 0;
  requests_ = in_service_ = mask_ = elcr_ = 0;
  lowest_priority_ = 7;
  special_mask_ = rotate_on_automatic_eoi_ = read_in_service_ = poll_ = false;
}

void Pic8259::serialize(StateArchive& archive) {
  archive.section("8259A", 1);
  archive.field("initialisation", initialisation_);
  archive.field("icw1", icw1_);
  archive.field("icw2", icw2_);
  archive.field("icw3", icw3_);
  archive.field("icw4", icw4_);
  archive.field("inputs", inputs_);
  archive.field("irr", requests_);
  archive.field("isr", in_service_);
  archive.field("imr", mask_);
  archive.field("elcr", elcr_);
  archive.field("lowest_priority", lowest_priority_);
  archive.field("special_mask", special_mask_);
  archive.field("rotate_on_automatic_eoi", rotate_on_automatic_eoi_);
  archive.field("read_in_service", read_in_service_);
  archive.field("poll", poll_);
  lowest_priority_ &= 7;
}

void Pic8259::set_input(unsigned level, bool high) {
  const u8 line = bit(level);
  const bool was_high = (inputs_ & line) != 0;
  if (high) {
    inputs_ |= line;
    // Level-triggered inputs request as long as they are high; edge-triggered ones once per rise.
    if ((elcr_ & line) != 0 || !was_high) requests_ |= line;
  } else {
    inputs_ &= static_cast<u8>(~line);
    // An input must stay high until the first INTA in both modes; the request goes with it.
    requests_ &= static_cast<u8>(~line);
  }
}

void Pic8259::set_elcr(u8 value) {
  elcr_ = value & elcr_writable_;
  requests_ |= elcr_ & inputs_;
}

/// The level in `bits` with the highest priority under the present rotation, or kNone.
unsigned Pic8259::highest_in(u8 bits) const {
  for (unsigned step = 1; step <= 8; ++step) {
    const unsigned level = (lowest_priority_ + step) & 7;
    if ((bits & bit(level)) != 0) return level;
  }
  return kNone;
}

unsigned Pic8259::highest_request() const {
  const u8 wanted = requests_ & static_cast<u8>(~mask_);
  u8 blocking = in_service_;
  // Special mask mode: a masked level in service holds nobody back.
  if (special_mask_) blocking &= static_cast<u8>(~mask_);
  for (unsigned step = 1; step <= 8; ++step) {
    const unsigned level = (lowest_priority_ + step) & 7;
    const bool served = (blocking & bit(level)) != 0;
    // Special fully nested mode: a slave in service may still bring a more urgent request.
    const bool nested = served && master_ && special_fully_nested() && has_slave(level);
    if ((wanted & bit(level)) != 0 && (!served || nested)) return level;
    if (served) return kNone;
  }
  return kNone;
}

unsigned Pic8259::acknowledge() {
  const unsigned level = ready() ? highest_request() : kNone;
  if (level == kNone) return 7;
  // An edge is consumed; a level-triggered request lasts as long as its input.
  if ((elcr_ & bit(level)) == 0) requests_ &= static_cast<u8>(~bit(level));
  if (automatic_eoi()) {
    if (rotate_on_automatic_eoi_) lowest_priority_ = static_cast<u8>(level);
  } else {
    in_service_ |= bit(level);
  }
  return level;
}

u8 Pic8259::vector(unsigned level) const {
  if ((icw4_ & 0x01) != 0) return static_cast<u8>((icw2_ & 0xF8) | level);
  // MCS-80/85 mode: the second byte is the low half of a CALL's address, at intervals of 4 or 8.
  if ((icw1_ & 0x04) != 0) return static_cast<u8>((icw1_ & 0xE0) | (level << 2));
  return static_cast<u8>((icw1_ & 0xC0) | (level << 3));
}

u8 Pic8259::poll() {
  poll_ = false;
  if (!interrupt()) return 0;
  return static_cast<u8>(0x80 | acknowledge());
}

u8 Pic8259::read(unsigned a0) {
  if (poll_) return poll();
  if (a0 == 1) return mask_;
  return read_in_service_ ? in_service_ : requests_;
}

void Pic8259::write(unsigned a0, u8 value) {
  if (a0 == 1) {
    if (initialisation_ == Initialisation::Done || initialisation_ == Initialisation::Never) {
      mask_ = value;  // OCW1
    } else {
      write_icw(value);
    }
  } else if ((value & 0x10) != 0) {
    begin_initialisation(value);
  } else if ((value & 0x08) != 0) {
    write_ocw3(value);
  } else {
    write_ocw2(value);
  }
}

void Pic8259::begin_initialisation(u8 icw1) {
  icw1_ = icw1;
  if ((icw1 & 0x01) == 0) icw4_ = 0;
  icw3_ = master_ ? 0 : 7;
  mask_ = 0;
  in_service_ = 0;
  requests_ = elcr_ & inputs_;  // the edge sense circuit forgets; levels are still there
  lowest_priority_ = 7;
  special_mask_ = rotate_on_automatic_eoi_ = read_in_service_ = poll_ = false;
  initialisation_ = Initialisation::Icw2;
}

void Pic8259::write_icw(u8 value) {
  const bool wants_icw4 = (icw1_ & 0x01) != 0;
  const Initialisation last = wants_icw4 ? Initialisation::Icw4 : Initialisation::Done;
  switch (initialisation_) {
    case Initialisation::Icw2:
      icw2_ = value;
      initialisation_ = single() ? last : Initialisation::Icw3;
      break;
    case Initialisation::Icw3:
      icw3_ = value;
      initialisation_ = last;
      break;
    case Initialisation::Icw4:
      icw4_ = value;
      initialisation_ = Initialisation::Done;
      break;
    case Initialisation::Never:
    case Initialisation::Done:
      break;
  }
}

void Pic8259::write_ocw2(u8 value) {
  const unsigned named = value & 7;
  u8 candidates = in_service_;
  if (special_mask_) candidates &= static_cast<u8>(~mask_);
  const unsigned highest = highest_in(candidates);
  switch (value >> 5) {  // R, SL, EOI
    case 0:
      rotate_on_automatic_eoi_ = false;
      break;
    case 1:  // non-specific EOI
      if (highest != kNone) end_of_interrupt(highest);
      break;
    case 3:  // specific EOI
      end_of_interrupt(named);
      break;
    case 4:
      rotate_on_automatic_eoi_ = true;
      break;
    case 5:  // rotate on non-specific EOI
      if (highest == kNone) break;
      end_of_interrupt(highest);
      lowest_priority_ = static_cast<u8>(highest);
      break;
    case 6:  // set priority
      lowest_priority_ = static_cast<u8>(named);
      break;
    case 7:  // rotate on specific EOI
      end_of_interrupt(named);
      lowest_priority_ = static_cast<u8>(named);
      break;
    default:  // 2: no operation
      break;
  }
}

void Pic8259::write_ocw3(u8 value) {
  if ((value & 0x40) != 0) special_mask_ = (value & 0x20) != 0;
  if ((value & 0x02) != 0) read_in_service_ = (value & 0x01) != 0;
  poll_ = (value & 0x04) != 0;
}

// --- The pair -----------------------------------------------------------------------------------

DualPic::DualPic() {
  master_.set_master();
}

void DualPic::reset(ResetKind /*kind*/) {
  master_.reset();
  slave_.reset();
  update();
}

void DualPic::serialize(StateArchive& archive) {
  archive.section("dual 8259A", 1);
  master_.serialize(archive);
  slave_.serialize(archive);
  if (archive.restoring()) output_.restore_level(master_.interrupt());
}

void DualPic::set_irq(unsigned number, bool level) {
  if (number == kCascade || number >= 16) return;
  if (number < 8) {
    master_.set_input(number, level);
  } else {
    slave_.set_input(number - 8, level);
  }
  update();
}

/// Passes the slave's INT to IR2 and the master's to the processor.
void DualPic::update() {
  master_.set_input(kCascade, slave_.interrupt());
  output_.set(master_.interrupt());
}

u8 DualPic::acknowledge() {
  const unsigned level = master_.acknowledge();
  u8 vector = master_.vector(level);
  if (master_.has_slave(level)) {
    if (level == kCascade && slave_.slave_identity() == kCascade) {
      vector = slave_.vector(slave_.acknowledge());
      // INT falls with the acknowledge, so that what the slave still has is a new edge on IR2.
      master_.set_input(kCascade, false);
    } else {
      vector = 0xFF;  // nobody answers the cascade address: the bus floats
    }
  }
  update();
  return vector;
}

u64 DualPic::read_master(u64 offset, unsigned /*size*/) {
  const u8 value = master_.read(offset & 1);
  update();
  return value;
}

void DualPic::write_master(u64 offset, u64 value, unsigned /*size*/) {
  master_.write(offset & 1, static_cast<u8>(value));
  update();
}

u64 DualPic::read_slave(u64 offset, unsigned /*size*/) {
  const bool acknowledged = slave_.polling() && slave_.interrupt();
  const u8 value = slave_.read(offset & 1);
  if (acknowledged) master_.set_input(kCascade, false);  // see acknowledge()
  update();
  return value;
}

void DualPic::write_slave(u64 offset, u64 value, unsigned /*size*/) {
  slave_.write(offset & 1, static_cast<u8>(value));
  update();
}

u64 DualPic::read_elcr(u64 offset, unsigned /*size*/) {
  return (offset & 1) == 0 ? master_.elcr() : slave_.elcr();
}

void DualPic::write_elcr(u64 offset, u64 value, unsigned /*size*/) {
  Pic8259& chip = (offset & 1) == 0 ? master_ : slave_;
  chip.set_elcr(static_cast<u8>(value));
  update();
}

}  // namespace ringshift::devices
