#include <catch2/catch.hpp>

#include <cstring>

#include "bios/boot_rom/boot_rom.h"
#include "bios/direct_boot/linux_kernel.h"
#include "bios/direct_boot/multiboot_kernel.h"
#include "bios/firmware_config.h"
#include "bios/image_kind.h"

using namespace ringshift;
using namespace ringshift::bios;

namespace {

constexpr u64 kMebibyte = 1 << 20;

MemoryLayout layout_of(u64 mebibytes) {
  auto layout = MemoryLayout::create(mebibytes << 20);
  REQUIRE(layout);
  return *layout;
}

/// A bzImage of protocol 2.12 with `sectors` of setup code and `payload` bytes of kernel.
std::vector<u8> linux_image(unsigned sectors = 5, std::size_t payload = 0x1000) {
  using namespace linux_header;
  std::vector<u8> image((1 + sectors) * 512 + payload);
  image[kSetupSectors] = static_cast<u8>(sectors);
  put_little_endian(image, kSystemSize, (payload + 15) / 16, 4);
  put_little_endian(image, kVideoMode, 0xFFFF, 2);
  put_little_endian(image, kBootFlag, 0xAA55, 2);
  std::memcpy(image.data() + kSignature, "HdrS", 4);
  put_little_endian(image, kVersion, 0x020C, 2);
  image[kLoadFlags] = 1;
  put_little_endian(image, kInitrdAddressMax, 0x37FFFFFF, 4);
  put_little_endian(image, kKernelAlignment, 0x200000, 4);
  image[kRelocatable] = 1;
  put_little_endian(image, kCommandLineSize, 2047, 4);
  put_little_endian(image, kPreferredAddress, 0x1000000, 8);
  put_little_endian(image, kInitSize, 0x800000, 4);
  for (std::size_t i = 0; i < payload; ++i) image[(1 + sectors) * 512 + i] = static_cast<u8>(i * 7);
  return image;
}

KernelBoot boot_of(std::vector<u8> kernel, u64 mebibytes = 64) {
  return {.kernel = {"kernel", std::move(kernel)},
          .initrds = {},
          .command_line = "",
          .memory = layout_of(mebibytes),
          .long_mode = LongMode::Absent};
}

u32 number(const DirectBoot& boot, u16 key) {
  const std::vector<u8>* item = boot.items.item(key);
  REQUIRE(item != nullptr);
  REQUIRE(item->size() == 4);
  return get_u32(*item, 0);
}

std::string failure(const Result<DirectBoot>& result) {
  REQUIRE(!result);
  CHECK(result.error().message.find('\n') == std::string::npos);
  return result.error().message;
}

constexpr u32 kMagic = 0x1BADB002;

void put_multiboot_header(std::vector<u8>& image, std::size_t at, u32 flags) {
  put_little_endian(image, at, kMagic, 4);
  put_little_endian(image, at + 4, flags, 4);
  put_little_endian(image, at + 8, 0U - kMagic - flags, 4);
}

/// A flat kernel with its header at 10h, loaded at 2 MiB, with 100h bytes of file and 80h of zeros.
std::vector<u8> flat_multiboot() {
  std::vector<u8> image(0x100, 0xCC);
  put_multiboot_header(image, 0x10, 0x10003);
  put_little_endian(image, 0x1C, 0x200010, 4);
  put_little_endian(image, 0x20, 0x200000, 4);
  put_little_endian(image, 0x24, 0x200100, 4);
  put_little_endian(image, 0x28, 0x200180, 4);
  put_little_endian(image, 0x2C, 0x200080, 4);
  return image;
}

/// An ELF kernel: code at 1 MiB (virtual C0100000h), and a part of zeros behind it.
std::vector<u8> elf_multiboot() {
  std::vector<u8> image(0x400);
  std::memcpy(image.data(),
              "\x7F"
              "ELF\x01\x01\x01",
              7);
  put_little_endian(image, 16, 2, 2);
  put_little_endian(image, 18, 3, 2);
  put_little_endian(image, 24, 0xC0100020, 4);
  put_little_endian(image, 28, 52, 4);
  put_little_endian(image, 42, 32, 2);
  put_little_endian(image, 44, 2, 2);
  const auto segment = [&image](unsigned index, u32 offset, u32 address, u32 file, u32 memory) {
    const std::size_t at = 52 + 32 * index;
    put_little_endian(image, at, 1, 4);
    put_little_endian(image, at + 4, offset, 4);
    put_little_endian(image, at + 8, address + 0xC0000000, 4);
    put_little_endian(image, at + 12, address, 4);
    put_little_endian(image, at + 16, file, 4);
    put_little_endian(image, at + 20, memory, 4);
  };
  segment(0, 0x200, 0x100000, 0x200, 0x200);
  segment(1, 0x400, 0x101000, 0, 0x500);
  put_multiboot_header(image, 0x200, 0x7);
  image[0x220] = 0xFA;
  return image;
}

}  // namespace

TEST_CASE("a bzImage is split, patched and placed as the boot protocol says") {
  using namespace linux_header;
  const std::vector<u8> image = linux_image();
  KernelBoot boot = boot_of(image);
  boot.command_line = "console=ttyS0 vga=0x305";
  boot.initrds = {{"a", std::vector<u8>(0x1801, 0xAA)}, {"b", std::vector<u8>(0x10, 0xBB)}};
  const auto result = prepare_direct_boot(std::move(boot));
  REQUIRE(result);
  CHECK(result->boot_path == "/rom@genroms/ringshift-linux.bin");
  CHECK(number(*result, fw_cfg_key::kSetupAddress) == 0x10000);
  CHECK(number(*result, fw_cfg_key::kKernelAddress) == 0x100000);
  CHECK(number(*result, fw_cfg_key::kKernelSize) == 0x1000);
  CHECK(std::equal(image.begin() + 6 * 512, image.end(),
                   result->items.item(fw_cfg_key::kKernelData)->begin()));
  const std::vector<u8>& setup = *result->items.item(fw_cfg_key::kSetupData);
  REQUIRE(setup.size() == 6 * 512);
  CHECK(setup[kLoaderType] == 0xFF);
  CHECK(setup[kLoadFlags] == 0x81);
  CHECK(get_u16(setup, kHeapEnd) == 0xFE00);
  CHECK(get_u32(setup, kCommandLine) == 0x20000);
  CHECK(get_u16(setup, kVideoMode) == 0x305);
  // Archives are joined at a multiple of four, and lie below the megabyte left to the firmware.
  CHECK(get_u32(setup, kRamDiskSize) == 0x1814);
  CHECK(get_u32(setup, kRamDiskImage) == 63 * kMebibyte - 0x2000);
  CHECK(number(*result, fw_cfg_key::kInitrdAddress) == 63 * kMebibyte - 0x2000);
  const std::vector<u8>& initrd = *result->items.item(fw_cfg_key::kInitrdData);
  CHECK(initrd[0x1800] == 0xAA);
  CHECK(initrd[0x1801] == 0);
  CHECK(initrd[0x1804] == 0xBB);
  const std::vector<u8>& line = *result->items.item(fw_cfg_key::kCommandLineData);
  CHECK(std::string(line.begin(), line.end()) == std::string("console=ttyS0 vga=0x305") + '\0');
}

TEST_CASE("initrds respect the kernel's limit, mem= and what the kernel needs to unpack") {
  using namespace linux_header;
  const auto place = [](u64 ram, const std::string& line, std::size_t size) {
    KernelBoot boot = boot_of(linux_image(), ram);
    boot.command_line = line;
    boot.initrds = {{"initrd", std::vector<u8>(size)}};
    return prepare_direct_boot(std::move(boot));
  };
  auto limited = place(2048, "", 0x1000);
  REQUIRE(limited);
  CHECK(number(*limited, fw_cfg_key::kInitrdAddress) == 0x37FFF000);
  auto mem = place(512, "quiet mem=128M", 0x1000);
  REQUIRE(mem);
  CHECK(number(*mem, fw_cfg_key::kInitrdAddress) == 128 * kMebibyte - 0x1000);
  // The kernel unpacks to 16..24 MiB.
  auto tight = place(26, "", kMebibyte);
  REQUIRE(tight);
  CHECK(number(*tight, fw_cfg_key::kInitrdAddress) == 24 * kMebibyte);
  CHECK(failure(place(26, "", kMebibyte + 1)).find("initrd doesn't fit") != std::string::npos);
  CHECK(failure(place(20, "", 1)).find("needs 24 MiB") != std::string::npos);
}

TEST_CASE("kernels that can't be started are refused in one line that says why") {
  using namespace linux_header;
  const auto refuse = [](std::vector<u8> image) {
    return failure(prepare_direct_boot(boot_of(std::move(image))));
  };
  CHECK(refuse({}).find("neither") != std::string::npos);
  CHECK(refuse(std::vector<u8>(5000, 0x90)).find("neither") != std::string::npos);
  std::vector<u8> image = linux_image();
  image.resize(image.size() - 16);
  CHECK(refuse(image).find("truncated") != std::string::npos);
  image = linux_image();
  put_little_endian(image, kVersion, 0x0201, 2);
  CHECK(refuse(image).find("2.01 is too old") != std::string::npos);
  image = linux_image();
  put_little_endian(image, kExtendedLoadFlags, 1, 2);
  CHECK(refuse(image).find("64-bit") != std::string::npos);
  KernelBoot wide = boot_of(image);
  wide.long_mode = LongMode::Present;
  CHECK(prepare_direct_boot(std::move(wide)).ok());
  image = linux_image(200);
  CHECK(refuse(image).find("32 KiB") != std::string::npos);
  KernelBoot wordy = boot_of(linux_image());
  wordy.command_line = std::string(2048, 'x');
  CHECK(failure(prepare_direct_boot(std::move(wordy))).find("2047 characters") !=
        std::string::npos);
  CHECK(!load_direct_boot("/nonexistent", {}, "", layout_of(64), LongMode::Absent).ok());
}

TEST_CASE("old zImages go below 640 KiB") {
  using namespace linux_header;
  std::vector<u8> image = linux_image();
  put_little_endian(image, kVersion, 0x0202, 2);
  image[kLoadFlags] = 0;
  const auto result = prepare_direct_boot(boot_of(image, 8));
  REQUIRE(result);
  CHECK(number(*result, fw_cfg_key::kSetupAddress) == 0x90000);
  CHECK(number(*result, fw_cfg_key::kKernelAddress) == 0x10000);
  image.resize(600 << 10);
  CHECK(failure(prepare_direct_boot(boot_of(image, 8))).find("zImage") != std::string::npos);
}

TEST_CASE("no truncation or damage of a Linux header gets past the checks or crashes them") {
  const std::vector<u8> image = linux_image(5, 0x100);
  for (std::size_t size = 0; size < image.size(); ++size) {
    std::vector<u8> cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    const auto result = prepare_direct_boot(boot_of(cut));
    // The header's length is in units of 16 bytes.
    if (size < image.size() - 15) CHECK(!result.ok());
  }
  for (std::size_t at = linux_header::kSetupSectors; at < linux_header::kEnd; ++at) {
    for (u8 value : {u8{0}, u8{0x7F}, u8{0xFF}}) {
      std::vector<u8> damaged = image;
      damaged[at] = value;
      KernelBoot boot = boot_of(damaged, 32);
      boot.initrds = {{"initrd", std::vector<u8>(0x1000)}};
      const auto result = prepare_direct_boot(std::move(boot));
      if (!result) continue;
      CHECK(number(*result, fw_cfg_key::kInitrdAddress) + 0x1000 <= 31 * kMebibyte);
    }
  }
}

TEST_CASE("a Multiboot kernel with address fields") {
  const auto kernel = parse_multiboot_kernel(flat_multiboot(), "k", 64 * kMebibyte);
  REQUIRE(kernel);
  CHECK(kernel->first == 0x200000);
  CHECK(kernel->memory.size() == 0x180);
  CHECK(kernel->memory[0xFF] == 0xCC);
  CHECK(kernel->memory[0x100] == 0);
  CHECK(kernel->entry == 0x200080);
}

TEST_CASE("a Multiboot ELF kernel is laid out by its physical addresses") {
  const auto kernel = parse_multiboot_kernel(elf_multiboot(), "k", 64 * kMebibyte);
  REQUIRE(kernel);
  CHECK(kernel->first == 0x100000);
  CHECK(kernel->memory.size() == 0x1500);
  CHECK(kernel->entry == 0x100020);
  CHECK(kernel->memory[0x20] == 0xFA);
}

TEST_CASE("the Multiboot information block points to where things will be") {
  KernelBoot boot = boot_of(elf_multiboot());
  boot.command_line = "root=hd0";
  boot.initrds = {{"mod1 arg", std::vector<u8>(0x1001, 1)}, {"mod2", std::vector<u8>(4, 2)}};
  const auto result = prepare_direct_boot(std::move(boot));
  REQUIRE(result);
  CHECK(result->boot_path == "/rom@genroms/ringshift-multiboot.bin");
  CHECK(number(*result, fw_cfg_key::kKernelEntry) == 0x100020);
  const u32 base = number(*result, fw_cfg_key::kSetupAddress);
  const std::vector<u8>& block = *result->items.item(fw_cfg_key::kSetupData);
  CHECK(base % 16 == 0);
  CHECK(block.size() <= 0x10000);
  const auto at = [&](std::size_t field) { return get_u32(block, 0x400 + field); };
  const auto text = [&](u32 address) {
    return std::string(reinterpret_cast<const char*>(block.data()) + (address - base));
  };
  CHECK(at(0) == (1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12));
  CHECK(text(at(16)) == "kernel root=hd0");
  CHECK(text(at(64)) == "Ringshift");
  REQUIRE(at(20) == 2);
  const u32 list = at(24) - base;
  CHECK(get_u32(block, list) == 0x102000);
  CHECK(get_u32(block, list + 4) == 0x103001);
  CHECK(text(get_u32(block, list + 8)) == "mod1 arg");
  CHECK(get_u32(block, list + 16) == 0x104000);
  CHECK(number(*result, fw_cfg_key::kInitrdAddress) == 0x102000);
  CHECK(result->items.item(fw_cfg_key::kInitrdData)->at(0x2000) == 2);
  CHECK(at(48) - base + at(44) == block.size());
  // The GDT: its limit and address, then null, code and data.
  CHECK(get_u16(block, 0x80) == 23);
  CHECK(get_u32(block, 0x82) == base + 0x90);
}

TEST_CASE("the information block makes room for a kernel in conventional memory") {
  std::vector<u8> image = flat_multiboot();
  for (std::size_t field : {0x1C, 0x20, 0x24, 0x28, 0x2C}) {
    put_little_endian(image, field, get_u32(image, field) - 0x200000 + 0x10000, 4);
  }
  const auto result = prepare_direct_boot(boot_of(image));
  REQUIRE(result);
  CHECK(number(*result, fw_cfg_key::kKernelAddress) == 0x10000);
  CHECK(number(*result, fw_cfg_key::kSetupAddress) == 0x11000);
}

TEST_CASE("Multiboot kernels that can't be started are refused in one line") {
  const auto refuse = [](std::vector<u8> image) {
    return failure(prepare_direct_boot(boot_of(std::move(image), 16)));
  };
  std::vector<u8> image = elf_multiboot();
  put_multiboot_header(image, 0x200, 0x17);
  CHECK(refuse(image).find("features") != std::string::npos);
  image = elf_multiboot();
  image[4] = 2;
  CHECK(refuse(image).find("64-bit") != std::string::npos);
  image = elf_multiboot();
  image[18] = 40;
  CHECK(refuse(image).find("another processor") != std::string::npos);
  image = elf_multiboot();
  put_little_endian(image, 52 + 32 + 20, 0x40000000, 4);
  CHECK(refuse(image).find("no free memory") != std::string::npos);
  image = flat_multiboot();
  put_little_endian(image, 0x2C, 0x300000, 4);
  CHECK(refuse(image).find("entry point") != std::string::npos);
  image = flat_multiboot();
  put_little_endian(image, 0x20, 0x300000, 4);
  CHECK(refuse(image).find("contradict") != std::string::npos);
}

TEST_CASE("no truncation or damage of a Multiboot kernel crashes the checks") {
  for (const std::vector<u8>& image : {flat_multiboot(), elf_multiboot()}) {
    for (std::size_t size = 0; size < image.size(); ++size) {
      const std::span<const u8> cut = std::span(image).first(size);
      CHECK(!parse_multiboot_kernel(cut, "k", 2 * kMebibyte).ok());
    }
    for (std::size_t at = 0; at < image.size(); ++at) {
      for (u8 value : {u8{0}, u8{0x7F}, u8{0x80}, u8{0xFF}}) {
        std::vector<u8> damaged = image;
        damaged[at] = value;
        const auto kernel = parse_multiboot_kernel(damaged, "k", 4 * kMebibyte);
        if (kernel) CHECK(kernel->first + kernel->memory.size() <= 4 * kMebibyte);
      }
    }
  }
}

TEST_CASE("boot ROMs have valid headers and checksums") {
  for (std::span<const u8> assembled : {linux_boot_rom(), multiboot_boot_rom()}) {
    const std::vector<u8> rom = finish_option_rom(assembled);
    CHECK(rom[0] == 0x55);
    CHECK(rom[1] == 0xAA);
    CHECK(rom[2] * 512U == rom.size());
    CHECK(checksum_of(rom) == 0);
    const std::size_t pnp = get_u16(rom, 0x1A);
    CHECK(pnp % 16 == 0);
    CHECK(std::memcmp(rom.data() + pnp, "$PnP", 4) == 0);
    CHECK(checksum_of(std::span(rom).subspan(pnp, 32)) == 0);
    CHECK((rom[pnp + 0x15] & 4) != 0);
    const std::size_t entry = get_u16(rom, pnp + 0x1A);
    CHECK(entry != 0);
    CHECK(entry < rom.size());
  }
}

TEST_CASE("a direct boot comes first in the boot order") {
  auto boot = prepare_direct_boot(boot_of(linux_image()));
  REQUIRE(boot);
  FirmwareOptions options{.memory = layout_of(64)};
  options.direct_boot = std::move(boot).value();
  const FirmwareItems items = make_firmware_items(std::move(options));
  const std::vector<u8>& order = *items.file("bootorder");
  const std::string text(order.begin(), order.end());
  CHECK(text.rfind("/rom@genroms/ringshift-linux.bin\n", 0) == 0);
  CHECK(items.file("genroms/ringshift-linux.bin") != nullptr);
  CHECK(items.item(fw_cfg_key::kSetupData) != nullptr);
  CHECK(items.file("etc/table-loader") != nullptr);
  CHECK(items.file("etc/smbios/smbios-anchor") != nullptr);
}

TEST_CASE("images are recognised by content") {
  CHECK(recognise_image(linux_image(), 8000) == ImageKind::Linux);
  CHECK(recognise_image(elf_multiboot(), 0x400) == ImageKind::Multiboot);
  CHECK(recognise_image({}, 0) == ImageKind::HardDisk);
  std::vector<u8> iso(kImageHeadSize);
  iso[510] = 0x55, iso[511] = 0xAA;
  CHECK(recognise_image(iso, 1440 * 1024) == ImageKind::Floppy);
  CHECK(recognise_image(iso, 1440 * 1024 + 1) == ImageKind::HardDisk);
  // GRUB's own image on a disk has a Multiboot header behind the boot sector.
  put_multiboot_header(iso, 0x400, 0x10000);
  CHECK(recognise_image(iso, 64 << 20) == ImageKind::HardDisk);
  std::memcpy(iso.data() + 0x8001, "CD001", 5);
  CHECK(recognise_image(iso, 64 << 20) == ImageKind::CdRom);
  CHECK(recognise_image(std::span(iso).first(0x8005), 64 << 20) == ImageKind::HardDisk);
  CHECK(image_kind_name(ImageKind::CdRom) == "CD image");
}
