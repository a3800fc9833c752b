// A diskette drive with or without a diskette in it: head position, motor, the disk-change line,
// and which recording format a raw image of a given size stands for.
#pragma once

#include <optional>

#include "cpu/state_archive.h"
#include "cpu/types.h"
#include "devices/backends.h"

namespace ringshift::devices {

/// Drive types, numbered as in byte 10h of the CMOS memory.
enum class FloppyDriveType : u8 {
  None = 0,
  Inch5Double = 1,  ///< 5.25", 360 KB
  Inch5High = 2,    ///< 5.25", 1.2 MB
  Inch3Double = 3,  ///< 3.5", 720 KB
  Inch3High = 4,    ///< 3.5", 1.44 MB
  Inch3Extra = 5    ///< 3.5", 2.88 MB
};

enum class FloppyDensity : u8 { Double, High, Extra };

/// How a diskette is recorded. Sectors always hold 512 bytes and are numbered from 1.
struct FloppyFormat {
  u8 cylinders = 0;
  u8 heads = 0;
  u8 sectors = 0;
  FloppyDensity density = FloppyDensity::Double;

  u64 size() const { return u64{cylinders} * heads * sectors * 512; }
  friend bool operator==(const FloppyFormat&, const FloppyFormat&) = default;
};

/// The format of an image of `size` bytes. An image of no standard size is the beginning of a 1.44
/// MB diskette, or of a 2.88 MB one if it is longer than that.
FloppyFormat floppy_format_for(u64 size);

/// The drive in which a diskette of that format is at home.
FloppyDriveType floppy_drive_for(const FloppyFormat& format);

class FloppyDrive {
 public:
  static constexpr unsigned kSectorSize = 512;

  void set_type(FloppyDriveType type) { type_ = type; }
  FloppyDriveType type() const { return type_; }
  bool present() const { return type_ != FloppyDriveType::None; }

  void insert(BlockBackend& image);
  void eject();
  BlockBackend* image() const { return image_; }
  const FloppyFormat& format() const { return format_; }

  void power_on();
  void serialize(StateArchive& archive);

  void set_motor(bool on) { motor_ = on; }
  /// Moves the head by `steps` cylinders, inwards if positive, as far as the stops allow.
  void step(int steps);
  unsigned head_position() const { return cylinder_; }
  bool at_track0() const { return present() && cylinder_ == 0; }
  /// The DSKCHG line: there is no diskette, or there has been none since the head last moved.
  bool changed() const { return present() && changed_; }
  bool write_protected() const { return image_ != nullptr && image_->read_only(); }

  /// Whether the head picks up address marks at the data rate selected by `rate` (coded as in the
  /// controller's CCR: 0 = 500, 1 = 300, 2 = 250, 3 = 1000 kbit/s).
  bool readable(u8 rate) const;
  /// The cylinder number written in the sectors under the head.
  unsigned cylinder_under_head() const;
  /// Where a sector of the track under the head lies in the image; nothing if there is none.
  std::optional<u64> offset(unsigned head, unsigned sector) const;

 private:
  unsigned last_cylinder() const { return type_ == FloppyDriveType::Inch5Double ? 41 : 83; }
  /// A 40-track diskette in an 80-track 5.25" drive has its tracks under every second position.
  bool double_stepped() const {
    return type_ == FloppyDriveType::Inch5High && format_.cylinders == 40;
  }

  FloppyDriveType type_ = FloppyDriveType::None;
  BlockBackend* image_ = nullptr;
  FloppyFormat format_;
  u8 cylinder_ = 0;
  bool motor_ = false;
  bool changed_ = true;
};

}  // namespace ringshift::devices
