#include "devices/vga/vga_adapter.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "devices/vga/edid.h"

namespace ringshift::devices {

namespace {

constexpr u8 kIoEnable = 0x01;
constexpr u8 kMemoryEnable = 0x02;

// BAR 2.
constexpr u64 kVgaAt = 0x400;  // ports 3C0h-3DFh
constexpr u64 kVgaCount = 0x20;
constexpr u64 kDispiAt = 0x500;  // dispi registers, 16 bits each
constexpr u64 kDispiEnd = kDispiAt + 2 * VbeDispi::kRegisterCount;
constexpr u64 kExtensionAt = 0x600;  // its own size, then the frame buffer's byte order
constexpr u64 kByteOrderAt = 0x604;
constexpr u64 kExtensionEnd = 0x608;
constexpr u32 kLittleEndian = 0x1E1E1E1E;
constexpr u32 kBigEndian = 0xBEBEBEBE;

constexpr PciIdentity kIdentity = {
    .vendor = 0x1234,
    .device = 0x1111,
    .revision = 2,  // with the byte order register
    .class_code = 0x03,
    .subclass = 0x00,
    .programming_interface = 0x00,
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
};

}  // namespace

VgaAdapter::VgaAdapter(EventClock& clock, PciAddressSpaces spaces,
                       const mmu::MemoryBlock& video_memory, const mmu::MemoryBlock& rom)
    : PciFunction(kIdentity, spaces),
      video_memory_(video_memory),
      registers_(clock),
      vbe_(video_memory.size),
      memory_(registers_, vbe_, video_memory.bytes()),
      renderer_(registers_, vbe_, video_memory.bytes()),
      edid_(make_edid()) {
  add_memory_bar(0, "vga frame buffer", video_memory);
  add_mmio_bar(2, kRegisterBarSize, "vga registers", register_bar_, {1, 4});
  if (rom.size != 0) set_expansion_rom("vga rom", rom);
  vbe_.on_clear([this](u64 bytes) {
    std::memset(video_memory_.host, 0, std::min(bytes, video_memory_.size));
  });
}

void VgaAdapter::reset(ResetKind kind) {
  PciFunction::reset(kind);
  registers_.reset();
  vbe_.reset();
  memory_.reset();
  renderer_.set_byte_order(ByteOrder::Little);
  dispi_index_ = 0;
}

void VgaAdapter::serialize(StateArchive& archive) {
  PciFunction::serialize(archive);
  archive.section("vga", 1);
  registers_.serialize(archive);
  vbe_.serialize(archive);
  memory_.serialize(archive);
  archive.field("dispi_index", dispi_index_);
  ByteOrder order = renderer_.byte_order();
  archive.field("byte_order", order);
  renderer_.set_byte_order(order == ByteOrder::Big ? ByteOrder::Big : ByteOrder::Little);
  serialize_video_memory(archive);
}

/// Saves video memory up to the last byte that isn't zero: most of it has never been used.
void VgaAdapter::serialize_video_memory(StateArchive& archive) {
  const std::span<u8> memory = video_memory_.bytes();
  std::vector<u8> used;
  if (archive.saving()) {
    const auto last =
        std::find_if(memory.rbegin(), memory.rend(), [](u8 byte) { return byte != 0; });
    used.assign(memory.begin(), last.base());
  }
  archive.field("video_memory", used, memory.size());
  if (!archive.restoring() || used.size() > memory.size()) return;
  std::copy(used.begin(), used.end(), memory.begin());
  std::fill(memory.begin() + static_cast<std::ptrdiff_t>(used.size()), memory.end(), u8{0});
}

// --- Ports ---------------------------------------------------------------------------------------

u8 VgaAdapter::read_port(u16 port) {
  return command_bit(kIoEnable) ? registers_.read(port) : 0xFF;
}

void VgaAdapter::write_port(u16 port, u8 value) {
  if (command_bit(kIoEnable)) registers_.write(port, value);
}

u64 VgaAdapter::read_dispi(u64 offset, unsigned size) {
  if (!command_bit(kIoEnable)) return size == 1 ? 0xFF : 0xFFFF;
  const u16 value = offset == 0 ? dispi_index_ : offset <= 2 ? vbe_.read(dispi_index_) : 0xFFFF;
  return size == 1 ? value & 0xFF : value;
}

void VgaAdapter::write_dispi(u64 offset, u64 value, unsigned) {
  if (!command_bit(kIoEnable)) return;
  if (offset == 0) {
    dispi_index_ = static_cast<u16>(value);
  } else if (offset <= 2) {
    write_dispi_register(dispi_index_, static_cast<u16>(value));
  }
}

void VgaAdapter::write_dispi_register(u16 index, u16 value) {
  vbe_.write(index, value);
  registers_.dac_8bit = vbe_.dac_8bit();
}

// --- Memory --------------------------------------------------------------------------------------

u64 VgaAdapter::read_window(u64 offset, unsigned size) {
  return command_bit(kMemoryEnable) ? memory_.io_read(offset, size) : ~u64{0};
}

void VgaAdapter::write_window(u64 offset, u64 value, unsigned size) {
  if (command_bit(kMemoryEnable)) memory_.io_write(offset, value, size);
}

u8 VgaAdapter::read_bar_byte(u64 offset) {
  if (offset < kVgaAt) return offset < edid_.size() ? edid_[offset] : 0;
  if (offset < kVgaAt + kVgaCount)
    return registers_.read(static_cast<u16>(0x3C0 + offset - kVgaAt));
  if (offset >= kDispiAt && offset < kDispiEnd) {
    const u16 value = vbe_.read(static_cast<u16>((offset - kDispiAt) / 2));
    return static_cast<u8>(value >> (8 * (offset & 1)));
  }
  if (offset >= kExtensionAt && offset < kExtensionEnd) {
    const u32 order = renderer_.byte_order() == ByteOrder::Little ? kLittleEndian : kBigEndian;
    const u32 value = offset < kByteOrderAt ? kExtensionEnd - kExtensionAt : order;
    return static_cast<u8>(value >> (8 * (offset & 3)));
  }
  return 0xFF;
}

u64 VgaAdapter::read_bar(u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u64{read_bar_byte(offset + i)} << (8 * i);
  return value;
}

void VgaAdapter::write_bar(u64 offset, u64 value, unsigned size) {
  if (offset >= kVgaAt && offset + size <= kVgaAt + kVgaCount) {
    for (unsigned i = 0; i < size; ++i) {
      registers_.write(static_cast<u16>(0x3C0 + offset - kVgaAt + i),
                       static_cast<u8>(value >> (8 * i)));
    }
  } else if (offset >= kDispiAt && offset < kDispiEnd && (offset & 1) == 0) {
    for (unsigned i = 0; i < size; i += 2) {
      write_dispi_register(static_cast<u16>((offset + i - kDispiAt) / 2),
                           static_cast<u16>(value >> (8 * i)));
    }
  } else if (offset == kByteOrderAt && size == 4) {
    if (value == kLittleEndian) renderer_.set_byte_order(ByteOrder::Little);
    if (value == kBigEndian) renderer_.set_byte_order(ByteOrder::Big);
  }
}

}  // namespace ringshift::devices
