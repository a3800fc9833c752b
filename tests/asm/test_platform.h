// What is outside the processor in the instruction tests: ports that are memory, an interrupt line
// that the program itself drives, and time that passes when it is asked for.
#pragma once

#include <vector>

#include "cpu/platform.h"
#include "cpu/processor.h"

namespace ringshift::tests {

/// Ports are 64 KiB of memory, but for one that drives the interrupt line.
class TestPlatform final : public cpu::Platform {
 public:
  /// Writing here sets the processor's INTR line to the value's lowest bit; INTA gives vector 20h.
  static constexpr u16 kInterruptPort = 0xF0F0;

  u32 read_port(u16 port, unsigned size) override {
    u32 value = 0;
    for (unsigned n = 0; n < size; ++n) value |= u32{ports[(port + n) & 0xFFFF]} << (8 * n);
    return value;
  }
  void write_port(u16 port, u32 value, unsigned size) override {
    writes = (writes ^ (u64{port} << 40 | u64{size} << 32 | value)) * 0x100000001B3;
    for (unsigned n = 0; n < size; ++n) {
      ports[(port + n) & 0xFFFF] = static_cast<u8>(value >> (8 * n));
      written_ports.push_back((port + n) & 0xFFFF);
    }
    if (port == kInterruptPort) processor->set_interrupt_line((value & 1) != 0);
  }
  u8 acknowledge_interrupt() override {
    processor->set_interrupt_line(false);
    return ferr ? kErrorVector : u8{0x20};
  }
  /// FERR# drives INTR, too; INTA then gives vector 30h.
  void set_ferr(bool asserted) override {
    ferr = asserted;
    if (asserted) processor->set_interrupt_line(true);
  }
  static constexpr u8 kErrorVector = 0x30;
  u64 time_stamp() override { return time += 100; }
  bool deadline_due() override { return --checks_left < 0; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }

  /// As it was when it was made.
  void reset() {
    for (const u32 port : written_ports) ports[port] = 0;
    written_ports.clear();
    writes = time = 0;
    ferr = false;
  }

  std::vector<u8> ports = std::vector<u8>(0x10000);
  std::vector<u32> written_ports;
  u64 writes = 0;  ///< says whether two machines have had the same writes in the same order
  cpu::Processor* processor = nullptr;
  u64 time = 0;
  bool ferr = false;
  i64 checks_left = 0;  ///< of the deadline, one every thousand instructions or so
};

}  // namespace ringshift::tests
