// "Copy" translation: one guest instruction of 16- or 32-bit code as the instruction of 64-bit mode
// that does the very same on the host registers which stand for the guest's. It works on encodings
// and not on mnemonics, because what differs between the modes is a handful of rules about prefixes
// and fields, while the instructions are a thousand.
#pragma once

#include "cpu/instruction.h"
#include "translator/emit/encoding.h"

namespace ringshift::translator {

enum class ReencodeStatus : u8 {
  Ok,
  /// AH, CH, DH or BH is an operand and another one needs a REX prefix, beside which those can't be
  /// named. A memory operand made of registers 0-7 helps, except for MOVZX, MOVSX and CRC32 from
  /// such a register into ESP.
  NeedsHighByteHelp,
  /// No copy does the same: others emit the instruction, or the interpreter executes it.
  Unsupported,
};

/// Re-encodes `instruction`, whose explicit memory operand, if it has one, lies at `memory`;
/// without a `memory` for it the answer is Unsupported, but for hints. LEA takes from `memory` only
/// the sum, modulo the operand size. On anything but Ok `into` is empty.
///
/// Unsupported are branches, stack and string instructions, ports, everything with implicit memory
/// operands (XLAT, MASKMOVQ), gathers, segment and system registers, instructions that 64-bit mode
/// lacks (DAA, AAM, BOUND, LES...), CLD and STD (the host's DF stays clear), and FXSAVE, FXRSTOR
/// and the XSAVE family, which would take along registers 8-15. Wide NOPs become 90h; prefetches
/// are hints, so they become 90h only if `memory` is null.
ReencodeStatus reencode(const cpu::Instruction& instruction, const HostMemory* memory,
                        HostCode& into);

}  // namespace ringshift::translator
