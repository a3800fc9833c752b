// Task switches: SDM 3A chapter 7.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

constexpr u32 kTaskEntry = 0x31000, kTaskStack = 0x50000;

/// A ready-to-run 32-bit task in the second TSS.
void prepare_task(M& m, u32 flags = 2, u16 code = M::kCode0, u16 data = M::kData0) {
  const u32 tss = M::kTss2;
  m.poke<u32>(tss + 0x1C, 0x5000);
  m.poke<u32>(tss + 0x20, kTaskEntry);
  m.poke<u32>(tss + 0x24, flags);
  for (u32 i = 0; i < 8; ++i) m.poke<u32>(tss + 0x28 + 4 * i, 0xA0000000 + i);
  m.poke<u32>(tss + 0x38, kTaskStack);
  for (const u32 place : {0x48U, 0x50U, 0x54U, 0x58U, 0x5CU}) m.poke<u16>(tss + place, data);
  m.poke<u16>(tss + 0x4C, code);
  m.poke<u16>(tss + 0x60, M::kLdtSelector);
}

bool busy(const M& m, u16 selector) {
  return Descriptor{m.gdt(selector), 0}.is_busy_tss();
}

GuestResult<void> jump(M& m, u16 selector) {
  return m.processor.far_transfer(FarKind::Jump, selector, 0xDEAD, 4, m.state.rip + 7);
}
GuestResult<void> call(M& m, u16 selector) {
  return m.processor.far_transfer(FarKind::Call, selector, 0xDEAD, 4, m.state.rip + 7);
}

}  // namespace

TEST_CASE("JMP to a TSS saves the old task and loads the new one") {
  M m;
  prepare_task(m, eflags::Fixed | eflags::CF | eflags::IF);
  m.state.gpr[Rax] = 0x12345678;
  m.state.rflags |= eflags::ZF;
  m.state.dr[7] |= 0x3FF;
  REQUIRE_OK(jump(m, M::kTss2Selector));

  CHECK(m.peek<u32>(M::kTss + 0x20) == M::kCode + 7);
  CHECK(m.peek<u32>(M::kTss + 0x24) == (eflags::Fixed | eflags::ZF));
  CHECK(m.peek<u32>(M::kTss + 0x28) == 0x12345678);
  CHECK(m.peek<u32>(M::kTss + 0x38) == M::kStack0);
  CHECK(m.peek<u16>(M::kTss + 0x4C) == M::kCode0);
  CHECK(m.peek<u16>(M::kTss + 0x50) == M::kData0);

  CHECK(m.state.rip == kTaskEntry);
  CHECK(m.state.rflags == (eflags::Fixed | eflags::CF | eflags::IF));
  CHECK(m.state.gpr[Rcx] == 0xA0000001);
  CHECK(m.state.gpr[Rsp] == kTaskStack);
  CHECK(m.state.tr.selector == M::kTss2Selector);
  CHECK(m.state.tr.base == M::kTss2);
  CHECK(m.state.ldtr.base == M::kLdt);
  CHECK((m.state.cr0 & cr0::TS) != 0);
  CHECK(m.state.cr3 == 0);                  // without paging CR3 isn't loaded
  CHECK((m.state.dr[7] & 0x3FF) == 0x2AA);  // local breakpoints and LE are gone
  CHECK(busy(m, M::kTss2Selector));
  CHECK_FALSE(busy(m, M::kTssSelector));
  CHECK(m.peek<u16>(M::kTss2) == 0);  // no back link
}

TEST_CASE("CALL nests: back link, NT, both tasks busy; IRET returns") {
  M m;
  prepare_task(m);
  REQUIRE_OK(call(m, M::kTss2Selector));
  CHECK(m.peek<u16>(M::kTss2) == M::kTssSelector);
  CHECK(m.state.flag(eflags::NT));
  CHECK(busy(m, M::kTss2Selector));
  CHECK(busy(m, M::kTssSelector));

  m.state.rip = 0x31010;
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.state.rip == M::kCode + 7);
  CHECK(m.state.tr.selector == M::kTssSelector);
  CHECK(m.state.gpr[Rsp] == M::kStack0);
  CHECK_FALSE(m.state.flag(eflags::NT));
  CHECK_FALSE(busy(m, M::kTss2Selector));
  CHECK(busy(m, M::kTssSelector));
  CHECK(m.peek<u32>(M::kTss2 + 0x20) == 0x31010);
  CHECK((m.peek<u32>(M::kTss2 + 0x24) & eflags::NT) == 0);  // NT is cleared in the saved image
}

TEST_CASE("a task switch to level 3 with paging loads CR3") {
  M m;
  prepare_task(m, 2, M::kCode3, M::kData3);
  m.turn_paging_on();
  REQUIRE_OK(jump(m, M::kTss2Selector));
  CHECK(m.state.cr3 == 0x5000);
  CHECK(m.state.cpl == 3);
  CHECK(m.selector(SegmentName::SS) == M::kData3);
}

TEST_CASE("a 16-bit TSS carries words") {
  M m;
  const u32 tss = M::kTss16;
  m.poke<u16>(tss + 0x0E, 0x1234);
  m.poke<u16>(tss + 0x10, 0x0203);
  for (u32 i = 0; i < 8; ++i) m.poke<u16>(tss + 0x12 + 2 * i, static_cast<u16>(0xB000 + i));
  for (const u32 place : {0x22U, 0x26U, 0x28U}) m.poke<u16>(tss + place, M::kData0);
  m.poke<u16>(tss + 0x24, M::kCode0);
  REQUIRE_OK(call(m, M::kTss16Selector));
  CHECK(m.state.rip == 0x1234);
  CHECK(m.state.rflags == (eflags::NT | 0x203));
  CHECK((m.state.gpr[Rdi] & 0xFFFF) == 0xB007);
  CHECK_FALSE(m.segment(SegmentName::FS).present);
  CHECK(m.peek<u16>(tss) == M::kTssSelector);
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.state.rip == M::kCode + 7);
  CHECK(m.peek<u16>(tss + 0x12) == 0xB000);
}

TEST_CASE("task switches are refused before anything changes") {
  M m;
  prepare_task(m);
  SECTION("busy") {
    m.set_gdt(M::kFree, system_descriptor(SystemType::BusyTss32, M::kTss2, 0x67));
    REQUIRE_FAULT(m, jump(m, M::kFree), GeneralProtection, M::kFree);
  }
  SECTION("not present") {
    m.set_gdt(M::kFree,
              system_descriptor(SystemType::AvailableTss32, M::kTss2, 0x67) & kNotPresent);
    REQUIRE_FAULT(m, jump(m, M::kFree), SegmentNotPresent, M::kFree);
  }
  SECTION("too short") {
    m.set_gdt(M::kFree, system_descriptor(SystemType::AvailableTss32, M::kTss2, 0x66));
    REQUIRE_FAULT(m, jump(m, M::kFree), InvalidTss, M::kFree);
  }
  SECTION("16-bit TSS too short") {
    m.set_gdt(M::kFree, system_descriptor(SystemType::AvailableTss16, M::kTss2, 0x2A));
    REQUIRE_FAULT(m, jump(m, M::kFree), InvalidTss, M::kFree);
  }
  SECTION("privilege of the TSS descriptor") {
    m.enter(3);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), GeneralProtection, M::kTss2Selector);
  }
  SECTION("task gate below CPL") {
    m.enter(3);
    m.set_gdt(M::kFree, gate_descriptor(SystemType::TaskGate, M::kTss2Selector, 0, 0));
    REQUIRE_FAULT(m, jump(m, M::kFree), GeneralProtection, M::kFree);
  }
  SECTION("task gate to the LDT") {
    m.set_gdt(M::kFree, gate_descriptor(SystemType::TaskGate, 0x0C, 0));
    REQUIRE_FAULT(m, jump(m, M::kFree), GeneralProtection, 0x0C);
  }
  SECTION("IRET to a task that isn't busy") {
    m.state.rflags |= eflags::NT;
    m.poke<u16>(M::kTss, M::kTss2Selector);
    REQUIRE_FAULT(m, m.processor.interrupt_return(4), InvalidTss, M::kTss2Selector);
  }
  SECTION("a page fault in the new TSS") {
    m.turn_paging_on();
    m.memory.pages[M::kTss2 >> 12] = SystemMemory::Page::Absent;
    m.processor.flush_tlb(true);
    REQUIRE(jump(m, M::kTss2Selector).faulted());
    CHECK(m.faulted_vector() == Vector::PageFault);
  }
  SECTION("a page fault in the old TSS") {
    m.turn_paging_on();
    m.memory.pages[M::kTss >> 12] = SystemMemory::Page::ReadOnly;
    m.processor.flush_tlb(true);
    REQUIRE(jump(m, M::kTss2Selector).faulted());
    CHECK(m.faulted_vector() == Vector::PageFault);
    CHECK(m.faulted_code() == 3);
  }
  CHECK(m.state.tr.selector == M::kTssSelector);
  CHECK(m.state.rip == M::kCode);
  CHECK(busy(m, M::kTssSelector));
  CHECK_FALSE(busy(m, M::kTss2Selector));
  CHECK(m.peek<u32>(M::kTss + 0x20) == 0);
  CHECK((m.state.cr0 & cr0::TS) == 0);
}

TEST_CASE("a task gate of level 3 reaches a TSS of level 0") {
  M m(3);
  prepare_task(m);
  m.set_gdt(M::kFree, gate_descriptor(SystemType::TaskGate, M::kTss2Selector, 0, 3));
  REQUIRE_OK(call(m, M::kFree | 3));
  CHECK(m.state.rip == kTaskEntry);
  CHECK(m.state.cpl == 0);
}

TEST_CASE("faults after the commit point belong to the new task") {
  M m;
  prepare_task(m);
  SECTION("LDT") {
    m.poke<u16>(M::kTss2 + 0x60, M::kData0);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), InvalidTss, M::kData0);
  }
  SECTION("CS is data") {
    m.poke<u16>(M::kTss2 + 0x4C, M::kData0);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), InvalidTss, M::kData0);
  }
  SECTION("CS not present") {
    m.set_gdt(M::kFree, code_descriptor(0) & kNotPresent);
    m.poke<u16>(M::kTss2 + 0x4C, M::kFree);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), SegmentNotPresent, M::kFree);
  }
  SECTION("SS of another level") {
    m.poke<u16>(M::kTss2 + 0x50, M::kData3);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), InvalidTss, M::kData3 & ~3);
  }
  SECTION("SS not present") {
    m.set_gdt(M::kFree, data_descriptor(0) & kNotPresent);
    m.poke<u16>(M::kTss2 + 0x50, M::kFree);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), StackFault, M::kFree);
  }
  SECTION("DS is execute-only code") {
    m.set_gdt(M::kFree, code_descriptor(0, kCode));
    m.poke<u16>(M::kTss2 + 0x54, M::kFree);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), InvalidTss, M::kFree);
  }
  SECTION("GS not present") {
    m.set_gdt(M::kFree, data_descriptor(0) & kNotPresent);
    m.poke<u16>(M::kTss2 + 0x5C, M::kFree);
    REQUIRE_FAULT(m, jump(m, M::kTss2Selector), SegmentNotPresent, M::kFree);
  }
  CHECK(m.state.tr.selector == M::kTss2Selector);
  CHECK(m.state.rip == kTaskEntry);
  CHECK(busy(m, M::kTss2Selector));
  CHECK_FALSE(busy(m, M::kTssSelector));
}

TEST_CASE("a task with the T flag traps before its first instruction") {
  M m;
  prepare_task(m);
  m.poke<u16>(M::kTss2 + 0x64, 1);
  m.set_idt(1, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler));
  REQUIRE_OK(jump(m, M::kTss2Selector));
  CHECK(m.processor.attention());
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == M::kHandler);
  CHECK((m.state.dr[6] & 0x8000) != 0);
  CHECK(m.peek<u32>(kTaskStack - 12) == kTaskEntry);
}

TEST_CASE("a task may start in virtual-8086 mode") {
  M m;
  prepare_task(m, 2 | eflags::VM, 0x3000, 0x2000);
  m.poke<u32>(M::kTss2 + 0x20, 0x100);
  REQUIRE_OK(jump(m, M::kTss2Selector));
  CHECK(m.state.cpl == 3);
  CHECK(m.segment(SegmentName::CS).base == 0x30000);
  CHECK(m.segment(SegmentName::DS).base == 0x20000);
  CHECK(m.segment(SegmentName::DS).limit == 0xFFFF);
}

TEST_CASE("an interrupt through a task gate saves RF for faults and pushes the error code") {
  M m;
  prepare_task(m);
  m.set_idt(13, gate_descriptor(SystemType::TaskGate, M::kTss2Selector, 0));
  GuestException fault;
  fault.vector = Vector::GeneralProtection;
  fault.has_error_code = true;
  fault.error_code = 0x4321;
  m.processor.deliver_exception(fault);
  CHECK(m.state.rip == kTaskEntry);
  CHECK(m.state.flag(eflags::NT));
  CHECK(m.state.gpr[Rsp] == kTaskStack - 4);
  CHECK(m.peek<u32>(kTaskStack - 4) == 0x4321);
  CHECK(m.peek<u32>(M::kTss + 0x20) == M::kCode);
  CHECK((m.peek<u32>(M::kTss + 0x24) & eflags::RF) != 0);
  CHECK(m.peek<u16>(M::kTss2) == M::kTssSelector);
}
