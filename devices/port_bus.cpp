#include "devices/port_bus.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

u32 all_ones(unsigned size) {
  return size >= 4 ? 0xFFFFFFFFU : (1U << (8 * size)) - 1;
}

/// The widest natural access of at most `left` bytes at `offset` that the region takes.
unsigned piece(const AccessSizes& sizes, unsigned left) {
  unsigned size = std::min(sizes.largest, left);
  while ((size & (size - 1)) != 0) --size;
  return size;
}

}  // namespace

Result<void> PortBus::map(u16 first, u32 count, std::string_view name, IoHandler& handler,
                          AccessSizes sizes) {
  if (count == 0 || first + count > 0x10000) return Error{std::string(name) + ": bad port range"};
  for (u32 port = first; port < first + count; ++port) {
    if (const Region* other = find(port)) {
      return Error{std::string(name) + ": port " + std::to_string(port) + " belongs to " +
                   other->name};
    }
  }
  auto slot = std::find_if(regions_.begin(), regions_.end(),
                           [](const Region& region) { return region.handler == nullptr; });
  if (slot == regions_.end()) slot = regions_.emplace(regions_.end());
  *slot = Region{first, count, std::string(name), &handler, sizes};
  std::fill_n(owner_.begin() + first, count, static_cast<RegionIndex>(slot - regions_.begin()));
  return {};
}

void PortBus::unmap(u16 first, const IoHandler& handler) {
  const RegionIndex index = owner_[first];
  if (index == kUnclaimed) return;
  Region& region = regions_[index];
  if (region.handler != &handler || region.first != first) return;
  std::fill_n(owner_.begin() + first, region.count, kUnclaimed);
  region = Region{};
}

u32 PortBus::read_within(const Region& region, u16 port, unsigned size) {
  IoHandler& handler = *region.handler;
  const u32 offset = port - region.first;
  if (size >= region.sizes.smallest) return static_cast<u32>(handler.io_read(offset, size));
  const u32 aligned = offset & ~(region.sizes.smallest - 1);
  const u64 wide = handler.io_read(aligned, region.sizes.smallest);
  return static_cast<u32>(wide >> (8 * (offset - aligned))) & all_ones(size);
}

void PortBus::write_within(const Region& region, u16 port, u32 value, unsigned size) {
  IoHandler& handler = *region.handler;
  const u32 offset = port - region.first;
  if (size >= region.sizes.smallest) {
    handler.io_write(offset, value & all_ones(size), size);
    return;
  }
  const u32 aligned = offset & ~(region.sizes.smallest - 1);
  const unsigned shift = 8 * (offset - aligned);
  u64 wide = handler.io_read(aligned, region.sizes.smallest);
  wide &= ~(static_cast<u64>(all_ones(size)) << shift);
  wide |= static_cast<u64>(value & all_ones(size)) << shift;
  handler.io_write(aligned, wide, region.sizes.smallest);
}

u32 PortBus::read(u16 port, unsigned size) {
  u32 value = 0;
  for (unsigned done = 0; done < size;) {
    const u16 at = static_cast<u16>(port + done);
    // A copy: the handler may map or unmap regions.
    const Region* found = find(at);
    if (found == nullptr) {
      value |= 0xFFU << (8 * done);
      ++done;
      continue;
    }
    const Region region = {found->first, found->count, {}, found->handler, found->sizes};
    const unsigned inside = region.first + region.count - at;
    const unsigned width = piece(region.sizes, std::min(size - done, inside));
    value |= (read_within(region, at, width) & all_ones(width)) << (8 * done);
    done += width;
  }
  return value;
}

void PortBus::write(u16 port, u32 value, unsigned size) {
  for (unsigned done = 0; done < size;) {
    const u16 at = static_cast<u16>(port + done);
    const Region* found = find(at);
    if (found == nullptr) {
      ++done;
      continue;
    }
    const Region region = {found->first, found->count, {}, found->handler, found->sizes};
    const unsigned inside = region.first + region.count - at;
    const unsigned width = piece(region.sizes, std::min(size - done, inside));
    write_within(region, at, value >> (8 * done), width);
    done += width;
  }
}

std::vector<PortBus::Region> PortBus::regions() const {
  std::vector<Region> claimed;
  for (const Region& region : regions_) {
    if (region.handler != nullptr) claimed.push_back(region);
  }
  std::sort(claimed.begin(), claimed.end(),
            [](const Region& a, const Region& b) { return a.first < b.first; });
  return claimed;
}

}  // namespace ringshift::devices
