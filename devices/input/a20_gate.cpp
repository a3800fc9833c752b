#include "devices/input/a20_gate.h"

namespace ringshift::devices {

void A20Gate::reset(ResetKind /*kind*/) {
  keyboard_controller_ = true;
  port92_ = 0;
  machine_.set_a20(true);
}

void A20Gate::serialize(StateArchive& archive) {
  archive.section("A20 gate", 1);
  archive.field("keyboard_controller", keyboard_controller_);
  archive.field("port92", port92_);
  if (archive.restoring()) machine_.set_a20(enabled());
}

void A20Gate::set_keyboard_controller(bool high) {
  const bool before = enabled();
  keyboard_controller_ = high;
  if (enabled() != before) machine_.set_a20(enabled());
}

u64 A20Gate::read_port92(u64 /*offset*/, unsigned /*size*/) {
  return port92_;
}

void A20Gate::write_port92(u64 /*offset*/, u64 value, unsigned /*size*/) {
  const bool before = enabled();
  const bool pulse = (value & kFastReset) != 0 && (port92_ & kFastReset) == 0;
  port92_ = value & (kFastReset | kFastA20);
  if (enabled() != before) machine_.set_a20(enabled());
  if (pulse) machine_.request_reset();
}

}  // namespace ringshift::devices
