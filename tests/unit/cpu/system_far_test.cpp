// JMP, CALL and RET between segments and levels: SDM 2A JMP, CALL, RET; SDM 3A §5.8.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

GuestResult<void> jump(M& m, u16 selector, u64 offset, unsigned size = 4) {
  return m.processor.far_transfer(FarKind::Jump, selector, offset, size, m.state.rip + 7);
}
GuestResult<void> call(M& m, u16 selector, u64 offset, unsigned size = 4) {
  return m.processor.far_transfer(FarKind::Call, selector, offset, size, m.state.rip + 7);
}

}  // namespace

TEST_CASE("a far jump to the same level") {
  M m(3);
  REQUIRE_OK(jump(m, M::kCode3 & ~3, 0x1234));
  CHECK(m.selector(SegmentName::CS) == M::kCode3);  // RPL becomes CPL
  CHECK(m.state.rip == 0x1234);
  REQUIRE_OK(jump(m, M::kCode3, 0xABCD1234, 2));
  CHECK(m.state.rip == 0x1234);
}

TEST_CASE("far jumps are refused as the manual says") {
  M m(3);
  SECTION("null") {
    REQUIRE_FAULT(m, jump(m, 3, 0), GeneralProtection, 0);
  }
  SECTION("outside the table") {
    REQUIRE_FAULT(m, jump(m, 0x83, 0), GeneralProtection, 0x80);
  }
  SECTION("inner level") {
    REQUIRE_FAULT(m, jump(m, M::kCode0, 0), GeneralProtection, 0x08);
  }
  SECTION("data") {
    REQUIRE_FAULT(m, jump(m, M::kData3, 0), GeneralProtection, 0x20);
  }
  SECTION("interrupt gate") {
    m.set_gdt(M::kFree, gate_descriptor(SystemType::InterruptGate32, M::kCode3, 0, 3));
    REQUIRE_FAULT(m, jump(m, M::kFree, 0), GeneralProtection, M::kFree);
  }
  SECTION("not present") {
    m.set_gdt(M::kFree, code_descriptor(3) & kNotPresent);
    REQUIRE_FAULT(m, jump(m, M::kFree | 3, 0), SegmentNotPresent, M::kFree);
  }
  SECTION("offset outside the segment") {
    SegmentFields fields;
    fields.type = kCodeReadable;
    fields.dpl = 3;
    fields.limit = 0xFF;
    fields.granular = false;
    m.set_gdt(M::kFree, encode(fields));
    REQUIRE_FAULT(m, jump(m, M::kFree | 3, 0x100), GeneralProtection, 0);
  }
  SECTION("RPL above CPL") {
    m.enter(0);
    REQUIRE_FAULT(m, jump(m, M::kCode0 | 3, 0), GeneralProtection, 0x08);
  }
  CHECK(m.state.rip == M::kCode);
}

TEST_CASE("conforming code runs at the caller's level") {
  M m(3);
  REQUIRE_OK(jump(m, M::kConforming0, 0x10));
  CHECK(m.state.cpl == 3);
  CHECK(m.selector(SegmentName::CS) == (M::kConforming0 | 3));
  m.enter(0);
  m.set_gdt(M::kFree, code_descriptor(3, kConforming));
  REQUIRE_FAULT(m, jump(m, M::kFree, 0), GeneralProtection, M::kFree);
}

TEST_CASE("a far call pushes CS:EIP and RETF takes it back") {
  M m(3);
  REQUIRE_OK(call(m, M::kCode3, 0x1234));
  CHECK(m.state.gpr[Rsp] == M::kStack3 - 8);
  CHECK(m.peek<u32>(M::kStack3 - 4) == M::kCode3);
  CHECK(m.peek<u32>(M::kStack3 - 8) == M::kCode + 7);
  REQUIRE_OK(m.processor.far_return(4, 12));
  CHECK(m.state.rip == M::kCode + 7);
  CHECK(m.state.gpr[Rsp] == M::kStack3 + 12);
}

TEST_CASE("a far call without room faults with the registers unchanged") {
  M m(3);
  m.segment(SegmentName::SS).limit = 0xFFFF;
  m.state.gpr[Rsp] = 0x10002;
  REQUIRE_FAULT(m, call(m, M::kCode3, 0x1234), StackFault, 0);
  CHECK(m.state.gpr[Rsp] == 0x10002);
  CHECK(m.state.rip == M::kCode);
}

TEST_CASE("a call gate to an inner level switches stacks and copies parameters") {
  M m(3);
  m.set_gdt(M::kFree, gate_descriptor(SystemType::CallGate32, M::kCode0, 0x5678, 3, 2));
  m.poke<u32>(M::kStack3, 0x11111111);
  m.poke<u32>(M::kStack3 + 4, 0x22222222);
  REQUIRE_OK(call(m, M::kFree | 3, 0x9999));
  CHECK(m.state.cpl == 0);
  CHECK(m.selector(SegmentName::CS) == M::kCode0);
  CHECK(m.state.rip == 0x5678);
  CHECK(m.selector(SegmentName::SS) == M::kData0);
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 24);
  CHECK(m.peek<u32>(M::kStack0 - 4) == M::kData3);
  CHECK(m.peek<u32>(M::kStack0 - 8) == M::kStack3);
  CHECK(m.peek<u32>(M::kStack0 - 12) == 0x22222222);
  CHECK(m.peek<u32>(M::kStack0 - 16) == 0x11111111);
  CHECK(m.peek<u32>(M::kStack0 - 20) == M::kCode3);
  CHECK(m.peek<u32>(M::kStack0 - 24) == M::kCode + 7);

  REQUIRE_OK(m.processor.load_segment(SegmentName::DS, M::kData0));
  REQUIRE_OK(m.processor.load_segment(SegmentName::ES, M::kData3));
  REQUIRE_OK(m.processor.far_return(4, 8));
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == M::kCode + 7);
  CHECK(m.state.gpr[Rsp] == M::kStack3 + 8);
  CHECK(m.selector(SegmentName::SS) == M::kData3);
  CHECK_FALSE(m.segment(SegmentName::DS).present);  // too privileged for level 3
  CHECK(m.selector(SegmentName::DS) == 0);
  CHECK(m.segment(SegmentName::ES).present);
}

TEST_CASE("a 16-bit call gate pushes words") {
  M m(3);
  m.set_gdt(M::kFree, gate_descriptor(SystemType::CallGate16, M::kCode0, 0x5678, 3, 1));
  m.state.gpr[Rsp] = 0x2F00;
  m.poke<u16>(0x2F00, 0xBEEF);
  REQUIRE_OK(call(m, M::kFree | 3, 0));
  REQUIRE(m.state.gpr[Rsp] == M::kStack0 - 10);
  CHECK(m.peek<u16>(M::kStack0 - 2) == M::kData3);
  CHECK(m.peek<u16>(M::kStack0 - 4) == 0x2F00);
  CHECK(m.peek<u16>(M::kStack0 - 6) == 0xBEEF);
  CHECK(m.peek<u16>(M::kStack0 - 8) == M::kCode3);
  CHECK(m.peek<u16>(M::kStack0 - 10) == ((M::kCode + 7) & 0xFFFF));
}

TEST_CASE("call gates are refused as the manual says") {
  M m(3);
  const auto gate = [&](u64 descriptor) { m.set_gdt(M::kFree, descriptor); };
  SECTION("gate DPL below CPL") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 0));
    REQUIRE_FAULT(m, call(m, M::kFree, 0), GeneralProtection, M::kFree);
  }
  SECTION("gate not present") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3) & kNotPresent);
    REQUIRE_FAULT(m, call(m, M::kFree, 0), SegmentNotPresent, M::kFree);
  }
  SECTION("null target") {
    gate(gate_descriptor(SystemType::CallGate32, 0, 0, 3));
    REQUIRE_FAULT(m, call(m, M::kFree, 0), GeneralProtection, 0);
  }
  SECTION("target is data") {
    gate(gate_descriptor(SystemType::CallGate32, M::kData0, 0, 3));
    REQUIRE_FAULT(m, call(m, M::kFree, 0), GeneralProtection, M::kData0);
  }
  SECTION("target not present") {
    m.set_gdt(M::kFree2, code_descriptor(0) & kNotPresent);
    gate(gate_descriptor(SystemType::CallGate32, M::kFree2, 0, 3));
    REQUIRE_FAULT(m, call(m, M::kFree, 0), SegmentNotPresent, M::kFree2);
  }
  SECTION("JMP to an inner level") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    REQUIRE_FAULT(m, jump(m, M::kFree, 0), GeneralProtection, M::kCode0);
  }
  SECTION("TSS too short") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    m.state.tr.limit = 8;
    REQUIRE_FAULT(m, call(m, M::kFree, 0), InvalidTss, M::kTssSelector);
    m.state.tr.limit = 9;
    REQUIRE_OK(call(m, M::kFree, 0));
  }
  SECTION("inner SS null") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    m.poke<u16>(M::kTss + 8, 0);
    REQUIRE_FAULT(m, call(m, M::kFree, 0), InvalidTss, 0);
  }
  SECTION("inner SS of another level") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    m.poke<u16>(M::kTss + 8, M::kData3);
    REQUIRE_FAULT(m, call(m, M::kFree, 0), InvalidTss, M::kData3 & ~3);
  }
  SECTION("inner SS not present") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    m.set_gdt(M::kData0, data_descriptor(0) & kNotPresent);
    REQUIRE_FAULT(m, call(m, M::kFree, 0), StackFault, M::kData0);
  }
  SECTION("no room on the inner stack") {
    gate(gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
    SegmentFields small;
    small.limit = 0xFF;
    small.granular = false;
    m.set_gdt(M::kFree2, encode(small));
    m.poke<u16>(M::kTss + 8, M::kFree2);
    m.poke<u32>(M::kTss + 4, 0x200);
    REQUIRE_FAULT(m, call(m, M::kFree, 0), StackFault, M::kFree2);
  }
  if (m.state.cpl == 3) {
    CHECK(m.state.gpr[Rsp] == M::kStack3);
    CHECK(m.state.rip == M::kCode);
  }
}

TEST_CASE("a page fault on the inner stack leaves the caller as it was") {
  M m(3);
  m.set_gdt(M::kFree, gate_descriptor(SystemType::CallGate32, M::kCode0, 0, 3));
  m.turn_paging_on();
  m.memory.pages[(M::kStack0 - 4) >> 12] = SystemMemory::Page::Absent;
  m.processor.flush_tlb(true);
  REQUIRE(call(m, M::kFree, 0).faulted());
  CHECK(m.faulted_vector() == Vector::PageFault);
  CHECK(m.faulted_code() == 2);  // a supervisor write, though CPL is still 3
  CHECK(m.processor.pending_exception().fault_address == M::kStack0 - 4);
  CHECK(m.state.cpl == 3);
  CHECK(m.selector(SegmentName::SS) == M::kData3);
  CHECK(m.state.gpr[Rsp] == M::kStack3);
}

TEST_CASE("RETF is refused as the manual says") {
  M m;
  m.enter(1);
  const u32 sp = static_cast<u32>(m.state.gpr[Rsp]);
  const auto frame = [&](u32 rip, u32 cs, u32 esp, u32 ss) {
    m.poke<u32>(sp, rip);
    m.poke<u32>(sp + 4, cs);
    m.poke<u32>(sp + 8, esp);
    m.poke<u32>(sp + 12, ss);
  };
  Processor& p = m.processor;
  SECTION("null CS") {
    frame(0, 2, 0, 0);
    REQUIRE_FAULT(m, p.far_return(4, 0), GeneralProtection, 0);
  }
  SECTION("to an inner level") {
    frame(0, M::kCode0, 0, 0);
    REQUIRE_FAULT(m, p.far_return(4, 0), GeneralProtection, M::kCode0);
  }
  SECTION("DPL does not match RPL") {
    frame(0, (M::kCode1 & ~3) | 3, 0, M::kData3);
    REQUIRE_FAULT(m, p.far_return(4, 0), GeneralProtection, M::kCode1 & ~3);
  }
  SECTION("not present") {
    m.set_gdt(M::kFree, code_descriptor(3) & kNotPresent);
    frame(0, M::kFree | 3, 0, M::kData3);
    REQUIRE_FAULT(m, p.far_return(4, 0), SegmentNotPresent, M::kFree);
  }
  SECTION("null SS") {
    frame(0, M::kCode3, 0, 0);
    REQUIRE_FAULT(m, p.far_return(4, 0), GeneralProtection, 0);
  }
  SECTION("SS of another level") {
    frame(0, M::kCode3, 0, M::kData1);
    REQUIRE_FAULT(m, p.far_return(4, 0), GeneralProtection, M::kData1 & ~3);
  }
  SECTION("SS not present") {
    m.set_gdt(M::kFree, data_descriptor(3) & kNotPresent);
    frame(0, M::kCode3, 0, M::kFree | 3);
    REQUIRE_FAULT(m, p.far_return(4, 0), StackFault, M::kFree);
  }
  CHECK(m.state.cpl == 1);
  CHECK(m.state.gpr[Rsp] == sp);
}

TEST_CASE("returning to a 16-bit stack leaves the upper half of ESP") {
  M m;
  SegmentFields fields;
  fields.dpl = 3;
  fields.big = false;
  m.set_gdt(M::kFree, encode(fields));
  const u32 sp = 0x1FFF0;
  m.state.gpr[Rsp] = sp;
  m.poke<u32>(sp, 0x1000);
  m.poke<u32>(sp + 4, M::kCode3);
  m.poke<u32>(sp + 8, 0x12345678);
  m.poke<u32>(sp + 12, M::kFree | 3);
  REQUIRE_OK(m.processor.far_return(4, 0));
  CHECK(m.state.gpr[Rsp] == 0x15678);
}

TEST_CASE("real-mode far transfers") {
  M m;
  m.enter_real(0x2000);
  REQUIRE_OK(call(m, 0x3000, 0x50, 2));
  CHECK(m.segment(SegmentName::CS).base == 0x30000);
  CHECK(m.state.rip == 0x50);
  CHECK(m.state.gpr[Rsp] == 0xFFC);
  CHECK(m.peek<u16>(0x20FFE) == 0x2000);
  CHECK(m.peek<u16>(0x20FFC) == 0x107);
  REQUIRE_OK(m.processor.far_return(2, 4));
  CHECK(m.segment(SegmentName::CS).base == 0x20000);
  CHECK(m.state.rip == 0x107);
  CHECK(m.state.gpr[Rsp] == 0x1004);
  REQUIRE_FAULT(m, jump(m, 0x3000, 0x10000), GeneralProtection, 0);
}
