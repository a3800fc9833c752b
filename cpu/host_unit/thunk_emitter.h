// The handful of host instructions that surround a guest's operation in a thunk. Registers of a
// thunk: RDI the Frame, RSI the ExtendedState (SysV order of its arguments); EAX ECX EDX are
// scratch.
#pragma once

#include <span>
#include <vector>

#include "cpu/host_unit/encoding.h"
#include "cpu/host_unit/host_unit.h"

namespace ringshift::cpu {

class ThunkEmitter {
 public:
  std::span<const u8> code() const { return code_; }

  void guest_operation(const HostBytes& bytes);

  // SIMD registers, between ExtendedState and the register of the same number (0-7).
  void load_xmm(unsigned reg);
  void store_xmm(unsigned reg);
  void load_ymm(unsigned reg);
  void store_ymm(unsigned reg);
  void load_mmx(unsigned reg);
  void store_mmx(unsigned reg);

  /// EAX, ECX, EDX (0-2) from and to Frame::gpr.
  void load_gpr(unsigned number);
  void store_gpr(unsigned number);

  void load_flags();
  void store_flags();

  // Single x87 registers, by their place in the image.
  void load_st(unsigned place);
  void store_st_and_pop(unsigned place);
  void discard_st() { put({0xDD, 0xD8}); }
  void enter_guest_control();
  void leave_guest_control();
  void store_status();

  void fxrstor();
  void fxsave();
  /// Leaves the x87 unit as the ABI wants it: empty, with the control word of Frame::host_control.
  void clean_x87();
  void emms() { put({0x0F, 0x77}); }
  void vzeroupper() { put({0xC5, 0xF8, 0x77}); }
  void return_value(u32 value);

 private:
  void put(std::initializer_list<unsigned> bytes);
  void modrm_state(unsigned reg, u32 displacement);          ///< reg, [RSI + displacement]
  void modrm_frame(unsigned reg, std::size_t displacement);  ///< reg, [RDI + displacement]

  std::vector<u8> code_;
};

}  // namespace ringshift::cpu
