// The one page with every port, address, interrupt request and PCI slot of the machine.
#include "devices/board.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

// PCI slots, all on bus 0.
constexpr unsigned kHostBridgeSlot = 0;
constexpr unsigned kSouthBridgeSlot = 1;  // functions: 0 ISA bridge, 1 IDE, 3 power management
constexpr unsigned kVgaSlot = 2;

/// I/O APIC inputs that nothing else uses, for HPET timers.
constexpr u32 kHpetRoutes = 0x00FF0000;

// Interrupt pins (PCI 3.0 §2.2.6).
constexpr unsigned kNoPin = 0;
constexpr unsigned kIntA = 1;

/// What the drive at `place` says of itself; serial numbers differ, so that a guest can tell drives
/// apart.
DriveIdentity drive_identity(unsigned place, IdeSlot::Kind kind) {
  DriveIdentity identity;
  if (kind == IdeSlot::Kind::CdDrive) identity.model = "Ringshift DVD-ROM";
  identity.serial = "RS0000" + std::to_string(place + 1);
  return identity;
}

/// The kind of floppy drive that takes this image: 3.5" for all but the sizes that only 5.25" has.
FloppyDriveType drive_for(const BlockBackend* image) {
  const u64 kib = image == nullptr ? 1440 : image->size() / 1024;
  if (kib <= 360) return FloppyDriveType::Inch5Double;
  if (kib == 1200) return FloppyDriveType::Inch5High;
  return kib > 1760 ? FloppyDriveType::Inch3Extra : FloppyDriveType::Inch3High;
}

}  // namespace

Board::Board(const BoardConfig& config, const BoardContext& context)
    : context_(context),
      pit_(context.clock),
      rtc_(context.clock, context.wall),
      hpet_(context.clock, kHpetRoutes),
      dma_(context.map),
      a20_gate_(context.machine),
      keyboard_(context.clock),
      mouse_(context.clock),
      keyboard_controller_(context.clock, context.machine, a20_gate_, keyboard_, mouse_),
      parallel_(context.clock, "LPT1", config.parallel),
      floppy_(context.clock, dma_.channel(2)),
      debug_console_402_("debug console 402h", config.debug_console),
      debug_console_e9_("debug console E9h", config.debug_console),
      debug_exit_(context.machine),
      panic_port_(context.machine),
      fw_cfg_(context.map),
      configuration_ports_(pci_bus_, context.machine) {}

Result<std::unique_ptr<Board>> Board::create(const BoardConfig& config, BoardContext context,
                                             const std::vector<u8>& video_rom) {
  std::unique_ptr<Board> board(new Board(config, context));
  if (auto assembled = board->assemble(config, video_rom); !assembled) return assembled.error();
  return board;
}

Result<void> Board::map_ports(const BoardConfig& config) {
  struct Claim {
    u16 first;
    u32 count;
    std::string_view name;
    IoHandler* handler;
    AccessSizes sizes = {1, 1};
  };
  std::vector<Claim> claims = {
      {0x000, 16, "8237A DMA controller 1", &dma_.first_ports()},
      {0x020, 2, "8259A master", &pic_.master_ports()},
      {0x040, 4, "8254 interval timer", &pit_.ports()},
      {0x060, 1, "8042 data", &keyboard_controller_.data_port()},
      {0x061, 1, "system control B", &pit_.system_control()},
      {0x064, 1, "8042 command", &keyboard_controller_.command_port()},
      {0x070, 4, "MC146818 real-time clock", &rtc_.ports()},
      {0x080, 16, "DMA page registers", &dma_.page_ports()},
      {0x092, 1, "system control A", &a20_gate_.port92()},
      {0x0A0, 2, "8259A slave", &pic_.slave_ports()},
      {0x0B2, 2, "power management control", isa_bridge_.get()},
      {0x0C0, 32, "8237A DMA controller 2", &dma_.second_ports()},
      {0x0E9, 1, "debug console", &debug_console_e9_},
      {0x0F0, 2, "coprocessor error", &coprocessor_error_},
      {0x2F8, 8, "COM2", serial_[1].get()},
      {0x378, 3, "LPT1", &parallel_},
      {0x1CE, 4, "VBE", &vga_->dispi_ports(), VgaAdapter::kDispiSizes},
      {0x3B4, 2, "VGA", &vga_->crtc_mono()},
      {0x3BA, 1, "VGA", &vga_->status_mono()},
      {0x3C0, 16, "VGA", &vga_->main_registers()},
      {0x3D4, 2, "VGA", &vga_->crtc_colour()},
      {0x3DA, 1, "VGA", &vga_->status_colour()},
      {0x3F0, 6, "82077AA floppy controller", &floppy_.ports()},
      {0x3F7, 1, "82077AA floppy controller", &floppy_.digital_input()},
      {0x3F8, 8, "COM1", serial_[0].get()},
      {0x402, 1, "debug console", &debug_console_402_},
      {0x4D0, 2, "interrupt edge/level control", &pic_.elcr_ports()},
      {0x505, 1, "pvpanic", &panic_port_},
      {FwCfg::kPortBase, FwCfg::kPortCount, "fw_cfg", &fw_cfg_.ports(), FwCfg::kPortSizes},
      {FwCfg::kDmaPortBase, FwCfg::kDmaPortCount, "fw_cfg DMA", &fw_cfg_.dma_ports(),
       FwCfg::kDmaPortSizes},
      {ConfigurationPorts::kFirstPort,
       ConfigurationPorts::kPortCount,
       "PCI configuration",
       &configuration_ports_,
       {1, 4}},
  };
  // IDE (1F0h, 3F6h, 170h, 376h, bus master) and power management (600h, 700h) are PCI functions
  // that claim their ports as their registers say.
  if (config.debug_exit_port) {
    claims.push_back(
        {*config.debug_exit_port, DebugExit::kPortCount, "debug exit", &debug_exit_, {1, 4}});
  }
  for (const Claim& claim : claims) {
    auto mapped = ports_.map(claim.first, claim.count, claim.name, *claim.handler, claim.sizes);
    if (!mapped) return mapped;
  }
  return {};
}

Result<void> Board::map_memory() {
  if (auto mapped = context_.map.map_mmio({0xA0000}, VgaMemory::kWindowSize, "VGA window",
                                          vga_->legacy_memory());
      !mapped) {
    return mapped;
  }
  // The local APIC maps its own page (FEE00000h), which IA32_APIC_BASE moves.
  if (auto mapped =
          context_.map.map_mmio({0xFEC00000}, IoApic::kRegionSize, "I/O APIC", io_apic_, {4, 4});
      !mapped) {
    return mapped;
  }
  return context_.map.map_mmio({0xFED00000}, Hpet::kRegionSize, "HPET", hpet_, {4, 8});
}

void Board::irq(IrqLine& line, unsigned number, std::string_view name) {
  line.connect(isa_interrupts_.isa(), number);
  interrupts_.emplace_back(number, name);
}

void Board::connect_interrupts() {
  irq(pit_.irq(), 0, pit_.name());
  irq(keyboard_controller_.keyboard_irq(), 1, "8042 keyboard");
  irq(serial_[1]->interrupt(), 3, "COM2");
  irq(serial_[0]->interrupt(), 4, "COM1");
  irq(floppy_.irq(), 6, floppy_.name());
  irq(parallel_.interrupt(), 7, "LPT1");
  irq(rtc_.irq(), 8, rtc_.name());
  irq(keyboard_controller_.mouse_irq(), 12, "8042 mouse");
  irq(coprocessor_error_.irq(), 13, coprocessor_error_.name());
  irq(ide_->channel(0).irq(), 14, "IDE primary channel");
  irq(ide_->channel(1).irq(), 15, "IDE secondary channel");

  // The SCI is level-triggered and shares request 9 with whatever the PCI router puts there.
  power_management_->sci().connect(pirq_router_, PirqRouter::isa_line(9));
  interrupts_.emplace_back(9, "ACPI SCI");

  for (unsigned input = 0; input < IoApic::kPinCount; ++input) {
    if (((kHpetRoutes >> input) & 1) != 0) hpet_.route(input).connect(io_apic_, input);
  }
  hpet_.legacy_timer().connect(isa_interrupts_.hpet(), 0);
  hpet_.legacy_clock().connect(isa_interrupts_.hpet(), 8);
  hpet_.on_legacy_replacement(
      [this](bool active) { isa_interrupts_.set_legacy_replacement(active); });

  pic_.output().connect(*local_apic_, LocalApic::kLint0);
  local_apic_->interrupt().connect(context_.processor_pins, kIntrPin);
  local_apic_->nmi().connect(context_.processor_pins, kNmiPin);
}

void Board::pci(unsigned slot, unsigned function, PciFunction& device, unsigned pin) {
  pci_bus_.attach(slot, function, device);
  if (pin != kNoPin) device.interrupt().connect(pirq_router_, PirqRouter::pci_line(slot, pin));
}

void Board::attach_pci() {
  pci(kHostBridgeSlot, 0, *host_bridge_, kNoPin);
  pci(kSouthBridgeSlot, 0, *isa_bridge_, kNoPin);
  pci(kSouthBridgeSlot, 1, *ide_, kNoPin);
  pci(kSouthBridgeSlot, 3, *power_management_, kNoPin);
  pci(kVgaSlot, 0, *vga_, kNoPin);
}

void Board::attach_drives(const BoardConfig& config) {
  for (unsigned place = 0; place < config.ide.size(); ++place) {
    const IdeSlot& slot = config.ide[place];
    const DriveIdentity identity = drive_identity(place, slot.kind);
    std::unique_ptr<IdeDrive>& drive = ide_drives_[place];
    if (slot.kind == IdeSlot::Kind::Disk) {
      drive = std::make_unique<AtaDisk>(context_.clock, *slot.image, identity);
    } else if (slot.kind == IdeSlot::Kind::CdDrive) {
      auto cd = std::make_unique<AtapiCdrom>(context_.clock, slot.image, identity);
      drive = std::move(cd);
    } else {
      continue;
    }
    ide_->channel(place / 2).attach(place % 2, *drive);
  }
  for (unsigned drive = 0; drive < config.floppies.size(); ++drive) {
    // The first drive is always there, as in the PCs that firmware and ACPI tables describe.
    if (drive > 0 && config.floppies[drive] == nullptr) continue;
    floppy_.set_drive_type(drive, drive_for(config.floppies[drive]));
    if (config.floppies[drive] != nullptr) floppy_.insert(drive, *config.floppies[drive]);
  }
}

Result<void> Board::assemble(const BoardConfig& config, const std::vector<u8>& video_rom) {
  const PciAddressSpaces spaces{ports_, context_.map};
  auto video_memory = context_.memory.allocate(kVideoMemory, "video memory");
  if (!video_memory) return video_memory.error();
  mmu::MemoryBlock rom;
  if (!video_rom.empty()) {
    auto block = context_.memory.allocate(video_rom.size(), "video ROM");
    if (!block) return block.error();
    rom = *block;
    std::copy(video_rom.begin(), video_rom.end(), rom.host);
  }
  local_apic_ = std::make_unique<LocalApic>(
      LocalApic::Wiring{context_.clock, apic_bus_, context_.tsc, pic_acknowledge_,
                        context_.processor, context_.map},
      LocalApic::Identity{});
  apic_bus_.attach(io_apic_);
  serial_[0] = std::make_unique<Uart16550>(context_.clock, "COM1", config.serial[0]);
  serial_[1] = std::make_unique<Uart16550>(context_.clock, "COM2", config.serial[1]);
  host_bridge_ = std::make_unique<HostBridge>(spaces, context_.memory_size, context_.machine);
  power_management_ = std::make_unique<PowerManagement>(spaces, context_.clock, context_.machine);
  isa_bridge_ = std::make_unique<IsaBridge>(spaces, pirq_router_, *power_management_);
  ide_ = std::make_unique<PiixIde>(spaces);
  vga_ = std::make_unique<VgaAdapter>(context_.clock, spaces, *video_memory, rom);
  attach_drives(config);
  set_up_nvram(config);

  // In the order of reset: interrupt controllers first, then what drives their inputs.
  devices_ = {&pic_,
              &io_apic_,
              local_apic_.get(),
              &pit_,
              &rtc_,
              &hpet_,
              &dma_,
              &a20_gate_,
              &keyboard_,
              &mouse_,
              &keyboard_controller_,
              &coprocessor_error_,
              serial_[0].get(),
              serial_[1].get(),
              &parallel_,
              &floppy_,
              &debug_console_402_,
              &debug_console_e9_,
              &debug_exit_,
              &panic_port_,
              &fw_cfg_,
              &configuration_ports_,
              host_bridge_.get(),
              power_management_.get(),
              isa_bridge_.get(),
              ide_.get(),
              vga_.get()};
  connect_interrupts();
  attach_pci();
  if (auto mapped = map_ports(config); !mapped) return mapped;
  return map_memory();
}

void Board::set_up_nvram(const BoardConfig& config) {
  // The IBM AT's layout, which SeaBIOS and older systems read (Ralf Brown's CMOS map).
  const u64 low = std::min<u64>(context_.memory_size, 0xE0000000);
  const auto word = [this](unsigned index, u64 value) {
    rtc_.set_nvram(index, static_cast<u8>(value));
    rtc_.set_nvram(index + 1, static_cast<u8>(value >> 8));
  };
  word(0x15, 640);  // base memory, KiB
  const u64 above_1m = low > (1 << 20) ? (low >> 10) - 1024 : 0;
  word(0x17, std::min<u64>(above_1m, 0xFFFF));  // extended memory, KiB
  word(0x30, std::min<u64>(above_1m, 0xFFFF));
  word(0x34, std::min<u64>(low > (16 << 20) ? (low - (16 << 20)) >> 16 : 0, 0xFFFF));
  const auto type = [&](unsigned drive) {
    return static_cast<unsigned>(floppy_.drive_type(drive));
  };
  rtc_.set_nvram(0x10, static_cast<u8>(type(0) << 4 | type(1)));
  const unsigned floppies = config.floppies[1] != nullptr ? 2 : 1;
  // Equipment: diskette drives, coprocessor, PS/2 mouse; bit 0 says that there are diskettes.
  rtc_.set_nvram(0x14, static_cast<u8>((floppies - 1) << 6 | 0x07));
}

std::vector<Board::PciEntry> Board::pci_functions() const {
  std::vector<PciEntry> entries;
  for (unsigned slot = 0; slot < 32; ++slot) {
    for (unsigned function = 0; function < 8; ++function) {
      PciFunction* device = pci_bus_.at(slot, function);
      if (device == nullptr) continue;
      const u32 id = device->config_read(0, 4);
      entries.push_back({slot, function, static_cast<u16>(id), static_cast<u16>(id >> 16),
                         std::string(device->name())});
    }
  }
  return entries;
}

void Board::reset(ResetKind kind) {
  pci_bus_.release_mappings();
  for (Device* device : devices_) device->reset(kind);
}

void Board::serialize(StateArchive& archive) {
  archive.section("board", 2);
  if (archive.restoring()) pci_bus_.release_mappings();
  isa_interrupts_.serialize(archive);
  for (Device* device : devices_) device->serialize(archive);
  if (archive.restoring()) pci_bus_.refresh_mappings();
}

}  // namespace ringshift::devices
