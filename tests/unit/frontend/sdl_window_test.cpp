// With SDL's dummy video driver: events go in by SDL's queue and must come out as the session's.
#include <SDL.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "frontend/window.h"

using namespace ringshift;
using namespace ringshift::frontend;
using devices::PointerMotion;

namespace {

std::unique_ptr<Window> open_window() {
  ::setenv("SDL_VIDEODRIVER", "dummy", 1);
  auto window = create_sdl_window("Ringshift");
  REQUIRE(window.ok());
  std::unique_ptr<Window> opened = std::move(window).value();
  SDL_FlushEvents(SDL_FIRSTEVENT, SDL_LASTEVENT);
  opened->poll();
  return opened;
}

void push_key(SDL_Scancode code, bool down, unsigned modifiers = 0, bool repeat = false) {
  SDL_Event event{};
  event.type = down ? SDL_KEYDOWN : SDL_KEYUP;
  event.key.state = down ? SDL_PRESSED : SDL_RELEASED;
  event.key.repeat = repeat;
  event.key.keysym.scancode = code;
  event.key.keysym.mod = static_cast<Uint16>(modifiers);
  SDL_PushEvent(&event);
}

void push_button(u8 button, bool down) {
  SDL_Event event{};
  event.type = down ? SDL_MOUSEBUTTONDOWN : SDL_MOUSEBUTTONUP;
  event.button.button = button;
  event.button.state = down ? SDL_PRESSED : SDL_RELEASED;
  SDL_PushEvent(&event);
}

void push_motion(int dx, int dy) {
  SDL_Event event{};
  event.type = SDL_MOUSEMOTION;
  event.motion.xrel = dx;
  event.motion.yrel = dy;
  SDL_PushEvent(&event);
}

void push_wheel(int y) {
  SDL_Event event{};
  event.type = SDL_MOUSEWHEEL;
  event.wheel.y = y;
  SDL_PushEvent(&event);
}

void push_window(SDL_WindowEventID id) {
  SDL_Event event{};
  event.type = SDL_WINDOWEVENT;
  event.window.event = static_cast<Uint8>(id);
  SDL_PushEvent(&event);
}

/// The events in one line: "+04" a key down, "-04" up, "m1,2w0b0" a motion, "q" quit. What the
/// window system adds by itself (motions to the middle of the window) has no movement and is left
/// out.
std::string describe(const std::vector<WindowEvent>& events) {
  std::string text;
  u8 buttons = 0;
  for (const WindowEvent& event : events) {
    if (const auto* key = std::get_if<KeyEvent>(&event)) {
      text += (key->pressed ? "+" : "-") + std::to_string(key->key.usage) + " ";
    } else if (const auto* motion = std::get_if<PointerMotion>(&event)) {
      const bool still = motion->dx == 0 && motion->dy == 0 && motion->wheel == 0;
      if (still && motion->buttons == buttons) continue;
      buttons = motion->buttons;
      text += "m" + std::to_string(motion->dx) + "," + std::to_string(motion->dy) + "w" +
              std::to_string(motion->wheel) + "b" + std::to_string(motion->buttons) + " ";
    } else {
      text += "q ";
    }
  }
  return text;
}

}  // namespace

TEST_CASE("window: keys are HID usages, without the host's repeats") {
  const auto window = open_window();
  push_key(SDL_SCANCODE_A, true);
  push_key(SDL_SCANCODE_A, true, 0, true);
  push_key(SDL_SCANCODE_A, false);
  push_key(SDL_SCANCODE_RCTRL, true);
  push_key(SDL_SCANCODE_RCTRL, false);
  push_key(SDL_SCANCODE_RETURN, false);    // never pressed here
  push_key(SDL_SCANCODE_AUDIOPLAY, true);  // not on the keyboard page
  CHECK(describe(window->poll()) == "+4 -4 +228 -228 ");
  CHECK(window->poll().empty());
}

TEST_CASE("window: a click takes the mouse, Ctrl+Alt+G gives it back") {
  const auto window = open_window();
  push_motion(5, 6);
  push_button(SDL_BUTTON_RIGHT, true);
  CHECK(describe(window->poll()).empty());
  push_button(SDL_BUTTON_LEFT, true);
  push_button(SDL_BUTTON_LEFT, false);
  window->poll();
  push_motion(5, -6);
  push_button(SDL_BUTTON_RIGHT, true);
  push_button(SDL_BUTTON_MIDDLE, true);
  push_wheel(1);
  push_button(SDL_BUTTON_X1, true);
  CHECK(describe(window->poll()) == "m5,-6w0b0 m0,0w0b2 m0,0w0b6 m0,0w-1b6 ");
  push_key(SDL_SCANCODE_G, true, KMOD_LCTRL | KMOD_LALT);
  push_key(SDL_SCANCODE_G, false, KMOD_LCTRL | KMOD_LALT);
  push_motion(1, 1);
  push_wheel(1);
  const auto events = window->poll();
  REQUIRE(!events.empty());
  const auto* released = std::get_if<PointerMotion>(&events.front());
  REQUIRE(released != nullptr);
  CHECK(released->buttons == 0);
  CHECK(describe(events).empty());
  push_key(SDL_SCANCODE_G, true, KMOD_LCTRL | KMOD_LALT);  // and takes it again
  window->poll();  // SDL drops motions that wait while the mouse changes hands
  push_motion(1, 2);
  CHECK(describe(window->poll()).find("m1,2w0b0") != std::string::npos);
}

TEST_CASE("window: losing the focus lets all keys go; closing asks to quit") {
  const auto window = open_window();
  push_key(SDL_SCANCODE_LALT, true);
  push_key(SDL_SCANCODE_TAB, true);
  push_window(SDL_WINDOWEVENT_FOCUS_LOST);
  CHECK(describe(window->poll()) == "+226 +43 -43 -226 ");
  SDL_Event quit{};
  quit.type = SDL_QUIT;
  SDL_PushEvent(&quit);
  push_window(SDL_WINDOWEVENT_EXPOSED);
  CHECK(describe(window->poll()) == "q ");
}

TEST_CASE("window: shows frames of changing size and ignores broken ones") {
  const auto window = open_window();
  devices::Frame frame;
  window->show(frame);
  frame.width = 640, frame.height = 480;
  window->show(frame);  // no pixels
  frame.pixels.assign(640 * 480, 0x123456);
  window->show(frame);
  window->show(frame);
  SDL_Window* host = SDL_GetWindowFromID(1);
  for (Uint32 id = 2; host == nullptr && id < 64; ++id) host = SDL_GetWindowFromID(id);
  REQUIRE(host != nullptr);
  int width = 0, height = 0;
  SDL_GetWindowSize(host, &width, &height);
  CHECK(width == 640);
  CHECK(height == 480);
  CHECK(std::string(SDL_GetWindowTitle(host)) == "Ringshift - click to use the mouse");
}

TEST_CASE("window: no display is one clear line") {
  ::setenv("SDL_VIDEODRIVER", "no-such-driver", 1);
  const auto window = create_sdl_window("Ringshift");
  ::setenv("SDL_VIDEODRIVER", "dummy", 1);
  REQUIRE_FALSE(window.ok());
  CHECK(window.error().message.find("can't open a window: ") == 0);
}
