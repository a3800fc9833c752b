// What host faults have taught about single guest instructions. A fault costs a thousand times what
// a call to the interpreter does, so an instruction that keeps reaching device memory or watched
// pages becomes a call-out. But the same memcpy serves a device once and RAM a million times
// afterwards: a call-out that proves needless for long is taken back.
#pragma once

#include <bitset>
#include <unordered_map>

#include "cpu/types.h"

namespace ringshift::translator {

class FaultSites {
 public:
  /// How an instruction is to be translated.
  struct Advice {
    /// 0: natively. Else as a call-out, until it has been needless so often in a row.
    u16 patience = 0;
    bool wraps = false;  ///< its address wraps at 4 GiB
  };

  /// The advice for the instruction at this physical address.
  Advice advice(u64 address) const;
  /// The instruction had to be interpreted after a fault. True: the advice has changed.
  bool faulted(u64 address);
  bool wrapped(u64 address);
  /// Its call-out has been needless as often as the advice says: it is worth a try natively.
  void retire(u64 address);
  /// Other code lies there now.
  void forget(u64 first, u64 length);

  std::size_t size() const { return sites_.size(); }

  /// Faults that are cheaper than translating the block anew.
  static constexpr unsigned kFaultsToCallOut = 3;
  static constexpr u16 kFirstPatience = 64;
  static constexpr u16 kMostPatience = 0x4000;
  static constexpr std::size_t kMostSites = std::size_t{1} << 16;

 private:
  struct Site {
    u8 faults = 0;
    bool call_out = false;
    bool wraps = false;
    u16 patience = kFirstPatience;
  };
  Site& site(u64 address);
  bool may_hold(u64 address) const { return pages_.test(address >> kPageShift & kPageHash); }

  static constexpr u64 kPageHash = 0xFFF;
  std::unordered_map<u64, Site> sites_;
  std::bitset<kPageHash + 1> pages_;  ///< by frame number modulo its size: may have sites
};

}  // namespace ringshift::translator
