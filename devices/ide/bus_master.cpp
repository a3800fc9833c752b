#include "devices/ide/bus_master.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr u8 kStart = 0x01;     // BMIC.SSBM
constexpr u8 kToMemory = 0x08;  // BMIC.RWCON
constexpr u8 kActive = 0x01;    // BMIS.BMIDEA
constexpr u8 kInterrupt = 0x04;
constexpr u8 kStatusClearable = 0x06;
constexpr u8 kStatusWritable = 0x60;  // "drive n is DMA capable", for software's own use

constexpr u32 kEndOfTable = 0x8000'0000;

}  // namespace

void BusMaster::reset() {
  command_ = 0;
  status_ = 0;
  table_ = 0;
  next_entry_ = 0;
  address_ = 0;
  left_ = 0;
  last_region_ = false;
}

void BusMaster::serialize(StateArchive& archive) {
  archive.field("command", command_);
  archive.field("status", status_);
  archive.field("table", table_);
  archive.field("next entry", next_entry_);
  archive.field("address", address_);
  archive.field("left", left_);
  archive.field("last region", last_region_);
}

u8 BusMaster::read(u32 offset) const {
  switch (offset) {
    case 0:
      return command_;
    case 2:
      return status_;
    case 4:
    case 5:
    case 6:
    case 7:
      return static_cast<u8>(table_ >> (8 * (offset - 4)));
    default:
      return 0;
  }
}

bool BusMaster::write(u32 offset, u8 value) {
  switch (offset) {
    case 0: {
      const bool started = (value & ~command_ & kStart) != 0;
      // The direction must not change while the engine is active; then it doesn't.
      const u8 direction = (status_ & kActive) != 0 ? command_ & kToMemory : value & kToMemory;
      command_ = static_cast<u8>((value & kStart) | direction);
      if ((value & kStart) == 0) status_ &= static_cast<u8>(~kActive);
      if (!started) return false;
      status_ |= kActive;
      next_entry_ = table_;
      left_ = 0;
      last_region_ = false;
      return true;
    }
    case 2:
      status_ = static_cast<u8>((status_ & ~kStatusWritable & ~(value & kStatusClearable)) |
                                (value & kStatusWritable));
      return false;
    case 4:
    case 5:
    case 6:
    case 7: {
      const unsigned shift = 8 * (offset - 4);
      table_ = ((table_ & ~(0xFFU << shift)) | u32{value} << shift) & ~3U;
      return false;
    }
    default:
      return false;
  }
}

void BusMaster::note_interrupt() {
  status_ |= kInterrupt;
}

bool BusMaster::next_region() {
  if (last_region_) {
    // The table has ended, whether or not the drive has more: the engine stops.
    status_ &= static_cast<u8>(~kActive);
    return false;
  }
  const u64 entry = memory_.read_value({next_entry_}, 8);
  next_entry_ += 8;
  const u32 count = static_cast<u32>(entry >> 32);
  address_ = static_cast<u32>(entry) & ~1U;
  left_ = count & 0xFFFE;
  if (left_ == 0) left_ = 0x10000;
  last_region_ = (count & kEndOfTable) != 0;
  return true;
}

void BusMaster::transfer(IdeDrive& drive) {
  const DmaDirection direction =
      (command_ & kToMemory) != 0 ? DmaDirection::ToMemory : DmaDirection::FromMemory;
  // Bounded: each round moves at least a byte of a window, and the drive opens its next window only
  // in a later clock event.
  while ((status_ & kActive) != 0 && drive.dma_request() == direction) {
    if (left_ == 0 && !next_region()) return;
    const std::span<u8> window = drive.dma_window();
    const u32 length = static_cast<u32>(std::min<std::size_t>(left_, window.size()));
    if (direction == DmaDirection::ToMemory) {
      memory_.write({address_}, window.first(length));
    } else {
      memory_.read({address_}, window.first(length));
    }
    address_ += length;
    left_ -= length;
    // The end of the last region stops the engine before the drive can raise its interrupt.
    if (left_ == 0 && last_region_) status_ &= static_cast<u8>(~kActive);
    drive.dma_transferred(length);
  }
}

}  // namespace ringshift::devices
