// A whole board without a processor, for tests: time moved by hand, media in memory, and everything
// that the board does to the world outside written down. Each piece of guest memory lies between
// pages that can't be touched, so that a device that reaches past its end stops the test.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpu/result.h"
#include "devices/board.h"
#include "devices/clock.h"
#include "devices/timer/wall_clock.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "tests/unit/devices/memory_backend.h"

namespace ringshift::devices::test {

/// Something that the board did to the world outside.
struct BoardEvent {
  enum class Kind : u8 {
    ProcessorPin,
    ProcessorInit,
    ProcessorStartUp,
    ProcessorSmi,
    Transmit,
    Reset,
    PowerOff,
    DebugExit,
    Panic,
    A20
  };
  Kind kind;
  unsigned number;  ///< pin or line
  u64 value;
  friend bool operator==(const BoardEvent&, const BoardEvent&) = default;
};

class TestBoard final : private IrqSink,
                        private ApicProcessor,
                        private TscSource,
                        private MachineControl {
 public:
  static constexpr u64 kRamSize = u64{16} << 20;
  static constexpr u64 kFirmwareSize = u64{128} << 10;
  static constexpr u16 kDebugExitPort = 0x501;
  static constexpr unsigned kDisks = 6;
  /// Ticks of the time-stamp counter in a nanosecond.
  static constexpr u64 kTscPerNanosecond = 2;
  /// Whether the video card has a ROM. Without one, video memory ends at a guard page.
  enum class VideoRom : u8 { Absent, Present };

  /// A board that has been powered on, at time 0.
  static std::unique_ptr<TestBoard> create(VideoRom rom = VideoRom::Present);
  ~TestBoard() override;

  Board& board() { return *board_; }
  Device& device(std::string_view name);
  EventClock& clock() { return clock_; }
  Nanoseconds now() { return time_.now(); }
  mmu::MemoryMap& map() { return map_; }
  std::span<u8> ram() { return ram_.bytes(); }
  std::span<u8> video_memory() { return video_memory_; }
  /// The images, in the order floppy A, B, IDE primary 0, 1, secondary 0, 1 (an empty drive).
  std::array<std::unique_ptr<MemoryBackend>, kDisks>& disks() { return disks_; }
  /// Lets disks answer late, at `answer_disk()`.
  void defer_disks(bool deferred);
  bool answer_disk(unsigned number);

  // --- The guest's accesses ---
  u32 in(u16 port, unsigned size = 1) { return board_->ports().read(port, size); }
  void out(u16 port, u32 value, unsigned size = 1) { board_->ports().write(port, value, size); }
  void write_config(unsigned slot, unsigned function, u8 offset, u32 value, unsigned size);
  u32 read_config(unsigned slot, unsigned function, u8 offset, unsigned size);
  /// Programs PCI as firmware does: power management, bus master and video card at their usual
  /// addresses, interrupts routed, decoding on.
  void configure_pci();

  // --- The machine around the board ---
  /// Lets time pass in one step and runs what is due. False if there is no end to what is due.
  bool advance(Nanoseconds by);
  /// Does what the machine does between two instructions: due events, requested resets. False as
  /// for `advance`.
  bool between_instructions();
  bool interrupt_pin() const { return pins_[Board::kIntrPin]; }
  bool a20() const { return a20_; }
  /// What happened since the last call.
  std::vector<BoardEvent> take_events();

  std::vector<u8> save();
  Result<void> restore(std::vector<u8> snapshot);
  static std::vector<u8> save(Device& device);
  static Result<void> restore(Device& device, std::vector<u8> snapshot);
  /// Takes over what a snapshot of the board doesn't hold: time, RAM, the contents of the disks and
  /// the levels of the processor's pins.
  void copy_surroundings(TestBoard& from);

 private:
  TestBoard(mmu::GuestMemory memory, VideoRom rom);
  mmu::MemoryBlock allocate_guard();
  void record(BoardEvent::Kind kind, unsigned number = 0, u64 value = 0);

  void set_irq(unsigned number, bool level) override;
  void init() override { record(BoardEvent::Kind::ProcessorInit); }
  void start_up(u8 vector) override { record(BoardEvent::Kind::ProcessorStartUp, 0, vector); }
  void smi() override { record(BoardEvent::Kind::ProcessorSmi); }
  u64 tsc() override { return time_.now() * kTscPerNanosecond; }
  Nanoseconds time_of_tsc(u64 value) override { return value / kTscPerNanosecond + 1; }
  void request_reset() override;
  void request_power_off() override { record(BoardEvent::Kind::PowerOff); }
  void request_debug_exit(u32 value) override { record(BoardEvent::Kind::DebugExit, 0, value); }
  void guest_panicked() override { record(BoardEvent::Kind::Panic); }
  void set_a20(bool enabled) override;

  /// The far end of a serial or parallel line.
  class Line final : public CharacterBackend {
   public:
    Line(TestBoard& owner, unsigned number) : owner_(owner), number_(number) {}
    void transmit(u8 byte) override { owner_.record(BoardEvent::Kind::Transmit, number_, byte); }

   private:
    TestBoard& owner_;
    unsigned number_;
  };

  ManualTime time_;
  EventClock clock_{time_};
  FixedWallClock wall_{i64{946'684'800} * 1'000'000'000};  // 2000-01-01
  mmu::GuestMemory memory_;
  mmu::MemoryMap map_;
  mmu::MemoryBlock ram_;
  std::span<u8> video_memory_;
  std::array<std::unique_ptr<Line>, 4> lines_;
  std::array<std::unique_ptr<MemoryBackend>, kDisks> disks_;
  std::unique_ptr<Board> board_;

  std::vector<BoardEvent> events_;
  std::array<bool, 2> pins_{};
  bool a20_ = true;
  bool reset_requested_ = false;
};

}  // namespace ringshift::devices::test
