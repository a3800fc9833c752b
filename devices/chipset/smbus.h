// The SMBus host controller of the 82371AB (290562, chapter 7.3). The board's bus has no devices on
// it: no memory modules to identify, no sensors. So every transaction runs and ends, after the time
// of an address byte, with nobody acknowledging it, which is what a driver's bus scan wants to see.
#pragma once

#include <array>
#include <functional>

#include "cpu/io_handler.h"
#include "cpu/state_archive.h"
#include "devices/clock.h"

namespace ringshift::devices {

class SmBusHost final : public IoHandler {
 public:
  static constexpr u32 kPortCount = 16;

  /// `interrupt_changed` is called when `interrupt()` may have changed.
  SmBusHost(EventClock& clock, std::function<void()> interrupt_changed);

  void reset();
  void serialize(StateArchive& archive);
  bool interrupt() const;

  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  void finish(u8 status);
  void write_control(u8 value);

  std::function<void()> interrupt_changed_;
  Timer timer_;
  std::array<u8, kPortCount> registers_{};
  std::array<u8, 32> block_{};
  u8 block_index_ = 0;
};

}  // namespace ringshift::devices
