// Rows about what a monitor does to memory: translation of addresses, copies, accesses across lines
// and pages, segments with a base, and code that changes.
#include <emmintrin.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "rows.h"

// --- chase: a random cycle through a region, each load's address from the one before
// ----------------------------

struct node {
  struct node* next;
  uint32_t index;  // along the cycle
  uint8_t padding[56];
};
_Static_assert(sizeof(struct node) == 64, "one node for each cache line");

struct chase {
  struct node* nodes;
  uint32_t count;
  struct node* at;
};
static struct chase chase_16k, chase_1m, chase_64m;

static void* map_pages(size_t size, int rights) {
  void* pages = mmap(NULL, size, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) abort();
  return pages;
}

static void make_chase(struct chase* chase, uint32_t bytes) {
  chase->count = bytes / sizeof(struct node);
  chase->nodes = map_pages(bytes, PROT_READ | PROT_WRITE);
  // Sattolo's algorithm makes one cycle; `index` holds the permutation until the cycle is laid.
  uint32_t seed = 13;
  for (uint32_t i = 0; i < chase->count; ++i) chase->nodes[i].index = i;
  for (uint32_t i = chase->count - 1; i > 0; --i) {
    const uint32_t j = next_random(&seed) % i;
    const uint32_t swapped = chase->nodes[i].index;
    chase->nodes[i].index = chase->nodes[j].index;
    chase->nodes[j].index = swapped;
  }
  for (uint32_t i = 0; i < chase->count; ++i)
    chase->nodes[i].next = &chase->nodes[chase->nodes[i].index];
  struct node* node = chase->nodes;
  for (uint32_t i = 0; i < chase->count; ++i, node = node->next) node->index = i;
  chase->at = chase->nodes;
}

// Goes on where the last unit stopped, so that the whole region stays in use; 0 if it got where it
// should.
static uint32_t follow(struct chase* chase, uint32_t steps) {
  struct node* node = chase->at;
  const uint32_t goal = (node->index + steps) % chase->count;
  for (uint32_t i = 0; i < steps; i += 8) {
    node = node->next->next->next->next;
    node = node->next->next->next->next;
  }
  chase->at = node;
  return node->index - goal;
}

static void setup_16k(void) {
  make_chase(&chase_16k, 16 << 10);
}
static void setup_1m(void) {
  make_chase(&chase_1m, 1 << 20);
}
static void setup_64m(void) {
  make_chase(&chase_64m, 64 << 20);
}
static uint32_t follow_16k(void) {
  return follow(&chase_16k, 32768);
}
static uint32_t follow_1m(void) {
  return follow(&chase_1m, 8192);
}
static uint32_t follow_64m(void) {
  return follow(&chase_64m, 2048);
}

// --- copies between two buffers of 64 KiB
// --------------------------------------------------------------------------

enum { kCopySize = 65536 };
static uint8_t copy_from[kCopySize] __attribute__((aligned(4096)));
static uint8_t copy_to[kCopySize] __attribute__((aligned(4096)));

static void setup_copy(void) {
  uint32_t seed = 14;
  for (int i = 0; i < kCopySize; ++i) copy_from[i] = (uint8_t)(next_random(&seed) % 255);
}

static uint32_t check_copy(void) {
  uint32_t hash = 0;
  for (int i = 0; i < kCopySize; i += 1021) hash = mix(hash, copy_to[i]);
  return hash;
}

static uint32_t copy_sse2(void) {
  for (int round = 0; round < 16; ++round) {
    const __m128i* from = (const __m128i*)copy_from;
    __m128i* to = (__m128i*)copy_to;
    for (int i = 0; i < kCopySize / 64; ++i, from += 4, to += 4) {
      const __m128i x0 = _mm_load_si128(from), x1 = _mm_load_si128(from + 1);
      const __m128i x2 = _mm_load_si128(from + 2), x3 = _mm_load_si128(from + 3);
      _mm_store_si128(to, x0);
      _mm_store_si128(to + 1, x1);
      _mm_store_si128(to + 2, x2);
      _mm_store_si128(to + 3, x3);
    }
    __asm__ volatile("" ::: "memory");
  }
  return check_copy();
}

static uint32_t rep_movsb(void) {
  for (int round = 0; round < 16; ++round) {
    const void* from = copy_from;
    void* to = copy_to;
    size_t count = kCopySize;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
  }
  return check_copy();
}

static uint32_t rep_stosl(void) {
  for (int round = 0; round < 16; ++round) {
    void* to = copy_to;
    size_t count = kCopySize / 4;
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0x01020304) : "memory");
  }
  return check_copy();
}

static uint32_t repne_scasb(void) {
  const void* at = copy_from;  // holds no FFh
  size_t count = kCopySize;
  __asm__ volatile("repne scasb" : "+D"(at), "+c"(count) : "a"(0xFF) : "memory", "cc");
  return (uint32_t)count;
}

// --- unaligned: words across a line's end, of which one in 64 is across a page's too; or all
// across a page's --------

enum {
  kLine = 64,
  kPage = 4096,
  kAcross = 3
};  // the first bytes before the end, the last behind it

static inline uint32_t read_across(uint32_t stride, int rounds) {
  uint32_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    for (uint32_t end = stride; end < kCopySize; end += stride)
      sum += *(const volatile uint32_t*)(copy_from + end - kAcross);
  }
  return sum;
}

static inline uint32_t write_across(uint32_t stride, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (uint32_t end = stride; end < kCopySize; end += stride)
      *(volatile uint32_t*)(copy_to + end - kAcross) = end;
  }
  return *(volatile uint32_t*)(copy_to + kCopySize / 2 - kAcross);
}

static uint32_t unaligned_read(void) {
  return read_across(kLine, 64);
}
static uint32_t unaligned_write(void) {
  return write_across(kLine, 32);
}
static uint32_t page_crossing_read(void) {
  return read_across(kPage, 512);
}
static uint32_t page_crossing_write(void) {
  return write_across(kPage, 256);
}

// --- thread_local: operands relative to a segment that has a base
// --------------------------------------------------------

static __thread volatile uint32_t counter;

static uint32_t thread_local_unit(void) {
  counter = 0;
  for (uint32_t i = 0; i < 16384; ++i) counter += i;
  return counter;
}

// --- patch: code that changes an instruction and calls it
// ------------------------------------------------------------------

static uint8_t* code;

static void setup_patch(void) {
  static const uint8_t kCode[] = {0xB8, 0, 0, 0, 0, 0xC3};  // mov eax, imm32; ret
  code = map_pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  for (size_t i = 0; i < sizeof kCode; ++i) code[i] = kCode[i];
}

static uint32_t patch(void) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 500; ++i) {
    *(volatile uint32_t*)(code + 1) = i;
    sum += ((uint32_t(*)(void))(uintptr_t)code)();
  }
  return sum;
}

const struct row memory_rows[] = {
    {"chase_16k", "memory", setup_16k, follow_16k},
    {"chase_1m", "memory", setup_1m, follow_1m},
    {"chase_64m", "memory", setup_64m, follow_64m},
    {"memcpy", "memory", setup_copy, copy_sse2},
    {"rep_movsb", "memory", setup_copy, rep_movsb},
    {"rep_stosl", "memory", NULL, rep_stosl},
    {"repne_scasb", "memory", setup_copy, repne_scasb},
    {"unaligned_read", "memory", setup_copy, unaligned_read},
    {"unaligned_write", "memory", NULL, unaligned_write},
    {"page_crossing_read", "memory", setup_copy, page_crossing_read},
    {"page_crossing_write", "memory", NULL, page_crossing_write},
    {"thread_local", "memory", NULL, thread_local_unit},
    {"patch", "memory", setup_patch, patch},
    {NULL, NULL, NULL, NULL},
};
