// PCI interrupt pins on a PC: four shared, level-triggered wires (PIRQA#-PIRQD#) that the south
// bridge routes to ISA interrupt requests. Slots are wired to them in rotation, so that
// single-function cards, which all use INTA#, spread over the four. Sources of one ISA request are
// wired-OR.
#pragma once

#include <array>

#include "cpu/state_archive.h"
#include "devices/irq.h"

namespace ringshift::devices {

class PirqRouter final : public IrqSink {
 public:
  /// The 16 outputs go to `isa` as lines 0-15.
  explicit PirqRouter(IrqSink& isa) : isa_(isa) {}

  static constexpr unsigned kPirqs = 4;
  static constexpr unsigned kIsaLines = 16;

  /// The number to connect interrupt pin `pin` (1 INTA# … 4 INTD#) of `slot` with.
  static constexpr unsigned pci_line(unsigned slot, unsigned pin) { return slot * 4 + pin - 1; }
  /// The number to connect a level-triggered source with that has a fixed ISA request (the SCI) and
  /// shares it with whatever PIRQ is routed there.
  static constexpr unsigned isa_line(unsigned irq) { return kPciLines + irq; }
  /// Which of PIRQA#-PIRQD# (0-3) a pin is wired to: INTA# of slot 1 is PIRQA#, of slot 2 PIRQB#, …
  static constexpr unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + pin + 2) % 4; }

  void set_irq(unsigned number, bool level) override;

  /// The route control register of `pirq` has this value (82371SB "PIRQRC": bit 7 disables, bits
  /// 3-0 name the request; requests 0, 1, 2, 8 and 13 are reserved and route nowhere).
  void set_route(unsigned pirq, u8 value);

  void reset();
  void serialize(StateArchive& archive);

 private:
  static constexpr unsigned kPciLines = 32 * 4;
  static constexpr unsigned kNowhere = 0xFF;
  void update_outputs();

  IrqSink& isa_;
  // How many functions of a slot assert the pin, and how many fixed sources an ISA request.
  std::array<u8, kPciLines + kIsaLines> asserted_{};
  std::array<u16, kPirqs> pirq_count_{};
  std::array<u8, kPirqs> route_{kNowhere, kNowhere, kNowhere, kNowhere};
  u16 outputs_ = 0;
};

}  // namespace ringshift::devices
