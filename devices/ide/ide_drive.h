// What an ATA disk and a packet device have in common: the task file, the BSY/DRQ handshake, the
// data window through which PIO or DMA moves bytes, and the asynchronous conversation with the host
// image. A command never finishes inside the register write that starts it: each step is a short
// clock event, so that a guest sees BSY, then data or an interrupt, in the order in which hardware
// shows them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cpu/state_archive.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/ide/ata_registers.h"

namespace ringshift::devices {

enum class DmaDirection : u8 { ToMemory, FromMemory };

/// What a drive needs of its channel.
class IdeCable {
 public:
  virtual ~IdeCable() = default;
  virtual void interrupt_changed() = 0;
  /// The drive asserts DMARQ: `dma_request()` has a value now.
  virtual void dma_requested() = 0;
};

/// The backend must not complete requests any more when the drive is destroyed: the machine stops
/// its backends first.
class IdeDrive {
 public:
  explicit IdeDrive(EventClock& clock);
  virtual ~IdeDrive() = default;
  IdeDrive(const IdeDrive&) = delete;
  IdeDrive& operator=(const IdeDrive&) = delete;

  /// The channel takes the drive in at `position` (0 or 1).
  void plug_in(IdeCable& cable, unsigned position);

  // --- The command block ---
  u8 status() const { return status_; }
  bool interrupt() const { return interrupt_; }
  void acknowledge_interrupt();
  /// `high` selects the previous content (HOB). Not for Data and Status.
  u8 read_register(ata::Register at, bool high) const;
  /// Ignored while the drive is busy or moves data, as the standard has it.
  void write_register(ata::Register at, u8 value);
  void write_command(u8 command);
  u32 read_data(unsigned size);
  void write_data(u32 value, unsigned size);

  // --- Resets ---
  /// SRST is set: everything stops; BSY until `end_soft_reset`.
  void begin_soft_reset();
  void end_soft_reset();
  /// EXECUTE DEVICE DIAGNOSTIC, which both drives run whichever is selected.
  void diagnose(bool raise_interrupt);
  /// The board's reset line, or power-on.
  void hardware_reset(ResetKind kind);

  // --- DMA, driven by the bus master ---
  std::optional<DmaDirection> dma_request() const;
  /// What can be moved now; never empty while there is a request.
  std::span<u8> dma_window() { return {buffer_.data() + position_, end_ - position_}; }
  void dma_transferred(std::size_t bytes);

  /// A request that the backend hasn't answered is saved as such and asked again after restoring.
  virtual void serialize(StateArchive& archive);

 protected:
  static constexpr Nanoseconds kCommandTime = 2'000;  ///< from a command to its first step
  static constexpr Nanoseconds kStepTime = 500;       ///< between two blocks of a transfer
  static constexpr Nanoseconds kResetTime = 50'000;
  static constexpr std::size_t kBufferSize = 128 * 1024;  ///< the most a backend request moves

  struct TaskFile {
    u8 feature = 0, count = 0, lba_low = 0, lba_mid = 0, lba_high = 0;
    void serialize(StateArchive& archive);
  };
  enum class Announce : u8 { Silently, WithInterrupt };

  /// Runs the command that the guest has written; the drive is BSY.
  virtual void execute(u8 command) = 0;
  /// The data window has been used up by the guest or the bus master; the drive is BSY.
  virtual void window_done() = 0;
  /// The backend has answered; the drive is BSY.
  virtual void backend_done(BlockStatus status) = 0;
  /// The step after `schedule_step()`; the drive is BSY.
  virtual void step() = 0;
  /// Ends the command in flight and returns settings to their defaults.
  virtual void reset_settings(bool hardware, ResetKind kind) = 0;
  /// Puts the signature in the task file (ATA/ATAPI-6 §9.12); returns the status that goes with it.
  virtual u8 put_signature() = 0;
  /// Commands that are taken even while the drive is busy.
  virtual bool is_device_reset(u8 command) const = 0;
  virtual BlockBackend* backend() = 0;

  // --- Steps of a command ---
  /// Ends the command: DRDY, and an interrupt if announced.
  void complete(Announce announce = Announce::WithInterrupt);
  /// Ends the command with ERR and these bits in the error register.
  void fail(u8 error);
  void schedule_step();
  void pio_to_host(std::size_t begin, std::size_t end, Announce announce, u8 status);
  void pio_from_host(std::size_t begin, std::size_t end, Announce announce, u8 status);
  void dma_to_memory(std::size_t begin, std::size_t end);
  void dma_from_memory(std::size_t begin, std::size_t end);
  /// Backend requests on the first `length` bytes of the buffer.
  void read_backend(u64 offset, std::size_t length);
  void write_backend(u64 offset, std::size_t length);
  void flush_backend();
  void discard_backend(u64 offset, u64 length);
  /// Stops whatever runs and shows the signature when the backend has let go of the buffer.
  void restart(bool raise_interrupt);
  void set_interrupt(bool raised);

  TaskFile current_, previous_;
  u8 device_ = 0;
  u8 error_ = 0;
  u8 status_ = 0;
  unsigned position_in_cable() const { return cable_position_; }
  std::vector<u8>& buffer() { return buffer_; }

 private:
  enum class Phase : u8 {
    Idle,
    Command,    ///< waiting for the command's first step
    Step,       ///< waiting for its next step
    Backend,    ///< waiting for the backend
    PioIn,      ///< DRQ: the guest reads
    PioOut,     ///< DRQ: the guest writes
    DmaIn,      ///< DMARQ: the bus master reads from the drive
    DmaOut,     ///< DMARQ: the bus master writes to the drive
    SoftReset,  ///< SRST is held
    Restart     ///< the reset's or diagnostic's work
  };
  enum class Request : u8 { None, Read, Write, Flush, Discard };
  struct Abandoned {
    u64 token;
    std::vector<u8> buffer;
  };

  void on_timer();
  void open_window(Phase phase, std::size_t begin, std::size_t end, Announce announce, u8 status);
  void move_window(std::size_t bytes);
  void start_request(Request request, u64 offset, u64 length);
  void issue_request();
  void request_done(u64 token, BlockStatus status);
  void finish_restart();
  void after_restore();

  Timer timer_;
  IdeCable* cable_ = nullptr;
  unsigned cable_position_ = 0;
  Phase phase_ = Phase::Idle;
  u8 command_ = 0;
  bool interrupt_ = false;
  bool interrupt_after_restart_ = false;

  std::vector<u8> buffer_ = std::vector<u8>(kBufferSize);
  std::size_t position_ = 0;
  std::size_t end_ = 0;

  Request request_ = Request::None;
  u64 request_offset_ = 0;
  u64 request_length_ = 0;
  bool issued_ = false;  // the backend of this process has the request; not part of a snapshot
  u64 token_ = 0;        // tells a live request's completion from one of before a restore
  std::vector<Abandoned> abandoned_;
};

}  // namespace ringshift::devices
