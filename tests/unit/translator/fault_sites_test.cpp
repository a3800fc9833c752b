#include "translator/fault_sites.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace ringshift::translator {
namespace {

constexpr u64 kSite = 0x12345;

/// Faults at the site until it becomes a call-out.
unsigned faults_to_call_out(FaultSites& sites, u64 address) {
  unsigned faults = 1;
  while (!sites.faulted(address)) ++faults;
  return faults;
}

}  // namespace

TEST_CASE("an instruction becomes a call-out after a few faults") {
  FaultSites sites;
  CHECK(sites.advice(kSite).patience == 0);
  CHECK(faults_to_call_out(sites, kSite) == FaultSites::kFaultsToCallOut);
  CHECK(sites.advice(kSite).patience == FaultSites::kFirstPatience);
  CHECK(sites.advice(kSite + 1).patience == 0);
  CHECK_FALSE(sites.faulted(kSite));  // nothing new: its block needn't be translated again
}

TEST_CASE("a call-out that is needless is taken back, each time more reluctantly") {
  FaultSites sites;
  u64 patience = FaultSites::kFirstPatience;
  for (int i = 0; i < 20; ++i) {
    faults_to_call_out(sites, kSite);
    CHECK(sites.advice(kSite).patience == patience);
    sites.retire(kSite);
    CHECK(sites.advice(kSite).patience == 0);
    patience = std::min<u64>(patience * 2, FaultSites::kMostPatience);
  }
}

TEST_CASE("a wrapping address is remembered beside faults") {
  FaultSites sites;
  CHECK(sites.wrapped(kSite));
  CHECK_FALSE(sites.wrapped(kSite));
  CHECK(sites.advice(kSite).wraps);
  CHECK(sites.advice(kSite).patience == 0);
  faults_to_call_out(sites, kSite);
  sites.retire(kSite);
  CHECK(sites.advice(kSite).wraps);
}

TEST_CASE("what was learned of code goes with the code") {
  FaultSites sites;
  for (u64 n = 0; n < 100; ++n) faults_to_call_out(sites, kSite + n);
  sites.forget(kSite + 10, 4);
  for (u64 n = 0; n < 100; ++n) {
    CHECK((sites.advice(kSite + n).patience == 0) == (n >= 10 && n < 14));
  }
  sites.forget(kSite + 50, 0x1000);
  CHECK(sites.size() == 46);
  CHECK(sites.advice(kSite + 49).patience != 0);
  CHECK(sites.advice(kSite + 50).patience == 0);
}

TEST_CASE("what lies behind the first page of a range is forgotten with it") {
  FaultSites sites;
  faults_to_call_out(sites, kSite);
  sites.forget(kSite - 0x5000, 0x10000);
  CHECK(sites.advice(kSite).patience == 0);
}

TEST_CASE("a guest can't make it remember more than its share") {
  FaultSites sites;
  for (u64 n = 0; n < FaultSites::kMostSites + 10; ++n) sites.faulted(n * 4);
  CHECK(sites.size() <= FaultSites::kMostSites);
}

}  // namespace ringshift::translator
