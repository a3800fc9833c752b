// What the instruction fuzzer runs: one instruction, or several in a row with branches among them,
// and the state that they start from. A row is what a translator makes one block of: what it keeps
// in registers from one instruction to the next, and how it finds back from the middle, shows
// there.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tests/fuzz/test_case.h"

namespace ringshift::tests {

/// Kinds of segments that a system program may start with.
inline constexpr unsigned kSegmentKinds = 9;

struct Program {
  struct Part {
    unsigned offset = 0;  ///< of its first byte in `code`
    unsigned length = 0;
    std::string_view name;  ///< mnemonic
    bool undefined = false;
  };
  std::vector<Part> parts;  ///< instructions, in order
  std::vector<u8> code;
  unsigned placed = 0;  ///< bytes of it inside the code area
  u32 address = 0;      ///< linear
  CpuImage image;
  std::vector<MemoryPatch> patches;
  /// What each data segment is to start as, ES to GS: see SystemMachine. 0: flat.
  std::array<u8, 6> segment_kinds{};

  unsigned length() const { return static_cast<unsigned>(code.size()); }
  /// Whether an instruction begins there.
  bool has_part_at(u32 offset) const;
  /// Puts NOPs in a part's place.
  void blank(const Part& part);
  /// Mnemonics of all parts that aren't blank, "add+push".
  std::string name() const;
};

class ProgramMaker {
 public:
  /// `longest`: how many instructions a program may have, those that load registers for them not
  /// counted. 1: always one.
  ProgramMaker(const EncodingSpace& space, const cpu::Decoder& decoder, unsigned longest,
               Environment environment = Environment::User)
      : environment_(environment),
        cases_(space, decoder, environment),
        decoder_(decoder),
        width_(space.width()),
        longest_(longest) {}

  const Segmentation& segments() const { return cases_.segments(); }
  Program make(u64 seed, u64 index) const;
  /// Disassembly, one instruction a line.
  std::string listing(const Program& program) const;

 private:
  /// A place in the code that is to hold the address of one of its instructions.
  struct Pointer {
    unsigned position = 0;
    unsigned size = 4;
  };
  using Pointers = std::vector<Pointer>;

  Program make_single(u64 seed, u64 index) const;
  void append(Program& program, const TestCase& test) const;
  void append_load(Program& program, unsigned reg, u32 value) const;
  void append_push(Program& program, u32 value, unsigned size) const;
  void prepare_transfer(Program& program, const TestCase& test, Pointers& pointers,
                        Random& random) const;
  void append_follower(Program& program, Pointers& pointers, Random& random) const;
  unsigned choose_target(const Program& program, std::size_t from, Random& random) const;
  static void choose_segments(Program& program, Random& random);
  void connect_branches(Program& program, const Pointers& pointers, Random& random) const;

  const Environment environment_;
  TestCaseMaker cases_;
  const cpu::Decoder& decoder_;
  CodeWidth width_;
  unsigned longest_;
};

}  // namespace ringshift::tests
