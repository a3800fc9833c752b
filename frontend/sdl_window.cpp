// The window on the guest's screen, with SDL 2. Only files named sdl_* may include SDL.
#include <SDL.h>

#include <bitset>
#include <utility>

#include "frontend/window.h"

namespace ringshift::frontend {

namespace {

using devices::Frame;
using devices::KeyCode;
using devices::PointerMotion;

// SDL's scancodes are HID usages of the keyboard page up to the modifiers E0h-E7h; what SDL numbers
// beyond belongs to other usage pages.
constexpr unsigned kFirstUsage = 0x04;
constexpr unsigned kLastUsage = 0xE7;

struct SdlDeleter {
  void operator()(SDL_Window* window) const { SDL_DestroyWindow(window); }
  void operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
  void operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }
};
template <typename T>
using SdlPointer = std::unique_ptr<T, SdlDeleter>;

/// Initialises SDL's video part for as long as it lives.
class SdlVideo {
 public:
  SdlVideo() {
    // Ctrl-C and SIGTERM are the command line's, and a guest's screen may well be all there is to
    // see.
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    ok_ = SDL_InitSubSystem(SDL_INIT_VIDEO) == 0;
  }
  ~SdlVideo() {
    if (ok_) SDL_QuitSubSystem(SDL_INIT_VIDEO);
  }
  SdlVideo(const SdlVideo&) = delete;
  SdlVideo& operator=(const SdlVideo&) = delete;
  bool ok() const { return ok_; }

 private:
  bool ok_ = false;
};

u8 button_bit(u8 button) {
  switch (button) {
    case SDL_BUTTON_LEFT:
      return 0x01;
    case SDL_BUTTON_RIGHT:
      return 0x02;
    case SDL_BUTTON_MIDDLE:
      return 0x04;
    default:
      return 0;
  }
}

class SdlWindow final : public Window {
 public:
  explicit SdlWindow(std::string title) : title_(std::move(title)) {}
  ~SdlWindow() override { release_mouse(); }

  /// Null if all went well, else SDL's word for what didn't.
  const char* open();

  void show(const Frame& frame) override;
  std::vector<WindowEvent> poll() override;

 private:
  bool fit(const Frame& frame);
  void draw();
  void handle(const SDL_Event& event);
  void handle_key(const SDL_KeyboardEvent& event);
  void handle_button(const SDL_MouseButtonEvent& event);
  void release_all_keys();
  void grab_mouse();
  void release_mouse();
  void update_title();

  std::string title_;
  SdlVideo video_;
  SdlPointer<SDL_Window> window_;
  SdlPointer<SDL_Renderer> renderer_;
  SdlPointer<SDL_Texture> texture_;
  unsigned width_ = 0;
  unsigned height_ = 0;
  bool grabbed_ = false;
  u8 buttons_ = 0;
  std::bitset<256> pressed_;
  std::vector<WindowEvent> events_;
};

const char* SdlWindow::open() {
  constexpr int kWidth = 720;
  constexpr int kHeight = 400;
  if (!video_.ok()) return SDL_GetError();
  window_.reset(SDL_CreateWindow(title_.c_str(), SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                 kWidth, kHeight, SDL_WINDOW_RESIZABLE));
  if (!window_) return SDL_GetError();
  renderer_.reset(SDL_CreateRenderer(window_.get(), -1, 0));
  if (!renderer_) renderer_.reset(SDL_CreateRenderer(window_.get(), -1, SDL_RENDERER_SOFTWARE));
  if (!renderer_) return SDL_GetError();
  update_title();
  return nullptr;
}

/// Makes texture and window as large as the frame. False: the host can't show that.
bool SdlWindow::fit(const Frame& frame) {
  if (texture_ && frame.width == width_ && frame.height == height_) return true;
  const int width = static_cast<int>(frame.width);
  const int height = static_cast<int>(frame.height);
  texture_.reset(SDL_CreateTexture(renderer_.get(), SDL_PIXELFORMAT_RGB888,
                                   SDL_TEXTUREACCESS_STREAMING, width, height));
  if (!texture_) return false;
  width_ = frame.width;
  height_ = frame.height;
  // A window that the person has maximised keeps its size; the picture is scaled into it.
  constexpr Uint32 kFixed = SDL_WINDOW_MAXIMIZED | SDL_WINDOW_FULLSCREEN;
  if ((SDL_GetWindowFlags(window_.get()) & kFixed) == 0)
    SDL_SetWindowSize(window_.get(), width, height);
  SDL_RenderSetLogicalSize(renderer_.get(), width, height);
  return true;
}

void SdlWindow::show(const Frame& frame) {
  const bool whole = frame.pixels.size() >= std::size_t{frame.width} * frame.height;
  if (frame.width == 0 || frame.height == 0 || !whole || !fit(frame)) return;
  SDL_UpdateTexture(texture_.get(), nullptr, frame.pixels.data(),
                    static_cast<int>(frame.width * 4));
  draw();
}

void SdlWindow::draw() {
  SDL_SetRenderDrawColor(renderer_.get(), 0, 0, 0, SDL_ALPHA_OPAQUE);
  SDL_RenderClear(renderer_.get());
  if (texture_) SDL_RenderCopy(renderer_.get(), texture_.get(), nullptr, nullptr);
  SDL_RenderPresent(renderer_.get());
}

std::vector<WindowEvent> SdlWindow::poll() {
  SDL_Event event;
  while (SDL_PollEvent(&event) != 0) handle(event);
  return std::exchange(events_, {});
}

void SdlWindow::handle(const SDL_Event& event) {
  switch (event.type) {
    case SDL_QUIT:
      events_.emplace_back(QuitEvent{});
      break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
      handle_key(event.key);
      break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
      handle_button(event.button);
      break;
    case SDL_MOUSEMOTION:
      if (grabbed_) {
        events_.emplace_back(PointerMotion{event.motion.xrel, event.motion.yrel, 0, buttons_});
      }
      break;
    case SDL_MOUSEWHEEL:
      if (grabbed_) {
        const bool flipped = event.wheel.direction == SDL_MOUSEWHEEL_FLIPPED;
        const int towards_user = flipped ? event.wheel.y : -event.wheel.y;
        events_.emplace_back(PointerMotion{0, 0, towards_user, buttons_});
      }
      break;
    case SDL_WINDOWEVENT:
      if (event.window.event == SDL_WINDOWEVENT_FOCUS_LOST) {
        release_all_keys();
        release_mouse();
      } else if (event.window.event == SDL_WINDOWEVENT_EXPOSED) {
        draw();
      }
      break;
    default:
      break;
  }
}

void SdlWindow::handle_key(const SDL_KeyboardEvent& event) {
  const bool down = event.state == SDL_PRESSED;
  const bool hotkey = (event.keysym.mod & KMOD_CTRL) != 0 && (event.keysym.mod & KMOD_ALT) != 0 &&
                      event.keysym.scancode == SDL_SCANCODE_G;
  if (hotkey && down) {
    if (event.repeat == 0) grabbed_ ? release_mouse() : grab_mouse();
    return;
  }
  const unsigned usage = static_cast<unsigned>(event.keysym.scancode);
  if (usage < kFirstUsage || usage > kLastUsage) return;
  // The guest's keyboard repeats by itself; and what it never saw pressed isn't released.
  if (pressed_[usage] == down) return;
  pressed_[usage] = down;
  events_.emplace_back(KeyEvent{KeyCode{static_cast<u8>(usage)}, down});
}

void SdlWindow::handle_button(const SDL_MouseButtonEvent& event) {
  const bool down = event.state == SDL_PRESSED;
  if (!grabbed_) {
    if (down && event.button == SDL_BUTTON_LEFT) grab_mouse();
    return;
  }
  const u8 bit = button_bit(event.button);
  // The release of the click that took the mouse is nothing to the guest.
  if (bit == 0 || ((buttons_ & bit) != 0) == down) return;
  buttons_ ^= bit;
  events_.emplace_back(PointerMotion{0, 0, 0, buttons_});
}

/// The other window gets the releases: no key may stay down in the guest.
void SdlWindow::release_all_keys() {
  for (unsigned usage = kFirstUsage; usage <= kLastUsage; ++usage) {
    if (pressed_[usage]) events_.emplace_back(KeyEvent{KeyCode{static_cast<u8>(usage)}, false});
  }
  pressed_.reset();
}

void SdlWindow::grab_mouse() {
  grabbed_ = true;
  SDL_SetRelativeMouseMode(SDL_TRUE);
  SDL_SetWindowKeyboardGrab(window_.get(), SDL_TRUE);
  update_title();
}

void SdlWindow::release_mouse() {
  if (!grabbed_) return;
  grabbed_ = false;
  SDL_SetRelativeMouseMode(SDL_FALSE);
  SDL_SetWindowKeyboardGrab(window_.get(), SDL_FALSE);
  if (buttons_ != 0) events_.emplace_back(PointerMotion{});
  buttons_ = 0;
  update_title();
}

void SdlWindow::update_title() {
  const std::string state =
      grabbed_ ? " - Ctrl+Alt+G releases the mouse" : " - click to use the mouse";
  SDL_SetWindowTitle(window_.get(), (title_ + state).c_str());
}

}  // namespace

Result<std::unique_ptr<Window>> create_sdl_window(const std::string& title) {
  auto window = std::make_unique<SdlWindow>(title);
  if (const char* why = window->open()) {
    return Error{std::string("can't open a window: ") + why};
  }
  return std::unique_ptr<Window>(std::move(window));
}

}  // namespace ringshift::frontend
