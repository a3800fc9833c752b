// Resource descriptors: the binary lists in which _CRS and _PRS tell what a device occupies.
// Source: ACPI 6.3 §6.4.
#pragma once

#include <initializer_list>
#include <span>

#include "bios/acpi/aml.h"

namespace ringshift::bios::acpi {

/// Collects descriptors; `buffer()` closes the list and yields it as an AML buffer.
class ResourceTemplate {
 public:
  /// ISA interrupt: edge-triggered, active high, exclusive.
  ResourceTemplate& irq(unsigned number);
  /// A PCI interrupt's choices: level-triggered, active high (after the PIIX router), shared.
  ResourceTemplate& shared_interrupts(std::initializer_list<u32> numbers);
  /// A fixed run of ports that the device decodes with 16 bits.
  ResourceTemplate& ports(u16 first, u8 count);
  /// An 8-bit ISA DMA channel in compatibility mode.
  ResourceTemplate& dma(unsigned channel);
  ResourceTemplate& memory(u32 first, u32 length);

  // Ranges that a bridge hands on to its children.
  ResourceTemplate& bus_window(u16 first, u16 last);
  ResourceTemplate& port_window(u16 first, u16 last);
  enum class Caching : u8 { NonCacheable = 0, Cacheable = 1 };
  ResourceTemplate& memory_window(u32 first, u32 last, Caching caching);

  Aml buffer() const;

 private:
  void word_window(u8 type, u8 type_flags, u16 first, u16 last);
  std::vector<u8> bytes_;
};

/// Where the first interrupt number lies in a list that begins with `shared_interrupts`.
inline constexpr u64 kInterruptNumberOffset = 5;

}  // namespace ringshift::bios::acpi
