#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bios/acpi/resources.h"
#include "bios/acpi/tables.h"
#include "tests/unit/bios/firmware_linker.h"

using namespace ringshift;
using namespace ringshift::bios;
using namespace ringshift::bios::acpi;
using ringshift::bios::test::LinkedFile;

namespace {

MemoryLayout layout_of(u64 mebibytes) {
  auto layout = MemoryLayout::create(mebibytes << 20);
  REQUIRE(layout);
  return *layout;
}

/// The tables after the firmware has linked them, by signature.
struct Linked {
  explicit Linked(const BoardDescription& board) {
    const TableFiles made = make_tables(board);
    files[kTablesFile].bytes = made.tables;
    files[kRsdpFile].bytes = made.rsdp;
    test::link(made.loader, files);
    const std::vector<u8>& rsdp = files[kRsdpFile].bytes;
    REQUIRE(rsdp.size() == 20);
    CHECK(checksum_of(rsdp) == 0);
    const std::vector<u8> rsdt = table_at(get_u32(rsdp, 16));
    CHECK(signature(rsdt) == "RSDT");
    for (std::size_t at = 36; at < rsdt.size(); at += 4) add(table_at(get_u32(rsdt, at)));
    add(table_at(get_u64(tables.at("FACP"), 140)));
  }
  static std::string signature(const std::vector<u8>& table) {
    return {table.begin(), table.begin() + 4};
  }
  std::span<const u8> at(u64 address) {
    const LinkedFile& file = files[kTablesFile];
    REQUIRE(address >= file.address);
    REQUIRE(address < file.address + file.bytes.size());
    return std::span(file.bytes).subspan(address - file.address);
  }
  std::vector<u8> table_at(u64 address) {
    const std::span<const u8> rest = at(address);
    const u32 length = get_u32(rest, 4);
    REQUIRE(length >= 36);
    REQUIRE(length <= rest.size());
    std::vector<u8> table(rest.begin(), rest.begin() + length);
    CHECK(checksum_of(table) == 0);
    return table;
  }
  void add(const std::vector<u8>& table) { tables[signature(table)] = table; }

  std::map<std::string, LinkedFile> files;
  std::map<std::string, std::vector<u8>> tables;
};

bool contains(const Aml& haystack, const Aml& needle) {
  return std::search(haystack.begin(), haystack.end(), needle.begin(), needle.end()) !=
         haystack.end();
}

bool have_iasl() {
  return std::system("iasl -v >/dev/null 2>&1") == 0;
}

}  // namespace

TEST_CASE("AML terms are encoded as ACPI 6.3 section 20.2 says") {
  CHECK(integer(0) == Aml{0x00});
  CHECK(integer(1) == Aml{0x01});
  CHECK(integer(0xFF) == Aml{0x0A, 0xFF});
  CHECK(integer(0x100) == Aml{0x0B, 0x00, 0x01});
  CHECK(integer(0x12345678) == Aml{0x0C, 0x78, 0x56, 0x34, 0x12});
  CHECK(integer(0x100000000) == Aml{0x0E, 0, 0, 0, 0, 1, 0, 0, 0});
  CHECK(eisa_id("PNP0A03") == Aml{0x0C, 0x41, 0xD0, 0x0A, 0x03});
  CHECK(path("\\_SB") == Aml{'\\', '_', 'S', 'B', '_'});
  CHECK(path("A.B") == Aml{0x2E, 'A', '_', '_', '_', 'B', '_', '_', '_'});
  CHECK(path("^A.B.C") ==
        Aml{'^', 0x2F, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'});
  CHECK(name("X", integer(1)) == Aml{0x08, 'X', '_', '_', '_', 0x01});
  CHECK(package({integer(1), integer(2)}) == Aml{0x12, 0x05, 0x02, 0x01, 0x0A, 0x02});
  CHECK(byte_field("R", {{"A", 8}, {"", 100}}) ==
        Aml{0x5B, 0x81, 0x0E, 'R', '_', '_', '_', 0x01, 'A', '_', '_', '_', 8, 0, 0x44, 0x06});
}

TEST_CASE("package lengths take one to four bytes and count themselves") {
  CHECK(package_length(Aml(62)) == Aml{63});
  CHECK(package_length(Aml(63)) == Aml{0x41, 0x04});
  CHECK(package_length(Aml(0xFFF - 2)) == Aml{0x4F, 0xFF});
  CHECK(package_length(Aml(0x1000 - 2)) == Aml{0x81, 0x00, 0x01});
  CHECK(package_length(Aml(0x100000)) == Aml{0xC4, 0x00, 0x00, 0x01});
}

TEST_CASE("resource descriptors") {
  CHECK(ResourceTemplate().irq(12).buffer() ==
        Aml{0x11, 0x08, 0x0A, 0x05, 0x22, 0x00, 0x10, 0x79, 0});
  CHECK(contains(ResourceTemplate().ports(0x3F8, 8).buffer(),
                 Aml{0x47, 1, 0xF8, 3, 0xF8, 3, 1, 8, 0x79}));
  CHECK(contains(ResourceTemplate().shared_interrupts({5, 10}).buffer(),
                 Aml{0x89, 10, 0, 0x09, 2, 5, 0, 0, 0, 10, 0, 0, 0, 0x79}));
  CHECK(contains(ResourceTemplate().memory(0xFED00000, 0x400).buffer(),
                 Aml{0x86, 9, 0, 1, 0, 0, 0xD0, 0xFE, 0, 4, 0, 0, 0x79}));
}

TEST_CASE("the firmware can link the tables, and all lengths and checksums are right") {
  Linked linked({.memory = layout_of(512), .processors = 3});
  CHECK(linked.files[kTablesFile].alignment == 64);
  CHECK(linked.files[kRsdpFile].zone == 2);
  for (const char* signature : {"FACP", "APIC", "HPET", "WAET", "DSDT"}) {
    CHECK(linked.tables.count(signature) == 1);
  }

  const std::vector<u8>& fadt = linked.tables.at("FACP");
  CHECK(fadt.size() == 244);
  const std::span<const u8> facs = linked.at(get_u32(fadt, 36));
  CHECK(std::string(facs.begin(), facs.begin() + 4) == "FACS");
  CHECK(get_u32(facs, 4) == 64);
  CHECK(get_u32(fadt, 36) % 64 == 0);
  CHECK(get_u32(fadt, 40) == get_u64(fadt, 140));
  CHECK(get_u16(fadt, 46) == 9);
  CHECK(get_u32(fadt, 48) == 0xB2);
  CHECK(get_u32(fadt, 56) == 0x600);
  CHECK(get_u32(fadt, 64) == 0x604);
  CHECK(get_u32(fadt, 76) == 0x608);
  CHECK(get_u32(fadt, 80) == 0x60C);
  CHECK(fadt[88] == 4);
  CHECK(fadt[89] == 2);
  CHECK(fadt[91] == 4);
  CHECK(fadt[92] == 4);
  CHECK(fadt[108] == 0x32);
  CHECK((get_u32(fadt, 112) & 1 << 10) != 0);
  CHECK(fadt[116] == 1);
  CHECK(get_u64(fadt, 120) == 0xCF9);
  CHECK(fadt[128] == 6);
  CHECK(get_u64(fadt, 152) == 0x600);
  CHECK(get_u64(fadt, 212) == 0x608);
  CHECK(get_u64(fadt, 224) == 0x60C);
}

TEST_CASE("the MADT names every processor, the I/O APIC and the PIIX's level-triggered lines") {
  Linked linked({.memory = layout_of(64), .processors = 2});
  const std::vector<u8>& madt = linked.tables.at("APIC");
  CHECK(get_u32(madt, 36) == 0xFEE00000);
  CHECK(get_u32(madt, 40) == 1);
  unsigned processors = 0, io_apics = 0, nmis = 0;
  std::map<u8, std::pair<u32, u16>> overrides;
  for (std::size_t at = 44; at < madt.size(); at += madt[at + 1]) {
    REQUIRE(madt[at + 1] >= 2);
    REQUIRE(at + madt[at + 1] <= madt.size());
    switch (madt[at]) {
      case 0:
        CHECK(madt[at + 3] == processors++);
        CHECK(get_u32(madt, at + 4) == 1);
        break;
      case 1:
        ++io_apics;
        CHECK(get_u32(madt, at + 4) == 0xFEC00000);
        break;
      case 2:
        overrides[madt[at + 3]] = {get_u32(madt, at + 4), get_u16(madt, at + 8)};
        break;
      case 4:
        ++nmis;
        CHECK(madt[at + 5] == 1);
        break;
      default:
        FAIL("unexpected entry");
    }
  }
  CHECK(processors == 2);
  CHECK(io_apics == 1);
  CHECK(nmis == 1);
  CHECK(overrides == std::map<u8, std::pair<u32, u16>>{
                         {0, {2, 0}}, {5, {5, 13}}, {9, {9, 13}}, {10, {10, 13}}, {11, {11, 13}}});
}

TEST_CASE("PCI memory begins where low RAM ends") {
  const Aml split = Linked({.memory = layout_of(6144)}).tables.at("DSDT");
  // Minimum, maximum and length of the window.
  CHECK(contains(split, {0, 0, 0, 0xC0, 0xFF, 0xFF, 0xBF, 0xFE, 0, 0, 0, 0, 0, 0, 0xC0, 0x3E}));
  const Aml small = Linked({.memory = layout_of(512)}).tables.at("DSDT");
  CHECK(contains(small, {0, 0, 0, 0x20, 0xFF, 0xFF, 0xBF, 0xFE, 0, 0, 0, 0, 0, 0, 0xC0, 0xDE}));
}

TEST_CASE("devices that the board lacks are not described") {
  const Aml full = Linked({.memory = layout_of(64)}).tables.at("DSDT");
  CHECK(contains(full, eisa_id("PNP0103")));
  CHECK(contains(full, eisa_id("PNP0700")));
  CHECK(contains(full, string("QEMU0001")));
  Linked bare({.memory = layout_of(64),
               .hpet = false,
               .pvpanic = false,
               .floppies = 0,
               .serial_ports = 0,
               .parallel_ports = 0});
  CHECK(bare.tables.count("HPET") == 0);
  const Aml& dsdt = bare.tables.at("DSDT");
  for (const char* id : {"PNP0103", "PNP0700", "PNP0501", "PNP0400"}) {
    CHECK_FALSE(contains(dsdt, eisa_id(id)));
  }
  CHECK_FALSE(contains(dsdt, string("QEMU0001")));
}

TEST_CASE("every pin of every slot reaches the link that the PIIX wires it to") {
  const Aml dsdt = Linked({.memory = layout_of(64)}).tables.at("DSDT");
  const auto routes = [&dsdt](unsigned slot, unsigned pin, const char* link) {
    return contains(
        dsdt, package({integer(u64{slot} << 16 | 0xFFFF), integer(pin), path(link), integer(0)}));
  };
  CHECK(routes(1, 0, "LNKS"));
  CHECK(routes(1, 3, "LNKD"));  // the USB function
  CHECK(routes(2, 0, "LNKB"));
  CHECK(routes(3, 0, "LNKC"));
  CHECK(routes(3, 2, "LNKA"));
  CHECK(routes(31, 0, "LNKC"));
  CHECK(routes(0, 0, "LNKD"));
}

TEST_CASE("iasl takes the DSDT apart and compiles it back to the same bytes") {
  if (!have_iasl()) {
    WARN("skipped: iasl (acpica-tools) is not installed");
    return;
  }
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "ringshift-acpi-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  const fs::path folder = pattern;
  Linked linked({.memory = layout_of(6144), .processors = 4, .floppies = 2});
  for (const auto& [signature, table] : linked.tables) {
    const std::string base = (folder / signature).string();
    std::ofstream(base + ".aml", std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()),
               static_cast<std::streamsize>(table.size()));
    INFO(signature);
    REQUIRE(std::system(
                ("iasl -d -p " + base + " " + base + ".aml >" + base + ".log 2>&1").c_str()) == 0);
    REQUIRE(std::system(
                ("iasl -oa -p " + base + ".new " + base + ".dsl >" + base + ".log 2>&1").c_str()) ==
            0);
    std::ifstream log(base + ".log");
    const std::string text{std::istreambuf_iterator<char>(log), {}};
    INFO(text);
    CHECK(text.find(" 0 Errors") != std::string::npos);
  }
  fs::remove_all(folder);
}
