// Near JMP Jcc LOOPcc JECXZ CALL RET; far JMP CALL RET IRET; INT n INT3 INT1 INTO BOUND. A target
// is checked against CS's limit before anything changes. SDM 2.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"

namespace ringshift::cpu {

namespace {

template <unsigned size>
Completion branch_to(Processor& processor, u64 target) {
  if (!branch_target_fine<size>(processor, target)) [[unlikely]]
    return Completion::Fault;
  processor.state.rip = target;
  return Completion::Branch;
}

template <unsigned size>
u64 relative_target(const Processor& processor, const Instruction& instruction) {
  return processor.state.rip + instruction.length + instruction.immediate;
}

template <unsigned size>
Completion jump_relative(Processor& processor, const Instruction& instruction) {
  return branch_to<size>(processor, relative_target<size>(processor, instruction));
}

template <typename T, bool memory>
Completion jump_indirect(Processor& processor, const Instruction& instruction) {
  const T target = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 0)));
  return branch_to<sizeof(T)>(processor, target);
}

template <unsigned condition, unsigned size>
Completion jump_on_condition(Processor& processor, const Instruction& instruction) {
  if (!condition_holds<condition>(processor.state.rflags)) return Completion::Next;
  return branch_to<size>(processor, relative_target<size>(processor, instruction));
}

enum class Loop : u8 { Always, WhileEqual, WhileNotEqual };

template <Loop kind, unsigned size>
Completion loop(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  const u64 count = (state.gpr[Rcx] - 1) & mask;
  bool taken = count != 0;
  if constexpr (kind == Loop::WhileEqual) taken = taken && state.flag(eflags::ZF);
  if constexpr (kind == Loop::WhileNotEqual) taken = taken && !state.flag(eflags::ZF);
  if (!taken) {
    processor.write_gpr(Rcx, instruction.address_size, count);
    return Completion::Next;
  }
  const Completion completion =
      branch_to<size>(processor, relative_target<size>(processor, instruction));
  if (completion == Completion::Branch) processor.write_gpr(Rcx, instruction.address_size, count);
  return completion;
}

template <unsigned size>
Completion jump_if_count_is_zero(Processor& processor, const Instruction& instruction) {
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  if ((processor.state.gpr[Rcx] & mask) != 0) return Completion::Next;
  return branch_to<size>(processor, relative_target<size>(processor, instruction));
}

template <unsigned size>
Completion call_to(Processor& processor, const Instruction& instruction, u64 target) {
  const u64 stack_pointer = processor.state.gpr[Rsp];
  TRY_OR_FAULT(processor.push(next_rip(processor, instruction), size));
  // The return address is in memory before a target beyond the limit faults; ESP goes back.
  if (!branch_target_fine<size>(processor, target)) [[unlikely]] {
    processor.state.gpr[Rsp] = stack_pointer;
    return Completion::Fault;
  }
  processor.state.rip = target;
  return Completion::Branch;
}

template <unsigned size>
Completion call_relative(Processor& processor, const Instruction& instruction) {
  return call_to<size>(processor, instruction, relative_target<size>(processor, instruction));
}

template <typename T, bool memory>
Completion call_indirect(Processor& processor, const Instruction& instruction) {
  const T target = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 0)));
  return call_to<sizeof(T)>(processor, instruction, target);
}

template <unsigned size>
Completion return_near(Processor& processor, const Instruction& instruction) {
  u64 target = TRY_OR_FAULT(processor.peek(0, size));
  if (!branch_target_fine<size>(processor, target)) [[unlikely]]
    return Completion::Fault;
  processor.add_to_stack_pointer(static_cast<i64>(size + (instruction.immediate & 0xFFFF)));
  processor.state.rip = target;
  return Completion::Branch;
}

template <FarKind kind>
Completion far_direct(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.far_transfer(kind, static_cast<u16>(instruction.immediate2),
                                      instruction.immediate, instruction.operand_size,
                                      next_rip(processor, instruction)));
  return Completion::Branch;
}

template <FarKind kind, typename T>
Completion far_indirect(Processor& processor, const Instruction& instruction) {
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  const u64 offset = memory_offset(processor, instruction);
  const SegmentName segment = instruction.memory.segment;
  const T target = TRY_OR_FAULT(processor.read<T>(segment, offset));
  const u16 selector = TRY_OR_FAULT(processor.read<u16>(segment, (offset + sizeof(T)) & mask));
  TRY_OR_FAULT(processor.far_transfer(kind, selector, target, instruction.operand_size,
                                      next_rip(processor, instruction)));
  return Completion::Branch;
}

Completion return_far(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.far_return(instruction.operand_size,
                                    static_cast<unsigned>(instruction.immediate & 0xFFFF)));
  return Completion::Branch;
}

Completion return_from_interrupt(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.interrupt_return(instruction.operand_size));
  return Completion::Branch;
}

Completion interrupt(Processor& processor, u8 vector, InterruptSource source,
                     const Instruction& instruction) {
  TRY_OR_FAULT(processor.software_interrupt(vector, source, next_rip(processor, instruction)));
  return Completion::Branch;
}

Completion interrupt_n(Processor& processor, const Instruction& instruction) {
  return interrupt(processor, static_cast<u8>(instruction.immediate), InterruptSource::Software,
                   instruction);
}
Completion interrupt_3(Processor& processor, const Instruction& instruction) {
  return interrupt(processor, static_cast<u8>(Vector::Breakpoint), InterruptSource::SoftwareTrap,
                   instruction);
}
Completion interrupt_1(Processor& processor, const Instruction& instruction) {
  return interrupt(processor, static_cast<u8>(Vector::Debug), InterruptSource::Privileged,
                   instruction);
}
Completion interrupt_on_overflow(Processor& processor, const Instruction& instruction) {
  if (!processor.state.flag(eflags::OF)) return Completion::Next;
  return interrupt(processor, static_cast<u8>(Vector::Overflow), InterruptSource::SoftwareTrap,
                   instruction);
}

template <typename T>
Completion bound(Processor& processor, const Instruction& instruction) {
  using Signed = std::make_signed_t<T>;
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  const u64 offset = memory_offset(processor, instruction);
  const SegmentName segment = instruction.memory.segment;
  const T lower = TRY_OR_FAULT(processor.read<T>(segment, offset));
  const T upper = TRY_OR_FAULT(processor.read<T>(segment, (offset + sizeof(T)) & mask));
  const T index = read_register<T>(processor, instruction.operands[0]);
  if (static_cast<Signed>(index) < static_cast<Signed>(lower) ||
      static_cast<Signed>(index) > static_cast<Signed>(upper)) {
    (void)processor.raise(Vector::BoundRange);
    return Completion::Fault;
  }
  return Completion::Next;
}

/// m16:16 or m16:32: two bytes longer than the offset.
bool far_memory(const Instruction& instruction) {
  return instruction.operands[0].kind == OperandKind::Memory &&
         instruction.operands[0].size == instruction.operand_size + 2;
}

template <FarKind kind>
Handler bind_far(const Instruction& instruction) {
  if (instruction.operands[0].kind == OperandKind::FarPointer) return &far_direct<kind>;
  return by_word_size(instruction.operand_size,
                      [](auto size) -> Handler { return &far_indirect<kind, decltype(size)>; });
}

template <Loop kind>
Handler bind_loop(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &loop<kind, 2> : &loop<kind, 4>;
}

}  // namespace

Handler bind_jmp(const Instruction& instruction) {
  const OperandKind kind = instruction.operands[0].kind;
  if (kind == OperandKind::FarPointer || far_memory(instruction)) {
    return bind_far<FarKind::Jump>(instruction);
  }
  if (kind == OperandKind::RelativeBranch) {
    return instruction.operand_size == 2 ? &jump_relative<2> : &jump_relative<4>;
  }
  return by_word_size(instruction.operand_size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &jump_indirect<decltype(size), decltype(memory)::value>;
    });
  });
}

Handler bind_call(const Instruction& instruction) {
  const OperandKind kind = instruction.operands[0].kind;
  if (kind == OperandKind::FarPointer || far_memory(instruction)) {
    return bind_far<FarKind::Call>(instruction);
  }
  if (kind == OperandKind::RelativeBranch) {
    return instruction.operand_size == 2 ? &call_relative<2> : &call_relative<4>;
  }
  return by_word_size(instruction.operand_size, [&](auto size) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &call_indirect<decltype(size), decltype(memory)::value>;
    });
  });
}

Handler bind_jcc(const Instruction& instruction) {
  return by_condition(instruction.opcode, [&](auto condition) -> Handler {
    if (instruction.operand_size == 2) return &jump_on_condition<condition.value, 2>;
    return &jump_on_condition<condition.value, 4>;
  });
}

Handler bind_loop_always(const Instruction& instruction) {
  return bind_loop<Loop::Always>(instruction);
}
Handler bind_loope(const Instruction& instruction) {
  return bind_loop<Loop::WhileEqual>(instruction);
}
Handler bind_loopne(const Instruction& instruction) {
  return bind_loop<Loop::WhileNotEqual>(instruction);
}
Handler bind_jcxz(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &jump_if_count_is_zero<2> : &jump_if_count_is_zero<4>;
}

Handler bind_ret(const Instruction& instruction) {
  if (instruction.opcode == 0xCA || instruction.opcode == 0xCB) return &return_far;
  return instruction.operand_size == 2 ? &return_near<2> : &return_near<4>;
}

Handler bind_iret(const Instruction&) {
  return &return_from_interrupt;
}
Handler bind_int(const Instruction&) {
  return &interrupt_n;
}
Handler bind_int3(const Instruction&) {
  return &interrupt_3;
}
Handler bind_int1(const Instruction&) {
  return &interrupt_1;
}
Handler bind_into(const Instruction&) {
  return &interrupt_on_overflow;
}
Handler bind_bound(const Instruction& instruction) {
  return by_word_size(instruction.operand_size,
                      [](auto size) -> Handler { return &bound<decltype(size)>; });
}

}  // namespace ringshift::cpu
