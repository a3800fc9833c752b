#include "translator/lockstep.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cpu/decoder.h"
#include "cpu/host_unit/x87_image.h"

namespace ringshift::translator {

namespace {

using cpu::Completion;
using cpu::State;
using cpu::TranslationPolicy;
namespace eflags = cpu::eflags;
namespace image = cpu::image;

/// Iterations of a string instruction that are tried. A longer one ends the trial, or a copy of
/// megabytes, which the translated code may do in many steps, would be tried as a whole each time.
constexpr u64 kMostIterations = 32768;

bool is_fpu(TranslationPolicy policy) {
  switch (policy) {
    case TranslationPolicy::X87:
    case TranslationPolicy::Mmx:
    case TranslationPolicy::Simd:
    case TranslationPolicy::SimdMmx:
    case TranslationPolicy::Avx:
      return true;
    default:
      return false;
  }
}

bool uses_mmx(const cpu::Instruction& instruction) {
  return instruction.policy == TranslationPolicy::Mmx ||
         instruction.policy == TranslationPolicy::SimdMmx;
}

/// Whether it raises what an earlier x87 instruction has left pending. SDM 1 §8.6, §11.5.3.
bool takes_pending_exception(const cpu::Instruction& instruction) {
  const TranslationPolicy policy = instruction.policy;
  if (policy != TranslationPolicy::X87 && !uses_mmx(instruction)) return false;
  const std::string_view name = cpu::mnemonic_name(instruction.mnemonic);
  return !name.starts_with("fn") || name == "fnop";
}

bool is_repeated_string(const cpu::Instruction& instruction) {
  return instruction.policy == TranslationPolicy::String &&
         instruction.repeat != cpu::RepeatPrefix::None;
}

template <typename T>
u64 load_as(const u8* host) {
  T value;
  std::memcpy(&value, host, sizeof value);
  return value;
}

/// Most have one of four sizes, which are quicker known than not.
u64 load(const u8* host, u32 size) {
  switch (size) {
    case 1:
      return load_as<u8>(host);
    case 2:
      return load_as<u16>(host);
    case 4:
      return load_as<u32>(host);
    case 8:
      return load_as<u64>(host);
    default:
      break;
  }
  u64 value = 0;
  std::memcpy(&value, host, size);
  return value;
}

void store(u8* host, u64 value, u32 size) {
  switch (size) {
    case 1:
      std::memcpy(host, &value, 1);
      break;
    case 2:
      std::memcpy(host, &value, 2);
      break;
    case 4:
      std::memcpy(host, &value, 4);
      break;
    case 8:
      std::memcpy(host, &value, 8);
      break;
    default:
      std::memcpy(host, &value, size);
      break;
  }
}

constexpr u64 mask_of(u32 size) {
  return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
}

}  // namespace

Lockstep::Lockstep(cpu::Processor& processor, mmu::MemoryMap& map, mmu::ProcessorMemory& memory)
    : processor_(processor), map_(map), memory_(memory) {
  memory_.set_journal(this);
}

Lockstep::~Lockstep() {
  memory_.set_journal(nullptr);
}

bool Lockstep::on_trial(const SourceInstruction& source) {
  constexpr u8 kXlat = 0xD7;
  if (!source.decoded) return false;
  switch (source.instruction.policy) {
    case TranslationPolicy::Copy:
    case TranslationPolicy::X87:
    case TranslationPolicy::Mmx:
    case TranslationPolicy::Simd:
    case TranslationPolicy::SimdMmx:
    case TranslationPolicy::Avx:
    case TranslationPolicy::Stack:
    case TranslationPolicy::Branch:
    case TranslationPolicy::String:
    case TranslationPolicy::Flag:
    case TranslationPolicy::FlagStack:
      return true;
    case TranslationPolicy::Inline:  // else the time stamp, which is never the same twice
      return source.instruction.opcode == kXlat;
    case TranslationPolicy::Emulate:
    case TranslationPolicy::EmulateAndLeave:
    case TranslationPolicy::Port:
      return false;
  }
  return false;
}

void Lockstep::remember(const Block& block, std::span<const SourceInstruction> source) {
  Source& item = sources_[&block];
  item.block = &block;
  item.instructions.assign(source.begin(), source.end());
  item.uses_fpu = false;
  item.changes_flags = false;
  for (const SourceInstruction& one : source) {
    const TranslationPolicy policy = one.instruction.policy;
    item.uses_fpu |= is_fpu(policy);
    item.changes_flags |=
        policy == TranslationPolicy::Flag || policy == TranslationPolicy::FlagStack;
  }
}

// --- The trial ---

/// On trial, writes go to memory behind the map's back: nobody need hear of what is taken back.
bool Lockstep::on_write(PhysicalAddress address, u64 value, unsigned size) {
  if (!trying_) return true;
  if (denied_) return false;
  const cpu::HostPage page = map_.host_page(address.page());
  u8* host = page.write;
  if (host == nullptr) {  // not memory, or watched
    const auto backing = map_.backing(address.page());
    denied_ = !backing || !backing->writable;
    if (denied_) return false;
    host = const_cast<u8*>(page.read);
  }
  host += address.page_offset();
  writes_.push_back({host, load(host, size), 0, 0, address, size});
  store(host, value, size);
  return false;
}

bool Lockstep::on_device_read(PhysicalAddress, unsigned) {
  if (!trying_) return true;
  denied_ = true;
  return false;
}

void Lockstep::note_end() {
  for (Write& write : writes_) write.at_end = load(write.host, write.size);
}

/// Of a part of the trial repeated: its writes are the first of all.
void Lockstep::keep_ends() {
  const std::size_t count = std::min(writes_.size(), all_writes_.size());
  for (std::size_t i = 0; i < count; ++i) writes_[i].at_end = all_writes_[i].at_end;
}

void Lockstep::expect_writes() {
  for (Write& write : writes_) write.expected = load(write.host, write.size);
}

void Lockstep::undo(std::span<const Write> writes) {
  for (std::size_t i = writes.size(); i-- > 0;) {
    store(writes[i].host, writes[i].before, writes[i].size);
  }
}

void Lockstep::take(Snapshot& snapshot) const {
  const State& state = processor_.state;
  std::copy_n(state.gpr.begin(), snapshot.gpr.size(), snapshot.gpr.begin());
  snapshot.rip = state.rip;
  snapshot.rflags = state.rflags;
  if (source_->uses_fpu) snapshot.extended = state.extended;
}

void Lockstep::restore(const Snapshot& snapshot) {
  State& state = processor_.state;
  std::copy(snapshot.gpr.begin(), snapshot.gpr.end(), state.gpr.begin());
  state.rip = snapshot.rip;
  state.rflags = snapshot.rflags;
  if (source_->uses_fpu) state.extended = snapshot.extended;
}

/// Executes up to `most` of the block's instructions and counts them in executed_.
void Lockstep::try_instructions(std::size_t most) {
  // What a trial before this one found in page tables that the block itself writes isn't there yet.
  if (!writes_.empty()) cpu::MemoryAccess::forget_translations(processor_);
  writes_.clear();
  executed_ = 0;
  outcome_ = Outcome::Completed;
  const std::vector<SourceInstruction>& source = source_->instructions;
  bool goes_on = true;
  while (goes_on && executed_ < most && processor_.state.rip == source[executed_].eip) {
    if (keeps_states_) keep_state();
    goes_on = step(source[executed_]);
  }
}

void Lockstep::keep_state() {
  const State& state = processor_.state;
  Recovered& kept = states_.emplace_back();
  std::copy_n(state.gpr.begin(), kept.gpr.size(), kept.gpr.begin());
  kept.rip = state.rip;
  kept.arithmetic_flags = state.rflags & eflags::Arithmetic;
}

bool Lockstep::first_time() {
  return source_ != nullptr && !std::exchange(source_->executed, true);
}

/// False: the trial ends here.
bool Lockstep::step(const SourceInstruction& source) {
  State& state = processor_.state;
  const cpu::Instruction& instruction = source.instruction;
  if ((state.cr0 & cpu::cr0::NE) == 0 && image::exception_pending(state.extended) &&
      takes_pending_exception(instruction)) {
    outcome_ = Outcome::Denied;  // it would reach the interrupt controller
    return false;
  }
  denied_ = false;
  state.sti_shadow = false;
  Completion completion = instruction.handler(processor_, instruction);
  if (instruction.policy == TranslationPolicy::String) {
    // It gives way now and then, at once if a kick waits.
    const u64 enough = processor_.string_iterations + kMostIterations;
    while (completion == Completion::Repeat && !denied_ && processor_.string_iterations < enough) {
      completion = instruction.handler(processor_, instruction);
      ++processor_.string_iterations;
    }
  }
  if (denied_ || completion == Completion::Fault || completion == Completion::Repeat) {
    outcome_ = denied_                           ? Outcome::Denied
               : completion == Completion::Fault ? Outcome::Faulted
                                                 : Outcome::Open;
    vector_ = static_cast<u8>(processor_.pending_exception().vector);
    return false;
  }
  ++executed_;
  if (completion == Completion::Branch) {
    // A branch that is taken leaves the block, even to the next instruction; but not a call there,
    // which only reads its own address.
    constexpr u8 kCall = 0xE8;
    return instruction.opcode == kCall;
  }
  state.rip = (state.rip + instruction.length) & 0xFFFFFFFF;
  if (completion == Completion::EndBlock) outcome_ = Outcome::Open;
  return completion != Completion::EndBlock;
}

void Lockstep::begin(const Block& block) {
  const auto found = sources_.find(&block);
  source_ = nullptr;
  if (found == sources_.end() || !on_trial(found->second.instructions.front())) return;
  source_ = &found->second;
  State& state = processor_.state;
  const bool sti_shadow = state.sti_shadow;
  const u64 iterations = processor_.string_iterations;
  take(before_);
  states_.clear();
  writes_.clear();
  rest_.clear();
  trying_ = true;
  try_instructions(source_->instructions.size());
  if (outcome_ != Outcome::Completed) {
    note_end();
    // What the last instruction has done of its work must go.
    const Outcome outcome = outcome_;
    undo(writes_);
    restore(before_);
    states_.clear();
    all_writes_ = writes_;
    try_instructions(executed_);
    keep_ends();
    rest_.assign(all_writes_.begin() + static_cast<std::ptrdiff_t>(writes_.size()),
                 all_writes_.end());
    outcome_ = outcome;
  }
  trying_ = false;
  take(expected_);
  expect_writes();
  undo(writes_);
  restore(before_);
  state.sti_shadow = sti_shadow;
  processor_.string_iterations = iterations;
  if (source_->changes_flags) processor_.update_attention();
}

// --- The comparison ---

/// Which instruction the processor stands at; each is met once, since they follow each other.
std::optional<std::size_t> Lockstep::stopped_at() const {
  const std::vector<SourceInstruction>& source = source_->instructions;
  for (std::size_t i = 0; i <= executed_ && i < source.size(); ++i) {
    if (source[i].eip == processor_.state.rip) return i;
  }
  return std::nullopt;
}

bool Lockstep::at_call_out() {
  if (source_ == nullptr) return true;
  const auto at = stopped_at();
  if (!at) return compare_behind();
  const bool agrees = compare_at(*at);
  // What this instruction does, only a trial knows that got through it.
  if (*at >= executed_) source_ = nullptr;
  return agrees;
}

bool Lockstep::end(Leave reason) {
  if (source_ == nullptr) return true;
  bool agrees = true;
  switch (reason) {
    case Leave::Refused:  // nothing has happened
    case Leave::CallOut:  // at_call_out() was asked, and the rest was the interpreter's
    case Leave::CallOutAndEvent:
      break;
    case Leave::Emulate:
    case Leave::Event:
      at_fault_ = reason == Leave::Emulate;
      if (const auto at = stopped_at()) {
        agrees = compare_at(*at);
        break;
      }
      agrees = compare_behind();
      break;
    case Leave::Link:
    case Leave::Indirect:
      agrees = compare_behind();
      break;
  }
  at_fault_ = false;
  source_ = nullptr;
  return agrees;
}

/// The translated code has gone to the end of the block, or farther than the trial.
bool Lockstep::compare_behind() {
  const Outcome outcome = outcome_;
  if (outcome == Outcome::Open) {
    source_ = nullptr;
    return true;
  }
  if (outcome == Outcome::Faulted) {
    differences_ =
        "  only the interpreter raises an exception, vector " + std::to_string(vector_) + "\n";
  } else if (outcome == Outcome::Denied) {
    differences_ = "  only the interpreter reaches a device\n";
  }
  return compare();
}

/// The translated code stands before instruction `executed`, or within it if it is a repeated one.
bool Lockstep::compare_at(std::size_t executed) {
  const std::vector<SourceInstruction>& source = source_->instructions;
  const bool repeats = executed < source.size() && is_repeated_string(source[executed].instruction);
  if (executed == executed_) {
    const bool at_start = expected_.gpr[cpu::Rcx] == processor_.state.gpr[cpu::Rcx];
    if (!repeats || at_start) return compare();
    if (outcome_ == Outcome::Open) return true;  // too long for a trial
  }
  return compare_within(executed);
}

/// Repeats the trial up to where the translated code is.
bool Lockstep::compare_within(std::size_t executed) {
  State& state = processor_.state;
  const SourceInstruction& next = source_->instructions[executed];
  const Snapshot whole = expected_;
  const std::size_t whole_executed = executed_;
  const Outcome outcome = outcome_;
  Snapshot is;
  take(is);
  const bool sti_shadow = state.sti_shadow;
  const u64 iterations = processor_.string_iterations;
  const std::size_t whole_writes = writes_.size();
  all_writes_ = writes_;
  all_writes_.insert(all_writes_.end(), rest_.begin(), rest_.end());
  std::vector<u64> found(all_writes_.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    found[i] = load(all_writes_[i].host, all_writes_[i].size);
    if (outcome == Outcome::Completed) all_writes_[i].at_end = all_writes_[i].expected;
  }
  undo(all_writes_);
  restore(before_);
  trying_ = true;
  try_instructions(executed);
  // A kick that has come since the first trial ends this one where interrupts open.
  const bool foretold = executed_ == executed;
  const u64 mask = mask_of(next.instruction.address_size);
  const u64 done = (state.gpr[cpu::Rcx] - is.gpr[cpu::Rcx]) & mask;
  if (foretold && is_repeated_string(next.instruction) && done != 0) {
    try_iterations(next.instruction, done);
  }
  keep_ends();
  trying_ = false;
  take(expected_);
  expect_writes();
  undo(writes_);
  for (std::size_t i = 0; i < found.size(); ++i) {
    store(all_writes_[i].host, found[i], all_writes_[i].size);
  }
  restore(is);
  state.sti_shadow = sti_shadow;
  processor_.string_iterations = iterations;
  if (source_->changes_flags) processor_.update_attention();
  const bool agrees = !foretold || compare();
  if (agrees) {
    expected_ = whole;
    executed_ = whole_executed;
    outcome_ = outcome;
    all_writes_.resize(whole_writes);
    writes_.swap(all_writes_);
  }
  return agrees;
}

/// A string instruction may be left between two iterations: then `iterations` of them are done, and
/// the flags are as before. SDM 2B REP.
void Lockstep::try_iterations(const cpu::Instruction& instruction, u64 iterations) {
  State& state = processor_.state;
  const u64 count = state.gpr[cpu::Rcx];
  const u64 flags = state.rflags;
  const unsigned size = instruction.address_size;
  processor_.write_gpr(cpu::Rcx, size, iterations);
  Completion completion = Completion::Repeat;
  denied_ = false;
  while (completion == Completion::Repeat && !denied_) {
    completion = instruction.handler(processor_, instruction);
  }
  state.gpr[cpu::Rcx] = count;
  processor_.write_gpr(cpu::Rcx, size, count - iterations);
  state.rflags = flags;
}

bool Lockstep::compare() {
  ++compared_;
  compare_registers();
  if (source_->uses_fpu) compare_fpu();
  compare_memory();
  if (differences_.empty()) return true;
  write_report();
  return false;
}

void Lockstep::compare_registers() {
  static constexpr const char* kNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  constexpr u64 kCompared = ~eflags::RF;
  const State& is = processor_.state;
  u64 difference = (expected_.rip ^ is.rip) | ((expected_.rflags ^ is.rflags) & kCompared);
  for (unsigned reg = 0; reg < 8; ++reg) difference |= expected_.gpr[reg] ^ is.gpr[reg];
  if (difference == 0) return;
  for (unsigned reg = 0; reg < 8; ++reg) differs(kNames[reg], expected_.gpr[reg], is.gpr[reg]);
  differs("eip", expected_.rip, is.rip);
  differs("eflags", expected_.rflags & kCompared, is.rflags & kCompared);
}

/// Not the registers that 32-bit code doesn't have.
void Lockstep::compare_fpu() {
  struct Field {
    const char* name;
    unsigned offset;
    u32 size;
    unsigned count;
  };
  static constexpr Field kFields[] = {
      {"x87 control", image::kControl, 2, 1},
      {"x87 status", image::kStatus, 2, 1},
      {"x87 tags", image::kTag, 1, 1},
      {"mxcsr", image::kMxcsr, 4, 1},
      {"fop", image::kOpcode, 2, 1},
      {"fip", image::kInstructionOffset, 8, 1},
      {"fdp", image::kDataOffset, 8, 1},
      {"st significand", image::kStack, 8, 8},
      {"st exponent", image::kStack + 8, 2, 8},
      {"xmm low", image::kXmm, 8, 8},
      {"xmm high", image::kXmm + 8, 8, 8},
  };
  constexpr unsigned kRegisterBytes = 16;
  cpu::ExtendedState a = expected_.extended;
  cpu::ExtendedState b = processor_.state.extended;
  if (at_fault_) {
    // An unmasked SIMD exception has left its flag in MXCSR. SDM 1 §11.5.3.
    constexpr u32 kFlags = 0x3F;
    image::store<u32>(b, image::kMxcsr, (image::mxcsr(b) & ~kFlags) | (image::mxcsr(a) & kFlags));
    // Before an MMX instruction stores, the x87 stack has become the register file.
    const auto at = stopped_at();
    if (at && uses_mmx(source_->instructions[*at].instruction)) {
      image::enter_mmx(a);
      image::enter_mmx(b);
    }
  }
  for (const Field& field : kFields) {
    for (unsigned i = 0; i < field.count; ++i) {
      const unsigned at = field.offset + kRegisterBytes * i;
      differs(field.name, load(a.legacy.data() + at, field.size),
              load(b.legacy.data() + at, field.size));
    }
  }
  for (unsigned at = 0; at < 8 * kRegisterBytes; at += 8) {
    differs("ymm upper half", load(a.ymm_high.data() + at, 8), load(b.ymm_high.data() + at, 8));
  }
}

/// An access that the translated code gives to the interpreter, because of a device or of watched
/// code, has walked the page tables before: which the block itself may have written.
void Lockstep::compare_memory() {
  constexpr u64 kWalked = 0x60;  // accessed, dirty
  for (const Write& write : writes_) {
    const u64 is = load(write.host, write.size);
    if (is == write.expected) continue;
    if (at_fault_ && is == (write.expected | (write.at_end & kWalked))) continue;
    char name[32];
    std::snprintf(name, sizeof name, "memory %08llx",
                  static_cast<unsigned long long>(write.address.value));
    differs(name, write.expected, is);
  }
}

}  // namespace ringshift::translator
