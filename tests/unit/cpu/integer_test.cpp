// General-purpose instructions that the comparison with the host can't reach: faults, control
// transfer, segments, 16-bit stacks, ports; and values from the manual where they are worth
// stating.
#include <catch2/catch.hpp>

#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kTop = TestMachine::kStack;

/// EIP in the frame of a fault without error code.
u32 pushed_rip(const TestMachine& machine) {
  return machine.get<u32>(kTop - 12);
}

}  // namespace

TEST_CASE("Integer: flags of addition at the edges") {
  TestMachine machine;
  machine.state.gpr[Rax] = 0x7FFF'FFFF;
  machine.run({0x83, 0xC0, 0x01});
  CHECK(machine.eax() == 0x8000'0000);
  CHECK(machine.flags() == (eflags::OF | eflags::SF | eflags::AF | eflags::PF));
  machine.state.gpr[Rax] = 0xFF;
  machine.run({0x04, 0x01});  // add al, 1
  CHECK(machine.eax() == 0);
  CHECK(machine.flags() == (eflags::CF | eflags::ZF | eflags::AF | eflags::PF));
  machine.run({0xFE, 0xC8});  // dec al keeps CF
  CHECK(machine.flags() == (eflags::CF | eflags::SF | eflags::AF | eflags::PF));
}

TEST_CASE("Integer: a 16-bit write keeps the upper half") {
  TestMachine machine;
  machine.state.gpr[Rax] = 0xAABB'CCDD;
  machine.run({0x66, 0xB8, 0x34, 0x12});
  CHECK(machine.eax() == 0xAABB'1234);
  machine.run({0xB4, 0x99});  // mov ah
  CHECK(machine.eax() == 0xAABB'9934);
}

TEST_CASE("Integer: divide errors change nothing") {
  TestMachine machine;
  machine.state.gpr[Rax] = 0x1234;
  machine.state.gpr[Rdx] = 5;
  SECTION("by zero") {
    machine.state.gpr[Rcx] = 0;
    machine.run({0xF7, 0xF1});
  }
  SECTION("quotient too large") {
    machine.state.gpr[Rcx] = 5;
    machine.run({0xF7, 0xF1});
  }
  SECTION("signed overflow") {
    machine.state.gpr[Rax] = 0x1234;
    machine.state.gpr[Rcx] = 2;
    machine.run({0xF7, 0xF9});
  }
  SECTION("AAM 0") {
    machine.run({0xD4, 0x00});
  }
  CHECK(machine.vector() == 0);
  CHECK(pushed_rip(machine) == TestMachine::kCode);
  CHECK(machine.eax() == 0x1234);
  CHECK(machine.state.gpr[Rdx] == 5);
}

TEST_CASE("Integer: IDIV of the most negative dividend by -1") {
  TestMachine machine;
  machine.state.gpr[Rax] = 0;
  machine.state.gpr[Rdx] = 0x8000'0000;
  machine.state.gpr[Rcx] = 0xFFFF'FFFF;
  machine.run({0xF7, 0xF9});
  CHECK(machine.vector() == 0);
  machine.protected_mode();
  machine.state.gpr[Rax] = 0x8000;
  machine.run({0xB1, 0xFF});
  machine.run({0xF6, 0xF9});  // idiv cl: -32768 / -1
  CHECK(machine.vector() == 0);
}

TEST_CASE("Integer: read-modify-write faults leave flags and operand") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages[0x9000].writable = false;
  machine.put<u32>(0x9000, 5);
  machine.state.rflags |= eflags::CF;
  const u64 flags = machine.state.rflags;
  machine.run({0x01, 0x05, 0x00, 0x90, 0x00, 0x00});
  CHECK(machine.vector() == 14);
  CHECK(machine.get<u32>(kTop - 16) == 3);
  CHECK((machine.get<u32>(kTop - 4) & ~eflags::RF) == flags);
  CHECK(machine.get<u32>(0x9000) == 5);
  // CMPXCHG demands write access even if it fails to compare.
  machine.state.gpr[Rsp] = kTop;
  machine.state.gpr[Rax] = 6;
  machine.run({0x0F, 0xB1, 0x0D, 0x00, 0x90, 0x00, 0x00});
  CHECK(machine.vector() == 14);
  CHECK(machine.eax() == 6);
}

TEST_CASE("Integer: conditional moves read memory whatever the condition") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x9000);
  machine.state.rflags &= ~eflags::ZF;
  machine.run({0x0F, 0x44, 0x05, 0x00, 0x90, 0x00, 0x00});
  CHECK(machine.vector() == 14);
}

TEST_CASE("Integer: bit strings reach below their base") {
  TestMachine machine;
  machine.put<u32>(0x7FFC, 0x8000'0000);
  machine.state.gpr[Rax] = 0xFFFF'FFFF;                     // bit -1
  machine.run({0x0F, 0xB3, 0x05, 0x00, 0x80, 0x00, 0x00});  // btr [8000h], eax
  CHECK(machine.state.flag(eflags::CF));
  CHECK(machine.get<u32>(0x7FFC) == 0);
}

TEST_CASE("Integer: CMPXCHG8B") {
  TestMachine machine;
  machine.put<u64>(0x8000, 0x1111'2222'3333'4444);
  machine.state.gpr[Rax] = 0x3333'4444;
  machine.state.gpr[Rdx] = 0x1111'2222;
  machine.state.gpr[Rbx] = 0xAAAA'BBBB;
  machine.state.gpr[Rcx] = 0xCCCC'DDDD;
  machine.run({0xF0, 0x0F, 0xC7, 0x0D, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.state.flag(eflags::ZF));
  CHECK(machine.get<u64>(0x8000) == 0xCCCC'DDDD'AAAA'BBBB);
  machine.run({0x0F, 0xC7, 0x0D, 0x00, 0x80, 0x00, 0x00});
  CHECK_FALSE(machine.state.flag(eflags::ZF));
  CHECK(machine.state.gpr[Rdx] == 0xCCCC'DDDD);
  CHECK(machine.state.gpr[Rax] == 0xAAAA'BBBB);
}

TEST_CASE("Integer: near branches and the operand size") {
  TestMachine machine;
  SECTION("a 16-bit jump truncates EIP") {
    machine.load(0x11000, {0x66, 0xEB, 0x10});
    machine.state.rip = 0x11000;
    machine.steps(1);
    CHECK(machine.state.rip == 0x1013);
  }
  SECTION("a target beyond the limit faults in the branch") {
    machine.state.segment(SegmentName::CS).limit = 0xFFFF;
    machine.code({0xE9, 0x00, 0x00, 0x01, 0x00});
    machine.steps(1);
    CHECK(machine.vector() == 13);
    CHECK(machine.get<u32>(kTop - 16) == 0);
    CHECK(pushed_rip(machine) == TestMachine::kCode);
  }
  SECTION("a CALL beyond the limit pushes nothing") {
    machine.state.segment(SegmentName::CS).limit = 0xFFFF;
    machine.put<u32>(kTop - 4, 0);
    machine.code({0xE8, 0x00, 0x00, 0x01, 0x00});
    machine.steps(1);
    CHECK(machine.vector() == 13);
    CHECK(machine.state.gpr[Rsp] == kTop - 16);
  }
  SECTION("CALL and RET n") {
    machine.load(TestMachine::kCode + 0x100, {0xC2, 0x08, 0x00});
    machine.code({0xE8, 0xFB, 0x00, 0x00, 0x00});
    machine.steps(1);
    CHECK(machine.state.rip == TestMachine::kCode + 0x100);
    CHECK(machine.get<u32>(kTop - 4) == TestMachine::kCode + 5);
    machine.steps(1);
    CHECK(machine.state.rip == TestMachine::kCode + 5);
    CHECK(machine.state.gpr[Rsp] == kTop + 8);
  }
  SECTION("CALL relative to the stack pointer uses its old value") {
    machine.put<u32>(kTop + 4, 0x5000);
    machine.run({0xFF, 0x54, 0x24, 0x04});
    CHECK(machine.state.rip == 0x5000);
  }
}

TEST_CASE("Integer: LOOP and JECXZ count at the address size") {
  TestMachine machine;
  machine.state.gpr[Rcx] = 0x1'0000;
  machine.run({0xE3, 0x10});  // jecxz
  CHECK(machine.state.rip == TestMachine::kCode + 2);
  machine.run({0x67, 0xE3, 0x10});  // jcxz
  CHECK(machine.state.rip == TestMachine::kCode + 0x13);
  machine.run({0x67, 0xE2, 0x10});  // loop on CX: 0 - 1
  CHECK(machine.state.gpr[Rcx] == 0x1'FFFF);
  CHECK(machine.state.rip == TestMachine::kCode + 0x13);
  machine.state.gpr[Rcx] = 1;
  machine.run({0xE2, 0x10});
  CHECK(machine.state.rip == TestMachine::kCode + 2);
  machine.state.gpr[Rcx] = 5;
  machine.state.rflags |= eflags::ZF;
  machine.run({0xE0, 0x10});  // loopne
  CHECK(machine.state.rip == TestMachine::kCode + 2);
  CHECK(machine.state.gpr[Rcx] == 4);
}

TEST_CASE("Integer: pushes and pops of unusual operands") {
  TestMachine machine;
  SECTION("PUSH ESP pushes the old value") {
    machine.run({0x54});
    CHECK(machine.get<u32>(kTop - 4) == kTop);
  }
  SECTION("POP ESP") {
    machine.put<u32>(kTop, 0x6000);
    machine.run({0x5C});
    CHECK(machine.state.gpr[Rsp] == 0x6000);
  }
  SECTION("POP relative to ESP addresses after the pop") {
    machine.put<u32>(kTop, 0x1234'5678);
    machine.run({0x8F, 0x44, 0x24, 0x08});
    CHECK(machine.get<u32>(kTop + 12) == 0x1234'5678);
  }
  SECTION("POP to memory that faults restores ESP") {
    machine.map_all();
    machine.memory.pages.erase(0x9000);
    machine.run({0x8F, 0x05, 0x00, 0x90, 0x00, 0x00});
    CHECK(machine.vector() == 14);
    CHECK(machine.state.gpr[Rsp] == kTop - 16);
  }
  SECTION("PUSH of a segment register writes two bytes") {
    machine.put<u32>(kTop - 4, 0xFFFF'FFFF);
    machine.run({0x1E});
    CHECK(machine.get<u32>(kTop - 4) == 0xFFFF'0010);
    CHECK(machine.state.gpr[Rsp] == kTop - 4);
  }
  SECTION("PUSH imm8 is sign-extended") {
    machine.run({0x6A, 0x80});
    CHECK(machine.get<u32>(kTop - 4) == 0xFFFF'FF80);
  }
  SECTION("PUSHA that faults has written what came before, and ESP stays") {
    machine.map_all();
    machine.memory.pages.erase(0xA000);
    machine.state.gpr[Rsp] = 0xB008;
    machine.put<u32>(0xB004, 0x55);
    // The handler alone: the fault's own frame would go to the same place.
    Instruction pusha;
    const std::array<u8, 1> bytes{0x60};
    REQUIRE(machine.interpreter.decoder().decode(bytes, {true, false, false}, pusha) ==
            DecodeStatus::Ok);
    CHECK(pusha.handler(machine.processor, pusha) == Completion::Fault);
    CHECK(machine.processor.pending_exception().fault_address == 0xAFFC);
    CHECK(machine.get<u32>(0xB004) == static_cast<u32>(machine.state.gpr[Rax]));
    CHECK(machine.state.gpr[Rsp] == 0xB008);
  }
}

TEST_CASE("Integer: ENTER and LEAVE") {
  TestMachine machine;
  machine.state.gpr[Rbp] = 0x9000;
  machine.put<u32>(0x8FFC, 0x1111);
  machine.put<u32>(0x8FF8, 0x2222);
  machine.run({0xC8, 0x10, 0x00, 0x03});
  CHECK(machine.get<u32>(kTop - 4) == 0x9000);
  CHECK(machine.get<u32>(kTop - 8) == 0x1111);
  CHECK(machine.get<u32>(kTop - 12) == 0x2222);
  CHECK(machine.get<u32>(kTop - 16) == kTop - 4);
  CHECK(machine.state.gpr[Rbp] == kTop - 4);
  CHECK(machine.state.gpr[Rsp] == kTop - 32);
  machine.run({0xC9});
  CHECK(machine.state.gpr[Rbp] == 0x9000);
  CHECK(machine.state.gpr[Rsp] == kTop);
}

TEST_CASE("Integer: BOUND and INTO") {
  TestMachine machine;
  machine.put<u32>(0x8000, 10);
  machine.put<u32>(0x8004, 20);
  machine.state.gpr[Rax] = 20;
  machine.run({0x62, 0x05, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.state.rip == TestMachine::kCode + 6);
  machine.state.gpr[Rax] = 21;
  machine.run({0x62, 0x05, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.vector() == 5);
  CHECK(pushed_rip(machine) == TestMachine::kCode);
  machine.state.gpr[Rsp] = kTop;
  machine.run({0xCE});
  CHECK(machine.state.rip == TestMachine::kCode + 1);
  machine.state.rflags |= eflags::OF;
  machine.run({0xCE});
  CHECK(machine.vector() == 4);
  CHECK(pushed_rip(machine) == TestMachine::kCode + 1);
}

TEST_CASE("Integer: software interrupts return after themselves") {
  TestMachine machine;
  machine.run({0xCD, 0x80});
  CHECK(machine.vector() == 0x80);
  CHECK(pushed_rip(machine) == TestMachine::kCode + 2);
  machine.state.gpr[Rsp] = kTop;
  machine.run({0xCC});
  CHECK(machine.vector() == 3);
  CHECK(pushed_rip(machine) == TestMachine::kCode + 1);
}

TEST_CASE("Integer: segment registers") {
  TestMachine machine;
  machine.state.gpr[Rax] = 0x10;
  machine.run({0x8E, 0xE0});  // mov fs, ax
  CHECK(machine.state.segment(SegmentName::FS).selector == 0x10);
  machine.state.gpr[Rcx] = ~0U;
  machine.run({0x8C, 0xE1});  // mov ecx, fs: zero-extended
  CHECK(machine.state.gpr[Rcx] == 0x10);
  machine.state.gpr[Rcx] = ~0U;
  machine.run({0x66, 0x8C, 0xE1});
  CHECK(machine.state.gpr[Rcx] == 0xFFFF'0010);
  machine.put<u32>(0x8000, ~0U);
  machine.run({0x8C, 0x25, 0x00, 0x80, 0x00, 0x00});  // to memory: two bytes
  CHECK(machine.get<u32>(0x8000) == 0xFFFF'0010);
  // LES, and the register only if the selector loads.
  machine.put<u32>(0x8000, 0x1234'5678);
  machine.put<u16>(0x8004, 0x10);
  machine.run({0xC4, 0x15, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.state.gpr[Rdx] == 0x1234'5678);
  machine.put<u16>(0x8004, 0xFFF8);
  machine.put<u32>(0x8000, 1);
  machine.run({0xC4, 0x15, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.vector() == 13);
  CHECK(machine.state.gpr[Rdx] == 0x1234'5678);
}

TEST_CASE("Integer: POP SS pops by the size of the old stack") {
  TestMachine machine;
  machine.state.gpr[Rsp] = 0x1'7000;
  machine.put<u16>(0x1'7000, 0x18);  // a segment with a 16-bit stack pointer
  machine.run({0x17});
  CHECK(machine.state.segment(SegmentName::SS).selector == 0x18);
  CHECK(machine.state.gpr[Rsp] == 0x1'7004);
  CHECK(machine.processor.stack_address_size() == 2);
}

TEST_CASE("Integer: real mode") {
  TestMachine machine;
  machine.real_mode();
  machine.state.gpr[Rsp] = 0;
  machine.run({0x50});  // push ax: SP wraps from 0 to FFFEh
  CHECK(machine.state.gpr[Rsp] == 0xFFFE);
  machine.run({0xB8, 0x34, 0x12, 0x8E, 0xD8});
  machine.steps(1);
  CHECK(machine.state.segment(SegmentName::DS).base == 0x12340);
  machine.state.segment(SegmentName::CS).base = 0;
  machine.run({0xEA, 0x00, 0x10, 0x00, 0x02});  // jmp 0200h:1000h
  CHECK(machine.state.segment(SegmentName::CS).base == 0x2000);
  CHECK(machine.state.rip == 0x1000);
}

TEST_CASE("Integer: ports") {
  TestMachine machine;
  machine.platform.input = {0x12345678};
  machine.state.gpr[Rdx] = 0xCFC;
  machine.run({0xED});
  CHECK(machine.eax() == 0x1234'5678);
  machine.run({0xE6, 0x80});
  REQUIRE(machine.platform.log.size() == 2);
  CHECK(machine.platform.log[1].port == 0x80);
  CHECK(machine.platform.log[1].value == 0x78);
  CHECK(machine.platform.log[1].size == 1);
}

TEST_CASE("Integer: XLAT, SALC, ASCII and decimal adjustment") {
  TestMachine machine;
  machine.put<u8>(0x8010, 0x99);
  machine.state.gpr[Rbx] = 0x8000;
  machine.state.gpr[Rax] = 0x10;
  machine.run({0xD7});
  CHECK(machine.eax() == 0x99);
  machine.state.rflags |= eflags::CF;
  machine.run({0xD6});
  CHECK(machine.eax() == 0xFF);
  machine.state.rflags &= ~eflags::Arithmetic;
  machine.state.gpr[Rax] = 0xAE;  // 79h + 35h, SDM 2A DAA's example
  machine.run({0x27});
  CHECK((machine.eax() & 0xFF) == 0x14);
  CHECK(machine.state.flag(eflags::CF));
}

TEST_CASE("Integer: CLFLUSH translates like a load") {
  if (!CpuidModel::from_host().has(Feature::Clflush)) return;
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x9000);
  machine.run({0x0F, 0xAE, 0x3D, 0x00, 0x80, 0x00, 0x00});
  CHECK(machine.state.rip == TestMachine::kCode + 7);
  machine.run({0x0F, 0xAE, 0x3D, 0x00, 0x90, 0x00, 0x00});
  CHECK(machine.vector() == 14);
}

TEST_CASE("Integer: RDRAND says whether it has a number") {
  if (!CpuidModel::from_host().has(Feature::Rdrand)) return;
  TestMachine machine;
  machine.state.rflags |= eflags::Arithmetic;
  machine.run({0x0F, 0xC7, 0xF0});
  CHECK((machine.flags() & ~eflags::CF) == 0);
  if (!machine.state.flag(eflags::CF)) CHECK(machine.eax() == 0);
}

}  // namespace ringshift::cpu
