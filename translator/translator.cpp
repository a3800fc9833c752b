#include "translator/translator.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cpu/host_unit/x87_image.h"

namespace ringshift::translator {

namespace {

using cpu::Activity;
using cpu::ExitCause;
using cpu::State;
namespace eflags = cpu::eflags;

/// FSGSBASE instructions may be used by user code: AT_HWCAP2's second bit.
bool host_has_fsgsbase() {
  constexpr unsigned long kFsGsBase = 2;
  return (getauxval(AT_HWCAP2) & kFsGsBase) != 0;
}

}  // namespace

Result<std::unique_ptr<Translator>> Translator::create(cpu::Processor& processor,
                                                       const Surroundings& surroundings,
                                                       Options options) {
  auto shadow =
      mmu::ShadowMmu::create(surroundings.map, surroundings.memory, surroundings.memory_file);
  if (!shadow) return shadow.error();
  auto translator = std::unique_ptr<Translator>(
      new Translator(processor, surroundings, options, *std::move(shadow)));
  if (!translator->lanes_.works()) {
    return Error{"translator: this process has no room for a branch table of 16 GiB"};
  }
  return translator;
}

Translator::Translator(cpu::Processor& processor, const Surroundings& surroundings, Options options,
                       std::unique_ptr<mmu::ShadowMmu> shadow)
    : processor_(processor),
      map_(surroundings.map),
      memory_(surroundings.memory),
      options_(options),
      interpreter_(processor),
      shadow_(std::move(shadow)),
      area_(options.code_capacity()),
      stubs_(Stubs::emit(area_)),
      store_(area_, stubs_, map_, *this, processor),
      lanes_(stubs_),
      use_wrgsbase_(options.on(Optimisation::FsGsBase) && host_has_fsgsbase()) {
  context_.owner = this;
  context_.call_out = &Translator::call_out_entry;
  context_.state = &processor_.state;
  context_.extended = &processor_.state.extended;
  if (!processor.platform().host_time_stamp_offset()) {
    options_.disable(Optimisation::InlineTimeStamp);
  }
  processor_.set_code_cache(this);
  shadow_->set_observer(this);
}

Translator::~Translator() {
  store_.clear();
  map_.forget(*this);
  processor_.set_code_cache(&interpreter_);
}

cpu::Exit Translator::run() {
  const SignalScope signals(*this);
  thread_.store(static_cast<int>(syscall(SYS_gettid)), std::memory_order_relaxed);
  // A signal that came while nobody was here is forgotten; what it was about is looked at below.
  woken_.store(false);
  host_gs_ = ~u64{0};
  processor_.host_unit().forget_host_status();
  State& state = processor_.state;
  // The machine may have changed anything in the meantime.
  mode_stale_ = segments_stale_ = true;
  platform_tsc_offset_ = processor_.platform().host_time_stamp_offset().value_or(0);
  for (;;) {
    if (failed_) return cpu::Exit::Failure;
    if (context_.exit_request.exchange(0, std::memory_order_relaxed) != 0) {
      count(ExitCause::Event);
      return processor_.take_kick() ? cpu::Exit::Kicked : cpu::Exit::Deadline;
    }
    if (processor_.attention()) {
      if (processor_.take_kick()) return cpu::Exit::Kicked;
      if (faulted_.stage == FaultedAccess::Stage::Raised && faulted_.rip == state.rip) {
        faulted_.stage = FaultedAccess::Stage::Resumed;
      }
      if (interpret_one()) continue;
      // Not before the events have been looked at: one may wake a processor that has just halted.
      if (state.activity == Activity::Halted) return cpu::Exit::Halt;
      if (state.activity == Activity::Shutdown) return cpu::Exit::Shutdown;
      continue;
    }
    bury_doomed();
    refresh();
    if (mode_.has(Mode::kStepwise)) {
      interpret_one();
      continue;
    }
    if (Block* block = next_block(state.rip)) {
      enter(*block);
    } else {
      interpret_one();
    }
  }
}

/// After whatever may change modes, mappings or the current address space.
void Translator::refresh() {
  const State& state = processor_.state;
  if (mode_stale_) {
    mode_stale_ = false;
    const Mode mode = Mode::of(state);
    const bool alignment_check = state.flag(eflags::AC);
    if (mode.has(Mode::kUser) != mode_.has(Mode::kUser) || alignment_check != alignment_check_) {
      space_stale_ = true;
    }
    if (mode.has(Mode::kSmep) != mode_.has(Mode::kSmep)) forget_fetches();
    if (mode != mode_ || state.segment(cpu::SegmentName::CS).base != lane_code_base_) {
      mode_ = mode;
      lane_ = nullptr;
    }
    alignment_check_ = alignment_check;
    segments_stale_ = true;
  }
  if (space_stale_) {
    space_stale_ = false;
    const mmu::Window window =
        shadow_->select(processor_.paging_context(),
                        mode_.has(Mode::kUser) ? cpu::Privilege::User : cpu::Privilege::Supervisor);
    if (window.base != window_.base || window.space != window_.space) lane_ = nullptr;
    window_ = window;
  }
  if (segments_stale_) {
    segments_stale_ = false;
    view_segments();
  }
  if (faulted_.stage == FaultedAccess::Stage::Resumed) map_resumed();
}

/// As for a read, whatever the access was: should something have come before it after all, the
/// processor may have set accessed bits, but not dirty bits. SDM 3A §4.8.
void Translator::map_resumed() {
  faulted_.stage = FaultedAccess::Stage::None;
  if (faulted_.space == window_.space) {
    shadow_->resolve({faulted_.linear}, cpu::AccessType::Read);
  }
}

/// Code that all address spaces map alike, a kernel's, has a lane for all of them together; what
/// isn't mapped so never gets into it.
void Translator::activate_lane(const Block& block) {
  const u64 code_base = processor_.state.segment(cpu::SegmentName::CS).base;
  const bool shared = !mode_.has(Mode::kUser) && block.everywhere();
  if (lane_ == nullptr || lane_shared_ != shared) {
    lane_ = &lanes_.find({shared ? LaneKey::kAllSpaces : window_.space, mode_, code_base});
    lane_shared_ = shared;
    lane_code_base_ = code_base;
  }
  if (calls_stale_ || lane_->deaths_seen != store_.deaths()) lane_->reset_calls();
  lane_->deaths_seen = store_.deaths();
  calls_stale_ = false;
}

void Translator::set_gs_base() {
  if (host_gs_ == window_.base) return;
  host_gs_ = window_.base;
  if (use_wrgsbase_) {
    __asm__ volatile("wrgsbase %0" : : "r"(host_gs_));
  } else {
    syscall(SYS_arch_prctl, ARCH_SET_GS, host_gs_);
  }
}

/// Blocks must end where the interpreter can be asked: nothing may lead from one to the next, or
/// back into itself.
void Translator::enable_lockstep() {
  for (const Optimisation which : {Optimisation::Chaining, Optimisation::BranchTable,
                                   Optimisation::PairedReturns, Optimisation::InternalBranches}) {
    options_.disable(which);
  }
  if (!lockstep_) lockstep_ = std::make_unique<Lockstep>(processor_, map_, memory_);
}

void Translator::enable_recovery_checks() {
  // Flags that nothing looks at are for no one to compare.
  options_.disable(Optimisation::FlagLiveness);
  enable_lockstep();
  lockstep_->keep_states();
  checks_recovery_ = true;
}

Result<void> Translator::enable_listing(const std::string& file) {
  auto listing = CodeListing::create(file);
  if (!listing) return listing.error();
  listing_ = *std::move(listing);
  return {};
}

Result<void> Translator::enable_perf_map() {
  auto perf_map = PerfMap::create();
  if (!perf_map) return perf_map.error();
  perf_map_ = *std::move(perf_map);
  perf_map_->add(stubs_);
  return {};
}

std::string Translator::failure() const {
  return lockstep_ ? lockstep_->report() : std::string();
}

/// All that generated code needs to run `block`.
void Translator::prepare(const Block& block) {
  give_state();
  set_gs_base();
  context_.window = window_.base;
  context_.branch_table = lane_->table().entries();
  context_.call_stack = lane_->call_stack;
  context_.entry = block.entry;
}

void Translator::enter(const Block& block) {
  activate_lane(block);
  if (lockstep_) lockstep_->begin(block);
  if (block.dead) return;  // the trial has written to it
  prepare(block);
  stepping_ = checks_recovery_ && lockstep_->first_time();
  if (stepping_) {
    context_.step_entry = reinterpret_cast<u64>(block.entry);
    context_.entry = stubs_.step_in;
  }
  stubs_.enter(&context_);
  stepping_ = false;
  if (lane_ != nullptr) lane_->call_stack = context_.call_stack;
  const auto reason = static_cast<Leave>(context_.exit_reason);
  // execute_call_out() has seen to all, but to what it thought would be executed.
  if (reason == Leave::CallOutAndEvent) discount(store_.call_out(context_.exit_value));
  const bool has_state =
      reason == Leave::Refused || reason == Leave::CallOut || reason == Leave::CallOutAndEvent;
  if (!has_state) take_state();
  if (lockstep_) {
    if (reason == Leave::Link) processor_.state.rip = store_.exit(context_.exit_value).target;
    if (reason == Leave::Indirect) processor_.state.rip = context_.exit_value;
    if (!lockstep_->end(reason)) failed_ = true;
    if (failed_) return;
  }
  switch (reason) {
    case Leave::Link:
      count(ExitCause::ChainMiss);
      follow_link(context_.exit_value);
      return;
    case Leave::Indirect:
      count(ExitCause::IndirectMiss);
      follow_indirect(context_.exit_value);
      return;
    case Leave::Emulate:
      interpret_one();
      return;
    case Leave::Event:
    case Leave::CallOut:
    case Leave::CallOutAndEvent:
    case Leave::Refused:
      return;
  }
}

/// The flags' way from the host's registers into the guest's state.
void Translator::take_state() {
  State& state = processor_.state;
  const u64 arithmetic = (u64{context_.saved_flags} >> 8 & (eflags::Arithmetic & 0xFF)) |
                         ((context_.saved_flags & 1) != 0 ? u64{eflags::OF} : 0);
  constexpr u64 kKept = ~(eflags::Arithmetic | eflags::IF | eflags::DF);
  state.rflags = (state.rflags & kKept) | arithmetic |
                 (context_.interrupt_flag != 0 ? u64{eflags::IF} : 0) |
                 (context_.direction != 0 ? u64{eflags::DF} : 0);
  translate_fpu_pointers();
}

/// An x87 instruction that the host has executed has left its own address behind: the guest's takes
/// its place, before its block can go. Hosts differ in whether it also left its opcode and operand;
/// those are the guest's only after an unmasked exception (Feature::FdpExceptionsOnly). SDM 1
/// §8.1.8, §8.1.9.
void Translator::translate_fpu_pointers() {
  namespace image = cpu::image;
  cpu::ExtendedState& extended = processor_.state.extended;
  const u64 pointer = image::load<u64>(extended, image::kInstructionOffset);
  if (!area_.contains(pointer)) [[likely]]
    return;
  const auto* host = reinterpret_cast<const u8*>(pointer);
  const Block* block = store_.at_host(host);
  const X87Point* point = block == nullptr ? nullptr : block->x87_at(host);
  u16 opcode = context_.x87_opcode;
  u32 data = context_.x87_data;
  if (point != nullptr && image::exception_pending(extended)) {
    // What is as it was when the state was loaded hasn't been left by this instruction.
    const auto found = static_cast<u32>(image::load<u64>(extended, image::kDataOffset));
    const auto base = static_cast<u32>(processor_.state.segment(point->segment).base);
    if (point->has_memory && found != data) data = found - base;
    if (image::load<u16>(extended, image::kOpcode) != opcode) opcode = point->opcode;
  }
  const u32 eip = point == nullptr ? 0 : block->eip + point->guest_offset;
  image::store<u16>(extended, image::kOpcode, opcode);
  image::store<u64>(extended, image::kInstructionOffset, eip);
  image::store<u64>(extended, image::kDataOffset, data);
}

void Translator::give_state() {
  const State& state = processor_.state;
  context_.interrupt_flag = state.flag(eflags::IF) ? 1 : 0;
  context_.direction = state.flag(eflags::DF) ? -2 : 0;
  context_.interrupt_waits = processor_.interrupt_waits() ? 1 : 0;
  context_.tsc_offset = platform_tsc_offset_ + state.tsc_offset;
}

/// One instruction, or one event, by the reference engine. False: the processor is halted or shut
/// down.
bool Translator::interpret_one() {
  mode_stale_ = true;
  return interpreter_.run_one();
}

void Translator::wake() {
  const int thread = thread_.load(std::memory_order_relaxed);
  // The host queues every one of these signals, so there is never more than one on its way.
  if (thread != 0 && !woken_.exchange(true))
    syscall(SYS_tgkill, getpid(), thread, cpu::kick_signal());
}

void Translator::code_written(PhysicalAddress address, u64 length) {
  interpreter_.code_written(address, length);
  if (length < kPageSize) return;  // on_watched_write() has been told as well
  if (store_.remapped(address, length)) calls_stale_ = true;
  space_stale_ = true;
  sites_.forget(address.value, length);
}

void Translator::translations_changed() {
  interpreter_.translations_changed();
  shadow_->flush();
  space_stale_ = true;
}

void Translator::page_translation_changed(u64 linear) {
  interpreter_.translations_changed();
  shadow_->invalidate_page({linear});
  space_stale_ = true;
}

void Translator::on_mapping_changed(u32 space, LinearAddress first, u64 length) {
  forget_fetches();
  calls_stale_ = true;
  lanes_.forget(space, first, length);
  for (const u32 exit : page_links_.take(first.value, length)) {
    store_.exit(exit).in_page_links = false;
    store_.unlink(exit);
  }
}

void Translator::on_space_dropped(u32 space) {
  lanes_.drop_space(space);
  lane_ = nullptr;
  forget_fetches();
}

void Translator::on_watched_write(PhysicalAddress address, u64 length) {
  if (!store_.written(address, length)) return;
  count(ExitCause::CodeWritten);
  sites_.forget(address.value, length);
}

cpu::EngineStatistics Translator::statistics() const {
  cpu::EngineStatistics statistics;
  statistics.interrupts = processor_.interrupts_delivered;
  statistics.exceptions = processor_.exceptions_delivered;
  statistics.instructions_interpreted = called_out_ + interpreter_.statistics().instructions;
  if (options_.counts_instructions()) {
    statistics.instructions_native = context_.instructions;
    statistics.instructions = statistics.instructions_native + statistics.instructions_interpreted;
  }
  statistics.blocks_translated = translated_;
  statistics.instructions_translated = translated_instructions_;
  statistics.blocks_invalidated = store_.killed();
  statistics.code_cache_bytes = area_.used();
  statistics.code_cache_capacity = area_.capacity();
  statistics.code_cache_flushes = cache_flushes_;
  statistics.exits = exits_;
  statistics.code_pages_watched = store_.watched_pages();
  const mmu::ShadowStatistics shadow = shadow_->statistics();
  statistics.shadow_misses = shadow.misses;
  statistics.shadow_pages_mapped = shadow.pages_mapped;
  statistics.windows = shadow.windows;
  statistics.table_pages_watched = shadow.watched_tables;
  return statistics;
}

}  // namespace ringshift::translator
