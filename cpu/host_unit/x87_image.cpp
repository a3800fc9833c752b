#include "cpu/host_unit/x87_image.h"

#include <algorithm>

namespace ringshift::cpu::image {

void update_error_summary(ExtendedState& state) {
  const u16 rest = status(state) & static_cast<u16>(~(kErrorSummary | kBusy));
  const u16 summary = unmasked_flags(state) != 0 ? kErrorSummary | kBusy : 0;
  store<u16>(state, kStatus, rest | summary);
}

void set_control(ExtendedState& state, u16 value) {
  constexpr u16 kAlwaysSet = 0x0040, kExisting = 0x1F3F;
  store<u16>(state, kControl, (value & kExisting) | kAlwaysSet);
  update_error_summary(state);
}

void set_status(ExtendedState& state, u16 value) {
  store<u16>(state, kStatus, value);
  update_error_summary(state);
}

void set_top(ExtendedState& state, unsigned new_top) {
  move_top(state, static_cast<int>((new_top - top(state)) & 7));
}

void initialise_x87(ExtendedState& state) {
  set_top(state, 0);
  std::fill_n(state.legacy.begin(), kMxcsr, u8{0});
  store<u16>(state, kControl, kInitialControl);
}

void power_on(ExtendedState& state) {
  constexpr u16 kPowerOnControl = 0x0040;
  constexpr u8 kAllComponents = 7;  // XSTATE_BV: the host's XRSTOR is to load all that is here
  state = ExtendedState{};
  store<u16>(state, kControl, kPowerOnControl);
  store<u8>(state, kTag, 0xFF);  // the full tag word is 5555h: registers hold +0, none is empty
  store<u32>(state, kMxcsr, kInitialMxcsr);
  state.header[0] = kAllComponents;
}

u16 full_tag_word(const ExtendedState& state) {
  enum Tag : u16 { Valid, Zero, Special, Empty };
  const u8 abridged = load<u8>(state, kTag);
  u16 word = 0;
  for (unsigned physical = 0; physical < 8; ++physical) {
    Tag tag = Empty;
    if ((abridged >> physical & 1) != 0) {
      const unsigned offset = kStack + 16 * ((physical - top(state)) & 7);
      const u64 significand = load<u64>(state, offset);
      const u16 exponent = load<u16>(state, offset + 8) & 0x7FFF;
      if (exponent == 0 && significand == 0) {
        tag = Zero;
      } else if (exponent == 0 || exponent == 0x7FFF || significand >> 63 == 0) {
        tag = Special;
      } else {
        tag = Valid;
      }
    }
    word = static_cast<u16>(word | tag << (2 * physical));
  }
  return word;
}

void set_full_tag_word(ExtendedState& state, u16 value) {
  u8 abridged = 0;
  for (unsigned physical = 0; physical < 8; ++physical) {
    if ((value >> (2 * physical) & 3) != 3) abridged = static_cast<u8>(abridged | 1U << physical);
  }
  store<u8>(state, kTag, abridged);
}

void enter_mmx(ExtendedState& state) {
  set_top(state, 0);  // MMn is physical register n
  store<u8>(state, kTag, 0xFF);
}

void move_top(ExtendedState& state, int places) {
  // Registers are moved in the pieces that FSTP writes, so that stores are forwarded to these
  // loads.
  struct Register {
    u64 significand;
    u16 exponent;
  };
  std::array<Register, 8> registers;
  u8* stack = state.legacy.data() + kStack;
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(&registers[i].significand, stack + 16 * i, 8);
    std::memcpy(&registers[i].exponent, stack + 16 * i + 8, 2);
  }
  for (unsigned i = 0; i < 8; ++i) {
    const Register& from = registers[(i + static_cast<unsigned>(places)) & 7];
    std::memcpy(stack + 16 * i, &from.significand, 8);
    std::memcpy(stack + 16 * i + 8, &from.exponent, 2);
  }
  const unsigned new_top = (top(state) + static_cast<unsigned>(places)) & 7;
  store<u16>(state, kStatus, static_cast<u16>((status(state) & ~kTopMask) | new_top << kTopShift));
}

Vector32 read_ymm(const ExtendedState& state, unsigned reg) {
  Vector32 value;
  std::memcpy(value.data(), state.legacy.data() + kXmm + 16 * reg, 16);
  std::memcpy(value.data() + 16, state.ymm_high.data() + 16 * reg, 16);
  return value;
}

void write_ymm(ExtendedState& state, unsigned reg, const Vector32& value, unsigned length) {
  std::memcpy(state.legacy.data() + kXmm + 16 * reg, value.data(), 16);
  u8* high = state.ymm_high.data() + 16 * reg;
  if (length > 16) {
    std::memcpy(high, value.data() + 16, 16);
  } else {
    std::memset(high, 0, 16);
  }
}

}  // namespace ringshift::cpu::image
