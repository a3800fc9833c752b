#include "bios/memory_layout.h"

#include "bios/little_endian.h"

namespace ringshift::bios {

Result<MemoryLayout> MemoryLayout::create(u64 ram) {
  constexpr u64 kMebibyte = u64{1} << 20;
  if (ram < kLeastRam || ram > kMostRam || ram % kMebibyte != 0) {
    return Error{"guest memory must be a whole number of MiB from " +
                 std::to_string(kLeastRam / kMebibyte) + " to " +
                 std::to_string(kMostRam / kMebibyte) + " (asked for " + std::to_string(ram) +
                 " bytes)"};
  }
  if (ram <= kMostLowRam) return MemoryLayout(ram, 0);
  return MemoryLayout(kLowRamWhenSplit, ram - kLowRamWhenSplit);
}

std::vector<MemoryRange> MemoryLayout::ranges() const {
  std::vector<MemoryRange> result = {{0, low_, MemoryKind::Ram}};
  if (high_ != 0) result.push_back({kHighRamFirst, high_, MemoryKind::Ram});
  return result;
}

std::vector<u8> MemoryLayout::e820_file() const {
  std::vector<u8> file;
  for (const MemoryRange& range : ranges()) {
    append_little_endian(file, range.first, 8);
    append_little_endian(file, range.length, 8);
    append_little_endian(file, static_cast<u32>(range.kind), 4);
  }
  return file;
}

}  // namespace ringshift::bios
