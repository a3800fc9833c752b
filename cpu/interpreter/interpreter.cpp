#include "cpu/interpreter/interpreter.h"

namespace ringshift::cpu {

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
  statistics.instructions_interpreted = statistics.instructions;
  statistics.blocks_decoded = cache_.decoded();
  statistics.blocks_invalidated = cache_.invalidated();
  statistics.interrupts = processor_.interrupts_delivered;
  statistics.exceptions = processor_.exceptions_delivered;
  return statistics;
}

void Interpreter::code_written(PhysicalAddress address, u64 length) {
  if (length > kPageSize)
    cache_.revalidate();
  else
    cache_.written(address, length);
}

void Interpreter::translations_changed() {
  linear_page_ = kNoPage;
}

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
}

Exit Interpreter::run() {
  const State& state = processor_.state;
  processor_.host_unit().forget_host_status();
  refresh();
  for (;;) {
    // Before the events: once service_events() has let an instruction begin, it must run.
    if (until_deadline_check_ <= 0) [[unlikely]] {
      until_deadline_check_ = kDeadlineInterval;
      if (processor_.platform().deadline_due()) return Exit::Deadline;
    }
    if (processor_.attention()) [[unlikely]] {
      if (processor_.take_kick()) return Exit::Kicked;
      processor_.service_events();
      refresh();
      if (state.activity == Activity::Halted) return Exit::Halt;
      if (state.activity == Activity::Shutdown) return Exit::Shutdown;
    }
    // Traps, breakpoints and shadows: one instruction, then the events are looked at again.
    if (processor_.attention()) [[unlikely]] {
      step();
      continue;
    }
    if (Block* block = next_block()) [[likely]]
      execute(*block);
  }
}

bool Interpreter::run_one() {
  const State& state = processor_.state;
  processor_.host_unit().forget_host_status();
  refresh();
  if (processor_.attention()) {
    processor_.take_kick();
    const bool diverted = processor_.service_events();
    refresh();
    if (state.activity != Activity::Running) return false;
    if (diverted) return true;
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
  if (block->crosses_page && !crossing_holds(linear, *block)) [[unlikely]]
    return nullptr;
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
  if (Block* block = cache_.find(key)) [[likely]]
    return block;
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
    if (completion != Completion::Next) [[unlikely]]
      break;
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
        suspend_repetition();
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

/// A REP instruction goes on later: what comes between resumes it without its breakpoint. SDM 3B
/// §17.3.1.1.
void Interpreter::suspend_repetition() {
  processor_.state.rflags |= eflags::RF;
  processor_.update_attention();
  refresh();
}

/// Exactly one instruction. Processor::service_events() has seen to breakpoints and traps.
Interpreter::StepResult Interpreter::step() {
  State& state = processor_.state;
  last_block_ = nullptr;
  const u64 linear = (code_base_ + state.rip) & 0xFFFF'FFFF;
  const Block* block = look_up(linear);
  if (block == nullptr) return StepResult::Done;
  const Instruction& instruction = block->instructions[0];
  if (state.rip + instruction.length - 1 > code_limit_) {
    (void)processor_.raise(Vector::GeneralProtection, 0);
    deliver_fault();
    return StepResult::Done;
  }
  if (block->crosses_page && !crossing_holds(linear, *block)) return StepResult::Unfinished;
  const Completion completion = instruction.handler(processor_, instruction);
  --until_deadline_check_;
  switch (completion) {
    case Completion::Next:
    case Completion::EndBlock:
      state.rip = (state.rip + instruction.length) & 0xFFFF'FFFF;
      break;
    case Completion::Branch:
      break;
    case Completion::Repeat:
      suspend_repetition();
      return StepResult::Unfinished;
    case Completion::Fault:
      deliver_fault();
      return StepResult::Done;
  }
  ++instructions_;
  refresh();
  return StepResult::Done;
}

/// Whether a page-crossing block may run. If not, it has been dropped or its fault delivered.
bool Interpreter::crossing_holds(u64 linear, const Block& block) {
  const GuestResult<bool> holds = cache_.second_page_holds(linear, block);
  if (holds.faulted())
    deliver_fault();
  else if (!holds.value())
    cache_.written(block.key.address, 1);
  return !holds.faulted() && holds.value();
}

}  // namespace ringshift::cpu
