// What the tests of board devices share: both address spaces, a hand-driven clock, a front panel
// that counts what was asked of it, and a receiver for interrupt lines.
#pragma once

#include <array>

#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/irq.h"
#include "devices/pci/pci.h"
#include "devices/port_bus.h"
#include "mmu/memory_map.h"

namespace ringshift::devices::test {

class FrontPanel final : public MachineControl {
 public:
  void request_reset() override { ++resets; }
  void request_power_off() override { ++power_offs; }
  void request_debug_exit(u32) override {}
  void guest_panicked() override {}
  void set_a20(bool) override {}
  int resets = 0;
  int power_offs = 0;
};

class Interrupts final : public IrqSink {
 public:
  void set_irq(unsigned number, bool level) override {
    levels_.at(number) = level;
    if (level) ++edges_.at(number);
  }
  bool level(unsigned number) const { return levels_.at(number); }
  /// Rising edges since the last call.
  int edges(unsigned number) { return std::exchange(edges_.at(number), 0); }

 private:
  std::array<bool, 256> levels_{};
  std::array<int, 256> edges_{};
};

struct Board {
  ManualTime time;
  EventClock clock{time};
  PortBus ports;
  mmu::MemoryMap memory;
  PciAddressSpaces spaces{ports, memory};
  PciBus bus;
  FrontPanel control;
  Interrupts interrupts;

  /// Lets `nanoseconds` pass, event by event.
  void run(Nanoseconds nanoseconds) {
    const Nanoseconds end = time.now() + nanoseconds;
    while (clock.next_deadline() <= end) {
      const Nanoseconds next = std::max(clock.next_deadline(), time.now());
      time.advance(next - time.now());
      clock.run_due();
    }
    time.advance(end - time.now());
  }
};

}  // namespace ringshift::devices::test
