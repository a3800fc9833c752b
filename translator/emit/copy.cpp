// Instructions that the host executes as they are, on the registers that stand for the guest's.
#include "cpu/encoding.h"
#include "translator/emit/block_emitter.h"
#include "translator/emit/reencode.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::Operand;
using cpu::OperandKind;

namespace {

const Operand* memory_of(const Instruction& instruction) {
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    if (instruction.operands[i].kind == OperandKind::Memory) return &instruction.operands[i];
  }
  return nullptr;
}

/// ESP itself takes part, not just as an address.
bool names_stack_pointer(const Instruction& instruction) {
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    const Operand& operand = instruction.operands[i];
    if (operand.kind == OperandKind::Gpr && operand.reg == cpu::Rsp) return true;
  }
  return false;
}

/// ESP may have been written, all 32 bits of it: as the destination, or exchanged.
bool may_write_stack_pointer(const Instruction& instruction) {
  constexpr u8 kXchg = 0x87, kXadd = 0xC1, kMulx = 0xF6;
  const u8 opcode = instruction.opcode;
  const bool exchanges =
      opcode == kXchg || opcode == kXadd || opcode == kMulx || (opcode >= 0x90 && opcode <= 0x97);
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    const Operand& operand = instruction.operands[i];
    if (operand.kind == OperandKind::Gpr && operand.reg == cpu::Rsp && operand.size != 2 &&
        (i == 0 || exchanges)) {
      return true;
    }
  }
  return false;
}

constexpr u8 kLea = 0x8D;

/// Whether it certainly writes its first operand: MOV, LEA and arithmetic but for CMP.
bool writes_destination(const Instruction& instruction) {
  if (cpu::parse_encoding(instruction).map != cpu::OpcodeMap::Primary) return false;
  const u8 opcode = instruction.opcode;
  const bool arithmetic = opcode < 0x38 && (opcode & 7) < 6;
  const bool moves = opcode == 0x8B || opcode == 0x89 || opcode == kLea;
  return arithmetic || moves || (opcode >= 0xB8 && opcode <= 0xBF);
}

bool is_lea(const Instruction& instruction) {
  return instruction.opcode == kLea && instruction.policy == cpu::TranslationPolicy::Copy &&
         instruction.operands[1].kind == OperandKind::Memory;
}

/// BT, BTS, BTR, BTC with a bit offset in a register reach beyond their operand.
bool is_bit_string(const Instruction& instruction) {
  if (instruction.operands[0].kind != OperandKind::Memory ||
      instruction.operands[1].kind != OperandKind::Gpr) {
    return false;
  }
  for (unsigned i = 0; i + 1 < instruction.length; ++i) {
    if (instruction.bytes[i] != 0x0F) continue;
    const u8 opcode = instruction.bytes[i + 1];
    return opcode == 0xA3 || opcode == 0xAB || opcode == 0xB3 || opcode == 0xBB;
  }
  return false;
}

}  // namespace

void BlockEmitter::emit_copy() {
  const Instruction& instruction = current_->instruction;
  if (emit_stack_pointer_arithmetic()) return;
  if (names_stack_pointer(instruction)) flush_pending();
  const Operand* operand = memory_of(instruction);
  if (operand == nullptr) {
    if (!copy_with(nullptr)) call_out(false);
    return;
  }
  if (is_lea(instruction)) {
    flush_pending();
    HostMemory memory{.base = cpu::R8, .window = false};
    const auto direct = direct_memory(instruction);
    if (direct) {
      memory = *direct;
    } else {
      load_effective_offset();
    }
    if (!copy_with(&memory)) call_out(false);
    return;
  }
  if (operand->size == 0) {  // hints: wide NOPs, prefetches
    if (!copy_with(nullptr)) call_out(false);
    return;
  }
  if (is_bit_string(instruction) &&
      (segment_kind(instruction.memory.segment) != SegmentKind::Flat ||
       instruction.address_size != 4)) {
    call_out(false);
    return;
  }
  const auto memory = memory_operand(operand->size);
  if (!memory || !copy_with(&*memory)) {
    slow_.reset();
    call_out(false);
  }
}

bool BlockEmitter::copy_with(const HostMemory* memory) {
  HostCode host;
  switch (reencode(current_->instruction, memory, host)) {
    case ReencodeStatus::Ok:
      note_x87();
      a_.embed(host.bytes.data(), host.length);
      if (may_write_stack_pointer(current_->instruction)) {
        if (!writes_destination(current_->instruction)) a_.mov(x86::r15d, x86::r15d);
        rebase_stack_pointer();
      }
      return true;
    case ReencodeStatus::NeedsHighByteHelp:
      return memory != nullptr && copy_with_legacy_base(*memory);
    case ReencodeStatus::Unsupported:
      return false;
  }
  return false;
}

/// The host's pointer to the last x87 instruction may come to point here.
void BlockEmitter::note_x87() {
  const Instruction& instruction = current_->instruction;
  if (instruction.policy != cpu::TranslationPolicy::X87) return;
  const cpu::Encoding encoding = cpu::parse_encoding(instruction);
  X87Point point;
  point.host_offset = static_cast<u32>(a_.offset());
  point.guest_offset = static_cast<u16>(current_->eip - block_->eip);
  point.opcode = static_cast<u16>((encoding.opcode & 7U) << 8 | encoding.modrm);
  point.has_memory = memory_of(instruction) != nullptr;
  point.segment = instruction.memory.segment;
  block_->x87.push_back(point);
}

/// AH, CH, DH and BH can't stand beside R8 to R15: the address borrows RBP, which is none of them.
bool BlockEmitter::copy_with_legacy_base(const HostMemory& memory) {
  constexpr HostMemory kAtRbp{.base = cpu::Rbp};
  HostCode host;
  if (reencode(current_->instruction, &kAtRbp, host) != ReencodeStatus::Ok) return false;
  Mem address = window_memory(memory, 0);
  address.resetSegment();
  a_.lea(x86::r8d, address);
  a_.mov(x86::r9, x86::rbp);
  mark(false, kRbpInR9);
  a_.mov(x86::ebp, x86::r8d);
  a_.embed(host.bytes.data(), host.length);
  a_.mov(x86::rbp, x86::r9);
  return true;
}

/// Whether the guest may use the FPU this way now; if not, the interpreter raises what is due.
bool BlockEmitter::fpu_allowed(cpu::TranslationPolicy policy) const {
  using Policy = cpu::TranslationPolicy;
  switch (policy) {
    case Policy::X87:
    case Policy::Mmx:
      return mode_.has(Mode::kX87);
    case Policy::Simd:
    case Policy::SimdMmx:
      return mode_.has(Mode::kSse);
    case Policy::Avx:
      return mode_.has(Mode::kAvx);
    default:
      return false;
  }
}

/// x87, MMX, SSE, AVX: as they are, once the guest's state is in the host's unit.
void BlockEmitter::emit_fpu() {
  if (!fpu_allowed(current_->instruction.policy)) {
    call_out(false);
    return;
  }
  ensure_fpu(fpu_need(current_->instruction.policy));
  emit_copy();
}

/// Which parts of the FPU state an instruction of this policy works on.
u8 BlockEmitter::fpu_need(cpu::TranslationPolicy policy) {
  using Policy = cpu::TranslationPolicy;
  switch (policy) {
    case Policy::X87:
    case Policy::Mmx:
    case Policy::SimdMmx:
      return kVectors | kX87;
    case Policy::Simd:
      return kVectors;
    case Policy::Avx:
      return kVectors | kUpper;
    default:
      return 0;
  }
}

/// Loads what isn't there yet. Flags and registers stay as they are.
void BlockEmitter::ensure_fpu(u8 need) {
  const auto ensure = [&](u8 part, const Mem& absent, const u8* load) {
    if ((need & part) == 0 || (fpu_known_ & part) != 0) return;
    const Label loaded = a_.newLabel();
    a_.mov(x86::r9, x86::rcx);
    a_.movzx(x86::ecx, absent);
    a_.jecxz(x86::ecx, loaded);
    a_.call(reinterpret_cast<u64>(load));
    a_.bind(loaded);
    a_.mov(x86::rcx, x86::r9);
    mark(false);
    fpu_known_ |= part | kVectors;
  };
  ensure(kX87, CONTEXT_FIELD(x87_absent), stubs_.load_x87);
  ensure(kUpper, CONTEXT_FIELD(upper_absent), stubs_.load_upper);
  ensure(kVectors, CONTEXT_FIELD(vectors_absent), stubs_.load_vectors);
}

}  // namespace ringshift::translator
