#include "mmu/memory_map.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "mmu/page_directory.h"

namespace ringshift::mmu {

namespace {

constexpr u64 kAddressEnd = u64{1} << PageDirectory::kAddressBits;

struct Mapping {
  u64 first = 0;
  u64 length = 0;  ///< 0: a free slot
  MemoryMap::Kind kind = MemoryMap::Kind::Unmapped;
  std::string name;
  u8* host = nullptr;
  u64 file_offset = 0;

  u64 end() const { return first + length; }
  bool contains(u64 address) const { return address - first < length; }
};

struct Claim {
  u64 first = 0;
  u64 length = 0;
  IoHandler* handler = nullptr;
  AccessSizes sizes;
  std::string name;

  u64 end() const { return first + length; }
};

/// Where a run of bytes goes: one device, or the memory of the page, for `length` bytes.
struct Piece {
  IoHandler* handler = nullptr;
  AccessSizes sizes;
  u64 offset = 0;  ///< within the device's region
  u64 length = 0;
};

[[noreturn]] void broken_invariant(const char* what) {
  std::fprintf(stderr, "ringshift: memory map: %s\n", what);
  std::abort();
}

void check_page_aligned(u64 first, u64 length) {
  if (((first | length) & kPageMask) != 0) broken_invariant("a range that isn't page-aligned");
}

std::string hexadecimal(u64 value) {
  char text[24];
  std::snprintf(text, sizeof text, "%llX", static_cast<unsigned long long>(value));
  return text;
}

constexpr u64 ones(unsigned size) {
  return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
}

/// The widest naturally aligned access at `offset` that the handler takes and that fits.
unsigned access_width(const Piece& piece, u64 left) {
  const u64 limit = std::min<u64>({piece.sizes.largest, left, piece.length});
  const u64 width = std::bit_floor(limit);
  const u64 alignment = piece.offset == 0 ? 8 : piece.offset & (~piece.offset + 1);
  return static_cast<unsigned>(std::min(width, alignment));
}

u64 read_device(const Piece& piece, unsigned width) {
  if (width >= piece.sizes.smallest) return piece.handler->io_read(piece.offset, width);
  const u64 aligned = piece.offset & ~u64{piece.sizes.smallest - 1};
  const u64 wide = piece.handler->io_read(aligned, piece.sizes.smallest);
  return wide >> (8 * (piece.offset - aligned));
}

void write_device(const Piece& piece, u64 value, unsigned width) {
  if (width >= piece.sizes.smallest) {
    piece.handler->io_write(piece.offset, value & ones(width), width);
    return;
  }
  const u64 aligned = piece.offset & ~u64{piece.sizes.smallest - 1};
  const u64 shift = 8 * (piece.offset - aligned);
  u64 wide = piece.handler->io_read(aligned, piece.sizes.smallest);
  wide = (wide & ~(ones(width) << shift)) | ((value & ones(width)) << shift);
  piece.handler->io_write(aligned, wide, piece.sizes.smallest);
}

struct ObserverSlot {
  WriteObserver* observer = nullptr;
  u64 pages = 0;
};

}  // namespace

struct MemoryMap::Implementation {
  static constexpr unsigned kObservers = 32;

  PageDirectory pages;
  std::vector<Mapping> mappings;  ///< slots: page entries hold their numbers
  std::vector<u16> order;         ///< numbers of the mappings in use, oldest first
  std::vector<Claim> claims;      ///< in the order of their addresses
  std::set<u64> shadow_edges;     ///< for regions(): where shadow control begins or ends
  std::array<ObserverSlot, kObservers> observers;
  std::vector<RemapObserver*> remap_observers;

  u16 new_slot();
  void rebuild(u64 first, u64 end);
  void paint(u16 number, u64 first, u64 end);
  void cut(u64 first, u64 end);
  bool any_memory(u64 first, u64 end) const;
  const Claim* find_claim(u64 address) const;
  Piece piece_at(u64 address, u64 most) const;
  u8* host(u16 number, u64 address) const;
  void notify(const PageEntry& page, PhysicalAddress address, u64 length);
  void read_in_page(u64 address, u8* into, u64 length);
  void write_in_page(u64 address, const u8* from, u64 length);
  void read_claimed(const PageEntry& page, u64 address, u8* into, u64 length);
  void write_claimed(const PageEntry& page, u64 address, const u8* from, u64 length);
  void copy_from_memory(const PageEntry& page, u64 address, u8* into, u64 length) const;
  void copy_to_memory(const PageEntry& page, u64 address, const u8* from, u64 length);
};

MemoryMap::MemoryMap() : implementation_(std::make_unique<Implementation>()) {}
MemoryMap::~MemoryMap() = default;

// --- Building the map ---

u16 MemoryMap::Implementation::new_slot() {
  for (std::size_t n = 0; n < mappings.size(); ++n) {
    if (mappings[n].length == 0) return static_cast<u16>(n);
  }
  if (mappings.size() >= 0xFFFE) broken_invariant("too many mappings");
  mappings.emplace_back();
  return static_cast<u16>(mappings.size() - 1);
}

void MemoryMap::Implementation::paint(u16 number, u64 first, u64 end) {
  const Mapping& mapping = mappings[number];
  const bool ram = mapping.kind == Kind::Ram;
  const u16 source = static_cast<u16>(number + 1);
  for (u64 at = std::max(first, mapping.first); at < std::min(end, mapping.end());
       at += kPageSize) {
    PageEntry& page = pages.make(at >> kPageShift);
    if (!page.shadow_controlled) {
      page.read = source;
      page.write = ram ? source : 0;
      continue;
    }
    if (ram == page.read_from_ram) page.read = source;
    if (ram && page.write_to_ram) page.write = source;
  }
}

void MemoryMap::Implementation::rebuild(u64 first, u64 end) {
  for (u64 at = first; at < end; at += kPageSize) {
    PageEntry* page = pages.find_existing(at >> kPageShift);
    if (page == nullptr) continue;
    page->read = page->write = 0;
    page->claimed = false;
  }
  for (const u16 number : order) paint(number, first, end);
  for (const Claim& claim : claims) {
    const u64 stop = std::min(end, claim.end());
    for (u64 at = std::max(first, claim.first & ~kPageMask); at < stop; at += kPageSize) {
      pages.make(at >> kPageShift).claimed = true;
    }
  }
}

bool MemoryMap::Implementation::any_memory(u64 first, u64 end) const {
  for (u64 at = first; at < end; at += kPageSize) {
    const PageEntry& page = pages.find(at >> kPageShift);
    if (page.read != 0 || page.write != 0) return true;
  }
  return false;
}

/// Takes [first, end) out of every mapping; one that it splits keeps its place in the order.
void MemoryMap::Implementation::cut(u64 first, u64 end) {
  std::vector<u16> kept;
  for (const u16 number : order) {
    const Mapping whole = mappings[number];
    if (whole.end() <= first || whole.first >= end) {
      kept.push_back(number);
      continue;
    }
    mappings[number].length = 0;
    if (whole.first < first) {
      mappings[number].length = first - whole.first;
      kept.push_back(number);
    }
    if (whole.end() > end) {
      const u16 slot = new_slot();
      Mapping right = whole;
      right.first = end;
      right.length = whole.end() - end;
      right.host += end - whole.first;
      right.file_offset += end - whole.first;
      mappings[slot] = std::move(right);
      kept.push_back(slot);
    }
  }
  order = std::move(kept);
}

void MemoryMap::changed(u64 first, u64 end) {
  ++generation_;
  for (RemapObserver* observer : std::vector(implementation_->remap_observers)) {
    observer->on_remapped({first}, end - first);
  }
}

void MemoryMap::map_memory(PhysicalAddress first, u64 length, Kind kind, std::string_view name,
                           const MemoryBlock& block, u64 block_offset) {
  check_page_aligned(first.value | block_offset, length);
  if (block_offset > block.size || length > block.size - block_offset) {
    broken_invariant("a mapping larger than its block");
  }
  // A 64-bit BAR may point where no address bus reaches.
  if (length == 0 || first.value >= kAddressEnd || length > kAddressEnd - first.value) return;
  Implementation& self = *implementation_;
  const u16 slot = self.new_slot();
  self.mappings[slot] = {first.value,
                         length,
                         kind,
                         std::string(name),
                         block.host + block_offset,
                         block.file_offset + block_offset};
  self.order.push_back(slot);
  self.paint(slot, first.value, first.value + length);
  changed(first.value, first.value + length);
}

void MemoryMap::unmap_memory(PhysicalAddress first, u64 length) {
  check_page_aligned(first.value, length);
  if (length == 0 || first.value >= kAddressEnd || length > kAddressEnd - first.value) return;
  Implementation& self = *implementation_;
  const auto exact = std::find_if(self.order.rbegin(), self.order.rend(), [&](u16 number) {
    const Mapping& mapping = self.mappings[number];
    return mapping.first == first.value && mapping.length == length;
  });
  if (exact != self.order.rend()) {
    self.mappings[*exact].length = 0;
    self.order.erase(std::next(exact).base());
  } else {
    self.cut(first.value, first.value + length);
  }
  self.rebuild(first.value, first.value + length);
  changed(first.value, first.value + length);
}

Result<void> MemoryMap::map_mmio(PhysicalAddress first, u64 length, std::string_view name,
                                 IoHandler& handler, AccessSizes sizes) {
  Implementation& self = *implementation_;
  if (length == 0 || first.value >= kAddressEnd || length > kAddressEnd - first.value) {
    return Error{std::string(name) + ": address " + hexadecimal(first.value) + "h is out of reach"};
  }
  if (!std::has_single_bit(sizes.smallest) || !std::has_single_bit(sizes.largest) ||
      sizes.smallest > sizes.largest || sizes.largest > 8 || length % sizes.smallest != 0) {
    return Error{std::string(name) + ": bad access sizes"};
  }
  const Claim claim{first.value, length, &handler, sizes, std::string(name)};
  const auto after = std::find_if(self.claims.begin(), self.claims.end(),
                                  [&](const Claim& other) { return other.end() > claim.first; });
  if (after != self.claims.end() && after->first < claim.end()) {
    return Error{claim.name + ": address " + hexadecimal(std::max(after->first, claim.first)) +
                 "h belongs to " + after->name};
  }
  self.claims.insert(after, claim);
  const u64 begin = claim.first & ~kPageMask;
  const u64 end = (claim.end() + kPageMask) & ~kPageMask;
  for (u64 at = begin; at < end; at += kPageSize) {
    self.pages.make(at >> kPageShift).claimed = true;
  }
  // Where there is no memory, nobody holds a pointer: devices come and go unnoticed.
  if (self.any_memory(begin, end)) changed(begin, end);
  return {};
}

void MemoryMap::unmap_mmio(PhysicalAddress first, const IoHandler& handler) {
  Implementation& self = *implementation_;
  const auto found = std::find_if(self.claims.begin(), self.claims.end(), [&](const Claim& claim) {
    return claim.first == first.value && claim.handler == &handler;
  });
  if (found == self.claims.end()) return;
  const u64 begin = found->first & ~kPageMask;
  const u64 end = (found->end() + kPageMask) & ~kPageMask;
  self.claims.erase(found);
  self.rebuild(begin, end);
  if (self.any_memory(begin, end)) changed(begin, end);
}

void MemoryMap::set_shadow(PhysicalAddress first, u64 length, bool read_from_ram,
                           bool write_to_ram) {
  check_page_aligned(first.value, length);
  Implementation& self = *implementation_;
  const u64 end = first.value + length;
  for (u64 at = first.value; at < end; at += kPageSize) {
    PageEntry& page = self.pages.make(at >> kPageShift);
    page.shadow_controlled = true;
    page.read_from_ram = read_from_ram;
    page.write_to_ram = write_to_ram;
  }
  self.shadow_edges.insert({first.value, end});
  self.rebuild(first.value, end);
  changed(first.value, end);
}

// --- Access ---

const Claim* MemoryMap::Implementation::find_claim(u64 address) const {
  const auto after = std::upper_bound(claims.begin(), claims.end(), address,
                                      [](u64 at, const Claim& claim) { return at < claim.end(); });
  return after == claims.end() ? nullptr : &*after;
}

/// The device at `address`, or the number of bytes (at most `most`) before the next device.
Piece MemoryMap::Implementation::piece_at(u64 address, u64 most) const {
  const Claim* claim = find_claim(address);
  if (claim == nullptr) return {nullptr, {}, 0, most};
  if (claim->first > address) return {nullptr, {}, 0, std::min(most, claim->first - address)};
  return {claim->handler, claim->sizes, address - claim->first,
          std::min(most, claim->end() - address)};
}

u8* MemoryMap::Implementation::host(u16 number, u64 address) const {
  const Mapping& mapping = mappings[number - 1];
  return mapping.host + (address - mapping.first);
}

void MemoryMap::Implementation::notify(const PageEntry& page, PhysicalAddress address, u64 length) {
  // An observer may watch or unwatch while it is told: go by the bits of before, skip who has left.
  for (u32 bits = page.watchers; bits != 0; bits &= bits - 1) {
    const unsigned number = static_cast<unsigned>(std::countr_zero(bits));
    if ((page.watchers >> number & 1) == 0) continue;
    observers[number].observer->on_watched_write(address, length);
  }
}

void MemoryMap::Implementation::copy_from_memory(const PageEntry& page, u64 address, u8* into,
                                                 u64 length) const {
  if (page.read == 0) {
    std::memset(into, 0xFF, length);
  } else {
    std::memcpy(into, host(page.read, address), length);
  }
}

void MemoryMap::Implementation::copy_to_memory(const PageEntry& page, u64 address, const u8* from,
                                               u64 length) {
  if (page.write == 0) return;
  // memmove: a device may copy guest memory onto itself.
  std::memmove(host(page.write, address), from, length);
  if (page.watchers != 0) [[unlikely]]
    notify(page, {address}, length);
}

void MemoryMap::Implementation::read_claimed(const PageEntry& page, u64 address, u8* into,
                                             u64 length) {
  while (length != 0) {
    // Looked up anew each time: the handler may have moved its own region.
    const Piece piece = piece_at(address, length);
    u64 done = piece.length;
    if (piece.handler == nullptr) {
      copy_from_memory(page, address, into, done);
    } else {
      done = access_width(piece, length);
      const u64 value = read_device(piece, static_cast<unsigned>(done));
      std::memcpy(into, &value, done);
    }
    address += done, into += done, length -= done;
  }
}

void MemoryMap::Implementation::write_claimed(const PageEntry& page, u64 address, const u8* from,
                                              u64 length) {
  while (length != 0) {
    const Piece piece = piece_at(address, length);
    u64 done = piece.length;
    if (piece.handler == nullptr) {
      copy_to_memory(page, address, from, done);
    } else {
      done = access_width(piece, length);
      u64 value = 0;
      std::memcpy(&value, from, done);
      write_device(piece, value, static_cast<unsigned>(done));
    }
    address += done, from += done, length -= done;
  }
}

void MemoryMap::Implementation::read_in_page(u64 address, u8* into, u64 length) {
  const PageEntry& page = pages.find(address >> kPageShift);
  if (page.device_reads()) [[unlikely]] {
    read_claimed(page, address, into, length);
  } else {
    copy_from_memory(page, address, into, length);
  }
}

void MemoryMap::Implementation::write_in_page(u64 address, const u8* from, u64 length) {
  const PageEntry& page = pages.find(address >> kPageShift);
  if (page.device_writes()) [[unlikely]] {
    write_claimed(page, address, from, length);
  } else {
    copy_to_memory(page, address, from, length);
  }
}

void MemoryMap::read(PhysicalAddress address, std::span<u8> bytes) {
  u64 at = address.value;
  for (u64 done = 0; done < bytes.size();) {
    const u64 length = std::min<u64>(bytes.size() - done, kPageSize - (at & kPageMask));
    implementation_->read_in_page(at, bytes.data() + done, length);
    at += length, done += length;
  }
}

void MemoryMap::write(PhysicalAddress address, std::span<const u8> bytes) {
  u64 at = address.value;
  for (u64 done = 0; done < bytes.size();) {
    const u64 length = std::min<u64>(bytes.size() - done, kPageSize - (at & kPageMask));
    implementation_->write_in_page(at, bytes.data() + done, length);
    at += length, done += length;
  }
}

u64 MemoryMap::read_value(PhysicalAddress address, unsigned size) {
  u8 bytes[8] = {};
  read(address, std::span(bytes, std::min(size, 8U)));
  u64 value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void MemoryMap::write_value(PhysicalAddress address, u64 value, unsigned size) {
  u8 bytes[8];
  std::memcpy(bytes, &value, sizeof value);
  write(address, std::span<const u8>(bytes, std::min(size, 8U)));
}

bool MemoryMap::compare_exchange(PhysicalAddress address, u64 expected, u64 desired,
                                 unsigned size) {
  if ((size != 4 && size != 8) || address.value % size != 0) {
    broken_invariant("compare_exchange of a size or alignment that no table has");
  }
  Implementation& self = *implementation_;
  const PageEntry& page = self.pages.find(address.frame());
  const bool ram = page.read != 0 && page.read == page.write && !page.device_reads();
  if (!ram) {
    if (read_value(address, size) != expected) return false;
    write_value(address, desired, size);
    return true;
  }
  u8* host = self.host(page.write, address.value);
  bool exchanged = false;
  if (size == 4) {
    u32 old = static_cast<u32>(expected);
    exchanged = std::atomic_ref(*reinterpret_cast<u32*>(host))
                    .compare_exchange_strong(old, static_cast<u32>(desired));
  } else {
    exchanged =
        std::atomic_ref(*reinterpret_cast<u64*>(host)).compare_exchange_strong(expected, desired);
  }
  if (exchanged && page.watchers != 0) self.notify(page, address, size);
  return exchanged;
}

cpu::HostPage MemoryMap::host_page(PhysicalAddress address) const {
  const PageEntry& page = implementation_->pages.find(address.frame());
  if (page.read == 0 || page.device_reads()) return {};
  u8* host = implementation_->host(page.read, address.page().value);
  const bool writable = page.write == page.read && !page.device_writes() && page.watchers == 0;
  return {host, writable ? host : nullptr};
}

std::optional<MemoryMap::Backing> MemoryMap::backing(PhysicalAddress address) const {
  const PageEntry& page = implementation_->pages.find(address.frame());
  if (page.read == 0 || page.device_reads()) return std::nullopt;
  const Mapping& mapping = implementation_->mappings[page.read - 1];
  return Backing{mapping.file_offset + (address.page().value - mapping.first),
                 page.write == page.read && !page.device_writes()};
}

std::optional<MemoryMap::BackingRun> MemoryMap::backing_run(PhysicalAddress address,
                                                            PhysicalAddress lowest,
                                                            PhysicalAddress end,
                                                            RunKind kind) const {
  const Implementation& self = *implementation_;
  const PageEntry& middle = self.pages.find(address.frame());
  if (middle.read == 0 || middle.device_reads()) return std::nullopt;
  const auto writable = [](const PageEntry& page) {
    return page.write == page.read && !page.device_writes() && page.watchers == 0;
  };
  // One mapping is one piece of the file, so the same mapping is all that order takes.
  const auto alike = [&](u64 frame) {
    const PageEntry& page = self.pages.find(frame);
    return page.read == middle.read && !page.device_reads() &&
           (kind == RunKind::IgnoreWrites || writable(page) == writable(middle));
  };
  u64 first = address.frame();
  u64 last = first;
  while (first > lowest.frame() && alike(first - 1)) --first;
  while (last + 1 < end.frame() && alike(last + 1)) ++last;
  const Mapping& mapping = self.mappings[middle.read - 1];
  return BackingRun{{first << kPageShift},
                    last - first + 1,
                    mapping.file_offset + ((first << kPageShift) - mapping.first),
                    writable(middle)};
}

// --- Watches ---

void MemoryMap::watch(PhysicalAddress address, WriteObserver& observer) {
  // Where nothing was ever mapped nothing can be written.
  PageEntry* page = implementation_->pages.find_existing(address.frame());
  if (page == nullptr) return;
  auto& slots = implementation_->observers;
  auto slot = std::find_if(slots.begin(), slots.end(),
                           [&](const ObserverSlot& s) { return s.observer == &observer; });
  if (slot == slots.end()) {
    slot = std::find_if(slots.begin(), slots.end(),
                        [](const ObserverSlot& s) { return s.observer == nullptr; });
    if (slot == slots.end()) broken_invariant("too many write observers");
    slot->observer = &observer;
  }
  const u32 bit = u32{1} << (slot - slots.begin());
  if ((page->watchers & bit) != 0) return;
  const bool first_watch = page->watchers == 0;
  page->watchers |= bit;
  ++slot->pages;
  if (!first_watch) return;
  for (RemapObserver* other : implementation_->remap_observers) other->on_watched(address.page());
}

void MemoryMap::unwatch(PhysicalAddress address, WriteObserver& observer) {
  PageEntry* page = implementation_->pages.find_existing(address.frame());
  if (page == nullptr) return;
  auto& slots = implementation_->observers;
  const auto slot = std::find_if(slots.begin(), slots.end(),
                                 [&](const ObserverSlot& s) { return s.observer == &observer; });
  if (slot == slots.end()) return;
  const u32 bit = u32{1} << (slot - slots.begin());
  if ((page->watchers & bit) == 0) return;
  page->watchers &= ~bit;
  if (--slot->pages == 0) slot->observer = nullptr;
}

bool MemoryMap::watched(PhysicalAddress address) const {
  return implementation_->pages.find(address.frame()).watchers != 0;
}

void MemoryMap::forget(WriteObserver& observer) {
  auto& slots = implementation_->observers;
  for (std::size_t number = 0; number < slots.size(); ++number) {
    if (slots[number].observer != &observer) continue;
    implementation_->pages.for_each([&](PageEntry& page) { page.watchers &= ~(u32{1} << number); });
    slots[number] = {};
  }
}

void MemoryMap::observe_remaps(RemapObserver& observer) {
  implementation_->remap_observers.push_back(&observer);
}

void MemoryMap::ignore_remaps(RemapObserver& observer) {
  std::erase(implementation_->remap_observers, &observer);
}

// --- Listing ---

std::vector<MemoryMap::Region> MemoryMap::regions() const {
  const Implementation& self = *implementation_;
  std::set<u64> edges = self.shadow_edges;
  for (const u16 number : self.order) {
    edges.insert({self.mappings[number].first, self.mappings[number].end()});
  }
  for (const Claim& claim : self.claims) edges.insert({claim.first, claim.end()});

  std::vector<Region> regions;
  const void* last = nullptr;  // what the last region shows
  for (auto edge = edges.begin(); edge != edges.end() && std::next(edge) != edges.end(); ++edge) {
    const u64 first = *edge;
    const u64 length = *std::next(edge) - first;
    const PageEntry& page = self.pages.find(first >> kPageShift);
    const Claim* claim = page.device_reads() ? self.find_claim(first) : nullptr;
    if (claim != nullptr && claim->first > first) claim = nullptr;
    const Mapping* mapping = page.read == 0 ? nullptr : &self.mappings[page.read - 1];
    const void* shown = claim != nullptr ? static_cast<const void*>(claim) : mapping;
    if (shown != nullptr && shown == last) {
      regions.back().length += length;
    } else if (claim != nullptr) {
      regions.push_back({{first}, length, Kind::Mmio, claim->name});
    } else if (mapping != nullptr) {
      regions.push_back({{first}, length, mapping->kind, mapping->name});
    }
    last = shown;
  }
  return regions;
}

}  // namespace ringshift::mmu
