#include "cpu/decoder_flags.h"

namespace ringshift::cpu {

namespace {

constexpr u8 kAll = flag_bits::All;

constexpr u8 to_flag_bits(u32 flags) {
  u8 bits = 0;
  if ((flags & ZYDIS_CPUFLAG_CF) != 0) bits |= flag_bits::CF;
  if ((flags & ZYDIS_CPUFLAG_PF) != 0) bits |= flag_bits::PF;
  if ((flags & ZYDIS_CPUFLAG_AF) != 0) bits |= flag_bits::AF;
  if ((flags & ZYDIS_CPUFLAG_ZF) != 0) bits |= flag_bits::ZF;
  if ((flags & ZYDIS_CPUFLAG_SF) != 0) bits |= flag_bits::SF;
  if ((flags & ZYDIS_CPUFLAG_OF) != 0) bits |= flag_bits::OF;
  return bits;
}

/// What an instruction does to the flags, before "possibly" is counted as reading.
struct Effects {
  u8 tested = 0;
  u8 certain = 0;   ///< replaced whatever the operands
  u8 possible = 0;  ///< replaced or kept, depending on operands or on the processor's maker
};

/// Shifts and rotates by CL change nothing if CL is 0 modulo 32.
Effects all_possible(Effects effects) {
  effects.possible |= effects.certain;
  effects.certain = 0;
  return effects;
}

/// Shifts and rotates by an immediate, which includes the forms by 1. SDM 2, "SAL/SAR/SHL/SHR",
/// "RCL/RCR/ROL/ROR", "SHLD".
Effects immediate_shift(ZydisMnemonic mnemonic, unsigned bits, unsigned count) {
  using namespace flag_bits;
  if (count == 0) return {};
  const u8 overflow_if_by_one = count == 1 ? OF : u8{0};
  const u8 overflow_otherwise = count == 1 ? u8{0} : OF;
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
      return {0, static_cast<u8>(CF | overflow_if_by_one), overflow_otherwise};
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
      return {CF, static_cast<u8>(CF | overflow_if_by_one), overflow_otherwise};
    default: {
      // Undefined: all flags of a double shift by more than the operand's width, CF of a shift left
      // or right by the width or more.
      const bool twice = mnemonic == ZYDIS_MNEMONIC_SHLD || mnemonic == ZYDIS_MNEMONIC_SHRD;
      if (twice && count > bits) return {0, 0, kAll};
      const u8 carry_otherwise = !twice && mnemonic != ZYDIS_MNEMONIC_SAR && count >= bits ? CF : 0;
      const u8 certain = static_cast<u8>((CF | PF | ZF | SF | overflow_if_by_one));
      return {0, static_cast<u8>(certain & ~carry_otherwise),
              static_cast<u8>(AF | overflow_otherwise | carry_otherwise)};
    }
  }
}

Effects effects_of(const ZydisDecodedInstruction& decoded, const Instruction& instruction) {
  const ZydisAccessedFlags* const flags = decoded.cpu_flags;
  if (flags == nullptr) return {};
  Effects effects;
  effects.tested = to_flag_bits(flags->tested);
  effects.certain = to_flag_bits(flags->modified | flags->set_0 | flags->set_1);
  effects.possible = to_flag_bits(flags->undefined);
  switch (decoded.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD: {
      const Operand& count = instruction.operands[instruction.operand_count - 1];
      if (count.kind != OperandKind::Immediate) return all_possible(effects);
      return immediate_shift(decoded.mnemonic, instruction.operands[0].size * 8U,
                             instruction.immediate & 31);
    }
    // With a count of 0 they don't compare at all.
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
      if (instruction.repeat != RepeatPrefix::None) return {0, 0, effects.certain};
      return effects;
    // An unmasked invalid operand leaves the flags as they are, and what happens to OF, SF and AF
    // is told differently by different manuals.
    case ZYDIS_MNEMONIC_FCOMI:
    case ZYDIS_MNEMONIC_FCOMIP:
    case ZYDIS_MNEMONIC_FUCOMI:
    case ZYDIS_MNEMONIC_FUCOMIP:
      return {0, 0, kAll};
    // AF: undefined by the manual, but no processor keeps it (SBB: Zydis calls it undefined).
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_SBB:
    // Zydis leaves out the flags that these clear. SDM 2, "PTEST", "VTESTPD".
    case ZYDIS_MNEMONIC_VPTEST:
    case ZYDIS_MNEMONIC_VTESTPD:
    case ZYDIS_MNEMONIC_VTESTPS:
      effects.certain = kAll;
      effects.possible = 0;
      return effects;
    default:
      return effects;
  }
}

}  // namespace

FlagEffects flag_effects(const ZydisDecodedInstruction& decoded, const Instruction& instruction) {
  // Events store the flags in a frame; where other far transfers lead may look at them.
  if (instruction.control_flow == ControlFlow::Far) return {kAll, 0};
  const Effects effects = effects_of(decoded, instruction);
  return {static_cast<u8>(effects.tested | effects.possible),
          static_cast<u8>(effects.certain & ~effects.possible)};
}

}  // namespace ringshift::cpu
