#include "bios/image_kind.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "bios/direct_boot/linux_kernel.h"
#include "bios/direct_boot/multiboot_kernel.h"

namespace ringshift::bios {

namespace {

// ECMA-119 §6.2.1, 8.1: volume descriptors begin at sector 16 and carry "CD001" after their type.
constexpr std::size_t kVolumeDescriptor = 16 * 2048;
constexpr std::size_t kBootSignature = 510;

bool has_boot_signature(std::span<const u8> head) {
  return head.size() >= kBootSignature + 2 && head[kBootSignature] == 0x55 &&
         head[kBootSignature + 1] == 0xAA;
}

bool is_iso9660(std::span<const u8> head) {
  return head.size() >= kVolumeDescriptor + 6 &&
         std::memcmp(head.data() + kVolumeDescriptor + 1, "CD001", 5) == 0;
}

}  // namespace

bool is_floppy_size(u64 size) {
  constexpr std::array<u64, 11> kKibibytes = {160,  180,  320,  360,  720, 1200,
                                              1440, 1680, 1722, 1743, 2880};
  return size % 1024 == 0 &&
         std::find(kKibibytes.begin(), kKibibytes.end(), size / 1024) != kKibibytes.end();
}

ImageKind recognise_image(std::span<const u8> head, u64 size) {
  if (is_iso9660(head)) return ImageKind::CdRom;
  if (looks_like_linux(head)) return ImageKind::Linux;
  if (is_floppy_size(size)) return ImageKind::Floppy;
  // A boot loader on a disk may itself be a Multiboot program, in the sectors behind the boot
  // sector.
  if (!has_boot_signature(head) && looks_like_multiboot(head)) return ImageKind::Multiboot;
  return ImageKind::HardDisk;
}

std::string_view image_kind_name(ImageKind kind) {
  switch (kind) {
    case ImageKind::CdRom:
      return "CD image";
    case ImageKind::Floppy:
      return "floppy image";
    case ImageKind::Linux:
      return "Linux kernel";
    case ImageKind::Multiboot:
      return "Multiboot kernel";
    case ImageKind::HardDisk:
      break;
  }
  return "hard disk image";
}

}  // namespace ringshift::bios
