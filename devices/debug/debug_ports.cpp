#include "devices/debug/debug_ports.h"

namespace ringshift::devices {

void PanicPort::reset(ResetKind) {
  events_ = 0;
}

void PanicPort::serialize(StateArchive& archive) {
  archive.section("pvpanic", 1);
  archive.field("events", events_);
}

void PanicPort::io_write(u64, u64 value, unsigned) {
  const u8 reported = static_cast<u8>(value) & (kPanicked | kCrashLoaded);
  events_ |= reported;
  // With a crash kernel loaded the guest still has work to do: that is no end of the machine.
  if ((reported & kPanicked) != 0) machine_.guest_panicked();
}

}  // namespace ringshift::devices
