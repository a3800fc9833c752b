// The x87, MMX and MXCSR parts of ExtendedState by name, with the rules that tie them together: the
// error summary follows from flags and masks, the full tag word from the abridged one and the
// registers' contents, and the first MMX instruction turns the stack into a register file.
//
// Pointers are kept in the layout of FXSAVE without REX.W: 32-bit offset and 16-bit selector. The
// selectors are always 0 (Feature::NoFpuSelectors).
#pragma once

#include <array>
#include <cstring>

#include "cpu/state.h"
#include "cpu/types.h"

namespace ringshift::cpu::image {

// Byte offsets in the FXSAVE area. SDM 1 §10.5.1 table 10-2.
inline constexpr unsigned kControl = 0, kStatus = 2, kTag = 4, kOpcode = 6, kInstructionOffset = 8,
                          kInstructionSelector = 12, kDataOffset = 16, kDataSelector = 20,
                          kMxcsr = 24, kMxcsrMask = 28, kStack = 32, kXmm = 160;
/// x87 and MXCSR: everything before XMM0.
inline constexpr unsigned kX87Length = 160;

// Status word. SDM 1 §8.1.3.
inline constexpr u16 kExceptionFlags = 0x3F, kStackFault = 0x40, kErrorSummary = 0x80,
                     kBusy = 0x8000, kTopMask = 0x3800;
inline constexpr unsigned kTopShift = 11;
inline constexpr u16 kInvalid = 1, kDenormal = 2, kZeroDivide = 4, kOverflow = 8, kUnderflow = 16,
                     kPrecision = 32;

inline constexpr u16 kInitialControl = 0x037F;
inline constexpr u32 kInitialMxcsr = 0x1F80;

template <typename T>
T load(const ExtendedState& state, unsigned offset) {
  T value;
  std::memcpy(&value, state.legacy.data() + offset, sizeof value);
  return value;
}
template <typename T>
void store(ExtendedState& state, unsigned offset, T value) {
  std::memcpy(state.legacy.data() + offset, &value, sizeof value);
}

inline u16 control(const ExtendedState& state) {
  return load<u16>(state, kControl);
}
inline u16 status(const ExtendedState& state) {
  return load<u16>(state, kStatus);
}
inline u32 mxcsr(const ExtendedState& state) {
  return load<u32>(state, kMxcsr);
}
inline unsigned top(const ExtendedState& state) {
  return (status(state) & kTopMask) >> kTopShift;
}
/// Exception flags that the control word lets through.
inline u16 unmasked_flags(const ExtendedState& state) {
  return static_cast<u16>(status(state) & ~control(state) & kExceptionFlags);
}
/// An unmasked exception waits for the next waiting instruction.
inline bool exception_pending(const ExtendedState& state) {
  return (status(state) & kErrorSummary) != 0;
}

/// Sets ES and B as flags and masks demand: what the processor does whenever either is loaded.
void update_error_summary(ExtendedState& state);
/// Loads control or status word; bits that don't exist are dropped, ES and B follow.
void set_control(ExtendedState& state, u16 value);
void set_status(ExtendedState& state, u16 value);
/// Sets TOP alone: registers stay where they are, so that their places in stack order, and thus in
/// the image, change.
void set_top(ExtendedState& state, unsigned new_top);
/// FNINIT. SDM 2A FINIT.
void initialise_x87(ExtendedState& state);
/// Power-on: SDM 3A table 9-1 (INIT leaves this state alone).
void power_on(ExtendedState& state);

/// The 16-bit tag word of FSTENV, made from the abridged one. SDM 1 §8.1.7.
u16 full_tag_word(const ExtendedState& state);
void set_full_tag_word(ExtendedState& state, u16 value);

/// What every MMX instruction but EMMS does first: TOP 0, all tags valid. The image holds registers
/// in stack order, so that they move when TOP does. SDM 1 §9.5.1.
void enter_mmx(ExtendedState& state);
/// Writing MMn sets the exponent and sign of the register it aliases to ones. Needs TOP 0.
inline void mark_mmx_written(ExtendedState& state, unsigned reg) {
  store<u16>(state, kStack + 16 * reg + 8, 0xFFFF);
}

/// Moves the stack's contents in the image as TOP goes up (pops) or down (a push) by `places`, and
/// sets TOP. Tags are by physical register and stay.
void move_top(ExtendedState& state, int places);

/// The x87 part and MXCSR, to undo an instruction whose memory write faults.
using X87Copy = std::array<u8, kX87Length>;
inline X87Copy copy_x87(const ExtendedState& state) {
  X87Copy copy;
  std::memcpy(copy.data(), state.legacy.data(), copy.size());
  return copy;
}
inline void restore_x87(ExtendedState& state, const X87Copy& copy) {
  std::memcpy(state.legacy.data(), copy.data(), copy.size());
}

/// Register `reg` as 32 bytes, the upper half of a YMM register included.
using Vector32 = std::array<u8, 32>;
Vector32 read_ymm(const ExtendedState& state, unsigned reg);
/// Writes `length` (16 or 32) bytes and clears the rest, as VEX-encoded instructions do.
void write_ymm(ExtendedState& state, unsigned reg, const Vector32& value, unsigned length);

}  // namespace ringshift::cpu::image
