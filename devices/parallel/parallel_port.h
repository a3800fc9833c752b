// A PC parallel port with a printer that is always ready (IBM PC/AT Technical Reference, "Serial/
// Parallel Adapter"; IEEE 1284 compatibility mode): a guest's print-out becomes a stream of bytes
// on the host. The data direction bit of the PS/2 is there; EPP and ECP are not.
#pragma once

#include <string>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

class ParallelPort final : public Device, public IoHandler {
 public:
  static constexpr unsigned kPortCount = 3;

  /// `backend` may be null: then no printer is connected.
  ParallelPort(EventClock& clock, std::string name, CharacterBackend* backend);

  std::string_view name() const override { return name_; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  IrqLine& interrupt() { return interrupt_; }

  /// Data, status and control at offsets 0-2.
  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  enum class Phase : u8 { Idle, Busy, Acknowledge };
  void write_control(u8 value);
  u8 read_status();
  void next_phase();

  std::string name_;
  CharacterBackend* backend_;
  IrqLine interrupt_;
  u8 data_ = 0;
  u8 control_ = 0;
  Phase phase_ = Phase::Idle;
  bool interrupt_pending_ = false;
  Timer timer_;
};

}  // namespace ringshift::devices
