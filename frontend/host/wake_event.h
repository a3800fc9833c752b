// Wakes a thread that sleeps in poll(): an eventfd.
#pragma once

namespace ringshift::frontend {

class WakeEvent {
 public:
  WakeEvent();
  ~WakeEvent();
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  int file() const { return file_; }
  void wake() const;
  /// Forgets wakes so far.
  void clear() const;

 private:
  int file_;
};

}  // namespace ringshift::frontend
