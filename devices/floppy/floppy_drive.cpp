#include "devices/floppy/floppy_drive.h"

#include <algorithm>
#include <array>

namespace ringshift::devices {

namespace {

constexpr FloppyFormat k1440{80, 2, 18, FloppyDensity::High};
constexpr FloppyFormat k2880{80, 2, 36, FloppyDensity::Extra};

constexpr std::array kFormats = {
    FloppyFormat{40, 1, 8, FloppyDensity::Double},  // 160 KB
    FloppyFormat{40, 1, 9, FloppyDensity::Double},  // 180 KB
    FloppyFormat{40, 2, 8, FloppyDensity::Double},  // 320 KB
    FloppyFormat{40, 2, 9, FloppyDensity::Double},  // 360 KB
    FloppyFormat{80, 2, 9, FloppyDensity::Double},  // 720 KB
    FloppyFormat{80, 2, 15, FloppyDensity::High},   // 1.2 MB
    k1440,                                          // 1.44 MB
    FloppyFormat{80, 2, 21, FloppyDensity::High},   // 1.68 MB (DMF)
    FloppyFormat{82, 2, 21, FloppyDensity::High},   // 1.72 MB
    k2880,                                          // 2.88 MB
};

}  // namespace

FloppyFormat floppy_format_for(u64 size) {
  const auto* found = std::find_if(kFormats.begin(), kFormats.end(),
                                   [size](const auto& format) { return format.size() == size; });
  if (found != kFormats.end()) return *found;
  return size <= k1440.size() ? k1440 : k2880;
}

FloppyDriveType floppy_drive_for(const FloppyFormat& format) {
  if (format.density == FloppyDensity::Extra) return FloppyDriveType::Inch3Extra;
  if (format.density == FloppyDensity::High) {
    return format.sectors == 15 ? FloppyDriveType::Inch5High : FloppyDriveType::Inch3High;
  }
  return format.cylinders == 40 ? FloppyDriveType::Inch5Double : FloppyDriveType::Inch3Double;
}

void FloppyDrive::insert(BlockBackend& image) {
  image_ = &image;
  format_ = floppy_format_for(image.size());
  changed_ = true;
}

void FloppyDrive::eject() {
  image_ = nullptr;
  format_ = {};
  changed_ = true;
}

void FloppyDrive::power_on() {
  cylinder_ = 0;
  motor_ = false;
  changed_ = true;
}

void FloppyDrive::serialize(StateArchive& archive) {
  archive.field("cylinder", cylinder_);
  archive.field("motor", motor_);
  archive.field("changed", changed_);
}

void FloppyDrive::step(int steps) {
  if (!present() || steps == 0) return;
  const int target = std::clamp(int{cylinder_} + steps, 0, static_cast<int>(last_cylinder()));
  cylinder_ = static_cast<u8>(target);
  // The drive clears DSKCHG on a step pulse, even one against the stop, if a diskette is in.
  if (image_ != nullptr) changed_ = false;
}

bool FloppyDrive::readable(u8 rate) const {
  if (!present() || image_ == nullptr || !motor_) return false;
  switch (format_.density) {
    case FloppyDensity::Double:
      // The 1.2 MB drive turns a fifth faster than the drives that wrote such diskettes.
      return rate == (type_ == FloppyDriveType::Inch5High ? 1 : 2);
    case FloppyDensity::High:
      return rate == 0 && type_ != FloppyDriveType::Inch5Double &&
             type_ != FloppyDriveType::Inch3Double;
    case FloppyDensity::Extra:
      break;
  }
  return rate == 3 && type_ == FloppyDriveType::Inch3Extra;
}

unsigned FloppyDrive::cylinder_under_head() const {
  return double_stepped() ? cylinder_ / 2U : cylinder_;
}

std::optional<u64> FloppyDrive::offset(unsigned head, unsigned sector) const {
  const unsigned cylinder = cylinder_under_head();
  if (image_ == nullptr || cylinder >= format_.cylinders || head >= format_.heads) {
    return std::nullopt;
  }
  if (sector == 0 || sector > format_.sectors) return std::nullopt;
  const u64 track = u64{cylinder} * format_.heads + head;
  return (track * format_.sectors + sector - 1) * kSectorSize;
}

}  // namespace ringshift::devices
