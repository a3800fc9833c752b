#include <catch2/catch.hpp>

#include <vector>

#include "devices/ide/cd_sector.h"

using namespace ringshift;
using namespace ringshift::devices;

namespace {

std::array<u8, kCdRawSector> sample(u64 block) {
  std::array<u8, kCdUserData> user{};
  u32 seed = 12345;
  for (u8& byte : user) {
    seed = seed * 1103515245 + 12345;
    byte = static_cast<u8>(seed >> 16);
  }
  std::array<u8, kCdRawSector> sector{};
  make_mode1_sector(block, user, sector);
  return sector;
}

/// GF(2^8) multiplication, bit by bit (ECMA-130 annex A.1: x^8 + x^4 + x^3 + x^2 + 1).
u8 multiply(u8 a, u8 b) {
  u32 product = 0;
  for (int bit = 0; bit < 8; ++bit) {
    if ((b >> bit & 1) != 0) product ^= u32{a} << bit;
  }
  for (int bit = 15; bit >= 8; --bit) {
    if ((product >> bit & 1) != 0) product ^= 0x11DU << (bit - 8);
  }
  return static_cast<u8>(product);
}

/// Whether a codeword has both syndromes zero: Σ v_i and Σ α^(n-1-i) v_i (annex A.2).
bool is_codeword(const std::vector<u8>& word) {
  u8 sum = 0;
  u8 weighted = 0;
  for (const u8 v : word) {
    sum ^= v;
    weighted = multiply(weighted, 2) ^ v;
  }
  return sum == 0 && weighted == 0;
}

}  // namespace

TEST_CASE("disc times count 75 frames a second from two seconds on") {
  const Msf start = msf_of(0);
  CHECK(start.minute == 0);
  CHECK(start.second == 2);
  CHECK(start.frame == 0);
  const Msf later = msf_of(4500 * 12 + 75 * 34 + 56 - 150);
  CHECK(later.minute == 12);
  CHECK(later.second == 34);
  CHECK(later.frame == 56);
  CHECK(block_of(later) == 4500 * 12 + 75 * 34 + 56 - 150);
  CHECK(block_of({0, 0, 0}) == -150);
  CHECK(msf_of(~u64{0} - 1000).minute == 99);
}

TEST_CASE("the error detection code divides the sector's polynomial") {
  const auto sector = sample(1000);
  u32 remainder = 0;
  for (unsigned i = 0; i < 2068; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      const u32 in = (sector[i] >> bit & 1) ^ (remainder & 1);
      remainder = remainder >> 1 ^ (in != 0 ? 0xD8018001 : 0);
    }
  }
  CHECK(remainder == 0);
  for (unsigned i = 2068; i < 2076; ++i) CHECK(sector[i] == 0);
}

TEST_CASE("P and Q parity make codewords of the sector's words") {
  const auto sector = sample(1000);
  const auto byte = [&](unsigned word, unsigned half) { return sector[12 + 2 * word + half]; };
  for (unsigned half = 0; half < 2; ++half) {
    // ECMA-130 annex A.4: P vectors are columns of a matrix of 43 columns and 26 rows.
    for (unsigned column = 0; column < 43; ++column) {
      std::vector<u8> word;
      for (unsigned row = 0; row < 26; ++row) word.push_back(byte(43 * row + column, half));
      CHECK(is_codeword(word));
    }
    // Q vectors are its diagonals, with their parity after the matrix.
    for (unsigned n = 0; n < 26; ++n) {
      std::vector<u8> word;
      for (unsigned m = 0; m < 43; ++m) word.push_back(byte((44 * m + 43 * n) % 1118, half));
      word.push_back(byte(1118 + n, half));
      word.push_back(byte(1118 + 26 + n, half));
      CHECK(is_codeword(word));
    }
  }
}
