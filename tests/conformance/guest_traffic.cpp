#include "tests/conformance/guest_traffic.h"

#include <cstdio>

namespace ringshift::devices::test {

namespace {

constexpr u64 kFnvStart = 0xCBF29CE484222325;

template <typename T>
u64 hash(const std::vector<T>& values, u64 hash = kFnvStart) {
  for (const T value : values) hash = (hash ^ value) * 0x100000001B3;
  return hash;
}

constexpr u64 ones(unsigned size) {
  return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
}

u64 carry_out(TestBoard& machine, const Action& action) {
  Board& board = machine.board();
  const auto port = static_cast<u16>(action.address);
  switch (action.kind) {
    case Action::Kind::PortRead:
      return machine.in(port, action.size);
    case Action::Kind::PortWrite:
      machine.out(port, static_cast<u32>(action.value), action.size);
      return 0;
    case Action::Kind::MemoryRead:
      return machine.map().read_value({action.address}, action.size);
    case Action::Kind::MemoryWrite:
      machine.map().write_value({action.address}, action.value, action.size);
      return 0;
    case Action::Kind::Advance:
      return machine.advance(action.value) ? 0 : 1;
    case Action::Kind::Acknowledge:
      return machine.interrupt_pin() ? board.acknowledge_interrupt() : 0x100;
    case Action::Kind::ApicMsrRead: {
      u64 value = 0;
      const bool there = board.read_apic_msr(static_cast<u32>(action.address), value);
      return value + (there ? 1 : 0);
    }
    case Action::Kind::ApicMsrWrite:
      return board.write_apic_msr(static_cast<u32>(action.address), action.value) ? 1 : 0;
    case Action::Kind::Ferr:
      board.set_ferr(action.value != 0);
      return board.ignore_numeric_error() ? 1 : 0;
    case Action::Kind::Key:
      board.keyboard().key({static_cast<u8>(action.address)}, action.value != 0);
      return board.keyboard().ready_for_key() ? 1 : 0;
    case Action::Kind::Pointer:
      board.pointer().pointer({.dx = static_cast<i8>(action.value),
                               .dy = static_cast<i8>(action.value >> 8),
                               .wheel = static_cast<i8>(action.value >> 16) / 64,
                               .buttons = static_cast<u8>((action.value >> 24) & 7)});
      return 0;
    case Action::Kind::SerialInput: {
      const std::vector<u8> bytes(action.size, static_cast<u8>(action.value));
      return board.serial(action.address & 1).receive(bytes);
    }
    case Action::Kind::PowerButton:
      return board.power().press_power_button() ? 1 : 0;
    case Action::Kind::ScreenText: {
      const TextScreen text = board.screen().text();
      u64 result = hash(text.characters);
      for (unsigned row = 0; row < text.rows; ++row) result ^= text.row(row).size() << row % 32;
      return result;
    }
    case Action::Kind::ScreenPicture: {
      Frame frame;
      const bool changed = board.screen().changed();
      board.screen().render(frame);
      return hash(frame.pixels) + (changed ? 1 : 0) + frame.width * 8 + frame.height;
    }
    case Action::Kind::AnswerDisk:
      return machine.answer_disk(static_cast<unsigned>(action.address)) ? 1 : 0;
    case Action::Kind::Reset:
      board.reset(ResetKind::System);
      return 0;
  }
  return 0;
}

}  // namespace

std::string describe(const Action& action) {
  constexpr const char* kNames[] = {
      "in",     "out",         "read",   "write",       "advance", "acknowledge",
      "rdmsr",  "wrmsr",       "FERR",   "key",         "pointer", "serial input",
      "button", "screen text", "screen", "answer disk", "reset"};
  char text[100];
  std::snprintf(text, sizeof text, "%s %llX.%u, %llX", kNames[static_cast<unsigned>(action.kind)],
                static_cast<unsigned long long>(action.address), action.size,
                static_cast<unsigned long long>(action.value));
  return text;
}

std::optional<u64> perform(TestBoard& board, const Action& action) {
  const u64 seen = carry_out(board, action);
  if (action.kind == Action::Kind::Advance && seen != 0) return std::nullopt;
  if (!board.between_instructions()) return std::nullopt;
  return seen;
}

// --- The mixture --------------------------------------------------------------------------------

void GuestTraffic::aim(TestBoard& board) {
  ports_ = board.board().ports().regions();
  regions_ = board.map().regions();
}

Action GuestTraffic::next() {
  struct Share {
    u32 weight;
    void (GuestTraffic::*make)();
  };
  constexpr Share kShares[] = {
      {10, &GuestTraffic::any_port},
      {60, &GuestTraffic::claimed_port},
      {40, &GuestTraffic::memory_access},
      {8, &GuestTraffic::person},
      {1, &GuestTraffic::initialize},
      {6, &GuestTraffic::pci_configuration},
      {6, &GuestTraffic::ide_command},
      {5, &GuestTraffic::ide_packet},
      {5, &GuestTraffic::ide_bus_master},
      {8, &GuestTraffic::floppy_command},
      {4, &GuestTraffic::dma_channel},
      {4, &GuestTraffic::fw_cfg},
      {8, &GuestTraffic::vga_registers},
      {6, &GuestTraffic::vga_memory},
      {6, &GuestTraffic::keyboard_controller},
      {6, &GuestTraffic::interrupt_controllers},
      {6, &GuestTraffic::apics},
      {5, &GuestTraffic::hpet},
      {6, &GuestTraffic::legacy_timers},
      {5, &GuestTraffic::serial_ports},
      {4, &GuestTraffic::power_management},
  };
  while (queue_.empty()) {
    u32 total = 0;
    for (const Share& share : kShares) total += share.weight;
    u32 at = random_.below(total);
    for (const Share& share : kShares) {
      if (at < share.weight) {
        (this->*share.make)();
        break;
      }
      at -= share.weight;
    }
    if (random_.chance(40)) wait(duration());
    if (random_.chance(40)) take_interrupt();
  }
  const Action action = queue_.front();
  queue_.pop_front();
  return action;
}

// --- Building blocks ----------------------------------------------------------------------------

void GuestTraffic::put(Action::Kind kind, u64 address, u64 value, unsigned size) {
  queue_.push_back({kind, static_cast<u8>(size), address, value});
}

void GuestTraffic::in(u16 port, unsigned size) {
  put(Action::Kind::PortRead, port, 0, size);
}

void GuestTraffic::out(u16 port, u64 value, unsigned size) {
  put(Action::Kind::PortWrite, port, value & ones(size), size);
}

void GuestTraffic::read(u64 address, unsigned size) {
  put(Action::Kind::MemoryRead, address, 0, size);
}

void GuestTraffic::write(u64 address, u64 value, unsigned size) {
  put(Action::Kind::MemoryWrite, address, value & ones(size), size);
}

void GuestTraffic::wait(Nanoseconds time) {
  put(Action::Kind::Advance, 0, time, 0);
}

u8 GuestTraffic::mostly(u8 usual, u32 percent) {
  return random_.chance(percent) ? usual : static_cast<u8>(random_.next());
}

u32 GuestTraffic::value(unsigned size) {
  constexpr u32 kCorners[] = {0, 1, 0xFF, 0x80, 0x7F, 0xFFFF, 0x8000, 0xFFFF'FFFF, 0x8000'0000};
  if (random_.chance(30)) return random_.pick(kCorners) & static_cast<u32>(ones(size));
  if (random_.chance(30)) return u32{1} << random_.below(8 * size);
  return static_cast<u32>(random_.next() & ones(size));
}

u8 GuestTraffic::access_size() {
  return static_cast<u8>(random_.chance(60) ? 1 : 2 << random_.below(2));
}

Nanoseconds GuestTraffic::duration() {
  // Evenly over the orders of magnitude, up to some seconds.
  return random_.next() >> (64 - 1 - random_.below(random_.chance(5) ? 34 : 25));
}

u64 GuestTraffic::ram_address() {
  if (random_.chance(3)) return random_.next() & 0x1'FFFF'FFFF;
  if (random_.chance(5)) return TestBoard::kRamSize - random_.below(64);
  return random_.below(0x20'0000) & ~u64{3};
}

// --- Single accesses ----------------------------------------------------------------------------

void GuestTraffic::any_port() {
  const auto port = static_cast<u16>(random_.below(random_.chance(50) ? 0x1000 : 0x10000));
  const u8 size = access_size();
  if (random_.chance(50)) {
    in(port, size);
  } else {
    out(port, value(size), size);
  }
}

void GuestTraffic::claimed_port() {
  if (ports_.empty()) return;
  const PortBus::Region& region = ports_[random_.below(static_cast<u32>(ports_.size()))];
  const auto port = static_cast<u16>(region.first + random_.below(region.count));
  const unsigned accesses = random_.chance(95) ? 1 : random_.below(60);
  const u8 size = access_size();
  const bool reads = random_.chance(50);
  for (unsigned n = 0; n < accesses; ++n) {
    if (reads) {
      in(port, size);
    } else {
      out(port, value(size), size);
    }
  }
}

void GuestTraffic::memory_access() {
  u64 address = random_.next() & (random_.chance(80) ? 0xFFFF'FFFF : 0xFF'FFFF'FFFF);
  if (!regions_.empty() && random_.chance(80)) {
    const auto& region = regions_[random_.below(static_cast<u32>(regions_.size()))];
    address = region.first.value + random_.next() % region.length;
    // Ends of regions are where overlooked cases live.
    if (random_.chance(10)) address = region.first.value + region.length - random_.below(9);
  }
  const unsigned size = 1U << random_.below(4);
  if (random_.chance(70)) address &= ~u64{size - 1};
  if (random_.chance(40)) {
    read(address, size);
  } else {
    write(address, random_.chance(50) ? random_.next() : value(4), size);
  }
}

void GuestTraffic::person() {
  switch (random_.below(9)) {
    case 0:
    case 1:
      put(Action::Kind::Key, random_.below(0xE8), random_.below(2));
      break;
    case 2:
    case 3:
      put(Action::Kind::Pointer, 0, random_.next() & 0xFFFF'FFFF);
      break;
    case 4:
      put(Action::Kind::SerialInput, random_.below(2), value(1), random_.below(40));
      break;
    case 5:
      if (random_.chance(20)) put(Action::Kind::PowerButton);
      break;
    case 6:
      if (random_.chance(20)) put(Action::Kind::ScreenText);
      if (random_.chance(2)) put(Action::Kind::ScreenPicture);
      break;
    case 7:
      put(Action::Kind::Ferr, 0, random_.below(2));
      if (random_.chance(1)) put(Action::Kind::Reset);
      break;
    default:
      put(Action::Kind::AnswerDisk, random_.below(TestBoard::kDisks));
      break;
  }
}

}  // namespace ringshift::devices::test
