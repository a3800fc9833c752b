// PUSH POP PUSHA POPA ENTER LEAVE. The stack pointer moves only when everything has succeeded.
// SDM 2.

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"

namespace ringshift::cpu {

namespace {

u64 stack_mask(const Processor& processor) {
  return processor.state.segment(SegmentName::SS).big ? 0xFFFF'FFFF : 0xFFFF;
}

template <typename T>
Completion push_register(Processor& processor, const Instruction& instruction) {
  const T value = read_register<T>(processor, instruction.operands[0]);
  TRY_OR_FAULT(processor.push(value, sizeof(T)));
  return Completion::Next;
}

template <typename T>
Completion push_immediate(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.push(instruction.immediate, sizeof(T)));
  return Completion::Next;
}

template <typename T>
Completion push_memory(Processor& processor, const Instruction& instruction) {
  const T value = TRY_OR_FAULT(read_memory<T>(processor, instruction));
  TRY_OR_FAULT(processor.push(value, sizeof(T)));
  return Completion::Next;
}

/// With a 32-bit operand size only the low half of the stack slot is written. SDM 2B PUSH.
Completion push_segment(Processor& processor, const Instruction& instruction) {
  const u16 selector = processor.state.segments[instruction.operands[0].reg].selector;
  const u64 top = (processor.state.gpr[Rsp] - instruction.operand_size) & stack_mask(processor);
  TRY_OR_FAULT(processor.write<u16>(SegmentName::SS, top, selector));
  processor.add_to_stack_pointer(-static_cast<i64>(instruction.operand_size));
  return Completion::Next;
}

template <typename T>
Completion pop_register(Processor& processor, const Instruction& instruction) {
  const u64 value = TRY_OR_FAULT(processor.pop(sizeof(T)));
  write_register<T>(processor, instruction.operands[0], static_cast<T>(value));
  return Completion::Next;
}

template <typename T>
Completion pop_memory(Processor& processor, const Instruction& instruction) {
  const u64 old_pointer = processor.state.gpr[Rsp];
  const u64 value = TRY_OR_FAULT(processor.pop(sizeof(T)));
  // An address relative to ESP counts from the popped stack pointer. SDM 2B POP.
  if (write_memory<T>(processor, instruction, static_cast<T>(value)).faulted()) {
    processor.state.gpr[Rsp] = old_pointer;
    return Completion::Fault;
  }
  return Completion::Next;
}

Completion pop_segment(Processor& processor, const Instruction& instruction) {
  const SegmentName name = static_cast<SegmentName>(instruction.operands[0].reg);
  // Two bytes are read whatever the operand size.
  const u16 selector = static_cast<u16>(TRY_OR_FAULT(processor.peek(0, 2)));
  const u64 mask = stack_mask(processor);  // of the old stack, when SS is what is popped
  const u64 pointer = processor.state.gpr[Rsp];
  TRY_OR_FAULT(processor.load_segment(name, selector));
  const u64 popped = (pointer + instruction.operand_size) & mask;
  processor.state.gpr[Rsp] = mask == 0xFFFF ? (pointer & ~mask) | popped : popped;
  if (name != SegmentName::SS) return Completion::Next;
  processor.state.mov_ss_shadow = true;
  processor.update_attention();
  return Completion::EndBlock;
}

template <typename T>
Completion push_all(Processor& processor, const Instruction&) {
  const u64 mask = stack_mask(processor);
  const u64 pointer = processor.state.gpr[Rsp];
  // A fault leaves the slots written so far behind; ESP hasn't moved.
  for (unsigned reg = 0; reg < 8; ++reg) {
    TRY_OR_FAULT(processor.write<T>(SegmentName::SS, (pointer - (reg + 1) * sizeof(T)) & mask,
                                    static_cast<T>(processor.state.gpr[reg])));
  }
  processor.add_to_stack_pointer(-static_cast<i64>(8 * sizeof(T)));
  return Completion::Next;
}

template <typename T>
Completion pop_all(Processor& processor, const Instruction&) {
  // EDI comes first. A fault leaves the registers loaded so far; ESP hasn't moved.
  for (unsigned i = 0; i < 8; ++i) {
    const u64 value = TRY_OR_FAULT(processor.peek(i * sizeof(T), sizeof(T)));
    const unsigned reg = 7 - i;
    if (reg != Rsp) processor.write_gpr(reg, sizeof(T), value);
  }
  processor.add_to_stack_pointer(8 * sizeof(T));
  return Completion::Next;
}

/// SDM 2A ENTER: a frame with copies of `level` - 1 enclosing frame pointers.
template <typename T>
Completion enter(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const u64 size = instruction.immediate & 0xFFFF;
  const unsigned level = static_cast<unsigned>(instruction.immediate2) & 31;
  const u64 mask = stack_mask(processor);
  u64 top = state.gpr[Rsp];
  const auto push = [&](u64 value) {
    top -= sizeof(T);
    return processor.write<T>(SegmentName::SS, top & mask, static_cast<T>(value));
  };
  TRY_OR_FAULT(push(state.gpr[Rbp]));
  // On a 16-bit stack the upper half of ESP is part of the frame pointer all the same.
  const u64 frame = (state.gpr[Rsp] & ~mask & 0xFFFF'FFFF) | (top & mask);
  if (level > 0) {
    u64 enclosing = state.gpr[Rbp];
    for (unsigned i = 1; i < level; ++i) {
      enclosing -= sizeof(T);
      const T pointer = TRY_OR_FAULT(processor.read<T>(SegmentName::SS, enclosing & mask));
      TRY_OR_FAULT(push(pointer));
    }
    TRY_OR_FAULT(push(frame));
  }
  top -= size;
  // A write at the final stack pointer must be possible.
  TRY_OR_FAULT(processor.probe_write(SegmentName::SS, top & mask, sizeof(T)));
  processor.write_gpr(Rbp, sizeof(T), frame);
  processor.add_to_stack_pointer(static_cast<i64>(top - state.gpr[Rsp]));
  return Completion::Next;
}

template <typename T>
Completion leave(Processor& processor, const Instruction&) {
  State& state = processor.state;
  const u64 mask = stack_mask(processor);
  const u64 frame = state.gpr[Rbp] & mask;
  const T value = TRY_OR_FAULT(processor.read<T>(SegmentName::SS, frame));
  const u64 popped = (frame + sizeof(T)) & mask;
  state.gpr[Rsp] = mask == 0xFFFF ? (state.gpr[Rsp] & ~mask) | popped : popped;
  processor.write_gpr(Rbp, sizeof(T), value);
  return Completion::Next;
}

}  // namespace

Handler bind_push(const Instruction& instruction) {
  const OperandKind kind = instruction.operands[0].kind;
  if (kind == OperandKind::Segment) return &push_segment;
  return by_word_size(instruction.operand_size, [&](auto size) -> Handler {
    using T = decltype(size);
    if (kind == OperandKind::Memory) return &push_memory<T>;
    if (kind == OperandKind::Immediate) return &push_immediate<T>;
    return &push_register<T>;
  });
}

Handler bind_pop(const Instruction& instruction) {
  const OperandKind kind = instruction.operands[0].kind;
  if (kind == OperandKind::Segment) return &pop_segment;
  return by_word_size(instruction.operand_size, [&](auto size) -> Handler {
    using T = decltype(size);
    if (kind == OperandKind::Memory) return &pop_memory<T>;
    return &pop_register<T>;
  });
}

Handler bind_pusha(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &push_all<u16> : &push_all<u32>;
}
Handler bind_popa(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &pop_all<u16> : &pop_all<u32>;
}
Handler bind_enter(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &enter<u16> : &enter<u32>;
}
Handler bind_leave(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &leave<u16> : &leave<u32>;
}

}  // namespace ringshift::cpu
