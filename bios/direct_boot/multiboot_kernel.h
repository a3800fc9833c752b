// Reading Multiboot 1 kernels: the header within the first 8 KiB, and the program either as ELF or
// by the header's own address fields. Source: Multiboot Specification 0.6.96.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bios/direct_boot/direct_boot.h"
#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::bios {

/// Bits of the header's flags: what the kernel demands of a boot loader.
namespace multiboot_request {
inline constexpr u32 kPageAlignedModules = 1 << 0;
inline constexpr u32 kMemoryInformation = 1 << 1;
inline constexpr u32 kVideoMode = 1 << 2;
inline constexpr u32 kUnknownDemands = 0xFFF8;
inline constexpr u32 kAddressFields = 1 << 16;
}  // namespace multiboot_request

struct MultibootKernel {
  u32 requests = 0;
  u32 first = 0;           ///< physical address of the program
  std::vector<u8> memory;  ///< what lies from there, zeroed parts included
  u32 entry = 0;
};

/// Whether the bytes contain a Multiboot header.
bool looks_like_multiboot(std::span<const u8> head);

/// Checks the image and lays its program out. It must fit below `memory_end`.
Result<MultibootKernel> parse_multiboot_kernel(std::span<const u8> image, const std::string& name,
                                               u64 memory_end);

Result<DirectBoot> prepare_multiboot_boot(KernelBoot boot);

}  // namespace ringshift::bios
