// The command sequences of GuestTraffic, device by device.
#include "tests/conformance/guest_traffic.h"

namespace ringshift::devices::test {

/// Puts everything where firmware would, and opens the interrupt path: a board with everything
/// unmapped and masked has nothing more to find.
void GuestTraffic::initialize() {
  constexpr u32 kPci[][2] = {{0x0940, 0x8000'8000},
                             {0x0920, 0xC001},
                             {0x0904, 5},
                             {0x0B40, 0x0601},
                             {0x0B80, 1},
                             {0x0B90, 0x0701},
                             {0x0BD0, 0x0009'0000},
                             {0x0860, 0x0B0B'0A0A},
                             {0x1010, 0xFD00'0000},
                             {0x1018, 0xFEB0'0000},
                             {0x1004, 7}};
  for (const auto& [where, what] : kPci) {
    out(0xCF8, 0x8000'0000 | where, 4);
    out(0xCFC, what, 4);
  }
  constexpr u16 kInterruptControllers[][2] = {
      {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0x00},
      {0xA0, 0x11}, {0xA1, 0x70}, {0xA1, 0x02}, {0xA1, 0x01}, {0xA1, 0x00}};
  for (const auto& [port, byte] : kInterruptControllers) out(port, byte);
  // The 8254 at 100 Hz to 1 kHz, keyboard and mouse on, receiver and transmitter interrupts of
  // COM1.
  constexpr u16 kSources[][2] = {{0x43, 0x34}, {0x40, 0x00},  {0x40, 0x10},  {0x64, 0x60},
                                 {0x60, 0x47}, {0x3FB, 0x03}, {0x3FC, 0x0B}, {0x3F9, 0x03}};
  for (const auto& [port, byte] : kSources) {
    out(port, byte);
    wait(50'000);
  }
  put(Action::Kind::ApicMsrWrite, 0x1B, 0xFEE0'0900);
  write(0xFEE0'00F0, 0x1FF);
  write(0xFEE0'0080, 0);
  write(0xFEE0'0350, 0x700);  // LINT0: ExtINT
  write(0xFEE0'0360, 0x400);  // LINT1: NMI
  for (u64 pin = 0; pin < IoApic::kPinCount; ++pin) {
    write(0xFEC0'0000, 0x10 + 2 * pin);
    write(0xFEC0'0010, (random_.chance(50) ? 0x10030 : 0x30) + pin);
  }
}

void GuestTraffic::take_interrupt() {
  put(Action::Kind::Acknowledge);
  if (random_.chance(80)) out(0xA0, 0x20);
  if (random_.chance(80)) out(0x20, 0x20);
  if (random_.chance(80)) write(0xFEE0'00B0, 0);
}

// --- PCI ----------------------------------------------------------------------------------------

void GuestTraffic::pci_configuration() {
  constexpr u32 kFunctions[] = {0x0000, 0x0800, 0x0900, 0x0B00, 0x1000};
  constexpr u8 kRegisters[] = {0x04, 0x04, 0x06, 0x10, 0x18, 0x20, 0x30, 0x3C, 0x40, 0x42,
                               0x58, 0x59, 0x5C, 0x60, 0x62, 0x72, 0x80, 0x90, 0x93, 0xD2};
  constexpr u32 kAddresses[] = {0xFFFF'FFFF, 0xFFFF'F800, 0x0000'0000, 0xFD00'0000, 0xFEB0'0000,
                                0xE000'0000, 0x0080'0000, 0xFEC0'0000, 0xFED0'0000, 0xFEE0'0000,
                                0xFF00'0000, 0xC001,      0x0601,      0x0701,      0x01F1,
                                0x03F1,      0xFF01,      0x0000'0001, 0xFFFE'0001, 0x000A'0000};
  const u32 function = random_.chance(95) ? random_.pick(kFunctions) : value(4) & 0xFF'FF00;
  const u8 at = random_.chance(80) ? random_.pick(kRegisters) : static_cast<u8>(random_.next());
  const unsigned size = random_.chance(60) ? 4 : 1U << random_.below(3);
  out(0xCF8, mostly(0x80, 97) << 24 | function | (at & 0xFC), 4);
  const auto port = static_cast<u16>(0xCFC + (size == 4 && random_.chance(95) ? 0 : at & 3));
  if (random_.chance(30)) return in(port, size);
  if ((at & 0xFE) == 0x04) {
    // Without decoding a board falls silent: mostly on.
    return out(port, random_.chance(85) ? 0x0007 : value(2), 2);
  }
  out(port, random_.chance(50) ? random_.pick(kAddresses) : value(size), size);
  if (random_.chance(50)) in(port, size);
}

// --- IDE ----------------------------------------------------------------------------------------

void GuestTraffic::ide_command() {
  constexpr u8 kCommands[] = {0x00, 0x03, 0x08, 0x10, 0x20, 0x21, 0x24, 0x25, 0x27, 0x29, 0x30,
                              0x31, 0x34, 0x35, 0x37, 0x39, 0x3D, 0x40, 0x42, 0x70, 0x90, 0x91,
                              0xA1, 0xB0, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0xCE, 0xE0, 0xE1, 0xE2,
                              0xE3, 0xE5, 0xE6, 0xE7, 0xEA, 0xEC, 0xEF, 0xF1, 0xF5, 0xF8, 0xF9,
                              0x06, 0x0B, 0x2F, 0x3F, 0x51, 0xB1, 0xCD, 0xDA, 0xE4, 0xE8, 0xF4};
  constexpr u8 kFeatures[] = {0x01, 0x02, 0x03, 0x05, 0x55, 0x66, 0x82, 0xAA,
                              0xCC, 0xD0, 0xD1, 0xD5, 0xD8, 0xD9, 0xDA, 0x00};
  const u16 base = random_.chance(50) ? 0x1F0 : 0x170;
  if (random_.chance(10)) out(base + 0x206, random_.pick({0, 0, 2, 4, 6, 0x80}));
  out(base + 6, mostly(random_.chance(50) ? 0xE0 : 0xF0));
  const unsigned rounds = random_.chance(30) ? 2 : 1;  // 48-bit commands write each twice
  for (unsigned round = 0; round < rounds; ++round) {
    out(base + 1, random_.pick(kFeatures));
    out(base + 2, random_.chance(70) ? random_.below(9) : random_.below(256));
    for (u16 at = 3; at <= 5; ++at) out(base + at, random_.chance(60) ? 0 : random_.below(256));
  }
  if (random_.chance(20)) out(base + 6, 0xA0 | random_.below(0x60));
  out(base + 7, random_.chance(95) ? random_.pick(kCommands) : random_.below(256));
  if (random_.chance(85)) wait(duration() & 0xFF'FFFF);
  in(base + 7);
  const unsigned words = random_.below(random_.chance(85) ? 20 : 300);
  const unsigned size = random_.chance(80) ? 2 : 4;
  const bool reads = random_.chance(60);
  for (unsigned n = 0; n < words; ++n) {
    if (reads) {
      in(base, size);
    } else {
      out(base, value(4), size);
    }
  }
  wait(duration() & 0xFF'FFFF);
  in(base + 7);
}

void GuestTraffic::ide_packet() {
  constexpr u8 kCommands[] = {0x00, 0x03, 0x12, 0x15, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x2B,
                              0x42, 0x43, 0x44, 0x45, 0x46, 0x4A, 0x4B, 0x51, 0x52, 0x55,
                              0x5A, 0x5C, 0xA8, 0xAC, 0xAD, 0xB9, 0xBB, 0xBD, 0xBE, 0x23};
  const u16 base = random_.chance(90) ? 0x170 : 0x1F0;
  const bool dma = random_.chance(30);
  if (dma) ide_bus_master();
  out(base + 6, mostly(random_.chance(70) ? 0xA0 : 0xB0));
  out(base + 1, dma ? 1 : mostly(0, 95));
  const u32 limit = random_.chance(70) ? 2U << random_.below(15) : random_.below(0x10000);
  out(base + 4, limit & 0xFF);
  out(base + 5, limit >> 8);
  out(base + 7, 0xA0);
  wait(duration() & 0xFF'FFFF);
  u8 packet[12];
  for (u8& byte : packet) {
    byte = random_.chance(75) ? 0 : static_cast<u8>(value(1));
  }
  packet[0] = random_.chance(95) ? random_.pick(kCommands) : packet[0];
  if (random_.chance(50)) packet[8] = static_cast<u8>(random_.below(40));
  for (unsigned n = 0; n < 12; n += 2) out(base, packet[n] | packet[n + 1] << 8, 2);
  wait(duration() & 0xFF'FFFF);
  in(base + 7);
  in(base + 2);
  const unsigned words = random_.below(random_.chance(85) ? 20 : 700);
  const bool reads = random_.chance(80);
  for (unsigned n = 0; n < words; ++n) {
    if (reads) {
      in(base, 2);
    } else {
      out(base, value(2), 2);
    }
  }
  wait(duration() & 0xFF'FFFF);
}

void GuestTraffic::ide_bus_master() {
  constexpr u64 kEndOfTable = u64{1} << 63;
  const u16 base = random_.chance(50) ? 0xC000 : 0xC008;
  u64 table = ram_address();
  if (random_.chance(20)) table = (table & ~u64{0xFFFF}) | (0xFFF8 - 8 * random_.below(4));
  const unsigned entries = 1 + random_.below(6);
  for (unsigned n = 0; n < entries; ++n) {
    const u64 length = random_.chance(80) ? random_.below(5000) & ~1U : value(2);
    const u64 last = n + 1 == entries && random_.chance(90) ? kEndOfTable : 0;
    write(table + 8 * n, last | length << 32 | (ram_address() & 0xFFFF'FFFF), 8);
  }
  out(base, 0);
  out(base + 4, table, 4);
  out(base + 2, mostly(0x66));
  out(base, random_.chance(95) ? 1 | random_.below(2) << 3 : value(1));
  if (random_.chance(50)) {
    const u16 drive = base == 0xC000 ? 0x1F0 : 0x170;
    constexpr u8 kDmaCommands[] = {0xC8, 0xCA, 0x25, 0x35, 0x3D, 0xC9, 0xCB};
    out(drive + 6, random_.chance(50) ? 0xE0 : 0xF0);
    out(drive + 2, 1 + random_.below(20));
    for (u16 at = 3; at <= 5; ++at) out(drive + at, random_.chance(80) ? 0 : random_.below(256));
    out(drive + 7, random_.pick(kDmaCommands));
    wait(duration() & 0xFF'FFFF);
    in(base + 2);
    if (random_.chance(70)) out(base, 0);
  }
}

// --- Diskettes and ISA DMA ----------------------------------------------------------------------

void GuestTraffic::floppy_command() {
  constexpr u8 kCommands[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0C,
                              0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x19,
                              0x1D, 0x4A, 0x4D, 0x8F, 0x94, 0xC5, 0xC6, 0xCF, 0xE6, 0x66};
  if (random_.chance(50)) {
    out(0x3F2, mostly(random_.chance(50) ? 0x1C : 0x2D, 85));
    wait(duration());
  }
  if (random_.chance(30)) out(0x3F7, random_.below(4));
  if (random_.chance(5)) out(0x3F4, value(1));
  if (random_.chance(60)) dma_channel();
  const u8 command = random_.chance(90) ? random_.pick(kCommands) : static_cast<u8>(value(1));
  out(0x3F5, command);
  const u8 drive = static_cast<u8>(random_.below(random_.chance(90) ? 2 : 8));
  if ((command & 0x1F) >= 0x02 && random_.chance(80)) {
    // Drive and head, then an address that the diskette may have.
    const u8 parameters[] = {drive,
                             static_cast<u8>(random_.below(4)),
                             static_cast<u8>(random_.below(2)),
                             static_cast<u8>(random_.below(20)),
                             mostly(2),
                             static_cast<u8>(random_.below(20)),
                             0x1B,
                             0xFF};
    for (const u8 parameter : parameters) out(0x3F5, mostly(parameter, 97));
  } else {
    const unsigned parameters = random_.below(9);
    for (unsigned n = 0; n < parameters; ++n) out(0x3F5, value(1));
  }
  wait(duration());
  const unsigned bytes = random_.below(random_.chance(85) ? 16 : 300);
  for (unsigned n = 0; n < bytes; ++n) {
    if (random_.chance(5)) in(0x3F4);
    if (random_.chance(1)) wait(duration());
    if (random_.chance(80)) {
      in(0x3F5);
    } else {
      out(0x3F5, random_.chance(50) ? 0x08 : value(1));
    }
  }
}

void GuestTraffic::dma_channel() {
  // Mostly the diskette's channel.
  const unsigned channel = random_.chance(75) ? 2 : random_.below(8);
  constexpr u16 kPages[] = {0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A};
  const bool wide = channel >= 4;
  const u16 base = wide ? 0xC0 : 0x00;
  const unsigned step = wide ? 2 : 1;
  const auto at = [&](unsigned reg) { return static_cast<u16>(base + reg * step); };
  out(at(10), 4 | (channel & 3));
  out(at(12), 0);
  out(at(11), mostly(static_cast<u8>((random_.chance(50) ? 0x44 : 0x48) | (channel & 3))));
  out(at(2 * (channel & 3)), value(1));
  out(at(2 * (channel & 3)), value(1));
  out(at(2 * (channel & 3) + 1), value(1));
  out(at(2 * (channel & 3) + 1), random_.below(8));
  out(kPages[channel], mostly(static_cast<u8>(random_.below(16))));
  if (random_.chance(10)) out(at(8), value(1));
  if (random_.chance(10)) out(at(9), value(1));
  out(at(10), channel & 3);
  if (random_.chance(10)) out(0xD6, 0xC0);
  if (random_.chance(10)) out(0xD4, 0x00);
}

// --- fw_cfg -------------------------------------------------------------------------------------

void GuestTraffic::fw_cfg() {
  constexpr u16 kKeys[] = {0x00, 0x01, 0x0E, 0x19, 0x20, 0x21, 0x22, 0x4021, 0x8000, 0xFFFF};
  const u16 key = random_.chance(90) ? random_.pick(kKeys) : static_cast<u16>(value(2));
  if (random_.chance(50)) {
    out(0x510, key, 2);
    const unsigned bytes = random_.below(40);
    const unsigned size = random_.chance(80) ? 1 : 2;
    for (unsigned n = 0; n < bytes; ++n) in(0x511, size);
    if (random_.chance(20)) out(0x511, value(1));
    return;
  }
  // The command lies in memory, big-endian: control, length, address.
  const u64 at = ram_address();
  const u32 control = key << 16 | (random_.chance(90) ? 1U << random_.below(5) : value(2));
  const u32 length = random_.chance(85) ? random_.below(9000) : value(4);
  write(at, __builtin_bswap32(control | (random_.chance(80) ? 8 : 0)), 4);
  write(at + 4, __builtin_bswap32(length), 4);
  write(at + 8, __builtin_bswap64(random_.chance(90) ? ram_address() : random_.next()), 8);
  out(0x514, __builtin_bswap32(static_cast<u32>(at >> 32)), 4);
  out(0x518, __builtin_bswap32(static_cast<u32>(at)), 4);
  read(at, 4);
}

// --- Video --------------------------------------------------------------------------------------

void GuestTraffic::vga_registers() {
  if (random_.chance(40)) {
    constexpr u16 kResolutions[] = {0, 8, 320, 640, 800, 1024, 1280, 1920, 2560, 0xFFFF};
    constexpr u16 kDepths[] = {0, 4, 8, 15, 16, 24, 32};
    constexpr u16 kEnables[] = {0x00, 0x01, 0x41, 0x81, 0xC1, 0xE1, 0x61, 0x03, 0x23};
    const auto set = [this](u16 index, u16 word) {
      out(0x1CE, index, 2);
      out(0x1D0, word, 2);
    };
    if (random_.chance(30)) set(0, static_cast<u16>(0xB0C0 + random_.below(7)));
    if (random_.chance(60)) set(4, 0);
    set(1, random_.pick(kResolutions));
    set(2, random_.pick(kResolutions));
    set(3, random_.pick(kDepths));
    if (random_.chance(80)) set(4, random_.pick(kEnables));
    if (random_.chance(50)) set(static_cast<u16>(random_.below(12)), static_cast<u16>(value(2)));
    out(0x1CE, random_.below(12), 2);
    return in(0x1D0, 2);
  }
  constexpr u16 kIndexes[] = {0x3C4, 0x3CE, 0x3D4, 0x3B4};
  const unsigned writes = 1 + random_.below(10);
  for (unsigned n = 0; n < writes; ++n) {
    if (random_.chance(20)) {
      in(random_.chance(80) ? 0x3DA : 0x3BA);
      out(0x3C0, random_.below(0x40));
      out(0x3C0, value(1));
    } else if (random_.chance(10)) {
      out(0x3C2, value(1));
    } else if (random_.chance(20)) {
      constexpr u16 kPalette[] = {0x3C6, 0x3C7, 0x3C8, 0x3C9, 0x3C9, 0x3C9};
      out(random_.pick(kPalette), value(1));
    } else {
      const u16 port = random_.pick(kIndexes);
      const u8 index = static_cast<u8>(random_.below(port >= 0x3D0 || port == 0x3B4 ? 0x19 : 9));
      out(port, index | (value(1) << 8), 2);
      if (random_.chance(30)) in(port + 1);
    }
  }
  if (random_.chance(50)) out(0x3C0, 0x20);
}

void GuestTraffic::vga_memory() {
  const unsigned writes = 1 + random_.below(30);
  const unsigned kind = random_.below(3);
  for (unsigned n = 0; n < writes; ++n) {
    const unsigned size = 1U << random_.below(4);
    const u64 anywhere = random_.next();
    const u64 address = kind == 0   ? 0xA0000 + anywhere % 0x20000
                        : kind == 1 ? 0xFD00'0000 + anywhere % Board::kVideoMemory
                                    : 0xFEB0'0000 + anywhere % 0x1000;
    if (random_.chance(40)) {
      read(address & ~u64{size - 1}, size);
    } else {
      write(address & ~u64{size - 1}, random_.next(), size);
    }
  }
}

// --- Keyboard and mouse -------------------------------------------------------------------------

void GuestTraffic::keyboard_controller() {
  constexpr u8 kCommands[] = {0x20, 0x60, 0x60, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0xAD, 0xAE,
                              0xC0, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD4, 0xD4, 0xDD, 0xDF};
  constexpr u8 kDeviceCommands[] = {0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xED, 0xEE,
                                    0xF0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9,
                                    0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0xC8, 0x64, 0x50};
  const unsigned rounds = 1 + random_.below(4);
  for (unsigned n = 0; n < rounds; ++n) {
    if (random_.chance(60)) {
      // FEh and its neighbours reset the machine: seldom, or nothing else ever happens.
      const u8 pulse = static_cast<u8>(0xF0 | random_.below(16));
      out(0x64, random_.chance(1) ? pulse : random_.pick(kCommands));
    }
    if (random_.chance(70)) {
      out(0x60, random_.chance(60) ? random_.pick(kDeviceCommands) : mostly(0x47, 50));
    }
    wait(duration() & 0xFF'FFFF);
    in(0x64);
    if (random_.chance(70)) in(0x60);
  }
  if (random_.chance(20)) out(0x92, value(1) & (random_.chance(2) ? 0xFF : 0xFE));
}

// --- Interrupt controllers ----------------------------------------------------------------------

void GuestTraffic::interrupt_controllers() {
  const u16 base = random_.chance(50) ? 0x20 : 0xA0;
  switch (random_.below(4)) {
    case 0:
      out(base, mostly(0x11));
      out(base + 1, mostly(base == 0x20 ? 0x08 : 0x70));
      out(base + 1, mostly(base == 0x20 ? 0x04 : 0x02));
      out(base + 1, mostly(0x01, 70));
      out(base + 1, random_.chance(50) ? 0 : value(1));
      break;
    case 1:
      put(Action::Kind::Acknowledge);
      out(base, random_.chance(70) ? 0x20 : value(1));
      break;
    case 2:
      out(base, 0x08 | random_.below(8) | random_.below(4) << 5);
      in(base);
      in(base + 1);
      break;
    default:
      out(base + 1, value(1));
      if (random_.chance(20)) out(0x4D0 + random_.below(2), value(1));
      break;
  }
}

void GuestTraffic::apics() {
  constexpr u64 kIoApic = 0xFEC0'0000, kLocal = 0xFEE0'0000;
  if (random_.chance(40)) {
    write(kIoApic, random_.below(random_.chance(90) ? 0x40 : 0x100));
    if (random_.chance(30)) return read(kIoApic + 0x10);
    // Vector, mode, polarity, trigger; destination in the upper half.
    write(kIoApic + 0x10, random_.chance(70) ? random_.below(0x10000) : value(4));
    if (random_.chance(20)) write(kIoApic + 0x40, value(1));
    return;
  }
  constexpr u16 kRegisters[] = {0x020, 0x080, 0x0B0, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x0F0, 0x280,
                                0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380,
                                0x3E0, 0x390, 0x100, 0x170, 0x200, 0x3F0, 0x030, 0x0A0};
  const unsigned accesses = 1 + random_.below(5);
  for (unsigned n = 0; n < accesses; ++n) {
    const u64 at = kLocal + (random_.chance(95) ? random_.pick(kRegisters) : random_.below(4096));
    if (random_.chance(30)) {
      read(at);
    } else if (at == kLocal + 0xF0) {
      write(at, 0x100 | random_.below(256));
    } else if (at == kLocal + 0x320) {
      write(at, random_.below(3) << 17 | random_.below(2) << 16 | random_.below(256));
    } else {
      write(at, random_.chance(60) ? random_.below(0x10'0000) : value(4));
    }
  }
  if (random_.chance(10)) {
    constexpr u32 kMsrs[] = {0x1B, 0x6E0, 0x6E0, 0x1C};
    const u32 msr = random_.pick(kMsrs);
    put(Action::Kind::ApicMsrRead, msr);
    if (msr == 0x1B) {
      constexpr u64 kBases[] = {0xFEE0'0900, 0xFEE0'0900, 0xFEE0'0100, 0xFED0'0900, 0x0000'0900};
      put(Action::Kind::ApicMsrWrite, msr,
          random_.chance(95) ? random_.pick(kBases) : random_.next());
    } else {
      put(Action::Kind::ApicMsrWrite, msr, random_.next() >> random_.below(64));
    }
  }
}

// --- Timers -------------------------------------------------------------------------------------

void GuestTraffic::hpet() {
  constexpr u64 kBase = 0xFED0'0000;
  constexpr u16 kRegisters[] = {0x00,  0x10,  0x10,  0x20,  0xF0,  0x100, 0x100,
                                0x108, 0x108, 0x120, 0x128, 0x140, 0x148, 0x110};
  const unsigned accesses = 1 + random_.below(6);
  for (unsigned n = 0; n < accesses; ++n) {
    const u16 at = random_.pick(kRegisters);
    const unsigned size = random_.chance(50) ? 8 : 4;
    const u64 address = kBase + at + (size == 4 && random_.chance(20) ? 4 : 0);
    if (random_.chance(30)) {
      read(address, size);
    } else if (at == 0x10) {
      write(address, random_.chance(70) ? 1 : random_.below(4), size);
    } else if ((at & 0xF) == 0 && at >= 0x100) {
      write(address, random_.below(32) << 9 | random_.below(0x200), size);
    } else {
      write(address, random_.next() >> random_.below(64), size);
    }
  }
  wait(duration() & 0xFFF'FFFF);
}

void GuestTraffic::legacy_timers() {
  if (random_.chance(50)) {
    out(0x43, value(1));
    const unsigned writes = random_.below(4);
    for (unsigned n = 0; n < writes; ++n) {
      const auto counter = static_cast<u16>(0x40 + random_.below(3));
      if (random_.chance(60)) {
        out(counter, random_.chance(60) ? value(1) : random_.below(4));
      } else {
        in(counter);
      }
    }
    if (random_.chance(20)) out(0x61, value(1));
    return in(0x61);
  }
  constexpr u8 kRegisters[] = {0, 2,   4,   5,   6,   7,   8,   9,   1,
                               3, 0xA, 0xA, 0xB, 0xB, 0xC, 0xC, 0xD, 0x32};
  out(0x70, random_.chance(90) ? random_.pick(kRegisters) : value(1));
  if (random_.chance(50)) {
    in(0x71);
  } else {
    out(0x71, random_.chance(50) ? random_.below(0x60) : value(1));
  }
}

// --- The rest -----------------------------------------------------------------------------------

void GuestTraffic::serial_ports() {
  if (random_.chance(20)) {
    out(0x37A, value(1));
    out(0x378, value(1));
    return in(0x379);
  }
  const u16 base = random_.chance(50) ? 0x3F8 : 0x2F8;
  constexpr u16 kOrder[] = {1, 2, 3, 4, 0, 0};
  const unsigned accesses = 1 + random_.below(12);
  for (unsigned n = 0; n < accesses; ++n) {
    const auto port = static_cast<u16>(base + random_.pick(kOrder));
    if (random_.chance(60)) {
      out(port, value(1));
    } else {
      in(static_cast<u16>(base + random_.below(8)));
    }
  }
  wait(duration() & 0xFF'FFFF);
}

void GuestTraffic::power_management() {
  constexpr u16 kRegisters[] = {0x600, 0x602, 0x604, 0x608, 0x60C, 0x60E, 0x618, 0x620, 0x628};
  switch (random_.below(3)) {
    case 0:
      out(0xB2, random_.chance(60) ? 0xF0 + random_.below(2) : value(1));
      break;
    case 1:
      if (random_.chance(50)) {
        in(random_.pick(kRegisters), random_.chance(50) ? 2 : 4);
      } else {
        out(random_.pick(kRegisters), value(2), 2);
      }
      break;
    default:
      out(0x704, value(1));
      out(0x703, value(1));
      out(0x702, random_.chance(60) ? 0x40 | random_.below(8) << 2 | random_.below(2) : value(1));
      wait(duration() & 0xFF'FFFF);
      in(0x700);
      if (random_.chance(60)) out(0x700, 0xFF);
      in(0x707);
      break;
  }
}

}  // namespace ringshift::devices::test
