#include "translator/lanes.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

namespace ringshift::translator {
namespace {

/// What this process has of its own, files apart.
u64 resident_kib() {
  std::ifstream status("/proc/self/status");
  u64 sum = 0;
  for (std::string word; status >> word;) {
    if (word != "RssAnon:" && word != "RssShmem:") continue;
    u64 kib = 0;
    status >> kib;
    sum += kib;
  }
  return sum;
}

constexpr u32 kEipsPerPage = kPageSize / sizeof(u32);
/// What a cache may keep, and what it may take before it counts.
constexpr u64 kMostKib = 96 << 10;

}  // namespace

TEST_CASE("a lane's table knows what it has learned until it forgets") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  Lane& lane = cache.find({1, Mode(0), 0});
  cache.learn(lane, 0x1234'5678, 77);
  cache.learn(lane, 0xFFFF'FFFF, 78);
  CHECK(lane.table().entries()[0x1234'5678] == 77);
  CHECK(lane.table().entries()[0xFFFF'FFFF] == 78);
  CHECK(lane.table().entries()[0x1234'5679] == 0);
  cache.forget(2, {0x1234'5000}, kPageSize);
  CHECK(lane.table().entries()[0x1234'5678] == 77);
  cache.forget(1, {0x1234'5000}, kPageSize);
  CHECK(lane.table().entries()[0x1234'5678] == 0);
  CHECK(lane.table().entries()[0xFFFF'FFFF] == 78);
  cache.forget_all();
  CHECK(lane.table().entries()[0xFFFF'FFFF] == 0);
}

TEST_CASE("a new lane knows nothing of the one whose table it took over") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  for (u32 page = 0; page < 10; ++page) {
    cache.learn(cache.find({1, Mode(0), 0}), page * kEipsPerPage + page, 1);
  }
  const u32* const table = cache.find({1, Mode(0), 0}).table().entries();
  cache.drop_space(1);
  Lane& lane = cache.find({2, Mode(0), 0});
  REQUIRE(lane.table().entries() == table);
  for (u32 page = 0; page < 10; ++page) CHECK(table[page * kEipsPerPage + page] == 0);
}

TEST_CASE("a table forgets a range whether it clears pages or gives them back") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  for (const u32 pages : {20U, 2000U}) {
    cache.forget_all();
    Lane& lane = cache.find({1, Mode(0), 0});
    const u32* const table = lane.table().entries();
    for (u32 page = 0; page < pages; ++page) cache.learn(lane, page * kEipsPerPage, 1);
    cache.forget(1, {5 * kEipsPerPage}, u64{pages - 10} * kEipsPerPage);
    for (u32 page = 0; page < pages; ++page) {
      // What ends in the range may begin a page earlier.
      const bool kept = page < 4 || page >= pages - 5;
      if (page != 4) CHECK(table[page * kEipsPerPage] == (kept ? 1U : 0U));
    }
    cache.forget_all();
    CHECK(table[0] == 0);
    CHECK(table[(pages - 1) * kEipsPerPage] == 0);
    CHECK(lane.table().pages() <= 257);
  }
}

TEST_CASE("code all over the address space costs the branch table no more than its budget") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  const u64 before = resident_kib();
  u64 most = 0;
  for (u32 page = 0; page < 60'000; ++page) {
    cache.learn(cache.find({1, Mode(0), 0}), page * kEipsPerPage, 1);
    if (page % 1000 == 0) most = std::max(most, resident_kib() - before);
  }
  CHECK(most < kMostKib);
}

TEST_CASE("many lanes share the budget, and those used longest ago pay") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  const u64 before = resident_kib();
  for (u32 space = 0; space < 300; ++space) {
    for (u32 page = 0; page < 500; ++page) {
      cache.learn(cache.find({space, Mode(0), 0}), page * kEipsPerPage, space + 1);
    }
  }
  CHECK(resident_kib() - before < kMostKib);
  CHECK(cache.find({299, Mode(0), 0}).table().entries()[499 * kEipsPerPage] == 300);
}

TEST_CASE("where the host has room for few tables, lanes take them from each other") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  std::ifstream status("/proc/self/statm");
  u64 pages = 0;
  status >> pages;
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = pages * kPageSize + (u64{36} << 30);  // two tables more
  REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
  for (u32 round = 0; round < 3; ++round) {
    for (u32 space = 0; space < 6; ++space) {
      Lane& lane = cache.find({space, Mode(0), 0});
      const u32 known = lane.table().entries()[space];
      CHECK((known == 0 || known == space + 1));
      for (u32 page = 0; page < 300; ++page) {
        cache.learn(lane, page * kEipsPerPage + space, space + 1);
      }
      CHECK(lane.table().entries()[space] == space + 1);
      CHECK(lane.table().entries()[space + 1] == 0);
    }
  }
  CHECK(cache.size() == 3);
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
}

TEST_CASE("what is read everywhere counts as well") {
  const Stubs stubs;
  LaneCache cache(stubs);
  REQUIRE(cache.works());
  std::size_t most = 0;
  for (u32 space = 0; space < 8; ++space) {
    for (u64 eip = 0; eip < u64{1} << 32; eip += kEipsPerPage * 64) {
      Lane& lane = cache.find({space, Mode(0), 0});
      cache.note_miss(lane, static_cast<u32>(eip));
      most = std::max(most, lane.table().pages());
    }
  }
  CHECK(most <= (64 << 20) / kPageSize * 17 / 16);
}

}  // namespace ringshift::translator
