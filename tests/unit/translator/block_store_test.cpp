// What a guest can do to the store of blocks by choosing where its code lies.
#include "translator/block_store.h"

#include <catch2/catch.hpp>

#include "tests/unit/translator/small_machine.h"

namespace ringshift::translator::test {
namespace {

struct Observer : mmu::WriteObserver {
  void on_watched_write(PhysicalAddress, u64) override {}
};

struct Fixture {
  Fixture() { code = area.append(std::array<u8, 16>{}); }

  Block& add(PhysicalAddress address, u32 eip) {
    Block& block = store.make(address, eip, {});
    block.bytes = 4;
    block.code = block.entry = code;
    store.publish(block);
    return block;
  }

  SmallMachine machine{SmallMachine::Kind::Interpreter};
  cpu::CodeArea area{1 << 20};
  const Stubs stubs = Stubs::emit(area);
  const u8* code = nullptr;
  Observer observer;
  BlockStore store{area, stubs, machine.map(), observer, machine.processor()};
};

}  // namespace

TEST_CASE("blocks are found by what they are made from until their bytes are written") {
  Fixture f;
  const PhysicalAddress first{0x5010}, second{0x5020};
  Block& one = f.add(first, 0x10);
  Block& same_bytes = f.add(first, 0x7010);
  Block& other = f.add(second, 0x20);
  CHECK(f.store.find(first, 0x10, {}) == &one);
  CHECK(f.store.find(first, 0x7010, {}) == &same_bytes);
  CHECK_FALSE(f.store.written({0x5014}, 0xC));
  CHECK(f.store.written({0x5013}, 1));
  CHECK(f.store.find(first, 0x10, {}) == nullptr);
  CHECK(f.store.find(first, 0x7010, {}) == nullptr);
  CHECK(f.store.find(second, 0x20, {}) == &other);
  CHECK(f.store.killed() == 2);
  f.store.kill(other);
  CHECK(f.store.find(second, 0x20, {}) == nullptr);
}

TEST_CASE("blocks that meet in one bucket die in any order") {
  Fixture f;
  const PhysicalAddress address{0x5000};
  std::array<Block*, 5> blocks{};
  for (Block*& block : blocks) block = &f.add(address, 0);
  for (const unsigned n : {2U, 4U, 0U, 3U}) {
    f.store.kill(*blocks[n]);
    Block* const left = f.store.find(address, 0, {});
    REQUIRE(left != nullptr);
    CHECK_FALSE(left->dead);
  }
  f.store.kill(*blocks[1]);
  CHECK(f.store.find(address, 0, {}) == nullptr);
}

TEST_CASE("very many blocks of one bucket die in a moment") {
  Fixture f;
  constexpr u64 kBlocks = 100'000;
  for (u64 n = 0; n < kBlocks; ++n) f.add({0x5000}, 0);
  CHECK(f.store.written({0x5000}, kPageSize));
  CHECK(f.store.killed() == kBlocks);
  CHECK(f.store.find({0x5000}, 0, {}) == nullptr);
  CHECK(f.store.watched_pages() == 0);
}

}  // namespace ringshift::translator::test
