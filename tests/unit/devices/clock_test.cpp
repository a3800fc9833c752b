#include <catch2/catch.hpp>

#include "devices/clock.h"

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
