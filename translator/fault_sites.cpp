#include "translator/fault_sites.h"

#include <algorithm>
#include <utility>

namespace ringshift::translator {

FaultSites::Advice FaultSites::advice(u64 address) const {
  if (!may_hold(address)) return {};
  const auto found = sites_.find(address);
  if (found == sites_.end()) return {};
  const Site& site = found->second;
  return {site.call_out ? site.patience : u16{0}, site.wraps};
}

FaultSites::Site& FaultSites::site(u64 address) {
  if (sites_.size() >= kMostSites && !sites_.contains(address)) {
    // What was known of others is learned again where it still matters.
    sites_.clear();
    pages_.reset();
  }
  pages_.set(address >> kPageShift & kPageHash);
  return sites_[address];
}

bool FaultSites::faulted(u64 address) {
  Site& found = site(address);
  if (found.call_out || ++found.faults < kFaultsToCallOut) return false;
  found.call_out = true;
  return true;
}

bool FaultSites::wrapped(u64 address) {
  Site& found = site(address);
  return !std::exchange(found.wraps, true);
}

/// Each time that this proves wrong makes the next try rarer.
void FaultSites::retire(u64 address) {
  Site& found = site(address);
  found.call_out = false;
  found.faults = 0;
  found.patience = std::min<u16>(static_cast<u16>(found.patience * 2), kMostPatience);
}

void FaultSites::forget(u64 first, u64 length) {
  if (length <= kPageSize && !may_hold(first)) return;
  if (length <= sites_.size()) {
    for (u64 address = first; address < first + length; ++address) sites_.erase(address);
  } else {
    std::erase_if(sites_, [&](const auto& item) { return item.first - first < length; });
  }
}

}  // namespace ringshift::translator
