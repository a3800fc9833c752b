// A guest of random code in random modes on a whole machine: whatever it does, the monitor neither
// crashes nor hangs nor touches anything that isn't the guest's.
//
//   guest_fuzz [--seconds N] [--seed S] [--engine translator|interpreter|lockstep]
//              [--check-recovery 1] [--disable-opt NAME]...
//
// The seed determines what the guest is made of; when it is interrupted is chance. A run of ten
// minutes is the acceptance test:
//   guest_fuzz --seconds 600
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xmmintrin.h>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "frontend/machine.h"
#include "tests/fuzz/random_guest.h"

namespace ringshift::tests {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  unsigned seconds = 20;
  u64 seed = 0;
  frontend::EngineConfig engine;

  Options() { engine.kind = frontend::EngineKind::Translator; }
};

constexpr auto kHangs = std::chrono::seconds(60);
/// A machine's life: long enough for its caches to fill.
constexpr auto kMachineLife = std::chrono::seconds(10);

volatile std::sig_atomic_t machine_number = 0;
volatile std::sig_atomic_t disturbance = 0;

/// Says where in the run the process has come to its end. Async-signal-safe.
void on_fatal_signal(int number) {
  char message[] = "signal ?? in machine ????, disturbance ????????\n";
  const auto digits = [&message](std::size_t last, std::size_t count, unsigned value) {
    for (std::size_t n = 0; n < count; ++n, value /= 10) {
      message[last - n] = static_cast<char>('0' + value % 10);
    }
  };
  digits(8, 2, static_cast<unsigned>(number));
  digits(24, 4, static_cast<unsigned>(machine_number));
  digits(46, 8, static_cast<unsigned>(disturbance));
  static_cast<void>(!write(STDOUT_FILENO, message, sizeof message - 1));
  std::signal(number, SIG_DFL);
  std::raise(number);
}

[[noreturn]] void fail(const std::string& what) {
  std::printf("%s (machine %d, disturbance %d)\n", what.c_str(), static_cast<int>(machine_number),
              static_cast<int>(disturbance));
  std::fflush(stdout);
  std::_Exit(1);
}

/// Memory that nobody has any business with: on the heap, and behind the guards of the windows,
/// where stray addresses that are computed with a window's base would lead.
class Canaries {
 public:
  Canaries() : heap_(kHeapBytes, kPattern) {}
  ~Canaries() { gather(); }

  /// A machine has gone, and others may want the place.
  void gather() {
    for (u8* page : pages_) munmap(page, kPageSize);
    pages_.clear();
  }

  /// Finds windows that have been made since the last time.
  void plant() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long long first = 0, end = 0;
      char rights[5] = {};
      if (std::sscanf(line.c_str(), "%llx-%llx %4s", &first, &end, rights) != 3) continue;
      const bool guard = end - first == kPageSize && std::strcmp(rights, "---p") == 0;
      if (!guard || first < kArenaFirst || first >= kArenaEnd) continue;
      void* wanted = reinterpret_cast<void*>(first + kDistance);
      void* got = mmap(wanted, kPageSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
      if (got != wanted) continue;  // has one
      std::memset(got, kPattern, kPageSize);
      pages_.push_back(static_cast<u8*>(got));
    }
  }

  void check() const {
    for (const u8 byte : heap_) {
      if (byte != kPattern) fail("the heap has been written");
    }
    for (const u8* page : pages_) {
      for (std::size_t n = 0; n < kPageSize; ++n) {
        if (page[n] != kPattern) fail("memory behind a window has been written");
      }
    }
  }
  std::size_t windows() const { return pages_.size(); }

 private:
  static constexpr u8 kPattern = 0xA5;
  static constexpr std::size_t kHeapBytes = 1 << 20;
  static constexpr u64 kArenaFirst = 0x1000'0000'0000, kArenaEnd = 0x2A00'0000'0000;
  /// Behind all that may be reached by accident and is known to fault.
  static constexpr u64 kDistance = u64{57} << 30;
  std::vector<u8> heap_;
  std::vector<u8*> pages_;
};

/// What the monitor's own code relies on.
void check_host_state() {
  constexpr u32 kExceptionFlags = 0x3F;
  if ((_mm_getcsr() & ~kExceptionFlags) != 0x1F80) {
    fail("MXCSR isn't the monitor's: " + std::to_string(_mm_getcsr()));
  }
  u16 control = 0;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  if (control != 0x37F) fail("the x87 control word isn't the monitor's");
  u64 flags = 0;
  __asm__ volatile("pushfq; popq %0" : "=r"(flags));
  constexpr u64 kTrap = 0x100, kDirection = 0x400, kAlignment = 0x40000;
  if ((flags & (kTrap | kDirection | kAlignment)) != 0) fail("EFLAGS aren't the monitor's");
}

u64 status_kib(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field, 0) == 0)
      return std::strtoull(line.c_str() + std::strlen(field) + 1, nullptr, 10);
  }
  return 0;
}

struct Totals {
  u64 disturbances = 0, kicks = 0, machines = 0, endings = 0;
  u64 most_mappings = 0, most_windows = 0;
  cpu::EngineStatistics engine;
};

u64 count_mappings() {
  std::ifstream maps("/proc/self/maps");
  u64 lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

/// One machine from its creation to its end.
class Trial {
 public:
  Trial(const Options& options, Random& random, const EncodingSpace& narrow,
        const EncodingSpace& wide, Totals& totals)
      : random_(random), totals_(totals) {
    frontend::MachineConfig config;
    config.memory = RandomGuest::kRam;
    config.engine = options.engine;
    const auto maker = [&](const frontend::EngineConfig& engine,
                           const frontend::EngineParts& parts) {
      guest_ =
          std::make_unique<RandomGuest>(parts.processor, parts.memory, parts.map, narrow, wide);
      return frontend::make_engine(engine, parts);
    };
    auto machine =
        frontend::Machine::create(std::move(config), frontend::RebootPolicy::Reboot, maker);
    if (!machine) fail(machine.error().message);
    machine_ = *std::move(machine);
  }

  void run(Clock::time_point end, Canaries& canaries) {
    std::thread vcpu([this] {
      const frontend::MachineEnd how = machine_->run();
      using Reason = frontend::MachineEnd::Reason;
      if (how.reason == Reason::HostFailure) fail(how.message);
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    });
    post(Action::Shuffle);
    while (Clock::now() < end && post(Action::Disturb)) {
      storm();
      if (++rounds_ % 64 == 0) {
        canaries.plant();
        canaries.check();
        totals_.most_mappings = std::max(totals_.most_mappings, count_mappings());
      }
    }
    machine_->stop();
    wait([this] { return ended_; }, "the machine doesn't stop");
    vcpu.join();
    canaries.check();
    totals_.most_windows = std::max<u64>(totals_.most_windows, canaries.windows());
    canaries.gather();
    totals_.engine = machine_->engine().statistics();
  }

 private:
  enum class Action : u8 { Shuffle, Disturb };

  template <typename Condition>
  void wait(Condition condition, const char* otherwise) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kHangs, condition)) {
      const cpu::State& state = machine_->processor_state();
      std::printf("last known: cs %04x:%08llx cr0 %llx\n",
                  unsigned{state.segment(cpu::SegmentName::CS).selector},
                  static_cast<unsigned long long>(state.rip),
                  static_cast<unsigned long long>(state.cr0));
      if (std::getenv("GUEST_FUZZ_PAUSE") != nullptr) pause();
      fail(otherwise);
    }
  }

  /// False: the machine has come to its end, which any guest may bring about.
  bool post(Action action) {
    bool done = false;
    machine_->post([this, action, &done] {
      check_host_state();
      if (action == Action::Shuffle) {
        guest_->shuffle(random_);
      } else {
        guest_->disturb(random_);
      }
      const std::lock_guard lock(mutex_);
      done = true;
      changed_.notify_all();
    });
    wait([this, &done] { return done || ended_; }, "the guest can't be interrupted");
    disturbance = disturbance + 1;
    ++totals_.disturbances;
    const std::lock_guard lock(mutex_);
    if (ended_) ++totals_.endings;
    return !ended_;
  }

  /// Time for the guest, in peace or under a hail of interruptions.
  void storm() {
    const u32 kind = random_.below(8);
    if (kind < 5) {
      std::this_thread::sleep_for(std::chrono::microseconds(200 << kind));
      return;
    }
    for (unsigned n = 0; n < 100; ++n) {
      machine_->post([] {});
      ++totals_.kicks;
      if (kind != 5) std::this_thread::sleep_for(std::chrono::microseconds(random_.below(50)));
    }
  }

  Random& random_;
  Totals& totals_;
  std::unique_ptr<RandomGuest> guest_;
  std::unique_ptr<frontend::Machine> machine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  u64 rounds_ = 0;
};

int run(const Options& options) {
  const cpu::CpuidModel model = cpu::CpuidModel::from_host();
  const cpu::Decoder decoder(model);
  const EncodingSpace narrow(decoder, CodeWidth::Bits16), wide(decoder, CodeWidth::Bits32);
  Random random(options.seed);
  Canaries canaries;
  Totals totals;
  const auto end = Clock::now() + std::chrono::seconds(options.seconds);
  u64 first_resident = 0;
  while (Clock::now() < end) {
    machine_number = machine_number + 1;
    ++totals.machines;
    Trial trial(options, random, narrow, wide, totals);
    trial.run(std::min(end, Clock::now() + kMachineLife), canaries);
    const u64 resident = status_kib("VmRSS:");
    if (first_resident == 0) first_resident = resident;
  }
  std::printf(
      "%llu machines, %llu disturbances, %llu kicks, %llu ended by themselves, at most %llu "
      "windows, "
      "at most %llu host mappings; resident at most %llu KiB\n",
      static_cast<unsigned long long>(totals.machines),
      static_cast<unsigned long long>(totals.disturbances),
      static_cast<unsigned long long>(totals.kicks),
      static_cast<unsigned long long>(totals.endings),
      static_cast<unsigned long long>(totals.most_windows),
      static_cast<unsigned long long>(totals.most_mappings),
      static_cast<unsigned long long>(status_kib("VmHWM:")));
  const cpu::EngineStatistics& engine = totals.engine;
  std::printf(
      "the last machine: %llu blocks translated, %llu killed, %llu KiB of code, %llu flushes, "
      "%llu misses, %llu faults emulated, %llu exceptions, %llu interrupts\n",
      static_cast<unsigned long long>(engine.blocks_translated),
      static_cast<unsigned long long>(engine.blocks_invalidated),
      static_cast<unsigned long long>(engine.code_cache_bytes / 1024),
      static_cast<unsigned long long>(engine.code_cache_flushes),
      static_cast<unsigned long long>(engine.shadow_misses),
      static_cast<unsigned long long>(engine.exits_by(cpu::ExitCause::FaultEmulated)),
      static_cast<unsigned long long>(engine.exceptions),
      static_cast<unsigned long long>(engine.interrupts));
  return 0;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--seconds") {
      options.seconds = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (name == "--seed") {
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--engine" && frontend::engine_kind(value)) {
      options.engine.kind = *frontend::engine_kind(value);
    } else if (name == "--check-recovery") {
      options.engine.check_recovery = value != "0";
    } else if (name == "--disable-opt") {
      options.engine.disabled_optimisations.push_back(value);
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace ringshift::tests

int main(int argc, char** argv) {
  using namespace ringshift::tests;
  Options options;
  options.seed = std::random_device{}();
  if (!parse(argc, argv, options)) {
    std::printf(
        "usage: guest_fuzz [--seconds N] [--seed S] [--engine NAME] [--check-recovery 1] "
        "[--disable-opt NAME]...\n");
    return 2;
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    std::signal(number, on_fatal_signal);
  }
  ringshift::frontend::block_kick_signal();
  return run(options);
}
