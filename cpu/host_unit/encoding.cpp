#include "cpu/host_unit/encoding.h"

namespace ringshift::cpu {
namespace {

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
  if (encoding.has_immediate()) {
    constexpr unsigned kWithoutHighestBit = 0x7F;
    const unsigned immediate = static_cast<u8>(encoding.immediate);
    host.push(immediate_names_register(encoding) ? immediate & kWithoutHighestBit : immediate);
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
