// Where the guest's RAM lies in its physical address space. The i440FX leaves a hole below 4 GiB
// for PCI memory, the APICs and the firmware, and continues RAM above 4 GiB. The machine maps RAM
// by this description and the firmware, ACPI and direct boot are told the same one, so that they
// can't differ.
#pragma once

#include <vector>

#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::bios {

/// ACPI 6.3 §15, Address Range Types.
enum class MemoryKind : u32 { Ram = 1, Reserved = 2, AcpiReclaim = 3, AcpiNvs = 4 };

/// One range of the firmware's memory map (INT 15h AX=E820h).
struct MemoryRange {
  u64 first = 0;
  u64 length = 0;
  MemoryKind kind = MemoryKind::Ram;
  friend constexpr bool operator==(const MemoryRange&, const MemoryRange&) = default;
};

class MemoryLayout {
 public:
  /// With less RAM than this, all of it lies below 4 GiB.
  static constexpr u64 kMostLowRam = 0xE000'0000;
  /// Otherwise this much does, so that the split stays on a gigabyte.
  static constexpr u64 kLowRamWhenSplit = 0xC000'0000;
  static constexpr u64 kHighRamFirst = u64{1} << 32;
  /// PCI memory ends where the I/O APIC begins.
  static constexpr u64 kPciHoleEnd = 0xFEC0'0000;
  static constexpr u64 kLeastRam = u64{1} << 20;
  /// RAM must be addressable with PAE: 36 bits.
  static constexpr u64 kMostRam = (u64{1} << 36) - (kHighRamFirst - kLowRamWhenSplit);

  /// Lays out `ram` bytes. Fails unless it is a whole number of mebibytes within the limits.
  static Result<MemoryLayout> create(u64 ram);

  u64 total() const { return low_ + high_; }
  /// Bytes from address 0, the ISA hole and shadow areas counted in.
  u64 low() const { return low_; }
  /// Bytes from 4 GiB.
  u64 high() const { return high_; }
  /// Where PCI memory may begin: the end of low RAM.
  u64 pci_hole_first() const { return low_; }

  /// The RAM ranges as the machine has them, before the firmware takes its part.
  std::vector<MemoryRange> ranges() const;
  /// The same in the form of the `etc/e820` file: packed {u64 first, u64 length, u32 type}.
  std::vector<u8> e820_file() const;

 private:
  MemoryLayout(u64 low, u64 high) : low_(low), high_(high) {}
  u64 low_;
  u64 high_;
};

}  // namespace ringshift::bios
