#include "devices/interrupt/isa_interrupts.h"

namespace ringshift::devices {

u8 IsaInterrupts::effective(unsigned number) const {
  const bool replaced = legacy_replacement_ && (number == 0 || number == 8);
  return drivers_[number] & (replaced ? u8{kHpet | kPci} : u8{0xFF});
}

void IsaInterrupts::drive(unsigned number, Driver driver, bool level) {
  if (number >= kLines) return;
  if (level) {
    drivers_[number] |= driver;
  } else {
    drivers_[number] &= static_cast<u8>(~driver);
  }
  update(number);
}

void IsaInterrupts::update(unsigned number) {
  const bool level = effective(number) != 0;
  if (level == (((outputs_ >> number) & 1) != 0)) return;
  outputs_ ^= static_cast<u16>(1U << number);
  pic_.set_irq(number, level);
  io_apic_.set_irq(number == 0 ? kTimerPin : number, level);
}

void IsaInterrupts::set_legacy_replacement(bool active) {
  legacy_replacement_ = active;
  update(0);
  update(8);
}

void IsaInterrupts::serialize(StateArchive& archive) {
  archive.section("isa interrupts", 1);
  archive.field("drivers", drivers_);
  archive.field("outputs", outputs_);
  archive.field("legacy replacement", legacy_replacement_);
}

}  // namespace ringshift::devices
