#include "frontend/host/file_block_backend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace ringshift::frontend {

using devices::BlockStatus;

namespace {

constexpr u64 kSector = 512;
constexpr u64 kLargestImage = u64{1} << 47;  // what 48-bit ATA addresses reach, less than off_t

std::string text_of(int error) {
  return std::strerror(error);
}

}  // namespace

Result<std::unique_ptr<FileBlockBackend>> FileBlockBackend::create(const std::string& path,
                                                                   Mode mode, Report report) {
  const auto failed = [&path](const std::string& why) {
    return Error{"cannot open disk image '" + path + "': " + why};
  };
  const int access = mode == Mode::ReadWrite ? O_RDWR : O_RDONLY;
  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  const int file = open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const int error = errno;
    if (error == EISDIR) return failed("it is a directory");
    if (error == ENXIO) return failed("it is not a regular file");
    if (access == O_RDWR && (error == EACCES || error == EROFS || error == EPERM) &&
        ::access(path.c_str(), R_OK) == 0) {
      return failed("it is write-protected (" + text_of(error) + ")");
    }
    return failed(text_of(error));
  }
  struct stat info {};
  const int stat_error = fstat(file, &info) == 0 ? 0 : errno;
  const u64 bytes = static_cast<u64>(info.st_size);
  const u64 size = (bytes + kSector - 1) / kSector * kSector;
  std::unique_ptr<FileBlockBackend> backend(
      new FileBlockBackend(path, mode, file, size, std::move(report)));
  if (stat_error != 0) return failed(text_of(stat_error));
  if (S_ISDIR(info.st_mode)) return failed("it is a directory");
  if (!S_ISREG(info.st_mode)) return failed("it is not a regular file");
  if (bytes == 0) return failed("it is empty");
  if (bytes > kLargestImage) return failed("it is larger than a disk can be");
  if (auto locked = backend->lock(); !locked) return failed(locked.error().message);
  if (mode == Mode::Snapshot) {
    if (auto opened = backend->open_overlay(); !opened) return opened.error();
  }
  return backend;
}

FileBlockBackend::FileBlockBackend(std::string path, Mode mode, int file, u64 size, Report report)
    : path_(std::move(path)), mode_(mode), file_(file), size_(size), report_(std::move(report)) {}

FileBlockBackend::~FileBlockBackend() {
  if (overlay_ >= 0) close(overlay_);
  close(file_);
}

Result<void> FileBlockBackend::lock() const {
  // Locks of the open file, not of the process: two images of one machine conflict as well.
  struct flock range {};
  range.l_type = mode_ == Mode::ReadWrite ? F_WRLCK : F_RDLCK;
  range.l_whence = SEEK_SET;
  if (fcntl(file_, F_OFD_SETLK, &range) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return Error{mode_ == Mode::ReadWrite ? "it is in use by another drive or machine"
                                          : "it is being written to by another drive or machine"};
  }
  if (errno == EINVAL || errno == ENOLCK || errno == EOPNOTSUPP) return {};  // no locks there
  return Error{"cannot lock it (" + text_of(errno) + ")"};
}

Result<void> FileBlockBackend::open_overlay() {
  const char* const chosen = std::getenv("TMPDIR");
  const std::string folder = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  overlay_ = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (overlay_ < 0) {
    std::string name = folder + "/ringshift-XXXXXX";
    overlay_ = mkostemp(name.data(), O_CLOEXEC);
    if (overlay_ >= 0) unlink(name.c_str());
  }
  if (overlay_ >= 0) return {};
  return Error{"cannot create a temporary file in '" + folder + "' for the snapshot of '" + path_ +
               "': " + text_of(errno)};
}

void FileBlockBackend::trouble(const char* what, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  bool& told = reported_[full ? 2 : std::strcmp(what, "read") == 0 ? 0 : 1];
  if (told || !report_) return;
  told = true;
  if (full) {
    report_("disk image '" + path_ + "': no room left on the host (" + text_of(error) +
            "); the guest sees write errors");
  } else {
    report_("disk image '" + path_ + "': " + what + " error (" + text_of(error) +
            "); the guest sees it as an I/O error");
  }
}

// --- Files --------------------------------------------------------------------------------------

bool FileBlockBackend::read_file(int file, u64 offset, std::span<u8> buffer) {
  while (!buffer.empty()) {
    const ssize_t got = pread(file, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      trouble("read", errno);
      return false;
    }
    if (got == 0) {  // behind the file's end
      std::fill(buffer.begin(), buffer.end(), u8{0});
      return true;
    }
    buffer = buffer.subspan(static_cast<std::size_t>(got));
    offset += static_cast<u64>(got);
  }
  return true;
}

bool FileBlockBackend::write_file(int file, u64 offset, std::span<const u8> buffer) {
  while (!buffer.empty()) {
    const ssize_t put = pwrite(file, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (put <= 0) {
      if (put < 0 && errno == EINTR) continue;
      trouble("write", put == 0 ? ENOSPC : errno);
      return false;
    }
    buffer = buffer.subspan(static_cast<std::size_t>(put));
    offset += static_cast<u64>(put);
  }
  return true;
}

// --- The overlay --------------------------------------------------------------------------------

bool FileBlockBackend::read_overlay(u64 offset, std::span<u8> buffer) {
  while (!buffer.empty()) {
    const u64 index = offset / kOverlayBlock;
    const u64 inside = offset % kOverlayBlock;
    const auto length =
        static_cast<std::size_t>(std::min<u64>(kOverlayBlock - inside, buffer.size()));
    const auto found = overlay_blocks_.find(index);
    const bool good =
        found == overlay_blocks_.end()
            ? read_file(file_, offset, buffer.first(length))
            : read_file(overlay_, found->second * kOverlayBlock + inside, buffer.first(length));
    if (!good) return false;
    buffer = buffer.subspan(length);
    offset += length;
  }
  return true;
}

bool FileBlockBackend::make_overlay_block(u64 index, bool copy, u64& place) {
  if (const auto found = overlay_blocks_.find(index); found != overlay_blocks_.end()) {
    place = found->second;
    return true;
  }
  place = overlay_blocks_.size();
  if (copy) {
    std::vector<u8> block(kOverlayBlock);
    if (!read_file(file_, index * kOverlayBlock, block) ||
        !write_file(overlay_, place * kOverlayBlock, block)) {
      return false;
    }
  }
  overlay_blocks_.emplace(index, place);
  return true;
}

bool FileBlockBackend::write_overlay(u64 offset, std::span<const u8> buffer) {
  while (!buffer.empty()) {
    const u64 index = offset / kOverlayBlock;
    const u64 inside = offset % kOverlayBlock;
    const auto length =
        static_cast<std::size_t>(std::min<u64>(kOverlayBlock - inside, buffer.size()));
    const bool known = overlay_blocks_.contains(index);
    u64 place = 0;
    if (!make_overlay_block(index, length != kOverlayBlock, place)) return false;
    if (!write_file(overlay_, place * kOverlayBlock + inside, buffer.first(length))) {
      // A whole block that was never filled must not hide the image; the next one reuses its place.
      if (!known && length == kOverlayBlock) overlay_blocks_.erase(index);
      return false;
    }
    buffer = buffer.subspan(length);
    offset += length;
  }
  return true;
}

// --- Requests -----------------------------------------------------------------------------------

void FileBlockBackend::read(u64 offset, std::span<u8> buffer, Completion completion) {
  const bool inside = offset <= size_ && buffer.size() <= size_ - offset;
  const bool good = inside && (mode_ == Mode::Snapshot ? read_overlay(offset, buffer)
                                                       : read_file(file_, offset, buffer));
  completion(good ? BlockStatus::Done : BlockStatus::Failed);
}

void FileBlockBackend::write(u64 offset, std::span<const u8> buffer, Completion completion) {
  const bool inside = offset <= size_ && buffer.size() <= size_ - offset && !read_only();
  const bool good = inside && (mode_ == Mode::Snapshot ? write_overlay(offset, buffer)
                                                       : write_file(file_, offset, buffer));
  completion(good ? BlockStatus::Done : BlockStatus::Failed);
}

void FileBlockBackend::flush(Completion completion) {
  // What a snapshot holds ends with the process; there is nothing to make durable.
  int result = 0;
  if (mode_ == Mode::ReadWrite) {
    do {
      result = fdatasync(file_);
    } while (result != 0 && errno == EINTR);
    if (result != 0) trouble("write", errno);
  }
  completion(result == 0 ? BlockStatus::Done : BlockStatus::Failed);
}

void FileBlockBackend::discard(u64 offset, u64 length, Completion completion) {
  if (mode_ == Mode::ReadWrite && offset <= size_ && length <= size_ - offset && length != 0) {
    // A hint: file systems without holes refuse, and nothing is lost.
    static_cast<void>(fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset), static_cast<off_t>(length)));
  }
  completion(BlockStatus::Done);
}

}  // namespace ringshift::frontend
