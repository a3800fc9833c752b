// The fuzzer's source of chance: small, fast, and the same on every machine, so that a seed in a
// report means the same thing everywhere.
#pragma once

#include "cpu/types.h"

namespace ringshift::tests {

class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}

  /// splitmix64.
  u64 next() {
    state_ += 0x9E3779B97F4A7C15;
    u64 z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  u32 below(u32 limit) { return static_cast<u32>((next() >> 32) * limit >> 32); }
  bool chance(u32 percent) { return below(100) < percent; }
  template <typename T, std::size_t N>
  T pick(const T (&values)[N]) {
    return values[below(N)];
  }

  /// A 32-bit value that finds more bugs than a uniform one.
  u32 interesting32();
  u64 interesting64();
  /// Fills 16 bytes with one kind of lane: integers, single, double or extended floats.
  void interesting_vector(u8* into);
  /// An x87 register: normal, denormal, unnormal, NaN, infinity, zero.
  void interesting_extended(u8* into);

 private:
  u32 interesting_single();
  u64 interesting_double();
  u64 state_;
};

}  // namespace ringshift::tests
