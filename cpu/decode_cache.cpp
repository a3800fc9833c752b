#include "cpu/decode_cache.h"

#include <algorithm>

namespace ringshift::cpu {

void DecodeCache::add(const Instruction& instruction, DecodeMode mode) {
  std::array<u8, kWindow> bytes{}, counted{};
  std::copy_n(instruction.bytes.begin(), instruction.length, bytes.begin());
  std::fill_n(counted.begin(), instruction.length, u8{0xFF});
  Entry entry;
  std::memcpy(&entry.key, bytes.data(), sizeof entry.key);
  std::memcpy(&entry.mask, counted.data(), sizeof entry.mask);
  entry.mode = number(mode);
  entry.used = true;
  entry.instruction = instruction;
  const unsigned named = std::clamp<unsigned>(instruction.length, 1, kMost);
  (*tables_[named - 1])[slot(entry.key.low, named, entry.mode)] = entry;
}

}  // namespace ringshift::cpu
