#include "bios/direct_boot/multiboot_kernel.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "bios/little_endian.h"

namespace ringshift::bios {

namespace {

constexpr u32 kHeaderMagic = 0x1BADB002;
constexpr std::size_t kSearchLimit = 8192;
constexpr std::size_t kHeaderSize = 12, kHeaderWithAddresses = 32;

// The ISA hole and what the firmware keeps below it; RAM for a kernel lies before and after.
constexpr u64 kConventionalEnd = 0x9'F000;
constexpr u64 kExtendedFirst = 0x10'0000;

// ELF (System V ABI, i386 supplement).
constexpr u8 kClass32 = 1, kClass64 = 2, kLittleEndian = 1;
constexpr u16 kMachine386 = 3;
constexpr u32 kLoadSegment = 1;
constexpr std::size_t kElfHeaderSize = 52, kProgramHeaderSize = 32;

Error kernel_error(const std::string& name, const std::string& why) {
  return Error{"kernel '" + name + "': " + why};
}

std::optional<std::size_t> find_header(std::span<const u8> image) {
  const std::size_t limit = std::min(image.size(), kSearchLimit);
  for (std::size_t at = 0; at + kHeaderSize <= limit; at += 4) {
    if (get_u32(image, at) != kHeaderMagic) continue;
    if (kHeaderMagic + get_u32(image, at + 4) + get_u32(image, at + 8) == 0) return at;
  }
  return std::nullopt;
}

/// Part of the file that is loaded at `address` and followed there by zeros.
struct Segment {
  u64 address = 0;
  u64 memory_size = 0;
  u64 file_offset = 0;
  u64 file_size = 0;
};

Result<void> check_segment(const Segment& segment, std::span<const u8> image,
                           const std::string& name, u64 memory_end) {
  if (segment.file_offset > image.size() ||
      segment.file_size > image.size() - segment.file_offset) {
    return kernel_error(name, "is truncated: a part of the program lies beyond its end");
  }
  if (segment.file_size > segment.memory_size) return kernel_error(name, "its header is damaged");
  const u64 end = segment.address + segment.memory_size;
  const bool conventional = end <= kConventionalEnd;
  const bool extended = segment.address >= kExtendedFirst && end <= memory_end;
  if (conventional || extended) return {};
  return kernel_error(name, "wants to be loaded where the machine has no free memory");
}

Result<MultibootKernel> lay_out(const std::vector<Segment>& segments, std::span<const u8> image,
                                const std::string& name, u64 memory_end) {
  u64 first = ~u64{0}, last = 0;
  for (const Segment& segment : segments) {
    if (Result<void> good = check_segment(segment, image, name, memory_end); !good)
      return good.error();
    first = std::min(first, segment.address);
    last = std::max(last, segment.address + segment.memory_size);
  }
  if (last <= first) return kernel_error(name, "contains no program");
  if (first < kConventionalEnd && last > kConventionalEnd) {
    return kernel_error(name, "lies on both sides of the hole at 640 KiB");
  }
  MultibootKernel kernel;
  kernel.first = static_cast<u32>(first);
  kernel.memory.resize(last - first);
  for (const Segment& segment : segments) {
    const auto part = image.subspan(segment.file_offset, segment.file_size);
    std::copy(part.begin(), part.end(),
              kernel.memory.begin() + static_cast<std::ptrdiff_t>(segment.address - first));
  }
  return kernel;
}

/// §3.1.3: the header says where it is itself, and so where all else is.
Result<MultibootKernel> parse_address_fields(std::span<const u8> image, std::size_t header,
                                             const std::string& name, u64 memory_end) {
  if (header + kHeaderWithAddresses > image.size()) {
    return kernel_error(name, "is truncated: its Multiboot header is not complete");
  }
  const u64 header_address = get_u32(image, header + 12), load = get_u32(image, header + 16),
            load_end = get_u32(image, header + 20), bss_end = get_u32(image, header + 24);
  if (load > header_address || header_address - load > header) {
    return kernel_error(name, "the addresses in its Multiboot header contradict each other");
  }
  Segment segment;
  segment.address = load;
  segment.file_offset = header - (header_address - load);
  segment.file_size = image.size() - segment.file_offset;
  if (load_end != 0) {
    if (load_end < header_address) {
      return kernel_error(name, "the addresses in its Multiboot header contradict each other");
    }
    segment.file_size = load_end - load;
  }
  segment.memory_size = segment.file_size;
  if (bss_end != 0) {
    if (bss_end < load + segment.file_size) {
      return kernel_error(name, "the addresses in its Multiboot header contradict each other");
    }
    segment.memory_size = bss_end - load;
  }
  Result<MultibootKernel> kernel = lay_out({segment}, image, name, memory_end);
  if (kernel) kernel->entry = get_u32(image, header + 28);
  return kernel;
}

Result<MultibootKernel> parse_elf(std::span<const u8> image, const std::string& name,
                                  u64 memory_end) {
  if (image.size() < kElfHeaderSize || std::memcmp(image.data(),
                                                   "\x7F"
                                                   "ELF",
                                                   4) != 0) {
    return kernel_error(name, "has a Multiboot header but is neither ELF nor gives load addresses");
  }
  if (image[4] == kClass64) {
    return kernel_error(name, "is a 64-bit ELF file; Multiboot starts 32-bit programs");
  }
  if (image[4] != kClass32 || image[5] != kLittleEndian || get_u16(image, 18) != kMachine386) {
    return kernel_error(name, "is an ELF file for another processor");
  }
  const u64 table = get_u32(image, 28);
  const unsigned entry_size = get_u16(image, 42), count = get_u16(image, 44);
  if (entry_size < kProgramHeaderSize || table > image.size() ||
      u64{entry_size} * count > image.size() - table) {
    return kernel_error(name, "is truncated: its program headers lie beyond its end");
  }
  u32 entry = get_u32(image, 24);
  const u32 stated_entry = entry;
  std::vector<Segment> segments;
  for (unsigned i = 0; i < count; ++i) {
    const std::span<const u8> header = image.subspan(table + u64{entry_size} * i);
    if (get_u32(header, 0) != kLoadSegment) continue;
    const Segment segment{.address = get_u32(header, 12),
                          .memory_size = get_u32(header, 20),
                          .file_offset = get_u32(header, 4),
                          .file_size = get_u32(header, 16)};
    if (segment.memory_size == 0) continue;
    // The entry point is a virtual address where the program has other ones than physical.
    const u32 virtual_first = get_u32(header, 8);
    if (stated_entry >= virtual_first && stated_entry - virtual_first < segment.memory_size) {
      entry = static_cast<u32>(stated_entry - virtual_first + segment.address);
    }
    segments.push_back(segment);
  }
  Result<MultibootKernel> kernel = lay_out(segments, image, name, memory_end);
  if (kernel) kernel->entry = entry;
  return kernel;
}

}  // namespace

bool looks_like_multiboot(std::span<const u8> head) {
  return find_header(head).has_value();
}

Result<MultibootKernel> parse_multiboot_kernel(std::span<const u8> image, const std::string& name,
                                               u64 memory_end) {
  const std::optional<std::size_t> header = find_header(image);
  if (!header) return kernel_error(name, "has no Multiboot header");
  const u32 requests = get_u32(image, *header + 4);
  if ((requests & multiboot_request::kUnknownDemands) != 0) {
    return kernel_error(name, "demands Multiboot features that don't exist in version 1");
  }
  Result<MultibootKernel> kernel = (requests & multiboot_request::kAddressFields) != 0
                                       ? parse_address_fields(image, *header, name, memory_end)
                                       : parse_elf(image, name, memory_end);
  if (!kernel) return kernel;
  kernel->requests = requests;
  if (kernel->entry < kernel->first || kernel->entry - kernel->first >= kernel->memory.size()) {
    return kernel_error(name, "its entry point lies outside of the program");
  }
  return kernel;
}

}  // namespace ringshift::bios
