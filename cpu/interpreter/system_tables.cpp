// Descriptor tables and selectors as operands: LGDT, SGDT, LLDT, SLDT, LTR, STR, SMSW, LMSW, LAR,
// LSL, VERR, VERW, ARPL.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/system.h"

namespace ringshift::cpu {

namespace {

using TableMember = TableRegister State::*;

/// LGDT, LIDT: with a 16-bit operand size the base has 24 bits.
template <TableMember table>
Completion load_table(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_supervisor(processor));
  std::array<u8, 6> image{};
  TRY_OR_FAULT(processor.read_bytes(instruction.memory.segment,
                                    memory_offset(processor, instruction), image.data(),
                                    image.size()));
  u32 base = 0;
  std::memcpy(&(processor.state.*table).limit, image.data(), 2);
  std::memcpy(&base, image.data() + 2, 4);
  (processor.state.*table).base = instruction.operand_size == 2 ? base & 0xFF'FFFF : base;
  return Completion::Next;
}

/// SGDT, SIDT: all 32 bits of the base, whatever the operand size.
template <TableMember table>
Completion store_table(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_table_visibility(processor));
  const TableRegister& source = processor.state.*table;
  std::array<u8, 6> image{};
  const u32 base = static_cast<u32>(source.base);
  std::memcpy(image.data(), &source.limit, 2);
  std::memcpy(image.data() + 2, &base, 4);
  TRY_OR_FAULT(processor.write_bytes(instruction.memory.segment,
                                     memory_offset(processor, instruction), image.data(),
                                     image.size()));
  return Completion::Next;
}

/// SLDT, STR, SMSW: 16 bits to memory, the operand size to a register.
Completion store_word(Processor& processor, const Instruction& instruction, u64 value) {
  const Operand& operand = instruction.operands[0];
  if (operand.kind == OperandKind::Memory) {
    TRY_OR_FAULT(write_memory<u16>(processor, instruction, static_cast<u16>(value)));
  } else {
    processor.write_gpr(operand.reg, instruction.operand_size, value);
  }
  return Completion::Next;
}

Completion sldt(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  TRY_OR_FAULT(require_table_visibility(processor));
  return store_word(processor, instruction, processor.state.ldtr.selector);
}

Completion str(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  TRY_OR_FAULT(require_table_visibility(processor));
  return store_word(processor, instruction, processor.state.tr.selector);
}

Completion smsw(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_table_visibility(processor));
  return store_word(processor, instruction, processor.state.cr0);
}

Completion lmsw(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_supervisor(processor));
  const u16 word = TRY_OR_FAULT(read_word_operand(processor, instruction, 0));
  constexpr u64 kStatus = cr0::PE | cr0::MP | cr0::EM | cr0::TS;
  const u64 old = processor.state.cr0;
  // LMSW can set PE but never clears it.
  const u64 value = (old & ~kStatus) | (word & kStatus) | (old & cr0::PE);
  TRY_OR_FAULT(processor.write_cr(0, value));
  return Completion::EndBlock;
}

Completion lldt(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  TRY_OR_FAULT(require_supervisor(processor));
  const u16 selector = TRY_OR_FAULT(read_word_operand(processor, instruction, 0));
  TRY_OR_FAULT(processor.load_ldt(selector));
  return Completion::Next;
}

Completion ltr(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  TRY_OR_FAULT(require_supervisor(processor));
  const u16 selector = TRY_OR_FAULT(read_word_operand(processor, instruction, 0));
  TRY_OR_FAULT(processor.load_task_register(selector));
  return Completion::Next;
}

using Inquiry = GuestResult<bool> (Processor::*)(u16, u32&);

/// LAR, LSL: ZF says whether the destination was loaded.
template <Inquiry inquiry>
Completion inquire(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  const u16 selector = TRY_OR_FAULT(read_word_operand(processor, instruction, 1));
  u32 value = 0;
  const bool found = TRY_OR_FAULT((processor.*inquiry)(selector, value));
  if (found) processor.write_gpr(instruction.operands[0].reg, instruction.operand_size, value);
  set_zero_flag(processor.state, found);
  return Completion::Next;
}

template <AccessType type>
Completion verify(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  const u16 selector = TRY_OR_FAULT(read_word_operand(processor, instruction, 0));
  const bool passes = TRY_OR_FAULT(processor.verify_segment(selector, type));
  set_zero_flag(processor.state, passes);
  return Completion::Next;
}

Completion arpl(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_protected_mode(processor));
  const Operand& destination = instruction.operands[0];
  const bool memory = destination.kind == OperandKind::Memory;
  const u64 offset = memory ? memory_offset(processor, instruction) : 0;
  const SegmentName segment = instruction.memory.segment;
  const u16 source = read_register<u16>(processor, instruction.operands[1]);
  const u16 selector = memory ? TRY_OR_FAULT(processor.read_for_write<u16>(segment, offset))
                              : read_register<u16>(processor, destination);
  const bool raised = (selector & 3) < (source & 3);
  const u16 adjusted = static_cast<u16>((selector & ~3) | (source & 3));
  if (raised && memory) processor.write_back<u16>(segment, offset, adjusted);
  if (raised && !memory) write_register<u16>(processor, destination, adjusted);
  set_zero_flag(processor.state, raised);
  return Completion::Next;
}

}  // namespace

Handler bind_lgdt(const Instruction&) {
  return load_table<&State::gdtr>;
}
Handler bind_lidt(const Instruction&) {
  return load_table<&State::idtr>;
}
Handler bind_sgdt(const Instruction&) {
  return store_table<&State::gdtr>;
}
Handler bind_sidt(const Instruction&) {
  return store_table<&State::idtr>;
}
Handler bind_lldt(const Instruction&) {
  return lldt;
}
Handler bind_ltr(const Instruction&) {
  return ltr;
}
Handler bind_sldt(const Instruction&) {
  return sldt;
}
Handler bind_str(const Instruction&) {
  return str;
}
Handler bind_smsw(const Instruction&) {
  return smsw;
}
Handler bind_lmsw(const Instruction&) {
  return lmsw;
}
Handler bind_lar(const Instruction&) {
  return inquire<&Processor::load_access_rights>;
}
Handler bind_lsl(const Instruction&) {
  return inquire<&Processor::load_segment_limit>;
}
Handler bind_verr(const Instruction&) {
  return verify<AccessType::Read>;
}
Handler bind_verw(const Instruction&) {
  return verify<AccessType::Write>;
}
Handler bind_arpl(const Instruction&) {
  return arpl;
}

}  // namespace ringshift::cpu
