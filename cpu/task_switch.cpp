// Task switches: SDM 3A chapter 7. Everything that can be checked is checked, and every page that
// will be written is probed, before the first change; what faults after that does so in the new
// task.
#include <array>

#include "cpu/far_transfer.h"

namespace ringshift::cpu {

namespace {

constexpr PageAccess kRead{AccessType::Read, Privilege::Supervisor, true};
constexpr PageAccess kWrite{AccessType::Write, Privilege::Supervisor, true};
constexpr u64 kLocalBreakpoints = 0x155;  // DR7.L0-L3 and LE
constexpr u64 kTaskTrap = u64{1} << 15;   // DR6.BT

constexpr u32 kMinimumLimit32 = 0x67;
constexpr u32 kMinimumLimit16 = 0x2B;

/// The dynamic fields of a TSS of either size. SDM 3A figures 7-2 and 7-10.
struct TaskImage {
  u32 cr3 = 0;
  u32 eip = 0;
  u32 flags = 0;
  std::array<u32, 8> gpr{};
  std::array<u16, 6> segments{};  ///< by SegmentName
  u16 ldt = 0;
  bool trap = false;
};

/// The address space of a TSS: fields by their offset.
class TssFields {
 public:
  TssFields(Processor& processor, u64 base) : processor_(processor), base_(base) {}

  GuestResult<void> probe(u32 first, u32 last, PageAccess access) {
    GUEST_TRY(processor_.translate(at(first), access));
    GUEST_TRY(processor_.translate(at(last), access));
    return {};
  }
  GuestResult<u16> word(u32 offset) { return processor_.read_linear<u16>(at(offset), kRead); }
  GuestResult<u32> dword(u32 offset) { return processor_.read_linear<u32>(at(offset), kRead); }
  GuestResult<void> set_word(u32 offset, u16 value) {
    return processor_.write_linear<u16>(at(offset), value, kWrite);
  }
  GuestResult<void> set_dword(u32 offset, u32 value) {
    return processor_.write_linear<u32>(at(offset), value, kWrite);
  }

 private:
  u64 at(u32 offset) const { return (base_ + offset) & 0xFFFFFFFF; }
  Processor& processor_;
  u64 base_;
};

constexpr u32 kDynamicFirst32 = 0x20, kDynamicLast32 = 0x5F;
constexpr u32 kDynamicFirst16 = 0x0E, kDynamicLast16 = 0x29;

GuestResult<void> save_32(Processor& processor, TssFields tss, u32 eip, u32 flags) {
  const State& state = processor.state;
  GUEST_TRY(tss.set_dword(0x20, eip));
  GUEST_TRY(tss.set_dword(0x24, flags));
  for (u32 i = 0; i < 8; ++i) {
    GUEST_TRY(tss.set_dword(0x28 + 4 * i, static_cast<u32>(state.gpr[i])));
  }
  for (u32 i = 0; i < 6; ++i) GUEST_TRY(tss.set_word(0x48 + 4 * i, state.segments[i].selector));
  return {};
}

GuestResult<void> save_16(Processor& processor, TssFields tss, u32 eip, u32 flags) {
  const State& state = processor.state;
  GUEST_TRY(tss.set_word(0x0E, static_cast<u16>(eip)));
  GUEST_TRY(tss.set_word(0x10, static_cast<u16>(flags)));
  for (u32 i = 0; i < 8; ++i) {
    GUEST_TRY(tss.set_word(0x12 + 2 * i, static_cast<u16>(state.gpr[i])));
  }
  for (u32 i = 0; i < 4; ++i) GUEST_TRY(tss.set_word(0x22 + 2 * i, state.segments[i].selector));
  return {};
}

GuestResult<void> load_32(TssFields tss, TaskImage& image) {
  image.cr3 = GUEST_TRY(tss.dword(0x1C));
  image.eip = GUEST_TRY(tss.dword(0x20));
  image.flags = GUEST_TRY(tss.dword(0x24));
  for (u32 i = 0; i < 8; ++i) image.gpr[i] = GUEST_TRY(tss.dword(0x28 + 4 * i));
  for (u32 i = 0; i < 6; ++i) image.segments[i] = GUEST_TRY(tss.word(0x48 + 4 * i));
  image.ldt = GUEST_TRY(tss.word(0x60));
  image.trap = (GUEST_TRY(tss.word(0x64)) & 1) != 0;
  return {};
}

GuestResult<void> load_16(TssFields tss, TaskImage& image) {
  image.eip = GUEST_TRY(tss.word(0x0E));
  image.flags = GUEST_TRY(tss.word(0x10));
  for (u32 i = 0; i < 8; ++i) image.gpr[i] = GUEST_TRY(tss.word(0x12 + 2 * i));
  for (u32 i = 0; i < 4; ++i) image.segments[i] = GUEST_TRY(tss.word(0x22 + 2 * i));
  image.ldt = GUEST_TRY(tss.word(0x2A));
  return {};
}

/// The TSS descriptor of the task to switch to, with the checks before the commit point.
GuestResult<Descriptor> fetch_tss(Processor& processor, u16 selector, TaskSwitchSource source) {
  const bool returning = source == TaskSwitchSource::Iret;
  const Vector vector = returning ? Vector::InvalidTss : Vector::GeneralProtection;
  const u32 error = selector_error(selector);
  if (local_selector(selector) || null_selector(selector)) return processor.raise(vector, error);
  const Descriptor tss = GUEST_TRY(fetch_descriptor(processor, selector, vector));
  if (returning ? !tss.is_busy_tss() : !tss.is_available_tss()) {
    return processor.raise(vector, error);
  }
  if (!tss.present()) return processor.raise(Vector::SegmentNotPresent, error);
  if (tss.limit() < (tss.gate_is_32() ? kMinimumLimit32 : kMinimumLimit16)) {
    return processor.raise(Vector::InvalidTss, error);
  }
  return tss;
}

/// Everything a switch writes or reads is accessible: no page fault after this.
GuestResult<void> probe_switch(Processor& processor, const Descriptor& next, u64 old_type_address) {
  const SegmentRegister& tr = processor.state.tr;
  const bool old_wide = (tr.type & kSystem32) != 0;
  TssFields old_tss(processor, tr.base);
  GUEST_TRY(old_tss.probe(old_wide ? kDynamicFirst32 : kDynamicFirst16,
                          old_wide ? kDynamicLast32 : kDynamicLast16, kWrite));
  TssFields new_tss(processor, next.base());
  GUEST_TRY(new_tss.probe(0, next.gate_is_32() ? kMinimumLimit32 : kMinimumLimit16, kRead));
  GUEST_TRY(new_tss.probe(0, 1, kWrite));
  GUEST_TRY(processor.translate((next.address + 5) & 0xFFFFFFFF, kWrite));
  GUEST_TRY(processor.translate(old_type_address, kWrite));
  return {};
}

GuestResult<void> set_busy(Processor& processor, u64 type_address, bool busy) {
  const u8 type = GUEST_TRY(processor.read_linear<u8>(type_address, kRead));
  const u8 wanted = static_cast<u8>(busy ? type | kTssBusy : type & ~kTssBusy);
  return processor.write_linear<u8>(type_address, wanted, kWrite);
}

// --- After the commit point: the segments of the new task, SDM 3A table 7-1 ---

GuestResult<void> qualify_ldt(Processor& processor, u16 selector) {
  if (null_selector(selector)) return {};
  const u32 error = selector_error(selector);
  if (local_selector(selector)) return processor.raise(Vector::InvalidTss, error);
  const Descriptor ldt = GUEST_TRY(fetch_descriptor(processor, selector, Vector::InvalidTss));
  if (!ldt.is_system(SystemType::Ldt) || !ldt.present()) {
    return processor.raise(Vector::InvalidTss, error);
  }
  processor.state.ldtr = ldt.segment(selector);
  return {};
}

GuestResult<void> qualify_code(Processor& processor, u16 selector) {
  const u32 error = selector_error(selector);
  if (null_selector(selector)) return processor.raise(Vector::InvalidTss, error);
  Descriptor code = GUEST_TRY(fetch_descriptor(processor, selector, Vector::InvalidTss));
  const u8 rpl = requested_privilege(selector);
  if (!code.is_code() || (code.conforming() ? code.dpl() > rpl : code.dpl() != rpl)) {
    return processor.raise(Vector::InvalidTss, error);
  }
  if (!code.present()) return processor.raise(Vector::SegmentNotPresent, error);
  GUEST_TRY(mark_accessed(processor, code));
  processor.state.segment(SegmentName::CS) = code.segment(selector);
  return {};
}

GuestResult<void> qualify_data(Processor& processor, SegmentName name, u16 selector) {
  if (null_selector(selector)) return {};
  const u32 error = selector_error(selector);
  Descriptor data = GUEST_TRY(fetch_descriptor(processor, selector, Vector::InvalidTss));
  const u8 cpl = processor.state.cpl;
  if (!data.readable() ||
      (!data.conforming() && (requested_privilege(selector) > data.dpl() || cpl > data.dpl()))) {
    return processor.raise(Vector::InvalidTss, error);
  }
  if (!data.present()) return processor.raise(Vector::SegmentNotPresent, error);
  GUEST_TRY(mark_accessed(processor, data));
  processor.state.segment(name) = data.segment(selector);
  return {};
}

GuestResult<void> qualify_segments(Processor& processor, const TaskImage& image) {
  State& state = processor.state;
  GUEST_TRY(qualify_ldt(processor, image.ldt));
  if (state.virtual_8086()) {
    for (u32 i = 0; i < 6; ++i) state.segments[i] = virtual_8086_segment(image.segments[i]);
  } else {
    const auto selector = [&](SegmentName name) { return image.segments[static_cast<u8>(name)]; };
    GUEST_TRY(qualify_code(processor, selector(SegmentName::CS)));
    state.segment(SegmentName::SS) = GUEST_TRY(
        fetch_stack_segment(processor, selector(SegmentName::SS), state.cpl, Vector::InvalidTss));
    for (const SegmentName name :
         {SegmentName::ES, SegmentName::DS, SegmentName::FS, SegmentName::GS}) {
      GUEST_TRY(qualify_data(processor, name, selector(name)));
    }
  }
  if (image.eip > state.segment(SegmentName::CS).limit) {
    return processor.raise(Vector::GeneralProtection, 0);
  }
  return {};
}

/// Makes the new task's registers current, with its segments not yet valid.
void commit_task(Processor& processor, const TaskImage& image) {
  State& state = processor.state;
  constexpr u64 kDefined = eflags::Arithmetic | eflags::TF | eflags::IF | eflags::DF |
                           eflags::IOPL | eflags::NT | eflags::RF | eflags::VM | eflags::AC |
                           eflags::VIF | eflags::VIP | eflags::ID;
  state.rip = image.eip;
  state.rflags = (image.flags & kDefined) | eflags::Fixed;
  for (u32 i = 0; i < 8; ++i) state.gpr[i] = image.gpr[i];
  for (u32 i = 0; i < 6; ++i) state.segments[i] = null_segment(image.segments[i]);
  state.ldtr = null_segment(image.ldt);
  state.cpl = state.virtual_8086()
                  ? 3
                  : requested_privilege(image.segments[static_cast<u8>(SegmentName::CS)]);
  state.cr0 |= cr0::TS;
  state.dr[7] &= ~kLocalBreakpoints;
  state.pending_debug = image.trap ? kTaskTrap : 0;
  state.sti_shadow = false;
  state.mov_ss_shadow = false;
}

/// The writes to both TSSs and the GDT. All pages have been probed.
GuestResult<void> write_tables(Processor& processor, const Descriptor& next,
                               TaskSwitchSource source, u32 return_eip, u32 flags,
                               u64 old_type_address) {
  const SegmentRegister& tr = processor.state.tr;
  const bool leaves = source == TaskSwitchSource::Jump || source == TaskSwitchSource::Iret;
  if (leaves) GUEST_TRY(set_busy(processor, old_type_address, false));
  if (source == TaskSwitchSource::Iret) flags &= ~static_cast<u32>(eflags::NT);
  TssFields old_tss(processor, tr.base);
  if ((tr.type & kSystem32) != 0) {
    GUEST_TRY(save_32(processor, old_tss, return_eip, flags));
  } else {
    GUEST_TRY(save_16(processor, old_tss, return_eip, flags));
  }
  const bool nests = source == TaskSwitchSource::Call || source == TaskSwitchSource::Interrupt;
  if (nests) GUEST_TRY(TssFields(processor, next.base()).set_word(0, tr.selector));
  if (source != TaskSwitchSource::Iret) {
    GUEST_TRY(set_busy(processor, (next.address + 5) & 0xFFFFFFFF, true));
  }
  return {};
}

}  // namespace

GuestResult<void> switch_task(Processor& processor, u16 selector, TaskSwitchSource source,
                              u64 return_rip, u64 flags) {
  State& state = processor.state;
  const Descriptor next = GUEST_TRY(fetch_tss(processor, selector, source));
  const u64 old_type_address = (state.gdtr.base + (state.tr.selector & 0xFFF8U) + 5) & 0xFFFFFFFF;
  GUEST_TRY(probe_switch(processor, next, old_type_address));
  GUEST_TRY(write_tables(processor, next, source, static_cast<u32>(return_rip),
                         static_cast<u32>(flags), old_type_address));
  TaskImage image;
  TssFields new_tss(processor, next.base());
  const bool wide = next.gate_is_32();
  if (wide) {
    GUEST_TRY(load_32(new_tss, image));
  } else {
    GUEST_TRY(load_16(new_tss, image));
  }
  if (source == TaskSwitchSource::Call || source == TaskSwitchSource::Interrupt) {
    image.flags |= eflags::NT;
  }
  // The commit point: faults from here on belong to the new task.
  commit_task(processor, image);
  state.tr = next.segment(selector);
  state.tr.type |= kTssBusy;
  if (wide && (state.cr0 & cr0::PG) != 0) GUEST_TRY(processor.write_cr(3, image.cr3));
  GUEST_TRY(qualify_segments(processor, image));
  processor.update_attention();
  return {};
}

GuestResult<void> enter_task_gate(Processor& processor, const Descriptor& gate,
                                  TaskSwitchSource source, u64 return_rip, u64 flags) {
  return switch_task(processor, gate.gate_selector(), source, return_rip, flags);
}

GuestResult<void> Processor::task_switch(u16 selector, TaskSwitchSource source, u64 return_rip) {
  return switch_task(*this, selector, source, return_rip, state.rflags);
}

}  // namespace ringshift::cpu
