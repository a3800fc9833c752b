// Expected values: SDM 3A chapter 10.
#include <catch2/catch.hpp>

#include "tests/unit/devices/apic_fixture.h"

using namespace ringshift;
using namespace ringshift::devices;
using namespace ringshift::devices::test;

TEST_CASE("local APIC: state after power-up") {
  ApicFixture f;
  CHECK(f.read(0x20) == 0);
  CHECK(f.read(0x30) == 0x00050014);
  CHECK(f.read(0x80) == 0);
  CHECK(f.read(0xD0) == 0);
  CHECK(f.read(0xE0) == 0xFFFFFFFF);
  CHECK(f.read(0xF0) == 0xFF);
  for (unsigned lvt = 0x320; lvt <= 0x370; lvt += 0x10) CHECK(f.read(lvt) == 0x10000);
  CHECK(f.read(0x300) == 0);
  CHECK(f.read(0x380) == 0);
  CHECK(f.read(0x390) == 0);
  CHECK(f.read(0x3E0) == 0);
  u64 base = 0;
  REQUIRE(f.apic.read_msr(0x1B, base));
  CHECK(base == 0xFEE00900);
  u64 other = 0;
  CHECK_FALSE(f.apic.read_msr(0x1C, other));
  CHECK_FALSE(f.apic.write_msr(0x1C, 0));
}

TEST_CASE("local APIC: the register page follows IA32_APIC_BASE") {
  ApicFixture f;
  CHECK(f.memory.read_value({0xFEE00030}, 4) == 0x50014);
  REQUIRE(f.apic.write_msr(0x1B, 0xD0000800));
  CHECK(f.memory.read_value({0xFEE00030}, 4) == 0xFFFFFFFF);
  CHECK(f.memory.read_value({0xD0000030}, 4) == 0x50014);
  u64 base = 0;
  f.apic.read_msr(0x1B, base);
  CHECK(base == 0xD0000900);                            // BSP is read-only
  CHECK_FALSE(f.apic.write_msr(0x1B, 0xFEE00C00));      // x2APIC isn't there
  CHECK_FALSE(f.apic.write_msr(0x1B, 0xFEE00801));      // reserved
  CHECK_FALSE(f.apic.write_msr(0x1B, 0x10'FEE0'0800));  // above 36 address bits
  REQUIRE(f.apic.write_msr(0x1B, 0xD0000000));
  CHECK_FALSE(f.apic.enabled());
  CHECK(f.memory.read_value({0xD0000030}, 4) == 0xFFFFFFFF);
}

TEST_CASE("local APIC: without it the LINT pins are INTR and NMI") {
  ApicFixture f;
  f.apic.write_msr(0x1B, 0xFEE00000);
  f.apic.set_irq(LocalApic::kLint0, true);
  CHECK(f.intr.now);
  CHECK(f.apic.acknowledge() == 0x08);
  f.apic.set_irq(LocalApic::kLint0, false);
  CHECK_FALSE(f.intr.now);
  f.apic.set_irq(LocalApic::kLint1, true);
  f.apic.set_irq(LocalApic::kLint1, false);
  CHECK(f.nmi.rises == 1);
}

TEST_CASE("local APIC: virtual wire through LINT0 and LINT1") {
  ApicFixture f;
  f.apic.set_irq(LocalApic::kLint0, true);
  CHECK_FALSE(f.intr.now);  // masked after power-up
  f.enable();
  f.write(0x350, 0x700);
  CHECK(f.intr.now);
  CHECK(f.apic.acknowledge() == 0x08);
  CHECK(f.pic.asked == 1);
  CHECK(f.read(0x100) == 0);  // ExtINT is no business of ISR
  f.apic.set_irq(LocalApic::kLint0, false);
  CHECK_FALSE(f.intr.now);
  f.write(0x360, 0x400);
  f.apic.set_irq(LocalApic::kLint1, true);
  CHECK(f.nmi.rises == 1);
  f.apic.set_irq(LocalApic::kLint1, false);
  CHECK(f.nmi.rises == 1);
}

TEST_CASE("local APIC: fixed interrupts by priority, nesting and EOI") {
  ApicFixture f;
  f.enable();
  f.self_ipi(0x41);
  f.self_ipi(0x52);
  CHECK(f.intr.now);
  CHECK(f.read(0x220) == 0x00040002);  // IRR 40h-5Fh
  CHECK(f.apic.acknowledge() == 0x52);
  CHECK(f.read(0x120) == 0x00040000);
  CHECK(f.read(0xA0) == 0x50);
  CHECK_FALSE(f.intr.now);
  f.self_ipi(0x5F);  // same class: waits
  CHECK_FALSE(f.intr.now);
  f.self_ipi(0x60);
  CHECK(f.intr.now);
  CHECK(f.apic.acknowledge() == 0x60);
  f.write(0xB0, 0);
  CHECK_FALSE(f.intr.now);
  f.write(0xB0, 0);
  CHECK(f.apic.acknowledge() == 0x5F);
  f.write(0xB0, 0);
  CHECK(f.apic.acknowledge() == 0x41);
  f.write(0xB0, 0);
  f.write(0xB0, 0);  // an EOI too many does nothing
  CHECK_FALSE(f.intr.now);
}

TEST_CASE("local APIC: task priority holds back its class and below") {
  ApicFixture f;
  f.enable();
  f.write(0x80, 0x45);
  f.self_ipi(0x4F);
  CHECK_FALSE(f.intr.now);
  CHECK(f.read(0xA0) == 0x45);
  CHECK(f.read(0x90) == 0x45);
  f.self_ipi(0x51);
  CHECK(f.intr.now);
  CHECK(f.read(0x90) == 0x50);
  f.apic.set_task_priority(0xF0);
  CHECK_FALSE(f.intr.now);
  CHECK(f.apic.acknowledge() == 0xFF);  // spurious: SDM 3A §10.9
  CHECK(f.read(0x120) == 0);
  f.apic.set_task_priority(0x00);
  CHECK(f.apic.acknowledge() == 0x51);
}

TEST_CASE("local APIC: software disable masks the LVT and refuses messages") {
  ApicFixture f;
  f.enable();
  f.write(0x320, 0x20030);
  f.self_ipi(0x33);
  f.write(0xF0, 0x0FF);
  CHECK(f.read(0x320) == 0x30030);
  f.write(0x320, 0x30);
  CHECK(f.read(0x320) == 0x10030);
  f.self_ipi(0x44);
  CHECK(f.read(0x220) == 0);
  CHECK_FALSE(f.apic.accepts_interrupts());
  CHECK(f.apic.acknowledge() == 0x33);  // what was pending is still handled
}

TEST_CASE("local APIC: errors are logged and shown by a write to ESR") {
  ApicFixture f;
  f.enable();
  f.write(0x370, 0xFE);
  f.self_ipi(0x0F);
  CHECK(f.read(0x280) == 0);
  CHECK(f.apic.acknowledge() == 0xFE);
  f.write(0xB0, 0);
  f.write(0x280, 0);
  CHECK(f.read(0x280) == 0x20);
  f.read(0x3F0);
  f.bus.deliver({0, DestinationMode::Physical, DeliveryMode::Fixed, TriggerMode::Edge, 3, true});
  f.write(0x280, 0);
  CHECK(f.read(0x280) == 0xC0);
  f.write(0x280, 0);
  CHECK(f.read(0x280) == 0);
  f.write(0x370, 0x05);  // an error interrupt with an illegal vector is one more error
  f.write(0x2F0, 0);
  f.write(0x280, 0);
  CHECK(f.read(0x280) == 0xC0);
}

TEST_CASE("local APIC: read-only registers and odd offsets") {
  ApicFixture f;
  for (unsigned offset : {0x30u, 0x90u, 0xA0u, 0xC0u, 0x390u, 0x100u, 0x210u}) {
    const u32 before = f.read(offset);
    f.write(offset, 0xFFFFFFFF);
    CHECK(f.read(offset) == before);
  }
  CHECK(f.read(0xB0) == 0);
  CHECK(f.read(0x34) == 0);
  f.write(0x84, 0xFF);
  CHECK(f.read(0x80) == 0);
  f.write(0x20, 0x05FFFFFF);
  CHECK(f.read(0x20) == 0x05000000);
  f.write(0x310, 0x12345678);
  CHECK(f.read(0x310) == 0x12000000);
  f.enable();
  f.write(0x350, 0xFFFEFFFF);
  CHECK(f.read(0x350) == 0xA7FF);
  f.write(0x340, 0xFFFFFFFF);
  CHECK(f.read(0x340) == 0x107FF);
}

TEST_CASE("local APIC: destinations") {
  ApicFixture f;
  f.write(0x20, 0x03000000);
  CHECK(f.apic.is_destination(3, DestinationMode::Physical));
  CHECK_FALSE(f.apic.is_destination(1, DestinationMode::Physical));
  CHECK(f.apic.is_destination(0xFF, DestinationMode::Physical));
  f.write(0xD0, 0x22000000);
  CHECK(f.apic.is_destination(0x02, DestinationMode::Logical));  // flat
  CHECK_FALSE(f.apic.is_destination(0x04, DestinationMode::Logical));
  f.write(0xE0, 0);  // cluster
  CHECK(f.read(0xE0) == 0x0FFFFFFF);
  CHECK(f.apic.is_destination(0x23, DestinationMode::Logical));
  CHECK_FALSE(f.apic.is_destination(0x12, DestinationMode::Logical));
  CHECK_FALSE(f.apic.is_destination(0x21, DestinationMode::Logical));
}

TEST_CASE("local APIC: interprocessor interrupts between two processors") {
  ApicFixture f;
  FakeProcessor second;
  f.apic.write_msr(0x1B, 0xFEE00800);
  mmu::MemoryMap other_view;
  LocalApic other({f.clock, f.bus, f.tsc, f.pic, second, other_view}, {1, false, 36});
  CountingSink other_nmi;
  other.nmi().connect(other_nmi, 0);
  auto send = [&](u32 low) {
    f.write(0x310, 0x01000000);
    f.write(0x300, low);
  };
  send(0x0C500);  // INIT, level, assert
  CHECK(second.inits == 1);
  send(0x08500);  // INIT level de-assert
  CHECK(second.inits == 1);
  send(0x00699);
  CHECK(second.start_vectors == std::vector<u8>{0x99});
  send(0x00400);
  CHECK(other_nmi.rises == 1);
  send(0x00200);
  CHECK(second.smis == 1);
  send(0x00300), send(0x00700);  // remote read and ExtINT: reserved
  CHECK(f.processor.inits + f.processor.smis + f.nmi.rises == 0);
  other.registers().io_write(0xF0, 0x1FF, 4);
  f.enable();
  f.write(0x300, 0xC0080);  // all but self
  CHECK(other.acknowledge() == 0x80);
  CHECK_FALSE(f.intr.now);
  f.write(0x300, 0x80090);             // all
  CHECK(other.acknowledge() == 0x90);  // a higher class than 80h, which it has in service
  CHECK(f.apic.acknowledge() == 0x90);
  u64 base = 0;
  other.read_msr(0x1B, base);
  CHECK(base == 0xFEE00800);
}

TEST_CASE("local APIC: lowest priority goes to the least busy processor") {
  ApicFixture f;
  FakeProcessor second;
  mmu::MemoryMap other_view;
  LocalApic other({f.clock, f.bus, f.tsc, f.pic, second, other_view}, {1, false, 36});
  f.enable();
  const ApicMessage message{
      0xFF, DestinationMode::Physical, DeliveryMode::LowestPriority, TriggerMode::Edge, 0x61, true};
  f.write(0x80, 0x50);
  CHECK(f.bus.deliver(message));
  CHECK(f.apic.acknowledge() == 0x61);  // the other one is disabled
  other.registers().io_write(0xF0, 0x1FF, 4);
  CHECK(f.bus.deliver(message));
  CHECK(other.acknowledge() == 0x61);
  const ApicMessage nobody{
      7, DestinationMode::Physical, DeliveryMode::LowestPriority, TriggerMode::Edge, 0x61, true};
  CHECK_FALSE(f.bus.deliver(nobody));
}

TEST_CASE("local APIC: one-shot timer counts down once") {
  ApicFixture f;
  f.enable();
  f.write(0x320, 0x40);
  f.write(0x3E0, 0xB);  // divide by 1
  f.write(0x380, 1000);
  f.advance(4000);
  CHECK(f.read(0x390) == 600);
  CHECK_FALSE(f.intr.now);
  f.write(0x3E0, 0x3);  // divide by 16 from here on
  f.advance(160 * 100);
  CHECK(f.read(0x390) == 500);
  f.advance(160 * 500);
  CHECK(f.read(0x390) == 0);
  CHECK(f.apic.acknowledge() == 0x40);
  f.advance(1'000'000'000);
  CHECK(f.read(0x380) == 1000);
  CHECK(f.intr.rises == 1);
  CHECK(f.clock.next_deadline() == kNever);
}

TEST_CASE("local APIC: timer divisors") {
  ApicFixture f;
  const unsigned codes[] = {0xB, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xA};
  for (unsigned i = 0; i < 8; ++i) {
    f.write(0x3E0, codes[i]);
    CHECK(f.read(0x3E0) == codes[i]);
    f.write(0x380, 0xFFFFFFFF);
    f.advance(10u * 128 * 50);
    CHECK(0xFFFFFFFF - f.read(0x390) == (128u * 50) >> i);
  }
}

TEST_CASE("local APIC: periodic timer reloads and merges what comes too late") {
  ApicFixture f;
  f.enable();
  f.write(0x320, 0x20040);
  f.write(0x3E0, 0xB);
  f.write(0x380, 10'000);  // 100 µs
  for (unsigned i = 0; i < 3; ++i) {
    f.advance(100'000);
    REQUIRE(f.intr.now);
    CHECK(f.apic.acknowledge() == 0x40);
    f.write(0xB0, 0);
  }
  f.advance(1'050'000);
  CHECK(f.apic.acknowledge() == 0x40);
  f.write(0xB0, 0);
  CHECK_FALSE(f.intr.now);
  CHECK(f.read(0x390) == 5'000);
  f.advance(50'000);
  CHECK(f.intr.now);
  f.write(0x380, 0);
  CHECK(f.clock.next_deadline() == kNever);
  CHECK(f.read(0x390) == 0);
}

TEST_CASE("local APIC: a masked timer counts without any event; a short period is bounded") {
  ApicFixture f;
  f.enable();
  f.write(0x320, 0x30040);
  f.write(0x380, 100);
  CHECK(f.clock.next_deadline() == kNever);
  f.advance(20 * 250);
  CHECK(f.read(0x390) == 50);
  f.write(0x380, 1);
  f.write(0x320, 0x20040);
  f.advance(20);
  CHECK(f.intr.now);
  CHECK(f.clock.next_deadline() >= f.time.now() + 10'000);
}

TEST_CASE("local APIC: TSC-deadline mode") {
  ApicFixture f;
  f.enable();
  u64 value = 1;
  REQUIRE(f.apic.write_msr(0x6E0, 1000));  // ignored in the other modes
  REQUIRE(f.apic.read_msr(0x6E0, value));
  CHECK(value == 0);
  f.write(0x320, 0x40040);
  f.write(0x380, 100);
  CHECK(f.read(0x380) == 0);
  f.apic.write_msr(0x6E0, 2001);
  f.apic.read_msr(0x6E0, value);
  CHECK(value == 2001);
  CHECK(f.clock.next_deadline() == 1001);
  f.advance(1000);
  CHECK_FALSE(f.intr.now);
  f.advance(1);
  CHECK(f.apic.acknowledge() == 0x40);
  f.write(0xB0, 0);
  f.apic.read_msr(0x6E0, value);
  CHECK(value == 0);
  f.apic.write_msr(0x6E0, 5);  // long past
  CHECK(f.intr.now);
  f.apic.acknowledge();
  f.write(0xB0, 0);
  f.apic.write_msr(0x6E0, 100'000);
  f.apic.write_msr(0x6E0, 0);
  CHECK(f.clock.next_deadline() == kNever);
  f.apic.write_msr(0x6E0, 100'000);
  f.write(0x320, 0x40);  // leaving the mode disarms
  CHECK(f.clock.next_deadline() == kNever);
}

TEST_CASE("local APIC: level-triggered LINT0 waits for EOI") {
  ApicFixture f;
  f.enable();
  f.write(0x350, 0x8055);
  f.apic.set_irq(LocalApic::kLint0, true);
  CHECK(f.read(0x350) == 0xC055);  // remote IRR
  CHECK(f.apic.acknowledge() == 0x55);
  CHECK(f.read(0x1A0) == 0x00200000);  // TMR 40h-5Fh
  CHECK_FALSE(f.intr.now);
  f.write(0xB0, 0);
  CHECK(f.intr.now);
  f.apic.set_irq(LocalApic::kLint0, false);
  f.apic.acknowledge();
  f.write(0xB0, 0);
  CHECK_FALSE(f.intr.now);
  CHECK(f.read(0x350) == 0x8055);
}

TEST_CASE("local APIC: LINT pins as edge, SMI, INIT and active low") {
  ApicFixture f;
  f.enable();
  f.write(0x360, 0x2056);  // active low: the idle (low) wire is an edge at once
  CHECK(f.apic.acknowledge() == 0x56);
  f.write(0xB0, 0);
  f.apic.set_irq(LocalApic::kLint1, true);
  CHECK_FALSE(f.intr.now);
  f.apic.set_irq(LocalApic::kLint1, false);
  CHECK(f.intr.now);
  f.apic.set_irq(LocalApic::kLint1, true);
  f.write(0x350, 0x200);
  f.apic.set_irq(LocalApic::kLint0, true);
  CHECK(f.processor.smis == 1);
  f.apic.set_irq(LocalApic::kLint0, false);
  f.write(0x350, 0x500);
  f.apic.set_irq(LocalApic::kLint0, true);
  CHECK(f.processor.inits == 1);
  CHECK(f.read(0xF0) == 0xFF);  // INIT resets the APIC
  f.apic.set_irq(2, true);      // no such pin
}

TEST_CASE("local APIC: snapshot keeps everything, outputs aren't pulsed") {
  ApicFixture f;
  f.enable();
  f.write(0x320, 0x20040);
  f.write(0x380, 10'000);
  f.self_ipi(0x71);
  f.self_ipi(0x62);
  f.apic.acknowledge();
  f.write(0x80, 0x10);
  StateArchive saved;
  f.apic.serialize(saved);
  ApicFixture g;
  StateArchive restoring(saved.bytes());
  g.apic.serialize(restoring);
  REQUIRE(restoring.finish());
  CHECK(g.intr.rises == 0);
  CHECK(g.read(0x130) == 0x00020000);
  CHECK(g.read(0x230) == 4);
  CHECK(g.read(0x80) == 0x10);
  CHECK(g.clock.next_deadline() == f.clock.next_deadline());
  StateArchive again;
  g.apic.serialize(again);
  CHECK(again.bytes() == saved.bytes());
  g.apic.reset(ResetKind::System);
  CHECK(g.read(0xF0) == 0xFF);
  CHECK(g.apic.name() == "local-apic");
}
