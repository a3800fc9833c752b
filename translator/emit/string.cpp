// MOVS, CMPS, STOS, LODS, SCAS. Repeated ones run as the host's own on host addresses: windows are
// aligned to 4 GiB, so the lower halves of RSI and RDI are the guest's ESI and EDI all the time,
// and wherever a fault or a signal stops the repetition the guest's registers say how far it came.
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::RepeatPrefix;
using cpu::SegmentName;

namespace {

constexpr u8 kMovs = 0xA4, kCmps = 0xA6, kStos = 0xAA, kLods = 0xAC, kScas = 0xAE;

/// The opcode of the operation on bytes.
u8 operation_of(const Instruction& instruction) {
  return instruction.opcode & 0xFE;
}

bool has_source(const Instruction& instruction) {
  const u8 operation = operation_of(instruction);
  return operation == kMovs || operation == kCmps || operation == kLods;
}

bool has_destination(const Instruction& instruction) {
  return operation_of(instruction) != kLods;
}

unsigned element_size(const Instruction& instruction) {
  return (instruction.opcode & 1) == 0 ? 1 : instruction.operand_size;
}

unsigned shift_of(unsigned size) {
  return size == 4 ? 2 : size - 1;
}

asmjit::x86::Gp sized(const asmjit::x86::Gp& reg, unsigned size) {
  if (size == 1) return reg.r8();
  if (size == 2) return reg.r16();
  return reg.r32();
}

}  // namespace

void BlockEmitter::emit_string() {
  const Instruction& instruction = current_->instruction;
  const auto all_are = [&](auto fits) {
    return (!has_source(instruction) || fits(segment_kind(instruction.memory.segment))) &&
           (!has_destination(instruction) || fits(segment_kind(SegmentName::ES)));
  };
  const bool flat = all_are([](SegmentKind kind) { return kind == SegmentKind::Flat; });
  const bool usable = all_are([](SegmentKind kind) { return kind != SegmentKind::Odd; });
  const bool repeated = instruction.repeat != RepeatPrefix::None;
  const bool fits = repeated ? flat && instruction.address_size == 4 : usable;
  if (!options_.on(Optimisation::InlineStrings) || !fits) {
    call_out(false);
  } else if (repeated) {
    emit_repeated_string();
  } else {
    emit_single_string();
  }
}

/// The element at `segment`:`pointer`, where neither is odd.
BlockEmitter::Mem BlockEmitter::string_element(const Gp& pointer, SegmentName segment,
                                               unsigned size) {
  const bool wide = current_->instruction.address_size == 4;
  if (wide && segment_kind(segment) == SegmentKind::Flat) {
    return window_memory(near_window({.base = static_cast<u8>(pointer.id())}), size);
  }
  if (wide) {
    a_.mov(x86::r8d, pointer.r32());
  } else {
    a_.movzx(x86::r8d, pointer.r16());
  }
  segment_address(segment, size);
  return at_r8(size);
}

/// One iteration: all accesses come before the first register changes.
void BlockEmitter::emit_single_string() {
  const Instruction& instruction = current_->instruction;
  const unsigned size = element_size(instruction);
  const SegmentName from = instruction.memory.segment;
  const u8 operation = operation_of(instruction);
  if (operation == kMovs || operation == kCmps) {
    const Mem source = string_element(x86::rsi, from, size);
    if (size == 4) {
      a_.mov(x86::r11d, source);
    } else {
      a_.movzx(x86::r11d, source);
    }
  }
  switch (operation) {
    case kMovs:
      a_.mov(string_element(x86::rdi, SegmentName::ES, size), sized(x86::r11, size));
      break;
    case kCmps:
      a_.cmp(sized(x86::r11, size), string_element(x86::rdi, SegmentName::ES, size));
      break;
    case kStos:
      a_.mov(string_element(x86::rdi, SegmentName::ES, size), sized(x86::rax, size));
      break;
    case kLods:
      a_.mov(sized(x86::rax, size), string_element(x86::rsi, from, size));
      break;
    default:
      a_.cmp(sized(x86::rax, size), string_element(x86::rdi, SegmentName::ES, size));
      break;
  }
  a_.movsxd(x86::r8, CONTEXT_FIELD(direction));
  const auto step = [&](const Gp& pointer) {
    const Mem next = x86::ptr(pointer, x86::r8, shift_of(size), static_cast<i32>(size));
    if (instruction.address_size == 4) {
      a_.lea(pointer.r32(), next);
    } else {
      a_.lea(x86::r9d, next);
      a_.mov(pointer.r16(), x86::r9w);
    }
  };
  if (has_source(instruction)) step(x86::rsi);
  if (has_destination(instruction)) step(x86::rdi);
}

/// Flat segments, 32-bit addresses. R8D keeps the count that the instruction began with.
void BlockEmitter::emit_repeated_string() {
  const Label up = a_.newLabel(), down = a_.newLabel(), back = a_.newLabel();
  a_.mov(x86::r8d, x86::ecx);
  a_.mov(x86::ecx, CONTEXT_FIELD(direction));
  a_.jecxz(x86::ecx, up);
  a_.jmp(down);
  a_.bind(up);
  emit_repetition(StringDirection::Up);
  a_.bind(back);
  tails_.emplace_back([this, down, back, current = current_, pending = pending_] {
    current_ = current;
    pending_ = pending;
    a_.bind(down);
    emit_repetition(StringDirection::Down);
    a_.jmp(back);
  });
}

void BlockEmitter::emit_repetition(StringDirection direction) {
  const Instruction& instruction = current_->instruction;
  const bool source = has_source(instruction), destination = has_destination(instruction);
  // The upper halves are zero, or the guest would get out of its window.
  a_.mov(x86::ecx, x86::r8d);
  a_.mov(x86::r9, CONTEXT_FIELD(window));
  if (source) {
    a_.mov(x86::esi, x86::esi);
    a_.lea(x86::rsi, x86::ptr(x86::rsi, x86::r9));
  }
  if (destination) {
    a_.mov(x86::edi, x86::edi);
    a_.lea(x86::rdi, x86::ptr(x86::rdi, x86::r9));
  }
  if (direction == StringDirection::Down) a_.std();
  mark(true, kRepeating);
  HostCode host;
  if (element_size(instruction) == 2) host.push(0x66);
  host.push(instruction.repeat == RepeatPrefix::RepNe ? 0xF2U : 0xF3U);
  host.push(instruction.opcode);
  a_.embed(host.bytes.data(), host.length);
  if (direction == StringDirection::Down) a_.cld();
  if (source) a_.mov(x86::esi, x86::esi);
  if (destination) a_.mov(x86::edi, x86::edi);
}

}  // namespace ringshift::translator
