// A range of ports that a configuration register other than a BAR puts somewhere: the power
// management and SMBus bases, the IDE channels' legacy decode. Like a BAR, a window that meets
// another claim stays unmapped until the conflict is gone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cpu/io_handler.h"
#include "devices/port_bus.h"

namespace ringshift::devices {

class PortWindow {
 public:
  PortWindow(PortBus& ports, std::string_view name, u32 count, IoHandler& handler,
             AccessSizes sizes = {1, 1})
      : ports_(ports), name_(name), count_(count), handler_(handler), sizes_(sizes) {}
  ~PortWindow() { place(std::nullopt); }
  PortWindow(const PortWindow&) = delete;
  PortWindow& operator=(const PortWindow&) = delete;

  /// Puts the window at `first`, or nowhere. Port 0 counts as nowhere: it means "not assigned".
  void place(std::optional<u16> first) {
    if (first == u16{0}) first.reset();
    if (mapped_at_ == first) return;
    if (mapped_at_) ports_.unmap(*mapped_at_, handler_);
    mapped_at_.reset();
    if (first && *first + count_ <= 0x10000 &&
        ports_.map(*first, count_, name_, handler_, sizes_)) {
      mapped_at_ = first;
    }
  }
  std::optional<u16> mapped_at() const { return mapped_at_; }

 private:
  PortBus& ports_;
  std::string name_;
  u32 count_;
  IoHandler& handler_;
  AccessSizes sizes_;
  std::optional<u16> mapped_at_;
};

}  // namespace ringshift::devices
