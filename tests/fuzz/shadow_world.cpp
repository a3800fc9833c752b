#include "tests/fuzz/shadow_world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ringshift::tests {

using cpu::AccessType;
using cpu::Privilege;

namespace {

// Where things lie. Tables: directories first, then the tables they usually point to; the last two
// map all of these at kSelfMap, for a guest that edits its tables where it sees them.
constexpr u64 kFirstTable = 0x10;
constexpr u64 kRoots = 4;
constexpr u64 kLeafTable = kFirstTable + 3 * kRoots;
constexpr u64 kLeafTables = 12;
constexpr u64 kSelfMapLegacy = kLeafTable + kLeafTables;
constexpr u64 kSelfMapPae = kSelfMapLegacy + 1;
constexpr u64 kTables = kSelfMapPae + 1 - kFirstTable;
constexpr u64 kSelfMap = 0xC000'0000;
constexpr u64 kFirstData = 0x100;
constexpr u64 kDataPages = 96;
constexpr u64 kDevice = 0xA0;
constexpr u64 kRom = 0xF0;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40,
              kLarge = 0x80;
constexpr u64 kAccessedDirty = kAccessed | kDirty;

constexpr u64 kDirectories[] = {0, 1, 2, 0x1FF, 0x3FE, 0x3FF};

struct DeviceMemory final : IoHandler {
  u64 io_read(u64, unsigned) override { return 0; }
  void io_write(u64, u64, unsigned) override {}
};
DeviceMemory device;

/// The tables through which the guest edits its tables stay as they are.
bool in_self_map(u64 physical) {
  return physical >> 12 >= kSelfMapLegacy && physical >> 12 <= kSelfMapPae;
}

}  // namespace

// --- Making the world ---

ShadowWorld::ShadowWorld(u64 seed)
    : random_(seed), memory_(std::move(mmu::GuestMemory::create(kRam + 0x10000)).value()) {
  ram_ = *memory_.allocate(kRam, "ram");
  rom_ = *memory_.allocate(0x10000, "rom");
  map_.map_memory({0}, kRam, mmu::MemoryMap::Kind::Ram, "ram", ram_, 0);
  map_.map_memory({kRom << 12}, 0x10000, mmu::MemoryMap::Kind::Rom, "rom", rom_, 0);
  if (!map_.map_mmio({kDevice << 12}, 0x2000, "device", device).ok()) std::abort();

  mmu::ShadowLimits limits;
  limits.mappings = random_.pick<u64>({40, 200, 1000, 20'000});
  limits.windows = random_.pick<u32>({2, 4, 64});
  limits.regions = random_.pick<u64>({1, 1100, 32'768});
  limits.tables = random_.pick<u64>({1, 8, 16'384});
  limits.lines_looked_into = random_.pick<u64>({1, 5, 32'768});
  limits.spaces = random_.pick<u32>({1, 3, 64});
  limits.pages_per_miss = random_.pick<u32>({1, 8, 64, 1024});
  limits.quiet_checks = random_.pick<u32>({1, 3, 20, 1000});
  auto made = mmu::ShadowMmu::create(map_, port_, memory_.file(), limits);
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    std::abort();
  }
  shadow_ = std::move(*made);
  shadow_->set_observer(this);
  touch_.emplace(*shadow_);

  for (u64 at = 0; at < kRam; at += 4) {
    const u32 mark = static_cast<u32>(at * 0x9E3779B1) & ~u32{kPresent};
    std::memcpy(ram_.host + at, &mark, 4);
  }
  for (u64 table = 0; table < kTables; ++table) {
    std::memset(ram_.host + ((kFirstTable + table) << 12), 0, kPageSize);
    const u64 pte = (kFirstTable + table) << 12 | kWritable | kPresent;
    std::memcpy(ram_.host + (kSelfMapLegacy << 12) + 4 * table, &pte, 4);
    std::memcpy(ram_.host + (kSelfMapPae << 12) + 8 * table, &pte, 8);
  }
  mirror_.assign(ram_.host, ram_.host + kRam);
  edited_.resize(kRam / 8);
  // A first filling, so that most of what follows finds something.
  for (unsigned n = 0; n < 3000; ++n) {
    if (n % 500 == 0) load_cr3();
    edit();
  }
  flush_and_select();
}

ShadowWorld::~ShadowWorld() {
  touch_.reset();
  shadow_.reset();
  map_.forget(*this);
}

// --- What the shadow MMU says ---

void ShadowWorld::on_mapping_changed(u32 space, LinearAddress first, u64 length) {
  std::erase_if(fetched_, [&](const auto& known) {
    return known.first.space == space && (known.first.page << 12) - first.value < length;
  });
}

void ShadowWorld::on_space_dropped(u32 space) {
  std::erase_if(fetched_, [&](const auto& known) { return known.first.space == space; });
}

void ShadowWorld::on_watched_write(PhysicalAddress, u64) {}

void ShadowWorld::select() {
  window_ = shadow_->select(context_, privilege_);
}

void ShadowWorld::flush_and_select() {
  shadow_->flush();
  select();
  flushed_ = time_;
  versions_.clear();
  invalidated_.clear();
}

bool ShadowWorld::complain(std::string what) {
  char where[160];
  std::snprintf(where, sizeof where,
                " (paging %d, PAE %d, PSE %d, NX %d, WP %d, SMAP %d, AC %d, CR3 %llxh, %s, A20 %d)",
                context_.paging, context_.pae, context_.page_size_extension, context_.no_execute,
                context_.write_protect, context_.smap, context_.alignment_check_flag,
                static_cast<unsigned long long>(context_.cr3),
                privilege_ == Privilege::User ? "user" : "supervisor", port_.a20());
  if (complaint_.empty()) complaint_ = std::move(what) + where;
  return false;
}

// --- Choice ---

u64 ShadowWorld::any_linear() {
  if (random_.chance(40)) return recent_[random_.below(kRecent)];
  const u64 directory = random_.pick(kDirectories);
  const u64 page = random_.chance(90) ? random_.below(40) : 0x3F8 + random_.below(8);
  const u64 linear = directory << 22 | page << 12 | (u64{random_.below(1024)} << 2);
  recent_[random_.below(kRecent)] = linear;
  return linear;
}

u64 ShadowWorld::any_frame(u64 linear_page) {
  const u32 dice = random_.below(100);
  if (dice < 50) return kFirstData + (linear_page * 5 / 4) % kDataPages;  // runs of four
  if (dice < 88) return kFirstData + random_.below(kDataPages);
  if (dice < 92) return kFirstTable + random_.below(kTables);
  if (dice < 94) return kDevice + random_.below(3);
  if (dice < 96) return kRom + random_.below(2);
  if (dice < 98) return 0x2000 + random_.below(4);  // behind RAM
  return (kFirstData ^ 0x100) + 0x110 + random_.below(16);
}

u64 ShadowWorld::any_leaf(u64 linear_page, unsigned size) {
  u64 entry = any_frame(linear_page) << 12;
  if (random_.chance(97)) entry |= kPresent;
  if (random_.chance(85)) entry |= kWritable;
  if (random_.chance(88)) entry |= kUser;
  if (random_.chance(70)) entry |= kAccessed;
  if (random_.chance(60)) entry |= kDirty;
  if (random_.chance(10)) entry |= u64{random_.below(64)} << 6 & 0xF80;
  if (size == 8 && random_.chance(context_.no_execute ? 10 : 1)) entry |= u64{1} << 63;
  if (size == 8 && random_.chance(1)) entry |= u64{1} << (36 + random_.below(27));
  return entry;
}

u64 ShadowWorld::any_directory_entry(u64 linear, unsigned size) {
  u64 entry = kPresent | kWritable | kUser | (random_.next() & kAccessed);
  if (random_.chance(3)) entry &= ~kPresent;
  if (random_.chance(5)) entry &= ~kWritable;
  if (random_.chance(5)) entry &= ~kUser;
  if (size == 8 && random_.chance(context_.no_execute ? 5 : 1)) entry |= u64{1} << 63;
  const u32 dice = random_.below(100);
  if (dice < 12) {
    const u64 unit = size == 8 ? 2 << 20 : 4 << 20;
    entry |= kLarge | (random_.next() & kDirty) | unit * random_.below(5);
    if (random_.chance(5)) entry |= u64{1} << (13 + random_.below(9));  // reserved, or PSE-36
    return entry;
  }
  if (dice < 15) return entry | (kFirstTable + random_.below(kTables)) << 12;
  if (dice < 17) return entry | any_frame(linear >> 12) << 12;
  if (linear >= kSelfMap && linear < kSelfMap + (2 << 20)) {
    return entry | (size == 8 ? kSelfMapPae : kSelfMapLegacy) << 12;
  }
  // Half of them for each size of entry; a table that serves both sizes is garbage to one.
  const bool upper = (size == 8) != random_.chance(2);
  return entry | (kLeafTable + (upper ? kLeafTables / 2 : 0) + (linear >> 21) % (kLeafTables / 2))
                     << 12;
}

u64 ShadowWorld::mutated(u64 entry, unsigned size) {
  switch (random_.below(18)) {
    case 0:
      return entry ^ kPresent;
    case 1:
    case 2:
    case 10:
    case 11:
      return entry ^ kWritable;
    case 3:
      return entry ^ kUser;
    case 4:
    case 5:
      return entry & ~kAccessed;
    case 6:
      return entry & ~kDirty;
    case 7:
      return entry & ~kAccessedDirty;
    case 8:
      return entry ^ u64 { 1 } << (size == 8 ? random_.below(64) : random_.below(32));
    case 9:
      return entry ^ kLarge;
    case 12:
      return size == 8 ? entry ^ u64 { 1 } << 63 : entry ^ kWritable;
    default:
      return entry | kAccessedDirty | kPresent;
  }
}

/// Where the entry for `linear` lies in RAM, at the level asked for.
std::optional<u64> ShadowWorld::entry_for(u64 linear, bool directory) {
  const unsigned size = context_.pae ? 8 : 4;
  u64 table = context_.cr3 & 0xFFFFF000;
  u64 index = linear >> 22;
  if (context_.pae) {
    const u64 pointer = context_.pdpte[linear >> 30];
    if ((pointer & kPresent) == 0) return std::nullopt;
    table = pointer & 0xFFFFF000;
    index = linear >> 21 & 0x1FF;
  }
  if (!directory) {
    const u64 at = port_.mask_a20({table + index * size}).value;
    const u64 above = port_.read_physical({at}, size);
    const bool large = (above & kLarge) != 0 && (context_.pae || context_.page_size_extension);
    if ((above & kPresent) == 0 || large) return std::nullopt;
    table = above & 0xF'FFFF'F000;
    index = linear >> 12 & (kPageSize / size - 1);
  }
  const u64 at = port_.mask_a20({table + index * size}).value;
  if (at + size > kRam) return std::nullopt;
  const auto backing = map_.backing(PhysicalAddress{at});
  if (!backing.has_value() || !backing->writable) return std::nullopt;
  return at;
}

// --- Memory ---

u32 ShadowWorld::word(u64 physical) const {
  u32 value = 0;
  const auto backing = map_.backing(PhysicalAddress{physical});
  std::memcpy(&value, ram_.host + backing->file_offset + (physical & kPageMask), 4);
  return value;
}

u64 ShadowWorld::entry(const std::vector<u8>& memory, u64 address, unsigned size) const {
  u64 value = 0;
  std::memcpy(&value, memory.data() + address, size);
  return value;
}

/// Keeps the value that is about to go.
void ShadowWorld::remember(u64 cell) {
  Versions& versions = versions_[cell];
  const u64 old = entry(mirror_, cell * 8, 8);
  if (std::find(versions.begin(), versions.end(), old) == versions.end()) versions.push_back(old);
}

/// The guest has written RAM: the mirror follows, and the entry counts as edited.
void ShadowWorld::note_write(u64 physical, const void* bytes, unsigned size) {
  remember(physical / 8);
  std::memcpy(mirror_.data() + physical, bytes, size);
  edited_[physical / 8] = ++time_;
}

bool ShadowWorld::guest_writes(u64 physical, u64 value, unsigned size, By by) {
  switch (by) {
    case By::Window:
      // Through the self-map where that leads there; two words, as a 32-bit guest writes them.
      if (context_.paging && physical >> 12 >= kFirstTable &&
          physical >> 12 < kFirstTable + kTables) {
        const u64 linear = kSelfMap + (physical - (kFirstTable << 12));
        stamp_ = static_cast<u32>(value);
        if (!touch(linear, AccessType::Write)) return false;
        if (size == 4) return true;
        stamp_ = static_cast<u32>(value >> 32);
        return touch(linear + 4, AccessType::Write);
      }
      [[fallthrough]];
    case By::Dma:
      map_.write_value({physical}, value, size);
      break;
    case By::Processor:
      // As inline code in another window does, which a watch would have stopped.
      if (map_.watched({physical})) {
        map_.write_value({physical}, value, size);
      } else {
        std::memcpy(ram_.host + physical, &value, size);
      }
      break;
  }
  note_write(physical, &value, size);
  return true;
}

// --- The guest's actions ---

bool ShadowWorld::touch(u64 linear, AccessType type) {
  const Walk walk = this->walk(linear, type);
  const bool exact = in_sync(walk, linear);
  const u32 value = stamp_;
  const auto places = exact ? std::vector<u64>() : candidates(linear, type);
  const auto outcome = type == AccessType::Write ? touch_->write(window_, linear, value)
                                                 : touch_->read(window_, linear);
  if (outcome.faults > 4) return complain("an access faults over and over");
  if (!exact) return judge_loose(walk, places, linear, type, value, outcome);
  return judge_exact(walk, linear, type, value, outcome);
}

bool ShadowWorld::access() {
  const bool write = random_.chance(40);
  const AccessType type = write ? AccessType::Write : AccessType::Read;
  const u64 linear = any_linear();
  stamp_ = static_cast<u32>(time_) << 1;  // never a present entry
  if (!touch(linear, type)) return false;
  if (!context_.paging || walk(linear, type).translation.has_value() || random_.chance(30)) {
    return true;
  }
  // A page fault handler that means well.
  for (const bool directory : {true, false}) {
    const auto at = entry_for(linear, directory);
    if (!at.has_value() || in_self_map(*at)) continue;
    const unsigned size = context_.pae ? 8 : 4;
    const u64 good = kPresent | kWritable | kUser;
    if ((entry(mirror_, *at, size) & (good | u64{1} << 63)) == good) continue;
    const u64 value = directory ? any_directory_entry(linear, size) : any_leaf(linear >> 12, size);
    if (!guest_writes(*at, (value | good) & ~(u64{1} << 63), size, By::Processor)) return false;
  }
  shadow_->invalidate_page({linear});
  invalidated_[linear >> 12] = time_;
  stamp_ = static_cast<u32>(++time_) << 1;
  return touch(linear, type);
}

bool ShadowWorld::edit() {
  if (!context_.paging) return access();
  const u64 linear = random_.chance(3) ? kSelfMap : any_linear();
  const bool directory = random_.chance(8) || linear == kSelfMap;
  auto at = entry_for(linear, directory);
  const bool missing = !at.has_value();
  if (missing) at = entry_for(linear, true);
  if (!at.has_value()) return true;
  const unsigned size = context_.pae ? 8 : 4;
  const u64 old = entry(mirror_, *at, size);
  u64 value = 0;
  if ((old & kPresent) != 0 && random_.chance(50)) {
    value = mutated(old, size);
  } else if (directory || missing) {
    value = any_directory_entry(linear, size);
  } else {
    value = any_leaf(linear >> 12, size);
  }
  if (size == 4) value &= 0xFFFFFFFF;
  // Stay within the tables, mostly: an entry that is RAM's own bytes is garbage soon enough.
  if (in_self_map(*at)) return true;
  constexpr By kBy[] = {By::Processor, By::Processor, By::Dma, By::Window, By::Window};
  if (!guest_writes(*at, value, size, random_.pick(kBy))) return false;
  if (random_.chance(60)) return true;
  stamp_ = static_cast<u32>(++time_) << 1;
  return touch(linear, random_.chance(40) ? AccessType::Write : AccessType::Read);
}

bool ShadowWorld::invalidate() {
  const u64 linear = any_linear();
  shadow_->invalidate_page({linear});
  invalidated_[linear >> 12] = time_;
  if (!check_fetched(true, linear >> 12)) return false;
  if (random_.chance(30)) return true;
  stamp_ = static_cast<u32>(time_) << 1;
  return touch(linear & ~u64{3}, random_.chance(40) ? AccessType::Write : AccessType::Read);
}

bool ShadowWorld::load_cr3() {
  const u32 which = random_.below(100);
  if (which < 4) {
    context_.paging = false;
    privilege_ = Privilege::Supervisor;
  } else {
    context_.paging = true;
    context_.pae = which >= 52;
    const u64 root = random_.below(kRoots);
    context_.cr3 = (kFirstTable + root) << 12;
    for (u64 n = 0; n < 4; ++n) {
      // Two of the four are common to all.
      const u64 directory = n == 0 || n == 3 ? kRoots + n : kRoots + (root + n) % (2 * kRoots);
      context_.pdpte[n] = (kFirstTable + directory) << 12 | kPresent;
    }
    if (random_.chance(3)) context_.pdpte[random_.below(4)] = 0;
    if (random_.chance(10)) {
      context_.pdpte[random_.below(4)] =
          (kFirstTable + kRoots + random_.below(2 * kRoots)) << 12 | kPresent;
    }
  }
  flush_and_select();
  return random_.chance(90) || check_fetched(false, 0);
}

bool ShadowWorld::change_mode() {
  switch (random_.below(5)) {
    case 0:
      context_.write_protect = !context_.write_protect;
      break;
    case 1:
      context_.smap = !context_.smap;
      break;
    case 2:
      context_.no_execute = !context_.no_execute;
      break;
    case 3:
      context_.page_size_extension = !context_.page_size_extension;
      break;
    default:
      context_.smep = !context_.smep;
      break;
  }
  flush_and_select();
  return true;
}

bool ShadowWorld::change_privilege() {
  if (random_.chance(20)) {
    context_.alignment_check_flag = !context_.alignment_check_flag;
  } else if (context_.paging) {
    privilege_ = privilege_ == Privilege::User ? Privilege::Supervisor : Privilege::User;
  }
  select();
  return true;
}

bool ShadowWorld::fetch() {
  const u64 linear = any_linear();
  const Walk walk = this->walk(linear, AccessType::Execute);
  const auto result = shadow_->fetch({linear});
  const auto* found = std::get_if<cpu::Translation>(&result);
  if ((found != nullptr) != walk.translation.has_value()) return complain("a fetch is misjudged");
  settle_bits(walk);
  if (found == nullptr) return true;
  if (found->address != walk.translation->address) return complain("a fetch from elsewhere");
  fetched_[{window_.space, linear >> 12, privilege_, context_.smep}] = found->address.page().value;
  return true;
}

bool ShadowWorld::change_watch() {
  u64 frame = random_.chance(80) ? kFirstData + random_.below(kDataPages)
                                 : kFirstTable + random_.below(kTables);
  const Walk recent = walk(recent_[random_.below(kRecent)], AccessType::Write);
  if (random_.chance(50) && recent.translation.has_value()) {
    frame = port_.mask_a20(recent.translation->address).frame();
  }
  if (watched_.size() >= 8 || watched_.contains(frame)) {
    auto over = watched_.lower_bound(frame);
    if (over == watched_.end()) over = watched_.begin();
    map_.unwatch({over->first << 12}, *this);
    watched_.erase(over);
  } else {
    watched_[frame] = true;
    map_.watch({frame << 12}, *this);
    // Whoever could write it a moment ago can't any more.
    for (const u64 linear : recent_) {
      if (!random_.chance(40)) continue;
      stamp_ = static_cast<u32>(++time_) << 1;
      if (!touch(linear, AccessType::Write)) return false;
    }
  }
  return true;
}

bool ShadowWorld::change_machine() {
  if (random_.chance(50)) {
    port_.set_a20(!port_.a20());
  } else if (rom_mapped_) {
    map_.unmap_memory({kRom << 12}, 0x10000);
    rom_mapped_ = false;
  } else {
    map_.map_memory({kRom << 12}, 0x10000, mmu::MemoryMap::Kind::Rom, "rom", rom_, 0);
    rom_mapped_ = true;
  }
  // Entries of before may lie elsewhere now; nothing of them is left.
  versions_.clear();
  flushed_ = time_;
  return true;
}

bool ShadowWorld::step() {
  ++time_;
  const u32 dice = random_.below(10'000);
  if (dice < 4500) return access();
  if (dice < 7000) return edit();
  if (dice < 8300) return invalidate();
  if (dice < 9000) return load_cr3();
  if (dice < 9600) return change_privilege();
  if (dice < 9900) return fetch();
  if (dice < 9960) return change_mode();
  if (dice < 9995) return change_watch();
  return change_machine();
}

}  // namespace ringshift::tests
