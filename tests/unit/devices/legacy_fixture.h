// What the tests of the PC's legacy devices share: a hand-driven clock that stops at every event, a
// front panel that records, receivers for interrupt lines, and byte accesses to handlers.
#pragma once

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "cpu/io_handler.h"
#include "cpu/state_archive.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices::test {

inline u8 in(IoHandler& handler, u64 offset = 0) {
  return static_cast<u8>(handler.io_read(offset, 1));
}
inline void out(IoHandler& handler, u64 offset, u8 value) {
  handler.io_write(offset, value, 1);
}

struct LegacyPanel final : MachineControl {
  void request_reset() override { ++resets; }
  void request_power_off() override {}
  void request_debug_exit(u32) override {}
  void guest_panicked() override {}
  void set_a20(bool enabled) override { a20.push_back(enabled); }
  int resets = 0;
  std::vector<bool> a20;
};

struct LineRecorder final : IrqSink {
  void set_irq(unsigned number, bool level) override {
    levels[number] = level;
    if (level) ++rises[number];
  }
  int take_rises(unsigned number) { return std::exchange(rises[number], 0); }
  std::map<unsigned, bool> levels;
  std::map<unsigned, int> rises;
};

struct LegacyBoard {
  ManualTime time;
  EventClock clock{time};
  LegacyPanel panel;
  LineRecorder lines;

  /// Lets time pass, stopping at every event.
  void run(Nanoseconds duration) {
    const Nanoseconds end = time.now() + duration;
    while (clock.next_deadline() <= end) {
      if (clock.next_deadline() > time.now()) time.advance(clock.next_deadline() - time.now());
      clock.run_due();
    }
    time.advance(end - time.now());
  }
  /// Lets time pass in one go, as when the host has stopped the process, then runs what is due.
  void stall(Nanoseconds duration) {
    time.advance(duration);
    clock.run_due();
  }
};

inline std::vector<u8> save(Device& device) {
  StateArchive archive;
  device.serialize(archive);
  return archive.bytes();
}

/// Whether `to` accepts the state of `from` and then has the same.
inline bool copies(Device& from, Device& to) {
  const std::vector<u8> state = save(from);
  StateArchive archive(state);
  to.serialize(archive);
  return archive.finish().ok() && save(to) == state;
}

}  // namespace ringshift::devices::test
