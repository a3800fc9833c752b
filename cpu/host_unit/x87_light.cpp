// The short way through the x87 unit: only the registers that an instruction names are loaded, onto
// a host stack that is otherwise empty. See x87_shape.h.
#include "cpu/host_unit/host_unit.h"
#include "cpu/host_unit/thunk_emitter.h"
#include "cpu/host_unit/x87_image.h"

namespace ringshift::cpu {
namespace {

/// Register operands of D8-DF with ModRM.mod 3, but for the instructions that name none.
bool names_register(const Encoding& encoding) {
  return !encoding.memory() && (encoding.opcode != 0xD9 || encoding.reg() < 2);
}

void emit_operation(ThunkEmitter& emitter, const X87Shape& shape, const Encoding& encoding) {
  if (!shape.has_operation) return;
  Encoding host = encoding;
  if (names_register(encoding)) {
    const unsigned place = shape.reads_other ? 1 : 0;  // on the host's stack
    host.modrm = static_cast<u8>((encoding.modrm & ~7U) | place);
  }
  emitter.guest_operation(reencode(host, {}));
}

/// Stores the results from the host's stack and leaves it empty.
void emit_results(ThunkEmitter& emitter, const X87Shape& shape) {
  using Result = X87Shape::Result;
  int depth = (shape.reads_top ? 1 : 0) + (shape.reads_other ? 1 : 0);
  if (shape.has_operation) depth += (shape.push ? 1 : 0) - shape.pops;
  if (shape.result == Result::Other && depth == 2) {
    emitter.discard_st();
    --depth;
  }
  if (shape.result == Result::Top || shape.result == Result::Both) {
    emitter.store_st_and_pop(0);
    --depth;
  }
  if (shape.result == Result::Other || shape.result == Result::Both) {
    emitter.store_st_and_pop(shape.other);
    --depth;
  }
  for (; depth > 0; --depth) emitter.discard_st();
}

}  // namespace

Thunk::Entry HostUnit::build_x87_light(const Thunk& thunk, const Encoding& encoding) {
  const X87Shape& shape = thunk.shape;
  ThunkEmitter emitter;
  emitter.enter_guest_control();
  if (shape.reads_other) emitter.load_st(shape.other);
  if (shape.reads_top) emitter.load_st(0);
  if (thunk.x87_flags_in || thunk.x87_flags_out) emitter.load_flags();
  emit_operation(emitter, shape, encoding);
  if (thunk.x87_flags_out) emitter.store_flags();
  emitter.store_status();
  emit_results(emitter, shape);
  emitter.leave_guest_control();
  emitter.return_value(static_cast<u32>(Outcome::Done));
  return place(emitter.code());
}

bool HostUnit::x87_light_applies(const Thunk& thunk, const ExtendedState& state) {
  if (thunk.light_entry == nullptr) return false;
  if ((image::control(state) & image::kExceptionFlags) != image::kExceptionFlags) return false;
  const X87Shape& shape = thunk.shape;
  const unsigned tags = image::load<u8>(state, image::kTag);
  const unsigned top = image::top(state);
  const auto occupied = [&](unsigned place) { return (tags >> ((top + place) & 7) & 1) != 0; };
  if (shape.reads_top && !occupied(0)) return false;
  if (shape.reads_other && !occupied(shape.other - (shape.push ? 1U : 0U))) return false;
  return !shape.push || !occupied(7);
}

void HostUnit::run_x87_light(const Thunk& thunk, ExtendedState& state) {
  // The guest's flags are sticky, and so are the host's: they need clearing only when the guest's
  // have been.
  if ((x87_residue_ & ~image::status(state)) != 0) {
    __asm__ volatile("fnclex");
    x87_residue_ = 0;
  }
  if (thunk.shape.push) image::move_top(state, -1);
  thunk.light_entry(&frame_, &state);
  x87_residue_ = frame_.status & image::kExceptionFlags;
}

void HostUnit::forget_host_status() {
  x87_residue_ = image::kExceptionFlags;
}

void HostUnit::commit_x87_light(const Thunk& thunk, ExtendedState& state) const {
  const X87Shape& shape = thunk.shape;
  const u16 kept = static_cast<u16>(image::status(state) & ~shape.conditions);
  const u16 gained = frame_.status & (shape.conditions | image::kExceptionFlags);
  image::store<u16>(state, image::kStatus, kept | gained);
  unsigned tags = image::load<u8>(state, image::kTag);
  const unsigned top = image::top(state);
  if (shape.push) tags |= 1U << top;
  if (shape.result == X87Shape::Result::Other) tags |= 1U << ((top + shape.other) & 7);
  for (unsigned i = 0; i < shape.pops; ++i) tags &= ~(1U << ((top + i) & 7));
  image::store<u8>(state, image::kTag, static_cast<u8>(tags));
  if (shape.pops != 0) image::move_top(state, shape.pops);
}

}  // namespace ringshift::cpu
