#include <catch2/catch.hpp>

#include "bios/firmware_config.h"
#include "bios/memory_layout.h"

using namespace ringshift;
using namespace ringshift::bios;

namespace {
constexpr u64 kMebibyte = 1 << 20;
constexpr u64 kGibibyte = u64{1} << 30;
}  // namespace

TEST_CASE("RAM up to 3.5 GiB lies below 4 GiB in one piece") {
  const auto small = MemoryLayout::create(512 * kMebibyte);
  REQUIRE(small);
  CHECK(small->ranges() == std::vector<MemoryRange>{{0, 512 * kMebibyte, MemoryKind::Ram}});
  const auto most = MemoryLayout::create(3584 * kMebibyte);
  REQUIRE(most);
  CHECK(most->low() == 0xE0000000);
  CHECK(most->high() == 0);
}

TEST_CASE("more RAM is split at 3 GiB and continues above 4 GiB") {
  const auto layout = MemoryLayout::create(6 * kGibibyte);
  REQUIRE(layout);
  CHECK(layout->ranges() ==
        std::vector<MemoryRange>{{0, 3 * kGibibyte, MemoryKind::Ram},
                                 {4 * kGibibyte, 3 * kGibibyte, MemoryKind::Ram}});
  CHECK(layout->total() == 6 * kGibibyte);
  CHECK(layout->pci_hole_first() == 0xC0000000);
  const std::vector<u8> file = layout->e820_file();
  REQUIRE(file.size() == 40);
  CHECK(get_u64(file, 20) == 4 * kGibibyte);
  CHECK(get_u64(file, 28) == 3 * kGibibyte);
  CHECK(get_u32(file, 36) == 1);
}

TEST_CASE("amounts of RAM that the board can't have are refused in one line") {
  for (u64 ram : {u64{0}, kMebibyte - 1, kMebibyte + 4096, u64{1} << 36, ~u64{0}}) {
    const auto layout = MemoryLayout::create(ram);
    REQUIRE(!layout);
    CHECK(layout.error().message.find('\n') == std::string::npos);
  }
  CHECK(MemoryLayout::create(MemoryLayout::kMostRam).ok());
}

TEST_CASE("the boot order becomes device paths of the board") {
  CHECK(check_boot_order("cad").ok());
  CHECK(!check_boot_order("").ok());
  CHECK(!check_boot_order("cc").ok());
  CHECK(!check_boot_order("cx").ok());
  const std::vector<u8> file = boot_order_file("dca", BootDrives{}, {"/rom@genroms/x.bin"});
  CHECK(std::string(file.begin(), file.end()) ==
        std::string("/rom@genroms/x.bin\n"
                    "/pci@i0cf8/ide@1,1/drive@1/disk@0\n"
                    "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
                    "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n") +
            '\0');
}

TEST_CASE("the firmware is told memory and processors") {
  auto layout = MemoryLayout::create(64 * kMebibyte);
  REQUIRE(layout);
  FirmwareOptions options{.memory = *layout};
  options.processors = 2;
  options.menu.retry_milliseconds = 5000;
  const FirmwareItems items = make_firmware_items(options);
  REQUIRE(items.item(fw_cfg_key::kRamSize) != nullptr);
  CHECK(get_u64(*items.item(fw_cfg_key::kRamSize), 0) == 64 * kMebibyte);
  CHECK(*items.item(fw_cfg_key::kProcessors) == std::vector<u8>{2, 0});
  CHECK(*items.item(fw_cfg_key::kMostProcessors) == std::vector<u8>{2, 0});
  CHECK(*items.item(fw_cfg_key::kIrq0Override) == std::vector<u8>{1, 0, 0, 0});
  CHECK(*items.file("etc/boot-fail-wait") == std::vector<u8>{0x88, 0x13, 0, 0});
  CHECK(items.file("etc/e820")->size() == 20);
}
