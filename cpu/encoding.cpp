#include "cpu/encoding.h"

namespace ringshift::cpu {
namespace {

/// Reads an instruction's bytes in order; past the end it yields zeros.
class ByteReader {
 public:
  explicit ByteReader(const Instruction& instruction) : instruction_(instruction) {}
  u8 peek(unsigned ahead = 0) const {
    const unsigned at = position_ + ahead;
    return at < instruction_.length ? instruction_.bytes[at] : u8{0};
  }
  u8 next() {
    const u8 value = peek();
    ++position_;
    return value;
  }
  u64 next(unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{next()} << (8 * i);
    return value;
  }
  unsigned left() const {
    return position_ < instruction_.length ? instruction_.length - position_ : 0;
  }

 private:
  const Instruction& instruction_;
  unsigned position_ = 0;
};

bool take_prefix(u8 byte, Encoding& encoding) {
  switch (byte) {
    case 0x66:
      encoding.operand_size_prefix = true;
      return true;
    case 0xF2:
    case 0xF3:
      encoding.repeat_prefix = byte;
      return true;
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
    case 0x67:
    case 0xF0:
      return true;
    default:
      return false;
  }
}

void take_vex(ByteReader& reader, Encoding& encoding) {
  encoding.form = EncodingForm::Vex;
  const bool three_bytes = reader.next() == 0xC4;
  encoding.map = OpcodeMap::Map0F;
  if (three_bytes) encoding.map = static_cast<OpcodeMap>(reader.next() & 3);
  const u8 last = reader.next();
  encoding.vex_w = three_bytes && (last & 0x80) != 0;
  encoding.vex_vvvv =
      static_cast<u8>(~last >> 3 & 7);  // the fourth bit is ignored outside 64-bit mode
  encoding.vex_l = (last & 4) != 0;
  encoding.vex_pp = last & 3;
  encoding.opcode = reader.next();
}

void take_legacy_opcode(ByteReader& reader, Encoding& encoding) {
  encoding.opcode = reader.next();
  if (encoding.opcode != 0x0F) return;
  encoding.map = OpcodeMap::Map0F;
  encoding.opcode = reader.next();
  if (encoding.opcode == 0x38 || encoding.opcode == 0x3A) {
    encoding.map = encoding.opcode == 0x38 ? OpcodeMap::Map0F38 : OpcodeMap::Map0F3A;
    encoding.opcode = reader.next();
  }
}

void take_modrm(ByteReader& reader, unsigned address_size, Encoding& encoding) {
  encoding.has_modrm = true;
  encoding.modrm = reader.next();
  if (encoding.mod() == 3) return;
  unsigned displacement_size = encoding.mod() == 1 ? 1 : 0;
  if (address_size == 2) {
    if (encoding.mod() == 2 || (encoding.mod() == 0 && encoding.rm() == 6)) displacement_size = 2;
  } else {
    if (encoding.rm() == 4) {
      encoding.has_sib = true;
      encoding.sib = reader.next();
    }
    const unsigned base = encoding.has_sib ? encoding.sib & 7U : encoding.rm();
    if (encoding.mod() == 2 || (encoding.mod() == 0 && base == 5)) displacement_size = 4;
  }
  const u64 raw = reader.next(displacement_size);
  switch (displacement_size) {
    case 1:
      encoding.displacement = static_cast<i8>(raw);
      break;
    case 2:
      encoding.displacement = static_cast<i16>(raw);
      break;
    default:
      encoding.displacement = static_cast<i32>(raw);
      break;
  }
}

/// SDM 2D appendix A, tables.
bool opcode_has_modrm(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  const auto within = [opcode](u8 first, u8 last) { return opcode >= first && opcode <= last; };
  switch (encoding.map) {
    case OpcodeMap::Primary:
      if (opcode < 0x40) return (opcode & 7) < 4;
      return within(0x62, 0x63) || opcode == 0x69 || opcode == 0x6B || within(0x80, 0x8F) ||
             within(0xC0, 0xC1) || within(0xC4, 0xC7) || within(0xD0, 0xD3) || within(0xD8, 0xDF) ||
             within(0xF6, 0xF7) || within(0xFE, 0xFF);
    case OpcodeMap::Map0F:
      return !(within(0x04, 0x0C) || opcode == 0x0E || within(0x30, 0x37) || opcode == 0x77 ||
               within(0x80, 0x8F) || within(0xA0, 0xA2) || within(0xA8, 0xAA) ||
               within(0xC8, 0xCF));
    default:
      return true;
  }
}

}  // namespace

Encoding parse_encoding(const Instruction& instruction) {
  Encoding encoding;
  ByteReader reader(instruction);
  while (take_prefix(reader.peek(), encoding)) reader.next();
  // With a memory operand these are BOUND, LES and LDS.
  const bool register_form = reader.peek(1) >= 0xC0;
  if (reader.peek() == 0x62 && register_form) {
    encoding.form = EncodingForm::Evex;
    return encoding;
  }
  if ((reader.peek() == 0xC4 || reader.peek() == 0xC5) && register_form) {
    take_vex(reader, encoding);
  } else {
    take_legacy_opcode(reader, encoding);
  }
  if (opcode_has_modrm(encoding)) take_modrm(reader, instruction.address_size, encoding);
  encoding.immediate_size = static_cast<u8>(reader.left());
  encoding.immediate = reader.next(encoding.immediate_size);
  return encoding;
}

bool w_means_gpr_width(const Encoding& encoding) {
  const u8 opcode = encoding.opcode;
  switch (encoding.map) {
    case OpcodeMap::Map0F:
      // The conversions from and to integers, MOVD.
      return opcode == 0x2A || opcode == 0x2C || opcode == 0x2D || opcode == 0x6E ||
             (opcode == 0x7E && encoding.vex_pp == 1);
    case OpcodeMap::Map0F38:
      // BMI1 and BMI2.
      return opcode == 0xF2 || opcode == 0xF3 || (opcode >= 0xF5 && opcode <= 0xF7);
    case OpcodeMap::Map0F3A:
      // PEXTRD, PINSRD, the explicit lengths of PCMPESTRM and PCMPESTRI, RORX.
      return opcode == 0x16 || opcode == 0x22 || opcode == 0x60 || opcode == 0x61 || opcode == 0xF0;
    default:
      return false;
  }
}

bool immediate_names_register(const Encoding& encoding) {
  return encoding.map == OpcodeMap::Map0F3A && encoding.opcode >= 0x4A && encoding.opcode <= 0x4C;
}

}  // namespace ringshift::cpu
