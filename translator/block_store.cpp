#include "translator/block_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ringshift::translator {

namespace {
constexpr std::ptrdiff_t kJumpBytes = 5;
}  // namespace

BlockStore::BlockStore(cpu::CodeArea& area, const Stubs& stubs, mmu::MemoryMap& map,
                       mmu::WriteObserver& observer, cpu::Processor& processor)
    : area_(area), stubs_(stubs), map_(map), observer_(observer), processor_(processor) {}

BlockStore::~BlockStore() {
  clear();
}

std::size_t BlockStore::bucket_of(PhysicalAddress address, u32 eip, Mode mode) {
  const u64 always = mode.bits() & ~Mode::kSeldomUsed;
  const u64 mixed = (address.value ^ (u64{eip} << 20) ^ (always << 36)) * 0x9E37'79B9'7F4A'7C15;
  return mixed >> 48;
}

Block* BlockStore::find(PhysicalAddress address, u32 eip, Mode mode) const {
  Block* block = buckets_[bucket_of(address, eip, mode)];
  while (block != nullptr &&
         (block->address != address || block->eip != eip || !block->runs_in(mode))) {
    block = block->next_in_bucket;
  }
  return block;
}

Block* BlockStore::find_or_share(PhysicalAddress address, u32 eip, Mode mode) {
  if (Block* block = find(address, eip, mode)) return block;
  if (separate_.contains(address.value)) return nullptr;
  for (Block* block = buckets_[bucket_of(address, eip, mode)]; block != nullptr;
       block = block->next_in_bucket) {
    if (block->address != address || block->eip != eip) continue;
    const u32 difference = block->mode.bits() ^ mode.bits();
    if ((difference & ~Mode::kSeldomUsed) == 0 && share(*block, Mode::kSeldomUsed)) return block;
  }
  return nullptr;
}

void BlockStore::keep_separate(PhysicalAddress address) {
  constexpr std::size_t kMostSeparate = 1U << 14;
  if (separate_.size() >= kMostSeparate) separate_.clear();
  separate_.insert(address.value);
}

bool BlockStore::share(Block& block, u32 bits) {
  if ((bits & ~block.indifferent) == 0) return true;
  if ((bits & (block.used_kinds | ~Mode::kSeldomUsed)) != 0) return false;
  block.indifferent |= bits;
  // The blocks behind it may look at them.
  for (const u32 number : block.exits) unlink(number);
  return true;
}

Block& BlockStore::make(PhysicalAddress address, u32 eip, Mode mode) {
  Block& block = blocks_.emplace_back();
  block.address = address;
  block.eip = eip;
  block.mode = mode;
  return block;
}

void BlockStore::publish(Block& block) {
  footprint_ += sizeof(Block) + block.points.capacity() * sizeof(FaultPoint);
  by_host_.push_back(&block);
  Block*& bucket = buckets_[bucket_of(block.address, block.eip, block.mode)];
  block.next_in_bucket = bucket;
  block.link_in_bucket = &bucket;
  if (bucket != nullptr) bucket->link_in_bucket = &block.next_in_bucket;
  bucket = &block;
  attach(block, block.address.page());
  if (block.crosses_page) attach(block, block.second_page);
}

void BlockStore::attach(Block& block, PhysicalAddress page) {
  const auto [found, added] = pages_.try_emplace(page.frame());
  CodePage& entry = found->second;
  entry.blocks.push_back(&block);
  entry.cover(bytes_on(block, page));
  if (!added) return;
  map_.watch(page, observer_);
  cpu::MemoryAccess::forget_physical(processor_, page);
}

/// The bytes of `page` that the block was translated from: first, and behind the last.
std::pair<unsigned, unsigned> BlockStore::bytes_on(const Block& block, PhysicalAddress page) {
  const auto offset = static_cast<unsigned>(block.address.page_offset());
  const unsigned end = offset + block.bytes;
  if (block.address.page() != page) return {0, end - static_cast<unsigned>(kPageSize)};
  return {offset, std::min<unsigned>(end, kPageSize)};
}

/// Call stacks that lead into it must be forgotten (deaths()), and generated code that has called
/// out of it must not be returned to.
void BlockStore::kill(Block& block) {
  if (block.dead) return;
  block.dead = true;
  ++killed_;
  ++deaths_;
  // A guest can have all of its blocks in one bucket: nothing is searched for.
  *block.link_in_bucket = block.next_in_bucket;
  if (block.next_in_bucket != nullptr) block.next_in_bucket->link_in_bucket = block.link_in_bucket;
  // Jumps into it go to the dispatcher again, and branch tables that know it miss.
  for (const u32 number : std::exchange(block.entrances, {})) {
    if (exits_[number].to == &block) unlink(number);
  }
  for (const u32 number : block.exits) unlink(number);
  u8* entry = area_.writable(block.entry);
  const auto distance = static_cast<i32>(stubs_.miss - (block.entry + kJumpBytes));
  entry[0] = 0xE9;
  std::memcpy(entry + 1, &distance, sizeof distance);
}

bool BlockStore::written(PhysicalAddress address, u64 length) {
  const auto found = pages_.find(address.frame());
  if (found == pages_.end()) return false;
  const auto first = static_cast<unsigned>(address.page_offset());
  const unsigned end = std::min<unsigned>(first + static_cast<unsigned>(length), kPageSize);
  bool overlaps = false;
  for (unsigned i = first; i < end && !overlaps; ++i) {
    overlaps = (found->second.covered[i / 64] >> (i % 64) & 1) != 0;
  }
  if (!overlaps) return false;
  CodePage& entry = found->second;
  const PhysicalAddress page = address.page();
  const u64 killed_before = killed_;
  // Those that have died since the last time go as well, and what none covers any more.
  std::erase_if(entry.blocks, [&](Block* block) {
    if (block->dead) return true;
    const auto [from, to] = bytes_on(*block, page);
    if (first >= to || end <= from) return false;
    kill(*block);
    return true;
  });
  entry.covered.fill(0);
  for (const Block* block : entry.blocks) entry.cover(bytes_on(*block, page));
  if (entry.blocks.empty()) {
    map_.unwatch(page, observer_);
    pages_.erase(found);
  }
  return killed_ != killed_before;
}

bool BlockStore::remapped(PhysicalAddress first, u64 length) {
  std::vector<u64> frames;
  for (const auto& [frame, page] : pages_) {
    if ((frame << kPageShift) - first.value < length) frames.push_back(frame);
  }
  bool any = false;
  for (const u64 frame : frames) any = written({frame << kPageShift}, kPageSize) || any;
  return any;
}

void BlockStore::clear() {
  for (const auto& [frame, page] : pages_) map_.unwatch({frame << kPageShift}, observer_);
  pages_.clear();
  std::fill(buckets_.begin(), buckets_.end(), nullptr);
  by_host_.clear();
  blocks_.clear();
  exits_.clear();
  call_outs_.clear();
  separate_.clear();
  footprint_ = 0;
  ++deaths_;
}

void BlockStore::patch(const ExitSite& site, const u8* target) {
  const auto distance = static_cast<i32>(target - site.jump_end);
  std::memcpy(area_.writable(site.jump_end) - sizeof distance, &distance, sizeof distance);
}

void BlockStore::link(u32 exit, Block& to) {
  ExitSite& site = exits_[exit];
  unlink(exit);
  site.to = &to;
  if (to.entrances.size() == to.entrances.capacity()) tidy_entrances(to);
  to.entrances.push_back(exit);
  patch(site, to.entry);
}

/// Takes out what isn't linked to the block any more, and makes room for as many more as are left.
void BlockStore::tidy_entrances(Block& block) {
  std::vector<u32>& entrances = block.entrances;
  std::erase_if(entrances, [&](u32 number) { return exits_[number].to != &block; });
  std::sort(entrances.begin(), entrances.end());
  entrances.erase(std::unique(entrances.begin(), entrances.end()), entrances.end());
  entrances.reserve(2 * entrances.size() + 1);
}

void BlockStore::link_by_table(u32 exit) {
  const ExitSite& site = exits_[exit];
  patch(site, site.by_table);
}

void BlockStore::unlink(u32 exit) {
  ExitSite& site = exits_[exit];
  patch(site, site.unlinked);
  site.to = nullptr;
}

Block* BlockStore::at_host(const u8* host) const {
  const auto after =
      std::upper_bound(by_host_.begin(), by_host_.end(), host,
                       [](const u8* value, const Block* block) { return value < block->code; });
  if (after == by_host_.begin()) return nullptr;
  Block* block = *(after - 1);
  return host < block->code + block->code_size ? block : nullptr;
}

u32 BlockStore::add_exit(const ExitSite& site) {
  exits_.push_back(site);
  footprint_ += sizeof site;
  return static_cast<u32>(exits_.size() - 1);
}

u32 BlockStore::add_call_out(const CallOut& call_out) {
  call_outs_.push_back(call_out);
  footprint_ += sizeof call_out;
  return static_cast<u32>(call_outs_.size() - 1);
}

}  // namespace ringshift::translator
