// Sensitive instructions that needn't leave the code cache.
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::OperandKind;
using cpu::SegmentName;
namespace eflags = cpu::eflags;

namespace {

/// EFLAGS that live elsewhere than in State::rflags while guest code runs.
constexpr u32 kOutside = static_cast<u32>(eflags::Arithmetic | eflags::IF | eflags::DF);
constexpr u32 kLowArithmetic = static_cast<u32>(eflags::Arithmetic & 0xFF);
constexpr unsigned kInterruptBit = 9, kDirectionBit = 10, kOverflowBit = 11;

bool host_has_bmi2() {
  return asmjit::CpuInfo::host().features().x86().hasBMI2();
}

}  // namespace

/// CLI, STI, CLD, STD: IF and DF are in the context.
void BlockEmitter::emit_flag() {
  constexpr u8 kSti = 0xFB, kCld = 0xFC;
  const u8 opcode = current_->instruction.opcode;
  const bool allowed = opcode >= kCld || mode_.has(Mode::kIoPrivileged);
  if (!allowed || !options_.on(Optimisation::InlineSystem)) {
    call_out(false);
  } else if (opcode >= kCld) {
    a_.mov(CONTEXT_FIELD(direction), opcode == kCld ? 0 : -2);
  } else if (opcode == kSti) {
    emit_sti();
  } else {
    a_.mov(CONTEXT_FIELD(interrupt_flag), 0);
  }
}

/// If nothing waits, IF is all; else the interpreter sees to the shadow and the interrupt. What
/// arrives from now on must respect the shadow too: there is no place to stop before the next
/// instruction, so it must be one that is reached from here only.
void BlockEmitter::emit_sti() {
  const std::size_t next = index_ + 1;
  if (next >= source_.size() || is_target_[next]) {
    call_out(false);
    return;
  }
  flush_pending();
  const Label free = a_.newLabel(), done = a_.newLabel();
  a_.mov(x86::r9, x86::rcx);
  a_.movzx(x86::ecx, CONTEXT_FIELD(interrupt_waits));
  a_.jecxz(x86::ecx, free);
  a_.mov(x86::rcx, x86::r9);
  call_out(false);
  a_.short_().jmp(done);
  a_.bind(free);
  a_.mov(x86::rcx, x86::r9);
  a_.mov(CONTEXT_FIELD(interrupt_flag), 1);
  a_.bind(done);
  shadowed_ = true;
}

void BlockEmitter::emit_flag_stack() {
  constexpr u8 kPushf = 0x9C;
  // In virtual-8086 mode IOPL decides, or VME's virtual flags.
  const bool real = !mode_.has(Mode::kRealSelectors) || mode_.has(Mode::kIoPrivileged);
  if (!options_.on(Optimisation::InlineSystem) || !real ||
      segment_kind(SegmentName::SS) == SegmentKind::Odd) {
    call_out(false);
  } else if (current_->instruction.opcode == kPushf) {
    emit_push_flags();
  } else {
    emit_pop_flags();
  }
}

void BlockEmitter::emit_push_flags() {
  constexpr u32 kNotPushed = static_cast<u32>(eflags::VM | eflags::RF);
  save_flags();
  a_.movzx(x86::r11d, x86::al);
  a_.shl(x86::r11d, kOverflowBit);
  a_.mov(x86::r8d, x86::eax);
  a_.shr(x86::r8d, 8);
  a_.and_(x86::r8d, kLowArithmetic);
  a_.or_(x86::r11d, x86::r8d);
  a_.movzx(x86::r8d, CONTEXT_FIELD(interrupt_flag));
  a_.shl(x86::r8d, kInterruptBit);
  a_.or_(x86::r11d, x86::r8d);
  a_.mov(x86::r8d, CONTEXT_FIELD(direction));
  a_.and_(x86::r8d, static_cast<u32>(eflags::DF));
  a_.or_(x86::r11d, x86::r8d);
  a_.mov(x86::r8, CONTEXT_FIELD(state));
  a_.mov(x86::r8d, state_rflags(x86::r8));
  a_.and_(x86::r8d, ~(kOutside | kNotPushed));
  a_.or_(x86::r11d, x86::r8d);
  restore_flags();
  push_value(x86::r11, current_->instruction.operand_size);
}

/// The interpreter's are changes of TF, IOPL, NT, AC and ID, and opening the door to an interrupt.
void BlockEmitter::emit_pop_flags() {
  const unsigned size = current_->instruction.operand_size;
  u32 rare = static_cast<u32>(eflags::TF | eflags::NT);
  if (!mode_.has(Mode::kUser)) rare |= static_cast<u32>(eflags::IOPL);
  if (size == 4) rare |= static_cast<u32>(eflags::AC | eflags::ID);
  Mem slot;
  stack_slot(0, size, slot);
  if (size == 2) {
    a_.movzx(x86::r11d, slot);
  } else {
    a_.mov(x86::r11d, slot);
  }
  const Label slow = slow_path();
  save_flags();
  a_.mov(x86::r8d, x86::r11d);
  a_.mov(x86::r9, CONTEXT_FIELD(state));
  a_.xor_(x86::r8d, state_rflags(x86::r9));
  a_.test(x86::r8d, rare);
  a_.jnz(slow);
  if (mode_.has(Mode::kIoPrivileged)) {
    a_.mov(x86::r8d, x86::r11d);
    a_.shr(x86::r8d, kInterruptBit);
    a_.and_(x86::r8d, 1);
    a_.test(CONTEXT_FIELD(interrupt_waits), x86::r8b);
    a_.jnz(slow);
    a_.mov(CONTEXT_FIELD(interrupt_flag), x86::r8b);
  }
  a_.mov(x86::r8d, x86::r11d);
  a_.shl(x86::r8d, 31 - kDirectionBit);
  a_.sar(x86::r8d, 31);
  a_.add(x86::r8d, x86::r8d);
  a_.mov(CONTEXT_FIELD(direction), x86::r8d);
  a_.mov(x86::eax, x86::r11d);
  a_.shl(x86::eax, 8);
  a_.shr(x86::r11d, kOverflowBit);
  a_.and_(x86::r11d, 1);
  a_.or_(x86::eax, x86::r11d);
  restore_flags();
  move_stack(static_cast<i32>(size));
}

void BlockEmitter::emit_inline() {
  constexpr u8 kXlat = 0xD7;
  if (!options_.on(Optimisation::InlineSystem)) {
    call_out(false);
  } else if (current_->instruction.opcode == kXlat) {
    emit_translate_byte();
  } else {
    emit_read_time_stamp();
  }
}

/// The interpreter's, but for looking at a selector.
void BlockEmitter::emit_emulated() {
  const Instruction& instruction = current_->instruction;
  const bool usable = options_.on(Optimisation::InlineSystem) && !current_->call_out;
  if (usable && instruction.operands[0].kind == OperandKind::Segment &&
      segment_kind(SegmentName::SS) != SegmentKind::Odd) {
    emit_push_selector(instruction.operands[0].reg);
  } else if (!usable || instruction.operands[1].kind != OperandKind::Segment ||
             !emit_store_selector()) {
    call_out(false);
  }
}

/// R11D = the selector.
void BlockEmitter::load_selector(unsigned segment) {
  constexpr std::size_t kSize = sizeof(cpu::SegmentRegister);
  const std::size_t offset =
      offsetof(cpu::State, segments) + kSize * segment + offsetof(cpu::SegmentRegister, selector);
  a_.mov(x86::r11, CONTEXT_FIELD(state));
  a_.movzx(x86::r11d, x86::word_ptr(x86::r11, static_cast<i32>(offset)));
}

/// PUSH takes the operand size off the stack pointer, but writes the selector alone.
void BlockEmitter::emit_push_selector(unsigned segment) {
  const i32 size = current_->instruction.operand_size;
  Mem slot;
  load_selector(segment);
  stack_slot(-size, 2, slot);
  a_.mov(slot, x86::r11w);
  move_stack(-size);
}

/// MOV from a segment register. False: nothing has been emitted.
bool BlockEmitter::emit_store_selector() {
  const Instruction& instruction = current_->instruction;
  const cpu::Operand& into = instruction.operands[0];
  if (into.kind == OperandKind::Gpr) {
    if (into.reg == cpu::Rsp) flush_pending();
    load_selector(instruction.operands[1].reg);
    if (instruction.operand_size == 2) {
      a_.mov(guest(into.reg).r16(), x86::r11w);
    } else {
      a_.mov(guest(into.reg).r32(), x86::r11d);
      if (into.reg == cpu::Rsp) rebase_stack_pointer();
    }
    return true;
  }
  if (into.kind != OperandKind::Memory) return false;
  const auto memory = encodable_operand(2);
  if (!memory) return false;
  load_selector(instruction.operands[1].reg);
  a_.mov(window_memory(*memory, 2), x86::r11w);
  return true;
}

/// XLAT.
void BlockEmitter::emit_translate_byte() {
  const Instruction& instruction = current_->instruction;
  const SegmentName segment = instruction.memory.segment;
  if (segment_kind(segment) == SegmentKind::Odd) {
    call_out(false);
    return;
  }
  a_.movzx(x86::r8d, x86::al);
  a_.lea(x86::r8d, x86::ptr(x86::rbx, x86::r8));
  if (instruction.address_size == 2) a_.movzx(x86::r8d, x86::r8w);
  segment_address(segment, 1);
  a_.mov(x86::al, at_r8(1));
}

/// RDTSC and RDTSCP where the guest's counter is the host's but for an offset.
void BlockEmitter::emit_read_time_stamp() {
  static const bool has_rorx = host_has_bmi2();
  if (!options_.on(Optimisation::InlineTimeStamp) || !mode_.has(Mode::kTimeStamp) || !has_rorx) {
    call_out(false);
    return;
  }
  constexpr u8 kRdtsc = 0x31;
  if (current_->instruction.opcode == kRdtsc) {
    a_.rdtsc();
  } else {
    a_.rdtscp();
    a_.mov(x86::r8, CONTEXT_FIELD(state));
    a_.mov(x86::ecx, x86::dword_ptr(x86::r8, static_cast<i32>(offsetof(cpu::State, tsc_aux))));
  }
  a_.rorx(x86::r8, x86::rdx, 32);
  a_.lea(x86::rax, x86::ptr(x86::rax, x86::r8));
  a_.mov(x86::r8, CONTEXT_FIELD(tsc_offset));
  a_.lea(x86::rax, x86::ptr(x86::rax, x86::r8));
  a_.rorx(x86::rdx, x86::rax, 32);
  a_.mov(x86::edx, x86::edx);
  a_.mov(x86::eax, x86::eax);
}

}  // namespace ringshift::translator
