// Single instructions by the interpreter's handlers, called from generated code, and what may
// follow: on in the block, another block, the dispatcher.
#include "translator/translator.h"

namespace ringshift::translator {

namespace {

using cpu::Completion;
using cpu::ExitCause;
using cpu::State;
namespace eflags = cpu::eflags;

/// Instructions that may change modes, memory's layout or what waits, but seldom do.
bool often_harmless(cpu::TranslationPolicy policy) {
  using Policy = cpu::TranslationPolicy;
  return policy == Policy::Port || policy == Policy::FlagStack || policy == Policy::Flag ||
         policy == Policy::EmulateAndLeave;
}

}  // namespace

Onward Translator::call_out_entry(Context* context, u32 number) {
  auto* self = static_cast<Translator*>(context->owner);
  self->take_state();
  CallOut& item = self->store_.call_out(number);
  // What the interpreter executes isn't counted as native, nor is what won't be executed now.
  if (item.counted_ahead != 0) --context->instructions;
  context->exit_value = number;
  if (self->execute_call_out(item)) {
    self->give_state();
    return self->stepping_ ? self->step_on() : Onward::Stay;
  }
  self->discount(item);
  context->call_stack += sizeof(u64);  // the return into the block
  return self->go_on() ? Onward::Elsewhere : Onward::Leave;
}

/// Back into the block behind a call-out, which has ended the single steps.
Onward Translator::step_on() {
  context_.step_entry = *reinterpret_cast<const u64*>(context_.call_stack);
  context_.call_stack += sizeof(u64);
  context_.entry = stubs_.step_in;
  return Onward::Elsewhere;
}

/// The rest of a run behind a call-out won't be executed now.
void Translator::discount(const CallOut& item) {
  if (item.counted_ahead != 0) context_.instructions -= item.counted_ahead - 1;
}

/// Prepares to enter the block at CS:RIP after a call-out, if nothing else has to be done before
/// and it has been translated already.
bool Translator::go_on() {
  if (lockstep_ || processor_.attention() || !doomed_.empty() || lane_ == nullptr ||
      context_.exit_request.load(std::memory_order_relaxed) != 0) {
    return false;
  }
  lane_->call_stack = context_.call_stack;
  refresh();
  if (mode_.has(Mode::kStepwise)) return false;
  const Block* block = known_block(processor_.state.rip);
  if (block == nullptr) return false;
  activate_lane(*block);
  prepare(*block);
  return true;
}

/// Whether the processor is in the mode still that the current block was made for.
bool Translator::mode_holds() const {
  const State& state = processor_.state;
  return Mode::of(state) == mode_ && state.flag(eflags::AC) == alignment_check_;
}

void Translator::view_segments() {
  for (unsigned i = 0; i < context_.segments.size(); ++i) {
    const cpu::SegmentRegister& segment = processor_.state.segments[i];
    context_.segments[i] = {segment.base, segment.limit};
  }
}

/// A call-out for what its accesses did once: whether they still do it.
void Translator::judge_site(CallOut& item, bool needed) {
  if (needed) {
    item.needless = 0;
  } else if (++item.needless == item.patience) {
    sites_.retire(item.block->address.value + (item.eip - item.block->eip));
    doomed_.push_back(item.block);
  }
}

/// True: generated code goes on behind the instruction.
bool Translator::execute_call_out(CallOut& item) {
  State& state = processor_.state;
  state.rip = item.eip;
  if (lockstep_ && !lockstep_->at_call_out()) {
    failed_ = true;
    return false;
  }
  if (item.whole) {
    interpret_one();
    return false;
  }
  ++called_out_;
  count(ExitCause::InterpretedInstruction);
  const u64 slow = memory_.slow_accesses();
  const Completion completion = item.instruction.handler(processor_, item.instruction);
  if (item.patience != 0) judge_site(item, memory_.slow_accesses() != slow);
  switch (completion) {
    case Completion::Next:
    case Completion::EndBlock: {
      const bool stayed = state.rip == item.eip;
      state.rip = (state.rip + item.instruction.length) & 0xFFFFFFFF;
      if (often_harmless(item.instruction.policy)) {
        if (stayed && !item.leaves && mode_holds()) {
          if (item.instruction.policy == cpu::TranslationPolicy::EmulateAndLeave) view_segments();
          break;
        }
      } else if (completion == Completion::Next) {
        break;
      }
      mode_stale_ = true;
      return false;
    }
    case Completion::Branch:
      mode_stale_ = true;
      return false;
    case Completion::Repeat:
      // What comes between resumes it without its breakpoint. SDM 3B §17.3.1.1.
      state.rflags |= eflags::RF;
      processor_.update_attention();
      mode_stale_ = true;
      return false;
    case Completion::Fault:
      processor_.deliver_pending_exception();
      mode_stale_ = true;
      return false;
  }
  if (item.leaves) {
    mode_stale_ = true;
    return false;
  }
  return !item.block->dead && doomed_.empty() && !processor_.attention() && !space_stale_ &&
         !calls_stale_ && lane_->deaths_seen == store_.deaths() &&
         context_.exit_request.load(std::memory_order_relaxed) == 0;
}

}  // namespace ringshift::translator
