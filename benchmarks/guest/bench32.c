// The program of the comparison: one static 32-bit binary that runs unchanged on the host and in
// guests.
//
//   bench32 list                   names the rows and their groups
//   bench32 ROW [UNITS [ROUNDS]]   times a row by itself: "ROW nanoseconds" for each round
//   bench32 serve                  does what its standard input says, a line at a time:
//     run ROW UNITS                answers "done ROW UNITS NANOSECONDS CHECKSUM", the time by this
//     machine's clock quit
//
// `serve` is what run.py talks to. Between two commands it waits for input, so the machine around
// it is idle: the CPU time that a whole monitor takes from command to answer is that of the row,
// and no clock in the guest is trusted.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

static const struct row* const kTables[] = {integer_rows, compression_rows, x87_rows, sse2_rows,
                                            memory_rows};
enum { kTableCount = sizeof kTables / sizeof kTables[0], kMaximumRows = 128 };

// Data is made once, by whichever unit of the row comes first.
static const struct row* ready[kMaximumRows];
static int ready_count;

static const struct row* find_row(const char* name) {
  for (int table = 0; table < kTableCount; ++table) {
    for (const struct row* row = kTables[table]; row->name != NULL; ++row) {
      if (strcmp(row->name, name) == 0) return row;
    }
  }
  return NULL;
}

static void prepare(const struct row* row) {
  for (int i = 0; i < ready_count; ++i) {
    if (ready[i] == row) return;
  }
  if (row->setup != NULL) row->setup();
  if (ready_count < kMaximumRows) ready[ready_count++] = row;
}

static uint64_t now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Runs units; sets the time that they took. All units of a row return the same, or the result is
// wrong: then the checksum is one that no unit returns.
static uint32_t run_units(const struct row* row, unsigned long units, uint64_t* nanoseconds) {
  const uint64_t start = now_nanoseconds();
  uint32_t checksum = 0;
  int steady = 1;
  for (unsigned long i = 0; i < units; ++i) {
    const uint32_t result = row->unit();
    if (i > 0 && result != checksum) steady = 0;
    checksum = result;
  }
  *nanoseconds = now_nanoseconds() - start;
  return steady ? checksum : ~checksum;
}

static int list(void) {
  for (int table = 0; table < kTableCount; ++table) {
    for (const struct row* row = kTables[table]; row->name != NULL; ++row)
      printf("%s %s\n", row->name, row->group);
  }
  return 0;
}

static int measure(const char* name, unsigned long units, unsigned long rounds) {
  const struct row* row = find_row(name);
  if (row == NULL || units == 0) {
    fprintf(stderr, "bench32: no row '%s', or no units\n", name);
    return 2;
  }
  prepare(row);
  for (unsigned long round = 0; round < rounds; ++round) {
    uint64_t nanoseconds;
    run_units(row, units, &nanoseconds);
    printf("%s %.1f\n", name, (double)nanoseconds / (double)units);
  }
  return 0;
}

static void serve_line(const char* line) {
  char name[64];
  unsigned long units;
  if (strncmp(line, "ping", 4) == 0) puts("pong");
  if (sscanf(line, "run %63s %lu", name, &units) != 2) return;
  const struct row* row = find_row(name);
  if (row == NULL) {
    printf("unknown %s\n", name);
    return;
  }
  prepare(row);
  uint64_t nanoseconds;
  const uint32_t checksum = run_units(row, units, &nanoseconds);
  printf("done %s %lu %llu %08x\n", name, units, (unsigned long long)nanoseconds, checksum);
}

static int serve(void) {
  struct termios terminal;
  if (tcgetattr(STDIN_FILENO, &terminal) == 0) {  // commands needn't come back to who sent them
    terminal.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
  }
  printf("bench32 serves\n");
  fflush(stdout);
  char line[128];
  while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "quit", 4) != 0) {
    serve_line(line);
    fflush(stdout);
  }
  return 0;
}

int main(int count, char** arguments) {
  const char* command = count > 1 ? arguments[1] : "list";
  if (strcmp(command, "list") == 0) return list();
  if (strcmp(command, "serve") == 0) return serve();
  return measure(command, count > 2 ? strtoul(arguments[2], NULL, 10) : 1000,
                 count > 3 ? strtoul(arguments[3], NULL, 10) : 1);
}
