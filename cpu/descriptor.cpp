#include "cpu/descriptor.h"

#include "cpu/processor.h"

namespace ringshift::cpu {

namespace {

constexpr PageAccess kTableRead{AccessType::Read, Privilege::Supervisor, true};
constexpr PageAccess kTableWrite{AccessType::Write, Privilege::Supervisor, true};

}  // namespace

SegmentRegister Descriptor::segment(u16 selector) const {
  SegmentRegister segment;
  segment.selector = selector;
  segment.base = base();
  segment.limit = limit();
  segment.type = type();
  segment.dpl = dpl();
  segment.code_or_data = code_or_data();
  segment.present = present();
  segment.available = (raw >> 52) & 1;
  segment.long_mode = (raw >> 53) & 1;
  segment.big = (raw >> 54) & 1;
  segment.granular = (raw >> 55) & 1;
  return segment;
}

SegmentRegister null_segment(u16 selector) {
  SegmentRegister segment;
  segment.selector = selector;
  return segment;
}

SegmentRegister virtual_8086_segment(u16 selector) {
  SegmentRegister segment;
  segment.selector = selector;
  segment.base = u64{selector} << 4;
  segment.limit = 0xFFFF;
  segment.type = 3;
  segment.dpl = 3;
  segment.code_or_data = true;
  segment.present = true;
  return segment;
}

SegmentRegister flat_segment(u16 selector, u8 type, u8 dpl) {
  SegmentRegister segment;
  segment.selector = selector;
  segment.limit = 0xFFFFFFFF;
  segment.type = type;
  segment.dpl = dpl;
  segment.code_or_data = true;
  segment.present = true;
  segment.big = true;
  segment.granular = true;
  return segment;
}

GuestResult<bool> find_descriptor(Processor& processor, u16 selector, Descriptor& into) {
  const State& state = processor.state;
  const u32 offset = selector & 0xFFF8;
  u64 table = state.gdtr.base;
  u32 limit = state.gdtr.limit;
  if (local_selector(selector)) {
    if (!state.ldtr.present) return false;
    table = state.ldtr.base;
    limit = state.ldtr.limit;
  }
  if (offset + 7 > limit) return false;
  into.address = (table + offset) & 0xFFFFFFFF;
  into.raw = GUEST_TRY(processor.read_linear<u64>(into.address, kTableRead));
  return true;
}

GuestResult<Descriptor> fetch_descriptor(Processor& processor, u16 selector, Vector vector) {
  Descriptor descriptor;
  if (!GUEST_TRY(find_descriptor(processor, selector, descriptor))) {
    return processor.raise(vector, selector_error(selector));
  }
  return descriptor;
}

GuestResult<void> mark_accessed(Processor& processor, Descriptor& descriptor) {
  if (descriptor.accessed()) return {};
  descriptor.raw |= u64{1} << 40;
  return processor.write_linear<u8>((descriptor.address + 5) & 0xFFFFFFFF,
                                    static_cast<u8>(descriptor.raw >> 40), kTableWrite);
}

GuestResult<SegmentRegister> fetch_stack_segment(Processor& processor, u16 selector, u8 privilege,
                                                 Vector vector) {
  const u32 error = selector_error(selector);
  if (null_selector(selector)) return processor.raise(vector, 0);
  Descriptor descriptor = GUEST_TRY(fetch_descriptor(processor, selector, vector));
  if (requested_privilege(selector) != privilege || !descriptor.writable_data() ||
      descriptor.dpl() != privilege) {
    return processor.raise(vector, error);
  }
  if (!descriptor.present()) return processor.raise(Vector::StackFault, error);
  GUEST_TRY(mark_accessed(processor, descriptor));
  return descriptor.segment(selector);
}

GuestResult<SegmentRegister> fetch_return_code_segment(Processor& processor, u16 selector) {
  if (null_selector(selector)) return processor.raise(Vector::GeneralProtection, 0);
  const u32 error = selector_error(selector);
  Descriptor descriptor =
      GUEST_TRY(fetch_descriptor(processor, selector, Vector::GeneralProtection));
  const u8 rpl = requested_privilege(selector);
  if (!descriptor.is_code() || rpl < processor.state.cpl ||
      (descriptor.conforming() ? descriptor.dpl() > rpl : descriptor.dpl() != rpl)) {
    return processor.raise(Vector::GeneralProtection, error);
  }
  if (!descriptor.present()) return processor.raise(Vector::SegmentNotPresent, error);
  GUEST_TRY(mark_accessed(processor, descriptor));
  return descriptor.segment(selector);
}

}  // namespace ringshift::cpu
