// The PC's old way of reporting x87 errors: FERR# sets a latch that drives IRQ 13, and a write to
// port F0h clears it and holds IGNNE# down until the processor takes FERR# back, so that the
// handler can run x87 instructions (82371SB "Coprocessor Error"; SDM 3A §8.7.1 and the figure
// there).
#pragma once

#include "cpu/io_handler.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

/// To be mapped at ports F0h-F1h, byte-wide: F0h clears the error, F1h resets a coprocessor that is
/// part of the processor today and does nothing.
class CoprocessorError final : public Device, public IoHandler {
 public:
  static constexpr u32 kPortCount = 2;

  std::string_view name() const override { return "coprocessor error"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  u64 io_read(u64, unsigned) override { return 0xFF; }
  void io_write(u64 offset, u64 value, unsigned size) override;

  /// The processor's FERR# pin.
  void set_ferr(bool asserted);
  /// The processor's IGNNE# pin.
  bool ignore_numeric_error() const { return ignore_; }
  IrqLine& irq() { return irq_; }  ///< IRQ 13

 private:
  bool ferr_ = false;
  bool ignore_ = false;
  IrqLine irq_;
};

}  // namespace ringshift::devices
