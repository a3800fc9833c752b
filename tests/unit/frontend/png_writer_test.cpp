#include "frontend/host/png_writer.h"

#include <png.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

using namespace ringshift;
using ringshift::frontend::write_png;

TEST_CASE("PNG: what is written can be read back") {
  const std::string path =
      (std::filesystem::temp_directory_path() / "ringshift-png-writer-test.png").string();
  devices::Frame frame;
  frame.width = 3;
  frame.height = 2;
  frame.pixels = {0x000000, 0xFF0000, 0x00FF00, 0x0000FF, 0x123456, 0xFFFFFF};
  REQUIRE(write_png(path, frame));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()) != 0);
  CHECK(image.width == 3);
  CHECK(image.height == 2);
  image.format = PNG_FORMAT_RGB;
  std::vector<u8> bytes(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr) != 0);
  CHECK(bytes ==
        std::vector<u8>{0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0x12, 0x34, 0x56, 255, 255, 255});
  std::remove(path.c_str());
}

TEST_CASE("PNG: failures name the file") {
  devices::Frame frame;
  const Result<void> empty = write_png("empty.png", frame);
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.error().message == "empty.png: there is no picture to save");
  frame.width = frame.height = 1;
  frame.pixels = {0};
  const Result<void> missing = write_png("/no/such/directory/x.png", frame);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message.find("/no/such/directory/x.png: ") == 0);
}
