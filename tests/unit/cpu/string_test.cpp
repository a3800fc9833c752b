#include <catch2/catch.hpp>

#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

namespace {

void set_strings(TestMachine& machine, u64 source, u64 destination, u64 count) {
  machine.state.gpr[Rsi] = source;
  machine.state.gpr[Rdi] = destination;
  machine.state.gpr[Rcx] = count;
}

}  // namespace

TEST_CASE("Strings: REP MOVSD over several pages") {
  TestMachine machine;
  for (u32 i = 0; i < 3000; ++i) machine.put<u32>(0x10004 + 4 * i, i * 7);
  set_strings(machine, 0x10004, 0x20008, 3000);
  machine.run({0xF3, 0xA5});
  CHECK(machine.state.gpr[Rcx] == 0);
  CHECK(machine.state.gpr[Rsi] == 0x10004 + 12000);
  CHECK(machine.state.gpr[Rdi] == 0x20008 + 12000);
  for (u32 i = 0; i < 3000; ++i) REQUIRE(machine.get<u32>(0x20008 + 4 * i) == i * 7);
  CHECK(machine.get<u32>(0x20008 + 12000) == 0);
}

TEST_CASE("Strings: overlapping moves go element by element") {
  TestMachine machine;
  machine.put<u8>(0x8000, 0xAB);
  set_strings(machine, 0x8000, 0x8001, 100);
  machine.run({0xF3, 0xA4});
  for (u32 i = 0; i <= 100; ++i) REQUIRE(machine.get<u8>(0x8000 + i) == 0xAB);
  CHECK(machine.get<u8>(0x8065) == 0);
  // One page seen at two linear addresses overlaps just as well.
  machine.map_all();
  machine.memory.pages[0x100000] = {0x9000};
  machine.put<u8>(0x9000, 0xCD);
  set_strings(machine, 0x9000, 0x100001, 50);
  machine.run({0xF3, 0xA4});
  CHECK(machine.get<u8>(0x9000 + 50) == 0xCD);
}

TEST_CASE("Strings: backwards") {
  TestMachine machine;
  for (u8 i = 0; i < 10; ++i) machine.put<u8>(0x8000 + i, i);
  set_strings(machine, 0x8009, 0x800B, 10);
  machine.state.rflags |= eflags::DF;
  machine.run({0xF3, 0xA4});
  for (u8 i = 0; i < 10; ++i) CHECK(machine.get<u8>(0x8002 + i) == i);
  CHECK(machine.state.gpr[Rsi] == 0x7FFF);
}

TEST_CASE("Strings: a fault in the middle keeps what has been done") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x22000);
  for (u32 i = 0; i < 4096; ++i) machine.put<u8>(0x10000 + i, static_cast<u8>(i));
  set_strings(machine, 0x10000, 0x21F00, 0x400);
  machine.run({0xF3, 0xA4});
  CHECK(machine.vector() == 14);
  CHECK(machine.state.cr2 == 0x22000);
  CHECK(machine.state.gpr[Rcx] == 0x300);
  CHECK(machine.state.gpr[Rsi] == 0x10100);
  CHECK(machine.state.gpr[Rdi] == 0x22000);
  CHECK(machine.get<u8>(0x21FFF) == 0xFF);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode);
  // The handler maps the page and returns: the rest follows.
  machine.memory.pages[0x22000] = {0x22000};
  machine.load(TestMachine::kHandler + 16 * 14, {0x83, 0xC4, 0x04, 0xCF});  // add esp, 4; iret
  machine.steps(3);
  CHECK(machine.state.gpr[Rcx] == 0);
  CHECK(machine.get<u8>(0x222FF) == 0xFF);
  CHECK(machine.get<u8>(0x22300) == 0);
}

TEST_CASE("Strings: 16-bit addresses wrap") {
  TestMachine machine;
  machine.put<u8>(0xFFFF, 1);
  machine.put<u8>(0, 2);
  set_strings(machine, 0xAAAA'FFFE, 0xBBBB'9000, 0xCCCC'0003);
  machine.run({0x67, 0xF3, 0xA4});
  CHECK(machine.get<u8>(0x9001) == 1);
  CHECK(machine.get<u8>(0x9002) == 2);
  CHECK(machine.state.gpr[Rsi] == 0xAAAA'0001);
  CHECK(machine.state.gpr[Rdi] == 0xBBBB'9003);
  CHECK(machine.state.gpr[Rcx] == 0xCCCC'0000);
}

TEST_CASE("Strings: the source's segment may be overridden, the destination's not") {
  TestMachine machine;
  machine.state.segment(SegmentName::FS).base = 0x10000;
  machine.put<u8>(0x18000, 0x77);
  set_strings(machine, 0x8000, 0x9000, 1);
  machine.run({0x64, 0xA4});
  CHECK(machine.get<u8>(0x9000) == 0x77);
  CHECK(machine.state.gpr[Rcx] == 1);
}

TEST_CASE("Strings: segment limits stop bulk moves exactly") {
  TestMachine machine;
  machine.state.segment(SegmentName::ES).limit = 0x90FF;
  set_strings(machine, 0, 0x9000, 0x200);
  machine.state.gpr[Rax] = 0x55;
  machine.run({0xF3, 0xAA});
  CHECK(machine.vector() == 13);
  CHECK(machine.state.gpr[Rdi] == 0x9100);
  CHECK(machine.state.gpr[Rcx] == 0x100);
  CHECK(machine.get<u8>(0x90FF) == 0x55);
  CHECK(machine.get<u8>(0x9100) == 0);
}

TEST_CASE("Strings: REPE CMPS and REPNE SCAS stop where they should") {
  TestMachine machine;
  machine.load(0x8000, {'a', 'b', 'c', 'd'});
  machine.load(0x9000, {'a', 'b', 'x', 'd'});
  set_strings(machine, 0x8000, 0x9000, 4);
  machine.run({0xF3, 0xA6});
  CHECK(machine.state.gpr[Rcx] == 1);
  CHECK(machine.state.gpr[Rsi] == 0x8003);
  CHECK(machine.state.flag(eflags::CF));  // 'c' - 'x'
  CHECK_FALSE(machine.state.flag(eflags::ZF));
  set_strings(machine, 0, 0x8000, 100);
  machine.state.gpr[Rax] = 'c';
  machine.run({0xF2, 0xAE});
  CHECK(machine.state.gpr[Rcx] == 97);
  CHECK(machine.state.gpr[Rdi] == 0x8003);
  CHECK(machine.state.flag(eflags::ZF));
  // A count of zero does nothing, to the flags as well.
  set_strings(machine, 0, 0x8000, 0);
  machine.state.rflags &= ~eflags::ZF;
  machine.run({0xF2, 0xAE});
  CHECK_FALSE(machine.state.flag(eflags::ZF));
  CHECK(machine.state.gpr[Rdi] == 0x8000);
}

TEST_CASE("Strings: interrupts come between iterations") {
  TestMachine machine;
  machine.load(TestMachine::kHandler + 16 * 0x20, {0xF4});
  machine.state.rflags |= eflags::IF;
  machine.code({0xF3, 0xAC});  // rep lodsb, which has no bulk form
  set_strings(machine, 0x8000, 0, 100000);
  machine.state.gpr[Rcx] = 100000;
  machine.platform.due = true;
  CHECK(machine.interpreter.run() == Exit::Deadline);
  CHECK(machine.state.gpr[Rcx] == 100000 - 16384);
  CHECK(machine.state.rip == TestMachine::kCode);
  machine.platform.due = false;
  machine.processor.set_interrupt_line(true);
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode);
  CHECK((machine.get<u32>(TestMachine::kStack - 4) & eflags::RF) != 0);
}

TEST_CASE("Strings: a comparison that gives way leaves the flags that it found") {
  TestMachine machine;
  machine.code({0xF2, 0xAE, 0xF4});  // repne scasb
  set_strings(machine, 0, 0x8000, 100000);
  machine.state.gpr[Rax] = 0xFF;
  constexpr u64 kFound = eflags::ZF | eflags::OF | eflags::PF;
  machine.state.rflags |= kFound;
  machine.platform.due = true;
  CHECK(machine.interpreter.run() == Exit::Deadline);
  CHECK(machine.state.gpr[Rcx] == 100000 - 16384);
  CHECK((machine.state.rflags & eflags::Arithmetic) == kFound);
  machine.platform.due = false;
  machine.state.gpr[Rcx] = 1;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK((machine.state.rflags & eflags::Arithmetic) == (eflags::SF | eflags::PF));
}

TEST_CASE("Strings: single-step traps after each iteration") {
  TestMachine machine;
  machine.load(TestMachine::kHandler + 16, {0xF4});
  machine.code({0xF3, 0xAA});
  set_strings(machine, 0, 0x8000, 5);
  machine.state.rflags |= eflags::TF;
  machine.processor.update_attention();
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.state.gpr[Rcx] == 4);
  CHECK(machine.get<u32>(TestMachine::kStack - 12) == TestMachine::kCode);
}

TEST_CASE("Strings: ports") {
  TestMachine machine;
  machine.platform.input = {0x1111, 0x2222, 0x3333};
  machine.state.gpr[Rdx] = 0x1F0;
  set_strings(machine, 0, 0x8000, 3);
  machine.run({0xF3, 0x66, 0x6D});  // rep insw
  CHECK(machine.get<u16>(0x8002) == 0x2222);
  CHECK(machine.state.gpr[Rdi] == 0x8006);
  REQUIRE(machine.platform.log.size() == 3);
  CHECK(machine.platform.log[0].size == 2);

  SECTION("an element that can't be stored isn't read from the port") {
    machine.map_all();
    machine.memory.pages.erase(0x9000);
    set_strings(machine, 0, 0x8FFE, 2);
    machine.platform.input = {0x4444, 0x5555};
    machine.run({0xF3, 0x66, 0x6D});
    CHECK(machine.vector() == 14);
    CHECK(machine.platform.log.size() == 4);
    CHECK(machine.state.gpr[Rcx] == 1);
  }
  SECTION("REP OUTSB") {
    machine.load(0x8000, {1, 2, 3});
    set_strings(machine, 0x8000, 0, 3);
    machine.run({0xF3, 0x6E});
    REQUIRE(machine.platform.log.size() == 6);
    CHECK(machine.platform.log[5].value == 3);
    CHECK(machine.platform.log[5].write);
  }
}

TEST_CASE("Strings: bulk stores into code are noticed") {
  TestMachine machine;
  machine.load(0x5000, {0xB8, 1, 0, 0, 0, 0xF4});
  machine.state.rip = 0x5000;
  CHECK(machine.interpreter.run() == Exit::Halt);
  machine.state.activity = Activity::Running;
  machine.processor.update_attention();
  machine.load(0x9000, {0xB8, 2, 0, 0, 0, 0xF4});
  set_strings(machine, 0x9000, 0x5000, 6);
  machine.run({0xF3, 0xA4});
  machine.state.rip = 0x5000;
  CHECK(machine.interpreter.run() == Exit::Halt);
  CHECK(machine.eax() == 2);
}

}  // namespace ringshift::cpu
