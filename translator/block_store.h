// All translated blocks: found by what they were translated from, by the host address that is being
// executed, and by the guest page that is being written. It links blocks and takes them apart.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cpu/host_unit/code_area.h"
#include "cpu/processor.h"
#include "mmu/memory_map.h"
#include "translator/block.h"
#include "translator/emit/block_emitter.h"
#include "translator/stubs.h"

namespace ringshift::translator {

class BlockStore final : public EmissionSink {
 public:
  /// `observer` is told of writes to the pages that blocks come from.
  BlockStore(cpu::CodeArea& area, const Stubs& stubs, mmu::MemoryMap& map,
             mmu::WriteObserver& observer, cpu::Processor& processor);
  ~BlockStore() override;
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;

  Block* find(PhysicalAddress address, u32 eip, Mode mode) const;
  /// The same; a block that was made in a mode whose difference it can't see runs in both from now
  /// on.
  Block* find_or_share(PhysicalAddress address, u32 eip, Mode mode);
  /// Makes the block run whatever the bits of the mode are. False: it isn't indifferent to them.
  bool share(Block& block, u32 bits);
  /// What lies there leads to blocks that are not indifferent: from now on each mode has its own.
  void keep_separate(PhysicalAddress address);
  /// A new block, not yet to be found.
  Block& make(PhysicalAddress address, u32 eip, Mode mode);
  /// There is nothing to be translated there after all: the block made last is no more.
  void unmake() { blocks_.pop_back(); }
  /// Its code is in place: it can be found now, and its pages are watched.
  void publish(Block& block);
  void kill(Block& block);
  /// Kills the blocks that overlap the bytes. True if there were any.
  bool written(PhysicalAddress address, u64 length);
  /// The same for whole pages, any number of them.
  bool remapped(PhysicalAddress first, u64 length);
  void clear();

  void link(u32 exit, Block& to);
  /// The exit's jump goes through the branch table from now on.
  void link_by_table(u32 exit);
  void unlink(u32 exit);

  Block* at_host(const u8* host) const;
  ExitSite& exit(u32 number) override { return exits_[number]; }
  CallOut& call_out(u32 number) { return call_outs_[number]; }

  u32 add_exit(const ExitSite& site) override;
  u32 add_call_out(const CallOut& call_out) override;

  /// Grows whenever host code that a call stack may lead to has died.
  u64 deaths() const { return deaths_; }
  std::size_t size() const { return by_host_.size(); }
  /// Bytes that it has taken for what it knows of blocks, dead ones too, since the last clear().
  std::size_t footprint() const { return footprint_; }
  u64 killed() const { return killed_; }
  std::size_t watched_pages() const { return pages_.size(); }

 private:
  static constexpr std::size_t kBuckets = 1U << 16;
  struct CodePage {
    std::vector<Block*> blocks;                 ///< some may have died
    std::array<u64, kPageSize / 64> covered{};  ///< one bit for each byte of code
    void cover(std::pair<unsigned, unsigned> bytes) {
      for (unsigned i = bytes.first; i < bytes.second; ++i) covered[i / 64] |= u64{1} << (i % 64);
    }
  };

  static std::size_t bucket_of(PhysicalAddress address, u32 eip, Mode mode);
  void patch(const ExitSite& site, const u8* target);
  void attach(Block& block, PhysicalAddress page);
  static std::pair<unsigned, unsigned> bytes_on(const Block& block, PhysicalAddress page);
  void tidy_entrances(Block& block);

  cpu::CodeArea& area_;
  const Stubs& stubs_;
  mmu::MemoryMap& map_;
  mmu::WriteObserver& observer_;
  cpu::Processor& processor_;
  std::vector<Block*> buckets_ = std::vector<Block*>(kBuckets);
  std::deque<Block> blocks_;
  std::vector<Block*> by_host_;  ///< in the order of their code
  std::deque<ExitSite> exits_;
  std::deque<CallOut> call_outs_;
  std::unordered_map<u64, CodePage> pages_;  ///< by frame number
  std::unordered_set<u64> separate_;         ///< addresses
  u64 deaths_ = 0;
  u64 killed_ = 0;
  std::size_t footprint_ = 0;
};

}  // namespace ringshift::translator
