// A CD/DVD-ROM drive: the packet feature set of ATA/ATAPI-6 and the commands of MMC (INCITS 360,
// SFF 8020i for old hosts) over an ISO image. The disc has one data track; images too large for a
// CD are shown as a DVD.
#pragma once

#include <array>

#include "devices/ide/cd_sector.h"
#include "devices/ide/ide_drive.h"
#include "devices/ide/identify.h"

namespace ringshift::devices {

class AtapiCdrom final : public IdeDrive {
 public:
  /// `medium` is null for an empty drive. A medium must outlive its removal until no request on it
  /// is under way.
  AtapiCdrom(EventClock& clock, BlockBackend* medium, DriveIdentity identity);

  // --- The person at the drive ---
  /// Puts a disc in and closes the tray.
  void insert(BlockBackend& medium);
  /// Presses the eject button: takes the disc out. False while the guest has locked the door.
  bool eject();
  bool has_medium() const { return medium_ != nullptr && !tray_open_; }
  bool tray_open() const { return tray_open_; }
  bool locked() const { return locked_; }

  void serialize(StateArchive& archive) override;

 protected:
  void execute(u8 command) override;
  void window_done() override;
  void backend_done(BlockStatus status) override;
  void step() override;
  void reset_settings(bool hardware, ResetKind kind) override;
  u8 put_signature() override;
  bool is_device_reset(u8 command) const override;
  BlockBackend* backend() override { return has_medium() ? medium_ : nullptr; }

 private:
  enum class Action : u8 {
    None,
    ReceivePacket,  ///< the twelve bytes are awaited
    RunPacket,      ///< and have come
    Reply,          ///< the answer is in the buffer
    ReadBlocks,     ///< as Reply, with more blocks to come from the medium
    ReceiveList,    ///< MODE SELECT's parameter list is awaited
    SendIdentify
  };
  enum class MediaEvent : u8 { None = 0, EjectRequest = 1, NewMedia = 2, Removal = 3 };
  enum class Power : u8 { Active, Idle, Standby, Sleep };
  struct Sense {
    u8 key = 0, code = 0, qualifier = 0;
  };

  // --- Packet protocol (atapi_cdrom.cpp) ---
  void start_packet();
  void identify_packet();
  void set_features();
  void success();
  void check(Sense sense);
  void reply(u32 length, u32 allocation);
  void next_reply_block();
  void start_reading(u64 block, u32 count, u8 selection);
  void next_blocks();
  void expand_blocks();
  bool ready();
  u64 blocks() const;
  u32 packet_word(unsigned at) const { return u32{packet_[at]} << 8 | packet_[at + 1]; }
  u32 packet_long(unsigned at) const { return packet_word(at) << 16 | packet_word(at + 2); }
  u8* reply_buffer(u32 length);

  // --- Commands (atapi_commands.cpp) ---
  void run_packet();
  bool run_basic(u8 command);
  bool run_medium(u8 command);
  void request_sense();
  void inquiry();
  void read(u64 block, u32 count);
  void read_cd(u64 block, u32 count);
  void read_cd_msf();
  void read_capacity();
  void read_header();
  void read_subchannel();
  void seek();
  void start_stop_unit();
  void prevent_allow();
  void play_audio();

  // --- Descriptions of drive and disc (atapi_information.cpp) ---
  void mode_sense(u32 header, u32 allocation);
  void mode_select(u32 length);
  void check_mode_list();
  u32 mode_page(u8 page, u8 control, u8* out) const;
  u32 all_mode_pages(u8 page, u8 control, u8* out) const;
  u8 medium_type() const;
  void get_configuration();
  void get_event_status();
  void mechanism_status();
  void read_toc();
  void read_disc_information();
  void read_track_information();
  void read_dvd_structure();
  bool is_dvd() const;

  static constexpr Sense kNotReadyClosed{2, 0x3A, 0x01};
  static constexpr Sense kNotReadyOpen{2, 0x3A, 0x02};
  static constexpr Sense kReadError{3, 0x11, 0x00};
  static constexpr Sense kInvalidCommand{5, 0x20, 0x00};
  static constexpr Sense kOutOfRange{5, 0x21, 0x00};
  static constexpr Sense kInvalidField{5, 0x24, 0x00};
  static constexpr Sense kInvalidParameter{5, 0x26, 0x00};
  static constexpr Sense kListLength{5, 0x1A, 0x00};
  static constexpr Sense kSequence{5, 0x2C, 0x00};
  static constexpr Sense kIncompatible{5, 0x30, 0x02};
  static constexpr Sense kSavingUnsupported{5, 0x39, 0x00};
  static constexpr Sense kRemovalPrevented{5, 0x53, 0x02};
  static constexpr Sense kIllegalMode{5, 0x64, 0x00};
  static constexpr u32 kMostChunk = 32;  ///< blocks read at a time; fits the buffer even expanded
  static constexpr u8 kUserDataOnly = 0x10;

  BlockBackend* medium_;
  DriveIdentity identity_;
  TransferModes modes_;
  Power power_ = Power::Active;
  bool tray_open_ = false;
  bool locked_ = false;
  Sense sense_;
  u8 attention_ = 0;  // pending unit attention: its additional sense code, or 0
  MediaEvent event_ = MediaEvent::None;

  // The command in flight
  Action action_ = Action::None;
  bool dma_ = false;
  u32 byte_limit_ = 0;
  std::array<u8, 12> packet_{};
  u32 reply_length_ = 0;
  u32 reply_at_ = 0;
  u64 block_ = 0;
  u32 blocks_left_ = 0;
  u32 chunk_ = 0;
  u8 selection_ = 0;  // READ CD's main channel selection
};

}  // namespace ringshift::devices
