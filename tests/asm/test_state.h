// What the instruction tests compare: the part of a processor's state that a CPL 3 program can see,
// and how a run ended. Every engine under test (host, interpreter, translator) takes and gives it.
#pragma once

#include <array>

#include "cpu/registers.h"
#include "cpu/state.h"
#include "cpu/types.h"

namespace ringshift::tests {

/// Where test programs live. The gaps keep wild operands of one area out of the others: a
/// bit-string instruction reaches 2^28 bytes either way.
namespace layout {
inline constexpr u32 kData =
    0x20000000;  ///< two writable pages, then a read-only one, then nothing
inline constexpr u32 kDataPages = 2;
inline constexpr u32 kReadOnly = kData + kDataPages * 4096;
inline constexpr u32 kStack = 0x30800000;  ///< one writable page
inline constexpr u32 kCode = 0x42000000;   ///< two executable pages, then nothing
inline constexpr u32 kCodePages = 2;
inline constexpr u32 kKernel =
    0x7F000000;  ///< supervisor only, in the interpreter: tables, handlers
inline constexpr u32 kKernelSize = 2 << 20;
inline constexpr u32 kHost = 0x5D7A0000;  ///< the host engine's own pages: no test may come near
inline constexpr u32 kHostSize = 0x11000;
}  // namespace layout

/// Selectors that 64-bit Linux gives to 32-bit programs; the other engines use the same.
inline constexpr u16 kCodeSelector = 0x23;
inline constexpr u16 kDataSelector = 0x2B;

/// A user segment that tests run in.
struct TestSegment {
  u16 selector = 0;
  u32 base = 0;
  u32 limit = 0xFFFFFFFF;
  bool big = true;  ///< D/B
};

/// The segments of a user test: flat ones of 32 bits, or 16-bit ones through an LDT, with bases and
/// limits that bite. FS and GS hold null selectors.
struct Segmentation {
  TestSegment code, stack, data, extra;
};
inline constexpr Segmentation kFlat32{
    {kCodeSelector}, {kDataSelector}, {kDataSelector}, {kDataSelector}};
inline constexpr Segmentation kSegmented16{{0x07, layout::kCode, 0xFFFF, false},
                                           {0x0F, layout::kStack, 0x0FFF, false},
                                           {0x17, layout::kData, 0x27FF, false},
                                           {0x1F, layout::kData, 0xFFFF, false}};

struct CpuImage {
  std::array<u32, 8> gpr{};
  u32 eip = 0;  ///< relative to the code segment
  u32 eflags = 0x202;
  cpu::ExtendedState extended;
};

enum class Ending : u8 {
  Reached,     ///< the address that ends the run
  Fault,       ///< an exception; the image is as the exception handler would find it
  OutOfSteps,  ///< still running after the step limit
};

struct Outcome {
  Ending ending = Ending::Reached;
  u8 vector = 0;
  u32 error_code = 0;
  u32 cr2 = 0;  ///< page faults only
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// x87 after FNINIT, all registers empty; MXCSR as after reset; all vector registers zero.
inline cpu::ExtendedState initial_extended_state() {
  cpu::ExtendedState state;
  state.legacy[0] = 0x7F, state.legacy[1] = 0x03;    // FCW 037Fh
  state.legacy[24] = 0x80, state.legacy[25] = 0x1F;  // MXCSR 1F80h
  state.header[0] = 7;
  return state;
}

/// The test memory of one engine, by its own addresses.
struct TestMemory {
  u8* data = nullptr;   ///< layout::kData, kDataPages + 1 pages
  u8* stack = nullptr;  ///< layout::kStack, one page
  u8* code = nullptr;   ///< layout::kCode, kCodePages
};

}  // namespace ringshift::tests
