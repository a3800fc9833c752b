#include "frontend/host/png_writer.h"

#include <png.h>

#include <vector>

namespace ringshift::frontend {

Result<void> write_png(const std::string& path, const devices::Frame& frame) {
  const std::size_t count = std::size_t{frame.width} * frame.height;
  if (count == 0 || frame.pixels.size() < count)
    return Error{path + ": there is no picture to save"};
  std::vector<u8> bytes;
  bytes.reserve(3 * count);
  for (std::size_t i = 0; i < count; ++i) {
    const u32 pixel = frame.pixels[i];
    bytes.push_back(static_cast<u8>(pixel >> 16));
    bytes.push_back(static_cast<u8>(pixel >> 8));
    bytes.push_back(static_cast<u8>(pixel));
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = frame.width;
  image.height = frame.height;
  image.format = PNG_FORMAT_RGB;
  if (png_image_write_to_file(&image, path.c_str(), 0, bytes.data(), 0, nullptr) == 0) {
    const std::string why = image.message;
    png_image_free(&image);
    return Error{path + ": " + why};
  }
  return {};
}

}  // namespace ringshift::frontend
