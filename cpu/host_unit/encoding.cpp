#include "cpu/host_unit/encoding.h"

namespace ringshift::cpu {
namespace {

/// Reads an instruction's bytes in order; past the end it yields zeros.
class ByteReader {
 public:
  explicit ByteReader(const Instruction& instruction) : instruction_(instruction) {}
  u8 peek() const {
    return position_ < instruction_.length ? instruction_.bytes[position_] : u8{0};
  }
  u8 next() {
    const u8 value = peek();
    ++position_;
    return value;
  }
  u32 next(unsigned size) {
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u32{next()} << (8 * i);
    return value;
  }
  bool at_end() const { return position_ >= instruction_.length; }

 private:
  const Instruction& instruction_;
  unsigned position_ = 0;
};

bool take_prefix(u8 byte, Encoding& encoding) {
  const auto override_segment = [&](SegmentName name) {
    encoding.segment = name;
    encoding.segment_overridden = true;
  };
  switch (byte) {
    case 0x66:
      encoding.operand_size_prefix = true;
      return true;
    case 0xF2:
    case 0xF3:
      encoding.repeat_prefix = byte;
      return true;
    case 0x26:
      override_segment(SegmentName::ES);
      return true;
    case 0x2E:
      override_segment(SegmentName::CS);
      return true;
    case 0x36:
      override_segment(SegmentName::SS);
      return true;
    case 0x3E:
      override_segment(SegmentName::DS);
      return true;
    case 0x64:
      override_segment(SegmentName::FS);
      return true;
    case 0x65:
      override_segment(SegmentName::GS);
      return true;
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
  const u32 raw = reader.next(displacement_size);
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

/// Without ModRM among the instructions that come here: FWAIT, EMMS, VZEROUPPER, VZEROALL.
bool opcode_has_modrm(const Encoding& encoding) {
  if (encoding.map == OpcodeMap::Primary) return encoding.opcode != 0x9B;
  return encoding.map != OpcodeMap::Map0F || encoding.opcode != 0x77;
}

/// VEX.W chooses a 64-bit general register in 64-bit mode only: MOVD, PINSRD, PEXTRD, the
/// conversions from and to integers, and the explicit lengths of PCMPESTRI and PCMPESTRM. SDM 2A
/// §2.3.5.3.
bool w_means_gpr_width(const Encoding& encoding) {
  switch (encoding.map) {
    case OpcodeMap::Map0F:
      switch (encoding.opcode) {
        case 0x2A:
        case 0x2C:
        case 0x2D:
        case 0x6E:
          return true;
        case 0x7E:
          return encoding.vex_pp == 1;
        default:
          return false;
      }
    case OpcodeMap::Map0F3A:
      return encoding.opcode == 0x16 || encoding.opcode == 0x22 || encoding.opcode == 0x60 ||
             encoding.opcode == 0x61;
    default:
      return false;
  }
}

/// The fourth register operand sits in the immediate's upper half, whose highest bit 32-bit code
/// may set to no effect: VBLENDVPS, VBLENDVPD, VPBLENDVB.
bool immediate_names_register(const Encoding& encoding) {
  return encoding.map == OpcodeMap::Map0F3A && encoding.opcode >= 0x4A && encoding.opcode <= 0x4C;
}

void push_opcode(const Encoding& encoding, HostBytes& host) {
  if (encoding.form == EncodingForm::Vex) {
    constexpr unsigned kNoExtensions = 0xE0;  // inverted R, X, B
    const bool w = encoding.vex_w && !w_means_gpr_width(encoding);
    host.push(0xC4);
    host.push(kNoExtensions | static_cast<unsigned>(encoding.map));
    host.push((w ? 0x80U : 0U) | (~unsigned{encoding.vex_vvvv} & 15U) << 3 |
              (encoding.vex_l ? 4U : 0U) | encoding.vex_pp);
  } else {
    if (encoding.map != OpcodeMap::Primary) {
      if (encoding.operand_size_prefix) host.push(0x66);
      if (encoding.repeat_prefix != 0) host.push(encoding.repeat_prefix);
      host.push(0x0F);
    }
    if (encoding.map == OpcodeMap::Map0F38) host.push(0x38);
    if (encoding.map == OpcodeMap::Map0F3A) host.push(0x3A);
  }
  host.push(encoding.opcode);
}

}  // namespace

Encoding parse_encoding(const Instruction& instruction) {
  Encoding encoding;
  ByteReader reader(instruction);
  while (take_prefix(reader.peek(), encoding)) reader.next();
  switch (reader.peek()) {
    case 0x62:
      encoding.form = EncodingForm::Evex;
      return encoding;
    case 0xC4:
    case 0xC5:
      take_vex(reader, encoding);
      break;
    default:
      take_legacy_opcode(reader, encoding);
      break;
  }
  if (opcode_has_modrm(encoding)) take_modrm(reader, instruction.address_size, encoding);
  encoding.has_immediate = !reader.at_end();
  encoding.immediate = reader.next();
  return encoding;
}

HostBytes reencode(const Encoding& encoding, Reencoding how) {
  HostBytes host;
  push_opcode(encoding, host);
  if (encoding.has_modrm) {
    constexpr unsigned kRdi = 7, kEax = 0;
    const unsigned reg = how.gpr_in_reg ? kEax : encoding.reg();
    if (encoding.memory()) {
      host.push(reg << 3 | kRdi);
    } else {
      host.push(0xC0U | reg << 3 | (how.gpr_in_rm ? kEax : encoding.rm()));
    }
  }
  if (encoding.has_immediate) {
    host.push(immediate_names_register(encoding) ? encoding.immediate & 0x7FU : encoding.immediate);
  }
  return host;
}

Reencoding gpr_fields(const Encoding& encoding) {
  if (encoding.map == OpcodeMap::Map0F) {
    switch (encoding.opcode) {
      case 0x2C:  // CVTTSS2SI, CVTTSD2SI
      case 0x2D:  // CVTSS2SI, CVTSD2SI
      case 0x50:  // MOVMSKPS, MOVMSKPD
      case 0xC5:  // PEXTRW
      case 0xD7:  // PMOVMSKB
        return {.gpr_in_reg = true, .gpr_in_rm = false};
      default:
        break;
    }
  }
  return {.gpr_in_reg = false, .gpr_in_rm = true};
}

}  // namespace ringshift::cpu
