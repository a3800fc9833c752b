// The bus master half of a PIIX IDE channel (82371SB data sheet chapter 2.7; "Programming Interface
// for Bus Master IDE Controller" 1.0): it walks a table of physical regions in guest memory and
// moves bytes between them and the drive's data window.
#pragma once

#include "cpu/io_handler.h"
#include "cpu/state_archive.h"
#include "devices/ide/ide_drive.h"
#include "mmu/memory_map.h"

namespace ringshift::devices {

class BusMaster {
 public:
  static constexpr u32 kPortCount = 8;

  explicit BusMaster(mmu::MemoryMap& memory) : memory_(memory) {}

  void reset();
  void serialize(StateArchive& archive);

  /// Registers BMIC (0), BMIS (2) and BMIDTP (4-7), one byte at a time.
  u8 read(u32 offset) const;
  /// Returns whether the engine has been started.
  bool write(u32 offset, u8 value);

  /// The channel's interrupt line rose.
  void note_interrupt();
  /// Moves as much as engine and drive both want to.
  void transfer(IdeDrive& drive);

 private:
  bool next_region();

  mmu::MemoryMap& memory_;
  u8 command_ = 0;
  u8 status_ = 0;
  u32 table_ = 0;
  // The region being worked on. The table is read entry by entry, as the hardware does.
  u32 next_entry_ = 0;
  u32 address_ = 0;
  u32 left_ = 0;
  bool last_region_ = false;
};

}  // namespace ringshift::devices
