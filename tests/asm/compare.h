// How two engines' results are held against each other and shown to a person. What a 32-bit program
// can't see (XMM8 up, reserved bytes of the XSAVE area) doesn't count.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/asm/test_state.h"

namespace ringshift::tests {

/// What an instruction leaves undefined and engines may therefore do differently.
struct Tolerance {
  u32 eflags = 0;  ///< these bits don't count
  /// FOP, FDP and the selectors don't count: processors differ in when they save them
  /// (CPUID.7.EBX bits 6 and 13; SDM 1 §8.1.8, §8.1.9).
  bool x87_pointers = false;
  bool cr2_in_page = false;  ///< of CR2 only the page counts
};

/// Of the host against other engines: does it save the x87 pointers as the model does?
bool host_saves_x87_pointers_alike();

/// One line for each difference ("eax: 00000001, 00000002"); empty if the results agree.
std::vector<std::string> differences(const CpuImage& left, const Outcome& left_outcome,
                                     const CpuImage& right, const Outcome& right_outcome,
                                     const Tolerance& tolerance = {});

/// The first differing byte of two memories, as a line; empty if there is none.
std::string memory_difference(std::string_view name, u32 address, std::span<const u8> left,
                              std::span<const u8> right);

std::string describe(const Outcome& outcome);
/// All registers, a few to a line.
std::string describe(const CpuImage& image);
std::string hexadecimal(std::span<const u8> bytes);

extern const char* const kGprNames[8];

}  // namespace ringshift::tests
