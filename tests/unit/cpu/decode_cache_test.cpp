#include "cpu/decode_cache.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "cpu/decoder.h"

namespace ringshift::cpu {
namespace {

constexpr DecodeMode k32{true, false, false};
constexpr DecodeMode k16{false, false, false};

Instruction instruction(std::vector<u8> bytes) {
  Instruction made;
  made.length = static_cast<u8>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), made.bytes.begin());
  return made;
}

std::array<u8, 16> followed(std::vector<u8> bytes, u8 by) {
  std::array<u8, 16> all;
  all.fill(by);
  std::copy(bytes.begin(), bytes.end(), all.begin());
  return all;
}

}  // namespace

TEST_CASE("an instruction is found again whatever follows it") {
  DecodeCache cache;
  for (const std::vector<u8>& bytes : std::vector<std::vector<u8>>{{0xC3},
                                                                   {0x89, 0xC3},
                                                                   {0x8B, 0x45, 0x08},
                                                                   {0xE8, 1, 2, 3, 4},
                                                                   std::vector<u8>(15, 0x66)}) {
    CHECK(cache.find(followed(bytes, 0x11), k32) == nullptr);
    cache.add(instruction(bytes), k32);
    for (const u8 by : {0, 0x11, 0xFF}) {
      const Instruction* found = cache.find(followed(bytes, by), k32);
      REQUIRE(found != nullptr);
      CHECK(found->length == bytes.size());
    }
    CHECK(cache.find(followed(bytes, 0x11), k16) == nullptr);
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      std::vector<u8> other = bytes;
      other[n] ^= 0x40;
      CHECK(cache.find(followed(other, 0x11), k32) == nullptr);
    }
  }
}

TEST_CASE("what lies too near the end to be compared isn't found") {
  DecodeCache cache;
  cache.add(instruction({0xC3}), k32);
  const auto bytes = followed({0xC3}, 0);
  CHECK(cache.find(bytes, k32) != nullptr);
  CHECK(cache.find(std::span(bytes).first(15), k32) == nullptr);
}

TEST_CASE("a decoder that remembers says what one without memories says") {
  const CpuidModel model = CpuidModel::from_host();
  const Decoder remembering(model);
  std::mt19937 random(20261120);
  for (unsigned n = 0; n < 200'000; ++n) {
    std::array<u8, 16> bytes;
    for (u8& byte : bytes) byte = static_cast<u8>(random());
    bytes[0] = static_cast<u8>(random() % 16 * 16 + random() % 4);  // so that many repeat
    const DecodeMode mode{random() % 2 == 0, false, random() % 4 == 0};
    Instruction first, again, last;
    const DecodeStatus status = remembering.decode(bytes, mode, first);
    // Too few bytes to be looked up.
    const DecodeStatus plain = remembering.decode(std::span(bytes).first(15), mode, again);
    REQUIRE(remembering.decode(bytes, mode, last) == status);
    REQUIRE(plain == status);
    if (status != DecodeStatus::Ok) continue;
    REQUIRE(last.handler == again.handler);
    REQUIRE(last.bytes == again.bytes);
    REQUIRE(last.length == again.length);
    REQUIRE(last.operand_size == again.operand_size);
    REQUIRE(last.address_size == again.address_size);
    REQUIRE(last.immediate == again.immediate);
    REQUIRE(last.memory.displacement == again.memory.displacement);
  }
}

}  // namespace ringshift::cpu
