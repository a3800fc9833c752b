// x87 data operations: the host unit executes them; what it can't know, the guest's pointers to the
// last instruction and operand, is kept here.
#include "cpu/encoding.h"
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {
namespace {

/// What the thunks overwrite with the host's.
struct Pointers {
  u16 opcode;
  u32 data_offset;
};

Pointers load_pointers(const ExtendedState& state) {
  return {image::load<u16>(state, image::kOpcode), image::load<u32>(state, image::kDataOffset)};
}

enum class Incurred : u8 { Nothing, UnmaskedException };

/// Every instruction but the control instructions leaves its address behind, opcode and operand
/// change with those that incur an unmasked exception, and there are no selectors: the model says
/// Feature::FdpExceptionsOnly and NoFpuSelectors. SDM 1 §8.1.8, §8.1.9.
void track_pointers(Processor& processor, const Instruction& instruction, const Thunk& thunk,
                    u64 offset, Pointers pointers, Incurred incurred) {
  ExtendedState& extended = processor.state.extended;
  if (incurred == Incurred::UnmaskedException) {
    const Encoding encoding = parse_encoding(instruction);
    pointers.opcode = static_cast<u16>((encoding.opcode & 7U) << 8 | encoding.modrm);
    if (thunk.memory != Thunk::Access::None) pointers.data_offset = static_cast<u32>(offset);
  }
  image::store<u16>(extended, image::kOpcode, pointers.opcode);
  image::store<u64>(extended, image::kInstructionOffset, static_cast<u32>(processor.state.rip));
  image::store<u64>(extended, image::kDataOffset, pointers.data_offset);
}

/// An unmasked invalid operation, overflow or underflow leaves the destination in memory alone; an
/// unmasked precision exception doesn't. SDM 1 §8.5.
bool result_is_stored(const ExtendedState& state) {
  constexpr u16 kWithoutResult = image::kInvalid | image::kOverflow | image::kUnderflow;
  return (image::unmasked_flags(state) & kWithoutResult) == 0;
}

/// With IGNNE# asserted instructions run in spite of pending exceptions. The host would trap on
/// them, so they are set aside meanwhile.
class PendingAside {
 public:
  explicit PendingAside(ExtendedState& state) : state_(state) {
    if (image::exception_pending(state)) [[unlikely]] {
      flags_ = image::unmasked_flags(state);
      image::set_status(state, static_cast<u16>(image::status(state) & ~flags_));
    }
  }
  ~PendingAside() {
    if (flags_ != 0) [[unlikely]] {
      image::set_status(state_, static_cast<u16>(image::status(state_) | flags_));
    }
  }
  PendingAside(const PendingAside&) = delete;
  PendingAside& operator=(const PendingAside&) = delete;

 private:
  ExtendedState& state_;
  u16 flags_ = 0;
};

/// FBSTP writes its eight and two bytes one after the other; all other results go out whole.
GuestResult<void> store_result(Processor& processor, const Instruction& instruction,
                               const Thunk& thunk, u64 offset) {
  constexpr u8 kBcdOpcode = 0xDF;
  const SegmentName segment = instruction.memory.segment;
  const u8* from = processor.host_unit().frame().operand.data();
  if (instruction.opcode != kBcdOpcode || thunk.memory_size != 10) {
    return processor.write_bytes(segment, offset, from, thunk.memory_size);
  }
  GUEST_TRY(processor.write_bytes(segment, offset, from, 8));
  return processor.write_bytes(segment, offset + 8, from + 8, 2);
}

/// One run on its way: the operand is read, nothing has changed yet.
struct Run {
  Processor& processor;
  const Instruction& instruction;
  const Thunk& thunk;
  u64 offset;
  Incurred incurred = Incurred::Nothing;

  HostUnit& unit() const { return processor.host_unit(); }
  ExtendedState& extended() const { return processor.state.extended; }
  GuestResult<void> write_result() const {
    return store_result(processor, instruction, thunk, offset);
  }
};

Completion run_light(const Run& run) {
  run.unit().run_x87_light(run.thunk, run.extended());
  if (run.thunk.memory == Thunk::Access::Write) TRY_OR_FAULT(run.write_result());
  run.unit().commit_x87_light(run.thunk, run.extended());
  return Completion::Next;
}

Completion run_whole(Run& run) {
  ExtendedState& extended = run.extended();
  const image::X87Copy before = image::copy_x87(extended);
  bool stored = false;
  {
    const PendingAside aside(extended);
    run.unit().run_x87(run.thunk, extended);
    if (image::exception_pending(extended)) run.incurred = Incurred::UnmaskedException;
    stored = run.thunk.memory == Thunk::Access::Write && result_is_stored(extended);
  }
  if (stored && run.write_result().faulted()) {
    image::restore_x87(extended, before);
    return Completion::Fault;
  }
  return Completion::Next;
}

Completion execute_x87(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::Waiting));
  HostUnit& unit = processor.host_unit();
  const Thunk& thunk = unit.x87_thunk(instruction);
  if (thunk.entry == nullptr) return complete(processor.raise(Vector::InvalidOpcode));
  ExtendedState& extended = processor.state.extended;
  Thunk::Frame& frame = unit.frame();
  u64 offset = 0;
  if (thunk.memory != Thunk::Access::None) {
    offset = processor.effective_offset(instruction);
    if (thunk.memory == Thunk::Access::Read) {
      TRY_OR_FAULT(processor.read_bytes(instruction.memory.segment, offset, frame.operand.data(),
                                        thunk.memory_size));
    }
  }
  u64& rflags = processor.state.rflags;
  frame.flags = (rflags & eflags::Arithmetic) | eflags::Fixed;
  const Pointers pointers = load_pointers(extended);
  Run run{processor, instruction, thunk, offset};
  HANDLER_REQUIRE(HostUnit::x87_light_applies(thunk, extended) ? run_light(run) : run_whole(run));
  if (thunk.x87_flags_out) {
    rflags = (rflags & ~eflags::Arithmetic) | (frame.flags & eflags::Arithmetic);
  }
  track_pointers(processor, instruction, thunk, offset, pointers, run.incurred);
  return Completion::Next;
}

/// FWAIT: #NM only if CR0.MP and TS are both set. SDM 3A §2.5, table 2-2.
Completion execute_fwait(Processor& processor, const Instruction&) {
  constexpr u64 kBoth = cr0::MP | cr0::TS;
  if ((processor.state.cr0 & kBoth) == kBoth) {
    return complete(processor.raise(Vector::DeviceNotAvailable));
  }
  return check_pending_x87(processor);
}

/// FENI, FDISI, FSETPM: instructions of older coprocessors, without effect since. SDM 3B §22.18.9.
Completion execute_obsolete(Processor& processor, const Instruction&) {
  return check_x87(processor, X87Wait::NonWaiting);
}

}  // namespace

Handler bind_x87(const Instruction&) {
  return execute_x87;
}
Handler bind_fwait(const Instruction&) {
  return execute_fwait;
}
Handler bind_x87_obsolete(const Instruction&) {
  return execute_obsolete;
}

}  // namespace ringshift::cpu
