// The 256 words with which an ATA or packet device describes itself (ATA/ATAPI-6 §8.15, §8.16).
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::devices {

/// What the person may want to choose of a drive's identity.
struct DriveIdentity {
  std::string model = "Ringshift disk";
  std::string serial = "RS00000001";
  std::string firmware = "1.0";
};

/// How the host talks to a drive: what SET FEATURES subcommand 03h has chosen.
struct TransferModes {
  static constexpr u8 kNone = 0xFF;
  u8 multiword = 2;  ///< selected multiword DMA mode, or kNone
  u8 ultra = kNone;  ///< selected Ultra DMA mode, or kNone

  /// Applies the sector count of the subcommand; false if the drive has no such mode.
  bool select(u8 value) {
    const unsigned mode = value & 7;
    switch (value >> 3) {
      case 0:  // PIO default mode, with or without IORDY
        return mode <= 1;
      case 1:  // PIO flow control mode
        return mode <= 4;
      case 4:
        if (mode > 2) return false;
        multiword = static_cast<u8>(mode);
        ultra = kNone;
        return true;
      case 8:
        if (mode > 5) return false;
        ultra = static_cast<u8>(mode);
        multiword = kNone;
        return true;
      default:
        return false;
    }
  }
  u16 multiword_word() const {
    return static_cast<u16>(0x07 | (multiword == kNone ? 0 : 0x100U << multiword));
  }
  u16 ultra_word() const { return static_cast<u16>(0x3F | (ultra == kNone ? 0 : 0x100U << ultra)); }
};

class IdentifyData {
 public:
  explicit IdentifyData(std::span<u8> block) : block_(block.first(512)) {
    std::fill(block_.begin(), block_.end(), u8{0});
  }
  void word(unsigned index, u32 value) {
    block_[2 * index] = static_cast<u8>(value);
    block_[2 * index + 1] = static_cast<u8>(value >> 8);
  }
  void words(unsigned index, unsigned count, u64 value) {
    for (unsigned i = 0; i < count; ++i) word(index + i, static_cast<u16>(value >> (16 * i)));
  }
  /// Text is stored with the first character in the upper byte of each word, padded with blanks.
  void text(unsigned index, unsigned count, std::string_view from) {
    for (unsigned i = 0; i < 2 * count; ++i) {
      const char c = i < from.size() && from[i] >= 0x20 && from[i] < 0x7F ? from[i] : ' ';
      block_[(2 * index + i) ^ 1] = static_cast<u8>(c);
    }
  }
  void identity(const DriveIdentity& who) {
    text(10, 10, who.serial);
    text(23, 4, who.firmware);
    text(27, 20, who.model);
  }
  /// The hardware reset result of word 93 for a drive at `position` of an 80-wire cable.
  void reset_result(unsigned position) { word(93, position == 0 ? 0x600B : 0x6B00); }
  /// Word 255: the signature A5h and the checksum that makes all bytes add up to zero.
  void finish() {
    block_[510] = 0xA5;
    u8 sum = 0;
    for (std::size_t i = 0; i < 511; ++i) sum = static_cast<u8>(sum + block_[i]);
    block_[511] = static_cast<u8>(-sum);
  }

 private:
  std::span<u8> block_;
};

}  // namespace ringshift::devices
