// The display adapter: a VGA with VBE dispi modes as PCI function 1234:1111, the "standard VGA"
// that SeaVGABIOS, Linux (bochs-drm, vesafb, vgacon) and Windows' VBE driver know. Video memory is
// guest memory behind BAR 0, so that drawing into the linear frame buffer costs what a store costs;
// only the legacy window goes through VGA logic. Register layout of BAR 2: QEMU
// docs/specs/standard-vga.
#pragma once

#include <array>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/clock.h"
#include "devices/pci/pci.h"
#include "devices/vga/vbe_dispi.h"
#include "devices/vga/vga_memory.h"
#include "devices/vga/vga_registers.h"
#include "devices/vga/vga_renderer.h"

namespace ringshift::devices {

class VgaAdapter final : public PciFunction, public ScreenSource {
 public:
  /// `video_memory` is a power of two of at least 256 KiB (16 MiB usually); `rom` may be empty.
  VgaAdapter(EventClock& clock, PciAddressSpaces spaces, const mmu::MemoryBlock& video_memory,
             const mmu::MemoryBlock& rom);

  std::string_view name() const override { return "vga"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  // --- Legacy decoding, which the board maps at the standard addresses. It follows the command
  // register's I/O and memory enable bits, as a PCI VGA device's does. ---
  IoHandler& crtc_mono() { return crtc_mono_; }          ///< 2 ports from 3B4h
  IoHandler& status_mono() { return status_mono_; }      ///< 1 port at 3BAh
  IoHandler& main_registers() { return main_; }          ///< 16 ports from 3C0h
  IoHandler& crtc_colour() { return crtc_colour_; }      ///< 2 ports from 3D4h
  IoHandler& status_colour() { return status_colour_; }  ///< 1 port at 3DAh
  /// 4 ports from 1CEh, accesses of 1 and 2 bytes: index at offset 0, data at 1 and again at 2.
  IoHandler& dispi_ports() { return dispi_ports_; }
  static constexpr AccessSizes kDispiSizes{1, 2};
  /// 128 KiB from A0000h, accesses of 1 to 8 bytes.
  IoHandler& legacy_memory() { return window_; }

  // --- ScreenSource ---
  void render(Frame& frame) override { renderer_.render(frame); }
  TextScreen text() override { return renderer_.text(); }
  bool changed() override { return renderer_.changed(); }

 private:
  static constexpr u64 kRegisterBarSize = 0x1000;

  bool command_bit(u8 bit) { return (config()[0x04] & bit) != 0; }
  u8 read_port(u16 port);
  void write_port(u16 port, u8 value);
  template <u16 Base>
  u64 read_ports(u64 offset, unsigned) {
    return read_port(static_cast<u16>(Base + offset));
  }
  template <u16 Base>
  void write_ports(u64 offset, u64 value, unsigned) {
    write_port(static_cast<u16>(Base + offset), static_cast<u8>(value));
  }
  u64 read_dispi(u64 offset, unsigned size);
  void write_dispi(u64 offset, u64 value, unsigned size);
  void write_dispi_register(u16 index, u16 value);
  u64 read_window(u64 offset, unsigned size);
  void write_window(u64 offset, u64 value, unsigned size);
  u64 read_bar(u64 offset, unsigned size);
  void write_bar(u64 offset, u64 value, unsigned size);
  u8 read_bar_byte(u64 offset);
  void serialize_video_memory(StateArchive& archive);

  template <u16 Base>
  using Ports =
      MemberIoHandler<VgaAdapter, &VgaAdapter::read_ports<Base>, &VgaAdapter::write_ports<Base>>;

  mmu::MemoryBlock video_memory_;
  VgaRegisters registers_;
  VbeDispi vbe_;
  VgaMemory memory_;
  VgaRenderer renderer_;
  std::array<u8, 128> edid_;
  u16 dispi_index_ = 0;

  Ports<0x3B4> crtc_mono_{*this};
  Ports<0x3BA> status_mono_{*this};
  Ports<0x3C0> main_{*this};
  Ports<0x3D4> crtc_colour_{*this};
  Ports<0x3DA> status_colour_{*this};
  MemberIoHandler<VgaAdapter, &VgaAdapter::read_dispi, &VgaAdapter::write_dispi> dispi_ports_{
      *this};
  MemberIoHandler<VgaAdapter, &VgaAdapter::read_window, &VgaAdapter::write_window> window_{*this};
  MemberIoHandler<VgaAdapter, &VgaAdapter::read_bar, &VgaAdapter::write_bar> register_bar_{*this};
};

}  // namespace ringshift::devices
