// Integer rows: what compilers make of ordinary C for an i686, without SSE.
#include "rows.h"

// --- quicksort: compares and swaps with branches that can't be predicted
// ---------------------------------

enum { kSortCount = 4096 };
static int32_t sort_data[kSortCount];

static NOINLINE void sort(int32_t* data, int32_t low, int32_t high) {
  while (low < high) {
    const int32_t pivot = data[(low + high) / 2];
    int32_t i = low, j = high;
    while (i <= j) {
      while (data[i] < pivot) ++i;
      while (data[j] > pivot) --j;
      if (i <= j) {
        const int32_t swapped = data[i];
        data[i++] = data[j];
        data[j--] = swapped;
      }
    }
    if (j - low < high - i) {
      sort(data, low, j);
      low = i;
    } else {
      sort(data, i, high);
      high = j;
    }
  }
}

static uint32_t quicksort(void) {
  uint32_t seed = 1;
  for (int i = 0; i < kSortCount; ++i) sort_data[i] = (int32_t)next_random(&seed) - (1 << 23);
  sort(sort_data, 0, kSortCount - 1);
  uint32_t hash = 1;
  for (int i = 0; i < kSortCount; i += 64) hash = mix(hash, (uint32_t)sort_data[i]);
  return hash;
}

// --- crc32: table lookups in a dependency chain
// -----------------------------------------------------------

enum { kBufferSize = 32768 };
static uint8_t buffer[kBufferSize];
static uint32_t crc_table[256];

static void fill_buffer(void) {
  uint32_t seed = 2;
  for (int i = 0; i < kBufferSize; ++i) buffer[i] = (uint8_t)next_random(&seed);
}

static void setup_crc32(void) {
  fill_buffer();
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0);
    crc_table[i] = value;
  }
}

static uint32_t crc32(void) {
  uint32_t crc = ~0u;
  for (int i = 0; i < kBufferSize; ++i) crc = (crc >> 8) ^ crc_table[(crc ^ buffer[i]) & 0xFF];
  return ~crc;
}

// --- sha256: rotates and adds in more variables than there are registers
// -----------------------------------

static const uint32_t kSha256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t value, int count) {
  return (value >> count) | (value << (32 - count));
}

static NOINLINE void sha256_block(uint32_t state[8], const uint8_t* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) w[i] = __builtin_bswap32(*(const uint32_t*)(block + 4 * i));
  for (int i = 16; i < 64; ++i) {
    const uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    const uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kSha256[i] + w[i];
    const uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static uint32_t sha256(void) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (int i = 0; i < kBufferSize / 4; i += 64) sha256_block(state, buffer + i);
  return state[0] ^ state[7];
}

// --- sieve: byte stores at growing strides
// ------------------------------------------------------------------

enum { kSieveSize = 32768 };
static uint8_t composite[kSieveSize];  // of the odd number 2i + 1

static uint32_t sieve(void) {
  for (int i = 0; i < kSieveSize; ++i) composite[i] = 0;
  uint32_t count = 1;
  for (uint32_t i = 1; i < kSieveSize; ++i) {
    if (composite[i]) continue;
    ++count;
    for (uint32_t multiple = 2 * i * (i + 1); multiple < kSieveSize; multiple += 2 * i + 1)
      composite[multiple] = 1;
  }
  return count;
}

// --- matrix: multiply and add in nested loops
// -----------------------------------------------------------------

enum { kMatrix = 40 };
static int32_t matrix_a[kMatrix][kMatrix], matrix_b[kMatrix][kMatrix], matrix_c[kMatrix][kMatrix];

static void setup_matrix(void) {
  uint32_t seed = 3;
  for (int i = 0; i < kMatrix; ++i) {
    for (int j = 0; j < kMatrix; ++j) {
      matrix_a[i][j] = (int32_t)next_random(&seed) & 0xFFFF;
      matrix_b[i][j] = (int32_t)next_random(&seed) & 0xFFFF;
    }
  }
}

static uint32_t matrix(void) {
  for (int i = 0; i < kMatrix; ++i) {
    for (int j = 0; j < kMatrix; ++j) {
      uint32_t sum = 0;
      for (int k = 0; k < kMatrix; ++k) sum += (uint32_t)matrix_a[i][k] * (uint32_t)matrix_b[k][j];
      matrix_c[i][j] = (int32_t)sum;
    }
  }
  return (uint32_t)matrix_c[7][11] ^ (uint32_t)matrix_c[kMatrix - 1][kMatrix - 1];
}

// --- fib: nothing but calls and returns
// -----------------------------------------------------------------------

static NOINLINE uint32_t fib(uint32_t n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
static uint32_t fib_unit(void) {
  return fib(20);
}

// --- calls: small functions with structs
// -------------------------------------------------------------------------

struct vector {
  int32_t x, y, z;
};
static NOINLINE struct vector add(const struct vector* a, const struct vector* b) {
  return (struct vector){a->x + b->x, a->y + b->y, a->z + b->z};
}
static NOINLINE int32_t dot(const struct vector* a, const struct vector* b) {
  return a->x * b->x + a->y * b->y + a->z * b->z;
}
static NOINLINE void scale(struct vector* a, int32_t factor) {
  a->x = (a->x * factor) >> 4;
  a->y = (a->y * factor) >> 4;
  a->z = (a->z * factor) >> 4;
}

static uint32_t calls(void) {
  struct vector position = {1000, 2000, 3000};
  uint32_t hash = 0;
  for (int i = 0; i < 8000; ++i) {
    const struct vector step = {i & 15, 3, -(i & 7)};
    position = add(&position, &step);
    if (dot(&position, &step) > 100000) scale(&position, 15);
    hash += (uint32_t)position.x;
  }
  return hash;
}

// --- function_pointers: indirect calls with a target that changes
// --------------------------------------------------

struct shape {
  int32_t (*area)(const struct shape*);
  int32_t width, height;
};
static NOINLINE int32_t rectangle(const struct shape* s) {
  return s->width * s->height;
}
static NOINLINE int32_t triangle(const struct shape* s) {
  return s->width * s->height / 2;
}
static NOINLINE int32_t circle(const struct shape* s) {
  return s->width * s->width * 355 / 113;
}
static NOINLINE int32_t line(const struct shape* s) {
  return s->width;
}

enum { kShapes = 512 };
static struct shape shapes[kShapes];

static void setup_shapes(void) {
  int32_t (*const kinds[])(const struct shape*) = {rectangle, triangle, circle, line};
  uint32_t seed = 4;
  for (int i = 0; i < kShapes; ++i)
    shapes[i] = (struct shape){kinds[next_random(&seed) & 3], i & 127, (i * 7) & 127};
}

static uint32_t function_pointers(void) {
  uint32_t sum = 0;
  for (int round = 0; round < 16; ++round) {
    for (int i = 0; i < kShapes; ++i) sum += (uint32_t)shapes[i].area(&shapes[i]);
  }
  return sum;
}

// --- interpreter: a register machine with threaded dispatch, as scripting languages have
// --------------------------

enum opcode { kLoad, kAdd, kSubtract, kMultiply, kAnd, kShift, kJumpIfLess, kJump, kHalt };
struct operation {
  uint8_t opcode, a, b, c;
};

// How many steps all numbers below r1 take to reach 1 in Collatz' sequence: r4 counts.
static const struct operation kProgram[] = {
    {kLoad, 0, 1, 0},        {kLoad, 1, 80, 0},       {kLoad, 4, 0, 0}, {kLoad, 5, 1, 0},
    {kLoad, 6, 2, 0},        {kLoad, 7, 3, 0},        {kAdd, 0, 0, 5},  {kAdd, 2, 0, 15},
    {kJumpIfLess, 0, 1, 10}, {kHalt, 0, 0, 0},        {kAdd, 4, 4, 5},  {kAnd, 3, 2, 5},
    {kJumpIfLess, 3, 5, 16}, {kMultiply, 2, 2, 7},    {kAdd, 2, 2, 5},  {kJump, 0, 0, 17},
    {kShift, 2, 2, 5},       {kJumpIfLess, 5, 2, 10}, {kJump, 0, 0, 6},
};

static NOINLINE uint32_t interpret(const struct operation* program) {
  static const void* const kHandlers[] = {&&load,  &&add,          &&subtract, &&multiply, &&and_,
                                          &&shift, &&jump_if_less, &&jump,     &&halt};
  uint32_t r[16] = {0};
  const struct operation* pc = program;
#define DISPATCH() goto* kHandlers[pc->opcode]
#define NEXT()  \
  do {          \
    ++pc;       \
    DISPATCH(); \
  } while (0)
  DISPATCH();
load:
  r[pc->a] = pc->b;
  NEXT();
add:
  r[pc->a] = r[pc->b] + r[pc->c];
  NEXT();
subtract:
  r[pc->a] = r[pc->b] - r[pc->c];
  NEXT();
multiply:
  r[pc->a] = r[pc->b] * r[pc->c];
  NEXT();
and_:
  r[pc->a] = r[pc->b] & r[pc->c];
  NEXT();
shift:
  r[pc->a] = r[pc->b] >> r[pc->c];
  NEXT();
jump_if_less:
  if (r[pc->a] < r[pc->b]) {
    pc = program + pc->c;
    DISPATCH();
  }
  NEXT();
jump:
  pc = program + pc->c;
  DISPATCH();
halt:
#undef DISPATCH
#undef NEXT
  return r[4];
}

static uint32_t interpreter(void) {
  return interpret(kProgram);
}

// --- threaded_code: a stack machine whose code is addresses of handlers of two or three
// instructions ----------------

static NOINLINE uint32_t run_threaded(uint32_t count) {
  // Sums a linear congruential sequence; how far it is from 0 is kept on the stack below it.
  static const void* const kCode[] = {&&push_seed, &&times,     &&plus,      &&duplicate, &&half,
                                      &&exclusive, &&duplicate, &&gather,    &&times,     &&plus,
                                      &&duplicate, &&third,     &&exclusive, &&gather,    &&repeat};
  uint32_t stack[8], *sp = stack, top = 0, sum = 0;
  const void* const* pc = kCode;
  goto** pc++;
push_seed:
  *sp++ = top;
  top = count;
  goto** pc++;
times:
  top *= 1664525u;
  goto** pc++;
plus:
  top += 1013904223u;
  goto** pc++;
duplicate:
  *sp++ = top;
  goto** pc++;
half:
  top >>= 16;
  goto** pc++;
third:
  top >>= 11;
  goto** pc++;
exclusive:
  top ^= *--sp;
  goto** pc++;
gather:
  sum += top;
  top = *--sp;
  goto** pc++;
repeat:
  sum ^= top;
  pc = kCode;
  sp = stack;
  if (--count != 0) goto** pc++;
  return sum;
}

static uint32_t threaded_code(void) {
  return run_threaded(2000);
}

// --- string_search: Horspool's, many short loops over bytes
// ----------------------------------------------------------

static uint8_t text[kBufferSize];

static void setup_text(void) {
  static const char* const kWords[] = {"window ", "guest ", "shadow ", "page ", "table ",
                                       "fault ",  "the ",   "a ",      "of ",   "block ",
                                       "chain ",  "cache ", "exit ",   "to "};
  uint32_t seed = 5;
  for (int i = 0; i < kBufferSize;) {
    const char* word = kWords[next_random(&seed) % (sizeof kWords / sizeof kWords[0])];
    while (*word && i < kBufferSize) text[i++] = (uint8_t)*word++;
  }
}

static NOINLINE uint32_t occurrences(const uint8_t* data, int length, const char* needle,
                                     int size) {
  uint8_t skip[256];
  for (int i = 0; i < 256; ++i) skip[i] = (uint8_t)size;
  for (int i = 0; i + 1 < size; ++i) skip[(uint8_t)needle[i]] = (uint8_t)(size - 1 - i);
  uint32_t count = 0;
  for (int at = 0; at + size <= length; at += skip[data[at + size - 1]]) {
    int i = size - 1;
    while (i >= 0 && data[at + i] == (uint8_t)needle[i]) --i;
    if (i < 0) ++count;
  }
  return count;
}

static uint32_t string_search(void) {
  return occurrences(text, kBufferSize, "shadow page", 11) +
         1000 * occurrences(text, kBufferSize, "of a", 4);
}

// --- hash_table: open addressing, a multiplication and a few dependent loads per access
// --------------------------------

enum { kSlots = 4096, kKeys = 2500 };
static struct slot { uint32_t key, value; } table[kSlots];

static inline struct slot* find(uint32_t key) {
  uint32_t at = (key * 2654435769u) >> 20;
  while (table[at].key != 0 && table[at].key != key) at = (at + 1) % kSlots;
  return &table[at];
}

static uint32_t hash_table(void) {
  for (int i = 0; i < kSlots; ++i) table[i] = (struct slot){0, 0};
  uint32_t seed = 6;
  for (uint32_t i = 0; i < kKeys; ++i) {
    const uint32_t key = next_random(&seed) | 1;
    struct slot* slot = find(key);
    slot->key = key;
    slot->value += i;
  }
  uint32_t sum = 0;
  seed = 6;
  for (uint32_t i = 0; i < 2 * kKeys; ++i) sum += find(next_random(&seed) | 1)->value;
  return sum;
}

// --- bignum: 1024-bit products, wide multiplication and carries
// --------------------------------------------------------

enum { kLimbs = 32 };
static NOINLINE void multiply(uint32_t* result, const uint32_t* a, const uint32_t* b) {
  for (int i = 0; i < 2 * kLimbs; ++i) result[i] = 0;
  for (int i = 0; i < kLimbs; ++i) {
    uint64_t carry = 0;
    for (int j = 0; j < kLimbs; ++j) {
      carry += (uint64_t)a[i] * b[j] + result[i + j];
      result[i + j] = (uint32_t)carry;
      carry >>= 32;
    }
    result[i + kLimbs] = (uint32_t)carry;
  }
}

static uint32_t bignum(void) {
  uint32_t a[kLimbs], result[2 * kLimbs], seed = 7;
  for (int i = 0; i < kLimbs; ++i) a[i] = next_random(&seed) * 257;
  for (int round = 0; round < 50; ++round) {
    multiply(result, a, a);
    for (int i = 0; i < kLimbs; ++i) a[i] = result[i + kLimbs / 2];
  }
  return a[0] ^ a[kLimbs - 1];
}

// --- divide: Euclid's algorithm, division after division
// ------------------------------------------------------------------

static uint32_t divide(void) {
  uint32_t sum = 0, seed = 8;
  for (int i = 0; i < 1000; ++i) {
    uint32_t a = next_random(&seed) * 127, b = next_random(&seed) | 1;
    while (b != 0) {
      const uint32_t rest = a % b;
      a = b;
      b = rest;
    }
    sum += a;
  }
  return sum;
}

const struct row integer_rows[] = {
    {"quicksort", "integer", NULL, quicksort},
    {"crc32", "integer", setup_crc32, crc32},
    {"sha256", "integer", fill_buffer, sha256},
    {"sieve", "integer", NULL, sieve},
    {"matrix", "integer", setup_matrix, matrix},
    {"fib", "integer", NULL, fib_unit},
    {"calls", "integer", NULL, calls},
    {"function_pointers", "integer", setup_shapes, function_pointers},
    {"interpreter", "integer", NULL, interpreter},
    {"threaded_code", "integer", NULL, threaded_code},
    {"string_search", "integer", setup_text, string_search},
    {"hash_table", "integer", NULL, hash_table},
    {"bignum", "integer", NULL, bignum},
    {"divide", "integer", NULL, divide},
    {NULL, NULL, NULL, NULL},
};
