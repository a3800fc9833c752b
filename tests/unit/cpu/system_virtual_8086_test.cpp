// Virtual-8086 mode: entry, exit, VME and its redirection bitmap. SDM 3A chapter 20.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

GuestResult<void> int_n(M& m, u8 vector) {
  return m.processor.software_interrupt(vector, InterruptSource::Software, m.state.rip + 2);
}
void redirect(M& m, u8 vector, bool to_task) {
  const u32 place = M::kTss + 0x88 - 32 + vector / 8U;
  const u8 bit = static_cast<u8>(1U << vector % 8);
  const u8 old = m.peek<u8>(place);
  m.poke<u8>(place, static_cast<u8>(to_task ? old & ~bit : old | bit));
}

}  // namespace

TEST_CASE("an interrupt leaves virtual-8086 mode with all segments saved") {
  M m(3);
  m.set_idt(0x20, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler));
  m.enter_virtual_8086(0);
  m.processor.deliver_interrupt(0x20);
  CHECK(m.state.cpl == 0);
  CHECK_FALSE(m.state.virtual_8086());
  CHECK(m.state.rip == M::kHandler);
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 36);
  CHECK(m.peek<u32>(M::kStack0 - 4) == 0x4444);   // GS
  CHECK(m.peek<u32>(M::kStack0 - 8) == 0x3333);   // FS
  CHECK(m.peek<u32>(M::kStack0 - 12) == 0x1111);  // DS
  CHECK(m.peek<u32>(M::kStack0 - 16) == 0x2222);  // ES
  CHECK(m.peek<u32>(M::kStack0 - 20) == 0x2000);  // SS
  CHECK(m.peek<u32>(M::kStack0 - 24) == 0x1000);
  CHECK(m.peek<u32>(M::kStack0 - 28) == (eflags::Fixed | eflags::VM | eflags::IF));
  CHECK(m.peek<u32>(M::kStack0 - 32) == 0x3000);
  CHECK(m.peek<u32>(M::kStack0 - 36) == 0x100);
  for (const SegmentName name :
       {SegmentName::DS, SegmentName::ES, SegmentName::FS, SegmentName::GS}) {
    CHECK(m.selector(name) == 0);
    CHECK_FALSE(m.segment(name).present);
  }

  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.state.virtual_8086());
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == 0x100);
  CHECK(m.state.gpr[Rsp] == 0x1000);
  CHECK(m.segment(SegmentName::CS).base == 0x30000);
  CHECK(m.segment(SegmentName::DS).base == 0x11110);
  CHECK(m.segment(SegmentName::ES).base == 0x22220);
  CHECK(m.segment(SegmentName::FS).base == 0x33330);
  CHECK(m.segment(SegmentName::GS).base == 0x44440);
  CHECK(m.segment(SegmentName::SS).limit == 0xFFFF);
  CHECK(m.segment(SegmentName::SS).dpl == 3);
}

TEST_CASE("handlers of virtual-8086 mode must be at level 0 and nonconforming") {
  M m(3);
  m.enter_virtual_8086(3);
  SECTION("level 3") {
    m.set_idt(0x21, gate_descriptor(SystemType::InterruptGate32, M::kCode3, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, M::kCode3 & ~3);
  }
  SECTION("level 1") {
    m.set_idt(0x21, gate_descriptor(SystemType::InterruptGate32, M::kCode1, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, M::kCode1 & ~3);
  }
  SECTION("conforming") {
    m.set_idt(0x21, gate_descriptor(SystemType::InterruptGate32, M::kConforming0, 0, 3));
    REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, M::kConforming0);
  }
}

TEST_CASE("INT n without VME needs IOPL 3; INT3 doesn't") {
  M m(3);
  m.set_idt(0x21, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler, 3));
  m.set_idt(3, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler, 3));
  m.enter_virtual_8086(2);
  REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, 0);
  SECTION("IOPL 3") {
    m.enter_virtual_8086(3);
    REQUIRE_OK(int_n(m, 0x21));
  }
  SECTION("INT3") {
    REQUIRE_OK(m.processor.software_interrupt(3, InterruptSource::SoftwareTrap, m.state.rip + 1));
  }
  CHECK(m.state.cpl == 0);
  CHECK(m.state.rip == M::kHandler);
}

TEST_CASE("VME redirects INT n to the task's own vector table") {
  M m(3);
  m.state.cr4 |= cr4::VME;
  m.poke<u32>(0x21 * 4, 0x50000123);
  redirect(m, 0x21, true);
  SECTION("IOPL 3: the real IF") {
    m.enter_virtual_8086(3);
    REQUIRE_OK(int_n(m, 0x21));
    CHECK(m.segment(SegmentName::CS).base == 0x50000);
    CHECK(m.state.rip == 0x123);
    CHECK(m.state.virtual_8086());
    CHECK_FALSE(m.state.flag(eflags::IF));
    CHECK(m.peek<u16>(0x20FFE) == (eflags::Fixed | eflags::IF | eflags::IOPL));
    CHECK(m.peek<u16>(0x20FFC) == 0x3000);
    CHECK(m.peek<u16>(0x20FFA) == 0x102);
  }
  SECTION("IOPL 0: VIF, shown as IF with IOPL 3") {
    m.enter_virtual_8086(0);
    m.state.rflags |= eflags::VIF;
    REQUIRE_OK(int_n(m, 0x21));
    CHECK_FALSE(m.state.flag(eflags::VIF));
    CHECK(m.state.flag(eflags::IF));
    CHECK(m.peek<u16>(0x20FFE) == (eflags::Fixed | eflags::IF | eflags::IOPL));
  }
  SECTION("IOPL 0 with VIF clear") {
    m.enter_virtual_8086(0);
    REQUIRE_OK(int_n(m, 0x21));
    CHECK(m.peek<u16>(0x20FFE) == (eflags::Fixed | eflags::IOPL));
  }
}

TEST_CASE("a set redirection bit sends INT n to the monitor") {
  M m(3);
  m.state.cr4 |= cr4::VME;
  redirect(m, 0x21, false);
  m.set_idt(0x21, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler, 3));
  SECTION("IOPL 3: through the IDT") {
    m.enter_virtual_8086(3);
    REQUIRE_OK(int_n(m, 0x21));
    CHECK(m.state.rip == M::kHandler);
  }
  SECTION("IOPL 0: a protection fault") {
    m.enter_virtual_8086(0);
    REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, 0);
  }
  SECTION("bitmap outside the TSS") {
    m.enter_virtual_8086(0);
    m.state.tr.limit = 0x88 - 32 + 3;
    REQUIRE_FAULT(m, int_n(m, 0x21), GeneralProtection, 0);
  }
}

TEST_CASE("IRET in virtual-8086 mode") {
  M m(3);
  const auto frame = [&](u16 flags) {
    m.poke<u16>(0x21000, 0x222);
    m.poke<u16>(0x21002, 0x4000);
    m.poke<u16>(0x21004, flags);
  };
  SECTION("IOPL 3 changes IF but never IOPL") {
    m.enter_virtual_8086(3);
    frame(0);
    REQUIRE_OK(m.processor.interrupt_return(2));
    CHECK(m.state.rip == 0x222);
    CHECK(m.segment(SegmentName::CS).base == 0x40000);
    CHECK_FALSE(m.state.flag(eflags::IF));
    CHECK(m.state.iopl() == 3);
    CHECK(m.state.gpr[Rsp] == 0x1006);
  }
  SECTION("IOPL 0 without VME faults") {
    m.enter_virtual_8086(0);
    frame(0);
    REQUIRE_FAULT(m, m.processor.interrupt_return(2), GeneralProtection, 0);
  }
  SECTION("IOPL 0 with VME moves IF to VIF") {
    m.state.cr4 |= cr4::VME;
    m.enter_virtual_8086(0);
    frame(eflags::IF | eflags::IOPL | eflags::ZF);
    REQUIRE_OK(m.processor.interrupt_return(2));
    CHECK(m.state.flag(eflags::VIF));
    CHECK(m.state.flag(eflags::ZF));
    CHECK(m.state.iopl() == 0);
  }
  SECTION("VME with VIP pending, TF set, or 32 bits faults") {
    m.state.cr4 |= cr4::VME;
    m.enter_virtual_8086(0);
    frame(eflags::IF);
    m.state.rflags |= eflags::VIP;
    REQUIRE_FAULT(m, m.processor.interrupt_return(2), GeneralProtection, 0);
    frame(eflags::TF);
    REQUIRE_FAULT(m, m.processor.interrupt_return(2), GeneralProtection, 0);
    REQUIRE_FAULT(m, m.processor.interrupt_return(4), GeneralProtection, 0);
    CHECK(m.state.rip == 0x100);
  }
}
