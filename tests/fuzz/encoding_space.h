// Every encoding that the decoder accepts and the instruction table marks as testable on the host,
// found by trying all of them: prefixes, opcode maps, ModRM. The fuzzer draws mnemonics evenly,
// then forms of one, so that a rare instruction is tested as often as MOV.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/decoder.h"
#include "tests/fuzz/random.h"

namespace ringshift::tests {

/// How the instruction table says that a mnemonic is tested.
enum class TestKind : u8 { Host, System };

struct TableEntry {
  std::string_view name;  ///< as mnemonic_name() gives it
  TestKind test = TestKind::Host;
};
/// The lines of cpu/instructions.def, in order.
std::vector<TableEntry> instruction_table();

/// One encoding up to and including ModRM; memory forms get their addressing at each draw.
struct Encoding {
  std::array<u8, 4> prefixes{};  ///< mandatory legacy prefixes
  u8 prefix_count = 0;
  u8 map = 0;  ///< 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A
  u8 opcode = 0;
  bool has_modrm = false;
  u8 modrm = 0;
  bool rm_is_free = false;  ///< a register form whose rm field may be any register
  bool vex = false;
  u8 vex_pp = 0, vex_l = 0, vex_w = 0;
  bool vex_vvvv_free = false;
  bool vector_sib = false;

  bool memory() const { return has_modrm && modrm < 0xC0; }
};

/// Whether code runs with 16- or 32-bit operands and addresses by default.
enum class CodeWidth : u8 { Bits16, Bits32 };
inline cpu::DecodeMode decode_mode(CodeWidth width) {
  return {width == CodeWidth::Bits32, false, false};
}

/// Bytes of an instruction, followed by bytes that would be its immediate.
struct DrawnBytes {
  std::array<u8, 32> bytes{};
  unsigned length = 0;
  /// Where a displacement without base register lies, as wide as an address; 0: none. The fuzzer
  /// points it at memory.
  unsigned absolute_displacement = 0;
};

/// Which instructions are drawn.
enum class Selection : u8 {
  HostSafe,  ///< what may run on the host
  All,       ///< all of the table in which engines must agree
};

class EncodingSpace {
 public:
  explicit EncodingSpace(const cpu::Decoder& decoder, CodeWidth width = CodeWidth::Bits32,
                         Selection selection = Selection::HostSafe);

  struct Mnemonic {
    std::string name;
    u16 number = 0;
    std::vector<Encoding> encodings;
  };
  CodeWidth width() const { return width_; }
  Selection selection() const { return selection_; }
  const std::vector<Mnemonic>& mnemonics() const { return mnemonics_; }
  /// Keeps only the mnemonics that `wanted` names.
  void restrict_to(std::string_view wanted);
  DrawnBytes draw(Random& random) const;
  /// Whether an instruction belongs to the selection: prefixes can turn an encoding into another.
  bool testable(const cpu::Instruction& instruction) const;

 private:
  void add_legacy(const cpu::Decoder& decoder);
  void add_vex(const cpu::Decoder& decoder);
  void try_encoding(const cpu::Decoder& decoder, const Encoding& encoding);

  CodeWidth width_;
  Selection selection_;
  std::vector<bool> testable_;  ///< by mnemonic number
  std::vector<i32> by_number_;  ///< index into mnemonics_, -1: none yet
  std::vector<Mnemonic> mnemonics_;
};

/// Control transfers between segments, and what concerns the system more than the program.
bool is_system(const cpu::Instruction& instruction);

/// The encoding with given ModRM, VVVV and trailing bytes.
void append_encoding(DrawnBytes& out, const Encoding& encoding, u8 modrm, u8 vvvv, bool short_vex);

}  // namespace ringshift::tests
