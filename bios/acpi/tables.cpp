#include "bios/acpi/tables.h"

#include "bios/acpi/dsdt.h"
#include "bios/acpi/table_loader.h"
#include "bios/little_endian.h"

namespace ringshift::bios::acpi {

namespace {

constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kChecksumOffset = 9;
constexpr std::string_view kOem = "RNGSFT";
constexpr std::string_view kOemTable = "RINGSHFT";
constexpr std::string_view kCreator = "RNGS";

/// Bytes of one table as they grow, little endian.
class Fields {
 public:
  Fields& u8s(std::initializer_list<u8> values) {
    bytes_.insert(bytes_.end(), values);
    return *this;
  }
  Fields& number(u64 value, unsigned size) {
    append_little_endian(bytes_, value, size);
    return *this;
  }
  /// Generic address structure (ACPI 6.3 §5.2.3.2): `width` bits of I/O space; width 0: none.
  Fields& port(u16 address, u8 width, u8 access) {
    constexpr u8 kSystemIo = 1;
    return u8s({width == 0 ? u8{0} : kSystemIo, width, 0, access}).number(address, 8);
  }
  std::size_t size() const { return bytes_.size(); }
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_;
};

/// The file of all tables together with its part of the script.
class TableFile {
 public:
  TableFile() { script_.allocate(kTablesFile, 64, TableLoaderScript::Zone::High); }

  /// Appends a table without the standard header; yields its offset.
  u32 append_raw(const std::vector<u8>& bytes) {
    const u32 offset = static_cast<u32>(bytes_.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return offset;
  }

  /// Appends header and body; the firmware is told to set the checksum. Yields the offset.
  u32 append(std::string_view signature, u8 revision, const std::vector<u8>& body) {
    const u32 offset = static_cast<u32>(bytes_.size());
    append_text(bytes_, signature);
    append_little_endian(bytes_, kHeaderSize + body.size(), 4);
    bytes_.push_back(revision);
    bytes_.push_back(0);  // checksum
    append_text(bytes_, kOem);
    append_text(bytes_, kOemTable);
    append_little_endian(bytes_, 1, 4);
    append_text(bytes_, kCreator);
    append_little_endian(bytes_, 1, 4);
    append_raw(body);
    checksums_.push_back({offset, static_cast<u32>(kHeaderSize + body.size())});
    return offset;
  }

  /// Declares the `size` bytes at `offset`, which hold an offset in this file, to be an address.
  void pointer(std::size_t offset, u8 size) {
    script_.add_pointer(kTablesFile, static_cast<u32>(offset), size, kTablesFile);
  }

  /// Ends the script's part for this file: checksums come after all pointers.
  void finish() {
    for (const Extent& table : checksums_) {
      script_.add_checksum(kTablesFile, table.offset + kChecksumOffset, table.offset, table.length);
    }
  }

  const std::vector<u8>& bytes() const { return bytes_; }
  TableLoaderScript& script() { return script_; }

 private:
  struct Extent {
    u32 offset, length;
  };
  std::vector<u8> bytes_;
  std::vector<Extent> checksums_;
  TableLoaderScript script_;
};

// ACPI 6.3 §5.2.10.
std::vector<u8> make_facs() {
  constexpr std::size_t kSize = 64;
  std::vector<u8> facs;
  append_text(facs, "FACS");
  append_little_endian(facs, kSize, 4);
  facs.resize(kSize);
  return facs;
}

// FADT flags (ACPI 6.3 table 5-35). The power button and RTC wake-up are fixed features (0).
constexpr u32 kWbinvd = 1U << 0, kProcC1 = 1U << 2, kNoSleepButton = 1U << 5, kRtcS4 = 1U << 7,
              kResetRegister = 1U << 10, kPlatformClock = 1U << 15;
constexpr u16 kLegacyDevices = 1U << 0, kKeyboardController = 1U << 1;

/// Revision 3 (ACPI 2.0): the first with a reset register. Addresses are offsets in the file.
std::vector<u8> make_fadt(u32 facs, u32 dsdt, bool hpet) {
  constexpr u16 kUnsupportedC2 = 0xFFF, kUnsupportedC3 = 0xFFF;
  constexpr u8 kByteAccess = 1, kWordAccess = 2, kDwordAccess = 3, kAnyAccess = 0;
  constexpr u8 kDesktop = 1;
  Fields f;
  f.number(facs, 4).number(dsdt, 4).u8s({1, kDesktop}).number(kSciInterrupt, 2);
  f.number(kSmiCommandPort, 4).u8s({kAcpiEnable, kAcpiDisable, 0, 0});
  f.number(kPm1EventBlock, 4).number(0, 4).number(kPm1ControlBlock, 4).number(0, 4);
  f.number(0, 4).number(kPmTimerBlock, 4).number(kGpe0Block, 4).number(0, 4);
  f.u8s({4, 2, 0, 4, kGpe0Length, 0, 0, 0});
  f.number(kUnsupportedC2, 2).number(kUnsupportedC3, 2);
  f.number(0, 2).number(0, 2).u8s({0, 0, 0, 0, kCmosCentury});
  f.number(kLegacyDevices | kKeyboardController, 2).u8s({0});
  f.number(
      kWbinvd | kProcC1 | kNoSleepButton | kRtcS4 | kResetRegister | (hpet ? kPlatformClock : 0),
      4);
  f.port(kResetPort, 8, kByteAccess).u8s({kResetValue, 0, 0, 0});
  f.number(0, 8).number(dsdt, 8);
  f.port(kPm1EventBlock, 32, kAnyAccess).port(0, 0, 0);
  f.port(kPm1ControlBlock, 16, kWordAccess).port(0, 0, 0).port(0, 0, 0);
  f.port(kPmTimerBlock, 32, kDwordAccess);
  f.port(kGpe0Block, kGpe0Length * 8, kByteAccess).port(0, 0, 0);
  return f.bytes();
}

// MADT (ACPI 6.3 §5.2.12). PCI interrupts arrive through the PIIX router on ISA lines, so the
// lines it can choose, and the SCI's, are level-triggered and active high.
std::vector<u8> make_madt(unsigned processors) {
  constexpr u32 kPcAtCompatible = 1;
  constexpr u16 kLevelActiveHigh = 0x000D;
  constexpr u8 kAllProcessors = 0xFF;
  Fields f;
  f.number(kLocalApicBase, 4).number(kPcAtCompatible, 4);
  for (unsigned i = 0; i < processors; ++i) {
    f.u8s({0, 8, static_cast<u8>(i), static_cast<u8>(i)}).number(1, 4);
  }
  f.u8s({1, 12, kIoApicId, 0}).number(kIoApicBase, 4).number(0, 4);
  f.u8s({2, 10, 0, 0}).number(2, 4).number(0, 2);  // the timer, IRQ 0, is on pin 2
  for (u8 irq : {u8{5}, kSciInterrupt, u8{10}, u8{11}}) {
    f.u8s({2, 10, 0, irq}).number(irq, 4).number(kLevelActiveHigh, 2);
  }
  f.u8s({4, 6, kAllProcessors}).number(0, 2).u8s({1});  // NMI on LINT1
  return f.bytes();
}

// IA-PC HPET specification 1.0a §3.2.4.
std::vector<u8> make_hpet() {
  constexpr u16 kLeastTicks = 100;
  Fields f;
  f.number(kHpetBlockId, 4).u8s({0, 64, 0, 0}).number(kHpetBase, 8);
  f.u8s({0}).number(kLeastTicks, 2).u8s({0});
  return f.bytes();
}

// Windows ACPI Emulated Devices Table: the PM timer needs to be read only once.
std::vector<u8> make_waet() {
  constexpr u32 kPmTimerGood = 1U << 1;
  return Fields().number(kPmTimerGood, 4).bytes();
}

/// Revision 0 (ACPI 1.0): it points to an RSDT.
std::vector<u8> make_rsdp(u32 rsdt) {
  std::vector<u8> rsdp;
  append_text(rsdp, "RSD PTR ");
  rsdp.push_back(0);
  append_text(rsdp, kOem);
  rsdp.push_back(0);
  append_little_endian(rsdp, rsdt, 4);
  return rsdp;
}

}  // namespace

TableFiles make_tables(const BoardDescription& board) {
  TableFile file;
  const u32 facs = file.append_raw(make_facs());
  const u32 dsdt = file.append("DSDT", 1, make_dsdt(board));
  const u32 fadt = file.append("FACP", 3, make_fadt(facs, dsdt, board.hpet));
  file.pointer(fadt + kHeaderSize + 0, 4);    // FIRMWARE_CTRL
  file.pointer(fadt + kHeaderSize + 4, 4);    // DSDT
  file.pointer(fadt + kHeaderSize + 104, 8);  // X_DSDT
  std::vector<u32> tables = {fadt, file.append("APIC", 1, make_madt(board.processors))};
  if (board.hpet) tables.push_back(file.append("HPET", 1, make_hpet()));
  tables.push_back(file.append("WAET", 1, make_waet()));

  Fields entries;
  for (u32 table : tables) entries.number(table, 4);
  const u32 rsdt = file.append("RSDT", 1, entries.bytes());
  for (std::size_t i = 0; i < tables.size(); ++i) file.pointer(rsdt + kHeaderSize + 4 * i, 4);

  constexpr u32 kRsdpChecksum = 8, kRsdpAddress = 16;
  const std::vector<u8> rsdp = make_rsdp(rsdt);
  TableLoaderScript& script = file.script();
  script.allocate(kRsdpFile, 16, TableLoaderScript::Zone::FSegment);
  script.add_pointer(kRsdpFile, kRsdpAddress, 4, kTablesFile);
  script.add_checksum(kRsdpFile, kRsdpChecksum, 0, static_cast<u32>(rsdp.size()));
  file.finish();
  return {file.bytes(), rsdp, script.bytes()};
}

}  // namespace ringshift::bios::acpi
