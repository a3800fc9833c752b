// Memory operands: the one place that decides how guest memory is reached.
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::MemoryOperand;
using cpu::SegmentName;

namespace {

bool has_high_byte(const Instruction& instruction) {
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    if (instruction.operands[i].kind == cpu::OperandKind::HighByte) return true;
  }
  return false;
}

/// Addresses wrap at 4 GiB, and so may what they are made of.
i32 wrapping_sum(i32 left, i32 right) {
  return static_cast<i32>(static_cast<u32>(left) + static_cast<u32>(right));
}

}  // namespace

std::optional<HostMemory> BlockEmitter::memory_operand(unsigned size) {
  const Instruction& instruction = current_->instruction;
  const SegmentName segment = instruction.memory.segment;
  if (segment_kind(segment) == SegmentKind::Flat) {
    if (auto direct = direct_memory(instruction)) {
      if (direct->base == cpu::R15) {
        constexpr i32 kClose = 0x10000;
        const i32 displacement = direct->displacement;
        if (direct->index == kNoRegister && displacement > -kClose && displacement < kClose) {
          stack_unchecked_ = false;
        }
        direct->displacement = wrapping_sum(displacement, pending_);
      }
      if (direct->base != kNoRegister && direct->base != cpu::R15 && direct->index != kNoRegister &&
          options_.on(Optimisation::WindowIndex) && !has_high_byte(instruction) &&
          instruction.policy == cpu::TranslationPolicy::Copy) {
        // One more instruction, but two cycles less until a loaded integer is there. Floating-point
        // loads seldom wait for their address.
        load_effective_offset();
        return near_window({.base = cpu::R8});
      }
      return near_window(*direct);
    }
  }
  if (segment_kind(segment) == SegmentKind::Odd) return std::nullopt;
  if (load_based_address(size)) return near_window({.base = cpu::R8});
  load_effective_offset();
  if (!segment_address(segment, size)) return std::nullopt;
  return near_window({.base = cpu::R8});
}

/// A segment override costs an Intel processor two cycles a load. Where an address can't leave the
/// window by more than the nothing around it (mmu::WindowArena), the window's base is an index
/// instead, and what wraps at 4 GiB faults there; a site that does so often goes back to the
/// override, which wraps as the guest does. High byte registers can't stand beside the index.
HostMemory BlockEmitter::near_window(const HostMemory& memory) const {
  constexpr i32 kFar = 0x2000'0000;
  const Instruction& instruction = current_->instruction;
  if (!options_.on(Optimisation::WindowIndex) || has_high_byte(instruction) || current_->wraps)
    return memory;
  HostMemory near = memory;
  near.window = false;
  if (memory.base == cpu::R15) return near;  // a host address already
  if (memory.base == kNoRegister) {
    // Without an index, half of all displacements are addresses that a sign would spoil.
    const i32 lowest = memory.index == kNoRegister ? 0 : -kFar;
    if (memory.displacement < lowest) return memory;
    near.base = cpu::R13;
    return near;
  }
  if (memory.index != kNoRegister) return memory;
  if (memory.displacement >= kFar || memory.displacement < -kFar) return memory;
  near.index = cpu::R13;
  return near;
}

/// R8D = the linear address of an operand at a fixed offset in a segment of 4 GiB, as thread-local
/// and per-processor data are: whether it fits is known now. False: it isn't one, or doesn't fit.
bool BlockEmitter::load_based_address(unsigned size) {
  const Instruction& instruction = current_->instruction;
  const MemoryOperand& operand = instruction.memory;
  const u64 offset = static_cast<u64>(operand.displacement) & 0xFFFFFFFF;
  if (segment_kind(operand.segment) != SegmentKind::Based || instruction.address_size != 4 ||
      operand.base != cpu::kNoRegister || operand.index != cpu::kNoRegister ||
      offset + size > (u64{1} << 32)) {
    return false;
  }
  const auto base = static_cast<i32>(offsetof(Context, segments) + offsetof(SegmentView, base) +
                                     sizeof(SegmentView) * static_cast<unsigned>(operand.segment));
  a_.mov(x86::r8d, x86::dword_ptr(kContext, base));
  a_.lea(x86::r8d, x86::ptr(x86::r8, static_cast<i32>(operand.displacement)));
  return true;
}

/// R8D = the operand's offset, wrapped to the address size.
void BlockEmitter::load_effective_offset() {
  const Instruction& instruction = current_->instruction;
  const MemoryOperand& operand = instruction.memory;
  i32 displacement = static_cast<i32>(operand.displacement);
  const bool has_base = operand.base != cpu::kNoRegister;
  const bool has_index = operand.index != cpu::kNoRegister;
  if (has_base && operand.base == cpu::Rsp) displacement = wrapping_sum(displacement, pending_);
  if (!has_base && !has_index) {
    const u32 mask = instruction.address_size == 2 ? 0xFFFF : 0xFFFFFFFF;
    a_.mov(x86::r8d, static_cast<u32>(displacement) & mask);
    return;
  }
  unsigned shift = 0;
  while ((1U << shift) < operand.scale) ++shift;
  Mem address;
  if (has_base && has_index) {
    address = x86::ptr(guest(operand.base), guest(operand.index), shift, displacement);
  } else if (has_base) {
    address = x86::ptr(guest(operand.base), displacement);
  } else {
    address = Mem(displacement, guest(operand.index), shift, 0);
  }
  // The sum is cut to 32 bits by the destination, so that no address-size prefix is needed.
  a_.lea(x86::r8d, address);
  if (instruction.address_size == 2) a_.movzx(x86::r8d, x86::r8w);
}

bool BlockEmitter::segment_address(SegmentName name, unsigned size) {
  const SegmentKind kind = segment_kind(name);
  if (kind == SegmentKind::Odd) return false;
  const auto view = static_cast<i32>(offsetof(Context, segments) +
                                     sizeof(SegmentView) * static_cast<unsigned>(name));
  const bool must_check = kind == SegmentKind::Limited || (kind == SegmentKind::Based && size > 1);
  if (must_check) {
    const Label slow = slow_path();
    save_flags();
    a_.lea(x86::r9, x86::ptr(x86::r8, static_cast<i32>(size) - 1));
    a_.cmp(x86::r9,
           x86::qword_ptr(kContext, view + static_cast<i32>(offsetof(SegmentView, limit))));
    a_.ja(slow);
    restore_flags();
  }
  if (kind != SegmentKind::Flat) {
    a_.mov(x86::r9, x86::qword_ptr(kContext, view + static_cast<i32>(offsetof(SegmentView, base))));
    a_.lea(x86::r8d, x86::ptr(x86::r8, x86::r9));
  }
  return true;
}

/// R10 = RAX, AX = the flags.
void BlockEmitter::save_flags() {
  a_.mov(x86::r10, x86::rax);
  a_.lahf();
  a_.seto(x86::al);
}

void BlockEmitter::restore_flags() {
  a_.add(x86::al, 0x7F);  // overflows if AL was 1
  a_.sahf();
  a_.mov(x86::rax, x86::r10);
}

/// Whoever jumps there has called save_flags().
BlockEmitter::Label BlockEmitter::slow_path() {
  if (!slow_) {
    slow_ = a_.newLabel();
    slow_pending_ = pending_;
  }
  return *slow_;
}

BlockEmitter::Mem BlockEmitter::window_memory(const HostMemory& memory, unsigned size) {
  unsigned shift = 0;
  while ((1U << shift) < memory.scale) ++shift;
  Mem operand;
  if (!memory.window) {
    operand = memory.index == kNoRegister ? x86::ptr(x86::gpq(memory.base), memory.displacement)
                                          : x86::ptr(x86::gpq(memory.base), x86::gpq(memory.index),
                                                     shift, memory.displacement);
    operand.setSize(size);
    return operand;
  }
  if (memory.base != kNoRegister && memory.index != kNoRegister) {
    operand = x86::ptr(x86::gpd(memory.base), x86::gpd(memory.index), shift, memory.displacement);
  } else if (memory.base != kNoRegister) {
    operand = x86::ptr(x86::gpd(memory.base), memory.displacement);
  } else {
    operand = Mem(memory.displacement, x86::gpd(memory.index), shift, 0);
  }
  operand.setSize(size);
  operand.setSegment(x86::gs);
  return operand;
}

BlockEmitter::Mem BlockEmitter::at_r8(unsigned size, i32 displacement) const {
  return window_memory(near_window({.base = cpu::R8, .displacement = displacement}), size);
}

/// The current instruction's memory operand for instructions that asmjit encodes.
std::optional<HostMemory> BlockEmitter::encodable_operand(unsigned size) {
  const auto memory = memory_operand(size);
  if (memory && memory->window && memory->base == kNoRegister && memory->index == kNoRegister) {
    a_.mov(x86::r8d, static_cast<u32>(memory->displacement));
    return near_window({.base = cpu::R8});
  }
  return memory;
}

/// Loads the current instruction's memory operand. False: left to the interpreter.
bool BlockEmitter::load_memory(const Gp& into, unsigned size) {
  const auto memory = encodable_operand(size);
  if (!memory) return false;
  if (size == 2) {
    a_.movzx(into.r32(), window_memory(*memory, 2));
  } else {
    a_.mov(into.r32(), window_memory(*memory, 4));
  }
  return true;
}

}  // namespace ringshift::translator
