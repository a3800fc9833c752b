// Everything outside the processor's package except memory: I/O ports, the interrupt controllers'
// side of the INTR/NMI handshake, time, and the local APIC's registers that are reached by MSR or
// CR8.
#pragma once

#include <optional>

#include "cpu/types.h"

namespace ringshift::cpu {

class Platform {
 public:
  virtual ~Platform() = default;

  virtual u32 read_port(u16 port, unsigned size) = 0;
  virtual void write_port(u16 port, u32 value, unsigned size) = 0;

  /// INTA: the vector of the highest interrupt, which is then in service. Called only while the
  /// processor's interrupt line is asserted; a spurious vector is a legal answer.
  virtual u8 acknowledge_interrupt() = 0;
  /// FERR#: an unmasked x87 error with CR0.NE clear (IRQ 13 on a PC); `false` after it is cleared.
  virtual void set_ferr(bool asserted) = 0;
  /// IGNNE#: x87 instructions go on in spite of the error (a PC asserts it from the write to port
  /// F0h until FERR# is deasserted). SDM 3A §8.7.1 "MS-DOS compatibility".
  virtual bool ignore_numeric_error() const { return false; }

  /// Guest time-stamp counter before IA32_TSC_ADJUST and writes to it, which State holds.
  virtual u64 time_stamp() = 0;
  /// What `time_stamp` adds to the host's own counter; nothing if it isn't derived from that.
  /// Whether there is an answer never changes.
  virtual std::optional<u64> host_time_stamp_offset() const { return std::nullopt; }
  /// Whether a device event is due: asked every thousand instructions or so by
  /// engines that poll (Engine::polls_deadlines).
  virtual bool deadline_due() = 0;

  /// IA32_APIC_BASE, TSC_DEADLINE (MSR 6E0h). False: the MSR doesn't exist or the value is illegal.
  virtual bool read_apic_msr(u32 index, u64& value) = 0;
  virtual bool write_apic_msr(u32 index, u64 value) = 0;
};

}  // namespace ringshift::cpu
