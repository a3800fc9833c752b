#include "cpu/processor.h"

#include "cpu/host_unit/x87_image.h"

namespace ringshift::cpu {

namespace {

/// Selector-type error codes carry the EXT bit. SDM 3A §6.13.
bool has_external_bit(Vector vector) {
  return vector == Vector::InvalidTss || vector == Vector::SegmentNotPresent ||
         vector == Vector::StackFault || vector == Vector::GeneralProtection;
}

constexpr u64 kSingleStep = u64{1} << 14;  // DR6.BS
constexpr u64 kEnabledBreakpoints = 0xFF;  // DR7.L0-L3, G0-G3

SegmentRegister reset_segment(u8 type, bool code_or_data) {
  SegmentRegister segment;
  segment.limit = 0xFFFF;
  segment.type = type;
  segment.code_or_data = code_or_data;
  segment.present = true;
  return segment;
}

}  // namespace

Processor::Processor(MemoryPort& memory, Platform& platform, const CpuidModel& model)
    : memory_(memory), platform_(platform), model_(model) {
  reset();
}

void Processor::reset() {
  state = State{};
  state.rip = 0xFFF0;
  state.gpr[Rdx] = model_.family_model_stepping;
  for (SegmentRegister& segment : state.segments) segment = reset_segment(3, true);
  SegmentRegister& cs = state.segment(SegmentName::CS);
  cs.selector = 0xF000;
  cs.base = 0xFFFF0000;
  state.ldtr = reset_segment(2, false);
  state.tr = reset_segment(11, false);
  state.gdtr.limit = 0xFFFF;
  state.idtr.limit = 0xFFFF;
  state.cr0 = cr0::CD | cr0::NW | cr0::ET;
  state.dr[6] = 0xFFFF0FF0;
  state.dr[7] = 0x400;
  // IA32_MISC_ENABLE: fast strings; branch trace and event sampling unavailable. SDM 4 table 2-2.
  state.misc_enable = 1U | 1U << 11 | 1U << 12;
  state.tsc_offset = 0 - platform_.time_stamp();
  image::power_on(state.extended);
  pending_exception_ = {};
  delivering_external_ = false;
  flush_tlb(true);
  update_attention();
}

Faulted Processor::raise(Vector vector) {
  pending_exception_ = {};
  pending_exception_.vector = vector;
  return {};
}

Faulted Processor::raise(Vector vector, u32 error_code) {
  pending_exception_ = {};
  pending_exception_.vector = vector;
  pending_exception_.has_error_code = true;
  pending_exception_.error_code = error_code;
  if (delivering_external_ && has_external_bit(vector)) pending_exception_.error_code |= 1;
  return {};
}

Faulted Processor::raise_page_fault(u64 linear, u32 error_code) {
  raise(Vector::PageFault, error_code);
  pending_exception_.fault_address = linear;
  return {};
}

Faulted Processor::raise_debug(u64 dr6_bits) {
  raise(Vector::Debug);
  pending_exception_.debug_status = dr6_bits;
  return {};
}

void Processor::set_interrupt_line(bool asserted) {
  interrupt_line_ = asserted;
  update_attention();
}

void Processor::request_nmi() {
  state.nmi_pending = true;
  update_attention();
}

void Processor::update_attention() {
  u32 wanted = 0;
  if (interrupt_line_ && state.flag(eflags::IF)) wanted |= kInterrupt;
  if (state.nmi_pending && !state.nmi_blocked) wanted |= kNmi;
  if (state.flag(eflags::TF | eflags::RF) || state.pending_debug != 0 ||
      (state.dr[7] & kEnabledBreakpoints) != 0) {
    wanted |= kDebug;
  }
  if (state.sti_shadow || state.mov_ss_shadow) wanted |= kShadow;
  if (state.activity != Activity::Running) wanted |= kActivity;
  u32 seen = attention_.load(std::memory_order_relaxed);
  // A kick may come from another thread at any time and must not get lost.
  while ((seen & ~kKick) != wanted &&
         !attention_.compare_exchange_weak(seen, wanted | (seen & kKick))) {
  }
}

bool Processor::service_events() {
  if (state.activity == Activity::Shutdown) return false;
  const bool after_mov_ss = state.mov_ss_shadow;
  const bool interrupts_wait = after_mov_ss || state.sti_shadow;
  state.mov_ss_shadow = false;
  state.sti_shadow = false;
  bool changed = false;

  // Priority 2 and 4: the T flag of a task, single-step and data breakpoints of what has just run.
  // A MOV SS delays data breakpoints and loses a single-step.
  if (after_mov_ss) {
    state.pending_debug &= ~kSingleStep;
  } else if (state.pending_debug != 0) {
    GuestException trap;
    trap.vector = Vector::Debug;
    trap.debug_status = state.pending_debug;
    state.activity = Activity::Running;
    deliver_exception(trap);
    changed = true;
  }
  const auto alive = [&]() { return state.activity != Activity::Shutdown; };
  if (!after_mov_ss && state.nmi_pending && !state.nmi_blocked && alive()) {
    state.nmi_pending = false;
    state.nmi_blocked = true;
    deliver_interrupt(static_cast<u8>(Vector::Nmi));
    changed = true;
  }
  if (!interrupts_wait && interrupt_line_ && state.flag(eflags::IF) && alive()) {
    deliver_interrupt(platform_.acknowledge_interrupt());
    changed = true;
  }
  if (state.activity == Activity::Running) {
    const u64 linear = (state.segment(SegmentName::CS).base + state.rip) & 0xFFFFFFFF;
    const u64 hit = after_mov_ss ? 0 : instruction_breakpoints(linear);
    if (hit != 0) {
      GuestException fault;
      fault.vector = Vector::Debug;
      fault.debug_status = hit;
      deliver_exception(fault);
      changed = true;
    }
    // The instruction begins: RF has done its work, and TF as it stands now traps after it.
    state.rflags &= ~eflags::RF;
    if (state.flag(eflags::TF)) state.pending_debug |= kSingleStep;
  }
  update_attention();
  return changed;
}

void Processor::on_code_write(PhysicalAddress address, u64 length) {
  if (code_cache_ != nullptr) code_cache_->code_written(address, length);
}

void Processor::on_memory_remapped(PhysicalAddress first, u64 length) {
  flush_tlb(true);
  if (code_cache_ != nullptr) code_cache_->code_written(first, length);
}

void Processor::on_page_watched(PhysicalAddress page) {
  tlb_.forget_physical(page);
}

}  // namespace ringshift::cpu
