// The board as the processor sees it, and the processor as the board sees it: the glue between cpu/
// and devices/, which don't know each other.
#pragma once

#include "cpu/platform.h"
#include "devices/interrupt/local_apic.h"
#include "devices/irq.h"
#include "frontend/host/host_time.h"

namespace ringshift::cpu {
class Processor;
}
namespace ringshift::devices {
class Board;
class EventClock;
}  // namespace ringshift::devices

namespace ringshift::frontend {

class MachinePlatform final : public cpu::Platform,
                              public devices::IrqSink,
                              public devices::TscSource,
                              public devices::ApicProcessor {
 public:
  MachinePlatform(HostTime& time, devices::EventClock& clock) : time_(time), clock_(clock) {}
  void connect(devices::Board& board, cpu::Processor& processor) {
    board_ = &board;
    processor_ = &processor;
  }

  u32 read_port(u16 port, unsigned size) override;
  void write_port(u16 port, u32 value, unsigned size) override;
  u8 acknowledge_interrupt() override;
  void set_ferr(bool asserted) override;
  bool ignore_numeric_error() const override;
  u64 time_stamp() override;
  std::optional<u64> host_time_stamp_offset() const override;
  bool deadline_due() override;
  bool read_apic_msr(u32 index, u64& value) override;
  bool write_apic_msr(u32 index, u64 value) override;

  /// The board's lines into the processor: devices::Board::kIntrPin and kNmiPin.
  void set_irq(unsigned number, bool level) override;

  // TscSource: the guest's counter, with its own offset.
  u64 tsc() override;
  devices::Nanoseconds time_of_tsc(u64 value) override;

  // ApicProcessor. With one processor, INIT restarts it at the reset vector (it is the bootstrap
  // processor, SDM 3A §8.4.2) and nobody waits for a start-up message; there is no SMM to enter.
  void init() override;
  void start_up(u8) override {}
  void smi() override {}

 private:
  HostTime& time_;
  devices::EventClock& clock_;
  devices::Board* board_ = nullptr;
  cpu::Processor* processor_ = nullptr;
};

}  // namespace ringshift::frontend
