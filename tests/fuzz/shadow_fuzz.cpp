// Random edits of guest page tables, CR3 loads, INVLPGs and accesses through shadow windows,
// against the software walker on the same memory: verdicts, the memory reached, accessed and dirty
// bits, and what is told of changed fetches.
//
//   shadow_fuzz [--count N] [--seed S] [--first E]
//
// The run is a row of epochs of kEpochLength actions, each in a new world with limits of its own:
// `--seed S --first E --count 1` repeats epoch E of a report.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/fuzz/shadow_world.h"

namespace ringshift::tests {
namespace {

constexpr u64 kEpochLength = 100'000;
constexpr u64 kCheckInterval = 20'000;

struct Options {
  u64 count = 200'000;
  u64 seed = 0;
  u64 first = 0;
};

bool parse(int argc, char** argv, Options& options) {
  for (int n = 1; n + 1 < argc; n += 2) {
    const u64 value = std::strtoull(argv[n + 1], nullptr, 0);
    if (std::strcmp(argv[n], "--count") == 0) {
      options.count = value;
    } else if (std::strcmp(argv[n], "--seed") == 0) {
      options.seed = value;
    } else if (std::strcmp(argv[n], "--first") == 0) {
      options.first = value;
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

struct Totals {
  u64 misses = 0, guest_faults = 0, emulated = 0, evictions = 0, watches = 0, exact = 0, loose = 0;
};

bool run_epoch(const Options& options, u64 epoch, u64 actions, Totals& totals) {
  ShadowWorld world(options.seed + epoch * 0x1'0000'0001);
  for (u64 n = 1; n <= actions; ++n) {
    if (world.step() && (n % kCheckInterval != 0 || world.check_all())) continue;
    std::printf("seed %llu, epoch %llu, action %llu: %s\n",
                static_cast<unsigned long long>(options.seed),
                static_cast<unsigned long long>(epoch), static_cast<unsigned long long>(n),
                world.complaint().c_str());
    return false;
  }
  const auto statistics = world.statistics();
  totals.misses += statistics.misses;
  totals.evictions += statistics.window_evictions;
  totals.watches += statistics.tables_watched;
  totals.guest_faults += statistics.guest_faults;
  totals.emulated += statistics.device_accesses + statistics.watched_writes;
  totals.exact += world.exact_checks();
  totals.loose += world.loose_checks();
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: shadow_fuzz [--count N] [--seed S] [--first E]\n");
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  const u64 epochs = (options.count + kEpochLength - 1) / kEpochLength;
  for (u64 n = 0; n < epochs; ++n) {
    if (!run_epoch(options, options.first + n, kEpochLength, totals)) return 1;
  }
  const u64 actions = epochs * kEpochLength;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu actions in %.1f s: %llu accesses checked exactly, %llu before their INVLPG; "
      "%llu misses, %llu guest faults, %llu to be emulated, %llu window evictions, "
      "%llu table watches\n",
      static_cast<unsigned long long>(actions), taken.count(),
      static_cast<unsigned long long>(totals.exact), static_cast<unsigned long long>(totals.loose),
      static_cast<unsigned long long>(totals.misses),
      static_cast<unsigned long long>(totals.guest_faults),
      static_cast<unsigned long long>(totals.emulated),
      static_cast<unsigned long long>(totals.evictions),
      static_cast<unsigned long long>(totals.watches));
  return 0;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  return ringshift::tests::run(argc, argv);
}
