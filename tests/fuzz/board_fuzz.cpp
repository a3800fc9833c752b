// Random accesses to the whole board: nothing may crash, hang or reach outside guest memory.
//
//   board_fuzz [--count N] [--seed S] [--first E] [--trace 1]
//
// The run is a row of epochs of kEpochLength accesses, each with a new board and a seed of its own:
// `--seed S --first E --count 1` repeats epoch E of a report. What counts as hanging: more events
// due at one instant than any device has reason for, or a single action that takes this process
// kMostSeconds of processor time.
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "tests/conformance/guest_traffic.h"

namespace ringshift::tests {
namespace {

using devices::test::Action;
using devices::test::GuestTraffic;
using devices::test::TestBoard;

constexpr u64 kEpochLength = 20'000;
constexpr u64 kAimInterval = 512;
constexpr int kMostSeconds = 60;

struct Options {
  u64 count = 200'000;
  u64 seed = 0;
  u64 first = 0;
  bool trace = false;
};

/// The epoch that a crash belongs to; plain memory, for a signal handler.
volatile std::sig_atomic_t current_epoch = 0;

/// Says in which epoch the process has come to its end. Async-signal-safe.
void on_fatal_signal(int number) {
  char message[] = "signal ?? in epoch ??????????\n";
  const auto digits = [&message](std::size_t last, std::size_t count, unsigned value) {
    for (std::size_t n = 0; n < count; ++n, value /= 10) {
      message[last - n] = static_cast<char>('0' + value % 10);
    }
  };
  digits(8, 2, static_cast<unsigned>(number));
  digits(28, 10, static_cast<unsigned>(current_epoch));
  static_cast<void>(!write(STDOUT_FILENO, message, sizeof message - 1));
  std::signal(number, SIG_DFL);
  std::raise(number);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitizerReportsFaults = true;
#else
constexpr bool kSanitizerReportsFaults = false;
#endif

void restart_watchdog() {
  const itimerval time = {{0, 0}, {kMostSeconds, 0}};
  setitimer(ITIMER_VIRTUAL, &time, nullptr);
}

struct Totals {
  u64 accesses = 0, actions = 0, events = 0, interrupts = 0;
  double slowest = 0;  // seconds
  std::string slowest_action;
};

/// One board's life. False: it got stuck, or its snapshot didn't restore to the same.
bool run_epoch(const Options& options, u64 epoch, u64 most, Totals& totals) {
  Random seeds(options.seed + epoch * 0x1'0000'0001);
  GuestTraffic traffic(seeds.next());
  auto board = TestBoard::create(epoch % 2 == 0 ? TestBoard::VideoRom::Present
                                                : TestBoard::VideoRom::Absent);
  if (seeds.chance(90)) board->configure_pci();
  board->defer_disks(seeds.chance(30));
  u64 accesses = 0, actions = 0;
  for (; accesses < most; ++actions) {
    if (actions % kAimInterval == 0) {
      traffic.aim(*board);
      restart_watchdog();
    }
    const Action action = traffic.next();
    if (options.trace) std::printf("%s\n", describe(action).c_str()), std::fflush(stdout);
    if (action.is_access()) ++accesses;
    const auto start = std::chrono::steady_clock::now();
    if (!perform(*board, action)) {
      std::printf("STUCK --seed %llu --first %llu --count 1: no end of due events after %s\n",
                  static_cast<unsigned long long>(options.seed),
                  static_cast<unsigned long long>(epoch), describe(action).c_str());
      return false;
    }
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (time.count() > totals.slowest) {
      totals.slowest = time.count();
      totals.slowest_action = "epoch " + std::to_string(epoch) + ", " + describe(action);
    }
    for (const auto& event : board->take_events()) {
      ++totals.events;
      using Kind = devices::test::BoardEvent::Kind;
      if (event.kind == Kind::ProcessorPin && event.value != 0) ++totals.interrupts;
    }
  }
  totals.accesses += accesses;
  totals.actions += actions;
  const std::vector<u8> snapshot = board->save();
  const auto restored = board->restore(snapshot);
  if (restored && board->save() == snapshot) return true;
  // With late disks a request that was under way is issued anew, which the state may show.
  if (restored && board->disks()[0]->deferred) return true;
  std::printf("SNAPSHOT --seed %llu --first %llu --count 1: %s\n",
              static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(epoch),
              restored ? "restores to another state" : restored.error().message.c_str());
  return false;
}

bool parse(int argc, char** argv, Options& options) {
  options.seed = std::random_device{}();
  for (int n = 1; n + 1 < argc; n += 2) {
    const std::string_view name = argv[n];
    const u64 value = std::strtoull(argv[n + 1], nullptr, 0);
    if (name == "--count")
      options.count = value;
    else if (name == "--seed")
      options.seed = value;
    else if (name == "--first")
      options.first = value;
    else if (name == "--trace")
      options.trace = value != 0;
    else
      return false;
  }
  return argc % 2 == 1;
}

int fuzz(const Options& options) {
  for (const int number : {SIGVTALRM, SIGABRT}) std::signal(number, on_fatal_signal);
  if (!kSanitizerReportsFaults) {
    for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, on_fatal_signal);
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  bool good = true;
  u64 epoch = options.first;
  for (; good && totals.accesses < options.count; ++epoch) {
    current_epoch = static_cast<std::sig_atomic_t>(epoch);
    // A single access asked for stands for the whole epoch.
    const u64 left = options.count - totals.accesses;
    good =
        run_epoch(options, epoch, left == 1 ? kEpochLength : std::min(left, kEpochLength), totals);
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf("%llu accesses in %llu epochs, %llu interrupts, %llu events outside; %.1f s\n",
              static_cast<unsigned long long>(totals.accesses),
              static_cast<unsigned long long>(epoch - options.first),
              static_cast<unsigned long long>(totals.interrupts),
              static_cast<unsigned long long>(totals.events), time.count());
  std::printf("slowest action: %.1f ms (%s)\n", totals.slowest * 1000,
              totals.slowest_action.c_str());
  return good ? 0 : 1;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  ringshift::tests::Options options;
  if (!ringshift::tests::parse(argc, argv, options)) {
    std::printf("usage: board_fuzz [--count N] [--seed S] [--first E] [--trace 1]\n");
    return 2;
  }
  return ringshift::tests::fuzz(options);
}
