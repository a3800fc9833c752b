// MMX, SSE and AVX data operations: checks, operands and results around the host unit's thunks. The
// binders say what the encoding doesn't: which forms a line of the table means, whether MXCSR plays
// a part, how a memory operand must be aligned.
#include <algorithm>

#include "cpu/encoding.h"
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {
namespace {

Completion check_available(Processor& processor, const Thunk& thunk) {
  if (thunk.vex) return check_avx(processor);
  if ((thunk.traits & kMmxOnly) != 0) return check_mmx(processor);
  HANDLER_REQUIRE(check_sse(processor));
  return thunk.uses_mmx ? check_pending_x87(processor) : Completion::Next;
}

/// An unmasked SIMD exception: MXCSR tells which. SDM 3A §6.15 (vector 19).
Completion raise_simd_exception(Processor& processor) {
  const bool reported = (processor.state.cr4 & cr4::OSXMMEXCPT) != 0;
  return complete(processor.raise(reported ? Vector::SimdFloatingPoint : Vector::InvalidOpcode));
}

void load_general_registers(const State& state, const Thunk& thunk, Thunk::Frame& frame) {
  if (thunk.gpr_source != kNoRegister) frame.gpr[0] = state.gpr[thunk.gpr_source];
  if ((thunk.traits & kExplicitLengths) != 0) {
    frame.gpr[0] = state.gpr[Rax];
    frame.gpr[2] = state.gpr[Rdx];
  }
}

void store_general_results(Processor& processor, const Thunk& thunk, const Thunk::Frame& frame) {
  State& state = processor.state;
  if (thunk.gpr_destination != kNoRegister) {
    processor.write_gpr(thunk.gpr_destination, 4, frame.gpr[0]);
  }
  if ((thunk.traits & kWritesIndex) != 0) processor.write_gpr(Rcx, 4, frame.gpr[1]);
  if ((thunk.traits & kWritesFlags) != 0) {
    state.rflags = (state.rflags & ~eflags::Arithmetic) | (frame.flags & eflags::Arithmetic);
  }
}

/// Runs the thunk and writes its memory operand, on registers that may be changed at will: the
/// caller undoes what must not have happened.
Completion run_and_write(Processor& processor, const Instruction& instruction, const Thunk& thunk,
                         u64 offset) {
  HostUnit& unit = processor.host_unit();
  if (unit.run_simd(thunk, processor.state.extended) == HostUnit::Outcome::SimdException)
      [[unlikely]] {
    return raise_simd_exception(processor);
  }
  if (thunk.memory == Thunk::Access::Write) {
    TRY_OR_FAULT(processor.write_bytes(instruction.memory.segment, offset,
                                       unit.frame().operand.data(), thunk.memory_size));
  }
  return Completion::Next;
}

/// An instruction with an MMX register: the x87 stack becomes the MMX register file. Once a memory
/// source has been read that has happened, even if the instruction faults afterwards; a store that
/// faults has moved TOP but leaves the tags alone.
Completion run_with_mmx(Processor& processor, const Instruction& instruction, const Thunk& thunk,
                        u64 offset) {
  ExtendedState& extended = processor.state.extended;
  const u8 tags = image::load<u8>(extended, image::kTag);
  image::enter_mmx(extended);
  const Completion completion = run_and_write(processor, instruction, thunk, offset);
  if (completion != Completion::Next) {
    if (thunk.memory == Thunk::Access::Write) image::store<u8>(extended, image::kTag, tags);
  } else if (thunk.mmx_destination != kNoRegister) {
    image::mark_mmx_written(extended, thunk.mmx_destination);
  }
  return completion;
}

/// VCVTPS2PH to memory is the one store that can set flags: they are set before the memory's faults
/// are seen, and an unmasked exception comes first. It isn't subject to #AC.
Completion run_flagging_store(Processor& processor, const Instruction& instruction,
                              const Thunk& thunk, u64 offset) {
  const SegmentName segment = instruction.memory.segment;
  HostUnit& unit = processor.host_unit();
  if (unit.run_simd(thunk, processor.state.extended) == HostUnit::Outcome::SimdException)
      [[unlikely]] {
    return raise_simd_exception(processor);
  }
  TRY_OR_FAULT(
      store_vector(processor, segment, offset, unit.frame().operand.data(), thunk.memory_size));
  return Completion::Next;
}

Completion run_simd(Processor& processor, const Instruction& instruction, const Thunk& thunk) {
  if (thunk.entry == nullptr) return complete(processor.raise(Vector::InvalidOpcode));
  HANDLER_REQUIRE(check_available(processor, thunk));
  Thunk::Frame& frame = processor.host_unit().frame();
  u64 offset = 0;
  if (thunk.memory != Thunk::Access::None) {
    offset = processor.effective_offset(instruction);
    const bool read = thunk.memory == Thunk::Access::Read;
    if (thunk.alignment_mask != 0) {
      HANDLER_REQUIRE(check_alignment(processor, instruction, offset, thunk.alignment_mask));
    }
    if (read) {
      const SegmentName segment = instruction.memory.segment;
      u8* into = frame.operand.data();
      const bool exempt = (thunk.traits & kNoAlignmentCheck) != 0;
      TRY_OR_FAULT(exempt ? load_vector(processor, segment, offset, into, thunk.memory_size)
                          : processor.read_bytes(segment, offset, into, thunk.memory_size));
    }
  }
  load_general_registers(processor.state, thunk, frame);
  Completion completion = Completion::Next;
  if (thunk.uses_mmx) {
    completion = run_with_mmx(processor, instruction, thunk, offset);
  } else if ((thunk.traits & kUsesMxcsr) != 0 && thunk.memory == Thunk::Access::Write) {
    completion = run_flagging_store(processor, instruction, thunk, offset);
  } else {
    completion = run_and_write(processor, instruction, thunk, offset);
  }
  if (completion == Completion::Next) store_general_results(processor, thunk, frame);
  return completion;
}

template <u16 Traits>
Completion execute_simd(Processor& processor, const Instruction& instruction) {
  return run_simd(processor, instruction, processor.host_unit().simd_thunk(instruction, Traits));
}

bool has(const Instruction& instruction, OperandKind kind) {
  const auto end = instruction.operands.begin() + instruction.operand_count;
  return std::any_of(instruction.operands.begin(), end,
                     [kind](const Operand& operand) { return operand.kind == kind; });
}

/// Legacy encoding with an XMM register.
template <u16 Traits = 0>
Handler xmm_form(const Instruction& instruction) {
  return has(instruction, OperandKind::Xmm) ? execute_simd<Traits> : nullptr;
}

/// Legacy encoding of a floating-point instruction: conversions from memory to a general or MMX
/// register name no XMM register. (CMPSD the string instruction names none at all.)
template <u16 Traits>
Handler float_form(const Instruction& instruction) {
  const bool conversion = has(instruction, OperandKind::Gpr) || has(instruction, OperandKind::Mmx);
  return conversion ? execute_simd<Traits> : xmm_form<Traits>(instruction);
}

enum class Widths : u8 { Any, Xmm, Ymm };

/// VEX encoding of the given width; EVEX ones are nobody's.
template <u16 Traits = 0>
Handler vex_form(const Instruction& instruction, Widths widths = Widths::Any) {
  const bool ymm = has(instruction, OperandKind::Ymm);
  if (widths == Widths::Xmm && ymm) return nullptr;
  if (widths == Widths::Ymm && !ymm) return nullptr;
  return parse_encoding(instruction).form == EncodingForm::Vex ? execute_simd<Traits> : nullptr;
}

constexpr u16 kCompare = kUsesMxcsr | kWritesFlags;
constexpr u16 kStringIndex = kUnaligned | kWritesFlags | kWritesIndex;
constexpr u16 kStringMask = kUnaligned | kWritesFlags | kImplicitXmm0;

}  // namespace

Handler bind_mmx(const Instruction& instruction) {
  const bool only_mmx = has(instruction, OperandKind::Mmx) && !has(instruction, OperandKind::Xmm);
  return only_mmx ? execute_simd<kMmxOnly> : nullptr;
}

Handler bind_sse(const Instruction& instruction) {
  return xmm_form<>(instruction);
}
Handler bind_sse_unaligned(const Instruction& instruction) {
  return xmm_form<kUnaligned>(instruction);
}
Handler bind_sse_float(const Instruction& instruction) {
  return float_form<kUsesMxcsr>(instruction);
}
Handler bind_sse_compare(const Instruction& instruction) {
  return xmm_form<kCompare>(instruction);
}
Handler bind_sse_test(const Instruction& instruction) {
  return xmm_form<kWritesFlags>(instruction);
}
Handler bind_sse_xmm0(const Instruction& instruction) {
  return xmm_form<kImplicitXmm0>(instruction);
}
Handler bind_sse_pcmpestri(const Instruction& instruction) {
  return xmm_form<kStringIndex | kExplicitLengths>(instruction);
}
Handler bind_sse_pcmpestrm(const Instruction& instruction) {
  return xmm_form<kStringMask | kExplicitLengths>(instruction);
}
Handler bind_sse_pcmpistri(const Instruction& instruction) {
  return xmm_form<kStringIndex>(instruction);
}
Handler bind_sse_pcmpistrm(const Instruction& instruction) {
  return xmm_form<kStringMask>(instruction);
}
/// PEXTRW has two encodings: 0F C5 came with SSE2, 0F 3A 15 with SSE4.1.
Handler bind_sse2_pextrw(const Instruction& instruction) {
  return instruction.opcode == 0xC5 ? xmm_form<>(instruction) : nullptr;
}
Handler bind_sse41_pextrw(const Instruction& instruction) {
  return instruction.opcode == 0x15 ? xmm_form<>(instruction) : nullptr;
}

Handler bind_avx(const Instruction& instruction) {
  return vex_form<>(instruction);
}
Handler bind_avx_128(const Instruction& instruction) {
  return vex_form<>(instruction, Widths::Xmm);
}
Handler bind_avx_256(const Instruction& instruction) {
  return vex_form<>(instruction, Widths::Ymm);
}
Handler bind_avx_aligned(const Instruction& instruction) {
  return vex_form<kAligned>(instruction);
}
Handler bind_avx_aligned_128(const Instruction& instruction) {
  return vex_form<kAligned>(instruction, Widths::Xmm);
}
Handler bind_avx_aligned_256(const Instruction& instruction) {
  return vex_form<kAligned>(instruction, Widths::Ymm);
}
Handler bind_avx_float(const Instruction& instruction) {
  return vex_form<kUsesMxcsr>(instruction);
}
Handler bind_f16c(const Instruction& instruction) {
  return vex_form<kUsesMxcsr | kNoAlignmentCheck>(instruction);
}
Handler bind_avx_compare(const Instruction& instruction) {
  return vex_form<kCompare>(instruction);
}
Handler bind_avx_test(const Instruction& instruction) {
  return vex_form<kWritesFlags>(instruction);
}
Handler bind_avx_pcmpestri(const Instruction& instruction) {
  return vex_form<kStringIndex | kExplicitLengths>(instruction);
}
Handler bind_avx_pcmpestrm(const Instruction& instruction) {
  return vex_form<kStringMask | kExplicitLengths>(instruction);
}
Handler bind_avx_pcmpistri(const Instruction& instruction) {
  return vex_form<kStringIndex>(instruction);
}
Handler bind_avx_pcmpistrm(const Instruction& instruction) {
  return vex_form<kStringMask>(instruction);
}
/// Broadcasts from a register came later than those from memory.
Handler bind_avx_from_memory(const Instruction& instruction) {
  return has(instruction, OperandKind::Memory) ? vex_form<>(instruction) : nullptr;
}
Handler bind_avx_from_register(const Instruction& instruction) {
  return has(instruction, OperandKind::Memory) ? nullptr : vex_form<>(instruction);
}

}  // namespace ringshift::cpu
