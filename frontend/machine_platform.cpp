#include "frontend/machine_platform.h"

#include <algorithm>

#include "cpu/processor.h"
#include "devices/board.h"

namespace ringshift::frontend {

u32 MachinePlatform::read_port(u16 port, unsigned size) {
  return board_->ports().read(port, size);
}

void MachinePlatform::write_port(u16 port, u32 value, unsigned size) {
  board_->ports().write(port, value, size);
}

u8 MachinePlatform::acknowledge_interrupt() {
  return board_->acknowledge_interrupt();
}

void MachinePlatform::set_ferr(bool asserted) {
  board_->set_ferr(asserted);
}

bool MachinePlatform::ignore_numeric_error() const {
  return board_->ignore_numeric_error();
}

u64 MachinePlatform::time_stamp() {
  return time_.time_stamp();
}

std::optional<u64> MachinePlatform::host_time_stamp_offset() const {
  return time_.time_stamp_offset();
}

bool MachinePlatform::deadline_due() {
  return clock_.next_deadline() <= clock_.now();
}

bool MachinePlatform::read_apic_msr(u32 index, u64& value) {
  return board_->read_apic_msr(index, value);
}

bool MachinePlatform::write_apic_msr(u32 index, u64 value) {
  return board_->write_apic_msr(index, value);
}

void MachinePlatform::set_irq(unsigned number, bool level) {
  if (number == devices::Board::kIntrPin) {
    processor_->set_interrupt_line(level);
  } else if (level) {
    processor_->request_nmi();
  }
}

u64 MachinePlatform::tsc() {
  return processor_->time_stamp();
}

devices::Nanoseconds MachinePlatform::time_of_tsc(u64 value) {
  const devices::Nanoseconds now = clock_.now();
  const u64 current = tsc();
  if (value <= current) return now;
  // In two steps, so that 64 bits are enough: whole milliseconds first.
  const u64 khz = std::max<u32>(time_.tsc_khz(), 1);
  const u64 distance = value - current;
  const u64 milliseconds = distance / khz;
  if (milliseconds > devices::kNever / 4'000'000) return devices::kNever;
  return now + milliseconds * 1'000'000 + distance % khz * 1'000'000 / khz + 1;
}

void MachinePlatform::init() {
  processor_->reset();
}

}  // namespace ringshift::frontend
