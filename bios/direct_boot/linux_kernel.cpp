#include "bios/direct_boot/linux_kernel.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "bios/boot_rom/boot_rom.h"
#include "bios/little_endian.h"

namespace ringshift::bios {

using namespace linux_header;

namespace {

constexpr u16 kOldestVersion = 0x0202;  // before it, the command line was passed differently
constexpr u8 kLoadedHigh = 1 << 0, kCanUseHeap = 1 << 7;
constexpr u16 kHas64BitEntry = 1 << 0;
constexpr u8 kUnknownLoader = 0xFF;
constexpr std::size_t kSector = 512;

// Where the parts go: the classic places (boot.rst, "Memory layout"), which every kernel knows.
struct Placement {
  u32 setup;
  u32 command_line;
  u32 kernel;
};
constexpr Placement kHigh = {0x10000, 0x20000, 0x100000};
constexpr Placement kLow = {0x90000, 0x9A000, 0x10000};
constexpr u64 kLowKernelEnd = 0x90000;
constexpr u64 kLargestSetup = 0x8000;        // the real-mode code's limit
constexpr u64 kLongestCommandLine = 0xFFFF;  // our area for it
constexpr u64 kLongestLowCommandLine = 0x7FF;

constexpr const char* kRomFile = "genroms/ringshift-linux.bin";

std::string mebibytes(u64 bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

Error kernel_error(const std::string& name, const std::string& why) {
  return Error{"kernel '" + name + "': " + why};
}

std::string version_text(u16 version) {
  const std::string minor = std::to_string(version & 0xFF);
  return std::to_string(version >> 8) + "." + (minor.size() < 2 ? "0" + minor : minor);
}

/// The `vga=` option, which the boot loader must translate (boot.rst, "Special Command Line
/// Options").
std::optional<u16> video_mode(const std::string& command_line) {
  const std::size_t at = (" " + command_line).find(" vga=");
  if (at == std::string::npos) return std::nullopt;
  const std::string value = command_line.substr(at + 4, command_line.find(' ', at) - at - 4);
  if (value == "normal") return 0xFFFF;
  if (value == "ext") return 0xFFFE;
  if (value == "ask") return 0xFFFD;
  char* end = nullptr;
  const unsigned long number = std::strtoul(value.c_str(), &end, 0);
  if (value.empty() || *end != '\0' || number > 0xFFFF) return std::nullopt;
  return static_cast<u16>(number);
}

/// The `mem=` option, which limits where a RAM disk may go; all ones if there is none.
u64 memory_limit(const std::string& command_line) {
  const std::size_t at = (" " + command_line).find(" mem=");
  if (at == std::string::npos) return ~u64{0};
  char* end = nullptr;
  const u64 number = std::strtoull(command_line.c_str() + at + 4, &end, 0);
  if (number == 0 || number > u64{1} << 40) return ~u64{0};
  switch (*end) {
    case 'G':
    case 'g':
      return number << 30;
    case 'M':
    case 'm':
      return number << 20;
    case 'K':
    case 'k':
      return number << 10;
    default:
      return number;
  }
}

Result<void> check_size(std::span<const u8> image, const LinuxKernel& kernel,
                        const std::string& name) {
  u64 wanted = kernel.setup_size + 1;
  // Since 2.04 the header tells the kernel's length, in 16-byte units rounded up.
  if (kernel.version >= 0x0204) {
    const u64 units = get_u32(image, kSystemSize);
    wanted = std::max(wanted, kernel.setup_size + (units == 0 ? 0 : units * 16 - 15));
  }
  if (image.size() >= wanted) return {};
  return kernel_error(name, "is truncated: it has " + std::to_string(image.size()) +
                                " bytes of at least " + std::to_string(wanted));
}

void read_run_area(std::span<const u8> image, LinuxKernel& kernel) {
  const u64 load = kernel.loaded_high ? kHigh.kernel : kLow.kernel;
  kernel.run_address = load;
  kernel.run_size = image.size() - kernel.setup_size;
  if (kernel.version < 0x020A) return;
  const u64 preferred = get_u64(image, kPreferredAddress);
  const u64 alignment = get_u32(image, kKernelAlignment);
  u64 start = preferred;
  if (get_u8(image, kRelocatable) != 0 && alignment != 0) {
    start = std::max((load + alignment - 1) / alignment * alignment, preferred);
  }
  kernel.run_address = start;
  kernel.run_size = get_u32(image, kInitSize);
}

}  // namespace

bool looks_like_linux(std::span<const u8> head) {
  return head.size() >= kVersion + 2 && get_u16(head, kBootFlag) == 0xAA55 &&
         std::memcmp(head.data() + kSignature, "HdrS", 4) == 0;
}

Result<LinuxKernel> parse_linux_kernel(std::span<const u8> image, const std::string& name,
                                       LongMode long_mode) {
  if (!looks_like_linux(image)) return kernel_error(name, "is not a Linux kernel image");
  if (image.size() < kEnd) return kernel_error(name, "is truncated: its header is not complete");
  LinuxKernel kernel;
  kernel.version = get_u16(image, kVersion);
  if (kernel.version < kOldestVersion) {
    return kernel_error(name, "boot protocol " + version_text(kernel.version) +
                                  " is too old; 2.02 or later is needed");
  }
  const unsigned sectors = get_u8(image, kSetupSectors);
  kernel.setup_size = (1 + (sectors == 0 ? 4 : sectors)) * kSector;
  if (Result<void> size = check_size(image, kernel, name); !size) return size.error();
  if (kernel.setup_size > kLargestSetup) {
    return kernel_error(name, "its setup code exceeds 32 KiB; the header is damaged");
  }
  kernel.loaded_high = (get_u8(image, kLoadFlags) & kLoadedHigh) != 0;
  if (kernel.version >= 0x020C && (get_u16(image, kExtendedLoadFlags) & kHas64BitEntry) != 0 &&
      long_mode == LongMode::Absent) {
    return kernel_error(name, "is a 64-bit kernel, and this machine's processor is a 32-bit one");
  }
  kernel.initrd_address_max =
      kernel.version >= 0x0203 ? get_u32(image, kInitrdAddressMax) : 0x37FF'FFFF;
  const u64 stated = kernel.version >= 0x0206 ? get_u32(image, kCommandLineSize) : 255;
  kernel.command_line_max =
      std::min(stated, kernel.loaded_high ? kLongestCommandLine : kLongestLowCommandLine);
  read_run_area(image, kernel);
  return kernel;
}

namespace {

Result<void> check_fit(const LinuxKernel& kernel, const KernelBoot& boot, u64 payload) {
  const u64 end = (kernel.loaded_high ? kHigh.kernel : kLow.kernel) + payload;
  const u64 run_end = std::max(end, kernel.run_address + kernel.run_size);
  if (!kernel.loaded_high && end > kLowKernelEnd) {
    return kernel_error(boot.kernel.name, "is too long for a zImage, 512 KiB at most");
  }
  if (run_end < kernel.run_address || run_end > boot.memory.low()) {
    return kernel_error(boot.kernel.name, "needs " + mebibytes(run_end) +
                                              " of memory; the machine has " +
                                              mebibytes(boot.memory.low()) + " below 4 GiB");
  }
  if (boot.command_line.size() > kernel.command_line_max) {
    return kernel_error(boot.kernel.name, "its command line may have " +
                                              std::to_string(kernel.command_line_max) +
                                              " characters; this one has " +
                                              std::to_string(boot.command_line.size()));
  }
  return {};
}

std::vector<u8> join_initrds(std::vector<BootFile>& files) {
  if (files.size() == 1) return std::move(files.front().content);
  std::vector<u8> joined;
  for (BootFile& file : files) {
    joined.resize((joined.size() + 3) / 4 * 4);  // archives in a row are aligned to four bytes
    joined.insert(joined.end(), file.content.begin(), file.content.end());
  }
  return joined;
}

/// As high as the kernel, the RAM and the firmware allow, page-aligned.
Result<u32> place_initrd(const LinuxKernel& kernel, const KernelBoot& boot, u64 size, u64 payload) {
  const u64 ram_end = boot.memory.low() - std::min(boot.memory.low(), kFirmwareReserve);
  const u64 end =
      std::min({kernel.initrd_address_max + 1, ram_end, memory_limit(boot.command_line)});
  const u64 kernel_end = std::max(u64{kHigh.kernel} + (kernel.loaded_high ? payload : 0),
                                  kernel.run_address + kernel.run_size);
  const u64 first = size <= end ? (end - size) & ~kPageMask : 0;
  if (first >= kernel_end) return static_cast<u32>(first);
  return Error{"initrd doesn't fit: it has " + mebibytes(size) + ", and the kernel leaves " +
               mebibytes(end > kernel_end ? end - kernel_end : 0) + " of the machine's " +
               mebibytes(boot.memory.low()) + " for it"};
}

void patch_header(std::vector<u8>& setup, const Placement& place, const std::string& command_line) {
  setup[kLoaderType] = kUnknownLoader;
  setup[kLoadFlags] |= kCanUseHeap;
  // The heap ends 200h bytes below the end of the stack, counted from the setup code.
  put_little_endian(setup, kHeapEnd, place.command_line - place.setup - 0x200, 2);
  put_little_endian(setup, kCommandLine, place.command_line, 4);
  if (const std::optional<u16> mode = video_mode(command_line)) {
    put_little_endian(setup, kVideoMode, *mode, 2);
  }
}

}  // namespace

Result<DirectBoot> prepare_linux_boot(KernelBoot boot) {
  Result<LinuxKernel> kernel =
      parse_linux_kernel(boot.kernel.content, boot.kernel.name, boot.long_mode);
  if (!kernel) return kernel.error();
  std::vector<u8>& image = boot.kernel.content;
  const u64 payload = image.size() - kernel->setup_size;
  if (Result<void> fit = check_fit(*kernel, boot, payload); !fit) return fit.error();
  const Placement& place = kernel->loaded_high ? kHigh : kLow;

  const auto middle = image.begin() + static_cast<std::ptrdiff_t>(kernel->setup_size);
  std::vector<u8> setup(image.begin(), middle);
  patch_header(setup, place, boot.command_line);
  image.erase(image.begin(), middle);

  DirectBoot result;
  std::vector<u8> initrd = join_initrds(boot.initrds);
  u32 initrd_address = 0;
  if (!initrd.empty()) {
    const Result<u32> placed = place_initrd(*kernel, boot, initrd.size(), payload);
    if (!placed) return placed.error();
    initrd_address = *placed;
    put_little_endian(setup, kRamDiskImage, initrd_address, 4);
    put_little_endian(setup, kRamDiskSize, initrd.size(), 4);
  }
  std::vector<u8> command_line(boot.command_line.begin(), boot.command_line.end());
  command_line.push_back(0);

  FirmwareItems& items = result.items;
  items.add_piece(fw_cfg_key::kSetupAddress, fw_cfg_key::kSetupSize, fw_cfg_key::kSetupData,
                  place.setup, std::move(setup));
  items.add_piece(fw_cfg_key::kCommandLineAddress, fw_cfg_key::kCommandLineSize,
                  fw_cfg_key::kCommandLineData, place.command_line, std::move(command_line));
  items.add_piece(fw_cfg_key::kKernelAddress, fw_cfg_key::kKernelSize, fw_cfg_key::kKernelData,
                  place.kernel, std::move(image));
  items.add_piece(fw_cfg_key::kInitrdAddress, fw_cfg_key::kInitrdSize, fw_cfg_key::kInitrdData,
                  initrd_address, std::move(initrd));
  items.add_file(kRomFile, finish_option_rom(linux_boot_rom()));
  result.boot_path = std::string("/rom@") + kRomFile;
  return result;
}

}  // namespace ringshift::bios
