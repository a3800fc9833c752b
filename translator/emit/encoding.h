// Host code as bytes: where a memory operand is to lie, which host register stands for a guest's,
// and ModRM, SIB and displacement of 64-bit mode. Everything that emits guest operations shares
// this one idea of a memory operand.
#pragma once

#include <array>
#include <optional>

#include "cpu/instruction.h"
#include "cpu/registers.h"
#include "cpu/types.h"

namespace ringshift::translator {

using cpu::kNoRegister;

/// A host memory operand: [base + index*scale + displacement]. Register numbers are host numbers
/// 0-15; no index can be RSP (4).
struct HostMemory {
  u8 base = kNoRegister;
  u8 index = kNoRegister;
  u8 scale = 1;
  i32 displacement = 0;
  /// In the guest's window: GS override, and an address computed modulo 2^32 (67h). Otherwise a
  /// 64-bit host address.
  bool window = true;
  friend bool operator==(const HostMemory&, const HostMemory&) = default;
};

struct HostCode {
  std::array<u8, 32> bytes{};
  u8 length = 0;
  void push(unsigned byte) { bytes[length++] = static_cast<u8>(byte); }
  void push(u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) push(static_cast<unsigned>(value >> (8 * i) & 0xFF));
  }
};

/// Host register of a guest general register: itself, but R15 for ESP, because the host's stack
/// pointer is needed for the host's own calls.
constexpr u8 host_register(u8 guest) {
  return guest == cpu::Rsp ? u8{cpu::R15} : guest;
}

/// The guest's memory operand as it stands, for a flat segment: none if the instruction has no
/// explicit memory operand, its address size isn't 32 bits or its index is a vector. The caller
/// knows whether the segment is flat.
std::optional<HostMemory> direct_memory(const cpu::Instruction& instruction);

/// Appends ModRM, SIB and displacement; `reg` is the low three bits of ModRM.reg, whose fourth bit
/// goes into the prefix as those of base and index do.
void append_memory_operand(unsigned reg, const HostMemory& memory, HostCode& into);

}  // namespace ringshift::translator
