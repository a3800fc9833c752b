// A local APIC with everything around it played by the test.
#pragma once

#include <vector>

#include "devices/interrupt/io_apic.h"
#include "devices/interrupt/local_apic.h"

namespace ringshift::devices::test {

struct CountingSink : IrqSink {
  void set_irq(unsigned, bool level) override {
    now = level;
    if (level) ++rises;
  }
  bool now = false;
  unsigned rises = 0;
};

struct FakePic : InterruptAcknowledge {
  u8 acknowledge() override { return ++asked, vector; }
  u8 vector = 0x08;
  unsigned asked = 0;
};

struct FakeProcessor : ApicProcessor {
  void init() override { ++inits; }
  void start_up(u8 vector) override { start_vectors.push_back(vector); }
  void smi() override { ++smis; }
  unsigned inits = 0, smis = 0;
  std::vector<u8> start_vectors;
};

/// A 2 GHz time-stamp counter that follows guest time.
struct FakeTsc : TscSource {
  explicit FakeTsc(EventClock& the_clock) : clock(the_clock) {}
  u64 tsc() override { return clock.now() * 2; }
  Nanoseconds time_of_tsc(u64 value) override { return (value + 1) / 2; }
  EventClock& clock;
};

struct ApicFixture {
  ManualTime time;
  EventClock clock{time};
  ApicBus bus;
  FakeTsc tsc{clock};
  FakePic pic;
  FakeProcessor processor;
  mmu::MemoryMap memory;
  LocalApic apic{{clock, bus, tsc, pic, processor, memory}, {0, true, 36}};
  CountingSink intr, nmi;

  ApicFixture() {
    apic.interrupt().connect(intr, 0);
    apic.nmi().connect(nmi, 0);
  }
  u32 read(unsigned offset) { return static_cast<u32>(apic.registers().io_read(offset, 4)); }
  void write(unsigned offset, u32 value) { apic.registers().io_write(offset, value, 4); }
  void enable() { write(0xF0, 0x1FF); }
  void self_ipi(u8 vector) { write(0x300, 0x40000u | vector); }
  void advance(Nanoseconds by) {
    time.advance(by);
    clock.run_due();
  }
};

}  // namespace ringshift::devices::test
