// A serial line between the guest's UART (vCPU thread) and the host's endpoint (session thread).
// The guest's bytes wait in a bounded buffer; the person's bytes wait until the UART has room.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "devices/backends.h"

namespace ringshift::frontend {

class SerialLink final : public devices::CharacterBackend {
 public:
  /// Beyond this the vCPU waits for the session to write some of it out, so that a terminal that
  /// has been stopped stops the guest instead of losing its output.
  static constexpr std::size_t kMostBuffered = 1 << 20;

  /// `wake` tells the session that there is output; any thread may be told.
  explicit SerialLink(std::function<void()> wake) : wake_(std::move(wake)) {}

  // vCPU thread.
  void transmit(u8 byte) override;
  void ready_to_receive() override { deliver(); }
  void connect(devices::CharacterReceiver& receiver) { receiver_ = &receiver; }
  /// Bytes for the guest; call on the vCPU's thread (post it to the machine).
  void receive(const std::string& bytes);

  // Session thread.
  std::string take_output();
  /// Gives up waiting for room from now on: the machine is being stopped.
  void close();

 private:
  void deliver();

  std::function<void()> wake_;
  devices::CharacterReceiver* receiver_ = nullptr;
  std::deque<u8> incoming_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::string outgoing_;
  bool closed_ = false;
};

}  // namespace ringshift::frontend
