// A translated block: guest instructions in a row, entered at the first, and the host code that
// does the same. It knows how to get from any host address in it back to the guest's state there,
// and which jumps lead out of it and into it.
#pragma once

#include <array>
#include <vector>

#include "cpu/instruction.h"
#include "cpu/types.h"
#include "translator/mode.h"

namespace ringshift::translator {

/// What else than the pending stack delta separates the host's registers from the guest's state.
/// Recorded when the code is emitted; sets of these are ORed together.
enum Recovery : u8 {
  kRbpInR9 = 1 << 0,      ///< RBP is borrowed, its value in R9
  kRcxInR9 = 1 << 1,      ///< RCX likewise
  kFlagsInAx = 1 << 2,    ///< AX holds the flags (LAHF; SETO AL), R10 the value of RAX
  kCannotFault = 1 << 4,  ///< the memory has been proved to be there; registers are changing
  kRepeating = 1 << 3,    ///< a repeated string instruction: R8D is the count it began with, and of
                          ///< RSI and RDI the lower halves are the guest's
};

/// From this host address on (to the next point's) the guest is at `guest_offset`.
struct FaultPoint {
  u32 host_offset = 0;   ///< from the block's code
  u16 guest_offset = 0;  ///< from the block's EIP
  i16 pending = 0;       ///< to be added to the host register that stands for ESP
  u8 recovery = 0;
  u8 counted_ahead = 0;   ///< instructions that have been counted though they come from here on
  bool boundary = false;  ///< exactly here the guest is between two instructions
};

/// Where the host's last-instruction pointer may point: at the copy of an x87 instruction.
struct X87Point {
  u32 host_offset = 0;   ///< from the block's code
  u16 guest_offset = 0;  ///< from the block's EIP
  u16 opcode = 0;        ///< FOP: low bits of the first byte, the ModRM byte
  bool has_memory = false;
  cpu::SegmentName segment = cpu::SegmentName::DS;  ///< of the operand
};

/// The guest's state at a host address, as far as it isn't where it belongs anyway.
struct Recovered {
  std::array<u64, 8> gpr{};
  u64 rip = 0;
  u64 arithmetic_flags = 0;
};

struct Block;

/// A direct branch out of a block: a jump whose target is patched.
struct ExitSite {
  Block* from = nullptr;
  Block* to = nullptr;           ///< linked to, or null
  const u8* jump_end = nullptr;  ///< the 32-bit displacement lies before it
  const u8* unlinked = nullptr;  ///< leaves to the dispatcher
  const u8* by_table = nullptr;  ///< goes through the branch table
  u32 target = 0;                ///< EIP
  bool other_page = false;
  bool in_page_links = false;  ///< the translator has it in its list of such links
};

/// Whether a block goes on behind an instruction that may change modes and segments: most loads of
/// segment registers change no kind of segment. Those of control registers mostly do.
inline bool may_stay(const cpu::Instruction& instruction) {
  return instruction.control_flow == cpu::ControlFlow::Sequential &&
         instruction.operands[0].kind != cpu::OperandKind::Control;
}

/// An instruction that generated code hands to the interpreter.
struct CallOut {
  cpu::Instruction instruction;
  Block* block = nullptr;
  u32 eip = 0;
  bool whole = false;    ///< no decoded instruction: the interpreter fetches it itself
  bool leaves = false;   ///< modes, mappings or code may be others afterwards
  u8 counted_ahead = 0;  ///< as in FaultPoint
  u16 patience = 0;      ///< as in FaultSites::Advice
  u16 needless = 0;      ///< so often in a row has it been
};

struct Block {
  PhysicalAddress address;
  PhysicalAddress second_page;  ///< if it crosses
  u32 eip = 0;
  Mode mode;           ///< that it was made in
  u32 used_kinds = 0;  ///< bits of the mode: the kinds of the segments that it uses
  u32 indifferent =
      0;  ///< bits of the mode in which it runs, and leads to others, whatever they are
  u16 bytes = 0;
  u16 instructions = 0;
  bool crosses_page = false;
  bool second_global = false;  ///< if it crosses: the second page is Mode::kGlobal too
  bool dead = false;
  const u8* code = nullptr;  ///< first host byte
  /// Where jumps and the branch table lead; the latter with the EIP in R8D. A dead block has a jump
  /// to the dispatcher there: nothing that was in it when it died comes back into it.
  const u8* entry = nullptr;
  u32 code_size = 0;
  std::vector<FaultPoint> points;  ///< by host_offset
  std::vector<X87Point> x87;       ///< likewise
  std::vector<u32> exits;          ///< numbers of its exit sites
  std::vector<u32> entrances;      ///< exit sites that have been linked to it; some may be no more
  Block* next_in_bucket = nullptr;
  Block** link_in_bucket = nullptr;  ///< what leads to it there

  bool runs_in(Mode other) const { return ((mode.bits() ^ other.bits()) & ~indifferent) == 0; }
  /// All address spaces map all of its bytes alike.
  bool everywhere() const { return mode.has(Mode::kGlobal) && (!crosses_page || second_global); }
  /// The point that `host` lies behind; the first one for the indirect entry.
  const FaultPoint& point_at(const u8* host) const;
  /// The x87 instruction whose copy begins at `host`, or null.
  const X87Point* x87_at(const u8* host) const;
};

}  // namespace ringshift::translator
