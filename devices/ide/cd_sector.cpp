#include "devices/ide/cd_sector.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr u32 kFramesPerSecond = 75;
constexpr u32 kPregap = 150;

// Offsets in the sector (ECMA-130 §14.2, §14.3).
constexpr unsigned kHeader = 12;
constexpr unsigned kUser = 16;
constexpr unsigned kEdc = 2064;
constexpr unsigned kParityP = 2076;
constexpr unsigned kParityQ = 2248;

constexpr u8 bcd(u8 value) {
  return static_cast<u8>(value / 10 << 4 | value % 10);
}

/// Multiplication by the primitive element of GF(2^8) with x^8+x^4+x^3+x^2+1 (ECMA-130 annex A).
constexpr u8 times_alpha(u8 value) {
  return static_cast<u8>(value << 1 ^ ((value & 0x80) != 0 ? 0x1D : 0));
}

/// The inverse of v → v·(1 + α), for all v.
constexpr std::array<u8, 256> make_quotients() {
  std::array<u8, 256> table{};
  for (unsigned v = 0; v < 256; ++v) {
    table[v ^ times_alpha(static_cast<u8>(v))] = static_cast<u8>(v);
  }
  return table;
}
constexpr std::array<u8, 256> kQuotientByOnePlusAlpha = make_quotients();

/// The error detection code: a CRC with (x^16+x^15+x^2+1)(x^16+x^2+x+1), least significant bit
/// first.
constexpr std::array<u32, 256> make_edc_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xD8018001 : 0);
    table[i] = value;
  }
  return table;
}
constexpr std::array<u32, 256> kEdcTable = make_edc_table();

/// One of the two dimensions of the product code: `vectors` codewords of `length` data bytes, the
/// first byte of codeword n at `start(n)`, the following ones `stride` further, modulo the area.
struct Dimension {
  unsigned vectors;
  unsigned length;
  unsigned start_step;  // between the codewords of one byte of a word
  unsigned stride;
};
constexpr Dimension kP = {86, 24, 2, 86};
constexpr Dimension kQ = {52, 43, 86, 88};

/// Each codeword gets two parity bytes a, b such that the plain sum of all its bytes and the sum
/// weighted with falling powers of α are both zero.
void add_parity(const Dimension& dimension, std::span<const u8> data, std::span<u8> parity) {
  const unsigned area = dimension.vectors * dimension.length;
  for (unsigned n = 0; n < dimension.vectors; ++n) {
    unsigned at = n / 2 * dimension.start_step + n % 2;
    u8 sum = 0;
    u8 weighted = 0;
    for (unsigned i = 0; i < dimension.length; ++i) {
      sum ^= data[at];
      weighted = times_alpha(weighted ^ data[at]);
      at += dimension.stride;
      if (at >= area) at -= area;
    }
    // weighted·α + a·α + b = 0 and sum + a + b = 0.
    const u8 a = kQuotientByOnePlusAlpha[times_alpha(weighted) ^ sum];
    parity[n] = a;
    parity[n + dimension.vectors] = a ^ sum;
  }
}

}  // namespace

Msf msf_of(u64 block) {
  constexpr u64 kLast = 100 * 60 * kFramesPerSecond - 1;
  const u32 frames = static_cast<u32>(std::min<u64>(block + kPregap, kLast));
  return {static_cast<u8>(frames / (60 * kFramesPerSecond)),
          static_cast<u8>(frames / kFramesPerSecond % 60),
          static_cast<u8>(frames % kFramesPerSecond)};
}

i64 block_of(Msf msf) {
  return (i64{msf.minute} * 60 + msf.second) * kFramesPerSecond + msf.frame - kPregap;
}

void make_mode1_sector(u64 block, std::span<const u8, kCdUserData> user_data,
                       std::span<u8, kCdRawSector> sector) {
  std::fill_n(sector.begin(), kHeader, u8{0xFF});
  sector[0] = 0;
  sector[kHeader - 1] = 0;
  const Msf time = msf_of(block);
  sector[kHeader] = bcd(time.minute);
  sector[kHeader + 1] = bcd(time.second);
  sector[kHeader + 2] = bcd(time.frame);
  sector[kHeader + 3] = 1;
  std::copy(user_data.begin(), user_data.end(), sector.begin() + kUser);
  u32 edc = 0;
  for (unsigned i = 0; i < kEdc; ++i) edc = edc >> 8 ^ kEdcTable[(edc ^ sector[i]) & 0xFF];
  for (unsigned i = 0; i < 4; ++i) sector[kEdc + i] = static_cast<u8>(edc >> (8 * i));
  std::fill(sector.begin() + kEdc + 4, sector.begin() + kParityP, u8{0});
  add_parity(kP, sector.subspan(kHeader), sector.subspan(kParityP));
  add_parity(kQ, sector.subspan(kHeader), sector.subspan(kParityQ));
}

}  // namespace ringshift::devices
