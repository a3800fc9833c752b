#include <catch2/catch.hpp>

#include "devices/clock.h"

using ringshift::StateArchive;
using ringshift::devices::EventClock;
using ringshift::devices::kNever;
using ringshift::devices::ManualTime;
using ringshift::devices::Timer;

TEST_CASE("timers fire in the order of their deadlines, ties in the order of arming") {
  ManualTime time;
  EventClock clock(time);
  std::string order;
  Timer a(clock, [&] { order += 'a'; });
  Timer b(clock, [&] { order += 'b'; });
  Timer c(clock, [&] { order += 'c'; });
  a.arm(20);
  b.arm(10);
  c.arm(20);
  CHECK(clock.next_deadline() == 10);
  clock.run_due();
  CHECK(order.empty());
  time.advance(20);
  clock.run_due();
  CHECK(order == "bac");
  CHECK(clock.next_deadline() == kNever);
}

TEST_CASE("a timer that re-arms itself in the past can't keep the clock busy for ever") {
  ManualTime time;
  EventClock clock(time);
  unsigned fired = 0;
  Timer* self = nullptr;
  Timer timer(clock, [&] { ++fired, self->arm(0); });
  self = &timer;
  timer.arm(0);
  clock.run_due();
  CHECK(fired == 64);
  CHECK(timer.armed());
}

TEST_CASE("timers with one deadline fire after a restore as they would have") {
  ManualTime time;
  EventClock clock(time);
  std::string order;
  Timer a(clock, [&] { order += 'a'; });
  Timer b(clock, [&] { order += 'b'; });
  Timer c(clock, [&] { order += 'c'; });
  Timer* const all[] = {&a, &b, &c};
  c.arm(20), a.arm(20), b.arm(20);
  StateArchive saved;
  for (Timer* timer : all) timer->serialize(saved);
  b.arm(10), c.arm(15), a.cancel();

  StateArchive restored(saved.bytes());
  for (Timer* timer : all) timer->serialize(restored);
  REQUIRE(restored.finish().ok());
  StateArchive again;
  for (Timer* timer : all) timer->serialize(again);
  CHECK(again.bytes() == saved.bytes());

  // Who is armed from now on comes later.
  Timer d(clock, [&] { order += 'd'; });
  d.arm(20);
  time.advance(20);
  clock.run_due();
  CHECK(order == "cabd");
}

namespace {

/// Notes what it hears.
struct HeardDeadlines final : ringshift::devices::DeadlineListener {
  std::vector<ringshift::devices::Nanoseconds> heard;
  void deadline_changed(ringshift::devices::Nanoseconds next) override { heard.push_back(next); }
};

}  // namespace

TEST_CASE("the listener hears of each change of the earliest deadline, and of nothing else") {
  ManualTime time;
  EventClock clock(time);
  Timer a(clock, [] {});
  Timer b(clock, [] {});
  HeardDeadlines listener;
  clock.set_listener(&listener);
  a.arm(50);
  b.arm(70);   // later than the earliest: no change
  b.arm(20);   // earlier
  b.cancel();  // back to a's
  a.arm(60);   // cancelled, then armed
  CHECK(listener.heard == std::vector<ringshift::devices::Nanoseconds>{50, 20, 50, kNever, 60});
  listener.heard.clear();
  time.advance(60);
  clock.run_due();
  CHECK(listener.heard == std::vector<ringshift::devices::Nanoseconds>{kNever});
  clock.set_listener(nullptr);
  a.arm(100);
  CHECK(listener.heard.size() == 1);
}
