// The one way in which a port or memory access reaches a device. A handler gets offsets from the
// start of its own region and never learns where the board has put it.
#pragma once

#include "cpu/types.h"

namespace ringshift {

class IoHandler {
 public:
  virtual ~IoHandler() = default;

  /// Reads `size` bytes (1, 2, 4 or 8; never more than the region allows) at `offset` from the
  /// start of the region. The result is little endian and zero-extended.
  virtual u64 io_read(u64 offset, unsigned size) = 0;

  /// Writes the low `size` bytes of `value` at `offset`.
  virtual void io_write(u64 offset, u64 value, unsigned size) = 0;
};

/// Which sizes a region's handler accepts. The bus splits what is wider than `largest` into several
/// accesses at rising offsets, lowest first, as the ISA bus does, and widens what is narrower than
/// `smallest` (a read takes the wanted bytes; a write reads the rest first).
struct AccessSizes {
  unsigned smallest = 1;
  unsigned largest = 4;
};

/// Binds one region of a device that has several to a pair of member functions.
template <typename Device, u64 (Device::*Read)(u64, unsigned),
          void (Device::*Write)(u64, u64, unsigned)>
class MemberIoHandler final : public IoHandler {
 public:
  explicit MemberIoHandler(Device& device) : device_(device) {}
  u64 io_read(u64 offset, unsigned size) override { return (device_.*Read)(offset, size); }
  void io_write(u64 offset, u64 value, unsigned size) override {
    (device_.*Write)(offset, value, size);
  }

 private:
  Device& device_;
};

}  // namespace ringshift
