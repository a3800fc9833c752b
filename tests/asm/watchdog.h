// Ends what would hang a test: an engine that never asks for the time runs for as long as its guest
// does. A thread looks now and then whether the same run is still under way, and how much processor
// time it has had. Nothing is signalled unless something is badly wrong, and a run costs two
// stores.
#pragma once

#include <time.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "cpu/types.h"

namespace ringshift::tests {

class Watchdog {
 public:
  /// Runs are the calling thread's. `interrupt` is called on a thread of the watchdog's own, again
  /// and again until the run ends.
  explicit Watchdog(std::function<void()> interrupt);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// One run that it watches over.
  class Shift {
   public:
    explicit Shift(Watchdog& dog) : dog_(dog), number_(dog.runs_.fetch_add(1) + 1) {}
    ~Shift() { dog_.runs_.fetch_add(1); }
    Shift(const Shift&) = delete;
    Shift& operator=(const Shift&) = delete;

    /// The watchdog has begun to interrupt this run.
    bool too_long() const { return dog_.interrupted_.load() == number_; }

   private:
    Watchdog& dog_;
    u64 number_;
  };

 private:
  void watch();

  std::function<void()> interrupt_;
  clockid_t clock_{};                ///< processor time of the thread that is watched
  std::atomic<u64> runs_{0};         ///< twice their number; odd while one is under way
  std::atomic<u64> interrupted_{0};  ///< the value of `runs_` in the run that lasted too long
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ringshift::tests
