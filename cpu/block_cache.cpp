#include "cpu/block_cache.h"

#include <algorithm>

namespace ringshift::cpu {

namespace {

Completion execute_invalid_opcode(Processor& processor, const Instruction&) {
  (void)processor.raise(Vector::InvalidOpcode);
  return Completion::Fault;
}

/// More than 15 bytes. SDM 2A §2.3.11.
Completion execute_too_long(Processor& processor, const Instruction&) {
  (void)processor.raise(Vector::GeneralProtection, 0);
  return Completion::Fault;
}

/// An instruction that can't be: its handler raises what decoding it raises. One byte long, so that
/// it never runs into CS's limit before the opcode itself does.
Instruction faulting_instruction(DecodeStatus status, std::span<const u8> bytes) {
  Instruction instruction;
  instruction.length = 1;
  instruction.control_flow = ControlFlow::Far;
  instruction.handler =
      status == DecodeStatus::TooLong ? &execute_too_long : &execute_invalid_opcode;
  std::copy_n(bytes.begin(), std::min(bytes.size(), instruction.bytes.size()),
              instruction.bytes.begin());
  return instruction;
}

bool continues(const Instruction& instruction) {
  return instruction.control_flow == ControlFlow::Sequential ||
         instruction.control_flow == ControlFlow::Conditional;
}

}  // namespace

BlockCache::BlockCache(Processor& processor, const Decoder& decoder)
    : processor_(processor), decoder_(decoder), buckets_(kBuckets, nullptr) {}

Completion BlockCache::leave_dead_block(Processor&, const Instruction&) {
  return Completion::Repeat;
}

Block* BlockCache::find(const BlockKey& key) const {
  Block* block = buckets_[bucket_of(key)];
  while (block != nullptr && block->key != key) block = block->next_in_bucket;
  return block;
}

Instruction* BlockCache::reserve(std::size_t count) {
  if (chunks_.empty() || used_ + count > kChunk) {
    if (!chunks_.empty()) ++chunk_;
    used_ = 0;
    if (chunk_ >= chunks_.size()) chunks_.push_back(std::make_unique<Instruction[]>(kChunk));
    // One chunk is kept in hand, so that the block at hand still fits.
    if (chunk_ + 1 >= kMostChunks) recycle_due_ = true;
  }
  return &chunks_[chunk_][used_];
}

void BlockCache::recycle() {
  clear();
  blocks_.clear();
  chunk_ = 0;
  used_ = 0;
  recycle_due_ = false;
}

void BlockCache::decode_run(Block& block, std::span<const u8> bytes, DecodeMode mode) {
  std::size_t position = 0;
  while (block.count < kLongestBlock) {
    Instruction& instruction = block.instructions[block.count];
    const DecodeStatus status = decoder_.decode(bytes.subspan(position), mode, instruction);
    if (status == DecodeStatus::NeedsMoreBytes) break;
    if (status != DecodeStatus::Ok) {
      // Only where control really gets there: earlier instructions run first, in their own block.
      if (block.count != 0) break;
      instruction = faulting_instruction(status, bytes);
      block.count = 1;
      position = std::min(bytes.size(), kLongestInstruction);
      break;
    }
    position += instruction.length;
    ++block.count;
    if (!continues(instruction)) break;
  }
  block.bytes = static_cast<u16>(position);
}

GuestResult<void> BlockCache::decode_crossing(Block& block, u64 linear, std::span<const u8> start,
                                              DecodeMode mode) {
  const u64 next_page = ((linear & ~kPageMask) + kPageSize) & 0xFFFF'FFFF;
  const SegmentRegister& cs = processor_.state.segment(SegmentName::CS);
  // The limit may end before the page does.
  if (processor_.state.rip + start.size() > cs.limit) {
    return processor_.raise(Vector::GeneralProtection, 0);
  }
  const PhysicalAddress second = GUEST_TRY(MemoryAccess::translate_code(processor_, next_page));
  std::array<u8, kLongestInstruction> bytes{};
  std::copy(start.begin(), start.end(), bytes.begin());
  for (std::size_t i = start.size(); i < bytes.size(); ++i) {
    bytes[i] = static_cast<u8>(processor_.memory().read_physical(second + (i - start.size()), 1));
  }
  Instruction& instruction = block.instructions[0];
  const DecodeStatus status = decoder_.decode(bytes, mode, instruction);
  const bool decoded = status == DecodeStatus::Ok;
  if (!decoded) instruction = faulting_instruction(status, bytes);
  block.count = 1;
  block.bytes = decoded ? instruction.length : static_cast<u16>(kLongestInstruction);
  block.crosses_page = true;
  block.second_page = second;
  return {};
}

GuestResult<Block*> BlockCache::build(u64 linear, const BlockKey& key) {
  if (recycle_due_) recycle();
  Block fresh;
  fresh.key = key;
  fresh.instructions = reserve(kLongestBlock);

  const u64 in_page = kPageSize - key.address.page_offset();
  const HostPage host = processor_.memory().host_page(key.address.page());
  std::array<u8, kLongestInstruction> fetched{};
  std::span<const u8> bytes;
  if (host.read != nullptr) {
    bytes = {host.read + key.address.page_offset(), in_page};
  } else {
    // Code in device memory: one instruction at a time, and none of it kept.
    bytes = std::span<const u8>(fetched).first(std::min<u64>(in_page, fetched.size()));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      fetched[i] = static_cast<u8>(processor_.memory().read_physical(key.address + i, 1));
    }
  }
  decode_run(fresh, bytes, key.mode);
  if (fresh.count == 0) GUEST_TRY(decode_crossing(fresh, linear, bytes, key.mode));
  if (host.read == nullptr) fresh.count = 1;
  blocks_.push_back(fresh);
  Block& block = blocks_.back();
  ++decoded_;
  used_ += block.count;
  const bool cacheable =
      host.read != nullptr &&
      (!block.crosses_page || processor_.memory().host_page(block.second_page).read != nullptr);
  if (cacheable)
    insert(block);
  else
    block.dead = true;
  return &block;
}

GuestResult<bool> BlockCache::second_page_holds(u64 linear, const Block& block) {
  const u64 next_page = ((linear & ~kPageMask) + kPageSize) & 0xFFFF'FFFF;
  return GUEST_TRY(MemoryAccess::translate_code(processor_, next_page)) == block.second_page;
}

void BlockCache::cover(CodePage& page, const Block& block, PhysicalAddress at) {
  const bool second = at != block.key.address.page();
  const u64 first = second ? 0 : block.key.address.page_offset();
  const u64 end = second ? block.key.address.page_offset() + block.bytes - kPageSize
                         : std::min(first + block.bytes, kPageSize);
  for (u64 byte = first; byte < end; ++byte) page.covered[byte / 64] |= u64{1} << (byte % 64);
}

void BlockCache::attach(Block& block, PhysicalAddress page) {
  const auto [position, fresh] = pages_.try_emplace(page.frame());
  CodePage& code = position->second;
  if (fresh) {
    processor_.memory().watch_code(page);
    MemoryAccess::forget_physical(processor_, page);
  }
  code.blocks.push_back(&block);
  code.idle_writes = 0;
  cover(code, block, page);
}

void BlockCache::insert(Block& block) {
  Block*& bucket = buckets_[bucket_of(block.key)];
  block.next_in_bucket = bucket;
  bucket = &block;
  attach(block, block.key.address.page());
  if (block.crosses_page && block.second_page != block.key.address.page()) {
    attach(block, block.second_page);
  }
}

void BlockCache::detach(Block& block, PhysicalAddress page) {
  const auto position = pages_.find(page.frame());
  if (position == pages_.end()) return;
  CodePage& code = position->second;
  std::erase(code.blocks, &block);
  code.covered.fill(0);
  for (const Block* left : code.blocks) cover(code, *left, page);
}

void BlockCache::kill(Block& block) {
  if (block.dead) return;
  block.dead = true;
  ++invalidated_;
  // It may be the block that is being executed, or a successor that another block remembers:
  // whoever comes upon one of its instructions leaves.
  for (unsigned i = 0; i < block.count; ++i) block.instructions[i].handler = &leave_dead_block;
  Block** link = &buckets_[bucket_of(block.key)];
  while (*link != &block) link = &(*link)->next_in_bucket;
  *link = block.next_in_bucket;
}

void BlockCache::remove(Block& block) {
  if (block.dead) return;
  kill(block);
  detach(block, block.key.address.page());
  if (block.crosses_page) detach(block, block.second_page);
}

void BlockCache::written(PhysicalAddress address, u64 length) {
  const auto position = pages_.find(address.frame());
  if (position == pages_.end()) return;
  CodePage& page = position->second;
  const u64 first = address.page_offset();
  const u64 end = std::min(first + length, kPageSize);
  bool touched = false;
  for (u64 byte = first; byte < end && !touched; ++byte) {
    touched = ((page.covered[byte / 64] >> (byte % 64)) & 1) != 0;
  }
  if (!touched) {
    if (page.blocks.empty() && ++page.idle_writes >= kPatience) {
      pages_.erase(position);
      processor_.memory().unwatch_code(address.page());
      MemoryAccess::forget_physical(processor_, address.page());
    }
    return;
  }
  std::vector<Block*> overlapping;
  for (Block* block : page.blocks) {
    // Bytes of the block counted from the start of the written page; the second page of a crossing
    // block sees it begin below zero.
    i64 begin = static_cast<i64>(block->key.address.page_offset());
    if (block->key.address.page() != address.page()) begin -= static_cast<i64>(kPageSize);
    if (begin < static_cast<i64>(end) && static_cast<i64>(first) < begin + block->bytes) {
      overlapping.push_back(block);
    }
  }
  for (Block* block : overlapping) remove(*block);
}

bool BlockCache::bytes_unchanged(const Block& block) const {
  const u8* first = processor_.memory().host_page(block.key.address.page()).read;
  const u8* second = first;
  if (block.crosses_page) second = processor_.memory().host_page(block.second_page).read;
  if (first == nullptr || second == nullptr) return false;
  u64 offset = block.key.address.page_offset();
  for (unsigned i = 0; i < block.count; ++i) {
    const Instruction& instruction = block.instructions[i];
    // One that couldn't be decoded depends on more bytes than its length says.
    const u64 length = block.count == 1 ? block.bytes : instruction.length;
    for (u64 j = 0; j < length; ++j, ++offset) {
      const u8 now = offset < kPageSize ? first[offset] : second[offset - kPageSize];
      if (now != instruction.bytes[j]) return false;
    }
  }
  return true;
}

void BlockCache::revalidate() {
  std::vector<Block*> stale;
  for (const auto& [frame, page] : pages_) {
    for (Block* block : page.blocks) {
      if (!bytes_unchanged(*block)) stale.push_back(block);
    }
  }
  for (Block* block : stale) remove(*block);
}

void BlockCache::clear() {
  for (auto& [frame, page] : pages_) {
    for (Block* block : page.blocks) kill(*block);
    const PhysicalAddress address{frame << kPageShift};
    processor_.memory().unwatch_code(address);
    MemoryAccess::forget_physical(processor_, address);
  }
  pages_.clear();
}

}  // namespace ringshift::cpu
