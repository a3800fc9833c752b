#include <catch2/catch.hpp>

#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kUser = 5;  // a #PF error code: present, user

SegmentRegister data_segment(u64 base, u32 limit, u8 type = 3) {
  SegmentRegister segment;
  segment.base = base;
  segment.limit = limit;
  segment.type = type;
  segment.code_or_data = segment.present = segment.big = true;
  return segment;
}

}  // namespace

TEST_CASE("Memory access: limits of segments that grow up") {
  TestMachine machine;
  Processor& processor = machine.processor;
  machine.state.segment(SegmentName::DS) = data_segment(0x8000, 0xFF);
  machine.put<u32>(0x80FC, 0x11223344);
  CHECK(processor.read<u32>(SegmentName::DS, 0xFC).value() == 0x11223344);
  CHECK(processor.read<u32>(SegmentName::DS, 0xFD).faulted());
  CHECK(processor.pending_exception().vector == Vector::GeneralProtection);
  CHECK(processor.pending_exception().error_code == 0);
  CHECK_FALSE(processor.write<u8>(SegmentName::DS, 0xFF, 1).faulted());
  CHECK(processor.write<u16>(SegmentName::DS, 0xFF, 1).faulted());
  CHECK(machine.get<u8>(0x8100) == 0);
  // The stack segment has a fault of its own.
  machine.state.segment(SegmentName::SS) = data_segment(0x8000, 0xFF);
  CHECK(processor.read<u8>(SegmentName::SS, 0x100).faulted());
  CHECK(processor.pending_exception().vector == Vector::StackFault);
}

TEST_CASE("Memory access: segments that grow down") {
  TestMachine machine;
  Processor& processor = machine.processor;
  SegmentRegister& segment = machine.state.segment(SegmentName::DS);
  segment = data_segment(0, 0xFFF, 7);
  CHECK(processor.read<u8>(SegmentName::DS, 0xFFF).faulted());
  CHECK_FALSE(processor.read<u8>(SegmentName::DS, 0x1000).faulted());
  CHECK_FALSE(processor.read<u8>(SegmentName::DS, 0x10000).faulted());
  segment.big = false;  // the upper bound is FFFFh
  CHECK(processor.read<u8>(SegmentName::DS, 0x10000).faulted());
  CHECK(processor.read<u16>(SegmentName::DS, 0xFFFF).faulted());
}

TEST_CASE("Memory access: rights of segments") {
  TestMachine machine;
  Processor& processor = machine.processor;
  SegmentRegister& segment = machine.state.segment(SegmentName::ES);
  segment = data_segment(0, 0xFFFF'FFFF, 1);  // read-only
  CHECK_FALSE(processor.read<u32>(SegmentName::ES, 0x8000).faulted());
  CHECK(processor.write<u32>(SegmentName::ES, 0x8000, 0).faulted());
  segment.type = 9;  // execute-only
  CHECK(processor.read<u32>(SegmentName::ES, 0x8000).faulted());
  segment.type = 11;  // execute and read
  CHECK_FALSE(processor.read<u32>(SegmentName::ES, 0x8000).faulted());
  CHECK(processor.write<u32>(SegmentName::ES, 0x8000, 0).faulted());
  segment = SegmentRegister{};  // null
  CHECK(processor.read<u32>(SegmentName::ES, 0x8000).faulted());
  CHECK(processor.pending_exception().vector == Vector::GeneralProtection);
}

TEST_CASE("Memory access: real mode faults at 64 KiB instead of wrapping") {
  TestMachine machine;
  machine.real_mode();
  CHECK_FALSE(machine.processor.read<u8>(SegmentName::DS, 0xFFFF).faulted());
  CHECK(machine.processor.read<u16>(SegmentName::DS, 0xFFFF).faulted());
  CHECK(machine.processor.pending_exception().vector == Vector::GeneralProtection);
  CHECK(machine.processor.read<u16>(SegmentName::SS, 0xFFFF).faulted());
  CHECK(machine.processor.pending_exception().vector == Vector::StackFault);
}

TEST_CASE("Memory access: linear addresses wrap at 4 GiB") {
  TestMachine machine;
  machine.put<u32>(0x10, 0xCAFE);
  machine.state.segment(SegmentName::DS) = data_segment(0xFFFF'FFF0, 0xFFFF);
  CHECK(machine.processor.read<u32>(SegmentName::DS, 0x20).value() == 0xCAFE);
}

TEST_CASE("Memory access: operands across pages") {
  TestMachine machine;
  Processor& processor = machine.processor;
  machine.memory.pages[0x8000] = {0x20000};
  machine.memory.pages[0x9000] = {0x30000};
  machine.paging();
  REQUIRE_FALSE(processor.write<u32>(SegmentName::DS, 0x8FFE, 0x44332211).faulted());
  CHECK(machine.get<u16>(0x20FFE) == 0x2211);
  CHECK(machine.get<u16>(0x30000) == 0x4433);
  CHECK(processor.read<u32>(SegmentName::DS, 0x8FFE).value() == 0x44332211);

  SECTION("a fault on the second page leaves the first alone") {
    machine.memory.pages.erase(0x9000);
    processor.flush_tlb(true);
    CHECK(processor.write<u32>(SegmentName::DS, 0x8FFE, 0).faulted());
    CHECK(processor.pending_exception().vector == Vector::PageFault);
    CHECK(processor.pending_exception().fault_address == 0x9000);
    CHECK(processor.pending_exception().error_code == 2);
    CHECK(machine.get<u16>(0x20FFE) == 0x2211);
  }
  SECTION("read for write asks for the right to write") {
    machine.memory.pages[0x9000].writable = false;
    processor.flush_tlb(true);
    CHECK_FALSE(processor.read<u32>(SegmentName::DS, 0x8FFE).faulted());
    CHECK(processor.read_for_write<u32>(SegmentName::DS, 0x8FFE).faulted());
    CHECK(processor.pending_exception().error_code == 3);
  }
  SECTION("write back after read for write") {
    REQUIRE_FALSE(processor.read_for_write<u32>(SegmentName::DS, 0x8FFD).faulted());
    processor.write_back<u32>(SegmentName::DS, 0x8FFD, 0xA1B2C3D4);
    CHECK(processor.read<u32>(SegmentName::DS, 0x8FFD).value() == 0xA1B2C3D4);
  }
}

TEST_CASE("Memory access: privilege has its own translations") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages[0x8000].user = false;
  CHECK_FALSE(machine.processor.read<u32>(SegmentName::DS, 0x8000).faulted());
  machine.user_mode();
  CHECK(machine.processor.read<u32>(SegmentName::DS, 0x8000).faulted());
  CHECK(machine.processor.pending_exception().error_code == kUser);
  // Descriptor tables are read as the supervisor all the same.
  const PageAccess system{AccessType::Read, Privilege::Supervisor, true};
  CHECK_FALSE(machine.processor.read_linear<u32>(0x8000, system).faulted());
}

TEST_CASE("Memory access: device pages") {
  TestMachine machine;
  machine.memory.device_value = 0x5A;
  const u64 device = TestMemory::kDevice;
  CHECK(machine.processor.read<u16>(SegmentName::DS, device + 6).value() == 0x5A);
  REQUIRE_FALSE(machine.processor.write<u32>(SegmentName::DS, device + 8, 0x1234).faulted());
  REQUIRE(machine.memory.device_log.size() == 2);
  CHECK(machine.memory.device_log[0].size == 2);
  CHECK(machine.memory.device_log[1].write);
  CHECK(machine.memory.device_log[1].offset == 8);
  CHECK(machine.memory.device_log[1].value == 0x1234);
}

TEST_CASE("Memory access: alignment check") {
  TestMachine machine;
  machine.map_all();
  machine.state.cr0 |= cr0::AM;
  machine.state.rflags |= eflags::AC;
  CHECK_FALSE(machine.processor.read<u32>(SegmentName::DS, 0x8001).faulted());  // CPL 0
  machine.user_mode();
  CHECK_FALSE(machine.processor.read<u32>(SegmentName::DS, 0x8000).faulted());
  CHECK(machine.processor.read<u32>(SegmentName::DS, 0x8002).faulted());
  CHECK(machine.processor.pending_exception().vector == Vector::AlignmentCheck);
  CHECK(machine.processor.pending_exception().error_code == 0);
  CHECK(machine.processor.write<u16>(SegmentName::DS, 0x8001, 0).faulted());
  CHECK_FALSE(machine.processor.read<u8>(SegmentName::DS, 0x8001).faulted());
}

TEST_CASE("Memory access: data breakpoints see every access") {
  TestMachine machine;
  Processor& processor = machine.processor;
  REQUIRE_FALSE(processor.read<u32>(SegmentName::DS, 0x8000).faulted());
  REQUIRE_FALSE(processor.write_dr(0, 0x8004).faulted());
  REQUIRE_FALSE(processor.write_dr(7, 0x1 | (0xD << 16)).faulted());  // L0, write, 4 bytes
  REQUIRE_FALSE(processor.read<u32>(SegmentName::DS, 0x8004).faulted());
  CHECK((machine.state.pending_debug & 0xF) == 0);
  REQUIRE_FALSE(processor.write<u32>(SegmentName::DS, 0x8000, 1).faulted());
  CHECK((machine.state.pending_debug & 0xF) == 0);
  REQUIRE_FALSE(processor.write<u8>(SegmentName::DS, 0x8007, 1).faulted());
  CHECK((machine.state.pending_debug & 0xF) == 1);
}

TEST_CASE("Memory access: the stack's address size") {
  TestMachine machine;
  Processor& processor = machine.processor;
  machine.state.gpr[Rsp] = 0xABCD'0002;
  machine.state.segment(SegmentName::SS).big = false;
  REQUIRE_FALSE(processor.push(0x1122, 2).faulted());
  CHECK(machine.state.gpr[Rsp] == 0xABCD'0000);
  CHECK(machine.get<u16>(0) == 0x1122);
  REQUIRE_FALSE(processor.push(0x3344, 2).faulted());
  CHECK(machine.state.gpr[Rsp] == 0xABCD'FFFE);
  CHECK(processor.pop(2).value() == 0x3344);
  CHECK(machine.state.gpr[Rsp] == 0xABCD'0000);
  CHECK(processor.peek(0, 2).value() == 0x1122);
  processor.add_to_stack_pointer(-4);
  CHECK(machine.state.gpr[Rsp] == 0xABCD'FFFC);
}

TEST_CASE("Memory access: long operands are whole or not at all") {
  TestMachine machine;
  machine.map_all();
  machine.memory.pages.erase(0x9000);
  std::array<u8, 512> bytes;
  bytes.fill(0xEE);
  CHECK(machine.processor.write_bytes(SegmentName::DS, 0x8F00, bytes.data(), 512).faulted());
  CHECK(machine.get<u8>(0x8F00) == 0);
  CHECK_FALSE(machine.processor.write_bytes(SegmentName::DS, 0x8E00, bytes.data(), 512).faulted());
  CHECK(machine.get<u8>(0x8FFF) == 0xEE);
  CHECK(machine.processor.probe_write(SegmentName::DS, 0x8FFF, 2).faulted());
}

}  // namespace ringshift::cpu
