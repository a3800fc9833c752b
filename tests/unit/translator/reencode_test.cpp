// Copies of guest instructions against what Zydis reads from them in 64-bit mode: the same
// instruction, operands and immediate, on the host's registers and memory.
#include "translator/emit/reencode.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "cpu/decoder.h"
#include "tests/fuzz/encoding_space.h"

namespace ringshift::translator {
namespace {

using cpu::Instruction;
using cpu::OperandKind;
using tests::CodeWidth;
using Bytes = std::vector<u8>;

/// The host's features don't matter: nothing is executed.
cpu::CpuidModel full_model() {
  cpu::CpuidModel model;
  model.features.set();
  return model;
}

const cpu::CpuidModel kModel = full_model();
const cpu::Decoder kDecoder{kModel};

ZydisDecoder make_decoder(ZydisMachineMode mode, ZydisStackWidth width) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, mode, width);
  // What the host may have and no model does. In 64-bit mode it stays on.
  if (mode != ZYDIS_MACHINE_MODE_LONG_64) {
    for (const auto off : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                           ZYDIS_DECODER_MODE_CLDEMOTE, ZYDIS_DECODER_MODE_WBNOINVD}) {
      ZydisDecoderEnableMode(&decoder, off, ZYAN_FALSE);
    }
  }
  return decoder;
}

struct Decoded {
  ZydisDecodedInstruction instruction{};
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands{};
  bool valid = false;
};

Decoded decode(const ZydisDecoder& decoder, const u8* bytes, std::size_t length) {
  Decoded decoded;
  decoded.valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, length, &decoded.instruction,
                                                      decoded.operands.data()));
  return decoded;
}

Decoded decode_guest(const Instruction& instruction, CodeWidth width) {
  static const ZydisDecoder wide = make_decoder(ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  static const ZydisDecoder narrow =
      make_decoder(ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
  return decode(width == CodeWidth::Bits32 ? wide : narrow, instruction.bytes.data(),
                instruction.length);
}

Decoded decode_host(const HostCode& code) {
  static const ZydisDecoder host = make_decoder(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  return decode(host, code.bytes.data(), code.length);
}

ZydisRegister host_of(ZydisRegister guest) {
  switch (guest) {
    case ZYDIS_REGISTER_ESP:
      return ZYDIS_REGISTER_R15D;
    case ZYDIS_REGISTER_SP:
      return ZYDIS_REGISTER_R15W;
    case ZYDIS_REGISTER_EFLAGS:
    case ZYDIS_REGISTER_FLAGS:
      return ZYDIS_REGISTER_RFLAGS;
    // The lengths of VPCMPESTRI with VEX.W, which outside 64-bit mode chooses nothing.
    case ZYDIS_REGISTER_RAX:
      return ZYDIS_REGISTER_EAX;
    case ZYDIS_REGISTER_RDX:
      return ZYDIS_REGISTER_EDX;
    default:
      return guest;
  }
}

ZydisRegister address_register(u8 number, bool wide) {
  if (number == kNoRegister) return ZYDIS_REGISTER_NONE;
  return static_cast<ZydisRegister>((wide ? ZYDIS_REGISTER_RAX : ZYDIS_REGISTER_EAX) + number);
}

bool same_memory(const ZydisDecodedOperand& operand, const HostMemory& wanted, bool lea) {
  const auto& memory = operand.mem;
  const bool window = wanted.window && !lea;
  const ZydisRegister base = address_register(wanted.base, !window);
  const ZydisRegister index = address_register(wanted.index, !window);
  const bool segment =
      lea || !window ? memory.segment != ZYDIS_REGISTER_GS : memory.segment == ZYDIS_REGISTER_GS;
  return segment && memory.base == base && memory.index == index &&
         (wanted.index == kNoRegister || memory.scale == wanted.scale) &&
         memory.disp.value == wanted.displacement;
}

/// Why a copy isn't the guest's instruction; empty if it is.
std::string difference(const Decoded& guest, const Decoded& host, const HostMemory* memory) {
  const ZydisDecodedInstruction& from = guest.instruction;
  const ZydisDecodedInstruction& to = host.instruction;
  if (from.mnemonic != to.mnemonic) return "mnemonic";
  if (from.operand_count != to.operand_count ||
      from.operand_count_visible != to.operand_count_visible) {
    return "operand count";
  }
  if (from.meta.isa_set != to.meta.isa_set) return "instruction set";
  if (from.avx.vector_length != to.avx.vector_length) return "vector length";
  if (((from.attributes ^ to.attributes) & ZYDIS_ATTRIB_HAS_LOCK) != 0) return "LOCK";
  if (std::memcmp(from.cpu_flags, to.cpu_flags, sizeof(*from.cpu_flags)) != 0) return "flags";
  for (unsigned i = 0; i < from.operand_count; ++i) {
    const ZydisDecodedOperand& a = guest.operands[i];
    const ZydisDecodedOperand& b = host.operands[i];
    const std::string which = "operand " + std::to_string(i) + ": ";
    if (a.type != b.type) return which + "type";
    // LEA's is the address size.
    const bool address = a.type == ZYDIS_OPERAND_TYPE_MEMORY && a.mem.type == ZYDIS_MEMOP_TYPE_AGEN;
    const bool renamed =
        a.type == ZYDIS_OPERAND_TYPE_REGISTER && host_of(a.reg.value) != a.reg.value;
    if (a.size != b.size && !renamed && !address) return which + "size";
    if (a.element_type != b.element_type || a.actions != b.actions) return which + "use";
    if (a.type == ZYDIS_OPERAND_TYPE_REGISTER && host_of(a.reg.value) != b.reg.value) {
      return which + "register";
    }
    if (a.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      const u64 mask = a.size >= 64 ? ~u64{0} : (u64{1} << a.size) - 1;
      if (((a.imm.value.u ^ b.imm.value.u) & mask) != 0) return which + "immediate";
    }
    if (a.type == ZYDIS_OPERAND_TYPE_MEMORY &&
        (memory == nullptr || !same_memory(b, *memory, to.mnemonic == ZYDIS_MNEMONIC_LEA))) {
      return which + "memory";
    }
  }
  return {};
}

std::string hex(const u8* bytes, unsigned length) {
  std::string text;
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
    text += ' ';
  }
  return text;
}

bool has(const Instruction& instruction, OperandKind kind) {
  const auto end = instruction.operands.begin() + instruction.operand_count;
  return std::any_of(instruction.operands.begin(), end,
                     [kind](const cpu::Operand& operand) { return operand.kind == kind; });
}

constexpr HostMemory kHostMemories[] = {
    {.base = 8},
    {.base = 5},
    {.base = 13, .displacement = -1, .window = false},
    {.base = 12, .displacement = 127},
    {.base = 4, .displacement = 128, .window = false},
    {.base = 0, .index = 1, .scale = 8, .displacement = -129},
    {.base = 15, .index = 12, .scale = 2},
    {.base = 3, .index = 9, .scale = 4, .displacement = 0x12345678},
    {.index = 6, .scale = 4, .displacement = 16},
    {.index = 11, .scale = 1, .displacement = -16},
    {.displacement = static_cast<i32>(0xC0001000)},
    {.displacement = 0x1000, .window = false},
};

bool needs_rex(const HostMemory& memory) {
  return (memory.base != kNoRegister && memory.base >= 8) ||
         (memory.index != kNoRegister && memory.index >= 8);
}

/// MOV with segment, control and debug registers; MOVSD and CMPSD as string instructions.
const std::set<std::string> kPartlyUnsupported = {"mov", "movsd", "cmpsd"};

/// Tries copies and collects what can't be copied.
class Comparison {
 public:
  explicit Comparison(CodeWidth width) : width_(width) {}

  /// Decodes and compares under some of the host memories; other bytes are passed over.
  void add(const tests::DrawnBytes& drawn) {
    Instruction instruction;
    if (kDecoder.decode(drawn.bytes, tests::decode_mode(width_), instruction) !=
        cpu::DecodeStatus::Ok) {
      return;
    }
    if (!has(instruction, OperandKind::Memory)) return compare(instruction, nullptr);
    if (const auto direct = direct_memory(instruction)) compare(instruction, &*direct);
    for (unsigned n = 0; n < 2; ++n) {
      turn_ = (turn_ + 1) % std::size(kHostMemories);
      compare(instruction, &kHostMemories[turn_]);
    }
  }

  u64 copies() const { return copies_; }
  /// Mnemonics of which some form, or every form, isn't copied.
  std::set<std::string> unsupported() const { return unsupported_; }
  const std::set<std::string>& copied() const { return copied_; }

 private:
  void compare(const Instruction& instruction, const HostMemory* memory) {
    HostCode code;
    const ReencodeStatus status = reencode(instruction, memory, code);
    const std::string name(cpu::mnemonic_name(instruction.mnemonic));
    if (status == ReencodeStatus::Unsupported) {
      unsupported_.insert(name);
      if (code.length != 0) FAIL_CHECK(name << ": bytes of something unsupported");
      const bool system_register = has(instruction, OperandKind::Segment) ||
                                   has(instruction, OperandKind::Control) ||
                                   has(instruction, OperandKind::Debug);
      if (kPartlyUnsupported.contains(name) && !system_register && instruction.operand_count != 0) {
        FAIL_CHECK("not copied: " << cpu::format(instruction));
      }
      return;
    }
    if (status == ReencodeStatus::NeedsHighByteHelp) return check_high_byte(instruction, memory);
    copied_.insert(name);
    ++copies_;
    const std::string problem = check(instruction, memory, code);
    if (problem.empty()) return;
    FAIL_CHECK(problem << ": " << cpu::format(instruction) << ": "
                       << hex(instruction.bytes.data(), instruction.length) << "-> "
                       << hex(code.bytes.data(), code.length));
  }

  std::string check(const Instruction& instruction, const HostMemory* memory,
                    const HostCode& code) const {
    const Decoded guest = decode_guest(instruction, width_);
    const Decoded host = decode_host(code);
    if (!guest.valid) return "guest not decoded";
    if (!host.valid) return "host not decoded";
    if (host.instruction.length != code.length) return "length";
    const bool nop = code.length == 1 && code.bytes[0] == 0x90;
    if (nop && guest.instruction.opcode_map == ZYDIS_OPCODE_MAP_0F) return {};  // wide NOPs
    if (nop && guest.instruction.opcode == 0x90) return {};                     // XCHG AX, AX
    return difference(guest, host, memory);
  }

  static void check_high_byte(const Instruction& instruction, const HostMemory* memory) {
    bool reason = memory != nullptr && needs_rex(*memory);
    for (const cpu::Operand& operand : instruction.operands) {
      reason |= operand.kind == OperandKind::Gpr && operand.reg == cpu::Rsp;
    }
    if (!reason || !has(instruction, OperandKind::HighByte)) {
      FAIL_CHECK("no need of help: " << cpu::format(instruction));
    }
  }

  CodeWidth width_;
  std::size_t turn_ = 0;
  u64 copies_ = 0;
  std::set<std::string> unsupported_;
  std::set<std::string> copied_;
};

void append_immediate(tests::DrawnBytes& drawn, u8 seed) {
  for (unsigned n = 0; n < 8; ++n) {
    drawn.bytes[drawn.length++] = static_cast<u8>(seed + 0x35 * n);
  }
}

/// One encoding with registers that matter: 0, ESP, and another; addresses of all kinds.
void add_forms(Comparison& comparison, const tests::Encoding& encoding, CodeWidth width) {
  static constexpr u8 kVvvv[] = {1, 4, 7};
  const unsigned vvvv_count = encoding.vex_vvvv_free ? 3 : 1;
  static constexpr u8 kRegisters[] = {0, 4, 6};
  static constexpr u8 kAddresses[] = {0x03, 0x04, 0x05, 0x06, 0x45, 0x84};
  const unsigned count =
      encoding.memory() ? 6 : (encoding.has_modrm && encoding.rm_is_free ? 3 : 1);
  for (unsigned n = 0; n < count * vvvv_count; ++n) {
    u8 modrm = encoding.modrm;
    if (encoding.memory()) {
      modrm = static_cast<u8>((modrm & 0x38) | kAddresses[n % count]);
    } else if (count == 3) {
      modrm = static_cast<u8>(modrm | kRegisters[n % count]);
    }
    const u8 vvvv = encoding.vex_vvvv_free ? kVvvv[n / count] : 0;
    tests::DrawnBytes drawn;
    if (encoding.vector_sib && width == CodeWidth::Bits16) drawn.bytes[drawn.length++] = 0x67;
    append_encoding(drawn, encoding, modrm, vvvv, n % 2 == 0);
    if (encoding.memory() && (modrm & 7) == 4 && width == CodeWidth::Bits32) {
      static constexpr u8 kSibs[] = {0x24, 0x4C, 0x8D, 0x1D, 0x90};
      drawn.bytes[drawn.length++] = kSibs[n % 5];
    }
    append_immediate(drawn, static_cast<u8>(modrm + 3 * n));
    comparison.add(drawn);
  }
}

/// Bytes of the one- and two-byte maps with any ModRM that differs in more than its base register.
void add_legacy_maps(Comparison& comparison) {
  static constexpr u8 kPrefixes[] = {0, 0x66, 0xF2, 0xF3};
  static constexpr u8 kModrms[] = {0x05, 0x06, 0x42, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4};
  for (const u8 prefix : kPrefixes) {
    for (unsigned which = 0; which < 2 * 256 * 8 * 8; ++which) {
      tests::DrawnBytes drawn;
      if (prefix != 0) drawn.bytes[drawn.length++] = prefix;
      if (which >= 256 * 8 * 8) drawn.bytes[drawn.length++] = 0x0F;
      drawn.bytes[drawn.length++] = static_cast<u8>(which / 64);
      drawn.bytes[drawn.length++] = static_cast<u8>(kModrms[which % 8] | which / 8 % 8 << 3);
      append_immediate(drawn, static_cast<u8>(which));
      comparison.add(drawn);
    }
  }
}

/// What reencode() leaves to others, at least in some form.
const std::set<std::string> kUnsupported = {
    // 64-bit mode has no such instruction.
    "aaa", "aad", "aam", "aas", "arpl", "bound", "daa", "das", "into", "lds", "les", "popa",
    "popad", "pusha", "pushad", "salc",
    // Control transfer.
    "call", "int", "int1", "int3", "iret", "iretd", "jb", "jbe", "jcxz", "jecxz", "jl", "jle",
    "jmp", "jnb", "jnbe", "jnl", "jnle", "jno", "jnp", "jns", "jnz", "jo", "jp", "js", "jz", "loop",
    "loope", "loopne", "ret", "sysenter", "sysexit", "ud0", "ud1", "ud2",
    // Stack, strings, ports, implicit memory operands, vector indices.
    "enter", "leave", "pop", "popf", "popfd", "push", "pushf", "pushfd", "cmpsb", "cmpsd", "cmpsw",
    "insb", "insd", "insw", "lodsb", "lodsd", "lodsw", "movsb", "movsd", "movsw", "outsb", "outsd",
    "outsw", "scasb", "scasd", "scasw", "stosb", "stosd", "stosw", "in", "out", "maskmovdqu",
    "maskmovq", "vmaskmovdqu", "xlat", "vgatherdpd", "vgatherdps", "vgatherqpd", "vgatherqps",
    "vpgatherdd", "vpgatherdq", "vpgatherqd", "vpgatherqq",
    // System, and what the host knows otherwise than the guest.
    "clac", "cld", "cli", "clts", "cpuid", "fxrstor", "fxsave", "hlt", "invd", "invlpg", "lar",
    "lfs", "lgdt", "lgs", "lidt", "lldt", "lmsw", "lsl", "lss", "ltr", "mov", "rdmsr", "rdpid",
    "rdpmc", "rdtsc", "rdtscp", "sgdt", "sidt", "sldt", "smsw", "stac", "std", "sti", "str", "verr",
    "verw", "wbinvd", "wrmsr", "xgetbv", "xrstor", "xsave", "xsavec", "xsaveopt", "xsetbv"};

Instruction decoded(const Bytes& bytes, CodeWidth width = CodeWidth::Bits32,
                    const cpu::Decoder& decoder = kDecoder) {
  Instruction instruction;
  REQUIRE(decoder.decode(bytes, tests::decode_mode(width), instruction) == cpu::DecodeStatus::Ok);
  REQUIRE(instruction.length == bytes.size());
  return instruction;
}

/// The copy with its memory operand where the guest has it; empty if there is none.
Bytes copy(const Bytes& guest, CodeWidth width = CodeWidth::Bits32,
           const cpu::Decoder& decoder = kDecoder) {
  const Instruction instruction = decoded(guest, width, decoder);
  const auto memory = direct_memory(instruction);
  HostCode code;
  reencode(instruction, memory ? &*memory : nullptr, code);
  return {code.bytes.begin(), code.bytes.begin() + code.length};
}

Bytes copy_at(const Bytes& guest, const HostMemory& memory, CodeWidth width = CodeWidth::Bits32) {
  HostCode code;
  reencode(decoded(guest, width), &memory, code);
  return {code.bytes.begin(), code.bytes.begin() + code.length};
}

}  // namespace

TEST_CASE("a copy is the same instruction, for all encodings of the table") {
  std::set<std::string> unsupported;
  for (const CodeWidth width : {CodeWidth::Bits32, CodeWidth::Bits16}) {
    Comparison comparison(width);
    const tests::EncodingSpace space(kDecoder, width);
    for (const auto& mnemonic : space.mnemonics()) {
      for (const tests::Encoding& encoding : mnemonic.encodings) {
        add_forms(comparison, encoding, width);
      }
    }
    add_legacy_maps(comparison);
    CHECK(comparison.copies() > 100'000);
    unsupported.merge(comparison.unsupported());
    for (const tests::TableEntry& entry : tests::instruction_table()) {
      const std::string name(entry.name);
      INFO(name);
      CHECK(comparison.copied().contains(name) !=
            (kUnsupported.contains(name) && !kPartlyUnsupported.contains(name)));
    }
  }
  CHECK(unsupported == kUnsupported);
}

TEST_CASE("a copy is the same instruction under any prefixes") {
  for (const CodeWidth width : {CodeWidth::Bits32, CodeWidth::Bits16}) {
    Comparison comparison(width);
    const tests::EncodingSpace space(kDecoder, width);
    tests::Random random(1);
    for (unsigned n = 0; n < 30'000; ++n) comparison.add(space.draw(random));
    CHECK(comparison.copies() > 10'000);
  }
}

TEST_CASE("ESP is R15, in whichever field it stands") {
  CHECK(copy({0x89, 0xE0}) == Bytes{0x44, 0x89, 0xE0 | 0x38});       // mov eax, esp
  CHECK(copy({0x8B, 0xE0}) == Bytes{0x44, 0x8B, 0xF8});              // mov esp, eax
  CHECK(copy({0x89, 0xE4}) == Bytes{0x45, 0x89, 0xFF});              // mov esp, esp
  CHECK(copy({0x83, 0xE4, 0xF0}) == Bytes{0x41, 0x83, 0xE7, 0xF0});  // and esp, -16
  CHECK(copy({0xBC, 1, 2, 3, 4}) == Bytes{0x41, 0xBF, 1, 2, 3, 4});  // mov esp, imm
  CHECK(copy({0x94}) == Bytes{0x41, 0x97});                          // xchg esp, eax
  CHECK(copy({0x0F, 0xCC}) == Bytes{0x41, 0x0F, 0xCF});              // bswap esp
  CHECK(copy({0x44}) == Bytes{0x41, 0xFF, 0xC7});                    // inc esp
  CHECK(copy({0x66, 0x4C}) == Bytes{0x66, 0x41, 0xFF, 0xCF});        // dec sp
  CHECK(copy({0x8B, 0x44, 0x24, 8}) == Bytes{0x65, 0x67, 0x41, 0x8B, 0x47, 8});
  CHECK(copy({0x66, 0x0F, 0x6E, 0xE4}) == Bytes{0x66, 0x41, 0x0F, 0x6E, 0xE7});  // movd xmm4, esp
  CHECK(copy({0x66, 0x0F, 0xEF, 0xE4}) == Bytes{0x66, 0x0F, 0xEF, 0xE4});        // pxor xmm4, xmm4
  // andn esp, esp, esp; blsr esp, ecx; blsr ecx, esp
  CHECK(copy({0xC4, 0xE2, 0x58, 0xF2, 0xE4}) == Bytes{0xC4, 0x42, 0x00, 0xF2, 0xFF});
  CHECK(copy({0xC4, 0xE2, 0x58, 0xF3, 0xC9}) == Bytes{0xC4, 0xE2, 0x00, 0xF3, 0xC9});
  CHECK(copy({0xC4, 0xE2, 0x70, 0xF3, 0xCC}) == Bytes{0xC4, 0xC2, 0x70, 0xF3, 0xCF});
}

TEST_CASE("memory operands: window, host memory, no RIP-relative addresses") {
  // mov ecx, [0x1000]; mov eax, [0x1000] of the short form; mov [0x1000], al
  CHECK(copy({0x8B, 0x0D, 0, 0x10, 0, 0}) == Bytes{0x65, 0x67, 0x8B, 0x0C, 0x25, 0, 0x10, 0, 0});
  CHECK(copy({0xA1, 0, 0x10, 0, 0}) == Bytes{0x65, 0x67, 0x8B, 0x04, 0x25, 0, 0x10, 0, 0});
  CHECK(copy({0xA2, 0, 0x10, 0, 0}) == Bytes{0x65, 0x67, 0x88, 0x04, 0x25, 0, 0x10, 0, 0});
  CHECK(copy_at({0xA0, 0x34, 0x12}, {.base = 8}, CodeWidth::Bits16) ==
        Bytes{0x65, 0x67, 0x41, 0x8A, 0x00});
  CHECK(copy_at({0x01, 0x08}, {.base = 13, .displacement = 64, .window = false}) ==
        Bytes{0x41, 0x01, 0x4D, 64});
  // LEA: no segment, and the operand size cuts the sum.
  CHECK(copy({0x8D, 0x44, 0x8B, 0x10}) == Bytes{0x8D, 0x44, 0x8B, 0x10});
  CHECK(copy({0x8D, 0x05, 1, 2, 3, 4}) == Bytes{0x8D, 0x04, 0x25, 1, 2, 3, 4});
  // Segment overrides are the caller's; LOCK stays.
  CHECK(copy({0x64, 0xF0, 0x01, 0x03}) == Bytes{0x65, 0x67, 0xF0, 0x01, 0x03});
  // VEX takes the short form while it can.
  CHECK(copy({0xC5, 0xEC, 0x58, 0x0E}) == Bytes{0x65, 0x67, 0xC5, 0xEC, 0x58, 0x0E});
  CHECK(copy_at({0xC5, 0xEC, 0x58, 0x0E}, {.base = 8}) ==
        Bytes{0x65, 0x67, 0xC4, 0xC1, 0x6C, 0x58, 0x08});
}

TEST_CASE("operand size follows the instruction, not the mode") {
  CHECK(copy({0x01, 0xC8}, CodeWidth::Bits16) == Bytes{0x66, 0x01, 0xC8});
  CHECK(copy({0x66, 0x01, 0xC8}, CodeWidth::Bits16) == Bytes{0x01, 0xC8});
  CHECK(copy({0xB8, 1, 2}, CodeWidth::Bits16) == Bytes{0x66, 0xB8, 1, 2});
  CHECK(copy({0x00, 0xC8}, CodeWidth::Bits16) == Bytes{0x00, 0xC8});
  CHECK(copy({0x66, 0x00, 0xC8}) == Bytes{0x00, 0xC8});
  CHECK(copy({0xD9, 0xC1}, CodeWidth::Bits16) == Bytes{0xD9, 0xC1});
  CHECK(copy({0x0F, 0x58, 0xCA}, CodeWidth::Bits16) == Bytes{0x0F, 0x58, 0xCA});
  CHECK(copy({0xF2, 0x0F, 0x38, 0xF1, 0xC8}, CodeWidth::Bits16) ==
        Bytes{0x66, 0xF2, 0x0F, 0x38, 0xF1, 0xC8});  // crc32 ecx, ax
  CHECK(copy({0x98}, CodeWidth::Bits16) == Bytes{0x66, 0x98});
  CHECK(copy({0x66, 0x90}) == Bytes{0x90});
  CHECK(copy_at({0xD9, 0x30}, {.base = 3}, CodeWidth::Bits16) ==
        Bytes{0x65, 0x67, 0x66, 0xD9, 0x33});  // fnstenv, 14 bytes
}

TEST_CASE("prefixes without meaning go, those with one stay") {
  CHECK(copy({0xF3, 0x89, 0xC8}) == Bytes{0x89, 0xC8});
  CHECK(copy({0x2E, 0x3E, 0x89, 0xC8}) == Bytes{0x89, 0xC8});
  CHECK(copy({0xF3, 0x90}) == Bytes{0xF3, 0x90});
  CHECK(copy({0x66, 0xF3, 0x0F, 0xB8, 0xC1}) == Bytes{0x66, 0xF3, 0x0F, 0xB8, 0xC1});
  CHECK(copy({0xF3, 0x0F, 0xBC, 0xC1}) == Bytes{0xF3, 0x0F, 0xBC, 0xC1});
  // Without BMI1 and LZCNT these are BSF and BSR, whatever the host has.
  cpu::CpuidModel old = full_model();
  old.features.reset(static_cast<std::size_t>(cpu::Feature::Bmi1));
  old.features.reset(static_cast<std::size_t>(cpu::Feature::Lzcnt));
  const cpu::Decoder decoder{old};
  CHECK(copy({0xF3, 0x0F, 0xBC, 0xC1}, CodeWidth::Bits32, decoder) == Bytes{0x0F, 0xBC, 0xC1});
  CHECK(copy({0xF3, 0x0F, 0xBD, 0xC1}, CodeWidth::Bits32, decoder) == Bytes{0x0F, 0xBD, 0xC1});
}

TEST_CASE("VEX.W and the immediate's highest bit mean more in 64-bit mode") {
  CHECK(copy({0xC4, 0xE1, 0xF9, 0x6E, 0xC8}) == Bytes{0xC5, 0xF9, 0x6E, 0xC8});        // vmovd
  CHECK(copy({0xC4, 0xE2, 0xF0, 0xF2, 0xC2}) == Bytes{0xC4, 0xE2, 0x70, 0xF2, 0xC2});  // andn
  CHECK(copy({0xC4, 0xE3, 0xFB, 0xF0, 0xC2, 5}) == Bytes{0xC4, 0xE3, 0x7B, 0xF0, 0xC2, 5});
  CHECK(copy({0xC4, 0xE2, 0xF1, 0x98, 0xC2}) == Bytes{0xC4, 0xE2, 0xF1, 0x98, 0xC2});  // a double
  CHECK(copy({0xC4, 0xE3, 0x71, 0x4A, 0xC2, 0xB0}) == Bytes{0xC4, 0xE3, 0x71, 0x4A, 0xC2, 0x30});
}

TEST_CASE("high bytes can't be named beside REX") {
  HostCode code;
  const Instruction store = decoded({0x88, 0x64, 0x24, 4});  // mov [esp+4], ah
  const auto direct = direct_memory(store);
  REQUIRE(direct.has_value());
  CHECK(direct->base == 15);
  CHECK(reencode(store, &*direct, code) == ReencodeStatus::NeedsHighByteHelp);
  CHECK(code.length == 0);
  CHECK(copy_at({0x88, 0x64, 0x24, 4}, {.base = 3, .displacement = 4}) ==
        Bytes{0x65, 0x67, 0x88, 0x63, 4});
  CHECK(reencode(decoded({0x0F, 0xB6, 0xE4}), nullptr, code) ==
        ReencodeStatus::NeedsHighByteHelp);  // movzx esp, ah
  CHECK(copy({0x88, 0xE1}) == Bytes{0x88, 0xE1});
}

TEST_CASE("hints touch nothing") {
  CHECK(copy({0x0F, 0x1F, 0x44, 0, 0}) == Bytes{0x90});
  CHECK(copy({0xF3, 0x0F, 0x1E, 0xC8}) == Bytes{0x90});  // RDSSP where there is CET
  CHECK(copy({0x0F, 0x18, 0x0B}) == Bytes{0x65, 0x67, 0x0F, 0x18, 0x0B});
  HostCode code;
  CHECK(reencode(decoded({0x0F, 0x18, 0x0B}), nullptr, code) == ReencodeStatus::Ok);
  CHECK(code.length == 1);
}

TEST_CASE("no direct operand for 16-bit addresses, vector indices and implicit memory") {
  CHECK_FALSE(direct_memory(decoded({0x67, 0x8B, 0x07})).has_value());
  CHECK_FALSE(direct_memory(decoded({0xC4, 0xE2, 0x69, 0x90, 0x0C, 0x03})).has_value());
  CHECK_FALSE(direct_memory(decoded({0xD7})).has_value());
  CHECK_FALSE(direct_memory(decoded({0x89, 0xC8})).has_value());
  CHECK(direct_memory(decoded({0x8B, 0x84, 0x8C, 1, 0, 0, 0x80})) ==
        HostMemory{.base = 15, .index = 1, .scale = 4, .displacement = -0x7FFFFFFF});
  HostCode code;
  CHECK(reencode(decoded({0x8B, 0x03}), nullptr, code) == ReencodeStatus::Unsupported);
}

}  // namespace ringshift::translator
