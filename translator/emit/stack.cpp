// PUSH, POP and their relatives. In a flat 32-bit stack ESP is changed once for a run of them: the
// accesses carry their distance, and the fault points the pending delta.
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::OperandKind;
using cpu::SegmentName;

namespace {

/// `reg` at an operand size of 2 or 4 bytes.
asmjit::x86::Gp sized(const asmjit::x86::Gp& reg, unsigned size) {
  if (size == 2) return reg.r16();
  return reg.r32();
}

}  // namespace

bool BlockEmitter::flat_stack() const {
  return mode_.has(Mode::kStack32) && segment_kind(SegmentName::SS) == SegmentKind::Flat;
}

/// The stack at ESP + delta. Clobbers R8 to R10 unless the stack is flat. False: the interpreter's.
bool BlockEmitter::stack_slot(i32 delta, unsigned size, Mem& slot) {
  if (flat_stack()) {
    stack_unchecked_ = false;
    slot = window_memory(near_window({.base = cpu::R15, .displacement = pending_ + delta}), size);
    return true;
  }
  if (segment_kind(SegmentName::SS) == SegmentKind::Odd) return false;
  flush_pending();
  a_.lea(x86::r8d, x86::ptr(x86::r15, delta));
  if (!mode_.has(Mode::kStack32)) a_.movzx(x86::r8d, x86::r8w);
  if (!segment_address(SegmentName::SS, size)) return false;
  slot = at_r8(size);
  return true;
}

void BlockEmitter::move_stack(i32 delta) {
  if (flat_stack()) {
    add_pending(delta);
  } else if (mode_.has(Mode::kStack32)) {
    a_.lea(x86::r15d, x86::ptr(x86::r15, delta));
    rebase_stack_pointer();
  } else {
    a_.lea(x86::r8d, x86::ptr(x86::r15, delta));
    a_.mov(x86::r15w, x86::r8w);
  }
}

/// R15D is ESP, zero-extended: R15 becomes its host address.
void BlockEmitter::rebase_stack_pointer() {
  a_.lea(x86::r15, x86::ptr(x86::r15, kWindow));
}

/// ADD ESP, n; SUB ESP, n: flags apart, they join the pending delta. MOV reg, ESP takes it into
/// account; MOV ESP, reg ends it. False: none of these.
bool BlockEmitter::emit_stack_pointer_arithmetic() {
  const Instruction& instruction = current_->instruction;
  if (!options_.on(Optimisation::StackDelta) || !flat_stack() || instruction.operand_size != 4 ||
      instruction.operand_count != 2) {
    return false;
  }
  constexpr u8 kMovStore = 0x89, kMovLoad = 0x8B;
  constexpr unsigned kAdd = 0, kSub = 5;
  const u8 opcode = instruction.bytes[0];
  const cpu::Operand& to = instruction.operands[0];
  const cpu::Operand& from = instruction.operands[1];
  const auto is_stack_pointer = [](const cpu::Operand& operand) {
    return operand.kind == OperandKind::Gpr && operand.reg == cpu::Rsp && operand.size == 4;
  };
  const auto is_other = [](const cpu::Operand& operand) {
    return operand.kind == OperandKind::Gpr && operand.reg != cpu::Rsp && operand.size == 4;
  };
  if (opcode == kMovStore || opcode == kMovLoad) {
    if (is_other(to) && is_stack_pointer(from)) {
      a_.lea(guest(to.reg).r32(), x86::ptr(x86::r15, pending_));
      return true;
    }
    if (is_stack_pointer(to) && is_other(from)) {
      a_.mov(x86::r15d, guest(from.reg).r32());
      rebase_stack_pointer();
      pending_ = 0;
      return true;
    }
    return false;
  }
  const unsigned operation = instruction.bytes[1] >> 3 & 7;
  const auto amount = static_cast<i32>(instruction.immediate);
  constexpr i32 kMost = 0x2000;
  if ((opcode != 0x81 && opcode != 0x83) || (operation != kAdd && operation != kSub) ||
      !is_stack_pointer(to) || amount > kMost || amount < -kMost) {
    return false;
  }
  a_.lea(x86::r8d, x86::ptr(x86::r15, pending_));
  if (operation == kAdd) {
    a_.add(x86::r8d, amount);
  } else {
    a_.sub(x86::r8d, amount);
  }
  stack_unchecked_ = true;
  add_pending(operation == kAdd ? amount : -amount);
  return true;
}

void BlockEmitter::emit_stack() {
  if (segment_kind(SegmentName::SS) == SegmentKind::Odd) {
    call_out(false);
    return;
  }
  const u8 opcode = current_->instruction.opcode;
  if ((opcode >= 0x50 && opcode <= 0x57) || opcode == 0x68 || opcode == 0x6A || opcode == 0xFF) {
    emit_push();
  } else if ((opcode >= 0x58 && opcode <= 0x5F) || opcode == 0x8F) {
    emit_pop();
  } else if (opcode == 0xC9) {
    emit_leave_frame();
  } else if (opcode == 0x60) {
    emit_push_all();
  } else if (opcode == 0x61) {
    emit_pop_all();
  } else {
    call_out(false);  // ENTER
  }
}

void BlockEmitter::push_value(const Gp& value, unsigned size) {
  Mem slot;
  if (!stack_slot(-static_cast<i32>(size), size, slot)) return;
  a_.mov(slot, sized(value, size));
  move_stack(-static_cast<i32>(size));
}

void BlockEmitter::push_immediate(u32 value, unsigned size) {
  Mem slot;
  if (!stack_slot(-static_cast<i32>(size), size, slot)) return;
  a_.mov(slot, size == 2 ? value & 0xFFFF : value);
  move_stack(-static_cast<i32>(size));
}

void BlockEmitter::emit_push() {
  const Instruction& instruction = current_->instruction;
  const unsigned size = instruction.operand_size;
  const cpu::Operand& operand = instruction.operands[0];
  switch (operand.kind) {
    case OperandKind::Gpr:
      if (operand.reg == cpu::Rsp) {
        a_.lea(x86::r11d, x86::ptr(x86::r15, pending_));
        push_value(x86::r11, size);
      } else {
        push_value(guest(operand.reg), size);
      }
      return;
    case OperandKind::Immediate:
      push_immediate(static_cast<u32>(instruction.immediate), size);
      return;
    case OperandKind::Memory:
      if (!load_memory(x86::r11, size)) {
        call_out(false);
        return;
      }
      push_value(x86::r11, size);
      return;
    default:
      call_out(false);
      return;
  }
}

void BlockEmitter::emit_pop() {
  const Instruction& instruction = current_->instruction;
  const unsigned size = instruction.operand_size;
  const cpu::Operand& operand = instruction.operands[0];
  Mem slot;
  if (operand.kind == OperandKind::Gpr) {
    if (operand.reg == cpu::Rsp && (size != 4 || !flat_stack())) {
      call_out(false);
      return;
    }
    if (!stack_slot(0, size, slot)) return;
    if (operand.reg == cpu::Rsp) {
      a_.mov(x86::r15d, slot);
      rebase_stack_pointer();
      pending_ = 0;
      return;
    }
    // A register that isn't part of the address: a repetition loads the same.
    const Gp into = guest(operand.reg);
    a_.mov(sized(into, size), slot);
    move_stack(static_cast<i32>(size));
    return;
  }
  if (operand.kind != OperandKind::Memory || !flat_stack() || instruction.address_size != 4 ||
      segment_kind(instruction.memory.segment) != SegmentKind::Flat) {
    call_out(false);
    return;
  }
  stack_slot(0, size, slot);
  a_.mov(sized(x86::r11, size), slot);
  const i32 before = pending_;
  pending_ += static_cast<i32>(size);  // an address with ESP is computed after the increment
  auto memory = memory_operand(size);
  pending_ = before;
  if (!memory) {
    call_out(false);
    return;
  }
  if (memory->base == kNoRegister && memory->index == kNoRegister) {
    a_.mov(x86::r8d, static_cast<u32>(memory->displacement));
    memory = near_window({.base = cpu::R8});
  }
  a_.mov(window_memory(*memory, size), sized(x86::r11, size));
  move_stack(static_cast<i32>(size));
}

/// LEAVE.
void BlockEmitter::emit_leave_frame() {
  if (!flat_stack() || current_->instruction.operand_size != 4) {
    call_out(false);
    return;
  }
  a_.mov(x86::r11d, window_memory(near_window({.base = cpu::Rbp}), 4));
  a_.lea(x86::r15d, x86::ptr(x86::rbp, 4));
  rebase_stack_pointer();
  a_.mov(x86::ebp, x86::r11d);
  pending_ = 0;
}

void BlockEmitter::emit_push_all() {
  if (!flat_stack() || current_->instruction.operand_size != 4) {
    call_out(false);
    return;
  }
  const auto slot = [&](unsigned number) {
    return window_memory(near_window({.base = cpu::R15,
                                      .displacement = pending_ - 4 - 4 * static_cast<i32>(number)}),
                         4);
  };
  a_.lea(x86::r11d, x86::ptr(x86::r15, pending_));
  for (unsigned reg = 0; reg < 8; ++reg) {
    a_.mov(slot(reg), reg == cpu::Rsp ? sized(x86::r11, 4) : sized(guest(reg), 4));
  }
  add_pending(-32);
}

void BlockEmitter::emit_pop_all() {
  if (!flat_stack() || current_->instruction.operand_size != 4) {
    call_out(false);
    return;
  }
  const auto slot = [&](unsigned number) {
    return window_memory(
        near_window({.base = cpu::R15, .displacement = pending_ + 4 * static_cast<i32>(number)}),
        4);
  };
  // Both pages are there before a register changes.
  a_.mov(x86::r11d, slot(0));
  a_.mov(x86::r11d, slot(7));
  mark(false, kCannotFault);
  for (unsigned number = 0; number < 8; ++number) {
    const unsigned reg = 7 - number;
    if (reg != cpu::Rsp) a_.mov(guest(reg).r32(), slot(number));
  }
  add_pending(32);
}

}  // namespace ringshift::translator
