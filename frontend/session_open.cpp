// The part of a session that opens host files and builds the machine from the options.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "bios/image_kind.h"
#include "frontend/host/file_block_backend.h"
#include "frontend/host/file_output.h"
#include "frontend/session.h"

namespace ringshift::frontend {

namespace {

bool has_display() {
  return std::getenv("DISPLAY") != nullptr || std::getenv("WAYLAND_DISPLAY") != nullptr;
}

void tell(const std::string& line) {
  std::cerr << "ringshift: " << line << '\n';
}

/// What the file at `path` is, by its first bytes. Fails as opening it as an image would.
Result<bios::ImageKind> identify(const std::string& path) {
  auto image = FileBlockBackend::create(path, FileBlockBackend::Mode::Snapshot, tell);
  if (!image) return image.error();
  std::vector<u8> head(std::min<u64>(bios::kImageHeadSize, (*image)->size()));
  bool read = false;
  (*image)->read(0, head,
                 [&](devices::BlockStatus status) { read = status == devices::BlockStatus::Done; });
  if (!read) return Error{"image '" + path + "': can't be read"};
  return bios::recognise_image(head, (*image)->size());
}

/// An ISO 9660 image that ends before its volume does would fail late and obscurely in the guest
/// (ECMA-119 §8.4.8: Volume Space Size, in blocks of 2048 bytes here).
Result<void> check_whole_cd(devices::BlockBackend& image, const std::string& path) {
  constexpr u64 kDescriptor = 16 * 2048;
  constexpr std::size_t kVolumeSpaceSize = 80;
  std::array<u8, kVolumeSpaceSize + 4> descriptor{};
  if (image.size() < kDescriptor + descriptor.size()) return {};
  image.read(kDescriptor, descriptor, [](devices::BlockStatus) {});
  if (std::memcmp(descriptor.data(), "\1CD001", 6) != 0) return {};
  u32 blocks = 0;
  std::memcpy(&blocks, descriptor.data() + kVolumeSpaceSize, sizeof blocks);
  if (u64{blocks} * 2048 <= image.size()) return {};
  return Error{"CD image '" + path + "': truncated: " + std::to_string(image.size()) +
               " bytes of " + std::to_string(u64{blocks} * 2048)};
}

/// Puts IMAGE where its content says it belongs.
Result<void> place_image(RunOptions& options) {
  if (options.image.empty()) return {};
  const auto kind = identify(options.image);
  if (!kind) return kind.error();
  const auto boot_from = [&](const char* letter) {
    if (options.boot.empty()) options.boot = letter;
  };
  switch (*kind) {
    case bios::ImageKind::CdRom:
      if (options.cdrom) return Error{"'" + options.image + "' is a CD image, and so is --cdrom"};
      options.cdrom = options.image;
      boot_from("d");
      return {};
    case bios::ImageKind::Floppy:
      options.floppies.insert(options.floppies.begin(), options.image);
      boot_from("a");
      return {};
    case bios::ImageKind::Linux:
    case bios::ImageKind::Multiboot:
      if (!options.kernel.empty()) {
        return Error{"'" + options.image + "' is a kernel, and so is --kernel"};
      }
      options.kernel = options.image;
      return {};
    case bios::ImageKind::HardDisk:
      options.disks.insert(options.disks.begin(), options.image);
      boot_from("c");
      return {};
  }
  return {};
}

}  // namespace

Session::Session(const RunOptions& options) : options_(options), dialogue_(options_, *this) {}

Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(const RunOptions& options) {
  std::unique_ptr<Session> session(new Session(options));
  if (auto placed = place_image(session->options_); !placed) return placed.error();
  if (auto opened = session->open_lines(); !opened) return opened.error();
  if (auto opened = session->open_machine(); !opened) return opened.error();
  return session;
}

Result<void> Session::open_lines() {
  Display& display = options_.display;
  if (display == Display::Automatic) display = has_display() ? Display::Sdl : Display::None;
  if (options_.serial.empty() && display == Display::None) {
    options_.serial.push_back({SerialTarget::Kind::Stdio, ""});
  }
  options_.serial.resize(2);
  for (const SerialTarget& target : options_.serial) {
    auto endpoint = SerialEndpoint::open(target);
    if (!endpoint) return endpoint.error();
    if (!(*endpoint)->announcement().empty()) tell((*endpoint)->announcement());
    Line line;
    line.endpoint = *std::move(endpoint);
    line.link = std::make_unique<SerialLink>([this] { wake_.wake(); });
    lines_.push_back(std::move(line));
  }
  return {};
}

Result<devices::BlockBackend*> Session::open_image(const std::string& path, ImageUse use) {
  using Mode = FileBlockBackend::Mode;
  Mode mode = Mode::ReadWrite;
  if (options_.snapshot) {
    mode = Mode::Snapshot;
  } else if (access(path.c_str(), W_OK) != 0 && access(path.c_str(), R_OK) == 0) {
    mode = Mode::ReadOnly;  // the guest sees a write-protected medium
  }
  if (use == ImageUse::Cd) mode = Mode::ReadOnly;
  auto image = FileBlockBackend::create(path, mode, tell);
  if (!image) return image.error();
  if (use == ImageUse::Floppy && !bios::is_floppy_size((*image)->size())) {
    return Error{"floppy image '" + path + "': " + std::to_string((*image)->size()) +
                 " bytes is not the size of a floppy"};
  }
  if (use == ImageUse::Cd) {
    if (auto whole = check_whole_cd(**image, path); !whole) return whole.error();
  }
  images_.push_back(*std::move(image));
  return images_.back().get();
}

Result<void> Session::open_drives(devices::BoardConfig& board) {
  using Kind = devices::IdeSlot::Kind;
  for (std::size_t drive = 0; drive < options_.floppies.size() && drive < 2; ++drive) {
    auto image = open_image(options_.floppies[drive], ImageUse::Floppy);
    if (!image) return image.error();
    board.floppies[drive] = *image;
  }
  // The CD drive is the secondary master, where firmware and people look for it; it is there,
  // empty, unless a fourth disk needs its place.
  constexpr unsigned kCdPlace = 2;
  if (options_.disks.size() < 4) board.ide[kCdPlace].kind = Kind::CdDrive;
  if (options_.cdrom) {
    auto image = open_image(*options_.cdrom, ImageUse::Cd);
    if (!image) return image.error();
    board.ide[kCdPlace].image = *image;
  }
  unsigned place = 0;
  for (const std::string& path : options_.disks) {
    if (board.ide[place].kind != Kind::Empty) ++place;
    if (place >= board.ide.size()) return Error{"too many disks: there are four places"};
    auto image = open_image(path, ImageUse::Disk);
    if (!image) return image.error();
    board.ide[place++] = {Kind::Disk, *image};
  }
  return {};
}

Result<void> Session::open_machine() {
  MachineConfig config;
  config.memory = options_.memory;
  config.bios = options_.bios;
  config.boot_order = options_.boot;
  config.kernel = options_.kernel;
  config.command_line = options_.append;
  config.engine = options_.engine;
  config.engine.count_instructions = options_.statistics;
  if (!options_.initrd.empty()) config.initrds.push_back(options_.initrd);
  for (const std::string& module : options_.modules) config.initrds.push_back(module);

  devices::BoardConfig& board = config.board;
  board.debug_exit_port = options_.debug_exit;
  for (unsigned line = 0; line < 2; ++line) {
    if (lines_[line].endpoint->kind() != SerialTarget::Kind::None) {
      board.serial[line] = lines_[line].link.get();
    }
  }
  const auto open_output = [this](const std::string& path, const char* what,
                                  devices::CharacterBackend*& backend) -> Result<void> {
    if (path.empty()) return {};
    auto output = FileOutput::create(path, what, tell);
    if (!output) return output.error();
    outputs_.push_back(*std::move(output));
    backend = outputs_.back().get();
    return {};
  };
  if (auto opened = open_output(options_.parallel, "parallel port file", board.parallel); !opened) {
    return opened;
  }
  if (auto opened = open_output(options_.debug_console, "debug console file", board.debug_console);
      !opened) {
    return opened;
  }
  if (auto opened = open_drives(board); !opened) return opened;
  auto machine = Machine::create(std::move(config),
                                 options_.no_reboot ? RebootPolicy::End : RebootPolicy::Reboot);
  if (!machine) return machine.error();
  machine_ = *std::move(machine);
  for (unsigned line = 0; line < 2; ++line) {
    lines_[line].link->connect(machine_->board().serial(line));
  }
  if (options_.display == Display::Sdl) {
    auto window = create_sdl_window("Ringshift");
    if (!window) return window.error();
    window_ = *std::move(window);
  }
  return {};
}

}  // namespace ringshift::frontend
