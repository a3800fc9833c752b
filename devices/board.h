// The PC: which devices there are, and at which ports, addresses and interrupt requests. board.cpp
// is the one page that knows; everything else asks the bus. An i440FX with PIIX3/PIIX4, because
// SeaBIOS and thirty years of guests know that machine.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/backends.h"
#include "devices/chipset/host_bridge.h"
#include "devices/chipset/isa_bridge.h"
#include "devices/chipset/piix_ide.h"
#include "devices/chipset/pirq_router.h"
#include "devices/chipset/power_management.h"
#include "devices/coprocessor/coprocessor_error.h"
#include "devices/debug/debug_ports.h"
#include "devices/dma/dma_controller.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/floppy/floppy_controller.h"
#include "devices/ide/ata_disk.h"
#include "devices/ide/atapi_cdrom.h"
#include "devices/input/a20_gate.h"
#include "devices/input/keyboard_controller.h"
#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"
#include "devices/interrupt/apic_bus.h"
#include "devices/interrupt/io_apic.h"
#include "devices/interrupt/isa_interrupts.h"
#include "devices/interrupt/local_apic.h"
#include "devices/interrupt/pic.h"
#include "devices/parallel/parallel_port.h"
#include "devices/pci/config_ports.h"
#include "devices/pci/pci.h"
#include "devices/serial/uart16550.h"
#include "devices/timer/hpet.h"
#include "devices/timer/pit.h"
#include "devices/timer/rtc.h"
#include "devices/vga/vga_adapter.h"

namespace ringshift::devices {

/// What sits at one of the four places on the IDE cables (channel * 2 + unit).
struct IdeSlot {
  enum class Kind : u8 { Empty, Disk, CdDrive };
  Kind kind = Kind::Empty;
  BlockBackend* image = nullptr;  ///< null only in a CD drive: no disc in it
};

/// What a person may choose about the board. Null backends mean: nothing plugged in.
struct BoardConfig {
  std::array<CharacterBackend*, 2> serial{};
  CharacterBackend* parallel = nullptr;
  CharacterBackend* debug_console = nullptr;
  std::array<BlockBackend*, 2> floppies{};
  /// By channel * 2 + unit. A drive that is neither is absent.
  std::array<IdeSlot, 4> ide{};
  std::optional<u16> debug_exit_port;
};

/// What the board is built into.
struct BoardContext {
  EventClock& clock;
  WallClock& wall;
  mmu::GuestMemory& memory;
  mmu::MemoryMap& map;
  IrqSink& processor_pins;  ///< lines kIntrPin and kNmiPin
  ApicProcessor& processor;
  TscSource& tsc;
  MachineControl& machine;
  u64 memory_size = 0;
};

class Board {
 public:
  static constexpr unsigned kIntrPin = 0;
  static constexpr unsigned kNmiPin = 1;
  static constexpr u64 kVideoMemory = u64{16} << 20;

  struct PciEntry {
    unsigned slot, function;
    u16 vendor, device;
    std::string name;
  };

  /// `video_rom` is the VGA's expansion ROM, already of a BAR's size.
  static Result<std::unique_ptr<Board>> create(const BoardConfig& config, BoardContext context,
                                               const std::vector<u8>& video_rom);
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  void reset(ResetKind kind);
  void serialize(StateArchive& archive);

  // --- The processor's side ---
  PortBus& ports() { return ports_; }
  u8 acknowledge_interrupt() { return local_apic_->acknowledge(); }
  void set_ferr(bool asserted) { coprocessor_error_.set_ferr(asserted); }
  bool ignore_numeric_error() const { return coprocessor_error_.ignore_numeric_error(); }
  bool read_apic_msr(u32 index, u64& value) { return local_apic_->read_msr(index, value); }
  bool write_apic_msr(u32 index, u64 value) { return local_apic_->write_msr(index, value); }
  bool local_apic_enabled() const { return local_apic_->enabled(); }

  // --- The person's side ---
  ScreenSource& screen() { return *vga_; }
  KeyboardSink& keyboard() { return keyboard_; }
  PointerSink& pointer() { return mouse_; }
  CharacterReceiver& serial(unsigned number) { return *serial_[number]; }
  PowerManagement& power() { return *power_management_; }
  FwCfg& firmware_configuration() { return fw_cfg_; }

  // --- For listings and tests ---
  u8 diagnostic_code() const { return dma_.diagnostic_code(); }
  const std::vector<Device*>& all_devices() const { return devices_; }
  const std::vector<std::pair<unsigned, std::string>>& interrupts() const { return interrupts_; }
  std::vector<PciEntry> pci_functions() const;

 private:
  Board(const BoardConfig& config, const BoardContext& context);
  Result<void> assemble(const BoardConfig& config, const std::vector<u8>& video_rom);
  Result<void> map_ports(const BoardConfig& config);
  Result<void> map_memory();
  void connect_interrupts();
  void attach_pci();
  void attach_drives(const BoardConfig& config);
  void set_up_nvram(const BoardConfig& config);

  void irq(IrqLine& line, unsigned number, std::string_view name);
  void pci(unsigned slot, unsigned function, PciFunction& device, unsigned pin);

  /// The 8259 pair's acknowledge cycle, as the local APIC needs it.
  struct PicAcknowledge final : InterruptAcknowledge {
    explicit PicAcknowledge(DualPic& controllers) : pic(controllers) {}
    u8 acknowledge() override { return pic.acknowledge(); }
    DualPic& pic;
  };

  BoardContext context_;
  PortBus ports_;
  DualPic pic_;
  PicAcknowledge pic_acknowledge_{pic_};
  ApicBus apic_bus_;
  IoApic io_apic_{apic_bus_, IoApic::Version::WithEoiRegister};
  IsaInterrupts isa_interrupts_{pic_, io_apic_};
  PirqRouter pirq_router_{isa_interrupts_.pci()};
  std::unique_ptr<LocalApic> local_apic_;
  Pit pit_;
  Rtc rtc_;
  Hpet hpet_;
  DmaController dma_;
  A20Gate a20_gate_;
  Ps2Keyboard keyboard_;
  Ps2Mouse mouse_;
  KeyboardController keyboard_controller_;
  CoprocessorError coprocessor_error_;
  std::array<std::unique_ptr<Uart16550>, 2> serial_;
  ParallelPort parallel_;
  FloppyController floppy_;
  DebugConsole debug_console_402_;
  DebugConsole debug_console_e9_;
  DebugExit debug_exit_;
  PanicPort panic_port_;
  FwCfg fw_cfg_;
  PciBus pci_bus_;
  ConfigurationPorts configuration_ports_;
  std::unique_ptr<HostBridge> host_bridge_;
  std::unique_ptr<PowerManagement> power_management_;
  std::unique_ptr<IsaBridge> isa_bridge_;
  std::unique_ptr<PiixIde> ide_;
  std::array<std::unique_ptr<IdeDrive>, 4> ide_drives_;
  std::unique_ptr<VgaAdapter> vga_;

  std::vector<Device*> devices_;
  std::vector<std::pair<unsigned, std::string>> interrupts_;
};

}  // namespace ringshift::devices
