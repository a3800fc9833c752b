// How the host unit re-encodes an x87 or SIMD instruction: registers as they are, memory operand
// and general register at fixed places, so that forms which differ only there share one thunk.
#pragma once

#include <array>

#include "cpu/encoding.h"
#include "cpu/types.h"

namespace ringshift::cpu {

/// Bytes of a re-encoded instruction.
struct HostBytes {
  std::array<u8, 16> bytes{};
  u8 length = 0;
  void push(unsigned byte) { bytes[length++] = static_cast<u8>(byte); }
  friend bool operator==(const HostBytes&, const HostBytes&) = default;
};

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
