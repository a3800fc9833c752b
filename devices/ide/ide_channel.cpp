#include "devices/ide/ide_channel.h"

#include <cstdlib>

namespace ringshift::devices {

using ata::Register;

namespace {

/// An empty cable: the host's resistor holds DD7 low so that BSY never shows; the rest floats high.
constexpr u8 kEmptyCable = 0x7F;

}  // namespace

void IdeChannel::attach(unsigned position, IdeDrive& drive) {
  if (position > 1 || drives_[position] != nullptr) std::abort();
  drives_[position] = &drive;
  drive.plug_in(*this, position);
}

void IdeChannel::reset(ResetKind kind) {
  selected_ = 0;
  control_ = 0;
  bus_master_.reset();
  for (IdeDrive* drive : drives_) {
    if (drive != nullptr) drive->hardware_reset(kind);
  }
  interrupt_changed();
}

void IdeChannel::serialize(StateArchive& archive) {
  archive.section("ide channel", 1);
  bool level = irq_.level();
  std::array<u8, 2> present = {drives_[0] != nullptr, drives_[1] != nullptr};
  const auto expected = present;
  archive.field("drives", present);
  if (present != expected) archive.refuse("snapshot has other IDE drives");
  archive.field("selected", selected_);
  archive.field("control", control_);
  archive.field("irq", level);
  archive.field("bus master", bus_master_);
  for (IdeDrive* drive : drives_) {
    if (drive != nullptr) drive->serialize(archive);
  }
  if (archive.restoring()) {
    selected_ &= 1;
    irq_.restore_level(level);
  }
}

// --- Ports --------------------------------------------------------------------------------------

u64 IdeChannel::read_command(u64 offset, unsigned size) {
  if (offset == 0) {
    IdeDrive* const drive = selected();
    const u32 value = drive != nullptr ? drive->read_data(size) : 0xFFFF'FF00U | kEmptyCable;
    return value & (size >= 4 ? ~u32{0} : (u32{1} << (8 * size)) - 1);
  }
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= u64{read_register(static_cast<Register>((offset + i) & 7))} << (8 * i);
  }
  return value;
}

void IdeChannel::write_command(u64 offset, u64 value, unsigned size) {
  if (offset == 0) {
    if (IdeDrive* const drive = selected()) drive->write_data(static_cast<u32>(value), size);
    return;
  }
  for (unsigned i = 0; i < size; ++i) {
    write_register(static_cast<Register>((offset + i) & 7), static_cast<u8>(value >> (8 * i)));
  }
}

u8 IdeChannel::absent_register(Register at) const {
  // Device 0 answers for an absent device 1: its registers, and a status of zero. Nobody answers
  // for an absent device 0.
  if (selected_ == 0 || drives_[0] == nullptr) return kEmptyCable;
  if (at == Register::Status) return 0;
  if (at == Register::Device) return drives_[0]->read_register(at, false) | ata::kDeviceSelect;
  return drives_[0]->read_register(at, (control_ & ata::kHighOrderByte) != 0);
}

u8 IdeChannel::read_register(Register at) {
  IdeDrive* const drive = selected();
  if (drive == nullptr) return absent_register(at);
  if (at == Register::Status) {
    drive->acknowledge_interrupt();
    return drive->status();
  }
  return drive->read_register(at, (control_ & ata::kHighOrderByte) != 0);
}

void IdeChannel::write_register(Register at, u8 value) {
  control_ &= static_cast<u8>(~ata::kHighOrderByte);
  if (at == Register::Status) {
    issue_command(value);
    return;
  }
  for (IdeDrive* drive : drives_) {
    if (drive != nullptr) drive->write_register(at, value);
  }
  if (at == Register::Device) {
    selected_ = (value & ata::kDeviceSelect) != 0 ? 1 : 0;
    interrupt_changed();
  }
}

void IdeChannel::issue_command(u8 command) {
  if (command != ata::kExecuteDiagnostic) {
    if (IdeDrive* const drive = selected()) drive->write_command(command);
    return;
  }
  if (IdeDrive* const drive = selected();
      drive != nullptr && (drive->status() & (ata::kBusy | ata::kDataRequest)) != 0) {
    return;
  }
  selected_ = drives_[0] != nullptr ? 0 : 1;
  for (unsigned i = 0; i < drives_.size(); ++i) {
    if (drives_[i] != nullptr) drives_[i]->diagnose(i == selected_);
  }
}

u64 IdeChannel::read_control(u64 offset, unsigned size) {
  static_cast<void>(offset), static_cast<void>(size);
  // Alternate status: as the status register, without acknowledging the interrupt.
  IdeDrive* const drive = selected();
  return drive != nullptr ? drive->status() : absent_register(Register::Status);
}

void IdeChannel::write_control(u64 offset, u64 value, unsigned size) {
  static_cast<void>(offset), static_cast<void>(size);
  const u8 before = control_;
  control_ =
      static_cast<u8>(value) & (ata::kInterruptDisable | ata::kSoftReset | ata::kHighOrderByte);
  const u8 changed = before ^ control_;
  if ((changed & ata::kSoftReset) != 0) {
    const bool held = (control_ & ata::kSoftReset) != 0;
    for (IdeDrive* drive : drives_) {
      if (drive == nullptr) continue;
      held ? drive->begin_soft_reset() : drive->end_soft_reset();
    }
    if (held) selected_ = 0;
  }
  interrupt_changed();
}

void IdeChannel::interrupt_changed() {
  const bool level =
      selected() != nullptr && selected()->interrupt() && (control_ & ata::kInterruptDisable) == 0;
  if (level && !irq_.level()) bus_master_.note_interrupt();
  irq_.set(level);
}

// --- DMA ----------------------------------------------------------------------------------------

void IdeChannel::write_bus_master(u32 offset, u8 value) {
  if (bus_master_.write(offset, value)) run_dma();
}

void IdeChannel::enable_bus_master(bool enabled) {
  if (bus_master_enabled_ == enabled) return;
  bus_master_enabled_ = enabled;
  if (enabled) run_dma();
}

void IdeChannel::dma_requested() {
  run_dma();
}

void IdeChannel::run_dma() {
  if (moving_ || !bus_master_enabled_) return;
  moving_ = true;
  for (IdeDrive* drive : drives_) {
    if (drive != nullptr && drive->dma_request()) bus_master_.transfer(*drive);
  }
  moving_ = false;
}

}  // namespace ringshift::devices
