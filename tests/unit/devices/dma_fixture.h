// A megabyte and a half of RAM and the DMA controllers on it, programmed as drivers do.
#pragma once

#include <utility>

#include "devices/dma/dma_controller.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "tests/unit/devices/legacy_fixture.h"

namespace ringshift::devices::test {

struct DmaBoard : LegacyBoard {
  mmu::GuestMemory guest = std::move(mmu::GuestMemory::create(4 << 20)).value();
  mmu::MemoryMap memory;
  mmu::MemoryBlock ram = std::move(guest.allocate(2 << 20, "ram")).value();
  DmaController dma{memory};

  DmaBoard() {
    memory.map_memory({0}, 2 << 20, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    out(dma.second_ports(), 0x16, 0xC0);  // channel 4 cascades
    out(dma.second_ports(), 0x14, 0x00);  // and is open
  }
  u8* at(u32 address) { return ram.host + address; }

  /// Programs channel 0-3: `mode` without the channel number, `count` in cycles.
  void program(unsigned channel, u8 mode, u32 address, u32 count) {
    static constexpr u8 kPages[] = {7, 3, 1, 2};
    IoHandler& ports = dma.first_ports();
    out(ports, 0xA, static_cast<u8>(4 | channel));
    out(ports, 0xC, 0);
    out(ports, 0xB, static_cast<u8>(mode | channel));
    out(ports, channel * 2, static_cast<u8>(address));
    out(ports, channel * 2, static_cast<u8>(address >> 8));
    out(ports, channel * 2 + 1, static_cast<u8>(count - 1));
    out(ports, channel * 2 + 1, static_cast<u8>((count - 1) >> 8));
    out(dma.page_ports(), kPages[channel], static_cast<u8>(address >> 16));
    out(ports, 0xA, static_cast<u8>(channel));
  }
  u16 read16(u64 port) {
    out(dma.first_ports(), 0xC, 0);
    const u8 low = in(dma.first_ports(), port);
    return static_cast<u16>(low | in(dma.first_ports(), port) << 8);
  }
};

}  // namespace ringshift::devices::test
