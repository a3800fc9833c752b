// The host as devices see it: serial lines, disks, the screen and input, as small interfaces. The
// frontend implements them. All calls are made on the vCPU's thread; a backend never blocks it on
// something that may take for ever, and input from other threads enters through the machine's
// queue.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::devices {

// --- Serial and parallel lines ------------------------------------------------------------------

/// The far end of a serial or parallel line.
class CharacterBackend {
 public:
  virtual ~CharacterBackend() = default;
  /// A byte that the guest has sent.
  virtual void transmit(u8 byte) = 0;
  /// The device has room again after a `receive()` that took less than was offered.
  virtual void ready_to_receive() {}
};

/// A device that takes bytes from its CharacterBackend.
class CharacterReceiver {
 public:
  virtual ~CharacterReceiver() = default;
  /// Offers bytes from outside; the device takes as many as it has room for and returns how many.
  virtual std::size_t receive(std::span<const u8> bytes) = 0;
};

// --- Disks --------------------------------------------------------------------------------------

enum class BlockStatus : u8 {
  Done,
  Failed,   ///< The host reported an error (bad medium, disk full); the guest sees an I/O error.
  NoMedium  ///< There is nothing in the drive.
};

/// A disk, CD or floppy image. Offsets and lengths are in bytes and must lie inside `size()`.
class BlockBackend {
 public:
  using Completion = std::function<void(BlockStatus)>;
  virtual ~BlockBackend() = default;

  virtual u64 size() const = 0;
  virtual bool read_only() const = 0;
  /// Starts a transfer. `completion` runs on the vCPU's thread, perhaps before the call returns;
  /// the buffer must stay valid until then.
  virtual void read(u64 offset, std::span<u8> buffer, Completion completion) = 0;
  virtual void write(u64 offset, std::span<const u8> buffer, Completion completion) = 0;
  /// Completes when all completed writes are on stable storage.
  virtual void flush(Completion completion) = 0;
  /// The guest no longer needs this range (TRIM). A hint: the default ignores it.
  virtual void discard(u64 offset, u64 length, Completion completion) {
    static_cast<void>(offset), static_cast<void>(length);
    const Completion done = std::move(completion);
    done(BlockStatus::Done);
  }
};

// --- Screen -------------------------------------------------------------------------------------

/// What a display adapter shows, as pixels: 0x00RRGGBB, row by row without gaps.
struct Frame {
  unsigned width = 0;
  unsigned height = 0;
  std::vector<u32> pixels;
};

/// What a display adapter shows in a text mode, as characters (code page 437 bytes) by row.
struct TextScreen {
  unsigned columns = 0;
  unsigned rows = 0;
  std::vector<u8> characters;  ///< columns * rows; empty in graphics modes

  bool is_text() const { return !characters.empty(); }
  /// One row as UTF-8 without trailing blanks.
  std::string row(unsigned number) const;
};

/// A display adapter, as the frontend's window, screenshots and `--expect` see it.
class ScreenSource {
 public:
  virtual ~ScreenSource() = default;
  virtual void render(Frame& frame) = 0;
  virtual TextScreen text() = 0;
  /// Whether `render()` would now give another picture than the last time, so that a window needn't
  /// draw what it already shows. True if unsure.
  virtual bool changed() { return true; }
};

// --- Keyboard and mouse -------------------------------------------------------------------------

/// A key by its place on the keyboard: the USB HID usage number (HID Usage Tables 1.12, page 0x07).
struct KeyCode {
  u8 usage = 0;
  friend constexpr bool operator==(KeyCode, KeyCode) = default;
};

class KeyboardSink {
 public:
  virtual ~KeyboardSink() = default;
  virtual void key(KeyCode code, bool pressed) = 0;
  /// Whether the guest would take another key now, or a queue in the device is nearly full.
  virtual bool ready_for_key() const = 0;
};

struct PointerMotion {
  int dx = 0;      ///< to the right
  int dy = 0;      ///< downwards
  int wheel = 0;   ///< towards the user is positive
  u8 buttons = 0;  ///< bit 0 left, 1 right, 2 middle
};

class PointerSink {
 public:
  virtual ~PointerSink() = default;
  virtual void pointer(const PointerMotion& motion) = 0;
};

// --- The machine's front panel ------------------------------------------------------------------

/// What devices may ask of the machine as a whole. Each takes effect when the current instruction
/// has ended.
class MachineControl {
 public:
  virtual ~MachineControl() = default;
  virtual void request_reset() = 0;
  /// ACPI S5 soft-off.
  virtual void request_power_off() = 0;
  /// The guest wrote `value` to the isa-debug-exit port.
  virtual void request_debug_exit(u32 value) = 0;
  /// The guest reported a panic (pvpanic).
  virtual void guest_panicked() = 0;
  /// The A20 gate changed (port 92h or the keyboard controller's output port).
  virtual void set_a20(bool enabled) = 0;
};

}  // namespace ringshift::devices
