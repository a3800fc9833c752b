// The timer that interrupts an engine, and the machine around an engine that must be interrupted.
#include <sys/resource.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <semaphore>
#include <thread>

#include "frontend/machine.h"

using namespace ringshift;
using namespace ringshift::frontend;
using devices::Nanoseconds;

namespace {

constexpr Nanoseconds kHour = 3600 * devices::kNanosecondsPerSecond;
constexpr std::chrono::seconds kPatience{20};  // for a host that does something else meanwhile

/// What a DeadlineTimer needs, and a processor whose kicks show that the signal has arrived.
struct TimerFixture {
  mmu::MemoryMap map;
  cpu::CpuidModel model = cpu::CpuidModel::from_host();
  mmu::ProcessorMemory memory{map, {model.physical_address_bits}};
  HostTime time;
  devices::EventClock clock{time};
  MachinePlatform platform{time, clock};
  cpu::Processor processor{memory, platform, model};
  std::unique_ptr<DeadlineTimer> timer = make();

  std::unique_ptr<DeadlineTimer> make() {
    auto made = DeadlineTimer::create(time, clock, processor);
    REQUIRE(made);
    return *std::move(made);
  }
  bool kicked_in_time() {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) {
      if (processor.take_kick()) return true;
    }
    return false;
  }
};

/// Runs no guest code: spins as translated code does, which looks at nothing but what the signal's
/// handler sets.
class SpinningEngine final : public cpu::Engine {
 public:
  explicit SpinningEngine(cpu::Processor& processor) : processor_(processor) {}
  std::string_view name() const override { return "spinning"; }
  cpu::Exit run() override {
    while (!processor_.take_kick()) {
    }
    return cpu::Exit::Kicked;
  }
  cpu::EngineStatistics statistics() const override { return {}; }

 private:
  cpu::Processor& processor_;
};

/// Sleeps until it is woken.
class SleepingEngine final : public cpu::Engine {
 public:
  explicit SleepingEngine(cpu::Processor& processor) : processor_(processor) {}
  std::string_view name() const override { return "sleeping"; }
  cpu::Exit run() override {
    while (!processor_.take_kick()) woken_.acquire();
    return cpu::Exit::Kicked;
  }
  void wake() override { woken_.release(); }
  cpu::EngineStatistics statistics() const override { return {}; }

 private:
  cpu::Processor& processor_;
  std::counting_semaphore<> woken_{0};
};

template <typename TestEngine>
std::unique_ptr<Machine> machine_with() {
  MachineConfig config;
  config.memory = u64{16} << 20;
  auto machine = Machine::create(
      std::move(config), RebootPolicy::End,
      [](const EngineConfig&, const EngineParts& parts) -> Result<std::unique_ptr<cpu::Engine>> {
        return std::unique_ptr<cpu::Engine>(std::make_unique<TestEngine>(parts.processor));
      });
  if (!machine) FAIL(machine.error().message);
  return *std::move(machine);
}

}  // namespace

TEST_CASE_METHOD(TimerFixture, "a deadline kicks the processor, and not before it has come") {
  devices::Timer event(clock, [] {});
  event.arm_in(2'000'000);
  const Nanoseconds deadline = event.deadline();
  timer->engine_enters();
  REQUIRE(kicked_in_time());
  CHECK(time.now() >= deadline);
}

TEST_CASE_METHOD(TimerFixture, "a deadline that the guest sets while the engine runs") {
  timer->engine_enters();
  CHECK(timer->settings() == 0);
  devices::Timer event(clock, [] {});
  event.arm_in(1'000'000);
  CHECK(timer->settings() == 1);
  CHECK(kicked_in_time());
}

TEST_CASE_METHOD(TimerFixture, "a deadline that has passed already") {
  devices::Timer event(clock, [] {});
  event.arm(0);
  timer->engine_enters();
  CHECK(kicked_in_time());
}

TEST_CASE_METHOD(TimerFixture, "the host's timer is set for earlier deadlines only") {
  devices::Timer event(clock, [] {});
  event.arm(kHour);
  CHECK(timer->settings() == 0);  // the engine isn't running
  timer->engine_enters();
  CHECK(timer->settings() == 1);
  event.arm(2 * kHour);
  event.cancel();
  event.arm(kHour);
  CHECK(timer->settings() == 1);
  event.arm(kHour / 2);
  CHECK(timer->settings() == 2);
  timer->engine_leaves();
  event.arm(kHour / 4);
  CHECK(timer->settings() == 2);
  event.arm(kHour);
  timer->engine_enters();
  CHECK(timer->settings() == 2);  // still set for half an hour: early enough
  timer->engine_leaves();
  timer->disarm();
  timer->disarm();
  CHECK(timer->settings() == 3);
  timer->engine_enters();
  CHECK(timer->settings() == 4);
}

TEST_CASE_METHOD(TimerFixture, "a periodic guest timer costs one setting of the host's a tick") {
  unsigned ticks = 0;
  devices::Timer* again = nullptr;
  devices::Timer event(clock, [&] {
    ++ticks;
    again->arm_in(1'000'000);
  });
  again = &event;
  event.arm_in(1'000'000);
  unsigned entries = 0;
  while (ticks < 10) {
    timer->engine_enters();
    ++entries;
    REQUIRE(kicked_in_time());
    timer->engine_leaves();
    clock.run_due();
  }
  CHECK(timer->settings() == entries);
  CHECK(entries == ticks);
}

TEST_CASE_METHOD(TimerFixture, "setting ever closer deadlines can't postpone the signal") {
  devices::Timer event(clock, [] {});
  timer->engine_enters();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  bool kicked = false;
  while (!kicked && std::chrono::steady_clock::now() < until) {
    event.arm_in(1);
    kicked = processor.take_kick();
  }
  CHECK(kicked);
}

TEST_CASE_METHOD(TimerFixture, "no signal outlives the timer, and the thread's mask is restored") {
  const auto blocked = [] {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, cpu::kick_signal()) == 1;
  };
  timer.reset();
  block_kick_signal();
  timer = make();
  CHECK_FALSE(blocked());
  timer.reset();
  CHECK(blocked());
  devices::Timer event(clock, [] {});
  timer = make();
  event.arm_in(1);
  block_kick_signal();
  timer->engine_enters();
  sigset_t pending;
  do {
    sigpending(&pending);
  } while (sigismember(&pending, cpu::kick_signal()) == 0);
  timer.reset();
  sigpending(&pending);
  CHECK(sigismember(&pending, cpu::kick_signal()) == 0);
  CHECK_FALSE(processor.take_kick());
}

TEST_CASE("an engine that polls nothing gets its device events by signal") {
  auto machine = machine_with<SpinningEngine>();
  unsigned ticks = 0;
  devices::Timer* again = nullptr;
  devices::Timer event(machine->clock(), [&] {
    if (++ticks == 5) return machine->stop();
    again->arm_in(500'000);
  });
  again = &event;
  event.arm_in(500'000);
  auto end = std::async(std::launch::async, [&] { return machine->run(); });
  const bool ended = end.wait_for(kPatience) == std::future_status::ready;
  if (!ended) machine->stop();
  CHECK(end.get().reason == MachineEnd::Reason::Stopped);
  CHECK(ended);
  CHECK(ticks == 5);
}

TEST_CASE("posting wakes an engine that sleeps on its own") {
  auto machine = machine_with<SleepingEngine>();
  std::promise<void> running;
  machine->post([&] { running.set_value(); });
  auto end = std::async(std::launch::async, [&] { return machine->run(); });
  running.get_future().wait();
  machine->stop();
  CHECK(end.get().reason == MachineEnd::Reason::Stopped);
}

TEST_CASE("a host without timers is one clear line at the end of the run") {
  auto machine = machine_with<SpinningEngine>();
  rlimit old{};
  getrlimit(RLIMIT_SIGPENDING, &old);
  const rlimit none{0, old.rlim_max};
  setrlimit(RLIMIT_SIGPENDING, &none);
  const MachineEnd end = machine->run();
  setrlimit(RLIMIT_SIGPENDING, &old);
  CHECK(end.reason == MachineEnd::Reason::HostFailure);
  CHECK(end.message == "can't create a host timer: Resource temporarily unavailable");
}

TEST_CASE("an engine that can't be made is the machine's error") {
  MachineConfig config;
  config.memory = u64{16} << 20;
  for (const EngineKind kind : engine_kinds()) {
    if (engine_built_in(kind)) continue;
    config.engine.kind = kind;
    const auto machine = Machine::create(config, RebootPolicy::End);
    REQUIRE_FALSE(machine);
    CHECK(machine.error().message ==
          "engine '" + std::string(engine_name(kind)) + "' isn't built in");
  }
}
