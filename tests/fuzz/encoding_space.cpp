#include "tests/fuzz/encoding_space.h"

#include <algorithm>
#include <cctype>

namespace ringshift::tests {

namespace {

struct RawLine {
  const char* mnemonic;
  TestKind test;
};
constexpr RawLine kRawLines[] = {
#define INSTRUCTION(mnemonic, binder, feature, test, policy) {#mnemonic, TestKind::test},
#include "cpu/instructions.def"
#undef INSTRUCTION
};

/// One-byte and two-byte opcodes with a ModRM byte. SDM 2D appendix A, tables.
bool has_modrm(u8 map, u8 opcode) {
  if (map >= 2) return true;
  if (map == 0) {
    if (opcode < 0x40) return (opcode & 7) < 4;
    if (opcode == 0x62 || opcode == 0x63 || opcode == 0x69 || opcode == 0x6B) return true;
    if (opcode >= 0x80 && opcode <= 0x8F) return true;
    if (opcode == 0xC0 || opcode == 0xC1 || (opcode >= 0xC4 && opcode <= 0xC7)) return true;
    if (opcode >= 0xD0 && opcode <= 0xD3) return true;
    if (opcode >= 0xD8 && opcode <= 0xDF) return true;
    return opcode == 0xF6 || opcode == 0xF7 || opcode == 0xFE || opcode == 0xFF;
  }
  if (opcode >= 0x05 && opcode <= 0x0C) return false;
  if (opcode == 0x0E || opcode == 0x0F) return opcode == 0x0F;
  if (opcode >= 0x30 && opcode <= 0x37) return false;
  if (opcode == 0x77 || (opcode >= 0x80 && opcode <= 0x8F)) return false;
  if (opcode == 0xA0 || opcode == 0xA1 || opcode == 0xA2 || opcode == 0xA8 || opcode == 0xA9 ||
      opcode == 0xAA) {
    return false;
  }
  return !(opcode >= 0xC8 && opcode <= 0xCF);
}

/// Opcodes whose register forms mean different instructions for different rm fields.
bool rm_selects_instruction(u8 map, u8 opcode) {
  if (map == 0) return opcode >= 0xD8 && opcode <= 0xDF;
  return map == 1 && (opcode == 0x01 || opcode == 0xAE || opcode == 0xC7 || opcode == 0x1E);
}

bool is_prefix_or_escape(u8 opcode) {
  switch (opcode) {
    case 0x0F:
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xF0:
    case 0xF2:
    case 0xF3:
      return true;
    default:
      return false;
  }
}

/// Instructions that this fuzzer must not run on the host whatever the table says: they would leave
/// the test's segments or enter the kernel.
bool leaves_the_sandbox(const cpu::Instruction& instruction) {
  if (instruction.control_flow == cpu::ControlFlow::Far) return true;
  const auto& first = instruction.operands[0];
  if (first.kind == cpu::OperandKind::Segment) {
    return cpu::mnemonic_name(instruction.mnemonic) != "push";
  }
  return false;
}

/// What engines can't agree in.
bool is_random(std::string_view mnemonic) {
  return mnemonic == "rdrand" || mnemonic == "rdseed";
}

}  // namespace

std::vector<TableEntry> instruction_table() {
  std::vector<TableEntry> table;
  for (std::size_t line = 0; line < cpu::instruction_table_size(); ++line) {
    table.push_back({cpu::instruction_table_mnemonic(line), kRawLines[line].test});
  }
  return table;
}

void append_encoding(DrawnBytes& out, const Encoding& encoding, u8 modrm, u8 vvvv, bool short_vex) {
  const auto put = [&](unsigned byte) { out.bytes[out.length++] = static_cast<u8>(byte); };
  if (encoding.vex) {
    // Outside 64-bit mode R, X and the top bit of VVVV must be 1 (inverted 0), or it is LDS/LES.
    const unsigned tail =
        unsigned{0x40} | ((vvvv ^ 7U) & 7U) << 3 | encoding.vex_l << 2 | encoding.vex_pp;
    if (short_vex && encoding.map == 1 && encoding.vex_w == 0) {
      put(0xC5);
      put(0x80 | tail);
    } else {
      put(0xC4);
      put(0xE0 | encoding.map);
      put(encoding.vex_w << 7 | tail);
    }
  } else {
    for (unsigned n = 0; n < encoding.prefix_count; ++n) put(encoding.prefixes[n]);
    if (encoding.map >= 1) put(0x0F);
    if (encoding.map == 2) put(0x38);
    if (encoding.map == 3) put(0x3A);
  }
  put(encoding.opcode);
  if (encoding.has_modrm) put(modrm);
}

bool is_system(const cpu::Instruction& instruction) {
  if (leaves_the_sandbox(instruction)) return true;
  for (unsigned n = 0; n < instruction.operand_count; ++n) {
    const cpu::OperandKind kind = instruction.operands[n].kind;
    if (kind == cpu::OperandKind::Control || kind == cpu::OperandKind::Debug ||
        kind == cpu::OperandKind::Segment) {
      return true;
    }
  }
  static const auto kNames = [] {
    std::vector<std::string_view> system, host;
    for (const TableEntry& entry : instruction_table()) {
      (entry.test == TestKind::System ? system : host).push_back(entry.name);
    }
    std::erase_if(system, [&](std::string_view name) {
      return std::find(host.begin(), host.end(), name) != host.end();
    });
    std::sort(system.begin(), system.end());
    return system;
  }();
  return std::binary_search(kNames.begin(), kNames.end(), cpu::mnemonic_name(instruction.mnemonic));
}

EncodingSpace::EncodingSpace(const cpu::Decoder& decoder, CodeWidth width, Selection selection)
    : width_(width), selection_(selection) {
  by_number_.assign(0x10000, -1);
  testable_.assign(0x10000, false);
  std::vector<std::string_view> names;
  for (const TableEntry& entry : instruction_table()) {
    const bool wanted =
        selection == Selection::All ? !is_random(entry.name) : entry.test == TestKind::Host;
    if (wanted) names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  for (unsigned number = 0; number < 0x1000; ++number) {
    const std::string_view name = cpu::mnemonic_name(static_cast<u16>(number));
    testable_[number] = std::binary_search(names.begin(), names.end(), name);
  }
  add_legacy(decoder);
  add_vex(decoder);
}

bool EncodingSpace::testable(const cpu::Instruction& instruction) const {
  if (!testable_[instruction.mnemonic]) return false;
  return selection_ == Selection::All || !leaves_the_sandbox(instruction);
}

void EncodingSpace::try_encoding(const cpu::Decoder& decoder, const Encoding& encoding) {
  DrawnBytes drawn;
  if (encoding.vector_sib && width_ == CodeWidth::Bits16) drawn.bytes[drawn.length++] = 0x67;
  append_encoding(drawn, encoding, encoding.modrm, encoding.vex_vvvv_free ? 1 : 0, false);
  if (encoding.vector_sib) drawn.bytes[drawn.length++] = 0x0D;  // EBP-less base, index ECX
  cpu::Instruction instruction;
  if (decoder.decode(drawn.bytes, decode_mode(width_), instruction) != cpu::DecodeStatus::Ok)
    return;
  if (!testable(instruction)) return;
  i32& index = by_number_[instruction.mnemonic];
  if (index < 0) {
    index = static_cast<i32>(mnemonics_.size());
    mnemonics_.push_back(
        {std::string(cpu::mnemonic_name(instruction.mnemonic)), instruction.mnemonic, {}});
  }
  mnemonics_[static_cast<std::size_t>(index)].encodings.push_back(encoding);
}

void EncodingSpace::add_legacy(const cpu::Decoder& decoder) {
  static constexpr std::array<u8, 4> kPrefixes[] = {{},     {0x66},       {0xF3},
                                                    {0xF2}, {0x66, 0xF3}, {0x66, 0xF2}};
  for (const auto& prefixes : kPrefixes) {
    for (unsigned which = 0; which < 4 * 256; ++which) {
      Encoding encoding;
      encoding.prefixes = prefixes;
      encoding.prefix_count = static_cast<u8>(
          std::count_if(prefixes.begin(), prefixes.end(), [](u8 p) { return p != 0; }));
      encoding.map = static_cast<u8>(which >> 8);
      encoding.opcode = static_cast<u8>(which);
      if (encoding.map == 0 && is_prefix_or_escape(encoding.opcode)) continue;
      if (encoding.map == 1 && (encoding.opcode == 0x38 || encoding.opcode == 0x3A)) continue;
      encoding.has_modrm = has_modrm(encoding.map, encoding.opcode);
      if (!encoding.has_modrm) {
        try_encoding(decoder, encoding);
        continue;
      }
      const bool selects = rm_selects_instruction(encoding.map, encoding.opcode);
      for (unsigned reg = 0; reg < 8; ++reg) {
        encoding.modrm = static_cast<u8>(reg << 3 | 5);
        encoding.rm_is_free = false;
        try_encoding(decoder, encoding);
        encoding.rm_is_free = !selects;
        for (unsigned rm = 0; rm < (selects ? 8U : 1U); ++rm) {
          encoding.modrm = static_cast<u8>(0xC0 | reg << 3 | rm);
          try_encoding(decoder, encoding);
        }
      }
    }
  }
}

void EncodingSpace::add_vex(const cpu::Decoder& decoder) {
  for (unsigned which = 0; which < 3 * 4 * 2 * 2 * 256; ++which) {
    Encoding encoding;
    encoding.vex = true;
    encoding.opcode = static_cast<u8>(which);
    encoding.vex_pp = static_cast<u8>(which >> 8 & 3);
    encoding.vex_l = static_cast<u8>(which >> 10 & 1);
    encoding.vex_w = static_cast<u8>(which >> 11 & 1);
    encoding.map = static_cast<u8>(1 + (which >> 12));
    encoding.has_modrm = encoding.map != 1 || encoding.opcode != 0x77;
    for (const bool free : {false, true}) {
      encoding.vex_vvvv_free = free;
      for (unsigned reg = 0; reg < (encoding.has_modrm ? 8U : 1U); ++reg) {
        encoding.rm_is_free = false;
        encoding.vector_sib = false;
        encoding.modrm = static_cast<u8>(reg << 3 | 5);
        try_encoding(decoder, encoding);
        if (!encoding.has_modrm) continue;
        // Gathers exist with a SIB byte only; others are found without one.
        encoding.modrm = static_cast<u8>(reg << 3 | 4);
        encoding.vector_sib =
            encoding.map == 2 && encoding.opcode >= 0x90 && encoding.opcode <= 0x93;
        if (encoding.vector_sib) try_encoding(decoder, encoding);
        encoding.vector_sib = false;
        encoding.modrm = static_cast<u8>(0xC0 | reg << 3);
        encoding.rm_is_free = true;
        try_encoding(decoder, encoding);
      }
    }
  }
}

void EncodingSpace::restrict_to(std::string_view wanted) {
  std::erase_if(mnemonics_, [&](const Mnemonic& mnemonic) { return mnemonic.name != wanted; });
}

namespace {

/// Random bytes of a displacement; of four, two are small, lest all addresses be wild.
void append_displacement(DrawnBytes& out, unsigned size, Random& random) {
  for (unsigned n = 0; n < size; ++n) {
    out.bytes[out.length++] = static_cast<u8>(size == 4 && n >= 2 ? 0 : random.next());
  }
}

/// SDM 2A tables 2-1 to 2-3.
void append_random_addressing(DrawnBytes& out, const Encoding& encoding, u8 modrm_at,
                              CodeWidth address_width, Random& random) {
  u8& modrm = out.bytes[modrm_at];
  const unsigned mod = random.below(3);
  const unsigned rm = encoding.vector_sib ? 4 : random.below(8);
  modrm = static_cast<u8>((modrm & 0x38) | mod << 6 | rm);
  const bool wide = address_width == CodeWidth::Bits32;
  bool absolute = mod == 0 && rm == (wide ? 5U : 6U);
  if (wide && rm == 4) {
    const u8 sib = static_cast<u8>(random.next());
    out.bytes[out.length++] = sib;
    absolute = mod == 0 && (sib & 7) == 5;
  }
  const unsigned full = wide ? 4 : 2;
  if (absolute) {
    out.absolute_displacement = out.length;
    append_displacement(out, full, random);
  } else if (mod != 0) {
    append_displacement(out, mod == 1 ? 1 : full, random);
  }
}

}  // namespace

DrawnBytes EncodingSpace::draw(Random& random) const {
  const Mnemonic& mnemonic = mnemonics_[random.below(static_cast<u32>(mnemonics_.size()))];
  const Encoding& encoding =
      mnemonic.encodings[random.below(static_cast<u32>(mnemonic.encodings.size()))];
  DrawnBytes out;
  static constexpr u8 kExtra[] = {0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
  constexpr u8 kAddressSizePrefix = 0x67;
  bool address_prefix = false;
  while (out.length < 4 && random.chance(8)) {
    out.bytes[out.length++] = random.pick(kExtra);
    address_prefix |= out.bytes[out.length - 1] == kAddressSizePrefix;
  }
  // Gathers exist with 32-bit addresses only.
  if (encoding.vector_sib && width_ == CodeWidth::Bits16 && !address_prefix) {
    out.bytes[out.length++] = kAddressSizePrefix;
    address_prefix = true;
  }
  u8 modrm = encoding.modrm;
  if (encoding.rm_is_free) modrm = static_cast<u8>(modrm | random.below(8));
  const u8 vvvv = encoding.vex_vvvv_free ? static_cast<u8>(random.below(8)) : 0;
  append_encoding(out, encoding, modrm, vvvv, random.chance(50));
  if (encoding.memory()) {
    const bool wide = (width_ == CodeWidth::Bits32) != address_prefix;
    append_random_addressing(out, encoding, static_cast<u8>(out.length - 1),
                             wide ? CodeWidth::Bits32 : CodeWidth::Bits16, random);
  }
  for (unsigned n = out.length; n + 8 <= out.bytes.size(); n += 4) {
    const u32 immediate =
        random.chance(50) ? random.interesting32() : static_cast<u32>(random.next());
    for (unsigned byte = 0; byte < 4; ++byte)
      out.bytes[n + byte] = static_cast<u8>(immediate >> (8 * byte));
  }
  return out;
}

}  // namespace ringshift::tests
