// Which registers an x87 instruction reads and writes and what it does to the stack. With that
// known, the common case, all exceptions masked and no register empty that is read, needs only
// those registers on the host's stack, a quarter of the time that FXRSTOR and FXSAVE of everything
// take.
#pragma once

#include "cpu/encoding.h"
#include "cpu/types.h"

namespace ringshift::cpu {

struct X87Shape {
  enum class Result : u8 {
    None,
    Top,    ///< ST(0)
    Other,  ///< ST(other)
    Both,   ///< FXCH
  };
  static constexpr u8 kNone = 0xFF;
  // Condition codes in the status word.
  static constexpr u16 kC0 = 0x100, kC1 = 0x200, kC2 = 0x400, kC3 = 0x4000;
  static constexpr u16 kAllConditions = kC0 | kC1 | kC2 | kC3;

  bool light = false;        ///< all of this is known: the short way may be taken
  bool reads_top = false;    ///< ST(0)
  bool reads_other = false;  ///< ST(other)
  u8 other = kNone;          ///< a second register, never 0
  Result result = Result::None;
  bool push = false;  ///< onto an empty ST(7), which becomes ST(0): the result
  u8 pops = 0;
  bool has_operation =
      true;  ///< false: loading and storing is all there is to it (FLD, FST of registers)
  u16 conditions = kC1;  ///< condition codes that it sets
};

/// The shape of a D8h-DFh instruction that isn't a control instruction.
X87Shape x87_shape(const Encoding& encoding);

}  // namespace ringshift::cpu
