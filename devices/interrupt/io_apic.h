// The 82093AA I/O APIC: 24 interrupt pins, each with its own vector, trigger mode and destination,
// sent as messages to local APICs. Guests that use it leave the 8259 pair, its shared priorities
// and its fifteen lines behind. Intel 82093AA data sheet (May 1996), and for version 20h the EOI
// register that later chip sets added at offset 40h.
#pragma once

#include <array>

#include "cpu/io_handler.h"
#include "devices/device.h"
#include "devices/interrupt/apic_bus.h"
#include "devices/irq.h"

namespace ringshift::devices {

class IoApic final : public Device, public IrqSink, public ApicSender, public IoHandler {
 public:
  static constexpr unsigned kPinCount = 24;
  static constexpr u64 kRegionSize = 0x1000;
  enum class Version : u8 {
    I82093aa = 0x11,
    WithEoiRegister = 0x20,
  };
  /// `active_low_pins`: pins whose wire is low when its IrqLine is asserted (PCI INTx#); a guest
  /// must then program them as active low.
  IoApic(ApicBus& bus, Version version, u32 active_low_pins = 0);

  std::string_view name() const override { return "io-apic"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// Pin `number` (0-23): whether the line is asserted.
  void set_irq(unsigned number, bool level) override;

  void end_of_interrupt(u8 vector) override;
  void receivers_changed() override;

  /// IOREGSEL at 0, IOWIN at 10h, EOI at 40h; 32-bit accesses.
  u64 io_read(u64 offset, unsigned size) override;
  void io_write(u64 offset, u64 value, unsigned size) override;

 private:
  u32 read_indexed() const;
  void write_indexed(u32 value);
  void write_entry(unsigned pin, u64 value);
  bool pin_active(unsigned pin) const;
  bool send(unsigned pin);
  void service_level(unsigned pin);
  void update_external(unsigned pin);

  ApicBus& bus_;
  const Version version_;
  const u32 active_low_pins_;
  u8 id_ = 0;
  u8 select_ = 0;
  u32 wires_ = 0;          // electrical levels
  u32 external_sent_ = 0;  // pins whose ExtINT is asserted at the local APICs
  std::array<u64, kPinCount> entries_{};
};

}  // namespace ringshift::devices
