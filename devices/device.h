// What every emulated device owes the board: a name, reset, and its whole guest-visible state in
// one list. Snapshot is pure virtual on purpose: a device that can't be saved can't be added.
#pragma once

#include <string_view>

#include "cpu/state_archive.h"
#include "cpu/types.h"

namespace ringshift::devices {

enum class ResetKind : u8 {
  PowerOn,  ///< Everything returns to its data-sheet power-on value.
  System,   ///< The board's reset line: battery-backed and sticky state survives.
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual std::string_view name() const = 0;
  virtual void reset(ResetKind kind) = 0;

  /// Lists every guest-visible field, for saving and restoring alike. Host handles (files, sockets)
  /// are constructor arguments and never appear here. After restoring, outputs that other devices
  /// also save (interrupt lines, timers) must not be pulsed.
  virtual void serialize(StateArchive& archive) = 0;
};

}  // namespace ringshift::devices
