// Where the board's sixteen interrupt requests meet: ISA devices and the PCI router drive them, the
// 8259 pair and the I/O APIC both see them (a guest uses one and masks the other). Two drivers of
// one request are wired-OR, and the HPET can take the places of timer and clock.
#pragma once

#include <array>

#include "cpu/state_archive.h"
#include "devices/irq.h"

namespace ringshift::devices {

class IsaInterrupts {
 public:
  static constexpr unsigned kLines = 16;
  /// The I/O APIC's pin for request 0, as the MADT's override says.
  static constexpr unsigned kTimerPin = 2;

  enum Driver : u8 { kIsa = 1, kPci = 2, kHpet = 4 };

  IsaInterrupts(IrqSink& pic, IrqSink& io_apic) : pic_(pic), io_apic_(io_apic) {}

  /// Where ISA devices, the PCI router and the HPET connect their lines.
  IrqSink& isa() { return isa_; }
  IrqSink& pci() { return pci_; }
  IrqSink& hpet() { return hpet_; }

  /// HPET legacy replacement: requests 0 and 8 come from the HPET instead of timer and clock.
  void set_legacy_replacement(bool active);

  void serialize(StateArchive& archive);

 private:
  class Input final : public IrqSink {
   public:
    Input(IsaInterrupts& owner, Driver driver) : owner_(owner), driver_(driver) {}
    void set_irq(unsigned number, bool level) override { owner_.drive(number, driver_, level); }

   private:
    IsaInterrupts& owner_;
    Driver driver_;
  };

  void drive(unsigned number, Driver driver, bool level);
  void update(unsigned number);
  /// Which drivers count for this request now.
  u8 effective(unsigned number) const;

  IrqSink& pic_;
  IrqSink& io_apic_;
  Input isa_{*this, kIsa};
  Input pci_{*this, kPci};
  Input hpet_{*this, kHpet};
  std::array<u8, kLines> drivers_{};  ///< set of Driver bits that assert
  u16 outputs_ = 0;
  bool legacy_replacement_ = false;
};

}  // namespace ringshift::devices
