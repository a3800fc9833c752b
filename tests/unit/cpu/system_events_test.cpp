// What happens between instructions: SDM 3A §6.9 table 6-2, §6.8; SDM 3B §17.3.
#include "tests/unit/cpu/system_machine.h"

using namespace ringshift;
using namespace ringshift::cpu;
using namespace ringshift::cpu::test;
using M = SystemMachine;

namespace {

struct EventMachine : M {
  static constexpr u32 kDebugHandler = 0x41000, kNmiHandler = 0x42000, kIrqHandler = 0x43000;

  explicit EventMachine() {
    set_idt(1, gate_descriptor(SystemType::InterruptGate32, kCode0, kDebugHandler));
    set_idt(2, gate_descriptor(SystemType::InterruptGate32, kCode0, kNmiHandler));
    set_idt(0x20, gate_descriptor(SystemType::InterruptGate32, kCode0, kIrqHandler));
  }
  /// As if the instruction at RIP had run.
  void run_instruction() { state.rip += 1; }
};

}  // namespace

TEST_CASE("an interrupt waits for IF and is acknowledged once") {
  EventMachine m;
  m.processor.set_interrupt_line(true);
  CHECK_FALSE(m.processor.attention());
  CHECK_FALSE(m.processor.service_events());
  CHECK(m.platform.acknowledged == 0);
  m.state.rflags |= eflags::IF;
  m.processor.update_attention();
  CHECK(m.processor.attention());
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == EventMachine::kIrqHandler);
  CHECK(m.platform.acknowledged == 1);
  CHECK_FALSE(m.processor.attention());  // IF is clear in the handler
}

TEST_CASE("STI shields one instruction") {
  EventMachine m;
  m.processor.set_interrupt_line(true);
  m.state.rflags |= eflags::IF;
  m.state.sti_shadow = true;
  m.processor.update_attention();
  CHECK_FALSE(m.processor.service_events());
  CHECK(m.processor.attention());  // single-steps
  m.run_instruction();
  CHECK(m.processor.service_events());
  CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode + 1);
}

TEST_CASE("STI; HLT wakes up with the address after HLT") {
  EventMachine m;
  m.state.rflags |= eflags::IF;
  m.state.activity = Activity::Halted;
  m.processor.update_attention();
  CHECK_FALSE(m.processor.service_events());
  CHECK(m.state.activity == Activity::Halted);
  m.processor.set_interrupt_line(true);
  CHECK(m.processor.service_events());
  CHECK(m.state.activity == Activity::Running);
  CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode);
}

TEST_CASE("HLT with interrupts off is woken by NMI only") {
  EventMachine m;
  m.state.activity = Activity::Halted;
  m.processor.set_interrupt_line(true);
  CHECK_FALSE(m.processor.service_events());
  m.processor.request_nmi();
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == EventMachine::kNmiHandler);
  CHECK(m.state.nmi_blocked);
}

TEST_CASE("a second NMI waits for IRET") {
  EventMachine m;
  m.processor.request_nmi();
  CHECK(m.processor.service_events());
  m.processor.request_nmi();
  CHECK_FALSE(m.processor.attention());
  CHECK_FALSE(m.processor.service_events());
  REQUIRE_OK(m.processor.interrupt_return(4));
  CHECK(m.processor.attention());
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == EventMachine::kNmiHandler);
}

TEST_CASE("NMI goes before INTR, which then interrupts its handler if it may") {
  EventMachine m;
  m.set_idt(2, gate_descriptor(SystemType::TrapGate32, M::kCode0, EventMachine::kNmiHandler));
  m.state.rflags |= eflags::IF;
  m.processor.set_interrupt_line(true);
  m.processor.request_nmi();
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == EventMachine::kIrqHandler);
  CHECK(m.peek<u32>(M::kStack0 - 24) == EventMachine::kNmiHandler);
}

TEST_CASE("TF traps after the next instruction") {
  EventMachine m;
  m.state.rflags |= eflags::TF;
  m.processor.update_attention();
  CHECK_FALSE(m.processor.service_events());
  m.run_instruction();
  CHECK(m.processor.service_events());
  CHECK(m.state.rip == EventMachine::kDebugHandler);
  CHECK((m.state.dr[6] & 0x4000) != 0);
  CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode + 1);
  CHECK((m.peek<u32>(M::kStack0 - 4) & eflags::TF) != 0);
  CHECK_FALSE(m.processor.attention());
}

TEST_CASE("an instruction that clears TF still traps, one that faults doesn't") {
  EventMachine m;
  m.state.rflags |= eflags::TF;
  CHECK_FALSE(m.processor.service_events());
  SECTION("POPF clears it") {
    m.state.rflags &= ~eflags::TF;
    m.run_instruction();
    CHECK(m.processor.service_events());
    CHECK(m.state.rip == EventMachine::kDebugHandler);
  }
  SECTION("a fault") {
    m.set_idt(6, gate_descriptor(SystemType::InterruptGate32, M::kCode0, M::kHandler));
    m.processor.raise(Vector::InvalidOpcode);
    m.processor.deliver_pending_exception();
    CHECK_FALSE(m.processor.service_events());
    CHECK(m.state.rip == M::kHandler);
  }
  SECTION("INT n") {
    REQUIRE_OK(m.processor.software_interrupt(0x20, InterruptSource::Software, M::kCode + 2));
    CHECK_FALSE(m.processor.service_events());
    CHECK(m.state.rip == EventMachine::kIrqHandler);
  }
}

TEST_CASE("MOV SS holds back interrupts, NMI and data breakpoints for one instruction") {
  EventMachine m;
  m.state.rflags |= eflags::IF | eflags::TF;
  CHECK_FALSE(m.processor.service_events());
  m.processor.set_interrupt_line(true);
  m.processor.request_nmi();
  m.state.mov_ss_shadow = true;
  m.state.pending_debug |= 1;  // the load of SS hit DR0
  m.run_instruction();
  m.processor.update_attention();
  CHECK_FALSE(m.processor.service_events());
  m.run_instruction();
  CHECK(m.processor.service_events());
  CHECK((m.state.dr[6] & 0x4001) == 0x4001);
  CHECK(m.state.rip == EventMachine::kNmiHandler);  // right after the #DB was delivered
}

TEST_CASE("instruction breakpoints fault before the instruction, unless RF is set") {
  EventMachine m;
  m.state.dr[2] = M::kCode;
  m.state.dr[7] |= 1U << 4;
  m.processor.update_attention();
  SECTION("RF clear") {
    CHECK(m.processor.service_events());
    CHECK(m.state.rip == EventMachine::kDebugHandler);
    CHECK((m.state.dr[6] & 0xF) == 4);
    CHECK(m.peek<u32>(M::kStack0 - 12) == M::kCode);
    CHECK((m.peek<u32>(M::kStack0 - 4) & eflags::RF) == 0);
  }
  SECTION("RF set counts once") {
    m.state.rflags |= eflags::RF;
    CHECK_FALSE(m.processor.service_events());
    CHECK_FALSE(m.state.flag(eflags::RF));
    CHECK(m.processor.service_events());
  }
}

TEST_CASE("a kick is kept until it is taken") {
  EventMachine m;
  m.processor.kick();
  CHECK(m.processor.attention());
  m.processor.update_attention();
  CHECK(m.processor.attention());
  CHECK(m.processor.take_kick());
  CHECK_FALSE(m.processor.take_kick());
  CHECK_FALSE(m.processor.attention());
}

TEST_CASE("a triple fault stops the processor for good") {
  EventMachine m;
  m.state.idtr.limit = 0;
  m.state.rflags |= eflags::IF;
  m.state.pending_debug = 1;
  m.processor.set_interrupt_line(true);
  m.processor.request_nmi();
  m.processor.service_events();
  CHECK(m.state.rip == M::kCode);
  CHECK(m.state.activity == Activity::Shutdown);
  CHECK(m.processor.attention());
  m.processor.request_nmi();
  CHECK_FALSE(m.processor.service_events());
}
