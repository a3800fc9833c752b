// System instructions through the decoder: privilege, modes, operands. SDM 2A-2D.
#include <vector>

#include "cpu/decoder.h"
#include "cpu/interpreter/interpreter.h"
#include "cpu/msr.h"
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

using Code = std::vector<u8>;

struct InstructionMachine : M {
  using M::M;
  Decoder decoder{model};

  /// Decodes and executes; what can't be decoded counts as the #UD that it raises.
  Completion run(const Code& code) {
    Instruction instruction;
    if (decoder.decode(code, processor.decode_mode(), instruction) != DecodeStatus::Ok) {
      processor.raise(Vector::InvalidOpcode);
      return Completion::Fault;
    }
    return instruction.handler(processor, instruction);
  }
  bool faults(const Code& code, Vector vector) {
    if (run(code) != Completion::Fault) return false;
    const GuestException& exception = processor.pending_exception();
    return exception.vector == vector && exception.error_code == 0;
  }
  bool undefined(const Code& code) { return faults(code, Vector::InvalidOpcode); }
  bool refused(const Code& code) { return faults(code, Vector::GeneralProtection); }
  bool runs(const Code& code) { return run(code) != Completion::Fault; }
};

constexpr u8 kOperandSize = 0x66;

}  // namespace

TEST_CASE("privileged instructions raise #GP(0) above level 0 and in virtual-8086 mode") {
  InstructionMachine m(3);
  const Code code = GENERATE(values<Code>({
      {0xF4},              // HLT
      {0x0F, 0x01, 0x13},  // LGDT
      {0x0F, 0x01, 0x1B},  // LIDT
      {0x0F, 0x01, 0xF0},  // LMSW AX
      {0x0F, 0x06},        // CLTS
      {0x0F, 0x08},        // INVD
      {0x0F, 0x09},        // WBINVD
      {0x0F, 0x01, 0x3B},  // INVLPG
      {0x0F, 0x20, 0xC0},  // MOV EAX, CR0
      {0x0F, 0x22, 0xC0},  // MOV CR0, EAX
      {0x0F, 0x21, 0xC0},  // MOV EAX, DR0
      {0x0F, 0x23, 0xC0},  // MOV DR0, EAX
      {0x0F, 0x30},        // WRMSR
      {0x0F, 0x32},        // RDMSR
  }));
  CHECK(m.refused(code));
  m.enter_virtual_8086(3);
  CHECK(m.refused(code));
}

TEST_CASE("instructions that this processor doesn't have") {
  InstructionMachine m;
  const Code code = GENERATE(values<Code>({
      {0x0F, 0xAA},        // RSM
      {0x0F, 0x01, 0xC1},  // VMCALL
      {0x0F, 0x01, 0xD9},  // VMMCALL
      {0x0F, 0x01, 0xC8},  // MONITOR
      {0x0F, 0x01, 0xC9},  // MWAIT
      {0x0F, 0x05},        // SYSCALL
      {0x0F, 0x07},        // SYSRET
      {0x0F, 0x0B},        // UD2
      {0x0F, 0x20, 0xC8},  // MOV EAX, CR1
      {0x0F, 0x20, 0xE8},  // MOV EAX, CR5
      {0x0F, 0x37},        // GETSEC
  }));
  CHECK(m.undefined(code));
}

TEST_CASE("selector instructions are undefined in real and virtual-8086 mode") {
  InstructionMachine m(3);
  const Code code = GENERATE(values<Code>({
      {0x0F, 0x00, 0xC0},  // SLDT
      {0x0F, 0x00, 0xC8},  // STR
      {0x0F, 0x00, 0xD0},  // LLDT
      {0x0F, 0x00, 0xD8},  // LTR
      {0x0F, 0x00, 0xE0},  // VERR
      {0x0F, 0x00, 0xE8},  // VERW
      {0x0F, 0x02, 0xC1},  // LAR
      {0x0F, 0x03, 0xC1},  // LSL
      {0x63, 0xC8},        // ARPL
  }));
  m.enter_virtual_8086(3);
  CHECK(m.undefined(code));
  m.enter_real(0);
  CHECK(m.undefined(code));
}

TEST_CASE("LGDT and SGDT") {
  InstructionMachine m;
  m.state.gpr[Rbx] = 0x50000;
  m.poke<u16>(0x50000, 0x1234);
  m.poke<u32>(0x50002, 0xAABBCCDD);
  REQUIRE(m.runs({0x0F, 0x01, 0x13}));
  CHECK(m.state.gdtr.limit == 0x1234);
  CHECK(m.state.gdtr.base == 0xAABBCCDD);
  REQUIRE(m.runs({kOperandSize, 0x0F, 0x01, 0x1B}));  // LIDT with 16-bit operand size
  CHECK(m.state.idtr.base == 0xBBCCDD);
  m.state.gpr[Rbx] = 0x50010;
  REQUIRE(m.runs({0x0F, 0x01, 0x03}));
  CHECK(m.peek<u16>(0x50010) == 0x1234);
  CHECK(m.peek<u32>(0x50012) == 0xAABBCCDD);
  REQUIRE(m.runs({kOperandSize, 0x0F, 0x01, 0x03}));
  CHECK(m.peek<u32>(0x50012) == 0xAABBCCDD);
}

TEST_CASE("UMIP hides the tables from user code only") {
  InstructionMachine m(3);
  m.state.gpr[Rbx] = 0x50000;
  const Code code = GENERATE(values<Code>({
      {0x0F, 0x01, 0x03},  // SGDT
      {0x0F, 0x01, 0x0B},  // SIDT
      {0x0F, 0x00, 0x03},  // SLDT
      {0x0F, 0x00, 0x0B},  // STR
      {0x0F, 0x01, 0x23},  // SMSW
  }));
  CHECK(m.runs(code));
  m.state.cr4 |= cr4::UMIP;
  CHECK(m.refused(code));
  m.enter(0);
  CHECK(m.runs(code));
}

TEST_CASE("SLDT and SMSW: 16 bits to memory, the operand size to a register") {
  InstructionMachine m;
  m.state.gpr[Rbx] = 0x50000;
  m.poke<u32>(0x50000, 0xFFFFFFFF);
  REQUIRE(m.runs({0x0F, 0x00, 0x03}));
  CHECK(m.peek<u32>(0x50000) == (0xFFFF0000 | M::kLdtSelector));
  m.state.gpr[Rax] = 0xFFFFFFFF;
  REQUIRE(m.runs({0x0F, 0x00, 0xC0}));
  CHECK(m.state.gpr[Rax] == M::kLdtSelector);
  m.state.gpr[Rax] = 0xFFFFFFFF;
  REQUIRE(m.runs({kOperandSize, 0x0F, 0x00, 0xC8}));
  CHECK(m.state.gpr[Rax] == (0xFFFF0000 | M::kTssSelector));
  m.state.cr0 |= cr0::AM;
  REQUIRE(m.runs({0x0F, 0x01, 0xE0}));
  CHECK(m.state.gpr[Rax] == m.state.cr0);
}

TEST_CASE("LMSW sets PE and never clears it") {
  InstructionMachine m;
  m.enter_real(0);
  m.state.gpr[Rax] = 0xFFFF;
  REQUIRE(m.runs({0x0F, 0x01, 0xF0}));
  CHECK((m.state.cr0 & 0x3F) == 0x1F);  // PE MP EM TS and the fixed ET; not NE
  m.state.gpr[Rax] = 0;
  REQUIRE(m.runs({0x0F, 0x01, 0xF0}));
  CHECK((m.state.cr0 & 0x3F) == 0x11);
}

TEST_CASE("MOV CR3 and CLTS") {
  InstructionMachine m;
  m.state.gpr[Rcx] = 0x123456;
  REQUIRE(m.run({0x0F, 0x22, 0xD9}) == Completion::EndBlock);
  CHECK(m.state.cr3 == 0x123456);
  REQUIRE(m.runs({0x0F, 0x20, 0xDA}));
  CHECK(m.state.gpr[Rdx] == 0x123456);
  m.state.cr0 |= cr0::TS;
  REQUIRE(m.runs({0x0F, 0x06}));
  CHECK((m.state.cr0 & cr0::TS) == 0);
  m.state.gpr[Rax] = cr0::PG;
  CHECK(m.refused({0x0F, 0x22, 0xC0}));
}

TEST_CASE("LAR, LSL and ARPL report in ZF") {
  InstructionMachine m(3);
  m.state.gpr[Rcx] = M::kData3;
  REQUIRE(m.runs({0x0F, 0x02, 0xC1}));
  CHECK(m.state.flag(eflags::ZF));
  CHECK(m.state.gpr[Rax] == 0x00CFF200);
  REQUIRE(m.runs({0x0F, 0x03, 0xC1}));
  CHECK(m.state.gpr[Rax] == 0xFFFFFFFF);
  m.state.gpr[Rcx] = M::kData0;
  REQUIRE(m.runs({0x0F, 0x03, 0xC1}));
  CHECK_FALSE(m.state.flag(eflags::ZF));
  CHECK(m.state.gpr[Rax] == 0xFFFFFFFF);  // unchanged
  m.state.gpr[Rax] = 0x10;
  m.state.gpr[Rcx] = 3;
  REQUIRE(m.runs({0x63, 0xC8}));
  CHECK(m.state.gpr[Rax] == 0x13);
  CHECK(m.state.flag(eflags::ZF));
  REQUIRE(m.runs({0x63, 0xC8}));
  CHECK_FALSE(m.state.flag(eflags::ZF));
}

TEST_CASE("CLI and STI by mode: SDM tables 3-7 and 4-15") {
  InstructionMachine m(3);
  State& s = m.state;
  SECTION("level 3, IOPL 0") {
    CHECK(m.refused({0xFA}));
    CHECK(m.refused({0xFB}));
  }
  SECTION("level 3, IOPL 3") {
    s.rflags |= eflags::IOPL;
    CHECK(m.runs({0xFB}));
    CHECK(s.flag(eflags::IF));
    CHECK(s.sti_shadow);
    CHECK(m.runs({0xFA}));
    CHECK_FALSE(s.flag(eflags::IF));
  }
  SECTION("protected-mode virtual interrupts") {
    s.cr4 |= cr4::PVI;
    CHECK(m.runs({0xFB}));
    CHECK(s.flag(eflags::VIF));
    CHECK_FALSE(s.flag(eflags::IF));
    CHECK(m.runs({0xFA}));
    CHECK_FALSE(s.flag(eflags::VIF));
    s.rflags |= eflags::VIP;
    CHECK(m.refused({0xFB}));
    m.enter(1);  // PVI is for level 3
    CHECK(m.refused({0xFA}));
  }
  SECTION("virtual-8086 mode") {
    m.enter_virtual_8086(0);
    CHECK(m.refused({0xFA}));
    s.cr4 |= cr4::VME;
    CHECK(m.runs({0xFB}));
    CHECK(s.flag(eflags::VIF));
    CHECK(m.runs({0xFA}));
    CHECK_FALSE(s.flag(eflags::VIF));
    CHECK(s.flag(eflags::IF));
  }
  SECTION("a run of STIs shields only the first time") {
    m.enter(0);
    CHECK(m.runs({0xFB}));
    s.sti_shadow = false;
    CHECK(m.runs({0xFB}));
    CHECK_FALSE(s.sti_shadow);
  }
}

TEST_CASE("PUSHF and POPF in protected mode") {
  InstructionMachine m(3);
  State& s = m.state;
  s.rflags |= eflags::RF | eflags::VIP | eflags::VIF | eflags::CF;
  REQUIRE(m.runs({0x9C}));
  CHECK(m.peek<u32>(M::kStack3 - 4) ==
        (eflags::Fixed | eflags::VIP | eflags::VIF | eflags::CF));  // RF reads as 0
  const auto popf = [&](u32 image) {
    m.poke<u32>(M::kStack3 - 4, image);
    s.gpr[Rsp] = M::kStack3 - 4;
    REQUIRE(m.runs({0x9D}));
  };
  s.rflags = eflags::Fixed;
  popf(0xFFFFFFFF);  // level 3, IOPL 0: neither IF nor IOPL
  CHECK(s.rflags == (eflags::Fixed | eflags::Arithmetic | eflags::TF | eflags::DF | eflags::NT |
                     eflags::AC | eflags::ID));
  s.rflags = eflags::Fixed | eflags::IOPL | eflags::IF;
  popf(0);
  CHECK(s.rflags == (eflags::Fixed | eflags::IOPL));
  m.enter(0);
  s.rflags = eflags::Fixed | eflags::VIF;
  popf(0xFFFFFFFF);
  CHECK(s.flag(eflags::IF));
  CHECK(s.iopl() == 3);
  CHECK(s.flag(eflags::VIF));
  CHECK_FALSE(s.flag(eflags::VIP));
  CHECK_FALSE(s.flag(eflags::VM));
}

TEST_CASE("PUSHF and POPF in virtual-8086 mode") {
  InstructionMachine m(3);
  State& s = m.state;
  SECTION("IOPL 0 without VME") {
    m.enter_virtual_8086(0);
    CHECK(m.refused({0x9C}));
    CHECK(m.refused({0x9D}));
  }
  SECTION("IOPL 0 with VME") {
    s.cr4 |= cr4::VME;
    m.enter_virtual_8086(0);
    CHECK(m.refused({kOperandSize, 0x9C}));
    REQUIRE(m.runs({0x9C}));
    CHECK(m.peek<u16>(0x20FFE) == (eflags::Fixed | eflags::IOPL));  // IF shows VIF
    m.poke<u16>(0x20FFE, eflags::IF | eflags::CF);
    REQUIRE(m.runs({0x9D}));
    CHECK(s.flag(eflags::VIF));
    CHECK(s.flag(eflags::CF));
    CHECK(s.gpr[Rsp] == 0x1000);
    s.gpr[Rsp] = 0xFFE;
    s.rflags |= eflags::VIP;
    CHECK(m.refused({0x9D}));
    m.poke<u16>(0x20FFE, eflags::TF);
    CHECK(m.refused({0x9D}));
    CHECK(s.gpr[Rsp] == 0xFFE);
  }
  SECTION("IOPL 3") {
    m.enter_virtual_8086(3);
    m.poke<u16>(0x21000, 0);
    REQUIRE(m.runs({0x9D}));
    CHECK_FALSE(s.flag(eflags::IF));
    CHECK(s.iopl() == 3);
    CHECK(s.virtual_8086());
  }
}

TEST_CASE("STAC and CLAC are undefined above level 0") {
  InstructionMachine m;
  REQUIRE(m.runs({0x0F, 0x01, 0xCB}));
  CHECK(m.state.flag(eflags::AC));
  REQUIRE(m.runs({0x0F, 0x01, 0xCA}));
  CHECK_FALSE(m.state.flag(eflags::AC));
  m.enter(3);
  CHECK(m.undefined({0x0F, 0x01, 0xCB}));
}

TEST_CASE("time-stamp counter, CPUID, MSRs, XCR0") {
  InstructionMachine m;
  State& s = m.state;
  s.tsc_offset = 0;
  m.platform.now = 0x123456789A;
  REQUIRE(m.runs({0x0F, 0x31}));
  CHECK(s.gpr[Rax] == 0x3456789A);
  CHECK(s.gpr[Rdx] == 0x12);
  s.tsc_aux = 7;
  REQUIRE(m.runs({0x0F, 0x01, 0xF9}));
  CHECK(s.gpr[Rcx] == 7);
  REQUIRE(m.runs({0xF3, 0x0F, 0xC7, 0xF8}));  // RDPID EAX
  CHECK(s.gpr[Rax] == 7);
  CHECK(m.refused({0x0F, 0x33}));  // RDPMC: no counters
  s.gpr[Rcx] = 0x12345;
  CHECK(m.refused({0x0F, 0x32}));
  s.gpr[Rcx] = msr::kSysenterEip;
  s.gpr[Rax] = 0xCAFE;
  s.gpr[Rdx] = 0;
  REQUIRE(m.runs({0x0F, 0x30}));
  CHECK(s.sysenter_eip == 0xCAFE);
  s.gpr[Rcx] = 0;
  CHECK(m.undefined({0x0F, 0x01, 0xD0}));  // XGETBV without OSXSAVE
  CHECK(m.undefined({0x0F, 0x01, 0xD1}));
  s.cr4 |= cr4::OSXSAVE;
  s.gpr[Rax] = 3;
  s.gpr[Rdx] = 0;
  REQUIRE(m.runs({0x0F, 0x01, 0xD1}));
  REQUIRE(m.runs({0x0F, 0x01, 0xD0}));
  CHECK(s.gpr[Rax] == 3);
  s.gpr[Rax] = 1;
  s.gpr[Rcx] = 0;
  REQUIRE(m.runs({0x0F, 0xA2}));
  CHECK(s.gpr[Rax] == 0x000106CA);
  CHECK((s.gpr[Rcx] >> 27 & 1) == 1);
  CHECK(m.processor.read_msr(msr::kBiosSignature).value() == msr::kMicrocodeRevision);
  m.enter(3);
  CHECK(m.runs({0x0F, 0x31}));
  s.cr4 |= cr4::TSD;
  CHECK(m.refused({0x0F, 0x31}));
  CHECK(m.refused({0x0F, 0x01, 0xD1}));
}

TEST_CASE("a program: real mode to protected mode, a user task, a system call and back") {
  M m;
  Interpreter interpreter(m.processor);
  m.enter_real(0x3000);
  m.poke<u16>(0x30500, M::kGdtLimit);
  m.poke<u32>(0x30502, M::kGdt);
  const auto place = [&](u32 at, const Code& code) {
    for (const u8 byte : code) m.poke<u8>(at++, byte);
  };
  place(0x30100, {0x66, 0x2E, 0x0F, 0x01, 0x16, 0x00, 0x05,               // lgdt cs:[500h]
                  0x66, 0xB8, 0x11, 0x00, 0x00, 0x00,                     // mov eax, 11h
                  0x0F, 0x22, 0xC0,                                       // mov cr0, eax
                  0x66, 0xEA, 0x00, 0x00, 0x04, 0x00, M::kCode0, 0x00});  // jmp 08h:40000h
  place(0x40000, {0xB8, M::kData0,
                  0,    0,
                  0,    0x8E,
                  0xD0,  // mov ss, ax
                  0xBC, 0x00,
                  0x00, 0x01,
                  0x00,  // mov esp, 10000h
                  0xB8, M::kTssSelector,
                  0,    0,
                  0,    0x0F,
                  0x00, 0xD8,  // ltr ax
                  0x6A, M::kData3,
                  0x68, 0x00,
                  0x00, 0x02,
                  0x00,  // push ss, esp
                  0x6A, 0x02,
                  0x6A, M::kCode3,
                  0x68, 0x00,
                  0x10, 0x04,
                  0x00, 0xCF});                             // iretd
  place(0x41000, {0xB8, 0x2A, 0, 0, 0, 0xCD, 0x80, 0xFA});  // mov eax; int 80h; cli
  place(0x42000, {0x83, 0xC0, 0x01, 0xCF});                 // add eax, 1; iretd
  m.set_gdt(M::kTssSelector, system_descriptor(SystemType::AvailableTss32, M::kTss, 0x2100));
  m.set_idt(0x80, gate_descriptor(SystemType::TrapGate32, M::kCode0, 0x42000, 3));
  m.set_idt(13, gate_descriptor(SystemType::InterruptGate32, M::kCode0, 0x43000));
  m.state.idtr = {M::kIdt, 0x7FF};
  for (unsigned i = 0; i < 64 && m.state.rip != 0x43000; ++i) interpreter.run_one();
  CHECK(m.state.rip == 0x43000);  // CLI at level 3
  CHECK(m.state.gpr[Rax] == 0x2B);
  CHECK(m.peek<u32>(M::kStack0 - 20) == 0x41007);
  CHECK(m.peek<u32>(M::kStack0 - 24) == 0);
  CHECK(m.state.cpl == 0);
}

TEST_CASE("an engine that comes back for a deadline keeps the shadow of STI") {
  M m;
  Interpreter interpreter(m.processor);
  m.set_idt(0x20, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler));
  m.poke<u8>(M::kHandler, 0xF4);
  m.poke<u8>(M::kCode, 0xFB);      // sti
  m.poke<u8>(M::kCode + 1, 0x90);  // nop
  m.poke<u8>(M::kCode + 2, 0xF4);
  m.processor.set_interrupt_line(true);
  interpreter.run_one();
  m.processor.kick();
  CHECK(interpreter.run() == Exit::Kicked);
  CHECK(interpreter.run() == Exit::Halt);
  CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode + 2);
}
