#include <catch2/catch.hpp>

#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

TEST_CASE("Interpreter: a loop runs to HLT") {
  TestMachine machine;
  // mov ecx, 10; xor eax, eax; l: add eax, ecx; dec ecx; jnz l; hlt
  machine.code({0xB9, 10, 0, 0, 0, 0x31, 0xC0, 0x01, 0xC8, 0x49, 0x75, 0xFB, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 55);
  CHECK(machine.interpreter.statistics().instructions == 2 + 30 + 1);
}

TEST_CASE("Interpreter: kick and deadline bring it back") {
  TestMachine machine;
  machine.code({0xEB, 0xFE});  // jmp $
  machine.platform.due = true;
  CHECK(machine.interpreter.run() == Exit::Deadline);
  machine.processor.kick();
  CHECK(machine.interpreter.run() == Exit::Kicked);
}

TEST_CASE("Interpreter: faults name the instruction and push RF") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x9000);
  machine.state.gpr[Rax] = 7;
  machine.code({0x40, 0x01, 0x05, 0x00, 0x90, 0x00, 0x00});  // inc eax; add [9000h], eax
  machine.steps(2);
  CHECK(machine.vector() == 14);
  CHECK(machine.state.cr2 == 0x9000);
  CHECK(machine.eax() == 8);
  CHECK(machine.get<u32>(TestMachine::kStack - 16) == 2);  // error code: write, not present
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode + 1);
  CHECK((machine.get<u32>(TestMachine::kStack - 4) & eflags::RF) != 0);
}

TEST_CASE("Interpreter: invalid opcodes and overlong instructions") {
  TestMachine machine;
  machine.run({0x0F, 0xFF, 0xC0});
  CHECK(machine.vector() == 6);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode);
  machine.protected_mode();
  machine.run({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
               0x66, 0x90});
  CHECK(machine.vector() == 13);
}

TEST_CASE("Interpreter: fetching stops at CS's limit") {
  TestMachine machine;
  machine.code({0x90, 0xB8, 1, 0, 0, 0});
  SegmentRegister& cs = machine.state.segment(SegmentName::CS);
  SECTION("in the middle of an instruction") {
    cs.limit = TestMachine::kCode + 4;
    machine.steps(1);
    CHECK(machine.state.rip == TestMachine::kCode + 1);
    // The handlers lie beyond the limit as well: let delivery load a CS that reaches them.
    machine.steps(1);
    CHECK(machine.vector() == 13);
    CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode + 1);
  }
  SECTION("in one run of the engine") {
    cs.limit = TestMachine::kCode + 4;
    machine.load(TestMachine::kHandler + 16 * 13, {0xF4});
    CHECK(machine.interpreter.run() == Exit::Halt);
    CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode + 1);
  }
  SECTION("exactly at the end of one") {
    cs.limit = TestMachine::kCode + 5;
    machine.steps(2);
    CHECK(machine.eax() == 1);
    machine.steps(1);
    CHECK(machine.vector() == 13);
  }
}

TEST_CASE("Interpreter: an instruction across pages needs the second only if it reaches there") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x6000);
  machine.load(0x5FFF, {0x40});  // inc eax, the last byte of its page
  machine.state.rip = 0x5FFF;
  machine.steps(1);
  CHECK(machine.eax() == 1);
  machine.steps(1);
  CHECK(machine.vector() == 14);
  CHECK(machine.state.cr2 == 0x6000);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == 0x6000);

  machine.protected_mode();
  machine.load(0x5FFE, {0xB8, 0x11});  // mov eax, imm32 across the boundary
  machine.processor.on_code_write({0x5FFE}, 2);
  machine.state.rip = 0x5FFE;
  machine.steps(1);
  CHECK(machine.vector() == 14);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == 0x5FFE);
  CHECK(machine.state.cr2 == 0x6000);
}

TEST_CASE("Interpreter: a page-crossing instruction follows its second page's mapping") {
  TestMachine machine;
  machine.map_all();
  machine.load(0x5FFE, {0xB8, 0x01});
  machine.load(0x10000, {0x02, 0x03, 0x04, 0xF4});
  machine.load(0x11000, {0x22, 0x33, 0x44, 0xF4});
  machine.memory.pages[0x6000] = {0x10000};
  machine.state.rip = 0x5FFE;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 0x04030201);
  machine.memory.pages[0x6000] = {0x11000};
  machine.processor.flush_tlb(true);
  machine.state.activity = Activity::Running;
  machine.processor.update_attention();
  machine.state.rip = 0x5FFE;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 0x44332201);
}

TEST_CASE("Interpreter: single-step traps after each instruction") {
  TestMachine machine;
  machine.code({0x40, 0x40, 0x40});
  machine.load(TestMachine::kHandler + 16, {0xF4});
  machine.state.rflags |= eflags::TF;
  machine.processor.update_attention();
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 1);
  CHECK((machine.state.dr[6] & (1U << 14)) != 0);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode + 1);
}

TEST_CASE("Interpreter: instruction breakpoints and RF") {
  TestMachine machine;
  machine.code({0x40, 0x40, 0x40, 0xF4});
  // An instruction breakpoint pushes RF clear: the handler sets it. or byte [esp+10], 1; iret
  machine.load(TestMachine::kHandler + 16, {0x80, 0x4C, 0x24, 0x0A, 0x01, 0xCF});
  machine.state.dr[0] = TestMachine::kCode + 1;
  REQUIRE_FALSE(machine.processor.write_dr(7, 1).faulted());
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 3);
  CHECK(machine.processor.exceptions_delivered == 1);
}

TEST_CASE("Interpreter: STI and MOV SS shield exactly one instruction") {
  TestMachine machine;
  machine.state.rflags &= ~eflags::IF;
  machine.load(TestMachine::kHandler + 16 * 0x20, {0xF4});
  SECTION("STI") {
    machine.code({0xFB, 0x40, 0x40});  // sti; inc eax; inc eax
    machine.processor.set_interrupt_line(true);
    CHECK(machine.interpreter.run() == Exit::Halt);
    CHECK(machine.eax() == 1);
  }
  SECTION("MOV SS") {
    machine.state.gpr[Rbx] = 0x10;
    machine.code({0xFB, 0x8E, 0xD3, 0x40, 0x40});  // sti; mov ss, ebx; inc eax; inc eax
    machine.processor.set_interrupt_line(true);
    CHECK(machine.interpreter.run() == Exit::Halt);
    CHECK(machine.eax() == 1);
  }
}

TEST_CASE("Interpreter: triple fault shuts down") {
  TestMachine machine;
  machine.state.idtr.limit = 0;
  machine.code({0x0F, 0x0B});
  CHECK(machine.interpreter.run() == Exit::Shutdown);
}

TEST_CASE("Self-modifying code: the next instruction of the running block") {
  TestMachine machine;
  // mov byte [kCode+8], 48h (dec eax); nop; [8]: inc eax; hlt
  machine.code({0xC6, 0x05, 0x08, 0x10, 0x00, 0x00, 0x48, 0x90, 0x40, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 0xFFFF'FFFF);
}

TEST_CASE("Self-modifying code: a string store over itself") {
  TestMachine machine;
  // mov edi, kCode+0x20; mov ecx, 16; mov al, 90h; rep stosb; (0x20: filled with hlt, then nop) ...
  machine.code({0xBF, 0x20, 0x10, 0, 0, 0xB9, 16, 0, 0, 0, 0xB0, 0x90, 0xF3, 0xAA, 0xEB, 0x10});
  for (u64 i = 0; i < 16; ++i) machine.put<u8>(TestMachine::kCode + 0x20 + i, 0xF4);
  machine.load(TestMachine::kCode + 0x30, {0x43, 0xF4});  // inc ebx; hlt
  // Run the old code once so that it is cached.
  machine.state.rip = TestMachine::kCode + 0x20;
  CHECK(machine.interpreter.run() == Exit::Halt);
  machine.state.activity = Activity::Running;
  machine.processor.update_attention();
  machine.state.rip = TestMachine::kCode;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.state.gpr[Rbx] == 1);
}

TEST_CASE("Self-modifying code: data beside code costs no blocks") {
  TestMachine machine;
  // mov ecx, 100; l: mov [kCode+0x800], ecx; loop l; hlt
  machine.code({0xB9, 100, 0, 0, 0, 0x89, 0x0D, 0x00, 0x18, 0, 0, 0xE2, 0xF8, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.get<u32>(0x1800) == 1);
  CHECK(machine.interpreter.statistics().blocks_invalidated == 0);
}

TEST_CASE("Self-modifying code: through another mapping of the page") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages[0x180000] = {TestMachine::kCode};
  // mov eax, 1; mov byte [180001h], 2; cmp eax, 2; jnz start; hlt
  machine.code({0xB8, 1, 0, 0, 0, 0xC6, 0x05, 0x01, 0x00, 0x18, 0x00, 0x02, 0x83, 0xF8, 0x02, 0x75,
                0xEF, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 2);
}

TEST_CASE("Self-modifying code: writes by devices") {
  TestMachine machine;
  machine.code({0xB8, 1, 0, 0, 0, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  machine.memory.write_physical({TestMachine::kCode + 1}, 9, 1);
  machine.state.activity = Activity::Running;
  machine.processor.update_attention();
  machine.state.rip = TestMachine::kCode;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 9);
}

TEST_CASE("Self-modifying code: a page that no longer holds code is watched no more") {
  TestMachine machine;
  machine.code({0xEB, 0x7E});  // to kCode + 80h, in code of its own
  machine.load(0x5000, {0xF4});
  machine.state.rip = 0x5000;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.memory.watched.contains(0x5000));
  for (unsigned i = 0; i < 100; ++i) {
    REQUIRE_FALSE(machine.processor.write<u32>(SegmentName::DS, 0x5000, i).faulted());
  }
  CHECK_FALSE(machine.memory.watched.contains(0x5000));
  REQUIRE_FALSE(machine.processor.write<u32>(SegmentName::DS, 0x5000, 77).faulted());
  CHECK(machine.get<u32>(0x5000) == 77);
}

TEST_CASE("Interpreter: remapped memory drops only code that has changed") {
  TestMachine machine;
  machine.code({0xB8, 1, 0, 0, 0, 0xF4});
  CHECK(machine.interpreter.run() == Exit::Halt);
  machine.processor.on_memory_remapped({0}, ~kPageMask);
  CHECK(machine.interpreter.statistics().blocks_invalidated == 0);
  machine.memory.ram[TestMachine::kCode + 1] = 5;  // as a shadowed ROM would
  machine.processor.on_memory_remapped({0}, ~kPageMask);
  CHECK(machine.interpreter.statistics().blocks_invalidated == 1);
}

TEST_CASE("Interpreter: many blocks recycle the cache") {
  TestMachine machine;
  // Each round rewrites code and runs it: the cache must not grow without bound, nor go wrong.
  machine.code({0xB8, 0, 0, 0, 0, 0xF4});
  for (u32 round = 0; round < 20000; ++round) {
    machine.memory.write_physical({TestMachine::kCode + 1}, round, 4);
    machine.state.activity = Activity::Running;
    machine.processor.update_attention();
    machine.state.rip = TestMachine::kCode;
    REQUIRE(machine.interpreter.run() == Exit::Halt);
    REQUIRE(machine.eax() == round);
  }
}

}  // namespace ringshift::cpu
