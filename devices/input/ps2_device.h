// What the keyboard controller and the things on its two PS/2 plugs owe each other. A device has
// bytes ready or not; the controller takes them when it has room and the line would have carried
// them, so pacing lives in one place.
#pragma once

#include <array>

#include "cpu/state_archive.h"
#include "cpu/types.h"
#include "devices/device.h"

namespace ringshift::devices {

/// The controller's end of a PS/2 line.
class Ps2Host {
 public:
  virtual ~Ps2Host() = default;
  /// The device may have bytes where it had none.
  virtual void data_ready() = 0;
};

class Ps2Device : public Device {
 public:
  void connect(Ps2Host& host) { host_ = &host; }
  /// A byte from the controller.
  virtual void receive(u8 byte) = 0;
  virtual bool has_data() const = 0;
  /// The next byte; only while `has_data()`.
  virtual u8 take() = 0;

 protected:
  void notify() {
    if (host_ != nullptr) host_->data_ready();
  }

 private:
  Ps2Host* host_ = nullptr;
};

/// A first-in first-out of at most `Capacity` bytes.
template <std::size_t Capacity>
class ByteQueue {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room() const { return Capacity - size_; }
  void clear() { *this = {}; }
  /// Drops the byte when there is no room.
  void push(u8 byte) {
    if (room() == 0) return;
    bytes_[(first_ + size_) % Capacity] = byte;
    ++size_;
  }
  /// Only while not empty.
  u8 pop() {
    const u8 byte = bytes_[first_];
    first_ = static_cast<u8>((first_ + 1) % Capacity);
    --size_;
    return byte;
  }
  void serialize(StateArchive& archive) {
    archive.field("bytes", bytes_);
    archive.field("first", first_);
    archive.field("size", size_);
    if (first_ < Capacity && size_ <= Capacity) return;
    archive.refuse("byte queue out of range");
    clear();
  }

 private:
  static_assert(Capacity < 256);
  std::array<u8, Capacity> bytes_{};
  u8 first_ = 0;
  u8 size_ = 0;
};

}  // namespace ringshift::devices
