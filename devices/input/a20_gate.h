// The gate on address line 20. Two things open it, the keyboard controller's output port and bit 1
// of port 92h, and the processor sees their OR; having the OR in one place keeps either from
// undoing the other. Source: 82371SB data sheet §2.5.8 (port 92) and the A20GATE pin.
#pragma once

#include <string_view>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/device.h"

namespace ringshift::devices {

class A20Gate final : public Device {
 public:
  explicit A20Gate(MachineControl& machine) : machine_(machine) {}

  std::string_view name() const override { return "A20 gate"; }
  /// Both chipset and 8042 come out of reset with the keyboard controller's pin high: A20 is open.
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// The keyboard controller's output port bit P21.
  void set_keyboard_controller(bool high);
  bool enabled() const { return keyboard_controller_ || (port92_ & kFastA20) != 0; }

  IoHandler& port92() { return port92_handler_; }  ///< 1 port: 92h

 private:
  static constexpr u8 kFastReset = 0x01;
  static constexpr u8 kFastA20 = 0x02;

  u64 read_port92(u64 offset, unsigned size);
  void write_port92(u64 offset, u64 value, unsigned size);

  MachineControl& machine_;
  bool keyboard_controller_ = true;
  u8 port92_ = 0;
  MemberIoHandler<A20Gate, &A20Gate::read_port92, &A20Gate::write_port92> port92_handler_{*this};
};

}  // namespace ringshift::devices
