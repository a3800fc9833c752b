// Interrupt wiring. A device owns IrqLines and sets their level; it never knows which controller or
// pin is at the other end. The board connects the lines (board.cpp).
#pragma once

#include "cpu/types.h"

namespace ringshift::devices {

/// The receiving end of numbered lines: an interrupt controller or a router.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  /// Line `number` now has level `level`. Called on changes only.
  virtual void set_irq(unsigned number, bool level) = 0;
};

/// The sending end of one line. Not connected by default: then it only remembers its level.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(const IrqLine&) = delete;
  IrqLine& operator=(const IrqLine&) = delete;

  void connect(IrqSink& sink, unsigned number) {
    sink_ = &sink;
    number_ = number;
  }
  void set(bool level) {
    if (level == level_) return;
    level_ = level;
    if (sink_ != nullptr) sink_->set_irq(number_, level);
  }
  void raise() { set(true); }
  void lower() { set(false); }
  bool level() const { return level_; }
  /// Takes over a level from a snapshot without telling the sink, which restores its own inputs.
  void restore_level(bool level) { level_ = level; }

 private:
  IrqSink* sink_ = nullptr;
  unsigned number_ = 0;
  bool level_ = false;
};

}  // namespace ringshift::devices
