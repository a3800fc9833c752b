// What translated code takes for granted: the processor's mode boiled down to one word, part of
// every block's key. Code is emitted for one mode word and is run only while the processor is in
// it, so whatever isn't in the word must be looked up at run time.
#pragma once

#include "cpu/registers.h"
#include "cpu/state.h"
#include "cpu/types.h"

namespace ringshift::translator {

/// What has to be done for an access through a segment.
enum class SegmentKind : u8 {
  Flat,     ///< base 0, limit 4 GiB, readable and writable: nothing
  Based,    ///< limit 4 GiB: the base is added
  Limited,  ///< grows up, readable and writable: the limit is checked, the base is added
  Odd,      ///< null, read-only, expand-down, ...: the interpreter makes the access
};

/// How far code can run before it meets the end of its segment.
enum class CodeLimit : u8 {
  None,    ///< 4 GiB
  Paged,   ///< 64 KiB exactly: real mode, 16-bit code
  Strict,  ///< any other: no block is left without asking
};

class Mode {
 public:
  enum Bit : u32 {
    kCode32 = 1U << 0,         ///< CS.D
    kStack32 = 1U << 1,        ///< SS.B
    kRealSelectors = 1U << 2,  ///< real-address or virtual-8086 mode
    kUser = 1U << 3,           ///< CPL 3
    kIoPrivileged = 1U << 4,   ///< CLI, STI and port access without further checks
    kPaging = 1U << 5,
    kGlobal = 1U << 6,  ///< the code's page is mapped alike in all address spaces
    kX87 = 1U << 7,     ///< x87 and MMX don't fault: CR0.EM and TS are clear
    kSse = 1U << 8,
    kAvx = 1U << 9,
    kTimeStamp = 1U << 10,  ///< RDTSC is allowed
    kStepwise = 1U << 11,   ///< only the interpreter is exact here: alignment checks
    kFlatCode = 1U << 14,   ///< CS's base is 0: EIP is the linear address
    kSmep = 1U << 15,       ///< no code from user pages: what was found without it doesn't hold
  };

  constexpr Mode() = default;
  constexpr explicit Mode(u32 bits) : bits_(bits) {}
  /// The mode of the processor; kGlobal is left clear.
  static Mode of(const cpu::State& state);

  constexpr bool has(Bit bit) const { return (bits_ & bit) != 0; }
  constexpr Mode with(Bit bit) const { return Mode(bits_ | bit); }
  constexpr Mode without(Bit bit) const { return Mode(bits_ & ~u32{bit}); }
  SegmentKind segment(cpu::SegmentName name) const {
    return static_cast<SegmentKind>(bits_ >> segment_shift(name) & 3);
  }
  /// The bits that say of what kind the segment is.
  static constexpr u32 segment_bits(cpu::SegmentName name) { return 3U << segment_shift(name); }
  CodeLimit code_limit() const { return static_cast<CodeLimit>(bits_ >> kLimitShift & 3); }
  constexpr u32 bits() const { return bits_; }
  /// The kind of GS: most code never looks at it, and kernels run with it as a process left it.
  static constexpr u32 kSeldomUsed = 3U << (16 + 2 * static_cast<unsigned>(cpu::SegmentName::GS));
  friend constexpr bool operator==(Mode, Mode) = default;

 private:
  static constexpr unsigned kLimitShift = 12;
  static constexpr unsigned segment_shift(cpu::SegmentName name) {
    return 16 + 2 * static_cast<unsigned>(name);
  }
  u32 bits_ = 0;
};

}  // namespace ringshift::translator
