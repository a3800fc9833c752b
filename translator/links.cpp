// From block to block: where the dispatcher was asked the way, generated code shall find it by
// itself the next time.
#include <utility>

#include "translator/translator.h"

namespace ringshift::translator {

void Translator::follow_link(u32 exit) {
  ExitSite& site = store_.exit(exit);
  const u32 target = site.target;
  const bool from_dead = site.from->dead;
  processor_.state.rip = target;
  if (from_dead || !options_.on(Optimisation::Chaining) ||
      mode_.code_limit() == CodeLimit::Strict || processor_.attention()) {
    return;
  }
  const u64 flushes = cache_flushes_;
  bury_doomed();
  refresh();
  Block* block = next_block(target);
  if (block == nullptr || flushes != cache_flushes_) return;
  connect(exit, *block);
}

/// The exit leads straight to the block from now on, or by way of the branch table, if it may.
void Translator::connect(u32 exit, Block& to) {
  ExitSite& site = store_.exit(exit);
  if (site.from->dead) return;
  const bool both_global = site.from->everywhere() && to.everywhere() && mode_.has(Mode::kFlatCode);
  const bool stays =
      (!site.other_page && !to.crosses_page) || both_global || !mode_.has(Mode::kPaging);
  // Where that block runs in several modes, the next one must as well.
  if (stays && store_.share(to, site.from->indifferent)) {
    store_.link(exit, to);
    if ((site.other_page || to.crosses_page) && !std::exchange(site.in_page_links, true)) {
      page_links_.add(exit, static_cast<u32>(lane_code_base_ + site.target));
    }
  } else if (site.by_table != nullptr) {
    if (learn(site.target, to)) store_.link_by_table(exit);
  } else if (site.from->indifferent != 0) {
    store_.keep_separate(site.from->address);
    doomed_.push_back(site.from);
  }
}

/// A new block's exits to blocks that are there already. What an address means is looked up only
/// where that leaves no trace in the guest's tables.
void Translator::connect_known(const Block& block) {
  if (!options_.on(Optimisation::Chaining) || mode_.code_limit() == CodeLimit::Strict) return;
  const cpu::SegmentRegister& cs = processor_.state.segment(cpu::SegmentName::CS);
  for (const u32 exit : block.exits) {
    const u32 target = store_.exit(exit).target;
    const auto place = located_before((cs.base + target) & 0xFFFFFFFF);
    if (!place || target > cs.limit) continue;
    Block* const known = store_.find(place->address, target, mode_at(*place));
    if (known != nullptr && !known->crosses_page) connect(exit, *known);
  }
}

/// The branch table that has just missed knows the block from now on. False: it may not.
bool Translator::learn(u32 eip, const Block& block) {
  if (lane_ == nullptr || (lane_shared_ && !block.everywhere())) return false;
  lanes_.learn(*lane_, eip, static_cast<u32>(block.entry - area_.executable()));
  return true;
}

void Translator::follow_indirect(u32 eip) {
  processor_.state.rip = eip;
  if (lane_ != nullptr) lanes_.note_miss(*lane_, eip);
  if (!options_.on(Optimisation::BranchTable) || processor_.attention()) return;
  bury_doomed();
  refresh();
  if (const Block* block = next_block(eip)) learn(eip, *block);
}

}  // namespace ringshift::translator
