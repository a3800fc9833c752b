// Near branches. A direct one is a jump that the dispatcher links to the block it leads to; an
// indirect one finds its block in the lane's branch table.
// Calls and returns use the host's own, so that the host predicts returns: what comes back is
// checked where it lands.
#include "cpu/decoder.h"
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;
using cpu::Instruction;
using cpu::OperandKind;

namespace {

/// The reg field of FFh's ModRM.
unsigned group_of(const Instruction& instruction) {
  for (unsigned i = 0; i + 1 < instruction.length; ++i) {
    if (instruction.bytes[i] == 0xFF) return instruction.bytes[i + 1] >> 3 & 7;
  }
  return 0;
}

constexpr unsigned kIndirectCall = 2;

}  // namespace

/// The block there can't but lie on this block's page, all of it.
bool BlockEmitter::on_this_page(u32 eip) const {
  const i64 offset = static_cast<i64>(block_->address.page_offset()) + eip - block_->eip;
  return offset >= 0 && offset <= static_cast<i64>(kPageSize - cpu::kLongestInstruction);
}

bool BlockEmitter::target_in_segment(u32 target) const {
  return mode_.code_limit() == CodeLimit::None || target <= 0xFFFF;
}

void BlockEmitter::emit_branch() {
  const Instruction& instruction = current_->instruction;
  const bool direct = instruction.operands[0].kind == OperandKind::RelativeBranch;
  const bool wide = instruction.operand_size == 4;
  const u32 target =
      static_cast<u32>(next_eip() + instruction.immediate) & (wide ? 0xFFFFFFFF : 0xFFFF);
  const bool fits =
      direct ? target_in_segment(target) : !wide || mode_.code_limit() == CodeLimit::None;
  const u8 opcode = instruction.opcode;
  const bool call = opcode == 0xE8 || (opcode == 0xFF && group_of(instruction) == kIndirectCall);
  const bool can_push = !call || segment_kind(cpu::SegmentName::SS) != SegmentKind::Odd;
  if (mode_.code_limit() == CodeLimit::Strict || !fits || !can_push) {
    call_out(true);
    reachable_ = false;
    return;
  }
  if (!direct) {
    if (opcode == 0xFF) {
      emit_indirect(call);
    } else {
      emit_return();
    }
  } else if (opcode == 0xE8) {
    emit_call(target);
  } else if (opcode == 0xE9 || opcode == 0xEB) {
    emit_jump(target);
    reachable_ = false;
  } else if (opcode >= 0xE0 && opcode <= 0xE3) {
    emit_counted(opcode);
  } else {
    emit_conditional(opcode & 15);
  }
}

void BlockEmitter::emit_jump(u32 target) {
  flush_pending();
  if (const auto internal = internal_target(target); internal && is_target_[*internal]) {
    a_.jmp(labels_[*internal]);
    return;
  }
  a_.jmp(exit_label(target));
  note_exit_jump();
}

void BlockEmitter::emit_conditional(unsigned condition) {
  flush_pending();
  const Instruction& instruction = current_->instruction;
  const u32 target = static_cast<u32>(next_eip() + instruction.immediate) &
                     (instruction.operand_size == 4 ? 0xFFFFFFFF : 0xFFFF);
  const auto jump = [&](const Label& label) {
    using Id = x86::Inst::Id;
    static constexpr Id kJumps[16] = {
        x86::Inst::kIdJo, x86::Inst::kIdJno, x86::Inst::kIdJb,  x86::Inst::kIdJnb,
        x86::Inst::kIdJz, x86::Inst::kIdJnz, x86::Inst::kIdJbe, x86::Inst::kIdJnbe,
        x86::Inst::kIdJs, x86::Inst::kIdJns, x86::Inst::kIdJp,  x86::Inst::kIdJnp,
        x86::Inst::kIdJl, x86::Inst::kIdJnl, x86::Inst::kIdJle, x86::Inst::kIdJnle};
    a_.emit(kJumps[condition], label);
  };
  if (const auto internal = internal_target(target); internal && is_target_[*internal]) {
    jump(labels_[*internal]);
    return;
  }
  jump(exit_label(target));
  note_exit_jump();
}

/// LOOPNE, LOOPE, LOOP, JCXZ: the host's own forms reach 127 bytes only.
void BlockEmitter::emit_counted(u8 opcode) {
  flush_pending();
  const Instruction& instruction = current_->instruction;
  const u32 target = static_cast<u32>(next_eip() + instruction.immediate) &
                     (instruction.operand_size == 4 ? 0xFFFFFFFF : 0xFFFF);
  const Label taken = a_.newLabel(), zero = a_.newLabel(), over = a_.newLabel();
  constexpr u8 kLoopne = 0xE0, kLoope = 0xE1, kLoop = 0xE2;
  const bool loop = opcode <= kLoop;
  if (instruction.address_size == 4) {
    if (loop) a_.lea(x86::ecx, x86::ptr(x86::rcx, -1));
    a_.jecxz(x86::ecx, zero);
  } else {
    if (loop) {
      a_.lea(x86::r8d, x86::ptr(x86::rcx, -1));
      a_.mov(x86::cx, x86::r8w);
    }
    const Label none = a_.newLabel(), some = a_.newLabel();
    a_.mov(x86::r9, x86::rcx);
    a_.movzx(x86::ecx, x86::cx);
    a_.jecxz(x86::ecx, none);
    a_.mov(x86::rcx, x86::r9);
    a_.short_().jmp(some);
    a_.bind(none);
    a_.mov(x86::rcx, x86::r9);
    a_.short_().jmp(zero);
    a_.bind(some);
  }
  // Not zero.
  if (opcode == kLoopne) a_.short_().je(over);
  if (opcode == kLoope) a_.short_().jne(over);
  a_.short_().jmp(loop ? taken : over);
  a_.bind(zero);
  if (loop) a_.short_().jmp(over);
  a_.bind(taken);
  emit_jump(target);
  a_.bind(over);
}

void BlockEmitter::emit_call(u32 target) {
  const unsigned size = current_->instruction.operand_size;
  const u32 back = next_eip();
  push_immediate(back, size);
  flush_pending();
  if (target == back) return;  // just reads its own address
  if (!options_.on(Optimisation::PairedReturns) || slow_) {
    emit_jump(target);
    reachable_ = false;
    return;
  }
  a_.call(exit_label(target));
  note_exit_jump();
  landing(back);
}

void BlockEmitter::emit_indirect(bool call) {
  const Instruction& instruction = current_->instruction;
  const unsigned size = instruction.operand_size;
  const cpu::Operand& operand = instruction.operands[0];
  // A push on a stack that isn't flat needs R8.
  const Gp target = call && !flat_stack() ? x86::r11 : x86::r8;
  if (operand.kind == OperandKind::Memory) {
    if (!load_memory(target, size)) {
      call_out(true);
      reachable_ = false;
      return;
    }
  } else if (operand.reg == cpu::Rsp) {
    a_.lea(target.r32(), x86::ptr(x86::r15, pending_));
    if (size == 2) a_.movzx(target.r32(), target.r16());
  } else if (size == 2) {
    a_.movzx(target.r32(), guest(operand.reg).r16());
  } else {
    a_.mov(target.r32(), guest(operand.reg).r32());
  }
  if (call) push_immediate(next_eip(), size);
  flush_pending();
  if (target != x86::r8) a_.mov(x86::r8d, target.r32());
  const bool paired = call && options_.on(Optimisation::PairedReturns) && !slow_;
  table_jump(paired);
  if (paired) {
    landing(next_eip());
  } else {
    reachable_ = false;
  }
}

void BlockEmitter::emit_return() {
  const Instruction& instruction = current_->instruction;
  const unsigned size = instruction.operand_size;
  const i32 release =
      static_cast<i32>(size + (instruction.opcode == 0xC2 ? instruction.immediate & 0xFFFF : 0));
  Mem slot;
  if (!stack_slot(0, size, slot)) {
    call_out(true);
    reachable_ = false;
    return;
  }
  const Gp target = flat_stack() ? x86::r8d : x86::r11d;
  if (size == 2) {
    a_.movzx(target, slot);
  } else {
    a_.mov(target, slot);
  }
  pending_ += flat_stack() ? release : 0;
  if (!flat_stack()) move_stack(release);
  flush_pending();
  if (target != x86::r8d) a_.mov(x86::r8d, target);
  if (options_.on(Optimisation::PairedReturns)) {
    a_.ret();
  } else {
    table_jump(false);
  }
  reachable_ = false;
}

/// To the block of the EIP in R8D.
void BlockEmitter::table_jump(bool call) {
  if (!options_.on(Optimisation::BranchTable)) {
    if (call) {
      a_.call(reinterpret_cast<u64>(stubs_.miss));
    } else {
      a_.jmp(reinterpret_cast<u64>(stubs_.miss));
    }
    return;
  }
  a_.mov(x86::r10, CONTEXT_FIELD(branch_table));
  a_.mov(x86::r9d, x86::dword_ptr(x86::r10, x86::r8, 2));
  a_.lea(x86::r9, x86::ptr(x86::r9, kCodeBase));
  if (call) {
    a_.call(x86::r9);
  } else {
    a_.jmp(x86::r9);
  }
}

/// Where a host return comes out: the guest's return may have meant another place, in R8D.
void BlockEmitter::landing(u32 eip) {
  if (const auto end = flags_dead_until(index_ + 1)) {
    a_.cmp(x86::r8d, static_cast<i32>(eip));
    a_.jne(reinterpret_cast<u64>(stubs_.look_up));
    flags_lost_until_ = *end;
    fpu_known_ = 0;
    return;
  }
  const Label right = a_.newLabel();
  a_.mov(x86::r9, x86::rcx);
  a_.lea(x86::ecx, x86::ptr(x86::r8, static_cast<i32>(0U - eip)));
  a_.jecxz(x86::ecx, right);
  a_.mov(x86::rcx, x86::r9);
  a_.jmp(reinterpret_cast<u64>(stubs_.look_up));
  a_.bind(right);
  a_.mov(x86::rcx, x86::r9);
  fpu_known_ = 0;
}

BlockEmitter::Label BlockEmitter::exit_label(u32 eip) {
  PendingExit exit;
  exit.stub = a_.newLabel();
  exit.target = eip;
  exit.other_page = !on_this_page(eip);
  exits_.push_back(exit);
  return exit.stub;
}

/// The jump to the label just asked for has been emitted.
void BlockEmitter::note_exit_jump() {
  exits_.back().jump_end = a_.offset();
}

/// The stubs that direct branches lead to until they are linked, and for targets on pages that may
/// be mapped elsewhere in another address space the way through the branch table.
void BlockEmitter::finish_sites() {
  const u8* base = reinterpret_cast<const u8*>(holder_.baseAddress());
  for (PendingExit& exit : exits_) {
    ExitSite site;
    site.from = block_;
    site.target = exit.target;
    site.other_page = exit.other_page;
    site.jump_end = base + exit.jump_end;
    site.unlinked = base + a_.offset();
    const u32 number = sink_.add_exit(site);
    block_->exits.push_back(number);
    a_.bind(exit.stub);
    a_.mov(x86::r11d, number);
    a_.jmp(reinterpret_cast<u64>(stubs_.leave_link));
    if (!exit.other_page || !options_.on(Optimisation::BranchTable)) continue;
    sink_.exit(number).by_table = base + a_.offset();
    a_.mov(x86::r8d, exit.target);
    a_.mov(x86::r10, CONTEXT_FIELD(branch_table));
    a_.mov(x86::r9d, x86::dword_ptr(x86::r10, x86::r8, 2));
    a_.lea(x86::r9, x86::ptr(x86::r9, kCodeBase));
    a_.jmp(x86::r9);
  }
}

}  // namespace ringshift::translator
