// Instructions that have been decoded before, found by their bytes. Programs repeat themselves:
// more than half of what a booting system executes for the first time is byte for byte what it
// executed elsewhere, and finding that costs a tenth of decoding it.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "cpu/instruction.h"
#include "cpu/types.h"

namespace ringshift::cpu {

class DecodeCache {
 public:
  /// The instruction at the start of `bytes`, or null. Valid until the next `add`.
  const Instruction* find(std::span<const u8> bytes, DecodeMode mode) const;
  void add(const Instruction& instruction, DecodeMode mode);

 private:
  /// As many bytes as an entry is compared with; what is nearer to the end of a page is decoded.
  static constexpr std::size_t kWindow = 16;
  static constexpr unsigned kBits = 11;
  struct Key {
    u64 low = 0, high = 0;
  };
  struct Entry {
    Key key;   ///< the bytes, zeros behind them
    Key mask;  ///< which bits of them count; none in a free entry
    u8 mode = 0;
    bool used = false;
    Instruction instruction;
  };
  /// Instructions are kept by their first one, two, three or four bytes, by how many they have: no
  /// instruction begins with another one.
  static constexpr unsigned kMost = 4;
  using Table = std::array<Entry, std::size_t{1} << kBits>;

  static u8 number(DecodeMode mode) {
    return static_cast<u8>((mode.code_32 ? 1 : 0) | (mode.long_mode ? 2 : 0) |
                           (mode.real_selectors ? 4 : 0));
  }
  static std::size_t slot(u64 low, unsigned bytes, u8 mode) {
    const u64 counted = low & ((u64{1} << (8 * bytes)) - 1);
    return (counted + (u64{mode} << 40)) * 0x9E37'79B9'7F4A'7C15 >> (64 - kBits);
  }

  std::array<std::unique_ptr<Table>, kMost> tables_ = {
      std::make_unique<Table>(), std::make_unique<Table>(), std::make_unique<Table>(),
      std::make_unique<Table>()};
};

inline const Instruction* DecodeCache::find(std::span<const u8> bytes, DecodeMode mode) const {
  if (bytes.size() < kWindow) return nullptr;
  Key key;
  std::memcpy(&key, bytes.data(), sizeof key);
  const u8 wanted = number(mode);
  for (unsigned n = 0; n < tables_.size(); ++n) {
    const Entry& entry = (*tables_[n])[slot(key.low, n + 1, wanted)];
    const u64 different = ((key.low ^ entry.key.low) & entry.mask.low) |
                          ((key.high ^ entry.key.high) & entry.mask.high);
    if (entry.used && different == 0 && entry.mode == wanted) return &entry.instruction;
  }
  return nullptr;
}

}  // namespace ringshift::cpu
