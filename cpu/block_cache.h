// Decoded code, kept: straight-line runs of instructions keyed by where their bytes are in physical
// memory and by the mode that they were decoded for, so that every address space that maps a page
// shares its blocks. The pages they came from are watched, and a write that touches a block's own
// bytes, and nothing else, throws that block away.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/decoder.h"
#include "cpu/instruction.h"
#include "cpu/memory_port.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

struct BlockKey {
  PhysicalAddress address;
  DecodeMode mode;
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

/// Instructions in a row within one page, or a single one that crosses into the next page. Control
/// enters at the first; a taken branch leaves anywhere. A block stays where it is in memory until
/// the cache is recycled, even when it is dead: then its handlers all say "leave" (see
/// BlockCache::kill).
struct Block {
  /// The block last found at an offset of the same page, as a shortcut past the hash table.
  struct Successor {
    u32 page_offset = ~u32{0};
    Block* block = nullptr;
  };

  BlockKey key;
  Instruction* instructions = nullptr;
  u16 count = 0;
  u16 bytes = 0;  ///< memory that it depends on, from key.address
  bool crosses_page = false;
  bool dead = false;
  PhysicalAddress second_page;  ///< if it crosses
  std::array<Successor, 2> successors;
  Block* next_in_bucket = nullptr;
};

class BlockCache {
 public:
  BlockCache(Processor& processor, const Decoder& decoder);
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  Block* find(const BlockKey& key) const;
  /// Decodes the block at `linear`, which lies at key.address. Must not be called while a block of
  /// this cache is being executed. Fault: #PF or #GP(0), fetching what lies on the next page.
  GuestResult<Block*> build(u64 linear, const BlockKey& key);
  /// Whether a page-crossing block still fits: its second half may have been remapped. Fault: #PF.
  GuestResult<bool> second_page_holds(u64 linear, const Block& block);

  /// Kills the blocks that overlap the bytes.
  void written(PhysicalAddress address, u64 length);
  /// Physical memory has been rearranged: kills the blocks whose bytes are others now.
  void revalidate();
  /// Kills everything.
  void clear();
  void kill(Block& block);

  u64 decoded() const { return decoded_; }
  u64 invalidated() const { return invalidated_; }

  /// The handler of every instruction in a dead block: gives way without having done anything.
  static Completion leave_dead_block(Processor&, const Instruction&);

 private:
  static constexpr std::size_t kBuckets = 1U << 16;
  static constexpr std::size_t kChunk = 8192;     ///< instructions
  static constexpr std::size_t kMostChunks = 64;  ///< about 70 MB in all, then start afresh
  static constexpr std::size_t kLongestBlock = 64;
  /// Writes beside code that an empty page bears before it is no longer watched.
  static constexpr unsigned kPatience = 64;

  /// What is known of a page that holds, or lately held, code.
  struct CodePage {
    std::vector<Block*> blocks;
    std::array<u64, kPageSize / 64> covered{};  ///< one bit for each byte of code
    unsigned idle_writes = 0;
  };

  static std::size_t bucket_of(const BlockKey& key) {
    const u64 mode = (key.mode.code_32 ? 1U : 0U) | (key.mode.real_selectors ? 2U : 0U) |
                     (key.mode.long_mode ? 4U : 0U);
    const u64 mixed = (key.address.value ^ (mode << 12)) * 0x9E37'79B9'7F4A'7C15;
    return mixed >> 48;
  }

  void recycle();
  bool bytes_unchanged(const Block& block) const;
  Instruction* reserve(std::size_t count);
  void decode_run(Block& block, std::span<const u8> bytes, DecodeMode mode);
  GuestResult<void> decode_crossing(Block& block, u64 linear, std::span<const u8> start,
                                    DecodeMode mode);
  void insert(Block& block);
  void remove(Block& block);
  void attach(Block& block, PhysicalAddress page);
  void detach(Block& block, PhysicalAddress page);
  static void cover(CodePage& page, const Block& block, PhysicalAddress at);

  Processor& processor_;
  const Decoder& decoder_;
  std::vector<Block*> buckets_;
  std::deque<Block> blocks_;
  std::vector<std::unique_ptr<Instruction[]>> chunks_;
  std::size_t chunk_ = 0;
  std::size_t used_ = 0;  ///< instructions in use of the current chunk
  bool recycle_due_ = false;
  std::unordered_map<u64, CodePage> pages_;  ///< by frame number
  u64 decoded_ = 0;
  u64 invalidated_ = 0;
};

}  // namespace ringshift::cpu
