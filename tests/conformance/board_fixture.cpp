#include "tests/conformance/board_fixture.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ringshift::devices::test {

namespace {

constexpr u64 kVideoRomSize = u64{64} << 10;
constexpr u64 kCapacity = TestBoard::kRamSize + TestBoard::kFirmwareSize + Board::kVideoMemory +
                          kVideoRomSize + 8 * kPageSize;
/// Rounds of due events at one instant. The clock fires up to 64 in each; a device that runs
/// through all of a track or of a bus master table in one instant stays far below.
constexpr unsigned kMostRounds = 256;

template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "test board: %s\n", result.error().message.c_str());
    std::abort();
  }
  return std::move(result).value();
}

void fill(MemoryBackend& disk, u32 salt) {
  for (std::size_t at = 0; at < disk.content.size(); ++at) {
    disk.content[at] = static_cast<u8>((at * 2654435761U + salt) >> 13);
  }
}

}  // namespace

std::unique_ptr<TestBoard> TestBoard::create(VideoRom rom) {
  return std::unique_ptr<TestBoard>(new TestBoard(must(mmu::GuestMemory::create(kCapacity)), rom));
}

TestBoard::TestBoard(mmu::GuestMemory memory, VideoRom rom) : memory_(std::move(memory)) {
  allocate_guard();
  ram_ = must(memory_.allocate(kRamSize, "RAM"));
  allocate_guard();
  const mmu::MemoryBlock firmware = must(memory_.allocate(kFirmwareSize, "firmware"));
  const mmu::MemoryBlock guard = allocate_guard();
  // The board takes its video memory from what comes next.
  video_memory_ = {guard.host + guard.size, Board::kVideoMemory};
  map_.map_memory({0}, kRamSize, mmu::MemoryMap::Kind::Ram, "RAM", ram_, 0);
  map_.map_memory({0x1'0000'0000 - kFirmwareSize}, kFirmwareSize, mmu::MemoryMap::Kind::Rom,
                  "firmware", firmware, 0);
  map_.map_memory({0x10'0000 - kFirmwareSize}, kFirmwareSize, mmu::MemoryMap::Kind::Rom,
                  "firmware (low)", firmware, 0);

  constexpr std::array<u64, kDisks> kKibibytes = {1440, 360, 2048, 1024, 1024, 0};
  BoardConfig config;
  for (unsigned n = 0; n < lines_.size(); ++n) lines_[n] = std::make_unique<Line>(*this, n);
  for (unsigned n = 0; n < kDisks; ++n) {
    if (kKibibytes[n] == 0) continue;
    disks_[n] = std::make_unique<MemoryBackend>(kKibibytes[n] << 10);
    fill(*disks_[n], n);
  }
  disks_[4]->write_protected = true;
  config.serial = {lines_[0].get(), lines_[1].get()};
  config.parallel = lines_[2].get();
  config.debug_console = lines_[3].get();
  config.floppies = {disks_[0].get(), disks_[1].get()};
  config.ide = {{{IdeSlot::Kind::Disk, disks_[2].get()},
                 {IdeSlot::Kind::Disk, disks_[3].get()},
                 {IdeSlot::Kind::CdDrive, disks_[4].get()},
                 {IdeSlot::Kind::CdDrive, nullptr}}};
  config.debug_exit_port = kDebugExitPort;

  std::vector<u8> video_rom;
  if (rom == VideoRom::Present) {
    video_rom.assign(kVideoRomSize, 0);
    video_rom[0] = 0x55, video_rom[1] = 0xAA, video_rom[2] = kVideoRomSize / 512;
  }
  board_ = must(Board::create(
      config, {clock_, wall_, memory_, map_, *this, *this, *this, *this, kRamSize}, video_rom));
  allocate_guard();
  FwCfg& fw_cfg = board_->firmware_configuration();
  fw_cfg.set_item(0x0E, {1, 0});
  fw_cfg.set_file("etc/table", std::vector<u8>(5000, 0x5A));
  fw_cfg.set_writable_file("etc/written", std::vector<u8>(100), {});
  board_->reset(ResetKind::PowerOn);
  events_.clear();
}

TestBoard::~TestBoard() = default;

mmu::MemoryBlock TestBoard::allocate_guard() {
  const mmu::MemoryBlock page = must(memory_.allocate(kPageSize, "guard page"));
  if (mprotect(page.host, page.size, PROT_NONE) != 0) std::abort();
  return page;
}

Device& TestBoard::device(std::string_view name) {
  for (Device* device : board_->all_devices()) {
    if (device->name() == name) return *device;
  }
  std::fprintf(stderr, "test board: no device '%s'\n", std::string(name).c_str());
  std::abort();
}

void TestBoard::defer_disks(bool deferred) {
  for (const auto& disk : disks_) {
    if (disk != nullptr) disk->deferred = deferred;
  }
}

bool TestBoard::answer_disk(unsigned number) {
  return disks_[number] != nullptr && disks_[number]->answer();
}

// --- Accesses -----------------------------------------------------------------------------------

void TestBoard::write_config(unsigned slot, unsigned function, u8 offset, u32 value,
                             unsigned size) {
  out(0xCF8, 0x8000'0000 | slot << 11 | function << 8 | (offset & 0xFC), 4);
  out(static_cast<u16>(0xCFC + (offset & 3)), value, size);
}

u32 TestBoard::read_config(unsigned slot, unsigned function, u8 offset, unsigned size) {
  out(0xCF8, 0x8000'0000 | slot << 11 | function << 8 | (offset & 0xFC), 4);
  return in(static_cast<u16>(0xCFC + (offset & 3)), size);
}

void TestBoard::configure_pci() {
  constexpr unsigned kIsaBridge = 0, kIde = 1, kPowerManagement = 3;
  constexpr u8 kPirq[] = {10, 10, 11, 11};
  for (u8 n = 0; n < 4; ++n) write_config(1, kIsaBridge, 0x60 + n, kPirq[n], 1);
  write_config(1, kIde, 0x40, 0x8000, 2);  // IDETIM: decode
  write_config(1, kIde, 0x42, 0x8000, 2);
  write_config(1, kIde, 0x20, 0xC000, 4);  // bus master
  write_config(1, kIde, 0x04, 0x0005, 2);
  write_config(1, kPowerManagement, 0x40, 0x0601, 4);  // PMBASE
  write_config(1, kPowerManagement, 0x80, 0x01, 1);    // PMIOSE
  write_config(1, kPowerManagement, 0x90, 0x0701, 4);  // SMBBASE
  write_config(1, kPowerManagement, 0xD2, 0x09, 1);
  write_config(1, kPowerManagement, 0x04, 0x0001, 2);
  write_config(2, 0, 0x10, 0xFD00'0000, 4);  // frame buffer
  write_config(2, 0, 0x18, 0xFEB0'0000, 4);  // registers
  write_config(2, 0, 0x04, 0x0003, 2);
}

// --- The machine --------------------------------------------------------------------------------

bool TestBoard::advance(Nanoseconds by) {
  time_.advance(by);
  return between_instructions();
}

bool TestBoard::between_instructions() {
  unsigned rounds = 0;
  while (clock_.next_deadline() <= time_.now()) {
    if (++rounds > kMostRounds) return false;
    clock_.run_due();
  }
  if (reset_requested_) {
    reset_requested_ = false;
    board_->reset(ResetKind::System);
  }
  return true;
}

std::vector<BoardEvent> TestBoard::take_events() {
  return std::exchange(events_, {});
}

void TestBoard::record(BoardEvent::Kind kind, unsigned number, u64 value) {
  events_.push_back({kind, number, value});
}

void TestBoard::set_irq(unsigned number, bool level) {
  pins_.at(number) = level;
  record(BoardEvent::Kind::ProcessorPin, number, level ? 1 : 0);
}

void TestBoard::request_reset() {
  reset_requested_ = true;
  record(BoardEvent::Kind::Reset);
}

void TestBoard::set_a20(bool enabled) {
  // A reset or a restore may say what is so already.
  if (enabled != a20_) record(BoardEvent::Kind::A20, 0, enabled ? 1 : 0);
  a20_ = enabled;
}

// --- Snapshots ----------------------------------------------------------------------------------

std::vector<u8> TestBoard::save() {
  StateArchive archive;
  board_->serialize(archive);
  return archive.bytes();
}

Result<void> TestBoard::restore(std::vector<u8> snapshot) {
  StateArchive archive(std::move(snapshot));
  board_->serialize(archive);
  return archive.finish();
}

std::vector<u8> TestBoard::save(Device& device) {
  StateArchive archive;
  device.serialize(archive);
  return archive.bytes();
}

Result<void> TestBoard::restore(Device& device, std::vector<u8> snapshot) {
  StateArchive archive(std::move(snapshot));
  device.serialize(archive);
  return archive.finish();
}

void TestBoard::copy_surroundings(TestBoard& from) {
  if (from.now() > now()) time_.advance(from.now() - now());
  std::copy(from.ram_.bytes().begin(), from.ram_.bytes().end(), ram_.host);
  for (unsigned n = 0; n < kDisks; ++n) {
    if (disks_[n] != nullptr) disks_[n]->content = from.disks_[n]->content;
  }
  pins_ = from.pins_;
  reset_requested_ = from.reset_requested_;
}

}  // namespace ringshift::devices::test
