#include <catch2/catch.hpp>

#include "devices/backends.h"

using namespace ringshift;
using ringshift::devices::TextScreen;

TEST_CASE("text screen: rows are UTF-8 without trailing blanks") {
  TextScreen screen;
  CHECK_FALSE(screen.is_text());
  CHECK(screen.row(0).empty());
  screen.columns = 4;
  screen.rows = 3;
  screen.characters = {'a', ' ', 0x00, 0xFF, 0xC9, 0xCD, 0xE1, 0x7F, ' ', 0x03, 0x9B, 'z'};
  CHECK(screen.is_text());
  CHECK(screen.row(0) == "a");
  CHECK(screen.row(1) == "╔═ß⌂");
  CHECK(screen.row(2) == " ♥¢z");
  CHECK(screen.row(3).empty());
  screen.rows = 4;  // promises more than it has
  CHECK(screen.row(3).empty());
}
