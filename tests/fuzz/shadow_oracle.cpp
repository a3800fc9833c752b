// What a legal TLB may answer.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/fuzz/shadow_world.h"

namespace ringshift::tests {

using cpu::AccessType;
using cpu::Privilege;
using mmu::FaultClass;

namespace {

constexpr u64 kAccessedDirty = 0x60;

}  // namespace

u64 ShadowWorld::Walk::read_entry(PhysicalAddress address, unsigned size) {
  const u64 at = world->port_.mask_a20(address).value;
  for (const Entry& seen : entries) {
    if (seen.address == at && seen.size == size) return seen.value;
  }
  const auto other = forced.find(at);
  const u64 value = other != forced.end() ? other->second : world->port_.read_physical({at}, size);
  entries.push_back({at, size, value});
  return value;
}

bool ShadowWorld::Walk::compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                                               unsigned size) {
  if (read_entry(address, size) != expected) return false;
  const u64 at = world->port_.mask_a20(address).value;
  const auto backing = world->map_.backing(PhysicalAddress{at});
  if (backing.has_value() && !backing->writable) return true;
  for (Entry& seen : entries) {
    if (seen.address == at && seen.size == size) seen.value = desired;
  }
  return true;
}

ShadowWorld::Walk ShadowWorld::walk(u64 linear, AccessType type) {
  Walk walk;
  walk.world = this;
  const auto result =
      mmu::walk_page_tables(context_, {linear}, {type, privilege_, false}, {}, walk);
  if (const auto* found = std::get_if<cpu::Translation>(&result)) walk.translation = *found;
  return walk;
}

FaultClass ShadowWorld::verdict(const Walk& walk, AccessType type) const {
  if (!walk.translation.has_value()) return FaultClass::GuestFault;
  const PhysicalAddress physical = port_.mask_a20(walk.translation->address);
  const auto backing = map_.backing(physical);
  if (!backing.has_value()) return FaultClass::Device;
  for (const Walk::Entry& entry : walk.entries) {  // tables that nobody can keep an eye on
    if (!map_.backing(PhysicalAddress{entry.address}).has_value()) return FaultClass::Device;
  }
  if (type != AccessType::Write) return FaultClass::Mapped;
  if (!backing->writable) return FaultClass::Device;
  return watched_.contains(physical.frame()) ? FaultClass::Watched : FaultClass::Mapped;
}

/// The guest has invalidated whatever it has edited on the way to `linear`.
bool ShadowWorld::in_sync(const Walk& walk, u64 linear) const {
  u64 since = flushed_;
  const auto found = invalidated_.find(linear >> 12);
  if (found != invalidated_.end()) since = std::max(since, found->second);
  return std::all_of(walk.entries.begin(), walk.entries.end(), [&](const Walk::Entry& entry) {
    return entry.address >= kRam || edited_[entry.address / 8] <= since;
  });
}

bool ShadowWorld::judge_exact(const Walk& walk, u64 linear, AccessType type, u32 value,
                              const WindowTouch::Outcome& outcome) {
  ++exact_checks_;
  char text[200];
  const FaultClass expected = verdict(walk, type);
  if (outcome.verdict != expected) {
    std::snprintf(text, sizeof text, "%s of %llxh: verdict %d, expected %d",
                  type == AccessType::Write ? "write" : "read",
                  static_cast<unsigned long long>(linear), static_cast<int>(outcome.verdict),
                  static_cast<int>(expected));
    return complain(text);
  }
  for (const Walk::Entry& entry : walk.entries) {
    if (walk.translation.has_value() && entry.address < kRam) {
      const auto backing = map_.backing(PhysicalAddress{entry.address});
      if (backing.has_value() && backing->writable) {
        std::memcpy(mirror_.data() + entry.address, &entry.value, entry.size);
      }
    }
  }
  if (expected == FaultClass::Mapped) {
    const u64 physical = port_.mask_a20(walk.translation->address).value;
    if (type == AccessType::Write) note_write(physical, &value, 4);
    if (word(physical) != (type == AccessType::Write ? value : outcome.value)) {
      std::snprintf(text, sizeof text, "%s of %llxh: not the memory at %llxh",
                    type == AccessType::Write ? "write" : "read",
                    static_cast<unsigned long long>(linear),
                    static_cast<unsigned long long>(physical));
      return complain(text);
    }
  }
  for (const Walk::Entry& entry : walk.entries) {
    if (entry.address < kRam && map_.backing(PhysicalAddress{entry.address}).has_value() &&
        !check_region(entry.address, entry.size)) {
      return false;
    }
  }
  return true;
}

/// Every place that an access may legally reach by entries that were in force since the flush.
std::vector<u64> ShadowWorld::candidates(u64 linear, AccessType type) {
  std::vector<u64> places;
  const auto versions_of = [&](const Walk::Entry& entry) {
    Versions values = {entry.value};
    const auto found = versions_.find(entry.address / 8);
    if (found == versions_.end()) return values;
    for (const u64 old : found->second) {
      values.push_back(entry.size == 8 ? old : (old >> (8 * (entry.address & 4))) & 0xFFFFFFFF);
    }
    return values;
  };
  const auto try_walk = [&](const std::map<u64, u64>& forced) {
    Walk walk;
    walk.world = this;
    walk.forced = forced;
    const auto result =
        mmu::walk_page_tables(context_, {linear}, {type, privilege_, false}, {}, walk);
    if (const auto* found = std::get_if<cpu::Translation>(&result)) walk.translation = *found;
    if (verdict(walk, type) == FaultClass::Mapped) {
      places.push_back(port_.mask_a20(walk.translation->address).value);
    }
    return walk.entries;
  };
  const auto top = try_walk({});
  if (top.empty()) return places;
  for (const u64 directory : versions_of(top[0])) {
    const auto path = try_walk({{top[0].address, directory}});
    if (path.size() < 2) continue;
    for (const u64 leaf : versions_of(path[1])) {
      try_walk({{top[0].address, directory}, {path[1].address, leaf}});
    }
  }
  return places;
}

/// After an access by who knows which entries: those of the current tables may have gained bits.
bool ShadowWorld::settle_bits(const Walk& walk) {
  for (const Walk::Entry& seen : walk.entries) {
    const auto backing = map_.backing(PhysicalAddress{seen.address});
    if (seen.address >= kRam || !backing.has_value() || !backing->writable) continue;
    u64 now = 0;
    std::memcpy(&now, ram_.host + seen.address, seen.size);
    const u64 kept = entry(mirror_, seen.address, seen.size);
    if ((now & ~kAccessedDirty) == (kept & ~kAccessedDirty) && (kept & ~now) == 0) {
      std::memcpy(mirror_.data() + seen.address, &now, seen.size);
    }
  }
  return true;
}

bool ShadowWorld::judge_loose(const Walk& walk, const std::vector<u64>& places, u64 linear,
                              AccessType type, u32 value, const WindowTouch::Outcome& outcome) {
  ++loose_checks_;
  settle_bits(walk);
  char text[120];
  if (outcome.verdict != FaultClass::Mapped) {
    if (outcome.verdict == verdict(walk, type)) return true;
    std::snprintf(text, sizeof text, "access to %llxh before INVLPG: verdict %d, new tables say %d",
                  static_cast<unsigned long long>(linear), static_cast<int>(outcome.verdict),
                  static_cast<int>(verdict(walk, type)));
    return complain(text);
  }
  std::optional<u64> reached;
  for (const u64 place : places) {
    if (word(place) != (type == AccessType::Write ? value : outcome.value)) continue;
    // Of several that hold the value now, the one that didn't before was written.
    const bool news = type == AccessType::Write && entry(mirror_, place, 4) != value;
    if (!reached.has_value() || news) reached = place;
  }
  if (reached.has_value()) {
    if (type == AccessType::Write) note_write(*reached, &value, 4);
    settle_bits(walk);
    return true;
  }
  std::snprintf(text, sizeof text, "%s of %llxh before INVLPG: not by any tables there were",
                type == AccessType::Write ? "write" : "read",
                static_cast<unsigned long long>(linear));
  return complain(text);
}

bool ShadowWorld::check_region(u64 first, u64 length) {
  if (std::memcmp(ram_.host + first, mirror_.data() + first, length) == 0) return true;
  u64 at = first;
  while (ram_.host[at] == mirror_[at]) ++at;
  char text[120];
  std::snprintf(text, sizeof text, "memory at %llxh is %02x, expected %02x",
                static_cast<unsigned long long>(at), ram_.host[at], mirror_[at]);
  return complain(text);
}

bool ShadowWorld::check_all() {
  return check_region(0, kRam) && check_fetched(false, 0);
}

/// What was fetched and not taken back is still what a fetch would find, accessed bits and all.
bool ShadowWorld::check_fetched(bool only_page, u64 page) {
  const Privilege kept_privilege = privilege_;
  const bool kept_smep = context_.smep;
  bool right = true;
  const FetchKey first{window_.space, only_page ? page : 0, Privilege::Supervisor, false};
  for (auto known = fetched_.lower_bound(first); known != fetched_.end(); ++known) {
    const auto& [key, physical] = *known;
    if (key.space != window_.space || (only_page && key.page != page)) break;
    privilege_ = key.privilege;
    context_.smep = key.smep;
    const Walk walk = this->walk(key.page << 12, AccessType::Execute);
    if (!in_sync(walk, key.page << 12)) continue;
    right = walk.translation.has_value() && walk.translation->address.value == physical;
    for (const Walk::Entry& seen : walk.entries) {
      right = right && (seen.address >= kRam || !map_.backing({seen.address}).has_value() ||
                        port_.read_physical({seen.address}, seen.size) == seen.value);
    }
    if (!right) break;
  }
  privilege_ = kept_privilege;
  context_.smep = kept_smep;
  return right || complain("a fetch would find something else than it was told");
}

}  // namespace ringshift::tests
