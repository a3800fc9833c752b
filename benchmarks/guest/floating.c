// Floating-point rows. Compiled twice from one source, for the x87 and for SSE2: the same work on
// either unit, and what only one of them has.
#include "rows.h"

#ifdef __SSE2_MATH__
#include <emmintrin.h>
#define UNIT_GROUP "sse2"
#else
#define UNIT_GROUP "x87"
#endif

// Rounded, because an emulated unit may differ in the last bits and still be right.
static uint32_t rounded(double value) {
  return (uint32_t)(int32_t)(value * 1e5 + (value < 0 ? -0.5 : 0.5));
}

static inline double square_root(double value) {
#ifdef __SSE2_MATH__
  return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(value)));
#else
  __asm__("fsqrt" : "+t"(value));
  return value;
#endif
}

// --- matmul
// ---------------------------------------------------------------------------------------------------

enum { kMatrix = 40 };
static double a[kMatrix][kMatrix], b[kMatrix][kMatrix], c[kMatrix][kMatrix];

static void setup_matmul(void) {
  uint32_t seed = 11;
  for (int i = 0; i < kMatrix; ++i) {
    for (int j = 0; j < kMatrix; ++j) {
      a[i][j] = (double)(next_random(&seed) & 1023) / 1024;
      b[i][j] = (double)(next_random(&seed) & 1023) / 1024;
    }
  }
}

static uint32_t matmul(void) {
  for (int i = 0; i < kMatrix; ++i) {
    for (int j = 0; j < kMatrix; ++j) c[i][j] = 0;
    for (int k = 0; k < kMatrix; ++k) {
      const double factor = a[i][k];
      for (int j = 0; j < kMatrix; ++j) c[i][j] += factor * b[k][j];
    }
  }
  return rounded(c[3][5] + c[kMatrix - 1][kMatrix - 1]);
}

// --- dot: one chain of additions
// --------------------------------------------------------------------------------

enum { kDot = 8192 };
static double left[kDot], right[kDot];

static void setup_dot(void) {
  for (int i = 0; i < kDot; ++i) {
    left[i] = (double)(i % 17) / 16;
    right[i] = (double)(i % 13) / 8;
  }
}

static uint32_t dot(void) {
  double sum = 0;
  for (int i = 0; i < kDot; ++i) sum += left[i] * right[i];
  return rounded(sum);
}

// --- nbody: divisions and square roots
// -----------------------------------------------------------------------------

enum { kBodies = 5 };
struct body {
  double x[3], v[3], mass;
};

static uint32_t nbody(void) {
  struct body bodies[kBodies];
  for (int i = 0; i < kBodies; ++i) {
    bodies[i] =
        (struct body){{i * 3.0, 1.0 + i * i, 2.0 - i}, {0.01 * i, -0.02, 0.005 * i}, 1.0 / (1 + i)};
  }
  const double dt = 0.01;
  for (int step = 0; step < 200; ++step) {
    for (int i = 0; i < kBodies; ++i) {
      for (int j = i + 1; j < kBodies; ++j) {
        double d[3], squared = 0;
        for (int k = 0; k < 3; ++k) {
          d[k] = bodies[i].x[k] - bodies[j].x[k];
          squared += d[k] * d[k];
        }
        const double magnitude = dt / (squared * square_root(squared));
        for (int k = 0; k < 3; ++k) {
          bodies[i].v[k] -= d[k] * bodies[j].mass * magnitude;
          bodies[j].v[k] += d[k] * bodies[i].mass * magnitude;
        }
      }
    }
    for (int i = 0; i < kBodies; ++i) {
      for (int k = 0; k < 3; ++k) bodies[i].x[k] += dt * bodies[i].v[k];
    }
  }
  return rounded(bodies[0].x[0] + bodies[kBodies - 1].x[2]);
}

// --- mandelbrot: a compare and a branch on every result
// -----------------------------------------------------------------

static uint32_t mandelbrot(void) {
  uint32_t total = 0;
  for (int row = 0; row < 24; ++row) {
    for (int column = 0; column < 24; ++column) {
      const double cx = (column - 16) / 10.0, cy = (row - 12) / 10.0;
      double x = 0, y = 0;
      int i = 0;
      for (; i < 50 && x * x + y * y < 4; ++i) {
        const double next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
      }
      total += (uint32_t)i;
    }
  }
  return total;
}

#ifndef __SSE2_MATH__

// --- transcendental: the x87's own functions
// ------------------------------------------------------------------------

static uint32_t transcendental(void) {
  double sum = 0;
  for (int i = 1; i <= 400; ++i) {
    const double x = i / 400.0;
    double sine = x, cosine, tangent, arctangent, logarithm, power = x - 0.5, one;
    __asm__("fsincos" : "=t"(cosine), "=u"(sine) : "0"(x));
    __asm__("fptan" : "=t"(one), "=u"(tangent) : "0"(x));
    __asm__("fpatan" : "=t"(arctangent) : "0"(1.0), "u"(x) : "st(1)");
    __asm__("fyl2x" : "=t"(logarithm) : "0"(x), "u"(0.6931471805599453) : "st(1)");
    __asm__("f2xm1" : "+t"(power));
    sum += sine + cosine + tangent * one + arctangent + logarithm + power;
  }
  return rounded(sum);
}

const struct row x87_rows[] = {
    {"x87_matmul", UNIT_GROUP, setup_matmul, matmul},
    {"x87_dot", UNIT_GROUP, setup_dot, dot},
    {"x87_nbody", UNIT_GROUP, NULL, nbody},
    {"x87_mandelbrot", UNIT_GROUP, NULL, mandelbrot},
    {"x87_transcendental", UNIT_GROUP, NULL, transcendental},
    {NULL, NULL, NULL, NULL},
};

#else

// --- stream: packed single precision from and to memory
// ------------------------------------------------------------------

enum { kStream = 8192 };
static float stream_a[kStream] __attribute__((aligned(64)));
static float stream_b[kStream] __attribute__((aligned(64)));
static float stream_c[kStream] __attribute__((aligned(64)));

static void setup_stream(void) {
  for (int i = 0; i < kStream; ++i) {
    stream_a[i] = (float)(i % 31);
    stream_b[i] = (float)(i % 7);
  }
}

static uint32_t stream(void) {
  const __m128 factor = _mm_set1_ps(0.5f);
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < kStream; i += 4) {
      const __m128 product = _mm_mul_ps(_mm_load_ps(&stream_b[i]), factor);
      _mm_store_ps(&stream_c[i], _mm_add_ps(_mm_load_ps(&stream_a[i]), product));
    }
  }
  return rounded(stream_c[100] + stream_c[kStream - 1]);
}

// --- packed: bytes and words with saturation, shuffles and sums of differences
// ----------------------------------------------

enum { kPixels = 16384 };
static uint8_t image_a[kPixels] __attribute__((aligned(64)));
static uint8_t image_b[kPixels] __attribute__((aligned(64)));

static void setup_packed(void) {
  uint32_t seed = 12;
  for (int i = 0; i < kPixels; ++i) {
    image_a[i] = (uint8_t)next_random(&seed);
    image_b[i] = (uint8_t)next_random(&seed);
  }
}

static uint32_t packed(void) {
  const __m128i zero = _mm_setzero_si128(), weight = _mm_set1_epi16(77);
  __m128i differences = zero, blended = zero;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < kPixels; i += 16) {
      const __m128i x = _mm_load_si128((const __m128i*)&image_a[i]);
      const __m128i y = _mm_load_si128((const __m128i*)&image_b[i]);
      differences = _mm_add_epi64(differences, _mm_sad_epu8(x, y));
      const __m128i low = _mm_mullo_epi16(_mm_unpacklo_epi8(x, zero), weight);
      const __m128i high = _mm_mullo_epi16(_mm_unpackhi_epi8(y, zero), weight);
      const __m128i mixed = _mm_packus_epi16(_mm_srli_epi16(low, 8), _mm_srli_epi16(high, 8));
      blended =
          _mm_xor_si128(_mm_adds_epu8(blended, mixed), _mm_shuffle_epi32(_mm_max_epu8(x, y), 0x1B));
    }
  }
  const __m128i result = _mm_xor_si128(differences, blended);
  return (uint32_t)_mm_cvtsi128_si32(result) ^
         (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(result, 8));
}

const struct row sse2_rows[] = {
    {"sse2_matmul", UNIT_GROUP, setup_matmul, matmul},
    {"sse2_dot", UNIT_GROUP, setup_dot, dot},
    {"sse2_nbody", UNIT_GROUP, NULL, nbody},
    {"sse2_mandelbrot", UNIT_GROUP, NULL, mandelbrot},
    {"sse2_stream", UNIT_GROUP, setup_stream, stream},
    {"sse2_packed", UNIT_GROUP, setup_packed, packed},
    {NULL, NULL, NULL, NULL},
};

#endif
