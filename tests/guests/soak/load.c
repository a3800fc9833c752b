// Part of the soak test's guest: timers and processes. Built static for i386.
//   load timer HZ SECONDS     a signal HZ times a second, with sums over registers that a signal
//                             which lost one would spoil
//   load fork ROUNDS          processes that write memory shared copy-on-write, and check it
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned ticks;

static void on_tick(int number) {
  (void)number;
  // The floating-point unit and the string instructions are the handler's, too.
  volatile double x = ticks;
  char copy[64];
  memset(copy, (int)x, sizeof copy);
  ticks += 1 + (copy[7] - copy[63]);
}

/// The same every time, or something has been lost.
static unsigned sum(unsigned rounds) {
  unsigned a = 1, b = 2, c = 3, d = 4;
  double x = 1.0;
  for (unsigned n = 0; n < rounds; ++n) {
    a = a * 1664525 + 1013904223;
    b ^= a << 13 | a >> 19;
    c += b * (n | 1);
    d = (d << 1 | d >> 31) ^ c;
    x = x * 1.0000001 + 1e-9;
    if ((n & 0xFFF) == 0) d += (unsigned)(x * 1e6);
  }
  return a ^ b ^ c ^ d;
}

static int timer(unsigned hz, unsigned seconds) {
  const unsigned expected = sum(1 << 20);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  struct itimerval interval = {{0, 1000000 / hz}, {0, 1000000 / hz}};
  const time_t end = time(NULL) + (time_t)seconds;
  setitimer(ITIMER_REAL, &interval, NULL);
  unsigned rounds = 0;
  while (time(NULL) < end) {
    if (sum(1 << 20) != expected) {
      printf("soak: DIFFERS: a sum under %u ticks a second\n", hz);
      return 1;
    }
    ++rounds;
    usleep(20000);
  }
  printf("soak: timer of %u Hz: %u ticks in %u s, %u sums\n", hz, ticks, seconds, rounds);
  return 0;
}

static int forks(unsigned rounds) {
  const size_t size = 1 << 20;
  unsigned* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const unsigned words = size / sizeof *memory;
  for (unsigned n = 0; n < words; ++n) memory[n] = n * 2654435761u;
  for (unsigned round = 0; round < rounds; ++round) {
    pid_t children[8];
    for (unsigned child = 0; child < 8; ++child) {
      children[child] = fork();
      if (children[child] != 0) continue;
      for (unsigned n = child; n < words; n += 97) memory[n] += child + round;
      char* own = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      memset(own, (int)child, 65536);
      mprotect(own, 4096, PROT_READ);
      int wrong = own[0] != (char)child || own[65535] != (char)child;
      munmap(own, 65536);
      for (unsigned n = 0; n < words; ++n) {
        const int mine = n >= child && (n - child) % 97 == 0;
        wrong |= memory[n] != n * 2654435761u + (mine ? child + round : 0);
      }
      _exit(wrong);
    }
    for (unsigned child = 0; child < 8; ++child) {
      int status = 0;
      waitpid(children[child], &status, 0);
      if (status != 0) {
        printf("soak: DIFFERS: memory of a child\n");
        return 1;
      }
    }
  }
  for (unsigned n = 0; n < words; ++n) {
    if (memory[n] != n * 2654435761u) {
      printf("soak: DIFFERS: memory of the parent\n");
      return 1;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "timer") == 0) {
    return timer((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
  }
  if (argc == 3 && strcmp(argv[1], "fork") == 0) return forks((unsigned)atoi(argv[2]));
  return 2;
}
