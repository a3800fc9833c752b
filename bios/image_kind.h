// What an image file is, told from its content, so that a person can hand the program any image
// without saying what it is.
#pragma once

#include <span>
#include <string_view>

#include "cpu/types.h"

namespace ringshift::bios {

enum class ImageKind : u8 {
  CdRom,      ///< ISO 9660 (also hybrid images)
  Floppy,     ///< the exact size of a floppy format
  Linux,      ///< a bzImage or zImage
  Multiboot,  ///< a kernel with a Multiboot 1 header
  HardDisk,   ///< anything else
};

/// The first bytes of a file that `recognise_image` wants to see, if the file is so long.
inline constexpr std::size_t kImageHeadSize = 36 << 10;

/// `head`: the file's first `kImageHeadSize` bytes or all of it; `size`: that of the whole file.
ImageKind recognise_image(std::span<const u8> head, u64 size);

/// "CD image", "floppy image", "Linux kernel", "Multiboot kernel", "hard disk image".
std::string_view image_kind_name(ImageKind kind);

/// Whether `size` is that of a floppy format, 160 KB to 2.88 MB.
bool is_floppy_size(u64 size);

}  // namespace ringshift::bios
