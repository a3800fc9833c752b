#include "tests/fuzz/random.h"

#include <cstring>

namespace ringshift::tests {

u32 Random::interesting32() {
  static constexpr u32 kValues[] = {0,          1,          2,          3,          7,
                                    8,          15,         16,         31,         32,
                                    33,         0x7F,       0x80,       0xFF,       0x100,
                                    0x7FFF,     0x8000,     0xFFFF,     0x10000,    0x7FFFFFFF,
                                    0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0x00FF00FF,
                                    0x80808080, 0x7F7F7F7F, 0xAAAAAAAA, 0x55555555};
  const u32 kind = below(10);
  if (kind < 5) return pick(kValues);
  if (kind < 6) return u32{1} << below(32);
  if (kind < 7) return static_cast<u32>(static_cast<i32>(below(256)) - 128);
  return static_cast<u32>(next());
}

u64 Random::interesting64() {
  const u64 kind = below(4);
  if (kind == 0) return next();
  if (kind == 1) return static_cast<u64>(static_cast<i64>(static_cast<i32>(interesting32())));
  return u64{interesting32()} << 32 | interesting32();
}

u32 Random::interesting_single() {
  static constexpr u32 kValues[] = {0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x00000001,
                                    0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF,
                                    0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001,
                                    0xFFBFFFFF, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x4B800001,
                                    0x3F000000, 0x3EFFFFFF, 0x5F000000, 0x4F800000};
  const u32 kind = below(8);
  if (kind < 4) return pick(kValues);
  if (kind < 6) return (below(2) << 31) | ((120 + below(16)) << 23) | below(1 << 23);
  return static_cast<u32>(next());
}

u64 Random::interesting_double() {
  static constexpr u64 kValues[] = {
      0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000,
      0x0000000000000001, 0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF,
      0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000,
      0x7FF0000000000001, 0xFFF7FFFFFFFFFFFF, 0x41E0000000000000, 0xC1E0000000000000,
      0x43E0000000000000, 0x41DFFFFFFFC00000, 0x3FE0000000000000, 0x47EFFFFFE0000000,
      0x36A0000000000000, 0x380FFFFFFFFFFFFF};
  const u32 kind = below(8);
  if (kind < 4) return pick(kValues);
  if (kind < 6) return (next() & 0x800FFFFFFFFFFFFF) | (u64{1015 + below(16)} << 52);
  return next();
}

void Random::interesting_vector(u8* into) {
  switch (below(5)) {
    case 0:
      for (unsigned n = 0; n < 4; ++n) {
        const u32 lane = interesting_single();
        std::memcpy(into + 4 * n, &lane, 4);
      }
      break;
    case 1:
      for (unsigned n = 0; n < 2; ++n) {
        const u64 lane = interesting_double();
        std::memcpy(into + 8 * n, &lane, 8);
      }
      break;
    case 2:
      for (unsigned n = 0; n < 4; ++n) {
        const u32 lane = interesting32();
        std::memcpy(into + 4 * n, &lane, 4);
      }
      break;
    case 3:
      std::memset(into, 0, 16);
      interesting_extended(into);
      break;
    default: {
      const u64 lanes[2] = {next(), next()};
      std::memcpy(into, lanes, 16);
      break;
    }
  }
}

void Random::interesting_extended(u8* into) {
  static constexpr u64 kMantissas[] = {0,
                                       1,
                                       0x8000000000000000,
                                       0x8000000000000001,
                                       0xC000000000000000,
                                       0xFFFFFFFFFFFFFFFF,
                                       0x7FFFFFFFFFFFFFFF,
                                       0x4000000000000000,
                                       0xBFFFFFFFFFFFFFFF,
                                       0xC90FDAA22168C235,
                                       0xFFFFFF8000000000,
                                       0xFFFFFFFFFFFFF800};
  static constexpr u16 kExponents[] = {0,      1,      0x3FFE, 0x3FFF, 0x4000, 0x401E,
                                       0x403E, 0x7FFE, 0x7FFF, 0x3F80, 0x407F, 0x3C00};
  u64 mantissa = chance(50) ? pick(kMantissas) : next() | (u64{chance(85)} << 63);
  u16 exponent = pick(kExponents);
  if (chance(40)) exponent = static_cast<u16>(0x3FF0 + below(0x60));
  if (chance(50) && exponent != 0) mantissa |= u64{1} << 63;  // mostly proper numbers
  const u16 top = static_cast<u16>(exponent | (below(2) << 15));
  std::memcpy(into, &mantissa, 8);
  std::memcpy(into + 8, &top, 2);
}

}  // namespace ringshift::tests
