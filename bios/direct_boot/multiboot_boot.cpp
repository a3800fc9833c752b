// Placing a Multiboot kernel, its modules and the information block (Multiboot Specification 0.6.96
// §3.3) in memory. The block's layout is shared with bios/boot_rom/multiboot.asm.

#include <array>

#include "bios/boot_rom/boot_rom.h"
#include "bios/direct_boot/multiboot_kernel.h"
#include "bios/little_endian.h"

namespace ringshift::bios {

namespace {

constexpr const char* kRomFile = "genroms/ringshift-multiboot.bin";
constexpr std::string_view kLoaderName = "Ringshift";

// The block: a scratch area and stack for the ROM with the GDT, then the information structure,
// then what it points to. All of it is addressed by one real-mode segment.
constexpr std::size_t kGdtPointer = 0x080, kGdt = 0x090, kInformation = 0x400;
constexpr std::size_t kInformationSize = 116;
constexpr std::size_t kMemoryMapRoom = 24 * 128;
constexpr std::size_t kMostBlock = 0x10000;
constexpr u64 kConventionalEnd = 0x9'0000;
constexpr std::array<u64, 3> kDescriptors = {
    0,
    0x00CF'9A00'0000'FFFF,  // flat 32-bit code
    0x00CF'9200'0000'FFFF   // flat data
};

// Fields of the information structure.
constexpr std::size_t kFlags = 0, kCommandLine = 16, kModuleCount = 20, kModules = 24,
                      kMapLength = 44, kMapAddress = 48, kBootLoaderName = 64,
                      kFramebufferAddress = 88, kFramebufferPitch = 96, kFramebufferWidth = 100,
                      kFramebufferHeight = 104, kFramebufferDepth = 108, kFramebufferType = 109;
constexpr u32 kHasMemory = 1 << 0, kHasCommandLine = 1 << 2, kHasModules = 1 << 3, kHasMap = 1 << 6,
              kHasLoaderName = 1 << 9, kHasFramebuffer = 1 << 12;
constexpr u8 kTextFramebuffer = 2;

u64 round_up(u64 value, u64 unit) {
  return (value + unit - 1) / unit * unit;
}

/// The block as it grows. Addresses in it are relative to its start until `place`.
class InformationBlock {
 public:
  InformationBlock() : bytes_(kInformation + kInformationSize) {}

  void set(std::size_t field, u64 value, unsigned size) {
    put_little_endian(bytes_, kInformation + field, value, size);
  }
  void set_flag(u32 flag) {
    flags_ |= flag;
    set(kFlags, flags_, 4);
  }
  /// Appends text with its zero; yields its offset.
  std::size_t append_string(std::string_view text) {
    const std::size_t offset = bytes_.size();
    append_text(bytes_, text);
    bytes_.push_back(0);
    return offset;
  }
  std::size_t append_room(std::size_t size, std::size_t alignment) {
    bytes_.resize(round_up(bytes_.size(), alignment));
    const std::size_t offset = bytes_.size();
    bytes_.resize(offset + size);
    return offset;
  }
  /// Makes the four bytes at `at` the address of `offset` in the block.
  void point(std::size_t at, std::size_t offset) {
    put_little_endian(bytes_, at, offset, 4);
    pointers_.push_back(at);
  }
  void point_field(std::size_t field, std::size_t offset) { point(kInformation + field, offset); }
  std::span<u8> bytes() { return bytes_; }

  std::vector<u8> place(u32 address) && {
    for (std::size_t at : pointers_)
      put_little_endian(bytes_, at, get_u32(bytes_, at) + address, 4);
    return std::move(bytes_);
  }

 private:
  std::vector<u8> bytes_;
  std::vector<std::size_t> pointers_;
  u32 flags_ = 0;
};

void add_descriptors(InformationBlock& block) {
  for (std::size_t i = 0; i < kDescriptors.size(); ++i) {
    put_little_endian(block.bytes(), kGdt + 8 * i, kDescriptors[i], 8);
  }
  put_little_endian(block.bytes(), kGdtPointer, 8 * kDescriptors.size() - 1, 2);
  block.point(kGdtPointer + 2, kGdt);
}

/// All modules as they will lie in memory, each on a page of its own.
struct Modules {
  u32 first = 0;
  std::vector<u8> memory;
};

Modules add_modules(InformationBlock& block, std::vector<BootFile>& files, u64 first) {
  Modules modules{.first = static_cast<u32>(first), .memory = {}};
  if (files.empty()) return modules;
  constexpr std::size_t kEntrySize = 16;
  const std::size_t list = block.append_room(kEntrySize * files.size(), 4);
  for (std::size_t i = 0; i < files.size(); ++i) {
    modules.memory.resize(round_up(modules.memory.size(), kPageSize));
    const u64 start = first + modules.memory.size();
    modules.memory.insert(modules.memory.end(), files[i].content.begin(), files[i].content.end());
    const std::size_t entry = list + kEntrySize * i;
    put_little_endian(block.bytes(), entry, start, 4);
    put_little_endian(block.bytes(), entry + 4, start + files[i].content.size(), 4);
    block.point(entry + 8, block.append_string(files[i].name));
  }
  block.set_flag(kHasModules);
  block.set(kModuleCount, files.size(), 4);
  block.point_field(kModules, list);
  return modules;
}

/// A kernel that asks for a video mode gets text mode 3, the one that every board has, and is told
/// so (§3.1.2: the fields are a wish).
void add_text_framebuffer(InformationBlock& block) {
  block.set_flag(kHasFramebuffer);
  block.set(kFramebufferAddress, 0xB8000, 8);
  block.set(kFramebufferPitch, 160, 4);
  block.set(kFramebufferWidth, 80, 4);
  block.set(kFramebufferHeight, 25, 4);
  block.set(kFramebufferDepth, 16, 1);
  block.set(kFramebufferType, kTextFramebuffer, 1);
}

/// Conventional memory for the block, clear of the kernel, of the firmware's data (below 800h) and
/// of the scratch area at 7C00h.
Result<u32> place_block(std::size_t size, const MultibootKernel& kernel, const std::string& name) {
  const u64 kernel_end = u64{kernel.first} + kernel.memory.size();
  for (u64 at = 0x1'0000; at + size <= kConventionalEnd; at += 0x1000) {
    if (at >= kernel_end || at + size <= kernel.first) return static_cast<u32>(at);
  }
  return Error{"kernel '" + name + "': leaves no conventional memory for the boot information"};
}

}  // namespace

Result<DirectBoot> prepare_multiboot_boot(KernelBoot boot) {
  const u64 memory_end = boot.memory.low() - std::min(boot.memory.low(), kFirmwareReserve);
  Result<MultibootKernel> kernel =
      parse_multiboot_kernel(boot.kernel.content, boot.kernel.name, memory_end);
  if (!kernel) return kernel.error();

  InformationBlock block;
  add_descriptors(block);
  block.set_flag(kHasMemory | kHasCommandLine | kHasMap | kHasLoaderName);
  const std::string command_line =
      boot.kernel.name + (boot.command_line.empty() ? "" : " " + boot.command_line);
  block.point_field(kCommandLine, block.append_string(command_line));
  block.point_field(kBootLoaderName, block.append_string(kLoaderName));
  const u64 kernel_end = u64{kernel->first} + kernel->memory.size();
  Modules modules =
      add_modules(block, boot.initrds, round_up(std::max<u64>(kernel_end, 0x10'0000), kPageSize));
  if (modules.first + modules.memory.size() > memory_end) {
    return Error{"modules don't fit: they need " + std::to_string(modules.memory.size()) +
                 " bytes behind the kernel, at " + std::to_string(modules.first)};
  }
  if ((kernel->requests & multiboot_request::kVideoMode) != 0) add_text_framebuffer(block);
  block.point_field(kMapAddress, block.append_room(kMemoryMapRoom, 4));
  block.set(kMapLength, kMemoryMapRoom, 4);  // until the ROM has filled it in
  const std::size_t size = block.bytes().size();
  if (size > kMostBlock) {
    return Error{"kernel '" + boot.kernel.name + "': command line and module names exceed 60 KiB"};
  }
  const Result<u32> address = place_block(size, *kernel, boot.kernel.name);
  if (!address) return address.error();

  DirectBoot result;
  FirmwareItems& items = result.items;
  items.add_number(fw_cfg_key::kKernelEntry, kernel->entry, 4);
  items.add_piece(fw_cfg_key::kSetupAddress, fw_cfg_key::kSetupSize, fw_cfg_key::kSetupData,
                  *address, std::move(block).place(*address));
  items.add_piece(fw_cfg_key::kKernelAddress, fw_cfg_key::kKernelSize, fw_cfg_key::kKernelData,
                  kernel->first, std::move(kernel->memory));
  items.add_piece(fw_cfg_key::kInitrdAddress, fw_cfg_key::kInitrdSize, fw_cfg_key::kInitrdData,
                  modules.first, std::move(modules.memory));
  items.add_file(kRomFile, finish_option_rom(multiboot_boot_rom()));
  result.boot_path = std::string("/rom@") + kRomFile;
  return result;
}

}  // namespace ringshift::bios
