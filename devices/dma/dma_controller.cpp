#include "devices/dma/dma_controller.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr u8 kMemoryToMemory = 0x01;  // command register
constexpr u8 kHoldAddress = 0x02;
constexpr u8 kDisable = 0x04;
constexpr u8 kRequestLow = 0x40;

constexpr u8 bit(unsigned index) {
  return static_cast<u8>(1U << index);
}

/// Which of ports 80h-8Fh holds a channel's page. Channel 4 has none; 8Fh is the refresh page.
constexpr std::array<u8, 8> kPageOfChannel = {0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA};

}  // namespace

// --- The device's side --------------------------------------------------------------------------

void DmaChannel::set_request(bool asserted) {
  DmaController::Chip& chip = controller_.chips_[number_ / 4];
  const u8 line = bit(number_ % 4);
  chip.hardware_requests =
      static_cast<u8>(asserted ? chip.hardware_requests | line : chip.hardware_requests & ~line);
}

bool DmaChannel::ready() const {
  return controller_.ready(number_);
}

DmaChannel::Outcome DmaChannel::write_memory(std::span<const u8> bytes) {
  const DmaController::Channel& channel = controller_.chips_[number_ / 4].channels[number_ % 4];
  const bool stores = channel.direction() == DmaController::Direction::ToMemory;
  return controller_.transfer(number_, bytes,
                              [this, stores](PhysicalAddress address, std::span<const u8> piece) {
                                if (stores) controller_.memory_.write(address, piece);
                              });
}

DmaChannel::Outcome DmaChannel::read_memory(std::span<u8> bytes) {
  const DmaController::Channel& channel = controller_.chips_[number_ / 4].channels[number_ % 4];
  const bool fetches = channel.direction() == DmaController::Direction::FromMemory;
  return controller_.transfer(number_, bytes,
                              [this, fetches](PhysicalAddress address, std::span<u8> piece) {
                                if (fetches) {
                                  controller_.memory_.read(address, piece);
                                } else {
                                  std::fill(piece.begin(), piece.end(), u8{0xFF});
                                }
                              });
}

// --- Transfers ----------------------------------------------------------------------------------

DmaController::DmaController(mmu::MemoryMap& memory)
    : memory_(memory), channels_{DmaChannel{*this, 0}, DmaChannel{*this, 1}, DmaChannel{*this, 2},
                                 DmaChannel{*this, 3}, DmaChannel{*this, 4}, DmaChannel{*this, 5},
                                 DmaChannel{*this, 6}, DmaChannel{*this, 7}} {}

bool DmaController::ready(unsigned number) const {
  const Chip& chip = chips_[number / 4];
  const unsigned index = number % 4;
  if ((chip.command & kDisable) != 0 || chip.channels[index].cascades()) return false;
  if ((chip.mask & bit(index)) != 0) return false;
  if (number >= 4) return true;
  // The first controller's requests pass through channel 4 of the second.
  const Chip& second = chips_[1];
  return (second.command & kDisable) == 0 && (second.mask & 1) == 0 &&
         second.channels[0].cascades();
}

/// Memory address of the channel's next cycle: the page above 16 address bits, or above 17 for
/// words.
PhysicalAddress DmaController::address_of(unsigned number) const {
  const u64 page = pages_[kPageOfChannel[number]];
  const u64 address = chips_[number / 4].channels[number % 4].address;
  if (number < 4) return {page << 16 | address};
  return {(page & 0xFE) << 16 | address << 1};
}

/// The count has passed zero: TC. Returns true for the convenience of the callers.
bool DmaController::finish_cycle(Chip& chip, unsigned index) {
  Channel& channel = chip.channels[index];
  chip.terminal_counts |= bit(index);
  chip.software_requests &= static_cast<u8>(~bit(index));
  if (channel.automatic()) {
    channel.address = channel.base_address;
    channel.count = channel.base_count;
  } else {
    chip.mask |= bit(index);
  }
  return true;
}

template <typename Byte, typename Access>
DmaChannel::Outcome DmaController::transfer(unsigned number, std::span<Byte> bytes, Access access) {
  DmaChannel::Outcome outcome;
  if (!ready(number)) return outcome;
  Chip& chip = chips_[number / 4];
  Channel& channel = chip.channels[number % 4];
  const std::size_t width = number < 4 ? 1 : 2;
  while (bytes.size() - outcome.transferred >= width && !outcome.terminal_count) {
    // Cycles up to the end of the data, of the count or of the page; downwards one at a time.
    std::size_t cycles = std::min<std::size_t>((bytes.size() - outcome.transferred) / width,
                                               std::size_t{channel.count} + 1);
    cycles = channel.decrements() ? 1 : std::min<std::size_t>(cycles, 0x10000U - channel.address);
    access(address_of(number), bytes.subspan(outcome.transferred, cycles * width));
    outcome.transferred += cycles * width;
    const bool last = cycles == std::size_t{channel.count} + 1;
    channel.count = static_cast<u16>(channel.count - cycles);
    channel.address =
        static_cast<u16>(channel.decrements() ? channel.address - 1 : channel.address + cycles);
    if (last) outcome.terminal_count = finish_cycle(chip, number % 4);
  }
  return outcome;
}

/// Channel 0 to channel 1 through the temporary register until channel 1's count is through. Only
/// the first controller can do it: the second's channel 0 is the cascade.
void DmaController::memory_to_memory() {
  Chip& chip = chips_[0];
  if ((chip.command & (kMemoryToMemory | kDisable)) != kMemoryToMemory) return;
  if ((chip.software_requests & 1) == 0) return;
  Channel& source = chip.channels[0];
  Channel& target = chip.channels[1];
  const auto step = [](Channel& channel) {
    channel.address =
        static_cast<u16>(channel.decrements() ? channel.address - 1 : channel.address + 1);
  };
  bool done = false;
  while (!done) {  // at most 65,536 cycles: the count has 16 bits
    chip.temporary = static_cast<u8>(memory_.read_value(address_of(0), 1));
    memory_.write_value(address_of(1), chip.temporary, 1);
    if ((chip.command & kHoldAddress) == 0) step(source);
    step(target);
    --source.count;
    done = target.count-- == 0;
  }
  chip.software_requests &= static_cast<u8>(~bit(0));
  finish_cycle(chip, 1);
}

// --- Registers ----------------------------------------------------------------------------------

void DmaController::Chip::clear() {
  command = temporary = software_requests = terminal_counts = 0;
  mask = 0x0F;
  high_byte_next = false;
}

void DmaController::reset(ResetKind kind) {
  for (Chip& chip : chips_) {
    if (kind == ResetKind::PowerOn) chip.channels = {};
    chip.hardware_requests = 0;
    chip.clear();
  }
  pages_.fill(0);
}

void DmaController::Channel::serialize(StateArchive& archive) {
  archive.field("base_address", base_address);
  archive.field("base_count", base_count);
  archive.field("address", address);
  archive.field("count", count);
  archive.field("mode", mode);
}

void DmaController::Chip::serialize(StateArchive& archive) {
  for (Channel& channel : channels) channel.serialize(archive);
  archive.field("command", command);
  archive.field("mask", mask);
  archive.field("software_requests", software_requests);
  archive.field("hardware_requests", hardware_requests);
  archive.field("terminal_counts", terminal_counts);
  archive.field("temporary", temporary);
  archive.field("high_byte_next", high_byte_next);
}

void DmaController::serialize(StateArchive& archive) {
  archive.section("dual 8237A", 1);
  for (Chip& chip : chips_) chip.serialize(archive);
  archive.field("pages", pages_);
}

u8 DmaController::read_half(Chip& chip, u16 value) {
  const bool high = chip.high_byte_next;
  chip.high_byte_next = !high;
  return static_cast<u8>(high ? value >> 8 : value);
}

void DmaController::write_half(Chip& chip, u16& base, u16& current, u8 value) {
  base = chip.high_byte_next ? static_cast<u16>((base & 0x00FF) | value << 8)
                             : static_cast<u16>((base & 0xFF00) | value);
  // A half of the current register takes the byte; the other keeps what it has counted to.
  current = chip.high_byte_next ? static_cast<u16>((current & 0x00FF) | value << 8)
                                : static_cast<u16>((current & 0xFF00) | value);
  chip.high_byte_next = !chip.high_byte_next;
}

u8 DmaController::read_register(Chip& chip, unsigned index) {
  if (index < 8) {
    const Channel& channel = chip.channels[index / 2];
    return read_half(chip, index % 2 == 0 ? channel.address : channel.count);
  }
  switch (index) {
    case 0x8: {
      // DREQ may be programmed active low: then an idle line requests.
      const u8 invert = (chip.command & kRequestLow) != 0 ? 0x0F : 0;
      const u8 requests = (chip.hardware_requests ^ invert) | chip.software_requests;
      const u8 status = static_cast<u8>(chip.terminal_counts | requests << 4);
      chip.terminal_counts = 0;
      return status;
    }
    case 0xD:
      return chip.temporary;
    case 0xF:
      return chip.mask;
    default:
      return 0xFF;
  }
}

void DmaController::write_register(Chip& chip, unsigned index, u8 value) {
  if (index < 8) {
    Channel& channel = chip.channels[index / 2];
    if (index % 2 == 0) {
      write_half(chip, channel.base_address, channel.address, value);
    } else {
      write_half(chip, channel.base_count, channel.count, value);
    }
    return;
  }
  const u8 selected = bit(value & 3);
  const bool set = (value & 4) != 0;
  switch (index) {
    case 0x8:
      chip.command = value;
      break;
    case 0x9:
      chip.software_requests = static_cast<u8>(set ? chip.software_requests | selected
                                                   : chip.software_requests & ~selected);
      if (&chip == &chips_[0]) memory_to_memory();
      break;
    case 0xA:
      chip.mask = static_cast<u8>(set ? chip.mask | selected : chip.mask & ~selected);
      break;
    case 0xB:
      chip.channels[value & 3].mode = value & 0xFC;
      break;
    case 0xC:
      chip.high_byte_next = false;
      break;
    case 0xD:
      chip.clear();
      break;
    case 0xE:
      chip.mask = 0;
      break;
    default:
      chip.mask = value & 0x0F;
      break;
  }
}

u64 DmaController::read_first(u64 offset, unsigned /*size*/) {
  return read_register(chips_[0], offset & 15);
}

void DmaController::write_first(u64 offset, u64 value, unsigned /*size*/) {
  write_register(chips_[0], offset & 15, static_cast<u8>(value));
}

u64 DmaController::read_second(u64 offset, unsigned /*size*/) {
  return read_register(chips_[1], offset >> 1 & 15);
}

void DmaController::write_second(u64 offset, u64 value, unsigned /*size*/) {
  write_register(chips_[1], offset >> 1 & 15, static_cast<u8>(value));
}

u64 DmaController::read_page(u64 offset, unsigned /*size*/) {
  return pages_[offset & 15];
}

void DmaController::write_page(u64 offset, u64 value, unsigned /*size*/) {
  pages_[offset & 15] = static_cast<u8>(value);
}

}  // namespace ringshift::devices
