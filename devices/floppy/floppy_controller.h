// The 82077AA diskette controller: what GRUB and DOS diskettes boot from and what every PC kernel
// probes. Source: Intel 82077AA data sheet (290166); the scan commands, which that chip dropped,
// after NEC's uPD765A, whose command set it extends.
//
// Heads move and sectors pass faster than on a real drive, but every command that ends in an
// interrupt ends in an event of the clock, never within the write that issued it: drivers rely on
// it.
#pragma once

#include <array>
#include <string_view>

#include "cpu/io_handler.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/dma/dma_controller.h"
#include "devices/floppy/floppy_drive.h"
#include "devices/irq.h"

namespace ringshift::devices {

/// How the chip's IDENT and MFM pins are strapped. PC/AT: DOR bit 3 gates interrupt and DMA, and
/// the status registers A and B aren't there. PS/2: the other way round.
enum class FloppyInterface : u8 { PcAt, Ps2 };

class FloppyController final : public Device {
 public:
  FloppyController(EventClock& clock, DmaChannel& dma,
                   FloppyInterface interface = FloppyInterface::PcAt);

  std::string_view name() const override { return "82077AA diskette controller"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  static constexpr unsigned kDrives = 2;
  void set_drive_type(unsigned drive, FloppyDriveType type) { drives_[drive % 4].set_type(type); }
  FloppyDriveType drive_type(unsigned drive) const { return drives_[drive % 4].type(); }
  /// Puts a diskette into a drive; one that is in it comes out first.
  void insert(unsigned drive, BlockBackend& image) { drives_[drive % 4].insert(image); }
  void eject(unsigned drive) { drives_[drive % 4].eject(); }

  IrqLine& irq() { return irq_; }                        ///< IRQ 6
  IoHandler& ports() { return ports_; }                  ///< 6 ports: 3F0h
  IoHandler& digital_input() { return digital_input_; }  ///< 1 port: 3F7h

 private:
  enum class Phase : u8 { Command, Execution, Result };
  enum class Operation : u8 { Read, Write, Verify, ReadTrack, Scan, Format, ReadId };
  /// What the execution phase waits for.
  enum class Step : u8 {
    Idle,
    Locate,       // the timer: the next sector comes under the head
    Host,         // the FIFO: the guest moves bytes (non-DMA mode); the timer means overrun
    Store,        // the timer: the buffer goes to the diskette
    BackendRead,  // the image
    BackendWrite
  };
  struct Command {
    u8 mask, value, parameters;
    void (FloppyController::*execute)();
  };
  static const Command* find_command(u8 opcode);

  // Registers (floppy_controller.cpp)
  u64 read_port(u64 offset, unsigned size);
  void write_port(u64 offset, u64 value, unsigned size);
  u64 read_digital_input(u64 offset, unsigned size);
  void write_configuration_control(u64 offset, u64 value, unsigned size);
  u8 status_a() const;
  u8 status_b() const;
  u8 main_status() const;
  void write_digital_output(u8 value);
  void write_data_rate_select(u8 value);
  u8 read_fifo();
  void write_fifo(u8 value);
  void serialize_transfer(StateArchive& archive);
  void enter_reset();
  void leave_reset();
  void on_reset_done();
  bool gate_open() const;
  void update_line();
  void set_interrupt(bool asserted);

  // Commands without data
  void invalid();
  void specify();
  void sense_drive_status();
  void recalibrate();
  void seek();
  void relative_seek();
  void sense_interrupt_status();
  void version();
  void dump_registers();
  void perpendicular_mode();
  void configure();
  void lock();
  void clear_transfer();
  void start_seek(unsigned drive, int steps, u8 new_cylinder, u8 status);
  void on_seek_done(unsigned drive);
  bool seek_news() const;
  void reply(std::initializer_list<u8> bytes);

  // Commands with data (floppy_transfer.cpp)
  void read_data();
  void write_data();
  void verify();
  void read_track();
  void scan();
  void format_track();
  void read_id();
  void begin(Operation operation);
  void wait_for_sector(Nanoseconds delay);
  void on_step();
  void locate();
  void locate_for_format();
  bool track_exists();
  bool sector_exists();
  void start_backend_read(u64 offset);
  void start_backend_write();
  void on_backend_done(u32 token, BlockStatus status);
  void exchange_with_host(u16 length);
  void exchange_by_dma();
  void on_host_byte();
  void host_done(bool terminal_count);
  void format_sector();
  void compare(bool terminal_count);
  void next_sector(bool terminal_count);
  bool advance();
  void finish_read_id();
  void fail(u8 st0, u8 st1, u8 st2);
  void finish();
  FloppyDrive& drive() { return drives_[parameters_[1] & 3]; }
  bool dma_mode() const { return (hlt_nd_ & 1) == 0; }
  bool host_to_controller() const {
    return operation_ == Operation::Write || operation_ == Operation::Scan ||
           operation_ == Operation::Format;
  }
  bool multi_track() const { return (parameters_[0] & 0x80) != 0; }

  EventClock& clock_;
  DmaChannel& dma_;
  const FloppyInterface interface_;
  std::array<FloppyDrive, 4> drives_;  // the chip has selects for four; the board has two

  u8 dor_ = 0;
  u8 tdr_ = 0;
  u8 dsr_ = 0;
  u8 rate_ = 2;
  Phase phase_ = Phase::Command;
  std::array<u8, 9> parameters_{};  // opcode and parameters
  u8 received_ = 0;
  u8 expected_ = 0;
  std::array<u8, 10> result_{};
  u8 result_length_ = 0;
  u8 result_position_ = 0;
  bool interrupt_ = false;

  u8 srt_hut_ = 0;
  u8 hlt_nd_ = 0;
  u8 configuration_ = 0;
  u8 precompensation_track_ = 0;
  u8 perpendicular_ = 0;
  bool locked_ = false;

  std::array<u8, 4> cylinders_{};  // PCN: where the chip thinks the heads are
  std::array<u8, 4> seek_target_{};
  std::array<i32, 4> seek_steps_{};
  std::array<u8, 4> seek_status_{};  // ST0 for when the seek has ended
  u8 seeking_ = 0;                   // one bit a drive
  u8 interrupt_causes_ = 0;          // one bit a drive: SENSE INTERRUPT STATUS has news

  Operation operation_ = Operation::Read;
  Step step_ = Step::Idle;
  u8 st0_ = 0, st1_ = 0, st2_ = 0;
  u8 cylinder_ = 0, head_ = 0, sector_ = 0, size_code_ = 0;  // C, H, R, N
  u8 physical_head_ = 0;
  u8 sectors_done_ = 0;
  u8 last_sector_ = 0;           // EOT, or SC when formatting
  bool terminal_count_ = false;  // TC came with the sector that is being stored
  u64 backend_offset_ = 0;
  std::array<u8, FloppyDrive::kSectorSize> data_{};
  std::array<u8, FloppyDrive::kSectorSize> host_data_{};
  u16 data_position_ = 0;
  u16 data_length_ = 0;

  // Host side only: transfers of the image that are under way, and which one still matters.
  u32 backend_token_ = 0;
  unsigned backend_outstanding_ = 0;

  IrqLine irq_;
  Timer step_timer_;
  Timer reset_timer_;
  std::array<Timer, 4> seek_timers_;
  MemberIoHandler<FloppyController, &FloppyController::read_port, &FloppyController::write_port>
      ports_{*this};
  MemberIoHandler<FloppyController, &FloppyController::read_digital_input,
                  &FloppyController::write_configuration_control>
      digital_input_{*this};
};

}  // namespace ringshift::devices
