// An ATA hard disk (ATA/ATAPI-6, with TRIM from ATA8-ACS) over a host image: CHS, LBA28 and LBA48
// addressing, PIO, multiple and DMA transfers, host protected area, SMART and power commands.
#pragma once

#include <array>

#include "devices/ide/ide_drive.h"
#include "devices/ide/identify.h"

namespace ringshift::devices {

class AtaDisk final : public IdeDrive {
 public:
  static constexpr u64 kSectorSize = 512;

  /// The image's size is taken in whole sectors; a last partial sector can't be reached.
  AtaDisk(EventClock& clock, BlockBackend& image, DriveIdentity identity);

  void serialize(StateArchive& archive) override;

 protected:
  void execute(u8 command) override;
  void window_done() override;
  void backend_done(BlockStatus status) override;
  void step() override;
  void reset_settings(bool hardware, ResetKind kind) override;
  u8 put_signature() override;
  bool is_device_reset(u8 command) const override;
  BlockBackend* backend() override { return &image_; }

 private:
  enum class Action : u8 { None, Read, Write, Verify, Flush, Trim, SendBlock, ReceiveBuffer };
  enum class Addressing : u8 { Short, Extended };
  enum class Method : u8 { Pio, Multiple, Dma };
  enum class Power : u8 { Active, Idle, Standby, Sleep };

  struct Geometry {
    u16 cylinders = 0;
    u16 heads = 0;
    u16 sectors = 0;
    void serialize(StateArchive& archive);
  };

  // Commands by family; each returns whether it knew the command.
  bool execute_transfer(u8 command);
  bool execute_mode(u8 command);
  bool execute_protected_area(u8 command);
  bool execute_information(u8 command);

  void start_transfer(Action action, Method method, Addressing addressing);
  void next_chunk();
  void present_block(Announce announce);
  void chunk_done();
  void transfer_finished();
  void transfer_failed();
  void start_trim();
  void next_trim_range();
  void send_block();

  void identify();
  void set_features();
  void set_geometry();
  void set_max(Addressing addressing);
  void smart();
  void smart_data();

  bool has_dma_mode() const;
  u64 addressed_sector(Addressing addressing) const;
  void put_sector(u64 sector, Addressing addressing);
  u32 sector_count(Addressing addressing) const;
  Geometry default_geometry() const;
  u64 sectors() const { return image_.size() / kSectorSize; }
  u64 visible_sectors() const { return visible_ == 0 ? sectors() : std::min(visible_, sectors()); }

  static constexpr u64 kBadSector = ~u64{0};
  static constexpr unsigned kMostMultiple = 16;
  static constexpr unsigned kMostTrimBlocks = 8;

  BlockBackend& image_;
  DriveIdentity identity_;

  // Settings
  Geometry geometry_;
  TransferModes modes_;
  u8 multiple_ = 0;  // sectors per block of READ/WRITE MULTIPLE; 0: not set
  bool write_cache_ = true;
  bool look_ahead_ = true;
  bool smart_enabled_ = true;
  bool revert_on_reset_ = true;
  Power power_ = Power::Active;
  u64 visible_ = 0;  // SET MAX ADDRESS; 0: everything
  bool visible_volatile_ = false;
  bool native_max_read_ = false;  // the previous command was READ NATIVE MAX ADDRESS
  std::array<u8, kSectorSize> sector_buffer_{};

  // The command in flight
  Action action_ = Action::None;
  Method method_ = Method::Pio;
  Addressing addressing_ = Addressing::Short;
  bool force_unit_access_ = false;
  u64 sector_ = 0;
  u32 remaining_ = 0;
  u32 chunk_ = 0;     // sectors of it that are in the buffer
  u32 block_at_ = 0;  // sectors of the chunk that the guest has taken
  u32 trim_at_ = 0;   // byte position in the list of ranges
};

}  // namespace ringshift::devices
