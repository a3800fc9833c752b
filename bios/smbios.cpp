#include "bios/smbios.h"

#include <algorithm>

#include "bios/little_endian.h"

namespace ringshift::bios {

namespace {

constexpr std::string_view kMaker = "Ringshift";
constexpr std::string_view kProduct = "Standard PC (i440FX + PIIX)";
constexpr std::string_view kReleaseDate = "11/20/2026";
constexpr u16 kMemoryArrayHandle = 0x1000;
constexpr u16 kNoErrorInformation = 0xFFFE;
constexpr u8 kOther = 1, kUnknown = 2, kSafe = 3;
constexpr u64 kKibibyte = 1024, kMebibyte = 1 << 20;

/// One structure: the formatted part as it grows, then its strings.
class Structure {
 public:
  Structure(u8 type, u16 handle) {
    bytes_ = {type, 0};
    append_little_endian(bytes_, handle, 2);
  }
  Structure& number(u64 value, unsigned size) {
    append_little_endian(bytes_, value, size);
    return *this;
  }
  Structure& u8s(std::initializer_list<u8> values) {
    bytes_.insert(bytes_.end(), values);
    return *this;
  }
  /// A string by its number; an empty one has number 0.
  Structure& text(std::string_view value) {
    if (value.empty()) return u8s({0});
    strings_.emplace_back(value.substr(0, value.find('\0')));
    return u8s({static_cast<u8>(strings_.size())});
  }
  std::vector<u8> finish() const {
    std::vector<u8> result = bytes_;
    result[1] = static_cast<u8>(bytes_.size());
    for (const std::string& value : strings_) {
      append_text(result, value);
      result.push_back(0);
    }
    if (strings_.empty()) result.push_back(0);
    result.push_back(0);
    return result;
  }

 private:
  std::vector<u8> bytes_;
  std::vector<std::string> strings_;
};

class Table {
 public:
  void add(const Structure& structure) {
    const std::vector<u8> bytes = structure.finish();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    largest_ = std::max(largest_, bytes.size());
    ++count_;
  }
  const std::vector<u8>& bytes() const { return bytes_; }
  std::size_t largest() const { return largest_; }
  unsigned count() const { return count_; }

 private:
  std::vector<u8> bytes_;
  std::size_t largest_ = 0;
  unsigned count_ = 0;
};

// §7.1.
Structure firmware_information(const std::string& version) {
  constexpr u64 kCharacteristicsUnsupported = 1 << 3;
  constexpr u8 kAcpi = 1 << 0, kTargetedContent = 1 << 2, kVirtualMachine = 1 << 4, kNone = 0xFF;
  Structure s(0, 0x0000);
  s.text(kMaker).text(version).number(0xE800, 2).text(kReleaseDate).u8s({0});
  s.number(kCharacteristicsUnsupported, 8).u8s({kAcpi, kTargetedContent | kVirtualMachine});
  return s.u8s({0, 1, kNone, kNone});
}

// §7.2. The first three fields of the UUID are little endian.
Structure system_information(const SmbiosDescription& d) {
  constexpr u8 kPowerSwitch = 6;
  Structure s(1, 0x0100);
  s.text(kMaker).text(kProduct).text(d.version).text("");
  for (unsigned i : {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}) s.u8s({d.uuid[i]});
  return s.u8s({kPowerSwitch}).text("").text("");
}

// §7.4.
Structure enclosure(const std::string& version) {
  Structure s(3, 0x0300);
  s.text(kMaker).u8s({kOther}).text(version).text("").text("");
  return s.u8s({kSafe, kSafe, kSafe, kUnknown}).number(0, 4).u8s({0, 0, 0, 0}).text("");
}

// §7.5.
Structure processor(const SmbiosDescription& d, unsigned number) {
  constexpr u8 kCentralProcessor = 3, kPopulatedEnabled = 0x41;
  constexpr u16 kNoCache = 0xFFFF;
  const ProcessorIdentity& p = d.processor;
  Structure s(4, static_cast<u16>(0x0400 + number));
  s.text("CPU " + std::to_string(number)).u8s({kCentralProcessor, kOther}).text(p.manufacturer);
  s.number(p.signature, 4).number(p.features, 4).text(p.version).u8s({0}).number(0, 2);
  s.number(p.megahertz, 2).number(p.megahertz, 2).u8s({kPopulatedEnabled, kOther});
  s.number(kNoCache, 2).number(kNoCache, 2).number(kNoCache, 2).text("").text("").text("");
  return s.u8s({1, 1, 1}).number(kUnknown, 2).number(kOther, 2);
}

// §7.17.
Structure memory_array(u64 bytes) {
  constexpr u8 kMotherboard = 3, kSystemMemory = 3, kNoCorrection = 3;
  constexpr u64 kUseExtended = 0x8000'0000;
  const u64 kibibytes = bytes / kKibibyte;
  const bool extended = kibibytes >= kUseExtended;
  Structure s(16, kMemoryArrayHandle);
  s.u8s({kMotherboard, kSystemMemory, kNoCorrection})
      .number(extended ? kUseExtended : kibibytes, 4);
  return s.number(kNoErrorInformation, 2).number(1, 2).number(extended ? bytes : 0, 8);
}

// §7.18.
Structure memory_device(u64 bytes) {
  constexpr u16 kUnknownWidth = 0xFFFF, kUseExtended = 0x7FFF, kOtherDetail = 1 << 1;
  constexpr u8 kDimm = 9, kRam = 7;
  const u64 mebibytes = bytes / kMebibyte;
  const bool extended = mebibytes >= kUseExtended;
  Structure s(17, 0x1100);
  s.number(kMemoryArrayHandle, 2).number(kNoErrorInformation, 2);
  s.number(kUnknownWidth, 2)
      .number(kUnknownWidth, 2)
      .number(extended ? kUseExtended : mebibytes, 2);
  s.u8s({kDimm, 0}).text("DIMM 0").text("").u8s({kRam}).number(kOtherDetail, 2).number(0, 2);
  s.text(kMaker).text("").text("").text("").u8s({0}).number(extended ? mebibytes : 0, 4);
  return s.number(0, 2).number(0, 2).number(0, 2).number(0, 2);
}

// §7.20.
Structure mapped_range(const MemoryRange& range, unsigned number) {
  constexpr u64 kUseExtended = 0xFFFF'FFFF;
  const u64 last = range.first + range.length - 1;
  const bool extended = last / kKibibyte >= kUseExtended;
  Structure s(19, static_cast<u16>(0x1300 + number));
  s.number(extended ? kUseExtended : range.first / kKibibyte, 4);
  s.number(extended ? kUseExtended : last / kKibibyte, 4);
  s.number(kMemoryArrayHandle, 2).u8s({1});
  return s.number(extended ? range.first : 0, 8).number(extended ? last : 0, 8);
}

// §5.2.1. The intermediate checksum covers the part from "_DMI_".
std::vector<u8> make_anchor(const Table& table) {
  constexpr std::size_t kSize = 31, kIntermediate = 16;
  std::vector<u8> anchor;
  append_text(anchor, "_SM_");
  anchor.insert(anchor.end(), {0, kSize, 2, 8});
  append_little_endian(anchor, table.largest(), 2);
  anchor.insert(anchor.end(), 6, u8{0});  // entry point revision and its formatted area
  append_text(anchor, "_DMI_");
  anchor.push_back(0);
  append_little_endian(anchor, table.bytes().size(), 2);
  append_little_endian(anchor, 0, 4);
  append_little_endian(anchor, table.count(), 2);
  anchor.push_back(0x28);
  anchor[kIntermediate + 5] = checksum_of(std::span(anchor).subspan(kIntermediate));
  anchor[4] = checksum_of(anchor);
  return anchor;
}

}  // namespace

SmbiosFiles make_smbios(const SmbiosDescription& description) {
  Table table;
  table.add(firmware_information(description.version));
  table.add(system_information(description));
  table.add(enclosure(description.version));
  for (unsigned i = 0; i < description.processors; ++i) table.add(processor(description, i));
  table.add(memory_array(description.memory.total()));
  table.add(memory_device(description.memory.total()));
  unsigned number = 0;
  for (const MemoryRange& range : description.memory.ranges())
    table.add(mapped_range(range, number++));
  table.add(Structure(32, 0x2000).number(0, 6).u8s({0}));  // no errors at the last boot
  table.add(Structure(127, 0x7F00));
  return {table.bytes(), make_anchor(table)};
}

}  // namespace ringshift::bios
