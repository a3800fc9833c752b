// One IDE cable: the command and control block registers, which both drives listen to, and the bus
// master engine. What the ports read when no drive answers follows from the cable's resistors and
// from device 0 answering for an absent device 1 (ATA/ATAPI-6 §9.16).
#pragma once

#include <array>

#include "cpu/io_handler.h"
#include "devices/ide/bus_master.h"
#include "devices/ide/ide_drive.h"
#include "devices/irq.h"

namespace ringshift::devices {

class IdeChannel final : public IdeCable {
 public:
  static constexpr u32 kCommandPorts = 8;
  static constexpr u32 kControlPorts = 1;

  explicit IdeChannel(mmu::MemoryMap& memory) : bus_master_(memory) {}

  /// Puts a drive at `position` (0 or 1), which must be free. The drive outlives the channel or is
  /// never used after it.
  void attach(unsigned position, IdeDrive& drive);
  IdeDrive* drive(unsigned position) const { return drives_.at(position); }

  /// ISA request 14 or 15, edge-triggered.
  IrqLine& irq() { return irq_; }
  IoHandler& command_block() { return command_block_; }
  IoHandler& control_block() { return control_block_; }

  u8 read_bus_master(u32 offset) const { return bus_master_.read(offset); }
  void write_bus_master(u32 offset, u8 value);
  /// The PCI function's bus master enable bit.
  void enable_bus_master(bool enabled);

  void reset(ResetKind kind);
  void serialize(StateArchive& archive);

  void interrupt_changed() override;
  void dma_requested() override;

 private:
  u64 read_command(u64 offset, unsigned size);
  void write_command(u64 offset, u64 value, unsigned size);
  u64 read_control(u64 offset, unsigned size);
  void write_control(u64 offset, u64 value, unsigned size);
  u8 read_register(ata::Register at);
  void write_register(ata::Register at, u8 value);
  void issue_command(u8 command);
  u8 absent_register(ata::Register at) const;
  void run_dma();

  IdeDrive* selected() const { return drives_[selected_]; }
  IdeDrive* other() const { return drives_[selected_ ^ 1]; }

  std::array<IdeDrive*, 2> drives_{};
  BusMaster bus_master_;
  MemberIoHandler<IdeChannel, &IdeChannel::read_command, &IdeChannel::write_command> command_block_{
      *this};
  MemberIoHandler<IdeChannel, &IdeChannel::read_control, &IdeChannel::write_control> control_block_{
      *this};
  IrqLine irq_;
  u8 selected_ = 0;
  u8 control_ = 0;
  bool bus_master_enabled_ = false;
  bool moving_ = false;  // inside run_dma(); never true between instructions
};

}  // namespace ringshift::devices
