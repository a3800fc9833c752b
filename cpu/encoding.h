// A guest instruction's bytes taken apart just far enough to put them together again for the host:
// prefixes, opcode, ModRM, displacement, immediate. What Zydis says about operands is in
// Instruction; this is about bytes, because the host is to execute the very same operation.
#pragma once

#include "cpu/instruction.h"
#include "cpu/types.h"

namespace ringshift::cpu {

enum class OpcodeMap : u8 { Primary, Map0F, Map0F38, Map0F3A };
enum class EncodingForm : u8 { Legacy, Vex, Evex };

struct Encoding {
  EncodingForm form = EncodingForm::Legacy;
  OpcodeMap map = OpcodeMap::Primary;
  u8 opcode = 0;
  bool operand_size_prefix = false;
  u8 repeat_prefix = 0;  ///< F2h, F3h or 0: the last one counts
  bool vex_w = false;
  bool vex_l = false;
  u8 vex_pp = 0;
  u8 vex_vvvv = 0;  ///< register number, not inverted; 0-7 outside 64-bit mode
  bool has_modrm = false;
  u8 modrm = 0;
  u8 sib = 0;
  bool has_sib = false;
  i32 displacement = 0;
  u8 immediate_size = 0;  ///< bytes of all that follows ModRM and displacement
  u64 immediate = 0;      ///< zero-extended; of A0h-A3h the address

  unsigned mod() const { return modrm >> 6; }
  unsigned reg() const { return modrm >> 3 & 7; }
  unsigned rm() const { return modrm & 7; }
  bool memory() const { return has_modrm && mod() != 3; }
  bool has_immediate() const { return immediate_size != 0; }
};

/// Takes apart any instruction of 16- or 32-bit code; of EVEX ones, which no model has, only the
/// form is told.
Encoding parse_encoding(const Instruction& instruction);

/// VEX.W chooses a 64-bit general register in 64-bit mode only; outside it is ignored. SDM 2A
/// §2.3.5.3.
bool w_means_gpr_width(const Encoding& encoding);

/// The fourth register operand sits in the immediate's upper half, whose highest bit 32-bit code
/// may set to no effect: VBLENDVPS, VBLENDVPD, VPBLENDVB.
bool immediate_names_register(const Encoding& encoding);

}  // namespace ringshift::cpu
