// The two 8259A interrupt controllers of a PC, cascaded through IR2, with the edge/level control
// registers that PIIX adds. Every guest meets them first, even one that soon moves to the APIC, and
// firmware knows nothing else. Modelled after Intel's 8259A data sheet (231468) and, for what the
// chipset changes (ELCR instead of LTIM), the 82371SB data sheet §4.4.
#pragma once

#include <string_view>

#include "cpu/io_handler.h"
#include "devices/device.h"
#include "devices/irq.h"

namespace ringshift::devices {

/// One 8259A. Its INT output is a level that the owner asks for after each call.
class Pic8259 {
 public:
  /// `elcr_writable`: which inputs the chipset allows to be level-triggered.
  explicit Pic8259(u8 elcr_writable) : elcr_writable_(elcr_writable) {}

  void reset();
  void serialize(StateArchive& archive);

  /// Input IR`level` has become high or low.
  void set_input(unsigned level, bool high);
  /// The INT pin: a request that the priority resolver lets through.
  bool interrupt() const { return ready() && highest_request() != kNone; }

  /// First INTA pulse: freezes and takes the highest request into service. Returns its level; 7
  /// when the request has gone (data sheet: "a default IR7").
  unsigned acknowledge();
  /// What the chip drives onto the bus in the second INTA pulse for `level`.
  u8 vector(unsigned level) const;
  /// Whether `level` is a slave's by ICW3, so that the slave and not this chip sends the vector.
  bool has_slave(unsigned level) const { return !single() && ((icw3_ >> level) & 1) != 0; }
  /// The cascade address that this chip answers to as a slave.
  unsigned slave_identity() const { return icw3_ & 7U; }

  u8 read(unsigned a0);
  void write(unsigned a0, u8 value);
  /// Whether the next read is a poll, which acknowledges (OCW3).
  bool polling() const { return poll_; }
  u8 elcr() const { return elcr_; }
  void set_elcr(u8 value);

  /// Whether this chip is the master: only there does special fully nested mode mean anything.
  void set_master() { master_ = true; }

 private:
  enum class Initialisation : u8 { Never, Icw2, Icw3, Icw4, Done };
  static constexpr unsigned kNone = 8;

  bool ready() const { return initialisation_ == Initialisation::Done; }
  bool single() const { return (icw1_ & 0x02) != 0; }
  bool automatic_eoi() const { return (icw4_ & 0x02) != 0; }
  bool special_fully_nested() const { return (icw4_ & 0x10) != 0; }
  unsigned highest_in(u8 bits) const;
  unsigned highest_request() const;
  void begin_initialisation(u8 icw1);
  void write_icw(u8 value);
  void write_ocw2(u8 value);
  void write_ocw3(u8 value);
  void end_of_interrupt(unsigned level) { in_service_ &= static_cast<u8>(~(1U << level)); }
  u8 poll();

  const u8 elcr_writable_;
  bool master_ = false;
  Initialisation initialisation_ = Initialisation::Never;
  u8 icw1_ = 0;
  u8 icw2_ = 0;
  u8 icw3_ = 0;
  u8 icw4_ = 0;
  u8 inputs_ = 0;
  u8 requests_ = 0;    // IRR
  u8 in_service_ = 0;  // ISR
  u8 mask_ = 0;        // IMR
  u8 elcr_ = 0;
  u8 lowest_priority_ = 7;
  bool special_mask_ = false;
  bool rotate_on_automatic_eoi_ = false;
  bool read_in_service_ = false;
  bool poll_ = false;
};

/// Master and slave as the PC wires them. `set_irq` takes IRQ 0-15; 2 is the cascade and ignored.
class DualPic final : public Device, public IrqSink {
 public:
  DualPic();

  std::string_view name() const override { return "8259A interrupt controllers"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  void set_irq(unsigned number, bool level) override;

  /// INTR of the processor or LINT0 of the local APIC.
  IrqLine& output() { return output_; }
  /// Both INTA cycles: the vector of the highest request, or a spurious one (IRQ 7 or 15).
  u8 acknowledge();

  IoHandler& master_ports() { return master_ports_; }  ///< 2 ports: 20h
  IoHandler& slave_ports() { return slave_ports_; }    ///< 2 ports: A0h
  IoHandler& elcr_ports() { return elcr_ports_; }      ///< 2 ports: 4D0h

 private:
  static constexpr unsigned kCascade = 2;

  u64 read_master(u64 offset, unsigned size);
  void write_master(u64 offset, u64 value, unsigned size);
  u64 read_slave(u64 offset, unsigned size);
  void write_slave(u64 offset, u64 value, unsigned size);
  u64 read_elcr(u64 offset, unsigned size);
  void write_elcr(u64 offset, u64 value, unsigned size);
  void update();

  Pic8259 master_{0xF8};
  Pic8259 slave_{0xDE};
  IrqLine output_;
  MemberIoHandler<DualPic, &DualPic::read_master, &DualPic::write_master> master_ports_{*this};
  MemberIoHandler<DualPic, &DualPic::read_slave, &DualPic::write_slave> slave_ports_{*this};
  MemberIoHandler<DualPic, &DualPic::read_elcr, &DualPic::write_elcr> elcr_ports_{*this};
};

}  // namespace ringshift::devices
