// Segment loads and inquiries: SDM 2B MOV, 2A LLDT, LTR, LAR, LSL, 2D VERR; SDM 3A §5.6.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

TEST_CASE("a data segment load fills the hidden part and sets the accessed bit") {
  M m;
  SegmentFields fields;
  fields.base = 0x12345678;
  fields.limit = 0x123;
  fields.granular = false;
  m.set_gdt(M::kFree, encode(fields));
  REQUIRE_OK(m.processor.load_segment(SegmentName::ES, M::kFree));
  const SegmentRegister& es = m.segment(SegmentName::ES);
  CHECK(es.selector == M::kFree);
  CHECK(es.base == 0x12345678);
  CHECK(es.limit == 0x123);
  CHECK(es.big);
  CHECK(es.writable());
  CHECK((m.gdt(M::kFree) >> 40 & 1) == 1);
}

TEST_CASE("page granularity scales the limit") {
  M m;
  SegmentFields fields;
  fields.limit = 2;
  m.set_gdt(M::kFree, encode(fields));
  REQUIRE_OK(m.processor.load_segment(SegmentName::FS, M::kFree));
  CHECK(m.segment(SegmentName::FS).limit == 0x2FFF);
}

TEST_CASE("data segment loads are refused as the manual says") {
  M m(3);
  Processor& p = m.processor;
  const SegmentRegister before = m.segment(SegmentName::DS);
  SECTION("outside the GDT") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, 0x83), GeneralProtection, 0x80);
  }
  SECTION("outside the LDT") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, 0x27), GeneralProtection, 0x24);
  }
  SECTION("no LDT") {
    m.state.ldtr = null_segment(0);
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, 0x07), GeneralProtection, 0x04);
  }
  SECTION("more privileged data") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, M::kData0), GeneralProtection, 0x10);
  }
  SECTION("execute-only code") {
    m.set_gdt(M::kFree, code_descriptor(3, kCode));
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, M::kFree | 3), GeneralProtection, M::kFree);
  }
  SECTION("a system segment") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, M::kTssSelector), GeneralProtection, 0x28);
  }
  SECTION("not present") {
    m.set_gdt(M::kFree, data_descriptor(3) & kNotPresent);
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, M::kFree | 3), SegmentNotPresent, M::kFree);
  }
  SECTION("privilege comes before presence") {
    m.set_gdt(M::kFree, data_descriptor(0) & kNotPresent);
    REQUIRE_FAULT(m, p.load_segment(SegmentName::DS, M::kFree), GeneralProtection, M::kFree);
  }
  CHECK(m.segment(SegmentName::DS) == before);
}

TEST_CASE("RPL above DPL refuses a data segment even at level 0") {
  M m;
  REQUIRE_FAULT(m, m.processor.load_segment(SegmentName::DS, M::kData0 | 3), GeneralProtection,
                0x10);
}

TEST_CASE("conforming code may be read from any level") {
  M m(3);
  REQUIRE_OK(m.processor.load_segment(SegmentName::DS, M::kConforming0 | 3));
  CHECK(m.segment(SegmentName::DS).base == 0);
}

TEST_CASE("a null selector makes a data segment unusable, and SS faults") {
  M m;
  REQUIRE_OK(m.processor.load_segment(SegmentName::GS, 3));
  CHECK_FALSE(m.segment(SegmentName::GS).present);
  CHECK(m.selector(SegmentName::GS) == 3);
  REQUIRE_FAULT(m, m.processor.load_segment(SegmentName::SS, 0), GeneralProtection, 0);
}

TEST_CASE("SS loads demand writable data of exactly the current level") {
  M m;
  Processor& p = m.processor;
  SECTION("RPL") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::SS, M::kData0 | 1), GeneralProtection, 0x10);
  }
  SECTION("DPL") {
    REQUIRE_FAULT(m, p.load_segment(SegmentName::SS, M::kData3 & ~3), GeneralProtection, 0x20);
  }
  SECTION("read-only data") {
    m.set_gdt(M::kFree, data_descriptor(0, kData));
    REQUIRE_FAULT(m, p.load_segment(SegmentName::SS, M::kFree), GeneralProtection, M::kFree);
  }
  SECTION("not present is a stack fault") {
    m.set_gdt(M::kFree, data_descriptor(0) & kNotPresent);
    REQUIRE_FAULT(m, p.load_segment(SegmentName::SS, M::kFree), StackFault, M::kFree);
  }
  SECTION("expand-down") {
    m.set_gdt(M::kFree, data_descriptor(0, kDataExpandDown));
    REQUIRE_OK(p.load_segment(SegmentName::SS, M::kFree));
    CHECK(m.segment(SegmentName::SS).expand_down());
  }
}

TEST_CASE("the accessed bit is written through paging") {
  M m;
  m.turn_paging_on();
  m.memory.pages[M::kGdt >> 12] = SystemMemory::Page::ReadOnly;
  m.processor.flush_tlb(true);
  REQUIRE(m.processor.load_segment(SegmentName::ES, M::kData3).faulted());
  CHECK(m.faulted_vector() == Vector::PageFault);
  CHECK(m.faulted_code() == 3);
  CHECK(m.processor.pending_exception().fault_address == M::kGdt + 0x25);
  m.set_gdt(M::kFree, data_descriptor(0, kDataWritable | 1));
  REQUIRE_OK(m.processor.load_segment(SegmentName::ES, M::kFree));
}

TEST_CASE("real-mode loads change the base and keep the limit") {
  M m;
  m.enter_real(0x1000);
  m.segment(SegmentName::DS).limit = 0xFFFFFFFF;
  REQUIRE_OK(m.processor.load_segment(SegmentName::DS, 0xB800));
  CHECK(m.segment(SegmentName::DS).base == 0xB8000);
  CHECK(m.segment(SegmentName::DS).limit == 0xFFFFFFFF);
}

TEST_CASE("LLDT") {
  M m;
  Processor& p = m.processor;
  REQUIRE_OK(p.load_ldt(0));
  CHECK_FALSE(m.state.ldtr.present);
  REQUIRE_OK(p.load_ldt(M::kLdtSelector));
  CHECK(m.state.ldtr.base == M::kLdt);
  REQUIRE_FAULT(m, p.load_ldt(0x0C), GeneralProtection, 0x0C);
  REQUIRE_FAULT(m, p.load_ldt(M::kData0), GeneralProtection, 0x10);
  REQUIRE_FAULT(m, p.load_ldt(0x80), GeneralProtection, 0x80);
  m.set_gdt(M::kFree, system_descriptor(SystemType::Ldt, 0, 7) & kNotPresent);
  REQUIRE_FAULT(m, p.load_ldt(M::kFree), SegmentNotPresent, M::kFree);
  CHECK(m.state.ldtr.selector == M::kLdtSelector);
}

TEST_CASE("LTR marks the task busy and takes only available ones") {
  M m;
  Processor& p = m.processor;
  REQUIRE_OK(p.load_task_register(M::kTss2Selector));
  CHECK(m.state.tr.base == M::kTss2);
  CHECK(m.state.tr.limit == 0x67);
  CHECK(Descriptor{m.gdt(M::kTss2Selector)}.is_busy_tss());
  REQUIRE_FAULT(m, p.load_task_register(M::kTss2Selector), GeneralProtection, 0x30);
  REQUIRE_FAULT(m, p.load_task_register(0), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.load_task_register(M::kData0), GeneralProtection, 0x10);
  m.set_gdt(M::kFree, system_descriptor(SystemType::AvailableTss32, 0, 0x67) & kNotPresent);
  REQUIRE_FAULT(m, p.load_task_register(M::kFree), SegmentNotPresent, M::kFree);
}

TEST_CASE("LAR and LSL see what the caller's privilege allows") {
  M m(3);
  Processor& p = m.processor;
  u32 value = 0xDEAD;
  CHECK(p.load_access_rights(M::kCode3, value).value());
  CHECK(value == 0x00CFFA00);  // G, D, limit 19:16, present, DPL 3, readable code
  CHECK(p.load_segment_limit(M::kCode3, value).value());
  CHECK(value == 0xFFFFFFFF);
  CHECK_FALSE(p.load_access_rights(M::kData0, value).value());
  CHECK_FALSE(p.load_access_rights(0, value).value());
  CHECK_FALSE(p.load_access_rights(0xF8, value).value());
  CHECK(p.load_access_rights(M::kConforming0, value).value());
  m.enter(0);
  CHECK_FALSE(p.load_access_rights(M::kData0 | 3, value).value());  // RPL counts too
  CHECK(p.load_segment_limit(M::kTssSelector, value).value());
  CHECK(value == 0x2100);
  m.set_gdt(M::kFree, gate_descriptor(SystemType::CallGate32, M::kCode0, 0));
  CHECK(p.load_access_rights(M::kFree, value).value());
  CHECK_FALSE(p.load_segment_limit(M::kFree, value).value());
  m.set_gdt(M::kFree, gate_descriptor(SystemType::InterruptGate32, M::kCode0, 0));
  CHECK_FALSE(p.load_access_rights(M::kFree, value).value());
}

TEST_CASE("VERR and VERW") {
  M m(3);
  Processor& p = m.processor;
  CHECK(p.verify_segment(M::kData3, AccessType::Read).value());
  CHECK(p.verify_segment(M::kData3, AccessType::Write).value());
  CHECK(p.verify_segment(M::kCode3, AccessType::Read).value());
  CHECK_FALSE(p.verify_segment(M::kCode3, AccessType::Write).value());
  CHECK_FALSE(p.verify_segment(M::kData0, AccessType::Read).value());
  CHECK_FALSE(p.verify_segment(M::kTssSelector, AccessType::Read).value());
  m.set_gdt(M::kFree, code_descriptor(3, kCode));
  CHECK_FALSE(p.verify_segment(M::kFree | 3, AccessType::Read).value());
  m.set_gdt(M::kFree, data_descriptor(3, kData));
  CHECK_FALSE(p.verify_segment(M::kFree | 3, AccessType::Write).value());
}

TEST_CASE("near branches stay inside CS") {
  M m;
  m.segment(SegmentName::CS).limit = 0xFFF;
  REQUIRE_OK(m.processor.branch_near(0xFFF, 4));
  CHECK(m.state.rip == 0xFFF);
  REQUIRE_FAULT(m, m.processor.branch_near(0x1000, 4), GeneralProtection, 0);
  REQUIRE_OK(m.processor.branch_near(0x10123, 2));
  CHECK(m.state.rip == 0x123);
}
