// A guest fault is an ordinary value: an access or a check returns GuestResult, the fault's vector,
// error code and CR2 wait in the Processor, and the engine delivers them. The result itself is one
// word and one flag, so that it travels in registers on the interpreter's hottest path.
#pragma once

#include "cpu/types.h"

namespace ringshift::cpu {

/// Exception vectors. SDM 3A §6.3.1 table 6-1.
enum class Vector : u8 {
  DivideError = 0,
  Debug = 1,
  Nmi = 2,
  Breakpoint = 3,
  Overflow = 4,
  BoundRange = 5,
  InvalidOpcode = 6,
  DeviceNotAvailable = 7,
  DoubleFault = 8,
  CoprocessorSegmentOverrun = 9,
  InvalidTss = 10,
  SegmentNotPresent = 11,
  StackFault = 12,
  GeneralProtection = 13,
  PageFault = 14,
  X87FloatingPoint = 16,
  AlignmentCheck = 17,
  MachineCheck = 18,
  SimdFloatingPoint = 19,
};

/// One exception on its way to the guest.
struct GuestException {
  Vector vector = Vector::InvalidOpcode;
  bool has_error_code = false;
  u32 error_code = 0;
  u64 fault_address = 0;  ///< CR2, for PageFault
  u64 debug_status = 0;   ///< bits to set in DR6, for Debug
};

/// Says "a fault waits in the Processor"; made only by Processor::raise.
struct Faulted {};

template <typename T>
class [[nodiscard]] GuestResult {
 public:
  constexpr GuestResult(T value) : value_(value) {}   // NOLINT: implicit on purpose
  constexpr GuestResult(Faulted) : faulted_(true) {}  // NOLINT: implicit on purpose
  constexpr bool faulted() const { return faulted_; }
  constexpr T value() const { return value_; }

 private:
  T value_{};
  bool faulted_ = false;
};

template <>
class [[nodiscard]] GuestResult<void> {
 public:
  constexpr GuestResult() = default;
  constexpr GuestResult(Faulted) : faulted_(true) {}  // NOLINT: implicit on purpose
  constexpr bool faulted() const { return faulted_; }
  constexpr void value() const {}

 private:
  bool faulted_ = false;
};

/// The value of a GuestResult; on a fault, returns from the enclosing function with the fault.
#define GUEST_TRY(expression)                    \
  __extension__({                                \
    auto guest_try_result = (expression);        \
    if (guest_try_result.faulted()) [[unlikely]] \
      return ::ringshift::cpu::Faulted{};        \
    guest_try_result.value();                    \
  })

}  // namespace ringshift::cpu
