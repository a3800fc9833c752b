#include "translator/emit/reencode.h"

#include <algorithm>

#include "cpu/decoder.h"
#include "cpu/encoding.h"

namespace ringshift::translator {
namespace {

using cpu::Encoding;
using cpu::EncodingForm;
using cpu::Instruction;
using cpu::OpcodeMap;
using cpu::Operand;
using cpu::OperandField;
using cpu::OperandKind;

constexpr u8 kNop = 0x90;

constexpr bool within(unsigned value, unsigned first, unsigned last) {
  return value >= first && value <= last;
}

// --- which encodings can be copied ---------------------------------------------------------------
// SDM 2D appendix A throughout. What isn't named is not copied.

bool primary_is_copied(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  const unsigned reg = encoding.reg();
  if (opcode < 0x40) return (opcode & 7) < 6;   // the eight operations, without PUSH, DAA, AAA...
  if (within(opcode, 0x40, 0x4F)) return true;  // INC, DEC: become FFh
  if (within(opcode, 0x80, 0x8B)) return true;  // group 1 (82h becomes 80h), TEST, XCHG, MOV
  if (within(opcode, 0x90, 0x99)) return true;  // XCHG, NOP, PAUSE, CBW, CWD
  if (within(opcode, 0xA0, 0xA3)) return true;  // MOV with an address: becomes 88h-8Bh
  if (within(opcode, 0xB0, 0xC1)) return true;  // MOV immediate, shifts
  if (within(opcode, 0xD0, 0xD3) || within(opcode, 0xD8, 0xDF)) return true;  // shifts, x87
  switch (opcode) {
    case 0x69:  // IMUL
    case 0x6B:
    case 0x8D:  // LEA
    case 0x9B:  // FWAIT
    case 0x9E:  // SAHF
    case 0x9F:  // LAHF
    case 0xA8:  // TEST
    case 0xA9:
    case 0xF5:  // CMC
    case 0xF6:  // group 3
    case 0xF7:
    case 0xF8:  // CLC
    case 0xF9:  // STC
      return true;
    case 0xC6:  // MOV
    case 0xC7:
      return reg == 0;
    case 0xFE:  // INC, DEC
    case 0xFF:
      return reg <= 1;
    default:
      return false;
  }
}

/// Opcodes of 0Fh that hold MMX, SSE and AVX instructions alone.
bool is_vector_row(u8 opcode) {
  return within(opcode, 0x10, 0x17) || within(opcode, 0x28, 0x2F) || within(opcode, 0x50, 0x77) ||
         within(opcode, 0x7C, 0x7F) || opcode == 0xC2 || within(opcode, 0xC4, 0xC6) ||
         within(opcode, 0xD0, 0xFE);
}

bool group_15_is_copied(const Encoding& encoding) {
  const unsigned reg = encoding.reg();
  // LDMXCSR, STMXCSR, CLFLUSH and CLFLUSHOPT; LFENCE, MFENCE, SFENCE.
  return encoding.memory() ? reg == 2 || reg == 3 || reg == 7 : reg >= 5;
}

bool map_0f_is_copied(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  constexpr u8 kMaskedMove = 0xF7;  // MASKMOVQ, MASKMOVDQU: implicit [EDI]
  if (is_vector_row(opcode)) return opcode != kMaskedMove;
  if (opcode == 0xAE) {
    return encoding.repeat_prefix == 0 && group_15_is_copied(encoding);
  }
  if (encoding.form == EncodingForm::Vex) return false;
  if (within(opcode, 0x40, 0x4F) || within(opcode, 0x90, 0x9F)) return true;  // CMOVcc, SETcc
  if (within(opcode, 0xC8, 0xCF)) return true;                                // BSWAP
  if (within(opcode, 0xBA, 0xC1)) return true;  // BTx, BSF, BSR, MOVSX, XADD
  switch (opcode) {
    case 0xA3:  // BT
    case 0xA4:  // SHLD
    case 0xA5:
    case 0xAB:  // BTS
    case 0xAC:  // SHRD
    case 0xAD:
    case 0xAF:  // IMUL
    case 0xB0:  // CMPXCHG
    case 0xB1:
    case 0xB3:  // BTR
    case 0xB6:  // MOVZX
    case 0xB7:
    case 0xC3:  // MOVNTI
      return true;
    case 0xB8:  // POPCNT
      return encoding.repeat_prefix == 0xF3;
    case 0xC7:  // CMPXCHG8B; RDRAND and RDSEED, but not RDPID
      return encoding.memory() ? encoding.reg() == 1
                               : encoding.reg() >= 6 && encoding.repeat_prefix == 0;
    default:
      return false;
  }
}

bool map_0f38_is_copied(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  if (encoding.form == EncodingForm::Vex) return !within(opcode, 0x90, 0x93);  // gathers
  if (opcode < 0x80 || within(opcode, 0xC8, 0xDF)) return true;  // SSSE3, SSE4, SHA, AES
  if (opcode == 0xF0 || opcode == 0xF1) return true;             // MOVBE, CRC32
  // ADCX, ADOX.
  return opcode == 0xF6 && (encoding.operand_size_prefix || encoding.repeat_prefix == 0xF3);
}

bool is_copied(const Encoding& encoding) {
  if (encoding.form == EncodingForm::Evex) return false;
  switch (encoding.map) {
    case OpcodeMap::Primary:
      return encoding.form == EncodingForm::Legacy && primary_is_copied(encoding);
    case OpcodeMap::Map0F:
      return map_0f_is_copied(encoding);
    case OpcodeMap::Map0F38:
      return map_0f38_is_copied(encoding);
    case OpcodeMap::Map0F3A:
      return true;
  }
  return false;
}

/// NOP and what may be executed as one: prefetches and the reserved hints. SDM 2B "NOP", table A-3
/// rows 0Dh and 18h-1Fh.
bool is_hint(const Encoding& encoding) {
  return encoding.form == EncodingForm::Legacy && encoding.map == OpcodeMap::Map0F &&
         (encoding.opcode == 0x0D || within(encoding.opcode, 0x18, 0x1F));
}

bool is_prefetch(const Encoding& encoding) {
  if (!encoding.memory()) return false;
  return encoding.opcode == 0x0D ? encoding.reg() <= 2
                                 : encoding.opcode == 0x18 && encoding.reg() <= 3;
}

// --- prefixes ------------------------------------------------------------------------------------

/// What 66h, F2h and F3h are to a legacy encoding.
struct PrefixMeaning {
  bool operand_size = false;  ///< 66h chooses between operands of 16 and 32 bits
  bool mandatory = false;     ///< 66h, F2h and F3h belong to the opcode
  bool repeat = false;        ///< F2h and F3h alone belong to the opcode
};

/// FLDENV, FNSTENV, FRSTOR, FNSAVE: the image has two sizes.
bool is_x87_environment(const Encoding& encoding) {
  if (!encoding.memory()) return false;
  if (encoding.opcode != 0xD9 && encoding.opcode != 0xDD) return false;
  return encoding.reg() == 4 || encoding.reg() == 6;
}

PrefixMeaning primary_prefixes(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  if (within(opcode, 0xD8, 0xDF)) return {.operand_size = is_x87_environment(encoding)};
  if (opcode == 0x90) return {.repeat = true};  // PAUSE; as XCHG eAX, eAX no size counts
  // Byte operations; those without operands, which the size doesn't change.
  const bool bytes =
      opcode < 0x40 || within(opcode, 0x80, 0x8B) || within(opcode, 0xA0, 0xA9) || opcode >= 0xC0
          ? (opcode & 1) == 0
          : within(opcode, 0xB0, 0xB7);
  const bool no_operands = opcode == 0x9B || opcode == 0x9E || opcode == 0x9F || opcode == 0xF5 ||
                           opcode == 0xF8 || opcode == 0xF9;
  return {.operand_size = !bytes && !no_operands};
}

/// Without BMI1 or LZCNT in the model, F3h before BSF and BSR means nothing; the host might know
/// better.
bool counts_zeros(const Instruction& instruction) {
  const std::string_view name = cpu::mnemonic_name(instruction.mnemonic);
  return name == "tzcnt" || name == "lzcnt";
}

PrefixMeaning prefix_meaning(const Instruction& instruction, const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  switch (encoding.map) {
    case OpcodeMap::Primary:
      return primary_prefixes(encoding);
    case OpcodeMap::Map0F:
      if (is_vector_row(opcode) || opcode == 0xAE) return {.mandatory = true};
      if (within(opcode, 0x90, 0x9F) || opcode == 0xB0 || opcode == 0xC0 || opcode == 0xC3)
        return {};
      if (opcode == 0xC7) return {.operand_size = !encoding.memory()};
      if (opcode == 0xB8) return {.operand_size = true, .repeat = true};
      if (opcode == 0xBC || opcode == 0xBD) {
        return {.operand_size = true, .repeat = counts_zeros(instruction)};
      }
      return {.operand_size = !is_hint(encoding)};
    case OpcodeMap::Map0F38:
      if (opcode == 0xF0 || opcode == 0xF1) return {.operand_size = true, .repeat = true};
      return {.mandatory = true};
    case OpcodeMap::Map0F3A:
      return {.mandatory = true};
  }
  return {};
}

// --- registers -----------------------------------------------------------------------------------

/// Host register numbers of the fields: four bits, of which the last goes into REX or VEX.
struct Fields {
  unsigned reg = 0;
  unsigned rm = 0;
  unsigned vvvv = 0;
  unsigned in_opcode = 0;
  unsigned index = 0;
};

Fields host_fields(const Instruction& instruction, const Encoding& encoding,
                   const HostMemory* memory) {
  Fields fields;
  fields.reg = encoding.reg();
  fields.rm = encoding.rm();
  fields.vvvv = encoding.vex_vvvv;
  fields.in_opcode = encoding.opcode & 7U;
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    const Operand& operand = instruction.operands[i];
    if (operand.kind != OperandKind::Gpr) continue;
    const unsigned host = host_register(operand.reg);
    if (operand.field == OperandField::ModrmReg) fields.reg = host;
    if (operand.field == OperandField::ModrmRm) fields.rm = host;
    if (operand.field == OperandField::Vvvv) fields.vvvv = host;
    if (operand.field == OperandField::Opcode) fields.in_opcode = host;
  }
  if (memory != nullptr) {
    fields.rm = memory->base == kNoRegister ? 0 : memory->base;
    fields.index = memory->index == kNoRegister ? 0 : memory->index;
  }
  return fields;
}

bool has_operand(const Instruction& instruction, OperandKind kind) {
  const auto end = instruction.operands.begin() + instruction.operand_count;
  return std::any_of(instruction.operands.begin(), end,
                     [kind](const Operand& operand) { return operand.kind == kind; });
}

// --- bytes ---------------------------------------------------------------------------------------

/// Encodings that 64-bit mode lacks and that another one replaces.
void modernise(Encoding& encoding, Fields& fields) {
  if (encoding.map != OpcodeMap::Primary) return;
  const u8 opcode = encoding.opcode;
  if (within(opcode, 0x40, 0x4F)) {  // REX prefixes there
    encoding.opcode = 0xFF;
    encoding.has_modrm = true;
    encoding.modrm = 0xC0;
    fields.reg = opcode >> 3 & 1;
    fields.rm = fields.in_opcode;
  } else if (opcode == 0x82) {
    encoding.opcode = 0x80;
  } else if (within(opcode, 0xA0, 0xA3)) {  // 64-bit addresses there
    encoding.opcode = static_cast<u8>(0x88 | ((opcode & 2) != 0 ? 0 : 2) | (opcode & 1));
    encoding.has_modrm = true;
    encoding.modrm = 0;
    encoding.immediate_size = 0;
    fields.reg = cpu::Rax;
  }
}

bool opcode_names_register(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  if (encoding.form != EncodingForm::Legacy) return false;
  if (encoding.map == OpcodeMap::Map0F) return within(opcode, 0xC8, 0xCF);
  return encoding.map == OpcodeMap::Primary &&
         (within(opcode, 0x91, 0x97) || within(opcode, 0xB0, 0xBF));
}

/// The fourth bits: W 0, R, X, B.
unsigned extensions(const Encoding& encoding, const Fields& fields) {
  unsigned bits = fields.index >> 3 << 1;
  if (encoding.has_modrm) bits |= fields.reg >> 3 << 2 | fields.rm >> 3;
  if (opcode_names_register(encoding)) bits |= fields.in_opcode >> 3;
  return bits;
}

void push_legacy(const Instruction& instruction, const Encoding& encoding, const Fields& fields,
                 HostCode& into) {
  const PrefixMeaning meaning = prefix_meaning(instruction, encoding);
  const bool size_prefix = meaning.mandatory
                               ? encoding.operand_size_prefix
                               : meaning.operand_size && instruction.operand_size == 2;
  if (size_prefix) into.push(0x66);
  if ((meaning.mandatory || meaning.repeat) && encoding.repeat_prefix != 0) {
    into.push(encoding.repeat_prefix);
  }
  if (const unsigned bits = extensions(encoding, fields); bits != 0) into.push(0x40 | bits);
  if (encoding.map != OpcodeMap::Primary) into.push(0x0F);
  if (encoding.map == OpcodeMap::Map0F38) into.push(0x38);
  if (encoding.map == OpcodeMap::Map0F3A) into.push(0x3A);
  into.push(opcode_names_register(encoding) ? (encoding.opcode & 0xF8U) | (fields.in_opcode & 7)
                                            : encoding.opcode);
}

void push_vex(const Encoding& encoding, const Fields& fields, HostCode& into) {
  const unsigned bits = extensions(encoding, fields);
  const bool w = encoding.vex_w && !w_means_gpr_width(encoding);
  const unsigned tail = (~fields.vvvv & 15U) << 3 | (encoding.vex_l ? 4U : 0U) | encoding.vex_pp;
  constexpr unsigned kOnlyR = 4;
  if (encoding.map == OpcodeMap::Map0F && !w && (bits & ~kOnlyR) == 0) {
    into.push(0xC5);
    into.push((bits != 0 ? 0U : 0x80U) | tail);
  } else {
    into.push(0xC4);
    into.push((~bits & 7) << 5 | static_cast<unsigned>(encoding.map));
    into.push((w ? 0x80U : 0U) | tail);
  }
  into.push(encoding.opcode);
}

void push_operands(const Encoding& encoding, const Fields& fields, const HostMemory* memory,
                   HostCode& into) {
  if (encoding.has_modrm) {
    if (memory != nullptr) {
      append_memory_operand(fields.reg & 7, *memory, into);
    } else {
      into.push(0xC0 | (fields.reg & 7) << 3 | (fields.rm & 7));
    }
  }
  constexpr u64 kWithoutHighestBit = 0x7F;
  const bool vex_register =
      encoding.form == EncodingForm::Vex && immediate_names_register(encoding);
  into.push(vex_register ? encoding.immediate & kWithoutHighestBit : encoding.immediate,
            encoding.immediate_size);
}

bool is_lea(const Encoding& encoding) {
  return encoding.map == OpcodeMap::Primary && encoding.opcode == 0x8D;
}

bool valid(const HostMemory& memory) {
  const bool scale =
      memory.scale == 1 || memory.scale == 2 || memory.scale == 4 || memory.scale == 8;
  return scale && memory.index != cpu::Rsp;
}

}  // namespace

ReencodeStatus reencode(const Instruction& instruction, const HostMemory* memory, HostCode& into) {
  into = HostCode{};
  Encoding encoding = cpu::parse_encoding(instruction);
  if (is_hint(encoding) && (memory == nullptr || !is_prefetch(encoding))) {
    into.push(kNop);
    return ReencodeStatus::Ok;
  }
  if (!is_copied(encoding) && !is_hint(encoding)) return ReencodeStatus::Unsupported;
  const bool has_memory = has_operand(instruction, OperandKind::Memory);
  if (!has_memory) {
    memory = nullptr;
  } else if (memory == nullptr || !valid(*memory)) {
    return ReencodeStatus::Unsupported;
  }

  Fields fields = host_fields(instruction, encoding, memory);
  modernise(encoding, fields);
  const bool legacy = encoding.form == EncodingForm::Legacy;
  if (legacy && has_operand(instruction, OperandKind::HighByte) &&
      extensions(encoding, fields) != 0) {
    return ReencodeStatus::NeedsHighByteHelp;
  }
  // LEA accesses nothing, and its sum is cut to the operand size in any case.
  if (memory != nullptr && memory->window && !is_lea(encoding)) {
    into.push(0x65);
    into.push(0x67);
  }
  if (instruction.lock) into.push(0xF0);
  if (legacy) {
    push_legacy(instruction, encoding, fields, into);
  } else {
    push_vex(encoding, fields, into);
  }
  push_operands(encoding, fields, memory, into);
  if (into.length <= cpu::kLongestInstruction) return ReencodeStatus::Ok;
  into = HostCode{};
  return ReencodeStatus::Unsupported;
}

}  // namespace ringshift::translator
