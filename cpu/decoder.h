// The decoder: the only place that knows Zydis. It turns bytes into cpu::Instruction the way that
// the modelled processor would, which is stricter and older than what Zydis accepts: features that
// the CPUID model lacks don't exist, and the table in cpu/instructions.def has the last word.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/cpuid.h"
#include "cpu/instruction.h"

namespace ringshift::cpu {

enum class DecodeStatus : u8 {
  Ok,
  InvalidOpcode,   ///< #UD
  NeedsMoreBytes,  ///< the bytes end inside the instruction
  TooLong,         ///< more than 15 bytes: #GP(0). SDM 2A §2.3.11
};

class Decoder {
 public:
  explicit Decoder(const CpuidModel& model);
  ~Decoder();

  /// Decodes one instruction from the start of `bytes`, handler included. On anything but Ok the
  /// contents of `into` are unspecified. Not by two threads at once: it remembers.
  DecodeStatus decode(std::span<const u8> bytes, DecodeMode mode, Instruction& into) const;

 private:
  DecodeStatus decode_anew(std::span<const u8> bytes, DecodeMode mode, Instruction& into) const;
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// The longest instruction that exists.
inline constexpr std::size_t kLongestInstruction = 15;

/// Intel-syntax disassembly, for dumps and messages; branch targets are absolute if `rip` is given.
std::string format(const Instruction& instruction, u64 rip = 0);
/// One instruction of 64-bit host code.
struct HostText {
  std::string text;
  unsigned length = 1;
};
/// The first instruction in `bytes`, which lie at `address`; what isn't one is shown as a byte.
HostText format_host(std::span<const u8> bytes, u64 address);
/// "add", "jnz", ...
std::string_view mnemonic_name(u16 mnemonic);
/// How many lines cpu/instructions.def has; line `n` has this mnemonic name. For coverage reports.
std::size_t instruction_table_size();
std::string_view instruction_table_mnemonic(std::size_t line);
/// Mnemonics that the library knows and that aren't in exactly one of cpu/instructions.def and
/// cpu/instructions/undefined.def. None, or someone hasn't decided about an instruction.
std::vector<std::string_view> undecided_mnemonics();

}  // namespace ringshift::cpu
