// The 256-bit registers ISR, TMR and IRR of a local APIC: a set of vectors of which the highest
// matters most. SDM 3A §10.8.4.
#pragma once

#include <array>
#include <bit>
#include <optional>

#include "cpu/state_archive.h"
#include "cpu/types.h"

namespace ringshift::devices {

class VectorSet {
 public:
  bool contains(u8 vector) const { return ((words_[vector / 32] >> (vector % 32)) & 1) != 0; }
  void insert(u8 vector) { words_[vector / 32] |= 1U << (vector % 32); }
  void erase(u8 vector) { words_[vector / 32] &= ~(1U << (vector % 32)); }
  std::optional<u8> highest() const {
    for (unsigned word = 8; word-- > 0;) {
      if (words_[word] == 0) continue;
      return static_cast<u8>(word * 32 + 31 -
                             static_cast<unsigned>(std::countl_zero(words_[word])));
    }
    return std::nullopt;
  }
  /// Vectors 32 * number to 32 * number + 31, as the register page shows them.
  u32 word(unsigned number) const { return words_[number & 7]; }
  void serialize(StateArchive& archive) { archive.field("words", words_); }

 private:
  std::array<u32, 8> words_{};
};

}  // namespace ringshift::devices
