// Delivery through the IDT and the real-mode vector table, double and triple faults: SDM 3A
// chapter 6.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

GuestException exception(Vector vector) {
  GuestException e;
  e.vector = vector;
  return e;
}
GuestException exception(Vector vector, u32 code) {
  GuestException e = exception(vector);
  e.has_error_code = true;
  e.error_code = code;
  return e;
}
u64 interrupt_gate(u8 dpl = 0) {
  return gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler, dpl);
}
u64 trap_gate(u8 dpl = 0) {
  return gate_descriptor(SystemType::TrapGate32, M::kCode0, M::kHandler, dpl);
}
GuestResult<void> int_n(M& m, u8 vector) {
  return m.processor.software_interrupt(vector, InterruptSource::Software, m.state.rip + 2);
}

}  // namespace

TEST_CASE("an interrupt at the same level pushes EFLAGS, CS, EIP") {
  M m;
  m.set_idt(0x20, interrupt_gate());
  m.state.rflags |= eflags::IF | eflags::TF | eflags::NT | eflags::CF;
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.rip == M::kHandler);
  CHECK(m.state.rflags == (eflags::Fixed | eflags::CF));
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 12);
  CHECK(m.peek<u32>(M::kStack0 - 4) ==
        (eflags::Fixed | eflags::IF | eflags::TF | eflags::NT | eflags::CF));
  CHECK(m.peek<u32>(M::kStack0 - 8) == M::kCode0);
  CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode);
}

TEST_CASE("a trap gate leaves IF alone") {
  M m;
  m.set_idt(0x20, trap_gate());
  m.state.rflags |= eflags::IF;
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.flag(eflags::IF));
}

TEST_CASE("an exception from level 3 goes to the TSS's stack with its error code") {
  M m(3);
  m.set_idt(13, interrupt_gate());
  m.state.rflags |= eflags::IF;
  m.processor.deliver_exception(exception(Vector::GeneralProtection, 0x1234));
  CHECK(m.state.cpl == 0);
  CHECK(m.selector(SegmentName::CS) == M::kCode0);
  CHECK(m.selector(SegmentName::SS) == M::kData0);
  CHECK(m.selector(SegmentName::DS) == M::kData3);
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 24);
  CHECK(m.peek<u32>(M::kStack0 - 4) == M::kData3);
  CHECK(m.peek<u32>(M::kStack0 - 8) == M::kStack3);
  CHECK(m.peek<u32>(M::kStack0 - 12) == (eflags::Fixed | eflags::IF | eflags::RF));  // a fault
  CHECK(m.peek<u32>(M::kStack0 - 16) == M::kCode3);
  CHECK(m.peek<u32>(M::kStack0 - 20) == M::kCode);
  CHECK(m.peek<u32>(M::kStack0 - 24) == 0x1234);
}

TEST_CASE("a 16-bit gate pushes words and takes a 16-bit offset") {
  M m;
  m.set_idt(13, gate_descriptor(SystemType::InterruptGate16, M::kCode0, 0xFFFF4000));
  m.processor.deliver_exception(exception(Vector::GeneralProtection, 0x1234));
  CHECK(m.state.rip == 0x4000);
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 8);
  CHECK(m.peek<u16>(M::kStack0 - 2) == 2);
  CHECK(m.peek<u16>(M::kStack0 - 4) == M::kCode0);
  CHECK(m.peek<u16>(M::kStack0 - 6) == (M::kCode & 0xFFFF));
  CHECK(m.peek<u16>(M::kStack0 - 8) == 0x1234);
}

TEST_CASE("a conforming handler runs at the interrupted level") {
  M m(3);
  m.set_idt(0x80, gate_descriptor(SystemType::TrapGate32, M::kConforming0, M::kHandler, 3));
  REQUIRE_OK(int_n(m, 0x80));
  CHECK(m.state.cpl == 3);
  CHECK(m.selector(SegmentName::CS) == (M::kConforming0 | 3));
  CHECK(m.state.gpr[Rsp] == M::kStack3 - 12);
}

TEST_CASE("INT n is refused as the manual says") {
  M m(3);
  SECTION("gate DPL below CPL: the index names the IDT, EXT is clear") {
    m.set_idt(0x80, interrupt_gate(0));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0x80 * 8 + 2);
  }
  SECTION("INT1 isn't checked against the gate's DPL") {
    m.set_idt(1, interrupt_gate(0));
    REQUIRE_OK(m.processor.software_interrupt(1, InterruptSource::Privileged, m.state.rip + 1));
    CHECK(m.state.cpl == 0);
    return;
  }
  SECTION("outside the IDT") {
    m.state.idtr.limit = 0x80 * 8 + 6;
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0x80 * 8 + 2);
  }
  SECTION("not a gate") {
    m.set_idt(0x80, data_descriptor(3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0x80 * 8 + 2);
  }
  SECTION("a call gate") {
    m.set_idt(0x80, gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0x80 * 8 + 2);
  }
  SECTION("not present") {
    m.set_idt(0x80, interrupt_gate(3) & kNotPresent);
    REQUIRE_FAULT(m, int_n(m, 0x80), SegmentNotPresent, 0x80 * 8 + 2);
  }
  SECTION("null code segment") {
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, 0, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0);
  }
  SECTION("code segment outside the GDT") {
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, 0x80, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0x80);
  }
  SECTION("data segment") {
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, M::kData0, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, M::kData0);
  }
  SECTION("code segment not present") {
    m.set_gdt(M::kFree, code_descriptor(0) & kNotPresent);
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, M::kFree, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), SegmentNotPresent, M::kFree);
  }
  SECTION("outer level") {
    m.enter(0);
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, M::kCode3, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, M::kCode3 & ~3);
  }
  SECTION("inner SS") {
    m.set_idt(0x80, interrupt_gate(3));
    m.poke<u16>(M::kTss + 8, M::kData3);
    REQUIRE_FAULT(m, int_n(m, 0x80), InvalidTss, M::kData3 & ~3);
  }
  SECTION("handler outside its segment") {
    SegmentFields fields;
    fields.type = kCode;
    fields.limit = 0xFF;
    fields.granular = false;
    m.set_gdt(M::kFree, encode(fields));
    m.set_idt(0x80, gate_descriptor(SystemType::InterruptGate32, M::kFree, 0x100, 3));
    REQUIRE_FAULT(m, int_n(m, 0x80), GeneralProtection, 0);
  }
  CHECK(m.state.rip == M::kCode);
}

TEST_CASE("a fault during an external interrupt has EXT set") {
  M m;
  m.state.idtr.limit = 0x1FF;
  m.set_idt(13, interrupt_gate());
  m.processor.deliver_interrupt(0x80);  // outside the IDT
  CHECK(m.state.rip == M::kHandler);
  CHECK(m.peek<u32>(M::kStack0 - 16) == 0x80 * 8 + 3);
}

TEST_CASE("a page fault while delivering is a page fault with CR2") {
  M m(3);
  m.set_idt(0x20, interrupt_gate());
  m.set_idt(14, gate_descriptor(SystemType::TaskGate, M::kTss2Selector, 0));
  m.poke<u32>(M::kTss2 + 0x20, 0x7777);
  m.poke<u32>(M::kTss2 + 0x38, 0x9000);
  for (u32 place : {0x48U, 0x50U, 0x54U, 0x58U, 0x5CU}) m.poke<u16>(M::kTss2 + place, M::kData0);
  m.poke<u16>(M::kTss2 + 0x4C, M::kCode0);
  m.turn_paging_on();
  m.poke<u32>(M::kTss2 + 0x1C, 0x5000);
  m.memory.pages[(M::kStack0 - 4) >> 12] = SystemMemory::Page::Absent;
  m.processor.flush_tlb(true);
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.cr2 == M::kStack0 - 4);
  CHECK(m.state.cr3 == 0x5000);
  CHECK(m.state.rip == 0x7777);
  CHECK(m.state.gpr[Rsp] == 0x9000 - 4);
  CHECK(m.peek<u32>(0x9000 - 4) == 2);  // error code of the #PF on the new task's stack
  CHECK(m.peek<u32>(M::kTss + 0x4C) == M::kCode3);
}

TEST_CASE("double faults follow table 6-5") {
  M m;
  m.set_idt(8, interrupt_gate());
  SECTION("contributory after contributory") {
    m.processor.deliver_exception(
        exception(Vector::GeneralProtection, 0));  // IDT entry 13 is empty
    CHECK(m.state.rip == M::kHandler);
    CHECK(m.peek<u32>(M::kStack0 - 16) == 0);
    CHECK(m.state.activity == Activity::Running);
  }
  SECTION("contributory after a page fault") {
    m.processor.deliver_exception(exception(Vector::PageFault, 0));
    CHECK(m.state.rip == M::kHandler);
  }
  SECTION("contributory after benign is delivered itself") {
    m.set_idt(13, gate_descriptor(SystemType::InterruptGate32, M::kCode0, 0x41000));
    m.processor.deliver_exception(exception(Vector::InvalidOpcode));
    CHECK(m.state.rip == 0x41000);
    CHECK(m.peek<u32>(M::kStack0 - 16) == 6 * 8 + 3);
  }
  SECTION("no double fault handler: shutdown") {
    m.set_idt(8, 0);
    m.processor.deliver_exception(exception(Vector::GeneralProtection, 0));
    CHECK(m.state.activity == Activity::Shutdown);
    CHECK(m.state.rip == M::kCode);
    CHECK_FALSE(m.processor.service_events());
  }
}

TEST_CASE("page fault during a contributory fault is delivered serially") {
  M m;
  m.set_idt(13, gate_descriptor(SystemType::InterruptGate32, M::kFree, 0));
  m.set_idt(14, interrupt_gate());
  m.state.gdtr.base = 0x100FA0;  // entry 60h lies in the next page
  for (u32 at = 0; at < 0x60; ++at) m.poke<u8>(0x100FA0 + at, m.peek<u8>(M::kGdt + at));
  m.turn_paging_on();
  m.memory.pages[0x101] = SystemMemory::Page::Absent;
  m.processor.flush_tlb(true);
  m.processor.deliver_exception(exception(Vector::GeneralProtection, 0));
  CHECK(m.state.rip == M::kHandler);
  CHECK(m.state.cr2 == 0x101000);
  CHECK(m.peek<u32>(M::kStack0 - 16) == 0);
}

TEST_CASE("faults push RF, traps don't") {
  M m;
  const Vector vector = GENERATE(Vector::InvalidOpcode, Vector::DivideError, Vector::Debug);
  m.set_idt(static_cast<u8>(vector), interrupt_gate());
  m.processor.deliver_exception(exception(vector));
  const bool rf = (m.peek<u32>(M::kStack0 - 4) & eflags::RF) != 0;
  CHECK(rf == (vector != Vector::Debug));
  CHECK_FALSE(m.state.flag(eflags::RF));
}

TEST_CASE("real-mode interrupts") {
  M m;
  m.enter_real(0x2000);
  m.poke<u32>(0x10 * 4, 0xF0001234);
  m.state.rflags |= eflags::IF | eflags::TF | eflags::AC;
  REQUIRE_OK(m.processor.software_interrupt(0x10, InterruptSource::Software, 0x102));
  CHECK(m.segment(SegmentName::CS).base == 0xF0000);
  CHECK(m.state.rip == 0x1234);
  CHECK(m.state.rflags == eflags::Fixed);
  CHECK(m.state.gpr[Rsp] == 0xFFA);
  CHECK(m.peek<u16>(0x20FFE) == 0x302);
  CHECK(m.peek<u16>(0x20FFC) == 0x2000);
  CHECK(m.peek<u16>(0x20FFA) == 0x102);
  REQUIRE_OK(m.processor.interrupt_return(2));
  CHECK(m.state.rip == 0x102);
  CHECK(m.state.flag(eflags::IF));
  CHECK(m.state.gpr[Rsp] == 0x1000);
}

TEST_CASE("real-mode vectors beyond the IDT limit, up to shutdown") {
  M m;
  m.enter_real(0x2000);
  m.state.idtr.limit = 13 * 4 + 3;
  m.poke<u32>(13 * 4, 0xF0005678);
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.rip == 0x5678);
  CHECK(m.state.gpr[Rsp] == 0xFFA);  // no error code in real mode
  m.state.idtr.limit = 0;
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.activity == Activity::Shutdown);
}

TEST_CASE("the real-mode stack wraps, but not through an access") {
  M m;
  m.enter_real(0x2000);
  m.poke<u32>(0x10 * 4, 0xF0001234);
  m.state.gpr[Rsp] = 2;
  REQUIRE_OK(m.processor.software_interrupt(0x10, InterruptSource::Software, 0x102));
  CHECK(m.state.gpr[Rsp] == 0xFFFC);
  m.enter_real(0x2000);
  m.state.gpr[Rsp] = 1;
  REQUIRE(m.processor.software_interrupt(0x10, InterruptSource::Software, 0x102).faulted());
  CHECK(m.faulted_vector() == Vector::StackFault);
}
