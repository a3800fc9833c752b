// A window on the guest's screen, as a session sees it. SDL stays behind it (sdl_window.cpp), so
// that the headless path never touches SDL.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cpu/result.h"
#include "devices/backends.h"

namespace ringshift::frontend {

struct KeyEvent {
  devices::KeyCode key;
  bool pressed = false;
};
struct QuitEvent {};
using WindowEvent = std::variant<KeyEvent, devices::PointerMotion, QuitEvent>;

class Window {
 public:
  virtual ~Window() = default;
  virtual void show(const devices::Frame& frame) = 0;
  /// What the person has done since the last call.
  virtual std::vector<WindowEvent> poll() = 0;
};

/// Defined in sdl_window.cpp. Fails with one line when there is no display.
Result<std::unique_ptr<Window>> create_sdl_window(const std::string& title);

}  // namespace ringshift::frontend
