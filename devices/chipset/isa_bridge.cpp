#include "devices/chipset/isa_bridge.h"

#include "devices/chipset/board_identity.h"

namespace ringshift::devices {

namespace {

constexpr u8 kPirqRoute = 0x60;  // PIRQRC[A:D]

constexpr PciIdentity kIdentity = {.vendor = 0x8086,
                                   .device = 0x7000,
                                   .revision = 0x00,
                                   .class_code = 0x06,
                                   .subclass = 0x01,
                                   .programming_interface = 0x00,
                                   .subsystem_vendor = kBoardSubsystemVendor,
                                   .subsystem = kBoardSubsystem,
                                   .header_type = 0x80,
                                   .interrupt_pin = 0};

struct Register {
  u8 offset;
  u8 size;
  u32 reset_value;
  u32 writable;
};

/// The function's own registers (290550, chapter 2.2).
constexpr Register kRegisters[] = {
    {0x04, 2, 0x0007, 0x0008},          // PCICMD: only special cycles can be switched
    {0x06, 2, 0x0200, 0x0000},          // PCISTS: medium DEVSEL#
    {0x4C, 1, 0x4D, 0xFF},              // IORT: ISA I/O recovery timer
    {0x4E, 2, 0x0003, 0x01FF},          // XBCS: X-bus chip selects
    {0x60, 1, 0x80, 0x8F},              // PIRQRCA
    {0x61, 1, 0x80, 0x8F},              // PIRQRCB
    {0x62, 1, 0x80, 0x8F},              // PIRQRCC
    {0x63, 1, 0x80, 0x8F},              // PIRQRCD
    {0x69, 1, 0x02, 0xFA},              // TOM: top of memory for ISA masters
    {0x6A, 2, 0x0000, 0x00D0},          // MSTAT: miscellaneous status
    {0x70, 1, 0x80, 0xEF},              // MBIRQ0: motherboard device IRQ route
    {0x76, 1, 0x0C, 0x8F},              // MBDMA0
    {0x77, 1, 0x0C, 0x8F},              // MBDMA1
    {0x78, 2, 0x0002, 0xFFFF},          // PCSC: programmable chip select
    {0x80, 1, 0x00, 0x7F},              // APICBASE
    {0x82, 1, 0x00, 0x0F},              // DLC: deterministic latency
    {0xA0, 1, 0x08, 0x1F},              // SMICNTL
    {0xA2, 2, 0x0000, 0x01FF},          // SMIEN
    {0xA4, 4, 0x00000000, 0xE000FFFB},  // SEE: system event enable
    {0xA8, 1, 0x0F, 0xFF},              // FTMR: fast-off timer
    {0xAA, 2, 0x0000, 0x01FF},          // SMIREQ
    {0xAC, 1, 0x00, 0xFF},              // CTLTMR
    {0xAE, 1, 0x00, 0xFF},              // CTHTMR
};

}  // namespace

IsaBridge::IsaBridge(PciAddressSpaces spaces, PirqRouter& router, ApmCommandSink& apm)
    : PciFunction(kIdentity, spaces), router_(router), apm_(apm) {
  for (const Register& entry : kRegisters) {
    for (unsigned i = 0; i < entry.size; ++i) {
      write_mask()[entry.offset + i] = static_cast<u8>(entry.writable >> (8 * i));
    }
  }
  store_reset_values();
}

void IsaBridge::store_reset_values() {
  for (const Register& entry : kRegisters) {
    set_config_value(entry.offset, entry.reset_value, entry.size);
  }
}

void IsaBridge::reset(ResetKind kind) {
  PciFunction::reset(kind);
  store_reset_values();
  router_.reset();
  apm_ports_ = {};
}

void IsaBridge::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  PciFunction::serialize(archive);
  archive.field("apm ports", apm_ports_);
  router_.serialize(archive);
}

void IsaBridge::config_write(u8 offset, u32 value, unsigned size) {
  PciFunction::config_write(offset, value, size);
  for (unsigned pirq = 0; pirq < PirqRouter::kPirqs; ++pirq) {
    const unsigned at = kPirqRoute + pirq;
    if (at >= offset && at < offset + size) router_.set_route(pirq, config()[at]);
  }
}

u64 IsaBridge::io_read(u64 offset, unsigned size) {
  static_cast<void>(size);
  return apm_ports_[offset & 1];
}

void IsaBridge::io_write(u64 offset, u64 value, unsigned size) {
  static_cast<void>(size);
  apm_ports_[offset & 1] = static_cast<u8>(value);
  if (offset == 0) apm_.apm_command(static_cast<u8>(value));
}

}  // namespace ringshift::devices
