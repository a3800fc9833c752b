#include "devices/firmware/fw_cfg.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace ringshift::devices {

namespace {

// The selector: bit 15 picks the architecture's own items, bit 14 once asked for write mode.
constexpr u16 kWriteModeBit = 0x4000;

// Control word of a DMA command.
constexpr u32 kDmaError = 1U << 0;
constexpr u32 kDmaRead = 1U << 1;
constexpr u32 kDmaSkip = 1U << 2;
constexpr u32 kDmaSelect = 1U << 3;
constexpr u32 kDmaWrite = 1U << 4;

constexpr u32 kIdTraditional = 1U << 0;
constexpr u32 kIdDma = 1U << 1;

constexpr std::string_view kSignature = "QEMU";
constexpr std::string_view kDmaSignature = "QEMU CFG";
constexpr std::size_t kFileNameSize = 56;
constexpr u16 kLastFile = 0x3FFF;

// Reading past the end of an item yields zeros. More of them than this in one command can only be a
// mistake, and filling gigabytes would hold up the processor: such a command fails.
constexpr u64 kMostPadding = 16U << 20;

constexpr std::size_t kChunk = 64U << 10;

void put_big_endian(std::vector<u8>& out, u64 value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<u8>(value >> (8 * i)));
}

u64 get_big_endian(std::span<const u8> bytes) {
  u64 value = 0;
  for (u8 byte : bytes) value = value << 8 | byte;
  return value;
}

u32 swap_bytes(u32 value) {
  return __builtin_bswap32(value);
}

std::vector<u8> to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

[[noreturn]] void broken(std::string_view what) {
  std::fprintf(stderr, "fw_cfg: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace

FwCfg::FwCfg(mmu::MemoryMap& memory) : memory_(memory) {
  items_[kKeySignature].content = to_bytes(kSignature);
  std::vector<u8> id(4);
  id[0] = kIdTraditional | kIdDma;
  items_[kKeyId].content = std::move(id);
  rebuild_directory();
}

void FwCfg::set_item(u16 key, std::vector<u8> content) {
  const bool ours = key == kKeySignature || key == kKeyId || key == kKeyFileDirectory ||
                    (key >= kKeyFirstFile && key <= kLastFile) || (key & kWriteModeBit) != 0;
  if (ours) broken("an item was given a key that isn't free");
  items_[key] = Item{.content = std::move(content), .initial = {}, .written = {}};
}

void FwCfg::set_file(std::string_view name, std::vector<u8> content) {
  add_file(name, Item{.content = std::move(content), .initial = {}, .written = {}});
}

void FwCfg::set_writable_file(std::string_view name, std::vector<u8> content,
                              WriteCallback written) {
  Item item{.content = content, .initial = {}, .writable = true, .written = std::move(written)};
  item.initial = std::move(content);
  add_file(name, std::move(item));
}

void FwCfg::add_file(std::string_view name, Item item) {
  if (name.empty() || name.size() >= kFileNameSize) broken("a file name is empty or too long");
  if (item.content.size() > std::numeric_limits<u32>::max()) broken("a file exceeds 4 GiB");
  const auto known = files_.find(name);
  const u16 key =
      known != files_.end() ? known->second : static_cast<u16>(kKeyFirstFile + files_.size());
  if (key > kLastFile) broken("there are too many files");
  files_.insert_or_assign(std::string(name), key);
  items_[key] = std::move(item);
  rebuild_directory();
}

const std::vector<u8>* FwCfg::file(std::string_view name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &items_.at(found->second).content;
}

// A count, then for each file its size, key, two reserved bytes and its name; all big endian.
void FwCfg::rebuild_directory() {
  std::vector<u8> directory;
  put_big_endian(directory, files_.size(), 4);
  for (const auto& [name, key] : files_) {
    put_big_endian(directory, items_.at(key).content.size(), 4);
    put_big_endian(directory, key, 2);
    put_big_endian(directory, 0, 2);
    directory.insert(directory.end(), name.begin(), name.end());
    directory.resize(directory.size() + kFileNameSize - name.size());
  }
  items_[kKeyFileDirectory].content = std::move(directory);
}

void FwCfg::reset(ResetKind kind) {
  select(kKeySignature);
  dma_address_ = 0;
  if (kind != ResetKind::PowerOn) return;
  for (auto& [key, item] : items_) {
    if (item.writable) item.content = item.initial;
  }
}

void FwCfg::serialize(StateArchive& archive) {
  archive.section(name(), 1);
  archive.field("selector", selector_);
  archive.field("offset", offset_);
  archive.field("dma_address", dma_address_);
  for (auto& [key, item] : items_) {
    if (item.writable) archive.field("content", std::span(item.content));
  }
}

void FwCfg::select(u16 key) {
  selector_ = key & static_cast<u16>(~kWriteModeBit);
  offset_ = 0;
}

FwCfg::Item* FwCfg::selected_item() {
  const auto found = items_.find(selector_);
  return found == items_.end() ? nullptr : &found->second;
}

u8 FwCfg::next_byte() {
  const Item* item = selected_item();
  if (item == nullptr || offset_ >= item->content.size()) return 0;
  return item->content[offset_++];
}

u64 FwCfg::port_read(u64 offset, unsigned size) {
  if (offset == 0) return ~u64{0} >> (64 - 8 * size);  // The selector can't be read back.
  return next_byte();
}

void FwCfg::port_write(u64 offset, u64 value, unsigned size) {
  // The selector takes 16 bits at once. The data port is read-only: writing goes through DMA.
  if (offset == 0 && size == 2) select(static_cast<u16>(value));
}

u64 FwCfg::dma_read(u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size && offset + i < kDmaSignature.size(); ++i) {
    value |= static_cast<u64>(static_cast<u8>(kDmaSignature[offset + i])) << (8 * i);
  }
  return value;
}

// The register is big endian: the upper half of the address at offset 0, the lower half at 4, which
// starts the command.
void FwCfg::dma_write(u64 offset, u64 value, unsigned size) {
  if (size != 4) return;
  const u32 half = swap_bytes(static_cast<u32>(value));
  if (offset == 0) {
    dma_address_ = static_cast<u64>(half) << 32;
  } else if (offset == 4) {
    const u64 address = dma_address_ | half;
    dma_address_ = 0;
    run_dma(address);
  }
}

void FwCfg::run_dma(u64 address) {
  std::array<u8, 16> bytes{};
  if (address > std::numeric_limits<u64>::max() - bytes.size()) return;
  memory_.read(PhysicalAddress{address}, bytes);
  const std::span<const u8> view(bytes);
  const DmaCommand command{.control = static_cast<u32>(get_big_endian(view.subspan(0, 4))),
                           .length = static_cast<u32>(get_big_endian(view.subspan(4, 4))),
                           .address = get_big_endian(view.subspan(8, 8))};
  if ((command.control & kDmaSelect) != 0) select(static_cast<u16>(command.control >> 16));
  const u32 status = transfer(command) == DmaOutcome::Error ? swap_bytes(kDmaError) : 0;
  memory_.write_value(PhysicalAddress{address}, status, 4);
}

FwCfg::DmaOutcome FwCfg::transfer(const DmaCommand& command) {
  if (command.address > std::numeric_limits<u64>::max() - command.length) return DmaOutcome::Error;
  if ((command.control & kDmaRead) != 0) return transfer_to_guest(command);
  if ((command.control & kDmaWrite) != 0) return transfer_from_guest(command);
  if ((command.control & kDmaSkip) != 0) {
    const Item* item = selected_item();
    const u64 size = item == nullptr ? 0 : item->content.size();
    offset_ = static_cast<u32>(
        std::min<u64>(u64{offset_} + command.length, std::max<u64>(size, offset_)));
  }
  return DmaOutcome::Done;
}

FwCfg::DmaOutcome FwCfg::transfer_to_guest(const DmaCommand& command) {
  const Item* item = selected_item();
  const u64 size = item == nullptr ? 0 : item->content.size();
  const u64 available = size > offset_ ? size - offset_ : 0;
  const u64 copied = std::min<u64>(available, command.length);
  u64 padding = command.length - copied;
  if (padding > kMostPadding) return DmaOutcome::Error;
  if (copied != 0) {
    memory_.write(PhysicalAddress{command.address},
                  std::span(item->content).subspan(offset_, copied));
    offset_ += static_cast<u32>(copied);
  }
  static constexpr std::array<u8, kChunk> kZeros{};
  PhysicalAddress address{command.address + copied};
  while (padding != 0) {
    const u64 part = std::min<u64>(padding, kChunk);
    memory_.write(address, std::span(kZeros).first(part));
    address = address + part;
    padding -= part;
  }
  return DmaOutcome::Done;
}

FwCfg::DmaOutcome FwCfg::transfer_from_guest(const DmaCommand& command) {
  Item* item = selected_item();
  if (item == nullptr || !item->writable) return DmaOutcome::Error;
  const u64 size = item->content.size();
  if (offset_ > size || command.length > size - offset_) return DmaOutcome::Error;
  const u32 start = offset_;
  memory_.read(PhysicalAddress{command.address},
               std::span(item->content).subspan(start, command.length));
  offset_ += command.length;
  if (item->written) item->written(item->content, start, command.length);
  return DmaOutcome::Done;
}

}  // namespace ringshift::devices
