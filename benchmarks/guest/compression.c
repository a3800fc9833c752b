// Integer rows of the kind that compression tools are made of: bytes copied from a little way back,
// and codes read bit by bit.
#include "rows.h"

enum { kPlainSize = 32768 };
static uint8_t plain[kPlainSize], unpacked[kPlainSize];

// Text-like data: words drawn unevenly, so that there are repeats of all lengths.
static void fill_plain(void) {
  uint32_t seed = 9;
  for (int i = 0; i < kPlainSize;) {
    const uint32_t word = next_random(&seed) & next_random(&seed) & 255;
    for (uint32_t j = 0; j < 2 + word % 7 && i < kPlainSize; ++j)
      plain[i++] = (uint8_t)('a' + (word * (j + 3)) % 26);
  }
}

static uint32_t hash_of(const uint8_t* data, int size) {
  uint32_t hash = 2166136261u;
  for (int i = 0; i < size; i += 16) hash = mix(hash, data[i]);
  return hash;
}

// --- lz_decode: a token is either a literal count below 32 and the bytes, or a length and a
// distance ---------------

enum { kMinimumMatch = 3, kMaximumMatch = 34, kWindow = 2047, kMaximumLiterals = 31 };
static uint8_t packed[kPlainSize * 2];
static int packed_size;

static void flush_literals(int from, int to) {
  while (from < to) {
    const int count = to - from < kMaximumLiterals ? to - from : kMaximumLiterals;
    packed[packed_size++] = (uint8_t)count;
    for (int i = 0; i < count; ++i) packed[packed_size++] = plain[from++];
  }
}

static int match_length(int at, int candidate) {
  int length = 0;
  while (length < kMaximumMatch && at + length < kPlainSize &&
         plain[at + length] == plain[candidate + length])
    ++length;
  return length;
}

static void setup_lz(void) {
  static int32_t latest[4096];  // position + 1 of the last place with this hash
  fill_plain();
  packed_size = 0;
  int literals = 0, at = 0;
  while (at + kMinimumMatch <= kPlainSize) {
    const uint32_t key = plain[at] | plain[at + 1] << 8 | plain[at + 2] << 16;
    int32_t* slot = &latest[(key * 2654435769u) >> 20];
    const int candidate = *slot - 1;
    *slot = at + 1;
    const int length =
        candidate >= 0 && at - candidate <= kWindow ? match_length(at, candidate) : 0;
    if (length < kMinimumMatch) {
      ++at;
      continue;
    }
    flush_literals(literals, at);
    packed[packed_size++] = (uint8_t)(32 + (length - kMinimumMatch));
    packed[packed_size++] = (uint8_t)(at - candidate);
    packed[packed_size++] = (uint8_t)((at - candidate) >> 8);
    at += length;
    literals = at;
  }
  flush_literals(literals, kPlainSize);
}

static uint32_t lz_decode(void) {
  const uint8_t *in = packed, *const end = packed + packed_size;
  uint8_t* out = unpacked;
  while (in < end) {
    const int token = *in++;
    if (token < 32) {
      for (int i = 0; i < token; ++i) *out++ = *in++;
    } else {
      const uint8_t* from = out - (in[0] | in[1] << 8);
      in += 2;
      for (int i = 0; i < token - 32 + kMinimumMatch; ++i) *out++ = *from++;
    }
  }
  return hash_of(unpacked, kPlainSize);
}

// --- bitstream: Elias gamma codes, read with a bit buffer and count-leading-zeros by table
// ---------------------------

enum { kCodes = 8192 };
static uint8_t bits[kCodes * 4];
static uint8_t leading_zeros[256];

static void put_bits(uint32_t* position, uint32_t value, int count) {
  while (--count >= 0) {
    if (value >> count & 1) bits[*position / 8] |= (uint8_t)(0x80 >> *position % 8);
    ++*position;
  }
}

static void setup_bitstream(void) {
  for (int i = 0; i < 256; ++i) {
    leading_zeros[i] = 8;
    for (int bit = 0; bit < 8; ++bit) {
      if (i >> bit & 1) leading_zeros[i] = (uint8_t)(7 - bit);
    }
  }
  uint32_t seed = 10, position = 0;
  for (int i = 0; i < kCodes; ++i) {
    const uint32_t value = 1 + (next_random(&seed) & next_random(&seed) & 255);
    int width = 0;
    while (value >> (width + 1)) ++width;
    put_bits(&position, 0, width);
    put_bits(&position, value, width + 1);
  }
}

static uint32_t bitstream(void) {
  const uint8_t* in = bits;
  uint32_t window = 0, hash = 0;
  int available = 0;
  for (int i = 0; i < kCodes; ++i) {
    while (available <= 24) {
      window |= (uint32_t)*in++ << (24 - available);
      available += 8;
    }
    int zeros = leading_zeros[window >> 24];
    if (zeros == 8) zeros += leading_zeros[window >> 16 & 0xFF];
    const int width = 2 * zeros + 1;
    hash += window >> (32 - width);
    window <<= width;
    available -= width;
  }
  return hash;
}

const struct row compression_rows[] = {
    {"lz_decode", "integer", setup_lz, lz_decode},
    {"bitstream", "integer", setup_bitstream, bitstream},
    {NULL, NULL, NULL, NULL},
};
