// MOV (registers, memory, segments), MOVZX MOVSX MOVBE MOVNTI, XCHG BSWAP, CMOVcc SETcc, LEA XLAT,
// CBW and kin, LAHF SAHF SALC, and the far-pointer loads LDS LES LFS LGS LSS. SDM 2.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"

namespace ringshift::cpu {

namespace {

template <typename T, Form form>
Completion move(Processor& processor, const Instruction& instruction) {
  const T value = TRY_OR_FAULT((read_source<T, form>(processor, instruction)));
  if constexpr (destination_in_memory(form)) {
    TRY_OR_FAULT(write_memory<T>(processor, instruction, value));
  } else {
    write_register<T>(processor, instruction.operands[0], value);
  }
  return Completion::Next;
}

Completion load_segment_register(Processor& processor, const Instruction& instruction) {
  const Operand& source = instruction.operands[1];
  const u16 selector = source.kind == OperandKind::Memory
                           ? TRY_OR_FAULT(read_memory<u16>(processor, instruction))
                           : read_register<u16>(processor, source);
  const SegmentName name = static_cast<SegmentName>(instruction.operands[0].reg);
  TRY_OR_FAULT(processor.load_segment(name, selector));
  if (name != SegmentName::SS) return Completion::Next;
  processor.state.mov_ss_shadow = true;
  processor.update_attention();
  return Completion::EndBlock;
}

Completion store_segment_register(Processor& processor, const Instruction& instruction) {
  const u16 selector = processor.state.segments[instruction.operands[1].reg].selector;
  const Operand& destination = instruction.operands[0];
  if (destination.kind == OperandKind::Memory) {
    TRY_OR_FAULT(write_memory<u16>(processor, instruction, selector));
  } else if (instruction.operand_size == 2) {
    write_register<u16>(processor, destination, selector);
  } else {
    write_register<u32>(processor, destination, selector);  // zero-extended. SDM 2B MOV
  }
  return Completion::Next;
}

enum class Extension : u8 { Zero, Sign };

template <Extension extension, typename To, typename From, bool memory>
Completion extend(Processor& processor, const Instruction& instruction) {
  const From value = TRY_OR_FAULT((read_operand<From, memory>(processor, instruction, 1)));
  using Signed = std::make_signed_t<From>;
  const To result = extension == Extension::Zero ? static_cast<To>(value)
                                                 : static_cast<To>(static_cast<Signed>(value));
  write_register<To>(processor, instruction.operands[0], result);
  return Completion::Next;
}

template <Extension extension>
Handler bind_extend(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size, [&](auto to) {
    return by_place(instruction, 1, [&](auto memory) -> Handler {
      using To = decltype(to);
      if (instruction.operands[1].size == 1) {
        return &extend<extension, To, u8, decltype(memory)::value>;
      }
      return &extend<extension, To, u16, decltype(memory)::value>;
    });
  });
}

template <typename T>
T swap_bytes(T value) {
  if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(value);
  else
    return __builtin_bswap32(value);
}

template <typename T, bool store>
Completion move_big_endian(Processor& processor, const Instruction& instruction) {
  if constexpr (store) {
    const T value = read_register<T>(processor, instruction.operands[1]);
    TRY_OR_FAULT(write_memory<T>(processor, instruction, swap_bytes(value)));
  } else {
    const T value = TRY_OR_FAULT(read_memory<T>(processor, instruction));
    write_register<T>(processor, instruction.operands[0], swap_bytes(value));
  }
  return Completion::Next;
}

Completion byte_swap_32(Processor& processor, const Instruction& instruction) {
  const Operand& operand = instruction.operands[0];
  write_register<u32>(processor, operand, swap_bytes(read_register<u32>(processor, operand)));
  return Completion::Next;
}

/// Undefined by the manual; processors clear the register.
Completion byte_swap_16(Processor& processor, const Instruction& instruction) {
  write_register<u16>(processor, instruction.operands[0], 0);
  return Completion::Next;
}

template <typename T>
Completion exchange_registers(Processor& processor, const Instruction& instruction) {
  const T a = read_register<T>(processor, instruction.operands[0]);
  const T b = read_register<T>(processor, instruction.operands[1]);
  write_register<T>(processor, instruction.operands[0], b);
  write_register<T>(processor, instruction.operands[1], a);
  return Completion::Next;
}

template <typename T, unsigned register_operand>
Completion exchange_memory(Processor& processor, const Instruction& instruction) {
  const SegmentName segment = instruction.memory.segment;
  const u64 offset = memory_offset(processor, instruction);
  const Operand& reg = instruction.operands[register_operand];
  const T value = TRY_OR_FAULT(processor.read_for_write<T>(segment, offset));
  processor.write_back<T>(segment, offset, read_register<T>(processor, reg));
  write_register<T>(processor, reg, value);
  return Completion::Next;
}

template <unsigned condition, typename T, bool memory>
Completion conditional_move(Processor& processor, const Instruction& instruction) {
  // The source is read whether or not the condition holds. SDM 2A CMOVcc.
  const T source = TRY_OR_FAULT((read_operand<T, memory>(processor, instruction, 1)));
  const Operand& destination = instruction.operands[0];
  const T old = read_register<T>(processor, destination);
  write_register<T>(processor, destination,
                    condition_holds<condition>(processor.state.rflags) ? source : old);
  return Completion::Next;
}

template <unsigned condition, bool memory>
Completion set_on_condition(Processor& processor, const Instruction& instruction) {
  const u8 value = condition_holds<condition>(processor.state.rflags) ? 1 : 0;
  if constexpr (memory)
    TRY_OR_FAULT(write_memory<u8>(processor, instruction, value));
  else
    write_register<u8>(processor, instruction.operands[0], value);
  return Completion::Next;
}

template <typename T>
Completion load_effective_address(Processor& processor, const Instruction& instruction) {
  write_register<T>(processor, instruction.operands[0],
                    static_cast<T>(memory_offset(processor, instruction)));
  return Completion::Next;
}

Completion translate_byte(Processor& processor, const Instruction& instruction) {
  State& state = processor.state;
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  const u64 offset = (state.gpr[Rbx] + (state.gpr[Rax] & 0xFF)) & mask;
  const u8 value = TRY_OR_FAULT(processor.read<u8>(instruction.memory.segment, offset));
  processor.write_gpr(Rax, 1, value);
  return Completion::Next;
}

Completion cbw(Processor& processor, const Instruction&) {
  processor.write_gpr(Rax, 2, static_cast<u64>(static_cast<i8>(processor.state.gpr[Rax])));
  return Completion::Next;
}
Completion cwde(Processor& processor, const Instruction&) {
  processor.write_gpr(Rax, 4, static_cast<u64>(static_cast<i16>(processor.state.gpr[Rax])));
  return Completion::Next;
}
Completion cwd(Processor& processor, const Instruction&) {
  processor.write_gpr(Rdx, 2, static_cast<i16>(processor.state.gpr[Rax]) < 0 ? 0xFFFF : 0);
  return Completion::Next;
}
Completion cdq(Processor& processor, const Instruction&) {
  processor.write_gpr(Rdx, 4, static_cast<i32>(processor.state.gpr[Rax]) < 0 ? 0xFFFF'FFFF : 0);
  return Completion::Next;
}

constexpr u64 kLowFlags = eflags::SF | eflags::ZF | eflags::AF | eflags::PF | eflags::CF;

Completion lahf(Processor& processor, const Instruction&) {
  processor.write_high_byte(Rax,
                            static_cast<u8>((processor.state.rflags & kLowFlags) | eflags::Fixed));
  return Completion::Next;
}
Completion sahf(Processor& processor, const Instruction&) {
  u64& rflags = processor.state.rflags;
  rflags = (rflags & ~kLowFlags) | (processor.read_high_byte(Rax) & kLowFlags);
  return Completion::Next;
}
Completion salc(Processor& processor, const Instruction&) {
  processor.write_gpr(Rax, 1, processor.state.flag(eflags::CF) ? 0xFF : 0);
  return Completion::Next;
}

template <SegmentName name, typename T>
Completion load_far_pointer(Processor& processor, const Instruction& instruction) {
  const u64 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFF'FFFF;
  const u64 offset = memory_offset(processor, instruction);
  const SegmentName segment = instruction.memory.segment;
  const T pointer = TRY_OR_FAULT(processor.read<T>(segment, offset));
  const u16 selector = TRY_OR_FAULT(processor.read<u16>(segment, (offset + sizeof(T)) & mask));
  TRY_OR_FAULT(processor.load_segment(name, selector));
  write_register<T>(processor, instruction.operands[0], pointer);
  return Completion::Next;
}

template <SegmentName name>
Handler bind_load_far(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size,
                      [](auto size) -> Handler { return &load_far_pointer<name, decltype(size)>; });
}

}  // namespace

Handler bind_mov(const Instruction& instruction) {
  const Operand& a = instruction.operands[0];
  const Operand& b = instruction.operands[1];
  if (a.kind == OperandKind::Segment) return &load_segment_register;
  if (b.kind == OperandKind::Segment) return &store_segment_register;
  return by_size(a.size, [&](auto size) {
    return by_form(instruction, [&](auto form) -> Handler {
      return &move<decltype(size), decltype(form)::value>;
    });
  });
}

Handler bind_movnti(const Instruction&) {
  return &move<u32, Form::MemReg>;
}

Handler bind_movzx(const Instruction& instruction) {
  return bind_extend<Extension::Zero>(instruction);
}
Handler bind_movsx(const Instruction& instruction) {
  return bind_extend<Extension::Sign>(instruction);
}

Handler bind_movbe(const Instruction& instruction) {
  const bool store = instruction.operands[0].kind == OperandKind::Memory;
  return by_word_size(instruction.operand_size, [&](auto size) -> Handler {
    using T = decltype(size);
    return store ? &move_big_endian<T, true> : &move_big_endian<T, false>;
  });
}

Handler bind_bswap(const Instruction& instruction) {
  return instruction.operand_size == 2 ? &byte_swap_16 : &byte_swap_32;
}

Handler bind_xchg(const Instruction& instruction) {
  return by_size(instruction.operands[0].size, [&](auto size) -> Handler {
    using T = decltype(size);
    if (instruction.operands[0].kind == OperandKind::Memory) return &exchange_memory<T, 1>;
    if (instruction.operands[1].kind == OperandKind::Memory) return &exchange_memory<T, 0>;
    return &exchange_registers<T>;
  });
}

Handler bind_cmovcc(const Instruction& instruction) {
  return by_condition(instruction.opcode, [&](auto condition) {
    return by_word_size(instruction.operands[0].size, [&](auto size) {
      return by_place(instruction, 1, [&](auto memory) -> Handler {
        return &conditional_move<condition.value, decltype(size), decltype(memory)::value>;
      });
    });
  });
}

Handler bind_setcc(const Instruction& instruction) {
  return by_condition(instruction.opcode, [&](auto condition) {
    return by_place(instruction, 0, [&](auto memory) -> Handler {
      return &set_on_condition<condition.value, decltype(memory)::value>;
    });
  });
}

Handler bind_lea(const Instruction& instruction) {
  return by_word_size(instruction.operands[0].size,
                      [](auto size) -> Handler { return &load_effective_address<decltype(size)>; });
}

Handler bind_xlat(const Instruction&) {
  return &translate_byte;
}
Handler bind_cbw(const Instruction&) {
  return &cbw;
}
Handler bind_cwde(const Instruction&) {
  return &cwde;
}
Handler bind_cwd(const Instruction&) {
  return &cwd;
}
Handler bind_cdq(const Instruction&) {
  return &cdq;
}
Handler bind_lahf(const Instruction&) {
  return &lahf;
}
Handler bind_sahf(const Instruction&) {
  return &sahf;
}
Handler bind_salc(const Instruction&) {
  return &salc;
}
Handler bind_lds(const Instruction& instruction) {
  return bind_load_far<SegmentName::DS>(instruction);
}
Handler bind_les(const Instruction& instruction) {
  return bind_load_far<SegmentName::ES>(instruction);
}
Handler bind_lfs(const Instruction& instruction) {
  return bind_load_far<SegmentName::FS>(instruction);
}
Handler bind_lgs(const Instruction& instruction) {
  return bind_load_far<SegmentName::GS>(instruction);
}
Handler bind_lss(const Instruction& instruction) {
  return bind_load_far<SegmentName::SS>(instruction);
}

}  // namespace ringshift::cpu
