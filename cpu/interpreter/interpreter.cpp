#include "cpu/interpreter/interpreter.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kSingleStepTrap = u64{1} << 14;  // DR6.BS. SDM 3B §17.2.3

/// INT n, INT3, INTO and INT1 clear TF on their way: no single-step trap follows them. SDM 3B
/// §17.3.1.4.
bool is_software_interrupt(const Instruction& instruction) {
  return instruction.control_flow == ControlFlow::Far &&
         (instruction.opcode == 0xCC || instruction.opcode == 0xCD || instruction.opcode == 0xCE ||
          instruction.opcode == 0xF1);
}

}  // namespace

Interpreter::Interpreter(Processor& processor)
    : processor_(processor), decoder_(processor.model()), cache_(processor, decoder_) {
  processor_.set_code_cache(this);
}

Interpreter::~Interpreter() {
  processor_.set_code_cache(nullptr);
  cache_.clear();
}

EngineStatistics Interpreter::statistics() const {
  EngineStatistics statistics;
  statistics.instructions = instructions_ + processor_.string_iterations;
  statistics.blocks_decoded = cache_.decoded();
  statistics.blocks_invalidated = cache_.invalidated();
  statistics.interrupts = processor_.interrupts_delivered;
  statistics.exceptions = processor_.exceptions_delivered;
  return statistics;
}

void Interpreter::code_written(PhysicalAddress address, u64 length) {
  if (length > kPageSize) cache_.clear();
  else cache_.written(address, length);
}

void Interpreter::translations_changed() { linear_page_ = kNoPage; }

/// Called after everything that may change more than RIP and data: far transfers, system
/// instructions, events, port accesses.
void Interpreter::refresh() {
  const State& state = processor_.state;
  const SegmentRegister& cs = state.segment(SegmentName::CS);
  mode_ = processor_.decode_mode();
  code_base_ = cs.base;
  code_limit_ = cs.limit;
  linear_page_ = kNoPage;
  last_block_ = nullptr;
  const bool breakpoints = (state.dr[7] & 0xFF) != 0;
  pace_ = breakpoints || state.flag(eflags::TF | eflags::RF) ? Pace::Single : Pace::Blocks;
  // Pages with data breakpoints have no fast path (see Processor::fill_tlb).
  const u64 enables = breakpoints ? state.dr[7] : 0;
  if (breakpoints || watched_debug_[4] != 0) {
    const std::array<u64, 5> now{state.dr[0], state.dr[1], state.dr[2], state.dr[3], enables};
    if (now != watched_debug_) {
      watched_debug_ = now;
      processor_.flush_tlb(true);
    }
  }
}

/// Events between instructions. False if there is nothing to run afterwards.
bool Interpreter::serve_attention() {
  State& state = processor_.state;
  const bool shadowed = state.sti_shadow || state.mov_ss_shadow;
  const bool diverted = processor_.service_events();
  refresh();
  if (shadowed) {
    // Exactly one instruction runs in the shadow of STI or MOV SS. SDM 3A §6.8.1, §6.8.3.
    state.sti_shadow = false;
    state.mov_ss_shadow = false;
    processor_.update_attention();
    if (!diverted && state.activity == Activity::Running) step();
  }
  return state.activity == Activity::Running;
}

Exit Interpreter::run() {
  refresh();
  for (;;) {
    if (processor_.attention()) [[unlikely]] {
      if (processor_.take_kick()) return Exit::Kicked;
      if (!serve_attention()) {
        return processor_.state.activity == Activity::Halted ? Exit::Halt : Exit::Shutdown;
      }
    }
    if (until_deadline_check_ <= 0) [[unlikely]] {
      until_deadline_check_ = kDeadlineInterval;
      if (processor_.platform().deadline_due()) return Exit::Deadline;
    }
    if (pace_ == Pace::Single) [[unlikely]] {
      step();
      continue;
    }
    if (Block* block = next_block()) [[likely]] execute(*block);
  }
}

bool Interpreter::run_one() {
  State& state = processor_.state;
  refresh();
  if (processor_.attention()) {
    const u64 before = state.rip;
    const u64 retired = instructions_;
    processor_.take_kick();
    if (!serve_attention()) return false;
    if (instructions_ != retired || state.rip != before) return true;
  }
  while (step() == StepResult::Unfinished && !processor_.attention()) {
  }
  return true;
}

/// The block at CS:RIP, or null after delivering the fault that fetching it raised.
Block* Interpreter::next_block() {
  const u64 rip = processor_.state.rip;
  const u64 linear = (code_base_ + rip) & 0xFFFF'FFFF;
  Block* block = nullptr;
  if ((linear & ~kPageMask) == linear_page_) [[likely]] {
    const u32 offset = static_cast<u32>(linear & kPageMask);
    if (last_block_ != nullptr) {
      for (Block::Successor& successor : last_block_->successors) {
        if (successor.page_offset == offset) {
          block = successor.block;
          break;
        }
      }
    }
    if (block == nullptr || block->dead) [[unlikely]] {
      Block* const from = last_block_;
      block = look_up(linear);
      if (block == nullptr) return nullptr;
      // A rebuilt cache has no `from` any more; look_up() says so by forgetting last_block_.
      if (from != nullptr && last_block_ == from && !block->dead) {
        const bool same = from->successors[0].page_offset == offset;
        if (!same) from->successors[1] = from->successors[0];
        from->successors[0] = {offset, block};
      }
    }
  } else {
    block = look_up(linear);
    if (block == nullptr) return nullptr;
  }
  if (rip + block->bytes - 1 > code_limit_) [[unlikely]] {
    step();  // instruction by instruction up to the limit
    return nullptr;
  }
  if (block->crosses_page) [[unlikely]] {
    const GuestResult<bool> holds = cache_.second_page_holds(linear, *block);
    if (holds.faulted()) {
      deliver_fault();
      return nullptr;
    }
    if (!holds.value()) {
      cache_.written(block->key.address, 1);
      return nullptr;
    }
  }
  last_block_ = block;
  return block;
}

/// Finds or decodes the block at `linear`. Null: a fault has been delivered.
Block* Interpreter::look_up(u64 linear) {
  if (processor_.state.rip > code_limit_) [[unlikely]] {
    (void)processor_.raise(Vector::GeneralProtection, 0);
    deliver_fault();
    return nullptr;
  }
  if ((linear & ~kPageMask) != linear_page_) {
    const GuestResult<PhysicalAddress> address = MemoryAccess::translate_code(processor_, linear);
    if (address.faulted()) [[unlikely]] {
      deliver_fault();
      return nullptr;
    }
    linear_page_ = linear & ~kPageMask;
    physical_page_ = address.value().page();
  }
  const BlockKey key{physical_page_ + (linear & kPageMask), mode_};
  if (Block* block = cache_.find(key)) [[likely]] return block;
  last_block_ = nullptr;  // building may recycle the cache
  const GuestResult<Block*> built = cache_.build(linear, key);
  if (built.faulted()) {
    deliver_fault();
    return nullptr;
  }
  return built.value();
}

/// Runs a block until it ends or an instruction leaves it. RIP is exact at each handler.
void Interpreter::execute(Block& block) {
  State& state = processor_.state;
  const Instruction* const first = block.instructions;
  const Instruction* const end = first + block.count;
  const Instruction* instruction = first;
  Completion completion;
  do {
    completion = instruction->handler(processor_, *instruction);
    if (completion != Completion::Next) [[unlikely]] break;
    state.rip += instruction->length;
    ++instruction;
  } while (instruction != end);

  const i64 completed = instruction - first;
  instructions_ += static_cast<u64>(completed);
  until_deadline_check_ -= completed;
  switch (completion) {
    case Completion::Next:
      state.rip &= 0xFFFF'FFFF;
      return;
    case Completion::Branch:
      ++instructions_;
      --until_deadline_check_;
      if (instruction->control_flow == ControlFlow::Conditional ||
          instruction->control_flow == ControlFlow::Near) {
        return;
      }
      refresh();
      return;
    case Completion::EndBlock:
      ++instructions_;
      --until_deadline_check_;
      state.rip = (state.rip + instruction->length) & 0xFFFF'FFFF;
      refresh();
      return;
    case Completion::Repeat:
      if (instruction->handler != &BlockCache::leave_dead_block) {
        until_deadline_check_ = 0;
        state.rflags |= eflags::RF;  // what interrupts it resumes without its breakpoint
        refresh();
      }
      last_block_ = nullptr;
      return;
    case Completion::Fault:
      deliver_fault();
      return;
  }
}

void Interpreter::deliver_fault() {
  processor_.deliver_pending_exception();
  --until_deadline_check_;
  refresh();
}

/// One instruction, with everything that may surround it: breakpoint, resume flag, trap flag, limit.
Interpreter::StepResult Interpreter::step() {
  State& state = processor_.state;
  last_block_ = nullptr;
  const u64 linear = (code_base_ + state.rip) & 0xFFFF'FFFF;
  if (const u64 hits = (state.dr[7] & 0xFF) != 0 ? processor_.instruction_breakpoints(linear) : 0) {
    (void)processor_.raise_debug(hits);
    deliver_fault();
    return StepResult::Done;
  }
  Block* block = look_up(linear);
  if (block == nullptr) return StepResult::Done;
  const Instruction& instruction = block->instructions[0];
  if (state.rip + instruction.length - 1 > code_limit_) {
    (void)processor_.raise(Vector::GeneralProtection, 0);
    deliver_fault();
    return StepResult::Done;
  }
  if (block->crosses_page) {
    const GuestResult<bool> holds = cache_.second_page_holds(linear, *block);
    if (holds.faulted()) {
      deliver_fault();
      return StepResult::Done;
    }
    if (!holds.value()) {
      cache_.written(block->key.address, 1);
      return StepResult::Unfinished;
    }
  }
  const bool trap_flag = state.flag(eflags::TF);
  const bool resume_flag = state.flag(eflags::RF);
  // RF lasts until the instruction has completed; one that loads the flags may set it anew.
  state.rflags &= ~eflags::RF;
  const Completion completion = instruction.handler(processor_, instruction);
  if (completion == Completion::Fault) {
    if (resume_flag) state.rflags |= eflags::RF;
    deliver_fault();
    return StepResult::Done;
  }
  return finish_step(instruction, completion, trap_flag);
}

Interpreter::StepResult Interpreter::finish_step(const Instruction& instruction,
                                                 Completion completion, bool trap_flag) {
  State& state = processor_.state;
  const bool left_dead_block = completion == Completion::Repeat &&
                               instruction.handler == &BlockCache::leave_dead_block;
  if (completion == Completion::Next || completion == Completion::EndBlock) {
    state.rip = (state.rip + instruction.length) & 0xFFFF'FFFF;
  } else if (completion == Completion::Repeat && !left_dead_block) {
    state.rflags |= eflags::RF;
  }
  --until_deadline_check_;
  if (completion != Completion::Repeat) ++instructions_;
  const bool trapped = trap_flag && !left_dead_block &&
                       !(completion == Completion::Branch && is_software_interrupt(instruction));
  if (trapped) {
    state.pending_debug |= kSingleStepTrap;
    processor_.update_attention();
  }
  refresh();
  return completion == Completion::Repeat ? StepResult::Unfinished : StepResult::Done;
}

}  // namespace ringshift::cpu
