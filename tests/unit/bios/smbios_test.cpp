#include <catch2/catch.hpp>

#include <map>
#include <string>

#include "bios/little_endian.h"
#include "bios/smbios.h"

using namespace ringshift;
using namespace ringshift::bios;

namespace {

struct Parsed {
  std::vector<u8> formatted;
  std::vector<std::string> strings;
};

std::multimap<unsigned, Parsed> parse(const std::vector<u8>& table, unsigned& count,
                                      std::size_t& largest) {
  std::multimap<unsigned, Parsed> result;
  std::size_t at = 0;
  while (at < table.size()) {
    const std::size_t start = at;
    Parsed parsed;
    REQUIRE(at + 4 <= table.size());
    REQUIRE(at + table[at + 1] + 2 <= table.size());
    parsed.formatted.assign(table.begin() + static_cast<long>(at),
                            table.begin() + static_cast<long>(at + table[at + 1]));
    at += table[at + 1];
    while (table.at(at) != 0) {
      std::string text;
      while (table.at(at) != 0) text += static_cast<char>(table[at++]);
      ++at;
      parsed.strings.push_back(text);
    }
    at += parsed.strings.empty() ? 2 : 1;
    largest = std::max(largest, at - start);
    ++count;
    result.emplace(parsed.formatted[0], parsed);
  }
  return result;
}

SmbiosDescription description_of(u64 mebibytes) {
  auto layout = MemoryLayout::create(mebibytes << 20);
  REQUIRE(layout);
  return {.memory = *layout};
}

}  // namespace

TEST_CASE("SMBIOS structures have the lengths of version 2.8 and consistent handles") {
  SmbiosDescription description = description_of(6144);
  description.processors = 2;
  description.processor.signature = 0x663;
  for (unsigned i = 0; i < 16; ++i) description.uuid[i] = static_cast<u8>(i);
  const SmbiosFiles files = make_smbios(description);
  unsigned count = 0;
  std::size_t largest = 0;
  const auto tables = parse(files.tables, count, largest);
  const std::map<unsigned, std::size_t> lengths = {{0, 0x18},  {1, 0x1B},  {3, 0x16},
                                                   {4, 0x2A},  {16, 0x17}, {17, 0x28},
                                                   {19, 0x1F}, {32, 0x0B}, {127, 4}};
  for (const auto& [type, length] : lengths) {
    INFO(type);
    REQUIRE(tables.count(type) >= 1);
    CHECK(tables.find(type)->second.formatted.size() == length);
  }
  CHECK(tables.count(4) == 2);
  CHECK(tables.count(19) == 2);
  // The UUID's first three fields are little endian (§7.2.1).
  const std::vector<u8>& system = tables.find(1)->second.formatted;
  CHECK(std::vector<u8>(system.begin() + 8, system.begin() + 18) ==
        std::vector<u8>{3, 2, 1, 0, 5, 4, 7, 6, 8, 9});
  CHECK(get_u32(tables.find(4)->second.formatted, 8) == 0x663);
  const std::vector<u8>& array = tables.find(16)->second.formatted;
  CHECK(get_u32(array, 7) == 6144 * 1024);
  CHECK(get_u16(tables.find(17)->second.formatted, 4) == get_u16(array, 2));
  CHECK(get_u16(tables.find(17)->second.formatted, 12) == 6144);
  const std::vector<u8>& low = tables.find(19)->second.formatted;
  CHECK(get_u32(low, 4) == 0);
  CHECK(get_u32(low, 8) == 0xC0000000 / 1024 - 1);
  // Strings are numbered from 1.
  const Parsed& firmware = tables.find(0)->second;
  CHECK(firmware.formatted[4] == 1);
  CHECK(firmware.strings.at(0) == "Ringshift");

  REQUIRE(files.anchor.size() == 31);
  CHECK(std::string(files.anchor.begin(), files.anchor.begin() + 4) == "_SM_");
  CHECK(files.anchor[5] == 31);
  CHECK(checksum_of(files.anchor) == 0);
  CHECK(checksum_of(std::span(files.anchor).subspan(16)) == 0);
  CHECK(get_u16(files.anchor, 8) == largest);
  CHECK(get_u16(files.anchor, 22) == files.tables.size());
  CHECK(get_u16(files.anchor, 28) == count);
}

TEST_CASE("SMBIOS uses the extended fields for memory beyond what the old ones hold") {
  const SmbiosFiles files = make_smbios(description_of(40 << 10));
  unsigned count = 0;
  std::size_t largest = 0;
  const auto tables = parse(files.tables, count, largest);
  const std::vector<u8>& device = tables.find(17)->second.formatted;
  CHECK(get_u16(device, 12) == 0x7FFF);
  CHECK(get_u32(device, 28) == 40 << 10);
}
