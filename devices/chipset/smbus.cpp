#include "devices/chipset/smbus.h"

namespace ringshift::devices {

namespace {

constexpr unsigned kHostStatus = 0x0;    // SMBHSTSTS
constexpr unsigned kSlaveStatus = 0x1;   // SMBSLVSTS
constexpr unsigned kHostControl = 0x2;   // SMBHSTCNT
constexpr unsigned kHostCommand = 0x3;   // SMBHSTCMD
constexpr unsigned kHostAddress = 0x4;   // SMBHSTADD
constexpr unsigned kHostData0 = 0x5;     // SMBHSTDAT0
constexpr unsigned kHostData1 = 0x6;     // SMBHSTDAT1
constexpr unsigned kBlockData = 0x7;     // SMBBLKDAT
constexpr unsigned kSlaveControl = 0x8;  // SMBSLVCNT
constexpr unsigned kSlaveEvent = 0xA;    // SMBSLVEVT, two bytes

constexpr u8 kBusy = 0x01;         // HOST_BUSY
constexpr u8 kDeviceError = 0x04;  // DEV_ERR: nobody claimed the cycle
constexpr u8 kFailed = 0x10;       // FAILED: killed
constexpr u8 kClearable = 0x1E;
constexpr u8 kSlaveClearable = 0x3C;

constexpr u8 kInterruptEnable = 0x01;
constexpr u8 kKill = 0x02;
constexpr u8 kProtocol = 0x1C;
constexpr u8 kStart = 0x40;

/// Start condition and address byte at about 100 kHz.
constexpr Nanoseconds kAddressTime = 100'000;

}  // namespace

SmBusHost::SmBusHost(EventClock& clock, std::function<void()> interrupt_changed)
    : interrupt_changed_(std::move(interrupt_changed)),
      timer_(clock, [this] { finish(kDeviceError); }) {}

void SmBusHost::reset() {
  timer_.cancel();
  registers_ = {};
  block_ = {};
  block_index_ = 0;
}

void SmBusHost::serialize(StateArchive& archive) {
  archive.field("smbus registers", registers_);
  archive.field("smbus block", block_);
  archive.field("smbus block index", block_index_);
  archive.field("smbus timer", timer_);
  block_index_ %= block_.size();
}

bool SmBusHost::interrupt() const {
  return (registers_[kHostControl] & kInterruptEnable) != 0 &&
         (registers_[kHostStatus] & kClearable) != 0;
}

void SmBusHost::finish(u8 status) {
  timer_.cancel();
  registers_[kHostStatus] = static_cast<u8>((registers_[kHostStatus] & ~kBusy) | status);
  interrupt_changed_();
}

u64 SmBusHost::io_read(u64 offset, unsigned size) {
  static_cast<void>(size);
  const unsigned at = offset & 15;
  if (at == kHostControl) block_index_ = 0;  // reading the control register rewinds the block array
  if (at == kBlockData) {
    const u8 byte = block_[block_index_];
    block_index_ = static_cast<u8>((block_index_ + 1) % block_.size());
    return byte;
  }
  return registers_[at];
}

void SmBusHost::io_write(u64 offset, u64 value, unsigned size) {
  static_cast<void>(size);
  const unsigned at = offset & 15;
  const u8 byte = static_cast<u8>(value);
  switch (at) {
    case kHostStatus:
      registers_[at] &= static_cast<u8>(~(byte & kClearable));
      interrupt_changed_();
      break;
    case kSlaveStatus:
      registers_[at] &= static_cast<u8>(~(byte & kSlaveClearable));
      break;
    case kHostControl:
      write_control(byte);
      break;
    case kBlockData:
      block_[block_index_] = byte;
      block_index_ = static_cast<u8>((block_index_ + 1) % block_.size());
      break;
    case kSlaveControl:
      registers_[at] = byte & 0x0F;
      break;
    case kHostCommand:
    case kHostAddress:
    case kHostData0:
    case kHostData1:
    case kSlaveEvent:
    case kSlaveEvent + 1:
      registers_[at] = byte;
      break;
    default:
      break;  // shadow command, slave data and reserved bytes are read-only
  }
}

void SmBusHost::write_control(u8 value) {
  registers_[kHostControl] = value & (kInterruptEnable | kKill | kProtocol);
  const bool busy = (registers_[kHostStatus] & kBusy) != 0;
  if ((value & kKill) != 0) {
    if (busy) finish(kFailed);
  } else if ((value & kStart) != 0 && !busy) {
    registers_[kHostStatus] |= kBusy;
    timer_.arm_in(kAddressTime);
  }
  interrupt_changed_();
}

}  // namespace ringshift::devices
