// Reset, control, debug and model-specific registers, XCR0, I/O permissions. SDM 3A table 9-1,
// §2.5, §4.4.1; SDM 3B chapter 17; SDM 4.
#include "cpu/msr.h"
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

TEST_CASE("power-on state is table 9-1's") {
  M m;
  m.processor.reset();
  const State& s = m.state;
  CHECK(s.rip == 0xFFF0);
  CHECK(s.rflags == 2);
  CHECK(s.cr0 == 0x60000010);
  CHECK(s.segment(SegmentName::CS).selector == 0xF000);
  CHECK(s.segment(SegmentName::CS).base == 0xFFFF0000);
  CHECK(s.segment(SegmentName::CS).limit == 0xFFFF);
  CHECK(s.segment(SegmentName::DS).base == 0);
  CHECK(s.gpr[Rdx] == 0x000106CA);
  CHECK(s.gdtr.limit == 0xFFFF);
  CHECK(s.idtr.limit == 0xFFFF);
  CHECK(s.dr[6] == 0xFFFF0FF0);
  CHECK(s.dr[7] == 0x400);
  CHECK(s.xcr0 == 1);
  CHECK(s.pat == 0x0007040600070406);
  CHECK(m.processor.time_stamp() == 0);
  CHECK_FALSE(m.processor.decode_mode().code_32);
}

TEST_CASE("state survives a snapshot") {
  M m(3);
  m.state.gpr[Rbx] = 0x1234;
  m.state.mtrr_fixed[3] = 0x0606060606060606;
  m.state.extended.ymm_high[7] = 0x55;
  StateArchive out;
  m.state.serialize(out);
  M other;
  StateArchive in(out.bytes());
  other.state.serialize(in);
  REQUIRE(in.finish());
  CHECK(other.state.gpr == m.state.gpr);
  CHECK(other.state.segments == m.state.segments);
  CHECK(other.state.tr == m.state.tr);
  CHECK(other.state.mtrr_fixed == m.state.mtrr_fixed);
  CHECK(other.state.extended == m.state.extended);
  CHECK(other.state.cpl == 3);
}

TEST_CASE("CR0 refuses illegal combinations") {
  M m;
  Processor& p = m.processor;
  const u64 base = m.state.cr0;
  REQUIRE_FAULT(m, p.write_cr(0, cr0::PG), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_cr(0, base | cr0::NW), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_cr(0, base | u64{1} << 32), GeneralProtection, 0);
  CHECK(m.state.cr0 == base);
  REQUIRE_OK(p.write_cr(0, 0xFFFFFFFF));
  CHECK(m.state.cr0 == 0xE005003F);  // reserved bits are ignored
  REQUIRE_OK(p.write_cr(0, 0));
  CHECK(m.state.cr0 == cr0::ET);
}

TEST_CASE("CR4's legal bits are the model's features") {
  M m;
  REQUIRE_OK(m.processor.write_cr(4, cr4::PAE | cr4::PGE | cr4::SMEP | cr4::OSXSAVE));
  REQUIRE_FAULT(m, m.processor.write_cr(4, 1U << 13), GeneralProtection, 0);  // VMXE
  REQUIRE_FAULT(m, m.processor.write_cr(4, 1U << 17), GeneralProtection, 0);  // PCIDE
  REQUIRE_FAULT(m, m.processor.write_cr(4, cr4::FSGSBASE), GeneralProtection, 0);
  CHECK(m.state.cr4 == (cr4::PAE | cr4::PGE | cr4::SMEP | cr4::OSXSAVE));
  m.model.features.reset(static_cast<std::size_t>(Feature::Smep));
  REQUIRE_FAULT(m, m.processor.write_cr(4, cr4::SMEP), GeneralProtection, 0);
  REQUIRE(m.processor.write_cr(8, 0).faulted());
  CHECK(m.faulted_vector() == Vector::InvalidOpcode);
}

TEST_CASE("PAE paging loads and checks the PDPTEs") {
  M m;
  Processor& p = m.processor;
  const auto entry = [&](unsigned n, u64 value) { m.poke<u64>(0x100020 + 8 * n, value); };
  entry(0, 0x101001);
  entry(3, 0x104001);
  REQUIRE_OK(p.write_cr(3, 0x100020));
  REQUIRE_OK(p.write_cr(4, cr4::PAE));
  CHECK(m.state.pdpte[0] == 0);
  REQUIRE_OK(p.write_cr(0, m.state.cr0 | cr0::PG));
  CHECK(m.state.pdpte[0] == 0x101001);
  CHECK(m.state.pdpte[3] == 0x104001);

  entry(0, 0x105001);  // not seen until the next load
  CHECK(m.state.pdpte[0] == 0x101001);
  const u64 reserved =
      GENERATE(u64{1} << 1, u64{1} << 2, u64{1} << 5, u64{1} << 8, u64{1} << 36, u64{1} << 63);
  entry(1, 1 | reserved);
  REQUIRE_FAULT(m, p.write_cr(3, 0x100020), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_cr(4, cr4::PAE | cr4::PGE), GeneralProtection, 0);
  CHECK(m.state.pdpte[0] == 0x101001);
  CHECK(m.state.cr4 == cr4::PAE);
  entry(1, reserved);  // not present: anything goes
  REQUIRE_OK(p.write_cr(3, 0x100020));
  CHECK(m.state.pdpte[0] == 0x105001);
}

TEST_CASE("XCR0") {
  M m;
  REQUIRE_OK(m.processor.write_xcr(0, 7));
  CHECK(m.state.xcr0 == 7);
  REQUIRE_FAULT(m, m.processor.write_xcr(0, 6), GeneralProtection, 0);
  REQUIRE_FAULT(m, m.processor.write_xcr(0, 5), GeneralProtection, 0);
  REQUIRE_FAULT(m, m.processor.write_xcr(0, 0xE7), GeneralProtection, 0);
  REQUIRE_FAULT(m, m.processor.write_xcr(1, 1), GeneralProtection, 0);
}

TEST_CASE("debug registers: aliases, fixed bits, privilege, general detect") {
  M m;
  Processor& p = m.processor;
  REQUIRE_OK(p.write_dr(6, 0));
  CHECK(p.read_dr(4).value() == 0xFFFF0FF0);
  REQUIRE_OK(p.write_dr(5, 0xFFFFDFFF));
  CHECK((p.read_dr(7).value() & 0xFC00) == 0x0400);
  m.state.cr4 |= cr4::DE;
  REQUIRE(p.read_dr(4).faulted());
  CHECK(m.faulted_vector() == Vector::InvalidOpcode);
  m.enter(3);
  REQUIRE_FAULT(m, p.read_dr(0), GeneralProtection, 0);
  m.enter(0);
  m.state.dr[7] = 0x2400;
  REQUIRE(p.write_dr(0, 1).faulted());
  CHECK(m.faulted_vector() == Vector::Debug);
  m.set_idt(1, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler));
  p.deliver_pending_exception();
  CHECK(m.state.dr[7] == 0x400);  // GD is clear for the handler
  CHECK((m.state.dr[6] & 0x2000) != 0);
  CHECK((m.peek<u32>(M::kStack0 - 4) & eflags::RF) != 0);
  CHECK(m.state.dr[0] == 0);
}

TEST_CASE("data breakpoints match by range and kind") {
  M m;
  m.state.dr[0] = 0x5003;                 // 4 bytes: 5000h-5003h
  m.state.dr[7] = 0x400 | 1 | 0xD << 16;  // L0, write, 4 bytes
  const auto hit = [&](u64 address, unsigned length, AccessType type) {
    m.state.pending_debug = 0;
    m.processor.check_data_breakpoints(address, length, type);
    return m.state.pending_debug;
  };
  CHECK(hit(0x5000, 1, AccessType::Write) == 1);
  CHECK(hit(0x4FFD, 4, AccessType::Write) == 1);
  CHECK(hit(0x4FFC, 4, AccessType::Write) == 0);
  CHECK(hit(0x5004, 4, AccessType::Write) == 0);
  CHECK(hit(0x5000, 1, AccessType::Read) == 0);
  m.state.dr[7] = 0x400 | 2 | 0xF << 16;  // G0, read or write
  CHECK(hit(0x5003, 1, AccessType::Read) == 1);
  m.state.dr[7] = 0x400 | 0xF << 16;  // not enabled
  CHECK(hit(0x5003, 1, AccessType::Read) == 0);
}

TEST_CASE("I/O breakpoints need CR4.DE") {
  M m;
  m.state.dr[1] = 0x3F8;
  m.state.dr[7] = 0x400 | 4 | 0x2 << 20;
  m.processor.check_io_breakpoints(0x3F8, 1);
  CHECK(m.state.pending_debug == 0);
  m.state.cr4 |= cr4::DE;
  m.processor.check_io_breakpoints(0x3F7, 2);
  CHECK(m.state.pending_debug == 2);
}

TEST_CASE("I/O permission: IOPL, bitmap, end of the bitmap") {
  M m(3);
  Processor& p = m.processor;
  const u32 map = M::kTss + 0x88;
  for (u32 i = 0; i < 0x2000; ++i) m.poke<u8>(map + i, 0);
  REQUIRE_OK(p.check_io_permission(0x3F8, 4));
  m.poke<u8>(map + 0x3FB / 8, 1U << (0x3FB % 8));
  REQUIRE_OK(p.check_io_permission(0x3F8, 2));
  REQUIRE_FAULT(m, p.check_io_permission(0x3F8, 4), GeneralProtection, 0);
  m.poke<u8>(map + 2, 1);  // port 10h, reached from 0Fh across the byte
  REQUIRE_FAULT(m, p.check_io_permission(0x0F, 2), GeneralProtection, 0);
  m.state.rflags |= eflags::IOPL;
  REQUIRE_OK(p.check_io_permission(0x3F8, 4));
  m.state.rflags = eflags::Fixed;
  m.state.tr.limit = 0x88 + 0x10;  // the second byte read must exist as well
  REQUIRE_OK(p.check_io_permission(0x78, 1));
  REQUIRE_FAULT(m, p.check_io_permission(0x80, 1), GeneralProtection, 0);
  m.enter_virtual_8086(3);  // IOPL doesn't count in virtual-8086 mode
  REQUIRE_FAULT(m, p.check_io_permission(0x80, 1), GeneralProtection, 0);
  REQUIRE_OK(p.check_io_permission(0x78, 1));
}

TEST_CASE("MSRs: unknown ones and illegal values raise #GP") {
  M m;
  Processor& p = m.processor;
  REQUIRE_FAULT(m, p.read_msr(0x12345), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(0x12345, 0), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(msr::kMtrrCapMsr, 0), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(msr::kPat, 2), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(msr::kPat, u64{8} << 32), GeneralProtection, 0);
  REQUIRE_OK(p.write_msr(msr::kPat, 0x0007010500070105));
  CHECK(m.state.pat == 0x0007010500070105);
  REQUIRE_FAULT(m, p.write_msr(msr::kEfer, efer::LME), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(msr::kEfer, efer::SCE), GeneralProtection, 0);
  REQUIRE_OK(p.write_msr(msr::kEfer, efer::NXE));
  REQUIRE_FAULT(m, p.write_msr(msr::kTscAux, u64{1} << 32), GeneralProtection, 0);
  m.model.features.reset(static_cast<std::size_t>(Feature::Sep));
  REQUIRE_FAULT(m, p.read_msr(msr::kSysenterCs), GeneralProtection, 0);
}

TEST_CASE("MTRRs") {
  M m;
  Processor& p = m.processor;
  CHECK(p.read_msr(msr::kMtrrCapMsr).value() == 0x508);
  REQUIRE_OK(p.write_msr(0x200, 0xC0000000));
  REQUIRE_OK(p.write_msr(0x201, 0xFC0000800));
  REQUIRE_FAULT(m, p.write_msr(0x200, 2), GeneralProtection, 0);      // type
  REQUIRE_FAULT(m, p.write_msr(0x200, 0x100), GeneralProtection, 0);  // reserved
  REQUIRE_FAULT(m, p.write_msr(0x201, 0x400), GeneralProtection, 0);
  REQUIRE_FAULT(m, p.write_msr(0x201, u64{1} << 36), GeneralProtection, 0);  // MAXPHYADDR
  REQUIRE_OK(p.write_msr(0x20F, 0x800));
  REQUIRE_FAULT(m, p.write_msr(0x210, 0), GeneralProtection, 0);
  REQUIRE_OK(p.write_msr(0x250, 0x0606060606060606));
  REQUIRE_OK(p.write_msr(0x259, 0x0505050505050505));
  REQUIRE_OK(p.write_msr(0x26F, 0x0101010101010101));
  CHECK(p.read_msr(0x250).value() == 0x0606060606060606);
  CHECK(p.read_msr(0x259).value() == 0x0505050505050505);
  CHECK(p.read_msr(0x26F).value() == 0x0101010101010101);
  REQUIRE_FAULT(m, p.write_msr(0x26F, 0x0700000000000000), GeneralProtection, 0);
  REQUIRE_OK(p.write_msr(0x2FF, 0xC06));
  REQUIRE_FAULT(m, p.write_msr(0x2FF, 0x1006), GeneralProtection, 0);
}

TEST_CASE("the time-stamp counter, its adjustment and their link") {
  M m;
  Processor& p = m.processor;
  p.reset();
  m.platform.now += 500;
  CHECK(p.read_msr(msr::kTimeStampCounter).value() == 500);
  REQUIRE_OK(p.write_msr(msr::kTimeStampCounter, 10'000));
  CHECK(p.time_stamp() == 10'000);
  CHECK(p.read_msr(msr::kTscAdjust).value() == 9'500);
  REQUIRE_OK(p.write_msr(msr::kTscAdjust, 0));
  CHECK(p.time_stamp() == 500);
}

TEST_CASE("the APIC's MSRs are the platform's") {
  M m;
  CHECK(m.processor.read_msr(msr::kApicBase).value() == 0xFEE00900);
  REQUIRE_FAULT(m, m.processor.read_msr(msr::kTscDeadline), GeneralProtection, 0);
}

TEST_CASE("the capabilities tell that no speculation attack applies") {
  M m;
  const u64 value = m.processor.read_msr(msr::kArchCapabilitiesMsr).value();
  CHECK((value & 0x171) == 0x171);  // RDCL_NO, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO
  CHECK((value & 0x04) == 0);       // RSBA
  REQUIRE_FAULT(m, m.processor.write_msr(msr::kArchCapabilitiesMsr, value), GeneralProtection, 0);
}
