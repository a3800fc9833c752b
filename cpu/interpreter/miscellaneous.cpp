// IN OUT, CLC STC CMC CLD STD, NOP and the hints that are NOPs here, CLFLUSH, fences, UD. SDM 2.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"

namespace ringshift::cpu {

namespace {

u16 port_number(const Processor& processor, const Operand& operand,
                const Instruction& instruction) {
  return operand.kind == OperandKind::Immediate ? static_cast<u16>(instruction.immediate & 0xFF)
                                                : static_cast<u16>(processor.state.gpr[Rdx]);
}

void note_io(Processor& processor, u16 port, unsigned size) {
  if ((processor.state.dr[7] & 0xFF) != 0) processor.check_io_breakpoints(port, size);
}

template <typename T>
Completion in(Processor& processor, const Instruction& instruction) {
  const u16 port = port_number(processor, instruction.operands[1], instruction);
  TRY_OR_FAULT(processor.check_io_permission(port, sizeof(T)));
  processor.write_gpr(Rax, sizeof(T), processor.platform().read_port(port, sizeof(T)));
  note_io(processor, port, sizeof(T));
  return Completion::EndBlock;
}

template <typename T>
Completion out(Processor& processor, const Instruction& instruction) {
  const u16 port = port_number(processor, instruction.operands[0], instruction);
  TRY_OR_FAULT(processor.check_io_permission(port, sizeof(T)));
  processor.platform().write_port(port, static_cast<T>(processor.state.gpr[Rax]), sizeof(T));
  note_io(processor, port, sizeof(T));
  return Completion::EndBlock;
}

template <u64 set, u64 clear, u64 complement>
Completion change_flag(Processor& processor, const Instruction&) {
  processor.state.rflags = ((processor.state.rflags | set) & ~clear) ^ complement;
  return Completion::Next;
}

Completion nothing(Processor&, const Instruction&) {
  return Completion::Next;
}

/// Checked like a load of one byte, except that an execute-only segment will do. SDM 2A CLFLUSH.
Completion flush_line(Processor& processor, const Instruction& instruction) {
  const u64 offset = memory_offset(processor, instruction);
  const u64 linear = TRY_OR_FAULT(
      processor.linear_address(instruction.memory.segment, offset, 1, AccessType::Execute));
  TRY_OR_FAULT(processor.translate(linear, {AccessType::Read, processor.data_privilege(), false}));
  return Completion::Next;
}

Completion undefined(Processor& processor, const Instruction&) {
  (void)processor.raise(Vector::InvalidOpcode);
  return Completion::Fault;
}

}  // namespace

Handler bind_in(const Instruction& instruction) {
  return by_size(instruction.operands[0].size,
                 [](auto size) -> Handler { return &in<decltype(size)>; });
}
Handler bind_out(const Instruction& instruction) {
  return by_size(instruction.operands[1].size,
                 [](auto size) -> Handler { return &out<decltype(size)>; });
}
Handler bind_clc(const Instruction&) {
  return &change_flag<0, eflags::CF, 0>;
}
Handler bind_stc(const Instruction&) {
  return &change_flag<eflags::CF, 0, 0>;
}
Handler bind_cmc(const Instruction&) {
  return &change_flag<0, 0, eflags::CF>;
}
Handler bind_cld(const Instruction&) {
  return &change_flag<0, eflags::DF, 0>;
}
Handler bind_std(const Instruction&) {
  return &change_flag<eflags::DF, 0, 0>;
}
Handler bind_nop(const Instruction&) {
  return &nothing;
}
Handler bind_clflush(const Instruction&) {
  return &flush_line;
}
Handler bind_undefined(const Instruction&) {
  return &undefined;
}

}  // namespace ringshift::cpu
