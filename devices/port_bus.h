// The 64 KiB I/O port space. Regions are claimed by handlers; two claims on one port are an error
// of the board, found when it is built. PCI BARs come and go at run time: there a later claim that
// overlaps is refused and the region stays unmapped, as a person would expect from a bus conflict.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/io_handler.h"
#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::devices {

class PortBus {
 public:
  struct Region {
    u16 first = 0;
    u32 count = 0;
    std::string name;
    IoHandler* handler = nullptr;  // null: a free slot
    AccessSizes sizes;
  };

  /// Claims `count` ports from `first` for `handler`. `name` appears in `ringshift devices`.
  Result<void> map(u16 first, u32 count, std::string_view name, IoHandler& handler,
                   AccessSizes sizes = {1, 1});
  /// Releases the region that starts at `first` and belongs to `handler`; nothing if there is none.
  void unmap(u16 first, const IoHandler& handler);

  /// `size` is 1, 2 or 4. Ports that nothing claims read as all ones and swallow writes.
  u32 read(u16 port, unsigned size);
  void write(u16 port, u32 value, unsigned size);

  /// All claimed regions, in the order of their ports.
  std::vector<Region> regions() const;

 private:
  using RegionIndex = u16;
  static constexpr RegionIndex kUnclaimed = 0xFFFF;
  const Region* find(u32 port) const {
    const RegionIndex index = owner_[port & 0xFFFF];
    return index == kUnclaimed ? nullptr : &regions_[index];
  }
  u32 read_within(const Region& region, u16 port, unsigned size);
  void write_within(const Region& region, u16 port, u32 value, unsigned size);

  std::vector<Region> regions_;
  std::vector<RegionIndex> owner_ = std::vector<RegionIndex>(0x10000, kUnclaimed);
};

}  // namespace ringshift::devices
