#include "cpu/decoder.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "cpu/decode_cache.h"
#include "cpu/decoder_flags.h"
#include "cpu/decoder_table.h"

namespace ringshift::cpu {

namespace {

bool in(ZydisRegister reg, ZydisRegister first, ZydisRegister last) {
  return reg >= first && reg <= last;
}

Operand register_operand(ZydisRegister reg, unsigned size) {
  Operand operand;
  operand.size = static_cast<u16>(size);
  const auto set = [&](OperandKind kind, int number) {
    operand.kind = kind;
    operand.reg = static_cast<u8>(number);
  };
  if (in(reg, ZYDIS_REGISTER_AL, ZYDIS_REGISTER_BL))
    set(OperandKind::Gpr, reg - ZYDIS_REGISTER_AL);
  else if (in(reg, ZYDIS_REGISTER_AH, ZYDIS_REGISTER_BH))
    set(OperandKind::HighByte, reg - ZYDIS_REGISTER_AH);
  else if (in(reg, ZYDIS_REGISTER_SPL, ZYDIS_REGISTER_R15B))
    set(OperandKind::Gpr, reg - ZYDIS_REGISTER_SPL + Rsp);
  else if (in(reg, ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W))
    set(OperandKind::Gpr, reg - ZYDIS_REGISTER_AX);
  else if (in(reg, ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D))
    set(OperandKind::Gpr, reg - ZYDIS_REGISTER_EAX);
  else if (in(reg, ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15))
    set(OperandKind::Gpr, reg - ZYDIS_REGISTER_RAX);
  else if (in(reg, ZYDIS_REGISTER_ES, ZYDIS_REGISTER_GS))
    set(OperandKind::Segment, reg - ZYDIS_REGISTER_ES);
  else if (in(reg, ZYDIS_REGISTER_CR0, ZYDIS_REGISTER_CR15))
    set(OperandKind::Control, reg - ZYDIS_REGISTER_CR0);
  else if (in(reg, ZYDIS_REGISTER_DR0, ZYDIS_REGISTER_DR15))
    set(OperandKind::Debug, reg - ZYDIS_REGISTER_DR0);
  else if (in(reg, ZYDIS_REGISTER_ST0, ZYDIS_REGISTER_ST7))
    set(OperandKind::X87, reg - ZYDIS_REGISTER_ST0);
  else if (in(reg, ZYDIS_REGISTER_MM0, ZYDIS_REGISTER_MM7))
    set(OperandKind::Mmx, reg - ZYDIS_REGISTER_MM0);
  else if (in(reg, ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM15))
    set(OperandKind::Xmm, reg - ZYDIS_REGISTER_XMM0);
  else if (in(reg, ZYDIS_REGISTER_YMM0, ZYDIS_REGISTER_YMM15))
    set(OperandKind::Ymm, reg - ZYDIS_REGISTER_YMM0);
  return operand;
}

u8 address_register(ZydisRegister reg) {
  if (in(reg, ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W))
    return static_cast<u8>(reg - ZYDIS_REGISTER_AX);
  if (in(reg, ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D))
    return static_cast<u8>(reg - ZYDIS_REGISTER_EAX);
  if (in(reg, ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15))
    return static_cast<u8>(reg - ZYDIS_REGISTER_RAX);
  // The index of a vector SIB.
  if (in(reg, ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM15))
    return static_cast<u8>(reg - ZYDIS_REGISTER_XMM0);
  if (in(reg, ZYDIS_REGISTER_YMM0, ZYDIS_REGISTER_YMM15))
    return static_cast<u8>(reg - ZYDIS_REGISTER_YMM0);
  return kNoRegister;
}

struct Prefixes {
  bool operand_size = false;
  bool lock = false;
  RepeatPrefix repeat = RepeatPrefix::None;
  SegmentName segment = SegmentName::DS;
  bool segment_override = false;
};

/// What the legacy prefixes say, whether or not Zydis thinks that the instruction cares. Of a group
/// the last one counts.
Prefixes read_prefixes(const u8* bytes, unsigned count) {
  Prefixes prefixes;
  const auto override_with = [&](SegmentName segment) {
    prefixes.segment = segment;
    prefixes.segment_override = true;
  };
  for (unsigned i = 0; i < count; ++i) {
    switch (bytes[i]) {
      case 0x66:
        prefixes.operand_size = true;
        break;
      case 0xF0:
        prefixes.lock = true;
        break;
      case 0xF2:
        prefixes.repeat = RepeatPrefix::RepNe;
        break;
      case 0xF3:
        prefixes.repeat = RepeatPrefix::Rep;
        break;
      case 0x26:
        override_with(SegmentName::ES);
        break;
      case 0x2E:
        override_with(SegmentName::CS);
        break;
      case 0x36:
        override_with(SegmentName::SS);
        break;
      case 0x3E:
        override_with(SegmentName::DS);
        break;
      case 0x64:
        override_with(SegmentName::FS);
        break;
      case 0x65:
        override_with(SegmentName::GS);
        break;
      default:
        break;
    }
  }
  return prefixes;
}

ControlFlow control_flow_of(const ZydisDecodedInstruction& decoded) {
  switch (decoded.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
      return ControlFlow::Conditional;
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
      return decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
                     decoded.mnemonic == ZYDIS_MNEMONIC_IRET ||
                     decoded.mnemonic == ZYDIS_MNEMONIC_IRETD
                 ? ControlFlow::Far
                 : ControlFlow::Near;
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
      return ControlFlow::Far;
    default:
      return decoded.mnemonic == ZYDIS_MNEMONIC_HLT || decoded.mnemonic == ZYDIS_MNEMONIC_UD0 ||
                     decoded.mnemonic == ZYDIS_MNEMONIC_UD1 ||
                     decoded.mnemonic == ZYDIS_MNEMONIC_UD2
                 ? ControlFlow::Far
                 : ControlFlow::Sequential;
  }
}

/// Instructions that #UD in real-address and virtual-8086 mode. SDM 2, "Real-Address Mode
/// Exceptions" of each; every VEX encoding among them (SDM 2A §2.3.1).
bool protected_mode_only(const ZydisDecodedInstruction& decoded) {
  if (decoded.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return true;
  switch (decoded.mnemonic) {
    case ZYDIS_MNEMONIC_ARPL:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LTR:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
      return true;
    default:
      return false;
  }
}

OperandField field_of(ZydisOperandEncoding encoding) {
  switch (encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
      return OperandField::ModrmReg;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
      return OperandField::ModrmRm;
    case ZYDIS_OPERAND_ENCODING_OPCODE:
      return OperandField::Opcode;
    case ZYDIS_OPERAND_ENCODING_NDSNDD:
      return OperandField::Vvvv;
    case ZYDIS_OPERAND_ENCODING_IS4:
      return OperandField::Immediate;
    default:
      return OperandField::Implicit;
  }
}

void fill_memory(const ZydisDecodedOperand& from, const Prefixes& prefixes, Instruction& into) {
  const auto& mem = from.mem;
  MemoryOperand& memory = into.memory;
  memory.base = address_register(mem.base);
  memory.index = address_register(mem.index);
  memory.scale = mem.index == ZYDIS_REGISTER_NONE ? u8{1} : std::max<u8>(mem.scale, 1);
  memory.displacement = mem.disp.has_displacement ? mem.disp.value : 0;
  if (in(mem.segment, ZYDIS_REGISTER_ES, ZYDIS_REGISTER_GS)) {
    memory.segment = static_cast<SegmentName>(mem.segment - ZYDIS_REGISTER_ES);
  }
  memory.segment_overridden = prefixes.segment_override;
}

void fill_operands(const ZydisDecodedInstruction& decoded, const ZydisDecodedOperand* operands,
                   const Prefixes& prefixes, Instruction& into) {
  bool first_immediate = true;
  into.operand_count =
      static_cast<u8>(std::min<std::size_t>(decoded.operand_count_visible, into.operands.size()));
  // String instructions and XLAT name no operands: their source is DS unless overridden.
  into.memory = MemoryOperand{};
  into.memory.segment = prefixes.segment_override ? prefixes.segment : SegmentName::DS;
  into.memory.segment_overridden = prefixes.segment_override;
  for (unsigned i = 0; i < into.operand_count; ++i) {
    const ZydisDecodedOperand& from = operands[i];
    Operand& operand = into.operands[i];
    operand = Operand{};
    operand.size = static_cast<u16>(from.size / 8);
    switch (from.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER:
        operand = register_operand(from.reg.value, from.size / 8);
        break;
      case ZYDIS_OPERAND_TYPE_MEMORY:
        operand.kind = OperandKind::Memory;
        fill_memory(from, prefixes, into);
        break;
      case ZYDIS_OPERAND_TYPE_POINTER:
        operand.kind = OperandKind::FarPointer;
        into.immediate = from.ptr.offset;
        into.immediate2 = from.ptr.segment;
        break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (from.imm.is_relative) {
          operand.kind = OperandKind::RelativeBranch;
          into.immediate = from.imm.value.u;
        } else {
          operand.kind = first_immediate ? OperandKind::Immediate : OperandKind::Immediate2;
          (first_immediate ? into.immediate : into.immediate2) = from.imm.value.u;
          first_immediate = false;
        }
        break;
      default:
        break;
    }
    operand.field = field_of(from.encoding);
  }
}

}  // namespace

struct Decoder::Implementation {
  const CpuidModel& model;
  DecodeCache cache;
  ZydisDecoder code_16;
  ZydisDecoder code_32;

  explicit Implementation(const CpuidModel& cpuid) : model(cpuid) {
    ZydisDecoderInit(&code_16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&code_32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    for (ZydisDecoder* decoder : {&code_16, &code_32}) {
      const auto mode = [&](ZydisDecoderMode which, bool on) {
        ZydisDecoderEnableMode(decoder, which, on ? ZYAN_TRUE : ZYAN_FALSE);
      };
      // Encodings that are wide NOPs, or plain BSF and BSR, on a processor without the extension.
      mode(ZYDIS_DECODER_MODE_MPX, false);
      mode(ZYDIS_DECODER_MODE_CET, false);
      mode(ZYDIS_DECODER_MODE_CLDEMOTE, false);
      mode(ZYDIS_DECODER_MODE_WBNOINVD, false);
      mode(ZYDIS_DECODER_MODE_KNC, false);
      mode(ZYDIS_DECODER_MODE_TZCNT, model.has(Feature::Bmi1));
      mode(ZYDIS_DECODER_MODE_LZCNT, model.has(Feature::Lzcnt));
    }
  }
};

Decoder::Decoder(const CpuidModel& model)
    : implementation_(std::make_unique<Implementation>(model)) {}
Decoder::~Decoder() = default;

DecodeStatus Decoder::decode(std::span<const u8> bytes, DecodeMode mode, Instruction& into) const {
  if (const Instruction* known = implementation_->cache.find(bytes, mode)) {
    into = *known;
    return DecodeStatus::Ok;
  }
  const DecodeStatus status = decode_anew(bytes, mode, into);
  if (status == DecodeStatus::Ok) implementation_->cache.add(into, mode);
  return status;
}

DecodeStatus Decoder::decode_anew(std::span<const u8> bytes, DecodeMode mode,
                                  Instruction& into) const {
  const ZydisDecoder& decoder = mode.code_32 ? implementation_->code_32 : implementation_->code_16;
  const std::size_t available = std::min(bytes.size(), kLongestInstruction);
  if (available == 0) return DecodeStatus::NeedsMoreBytes;
  ZydisDecoderContext context;
  ZydisDecodedInstruction decoded;
  const ZyanStatus status =
      ZydisDecoderDecodeInstruction(&decoder, &context, bytes.data(), available, &decoded);
  if (status == ZYDIS_STATUS_NO_MORE_DATA) {
    return available < kLongestInstruction ? DecodeStatus::NeedsMoreBytes : DecodeStatus::TooLong;
  }
  if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) return DecodeStatus::TooLong;
  if (!ZYAN_SUCCESS(status)) return DecodeStatus::InvalidOpcode;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&decoder, &context, &decoded, operands.data(),
                                               decoded.operand_count_visible))) {
    return DecodeStatus::InvalidOpcode;
  }
  if (mode.real_selectors && protected_mode_only(decoded)) return DecodeStatus::InvalidOpcode;

  const Prefixes prefixes = read_prefixes(bytes.data(), decoded.raw.prefix_count);
  into = Instruction{};
  into.mnemonic = static_cast<u16>(decoded.mnemonic);
  into.length = decoded.length;
  into.operand_size = mode.code_32 != prefixes.operand_size ? 4 : 2;
  into.address_size = decoded.address_width / 8;
  into.control_flow = control_flow_of(decoded);
  into.repeat = prefixes.repeat;
  into.lock = prefixes.lock;
  into.opcode = decoded.opcode;
  std::copy_n(bytes.begin(), decoded.length, into.bytes.begin());
  fill_operands(decoded, operands.data(), prefixes, into);
  if (into.lock && ((decoded.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK) == 0 ||
                    into.operands[0].kind != OperandKind::Memory)) {
    // The one legal form with the memory operand second.
    if (decoded.mnemonic != ZYDIS_MNEMONIC_XCHG || into.operands[1].kind != OperandKind::Memory) {
      return DecodeStatus::InvalidOpcode;
    }
  }
  const FlagEffects effects = flag_effects(decoded, into);
  into.flags_read = effects.read;
  into.flags_written = effects.written;
  bind(implementation_->model, into);
  return into.handler == nullptr ? DecodeStatus::InvalidOpcode : DecodeStatus::Ok;
}

std::string format(const Instruction& instruction, u64 rip) {
  // The mode follows from the operand size and its prefix.
  bool prefix = false;
  for (unsigned i = 0; i < instruction.length; ++i) {
    const u8 byte = instruction.bytes[i];
    if (byte == 0x66) prefix = true;
    if (byte != 0x66 && byte != 0x67 && byte != 0xF0 && byte != 0xF2 && byte != 0xF3 &&
        byte != 0x26 && byte != 0x2E && byte != 0x36 && byte != 0x3E && byte != 0x64 &&
        byte != 0x65) {
      break;
    }
  }
  const bool code_32 = (instruction.operand_size == 4) != prefix;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, code_32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
                   code_32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
  ZydisDecodedInstruction decoded;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, instruction.bytes.data(), instruction.length,
                                           &decoded, operands.data()))) {
    return "(bad)";
  }
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  std::array<char, 160> text{};
  ZydisFormatterFormatInstruction(&formatter, &decoded, operands.data(),
                                  decoded.operand_count_visible, text.data(), text.size(), rip,
                                  nullptr);
  return text.data();
}

HostText format_host(std::span<const u8> bytes, u64 address) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction decoded;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  std::array<char, 160> text{};
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &decoded,
                                           operands.data()))) {
    std::snprintf(text.data(), text.size(), "db %02x", unsigned{bytes.front()});
    return {text.data(), 1};
  }
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  ZydisFormatterFormatInstruction(&formatter, &decoded, operands.data(),
                                  decoded.operand_count_visible, text.data(), text.size(), address,
                                  nullptr);
  return {text.data(), decoded.length};
}

std::string_view mnemonic_name(u16 mnemonic) {
  if (mnemonic > ZYDIS_MNEMONIC_MAX_VALUE) return "(bad)";
  return ZydisMnemonicGetString(static_cast<ZydisMnemonic>(mnemonic));
}

}  // namespace ringshift::cpu
