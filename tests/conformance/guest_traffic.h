// A guest without sense: random accesses to the board, with enough method in them to get past the
// first register of each device. The actions are values, so that two boards can be given the same
// ones and a report can name the one that went wrong.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/board_fixture.h"
#include "tests/fuzz/random.h"

namespace ringshift::devices::test {

struct Action {
  enum class Kind : u8 {
    PortRead,
    PortWrite,
    MemoryRead,
    MemoryWrite,
    Advance,      ///< `value` nanoseconds
    Acknowledge,  ///< takes the interrupt if INTR is up
    ApicMsrRead,
    ApicMsrWrite,
    Ferr,
    Key,      ///< usage `address`, pressed if `value`
    Pointer,  ///< packed motion
    SerialInput,
    PowerButton,
    ScreenText,
    ScreenPicture,
    AnswerDisk,
    Reset,
  };
  Kind kind;
  u8 size;
  u64 address;
  u64 value;

  bool is_access() const { return kind <= Kind::MemoryWrite; }
};

std::string describe(const Action& action);

/// Carries `action` out and lets the machine do what it does between two instructions. Returns what
/// the guest or the person sees of it (a hash of it, for pictures). Nothing: there was no end to
/// the events that were due.
std::optional<u64> perform(TestBoard& board, const Action& action);

class GuestTraffic {
 public:
  /// It begins with what firmware does to make the board usable.
  explicit GuestTraffic(u64 seed) : random_(seed) { initialize(); }

  /// Where the board has its ports and memory now: half of the accesses aim there.
  void aim(TestBoard& board);
  Action next();

 private:
  // Single accesses.
  u32 value(unsigned size);
  u8 access_size();
  Nanoseconds duration();
  void any_port();
  void claimed_port();
  void memory_access();
  void person();

  // Sequences (guest_sequences.cpp): what drivers do, with wrong turns.
  void initialize();
  void take_interrupt();
  void pci_configuration();
  void ide_command();
  void ide_packet();
  void ide_bus_master();
  void floppy_command();
  void dma_channel();
  void fw_cfg();
  void vga_registers();
  void vga_memory();
  void keyboard_controller();
  void interrupt_controllers();
  void apics();
  void hpet();
  void legacy_timers();
  void serial_ports();
  void power_management();

  void in(u16 port, unsigned size = 1);
  void out(u16 port, u64 value, unsigned size = 1);
  void read(u64 address, unsigned size = 4);
  void write(u64 address, u64 value, unsigned size = 4);
  void wait(Nanoseconds time);
  void put(Action::Kind kind, u64 address = 0, u64 value = 0, unsigned size = 1);
  /// Mostly `usual`, else anything.
  u8 mostly(u8 usual, u32 percent = 90);
  u64 ram_address();

  tests::Random random_;
  std::deque<Action> queue_;
  std::vector<PortBus::Region> ports_;
  std::vector<mmu::MemoryMap::Region> regions_;
};

}  // namespace ringshift::devices::test
