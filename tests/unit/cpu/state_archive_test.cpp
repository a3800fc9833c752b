#include <catch2/catch.hpp>

#include "cpu/state_archive.h"

namespace ringshift {
namespace {

enum class Colour : u8 { Red, Green };

struct Thing {
  u32 number = 0;
  bool flag = false;
  std::array<bool, 2> flags{};
  Colour colour = Colour::Red;
  std::vector<u8> bytes;

  void serialize(StateArchive& archive) {
    archive.section("thing", 3);
    archive.field("number", number);
    archive.field("flag", flag);
    archive.field("flags", flags);
    archive.field("colour", colour);
    archive.field("bytes", bytes, 8);
  }
};

std::vector<u8> save(Thing& thing) {
  StateArchive archive;
  thing.serialize(archive);
  return archive.bytes();
}

Result<void> restore(Thing& thing, std::vector<u8> snapshot) {
  StateArchive archive(std::move(snapshot));
  thing.serialize(archive);
  return archive.finish();
}

constexpr std::size_t kTag = 8;
constexpr std::size_t kFlagAt = 3 * kTag + 4 + 4;  // after the section's version and the number

}  // namespace

TEST_CASE("what an archive has collected comes back") {
  Thing original{5, true, {false, true}, Colour::Green, {1, 2, 3}};
  Thing copy;
  REQUIRE(restore(copy, save(original)).ok());
  CHECK(copy.number == 5);
  CHECK(copy.flag);
  CHECK(copy.flags == std::array{false, true});
  CHECK(copy.colour == Colour::Green);
  CHECK(copy.bytes == std::vector<u8>{1, 2, 3});
}

TEST_CASE("an archive refuses bytes that are no bool") {
  Thing original;
  original.flag = true;
  std::vector<u8> snapshot = save(original);
  REQUIRE(snapshot[kFlagAt] == 1);
  snapshot[kFlagAt] = 2;
  Thing copy;
  CHECK_FALSE(restore(copy, snapshot).ok());
  CHECK_FALSE(copy.flag);
  snapshot = save(original);
  snapshot[kFlagAt + 1 + kTag] = 0xFF;  // the first of the array
  CHECK_FALSE(restore(copy, snapshot).ok());
}

TEST_CASE("an archive refuses what is too short, too long or of another layout") {
  Thing original;
  original.bytes = {1, 2, 3};
  const std::vector<u8> snapshot = save(original);
  for (std::size_t length = 0; length < snapshot.size(); ++length) {
    Thing copy;
    CAPTURE(length);
    CHECK_FALSE(
        restore(copy, {snapshot.begin(), snapshot.begin() + static_cast<long>(length)}).ok());
  }
  std::vector<u8> longer = snapshot;
  longer.push_back(0);
  Thing copy;
  CHECK_FALSE(restore(copy, longer).ok());
  Thing larger;
  larger.bytes.resize(9);
  CHECK_FALSE(restore(copy, save(larger)).ok());
}

}  // namespace ringshift
