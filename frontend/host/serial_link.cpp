#include "frontend/host/serial_link.h"

#include <algorithm>
#include <array>

namespace ringshift::frontend {

void SerialLink::transmit(u8 byte) {
  bool was_empty = false;
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || outgoing_.size() < kMostBuffered; });
    was_empty = outgoing_.empty();
    outgoing_ += static_cast<char>(byte);
  }
  if (was_empty) wake_();
}

std::string SerialLink::take_output() {
  std::string output;
  {
    const std::lock_guard lock(mutex_);
    output.swap(outgoing_);
  }
  room_.notify_all();
  return output;
}

void SerialLink::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  room_.notify_all();
}

void SerialLink::receive(const std::string& bytes) {
  // A person can paste, a pipe can pour: what a guest never reads must not grow without end.
  constexpr std::size_t kMostWaiting = 1 << 20;
  for (const char byte : bytes) {
    if (incoming_.size() >= kMostWaiting) break;
    incoming_.push_back(static_cast<u8>(byte));
  }
  deliver();
}

void SerialLink::deliver() {
  while (receiver_ != nullptr && !incoming_.empty()) {
    std::array<u8, 64> piece{};
    const std::size_t count = std::min(piece.size(), incoming_.size());
    std::copy_n(incoming_.begin(), count, piece.begin());
    const std::size_t taken = receiver_->receive(std::span(piece).first(count));
    incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<std::ptrdiff_t>(taken));
    if (taken < count) return;
  }
}

}  // namespace ringshift::frontend
