// The contract between the rows of bench32 and its loop. A row exists to be timed from outside, on
// machines that differ in speed by a factor of several hundred: so it does one small, repeatable
// unit of work, and how many units make one measurement is decided by whoever measures.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct row {
  const char* name;
  const char* group;
  // Makes the data; called once, before the first unit. May be null.
  void (*setup)(void);
  // Some 50 to 200 microseconds of work on a native machine. Returns the same value every time and
  // on every machine, so that a wrong result shows.
  uint32_t (*unit)(void);
};

// Each ends with an entry without a name.
extern const struct row integer_rows[];
extern const struct row compression_rows[];
extern const struct row x87_rows[];
extern const struct row sse2_rows[];
extern const struct row memory_rows[];

// A linear congruential generator: the same data everywhere.
static inline uint32_t next_random(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

// Folds a value into a checksum.
static inline uint32_t mix(uint32_t hash, uint32_t value) {
  return (hash ^ value) * 16777619u;
}

// Functions that stay functions, so that a row about calls makes calls.
#define NOINLINE __attribute__((noipa))
