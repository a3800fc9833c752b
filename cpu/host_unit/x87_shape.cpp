#include "cpu/host_unit/x87_shape.h"

namespace ringshift::cpu {
namespace {

using Result = X87Shape::Result;

/// Reads ST(0) and, unless `other` is 0 or kNone, ST(other).
X87Shape reading(u8 other, Result result, u8 pops = 0) {
  X87Shape shape;
  shape.light = shape.reads_top = true;
  if (other != 0 && other != X87Shape::kNone) {
    shape.other = other;
    shape.reads_other = true;
  } else if (result == Result::Other || result == Result::Both) {
    result = Result::Top;
  }
  shape.result = result;
  shape.pops = pops;
  return shape;
}

X87Shape comparing(u8 other, u8 pops) {
  X87Shape shape = reading(other, Result::None, pops);
  shape.conditions = X87Shape::kAllConditions;
  return shape;
}

/// FCMOVcc and the FCOMI family leave all condition codes alone.
X87Shape without_conditions(X87Shape shape) {
  shape.conditions = 0;
  return shape;
}

X87Shape pushing() {
  X87Shape shape;
  shape.light = shape.push = true;
  shape.result = Result::Top;
  return shape;
}

/// FADD, FMUL, FCOM, FCOMP, FSUB, FSUBR, FDIV, FDIVR by ModRM.reg.
X87Shape arithmetic(unsigned reg, u8 other, Result result) {
  if (reg == 2 || reg == 3) return comparing(other, reg == 3 ? 1 : 0);
  return reading(other, result);
}

X87Shape memory_shape(unsigned opcode, unsigned reg) {
  constexpr u8 kNone = X87Shape::kNone;
  if ((opcode & 1) == 0) return arithmetic(reg, kNone, Result::Top);
  const bool store = reg == 1 || reg == 2 || reg == 3 || reg == 6 || reg == 7;
  if (!store) return pushing();
  return reading(kNone, Result::None, reg == 2 ? 0 : 1);
}

/// D9 E0 to D9 FF: instructions without operands. FPREM isn't here, because it leaves different
/// condition codes alone for different operands, nor what pushes two results or perhaps none.
X87Shape implicit_shape(u8 modrm) {
  constexpr u8 kNone = X87Shape::kNone;
  X87Shape shape;
  switch (modrm) {
    case 0xE4:  // FTST
    case 0xE5:  // FXAM
      return comparing(kNone, 0);
    case 0xE0:  // FCHS
    case 0xE1:  // FABS
    case 0xF0:  // F2XM1
    case 0xFA:  // FSQRT
    case 0xFC:  // FRNDINT
      return reading(kNone, Result::Top);
    case 0xFE:  // FSIN
    case 0xFF:  // FCOS
      shape = reading(kNone, Result::Top);
      shape.conditions = X87Shape::kC1 | X87Shape::kC2;
      return shape;
    case 0xF1:  // FYL2X
    case 0xF3:  // FPATAN
    case 0xF9:  // FYL2XP1
      return reading(1, Result::Other, 1);
    case 0xFD:  // FSCALE
      return reading(1, Result::Top);
    default:
      return modrm >= 0xE8 && modrm <= 0xEE ? pushing() : X87Shape{};  // FLD1 to FLDZ
  }
}

X87Shape load_register(u8 index) {
  X87Shape shape = pushing();
  shape.reads_other = true;
  shape.other = static_cast<u8>(index + 1);  // as seen after the push
  shape.has_operation = false;
  return shape;
}

X87Shape store_register(u8 index, u8 pops) {
  X87Shape shape = reading(X87Shape::kNone, Result::Top, pops);
  shape.has_operation = false;
  if (index != 0) {
    shape.other = index;
    shape.result = Result::Other;
  }
  return shape;
}

X87Shape register_shape(u8 opcode, unsigned reg, u8 index, u8 modrm) {
  switch (opcode) {
    case 0xD8:
      return arithmetic(reg, index, Result::Top);
    case 0xDC:
      return arithmetic(reg, index, Result::Other);
    case 0xD9:
      if (reg == 0) return load_register(index);
      if (reg == 1) return reading(index, Result::Both);
      return implicit_shape(modrm);
    case 0xDA:
      if (reg < 4) return without_conditions(reading(index, Result::Top));  // FCMOVcc
      return modrm == 0xE9 ? comparing(index, 2) : X87Shape{};              // FUCOMPP
    case 0xDB:
      if (reg < 4) return without_conditions(reading(index, Result::Top));  // FCMOVNcc
      return reg < 7 ? without_conditions(reading(index, Result::None))
                     : X87Shape{};  // FUCOMI, FCOMI
    case 0xDD:
      if (reg == 2 || reg == 3) return store_register(index, reg == 3 ? 1 : 0);
      return reg >= 4 ? comparing(index, reg == 5 ? 1 : 0) : X87Shape{};  // FUCOM, FUCOMP
    case 0xDE:
      if (modrm == 0xD9) return comparing(index, 2);  // FCOMPP
      if (reg == 2 || reg == 3 || index == 0) return {};
      return reading(index, Result::Other, 1);
    default:
      return reg == 5 || reg == 6 ? without_conditions(reading(index, Result::None, 1))
                                  : X87Shape{};  // FUCOMIP, FCOMIP
  }
}

}  // namespace

X87Shape x87_shape(const Encoding& encoding) {
  if (encoding.memory()) return memory_shape(encoding.opcode, encoding.reg());
  return register_shape(encoding.opcode, encoding.reg(), static_cast<u8>(encoding.rm()),
                        encoding.modrm);
}

}  // namespace ringshift::cpu
