// The two 8237A DMA controllers of a PC/AT with the page registers that give their 16-bit addresses
// a place in memory. Of all that once used them the floppy controller is left, and it can't work
// without. Sources: Intel 8237A data sheet (231466), 82371SB data sheet §4.1 (page registers,
// register layout).
//
// A transfer runs when the device asks for it and takes no time: the device paces itself. Cycles
// that the channel's programming doesn't allow (masked, controller off, wrong direction) aren't
// run.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "cpu/io_handler.h"
#include "devices/device.h"
#include "mmu/memory_map.h"

namespace ringshift::devices {

class DmaController;

/// One channel as the device on its DREQ/DACK pins sees it.
class DmaChannel {
 public:
  struct Outcome {
    std::size_t transferred = 0;  ///< bytes
    bool terminal_count = false;  ///< TC was pulsed with the last of them
  };

  DmaChannel(DmaController& controller, unsigned number)
      : controller_(controller), number_(number) {}

  /// Drives DREQ; shown in the status register.
  void set_request(bool asserted);
  /// Whether the channel would answer a request now.
  bool ready() const;
  /// The device has `bytes` for memory. Stops at terminal count. On 16-bit channels an odd last
  /// byte isn't moved.
  Outcome write_memory(std::span<const u8> bytes);
  /// The device wants bytes from memory.
  Outcome read_memory(std::span<u8> bytes);

 private:
  DmaController& controller_;
  unsigned number_;
};

class DmaController final : public Device {
 public:
  explicit DmaController(mmu::MemoryMap& memory);

  std::string_view name() const override { return "8237A DMA controllers"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  /// Channels 0-3 move bytes, 5-7 words; 4 is the cascade.
  DmaChannel& channel(unsigned number) { return channels_[number & 7]; }

  /// What was last written to port 80h, where firmware reports its progress.
  u8 diagnostic_code() const { return pages_[0]; }

  IoHandler& first_ports() { return first_ports_; }    ///< 16 ports: 00h, channels 0-3
  IoHandler& second_ports() { return second_ports_; }  ///< 32 ports: C0h, channels 4-7, every other
  IoHandler& page_ports() { return page_ports_; }      ///< 16 ports: 80h

 private:
  friend class DmaChannel;

  enum class Direction : u8 { Verify, ToMemory, FromMemory, Illegal };

  struct Channel {
    u16 base_address = 0;
    u16 base_count = 0;
    u16 address = 0;
    u16 count = 0;
    u8 mode = 0;

    Direction direction() const { return static_cast<Direction>((mode >> 2) & 3); }
    bool automatic() const { return (mode & 0x10) != 0; }
    bool decrements() const { return (mode & 0x20) != 0; }
    bool cascades() const { return (mode >> 6) == 3; }
    void serialize(StateArchive& archive);
  };

  /// One 8237A.
  struct Chip {
    std::array<Channel, 4> channels;
    u8 command = 0;
    u8 mask = 0x0F;
    u8 software_requests = 0;
    u8 hardware_requests = 0;
    u8 terminal_counts = 0;
    u8 temporary = 0;
    bool high_byte_next = false;
    void clear();
    void serialize(StateArchive& archive);
  };

  u64 read_first(u64 offset, unsigned size);
  void write_first(u64 offset, u64 value, unsigned size);
  u64 read_second(u64 offset, unsigned size);
  void write_second(u64 offset, u64 value, unsigned size);
  u64 read_page(u64 offset, unsigned size);
  void write_page(u64 offset, u64 value, unsigned size);

  static u8 read_register(Chip& chip, unsigned index);
  void write_register(Chip& chip, unsigned index, u8 value);
  static u8 read_half(Chip& chip, u16 value);
  static void write_half(Chip& chip, u16& base, u16& current, u8 value);
  void memory_to_memory();
  static bool finish_cycle(Chip& chip, unsigned index);

  bool ready(unsigned number) const;
  PhysicalAddress address_of(unsigned number) const;
  template <typename Byte, typename Access>
  DmaChannel::Outcome transfer(unsigned number, std::span<Byte> bytes, Access access);

  mmu::MemoryMap& memory_;
  std::array<Chip, 2> chips_;
  std::array<u8, 16> pages_{};
  std::array<DmaChannel, 8> channels_;
  MemberIoHandler<DmaController, &DmaController::read_first, &DmaController::write_first>
      first_ports_{*this};
  MemberIoHandler<DmaController, &DmaController::read_second, &DmaController::write_second>
      second_ports_{*this};
  MemberIoHandler<DmaController, &DmaController::read_page, &DmaController::write_page> page_ports_{
      *this};
};

}  // namespace ringshift::devices
