// A guest instruction's bytes taken apart just far enough to put them together again for the host:
// prefixes, opcode, ModRM, immediate. What Zydis says about operands is in Instruction; this is
// about bytes, because the host is to execute the very same operation.
#pragma once

#include <array>

#include "cpu/instruction.h"
#include "cpu/types.h"

namespace ringshift::cpu {

enum class OpcodeMap : u8 { Primary, Map0F, Map0F38, Map0F3A };
enum class EncodingForm : u8 { Legacy, Vex, Evex };

/// Bytes of a re-encoded instruction.
struct HostBytes {
  std::array<u8, 16> bytes{};
  u8 length = 0;
  void push(unsigned byte) { bytes[length++] = static_cast<u8>(byte); }
  friend bool operator==(const HostBytes&, const HostBytes&) = default;
};

struct Encoding {
  EncodingForm form = EncodingForm::Legacy;
  OpcodeMap map = OpcodeMap::Primary;
  u8 opcode = 0;
  bool operand_size_prefix = false;
  u8 repeat_prefix = 0;  ///< F2h, F3h or 0: the last one counts
  SegmentName segment = SegmentName::DS;
  bool segment_overridden = false;
  bool vex_w = false;
  bool vex_l = false;
  u8 vex_pp = 0;
  u8 vex_vvvv = 0;  ///< register number, not inverted; 0-7 outside 64-bit mode
  bool has_modrm = false;
  u8 modrm = 0;
  u8 sib = 0;
  bool has_sib = false;
  i32 displacement = 0;
  bool has_immediate = false;
  u8 immediate = 0;

  unsigned mod() const { return modrm >> 6; }
  unsigned reg() const { return modrm >> 3 & 7; }
  unsigned rm() const { return modrm & 7; }
  bool memory() const { return has_modrm && mod() != 3; }
};

/// Takes apart an x87, MMX, SSE or VEX instruction of 16- or 32-bit code.
Encoding parse_encoding(const Instruction& instruction);

/// How the host's encoding of an instruction differs from the guest's.
struct Reencoding {
  bool gpr_in_reg = false;  ///< ModRM.reg names a general register: becomes EAX
  bool gpr_in_rm = false;   ///< ModRM.rm names a general register: becomes EAX
};

/// The same instruction for 64-bit mode: memory operand [RDI], general register EAX, no segment or
/// address-size prefix, registers 0-7 as they were.
HostBytes reencode(const Encoding& encoding, Reencoding how);

/// Which ModRM field of an instruction with a general register operand holds it.
Reencoding gpr_fields(const Encoding& encoding);

}  // namespace ringshift::cpu
