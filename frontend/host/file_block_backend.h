// A raw disk or CD image in a file of the host. Requests are done at once, with pread and pwrite:
// the host's page cache makes them short, and a guest that needs its data on stable storage says so
// with a flush. The file is locked, so that two machines can't write to one image.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "cpu/result.h"
#include "devices/backends.h"

namespace ringshift::frontend {

class FileBlockBackend final : public devices::BlockBackend {
 public:
  enum class Mode : u8 {
    ReadWrite,
    ReadOnly,
    Snapshot  ///< The guest may write; what it writes goes to a temporary file and is lost at the
              ///< end.
  };
  /// Tells the person of trouble that the guest only sees as an I/O error; called once for each
  /// kind.
  using Report = std::function<void(std::string)>;

  /// Opens the image at `path`. Fails with one line naming the file and the cause when it is
  /// missing, can't be read (or written, in ReadWrite mode), is no regular file, is empty, or is in
  /// use.
  static Result<std::unique_ptr<FileBlockBackend>> create(const std::string& path, Mode mode,
                                                          Report report);
  ~FileBlockBackend() override;
  FileBlockBackend(const FileBlockBackend&) = delete;
  FileBlockBackend& operator=(const FileBlockBackend&) = delete;

  /// The file's size, rounded up to whole sectors of 512 bytes; the added bytes read as zero.
  u64 size() const override { return size_; }
  bool read_only() const override { return mode_ == Mode::ReadOnly; }
  void read(u64 offset, std::span<u8> buffer, Completion completion) override;
  void write(u64 offset, std::span<const u8> buffer, Completion completion) override;
  void flush(Completion completion) override;
  /// Gives the range's space back to the host where the file system can; it reads as zeros then.
  void discard(u64 offset, u64 length, Completion completion) override;

 private:
  /// A piece of the guest's disk that has been written to in Snapshot mode.
  static constexpr u64 kOverlayBlock = 64 * 1024;

  FileBlockBackend(std::string path, Mode mode, int file, u64 size, Report report);
  Result<void> lock() const;
  Result<void> open_overlay();
  bool read_overlay(u64 offset, std::span<u8> buffer);
  bool write_overlay(u64 offset, std::span<const u8> buffer);
  /// Where in the overlay block `index` is; copied there from the image if it must be.
  bool make_overlay_block(u64 index, bool copy, u64& place);
  bool read_file(int file, u64 offset, std::span<u8> buffer);
  bool write_file(int file, u64 offset, std::span<const u8> buffer);
  void trouble(const char* what, int error);

  std::string path_;
  Mode mode_;
  int file_;
  u64 size_;
  Report report_;
  int overlay_ = -1;
  std::unordered_map<u64, u64> overlay_blocks_;  // block of the disk → block of the overlay
  bool reported_[3] = {};                        // reading, writing, disk full
};

}  // namespace ringshift::frontend
