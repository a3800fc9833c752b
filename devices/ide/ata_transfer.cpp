// How an ATA disk moves data: sector by sector, block by block or by DMA, and TRIM.
#include <algorithm>
#include <utility>

#include "devices/ide/ata_disk.h"

namespace ringshift::devices {

// --- Transfers ----------------------------------------------------------------------------------

bool AtaDisk::has_dma_mode() const {
  return modes_.multiword != TransferModes::kNone || modes_.ultra != TransferModes::kNone;
}

void AtaDisk::start_transfer(Action action, Method method, Addressing addressing) {
  if ((method == Method::Multiple && multiple_ == 0) ||
      (method == Method::Dma && !has_dma_mode())) {
    fail(ata::kAborted);
    return;
  }
  power_ = Power::Active;
  const u64 first = addressed_sector(addressing);
  const u32 count = sector_count(addressing);
  if (first == kBadSector || first >= visible_sectors() || count > visible_sectors() - first) {
    fail(ata::kIdNotFound);
    return;
  }
  if (action == Action::Write && image_.read_only()) {
    fail(ata::kWriteProtected | ata::kAborted);
    return;
  }
  action_ = action;
  method_ = method;
  addressing_ = addressing;
  sector_ = first;
  remaining_ = count;
  next_chunk();
}

void AtaDisk::next_chunk() {
  constexpr u32 kMostSectors = kBufferSize / kSectorSize;
  block_at_ = 0;
  chunk_ = std::min(remaining_, kMostSectors);
  if (action_ != Action::Write) {
    read_backend(sector_ * kSectorSize, chunk_ * kSectorSize);
    return;
  }
  if (method_ == Method::Dma) {
    dma_from_memory(0, chunk_ * kSectorSize);
    return;
  }
  // A PIO write goes out block by block, so that an error stops it at the block it belongs to.
  chunk_ = std::min<u32>(remaining_, method_ == Method::Multiple ? multiple_ : 1);
  const bool first = sector_count(addressing_) == remaining_;
  pio_from_host(0, chunk_ * kSectorSize, first ? Announce::Silently : Announce::WithInterrupt,
                ata::kReady | ata::kSeekComplete);
}

void AtaDisk::present_block(Announce announce) {
  const u32 block = std::min<u32>(chunk_ - block_at_, method_ == Method::Multiple ? multiple_ : 1);
  const u32 begin = block_at_;
  block_at_ += block;
  pio_to_host(begin * kSectorSize, block_at_ * kSectorSize, announce,
              ata::kReady | ata::kSeekComplete);
}

void AtaDisk::chunk_done() {
  sector_ += chunk_;
  remaining_ -= std::min(chunk_, remaining_);
  chunk_ = 0;
  if (remaining_ == 0) {
    transfer_finished();
  } else {
    schedule_step();
  }
}

void AtaDisk::transfer_finished() {
  const Action finished = std::exchange(action_, Action::None);
  if (finished == Action::Write && (!write_cache_ || force_unit_access_)) {
    action_ = Action::Flush;
    flush_backend();
    return;
  }
  // The guest has taken the last block of a PIO read: there is nothing left to announce.
  const bool silent = finished == Action::Read && method_ != Method::Dma;
  complete(silent ? Announce::Silently : Announce::WithInterrupt);
}

void AtaDisk::transfer_failed() {
  put_sector(sector_, addressing_);
  current_.count = static_cast<u8>(remaining_);
  previous_.count = static_cast<u8>(remaining_ >> 8);
  const bool write = action_ == Action::Write;
  action_ = Action::None;
  fail(write ? ata::kAborted : ata::kUncorrectable);
}

void AtaDisk::window_done() {
  switch (action_) {
    case Action::Read:
      if (method_ != Method::Dma && block_at_ < chunk_) {
        schedule_step();
      } else {
        chunk_done();
      }
      break;
    case Action::Write:
      write_backend(sector_ * kSectorSize, chunk_ * kSectorSize);
      break;
    case Action::Trim:
      trim_at_ = 0;
      next_trim_range();
      break;
    case Action::ReceiveBuffer:
      std::copy_n(buffer().begin(), kSectorSize, sector_buffer_.begin());
      complete();
      break;
    case Action::SendBlock:
      complete(Announce::Silently);
      break;
    case Action::None:
    case Action::Verify:
    case Action::Flush:
      fail(ata::kAborted);
      break;
  }
}

void AtaDisk::backend_done(BlockStatus status) {
  switch (action_) {
    case Action::Read:
      if (status != BlockStatus::Done) {
        transfer_failed();
      } else if (method_ == Method::Dma) {
        dma_to_memory(0, chunk_ * kSectorSize);
      } else {
        present_block(Announce::WithInterrupt);
      }
      break;
    case Action::Write:
    case Action::Verify:
      status == BlockStatus::Done ? chunk_done() : transfer_failed();
      break;
    case Action::Trim:
      schedule_step();  // a hint that the host could not take is no error
      break;
    case Action::Flush:
      action_ = Action::None;
      status == BlockStatus::Done ? complete() : fail(ata::kAborted);
      break;
    case Action::None:
    case Action::SendBlock:
    case Action::ReceiveBuffer:
      fail(ata::kAborted);
      break;
  }
}

void AtaDisk::step() {
  if (action_ == Action::Trim) {
    next_trim_range();
  } else if (action_ == Action::Read && method_ != Method::Dma && block_at_ < chunk_) {
    present_block(Announce::WithInterrupt);
  } else if (remaining_ != 0) {
    next_chunk();
  } else {
    fail(ata::kAborted);
  }
}

void AtaDisk::send_block() {
  action_ = Action::SendBlock;
  pio_to_host(0, kSectorSize, Announce::WithInterrupt, ata::kReady | ata::kSeekComplete);
}

// --- DATA SET MANAGEMENT ------------------------------------------------------------------------

void AtaDisk::start_trim() {
  constexpr u8 kTrim = 0x01;
  const u32 blocks = current_.count | u32{previous_.count} << 8;
  if (current_.feature != kTrim || blocks == 0 || blocks > kMostTrimBlocks || !has_dma_mode()) {
    fail(ata::kAborted);
    return;
  }
  if (image_.read_only()) {
    fail(ata::kWriteProtected | ata::kAborted);
    return;
  }
  power_ = Power::Active;
  action_ = Action::Trim;
  remaining_ = blocks;
  dma_from_memory(0, blocks * kSectorSize);
}

void AtaDisk::next_trim_range() {
  const u32 length = remaining_ * kSectorSize;
  for (; trim_at_ + 8 <= length; trim_at_ += 8) {
    u64 entry = 0;
    for (unsigned i = 0; i < 8; ++i) entry |= u64{buffer()[trim_at_ + i]} << (8 * i);
    const u64 first = entry & 0xFFFF'FFFF'FFFF;
    const u64 count = entry >> 48;
    if (count == 0) continue;
    if (first >= visible_sectors() || count > visible_sectors() - first) {
      action_ = Action::None;
      fail(ata::kIdNotFound | ata::kAborted);
      return;
    }
    trim_at_ += 8;
    discard_backend(first * kSectorSize, count * kSectorSize);
    return;
  }
  action_ = Action::None;
  complete();
}

}  // namespace ringshift::devices
