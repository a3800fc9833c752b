#include "cpu/host_unit/thunk_emitter.h"

#include <cstddef>

#include "cpu/host_unit/x87_image.h"

namespace ringshift::cpu {
namespace {

constexpr u32 xmm_offset(unsigned reg) {
  return image::kXmm + 16 * reg;
}
constexpr u32 ymm_high_offset(unsigned reg) {
  return static_cast<u32>(offsetof(ExtendedState, ymm_high)) + 16 * reg;
}

}  // namespace

void ThunkEmitter::put(std::initializer_list<unsigned> bytes) {
  for (unsigned byte : bytes) code_.push_back(static_cast<u8>(byte));
}

void ThunkEmitter::modrm_state(unsigned reg, u32 displacement) {
  put({0x86U | reg << 3, displacement & 0xFF, displacement >> 8 & 0xFF, displacement >> 16 & 0xFF,
       displacement >> 24});
}

void ThunkEmitter::modrm_frame(unsigned reg, std::size_t displacement) {
  static_assert(sizeof(Thunk::Frame) <= 128, "frame offsets are encoded in 8 bits");
  put({0x47U | reg << 3, static_cast<unsigned>(displacement)});
}

void ThunkEmitter::guest_operation(const HostBytes& bytes) {
  code_.insert(code_.end(), bytes.bytes.begin(), bytes.bytes.begin() + bytes.length);
}

void ThunkEmitter::load_xmm(unsigned reg) {
  put({0x0F, 0x10});  // MOVUPS
  modrm_state(reg, xmm_offset(reg));
}

void ThunkEmitter::store_xmm(unsigned reg) {
  put({0x0F, 0x11});
  modrm_state(reg, xmm_offset(reg));
}

void ThunkEmitter::load_ymm(unsigned reg) {
  put({0xC5, 0xF8, 0x10});  // VMOVUPS xmm
  modrm_state(reg, xmm_offset(reg));
  put({0xC4, 0xE3, (~reg & 15U) << 3 | 5U, 0x18});  // VINSERTF128 ymm, ymm, [RSI + n], 1
  modrm_state(reg, ymm_high_offset(reg));
  put({1});
}

void ThunkEmitter::store_ymm(unsigned reg) {
  put({0xC5, 0xF8, 0x11});
  modrm_state(reg, xmm_offset(reg));
  put({0xC4, 0xE3, 0x7D, 0x19});  // VEXTRACTF128 [RSI + n], ymm, 1
  modrm_state(reg, ymm_high_offset(reg));
  put({1});
}

void ThunkEmitter::load_mmx(unsigned reg) {
  put({0x0F, 0x6F});  // MOVQ
  modrm_state(reg, image::kStack + 16 * reg);
}

void ThunkEmitter::store_mmx(unsigned reg) {
  put({0x0F, 0x7F});
  modrm_state(reg, image::kStack + 16 * reg);
}

void ThunkEmitter::load_gpr(unsigned number) {
  put({0x8B});
  modrm_frame(number, offsetof(Thunk::Frame, gpr) + 8 * number);
}

void ThunkEmitter::store_gpr(unsigned number) {
  put({0x89});
  modrm_frame(number, offsetof(Thunk::Frame, gpr) + 8 * number);
}

void ThunkEmitter::load_flags() {
  put({0xFF});  // PUSH qword [RDI + n]
  modrm_frame(6, offsetof(Thunk::Frame, flags));
  put({0x9D});  // POPFQ
}

void ThunkEmitter::store_flags() {
  put({0x9C});  // PUSHFQ
  put({0x8F});  // POP qword [RDI + n]
  modrm_frame(0, offsetof(Thunk::Frame, flags));
}

void ThunkEmitter::load_st(unsigned place) {
  put({0xDB});  // FLD tword
  modrm_state(5, image::kStack + 16 * place);
}

void ThunkEmitter::store_st_and_pop(unsigned place) {
  put({0xDB});  // FSTP tword
  modrm_state(7, image::kStack + 16 * place);
}

void ThunkEmitter::enter_guest_control() {
  put({0xD9});  // FLDCW
  modrm_state(5, image::kControl);
}

void ThunkEmitter::leave_guest_control() {
  put({0xD9});
  modrm_frame(5, offsetof(Thunk::Frame, host_control));
}

void ThunkEmitter::store_status() {
  put({0xDD});  // FNSTSW
  modrm_frame(7, offsetof(Thunk::Frame, status));
}

void ThunkEmitter::fxrstor() {
  put({0x48, 0x0F, 0xAE, 0x0E});
}

void ThunkEmitter::fxsave() {
  put({0x48, 0x0F, 0xAE, 0x06});
}

void ThunkEmitter::clean_x87() {
  // EMMS and FLDCW are cheaper than FNINIT, but would trap on a pending exception.
  put({0xF6});  // TEST byte [RSI + kStatus], kErrorSummary
  modrm_state(0, image::kStatus);
  put({image::kErrorSummary});
  put({0x74, 0x02});  // JZ over the next
  put({0xDB, 0xE2});  // FNCLEX
  emms();
  leave_guest_control();
}

void ThunkEmitter::return_value(u32 value) {
  put({0xB8, value & 0xFF, value >> 8 & 0xFF, value >> 16 & 0xFF, value >> 24, 0xC3});
}

}  // namespace ringshift::cpu
