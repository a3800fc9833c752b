// One fuzz case: an instruction and the state that it starts from, arranged so that the instruction
// has something to do: operands point into the test areas, counts are small, floating-point memory
// holds floating-point numbers.
#pragma once

#include "cpu/decoder.h"
#include "tests/asm/test_state.h"
#include "tests/fuzz/encoding_space.h"
#include "tests/fuzz/random.h"

namespace ringshift::tests {

/// Bytes to be laid over the base pattern of the test memory before the run.
struct MemoryPatch {
  static constexpr unsigned kLength = 64;
  u32 address = 0;
  std::array<u8, kLength> bytes{};
};

struct TestCase {
  cpu::Instruction instruction;  ///< what the bytes are; for a #UD case, of the legal twin
  std::string_view name;         ///< mnemonic
  std::array<u8, 16> bytes{};
  unsigned length = 0;
  /// How many of the bytes lie inside the code area: fewer than `length` at its end.
  unsigned placed = 0;
  bool undefined = false;  ///< illegal LOCK: must raise #UD
  u32 address = 0;         ///< linear, of the first byte
  CpuImage image;
  std::array<MemoryPatch, 2> patches;
};

/// Who runs the program: what is worth loading into segment and system registers.
enum class Environment : u8 {
  User,         ///< CPL 3
  Kernel32,     ///< CPL 0, flat segments, paging
  Real16,       ///< real-address mode
  Virtual8086,  ///< virtual-8086 mode with paging
};

class TestCaseMaker {
 public:
  TestCaseMaker(const EncodingSpace& space, const cpu::Decoder& decoder, Environment environment)
      : environment_(environment),
        space_(space),
        decoder_(decoder),
        segments_(space.width() == CodeWidth::Bits32 ? kFlat32 : kSegmented16) {}

  const Segmentation& segments() const { return segments_; }

  /// Case number `index` of the sequence that `seed` names.
  TestCase make(u64 seed, u64 index) const;
  /// An instruction at `address` to stand among others, most of them in general registers, as if
  /// the registers were as in `image`; those whose values it needs are named by `needed` (a bit
  /// each) and have them in the result's image.
  TestCase make_follower(const CpuImage& image, u32 address, Random& random, u8& needed) const;

 private:
  bool draw_instruction(TestCase& test, DrawnBytes& drawn, Random& random) const;
  bool draw_follower(TestCase& test, Random& random) const;
  void randomise(CpuImage& image, Random& random) const;
  void arrange_implicit_operands(TestCase& test, Random& random) const;
  void place(TestCase& test, Random& random) const;
  u32 choose_target(const TestCase& test, Random& random) const;
  bool aim(TestCase& test, DrawnBytes& drawn, u32 target) const;
  u32 base(cpu::SegmentName segment) const;

  const Environment environment_;
  const EncodingSpace& space_;
  const cpu::Decoder& decoder_;
  const Segmentation& segments_;
};

}  // namespace ringshift::tests
