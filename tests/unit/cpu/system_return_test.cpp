// IRET in protected mode, flag rules, SYSENTER and SYSEXIT. SDM 2A IRET, SDM 2B SYSENTER, SYSEXIT.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

constexpr u64 kEverything = 0x003F7FD5;

void frame(M& m, u32 rip, u32 cs, u32 flags, u32 esp = M::kStack3, u32 ss = M::kData3) {
  const u32 sp = static_cast<u32>(m.state.gpr[Rsp]) - 20;
  m.state.gpr[Rsp] = sp;
  m.poke<u32>(sp, rip);
  m.poke<u32>(sp + 4, cs);
  m.poke<u32>(sp + 8, flags);
  m.poke<u32>(sp + 12, esp);
  m.poke<u32>(sp + 16, ss);
}

}  // namespace

TEST_CASE("IRETD to level 3 and back in flags") {
  M m;
  m.state.segment(SegmentName::DS).dpl = 0;
  frame(m, 0x1234, M::kCode3, eflags::IF | eflags::RF | eflags::CF | eflags::IOPL);
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == 0x1234);
  CHECK(m.state.gpr[Rsp] == M::kStack3);
  CHECK(m.state.rflags == (eflags::Fixed | eflags::IF | eflags::RF | eflags::CF | eflags::IOPL));
  CHECK_FALSE(m.segment(SegmentName::DS).present);
}

TEST_CASE("IRETD at the same level pops three doublewords") {
  M m;
  frame(m, 0x1234, M::kCode0, 0);
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.state.gpr[Rsp] == M::kStack0 - 8);
  CHECK(m.state.cpl == 0);
}

TEST_CASE("which flags IRET may change depends on CPL and IOPL") {
  M m;
  SECTION("level 0: everything but VM comes back") {
    frame(m, 0, M::kCode0, kEverything & ~eflags::VM & ~eflags::NT);
    REQUIRE_OK(m.processor.interrupt_return(4));
    CHECK(m.state.rflags == (eflags::Fixed | (kEverything & ~eflags::VM & ~eflags::NT)));
  }
  SECTION("level 3, IOPL 0: neither IF, IOPL, VIF, VIP nor VM") {
    m.enter(3);
    frame(m, 0, M::kCode3, kEverything);
    REQUIRE_OK(m.processor.interrupt_return(4));
    CHECK(m.state.rflags ==
          (eflags::Fixed |
           (kEverything & ~(eflags::IF | eflags::IOPL | eflags::VIF | eflags::VIP | eflags::VM))));
  }
  SECTION("level 3, IOPL 3: IF too") {
    m.enter(3);
    m.state.rflags |= eflags::IOPL | eflags::IF;
    frame(m, 0, M::kCode3, 0);
    REQUIRE_OK(m.processor.interrupt_return(4));
    CHECK(m.state.rflags == (eflags::Fixed | eflags::IOPL));
  }
  SECTION("16 bits leave the upper half") {
    m.state.rflags |= eflags::AC | eflags::ID;
    const u32 sp = static_cast<u32>(m.state.gpr[Rsp]) - 6;
    m.state.gpr[Rsp] = sp;
    m.poke<u16>(sp, 0x10);
    m.poke<u16>(sp + 2, M::kCode0);
    m.poke<u16>(sp + 4, 0);
    REQUIRE_OK(m.processor.interrupt_return(2));
    CHECK(m.state.rflags == (eflags::Fixed | eflags::AC | eflags::ID));
  }
}

TEST_CASE("IRET is refused as the manual says, with nothing changed") {
  M m;
  const u64 sp = m.state.gpr[Rsp] - 20;
  Processor& p = m.processor;
  SECTION("null CS") {
    frame(m, 0, 0, 0);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, 0);
  }
  SECTION("data in CS") {
    frame(m, 0, M::kData0, 0);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, M::kData0);
  }
  SECTION("CS not present") {
    m.set_gdt(M::kFree, code_descriptor(0) & kNotPresent);
    frame(m, 0, M::kFree, 0);
    REQUIRE_FAULT(m, p.interrupt_return(4), SegmentNotPresent, M::kFree);
  }
  SECTION("SS null") {
    frame(m, 0, M::kCode3, 0, 0, 0);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, 0);
  }
  SECTION("SS DPL") {
    frame(m, 0, M::kCode3, 0, 0, M::kData0 | 3);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, M::kData0);
  }
  SECTION("EIP outside CS") {
    SegmentFields fields;
    fields.type = kCode;
    fields.limit = 0xFF;
    fields.granular = false;
    m.set_gdt(M::kFree, encode(fields));
    frame(m, 0x100, M::kFree, 0);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, 0);
  }
  SECTION("return to virtual-8086 mode beyond 64 KiB") {
    frame(m, 0x10000, 0x3000, eflags::VM);
    REQUIRE_FAULT(m, p.interrupt_return(4), GeneralProtection, 0);
  }
  CHECK(m.state.gpr[Rsp] == sp);
  CHECK(m.state.rip == M::kCode);
  CHECK(m.state.cpl == 0);
  CHECK(m.state.rflags == eflags::Fixed);
}

TEST_CASE("VM in the image counts only at level 0") {
  M m(3);
  frame(m, 0x1234, M::kCode3, eflags::VM);
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK_FALSE(m.state.virtual_8086());
}

TEST_CASE("IRET lets NMIs through again, even if it faults") {
  M m;
  m.state.nmi_blocked = true;
  frame(m, 0, 0, 0);
  REQUIRE(m.processor.interrupt_return(4).faulted());
  CHECK_FALSE(m.state.nmi_blocked);
}

TEST_CASE("SYSENTER and SYSEXIT load flat segments") {
  M m(3);
  m.state.sysenter_cs = 0x63;
  m.state.sysenter_esp = 0x7000;
  m.state.sysenter_eip = 0x8000;
  m.state.rflags |= eflags::IF | eflags::TF;
  REQUIRE_OK(m.processor.sysenter());
  CHECK(m.state.cpl == 0);
  CHECK(m.state.rip == 0x8000);
  CHECK(m.state.gpr[Rsp] == 0x7000);
  CHECK(m.state.rflags == (eflags::Fixed | eflags::TF));
  CHECK(m.selector(SegmentName::CS) == 0x60);
  CHECK(m.selector(SegmentName::SS) == 0x68);
  CHECK(m.segment(SegmentName::CS).limit == 0xFFFFFFFF);
  CHECK(m.segment(SegmentName::CS).big);
  m.state.gpr[Rdx] = 0x1234;
  m.state.gpr[Rcx] = 0x5678;
  REQUIRE_OK(m.processor.sysexit(4));
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == 0x1234);
  CHECK(m.state.gpr[Rsp] == 0x5678);
  CHECK(m.selector(SegmentName::CS) == 0x73);
  CHECK(m.selector(SegmentName::SS) == 0x7B);
  CHECK(m.segment(SegmentName::SS).dpl == 3);
  REQUIRE_FAULT(m, m.processor.sysexit(4), GeneralProtection, 0);  // not at level 0
  m.state.sysenter_cs = 3;
  REQUIRE_FAULT(m, m.processor.sysenter(), GeneralProtection, 0);
  m.enter_real(0);
  REQUIRE_FAULT(m, m.processor.sysenter(), GeneralProtection, 0);
}
