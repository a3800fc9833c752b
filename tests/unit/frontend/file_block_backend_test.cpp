#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "frontend/host/file_block_backend.h"

using namespace ringshift;
using devices::BlockStatus;
using frontend::FileBlockBackend;
using Mode = FileBlockBackend::Mode;

namespace {

class Folder {
 public:
  Folder() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~Folder() {
    for (const std::string& file : files_) {
      if (std::remove(file.c_str()) != 0) rmdir(file.c_str());
    }
    rmdir(path_.c_str());
  }
  std::string name(const std::string& file) {
    files_.push_back(path_ + "/" + file);
    return files_.back();
  }
  std::string image(const std::string& file, std::size_t bytes) {
    std::vector<u8> content(bytes);
    for (std::size_t i = 0; i < bytes; ++i) content[i] = pattern(i);
    std::string at = name(file);
    std::FILE* out = std::fopen(at.c_str(), "wb");
    REQUIRE(out != nullptr);
    if (bytes != 0) REQUIRE(std::fwrite(content.data(), 1, bytes, out) == bytes);
    std::fclose(out);
    return at;
  }
  static u8 pattern(u64 offset) { return static_cast<u8>(offset * 7 + offset / 512); }

 private:
  std::string path_ = "/tmp/ringshift-test-XXXXXX";
  std::vector<std::string> files_;
};

auto open(const std::string& path, Mode mode, std::vector<std::string>* lines = nullptr) {
  return FileBlockBackend::create(path, mode, [lines](std::string line) {
    if (lines != nullptr) lines->push_back(std::move(line));
  });
}

std::vector<u8> read(FileBlockBackend& from, u64 offset, std::size_t length) {
  std::vector<u8> bytes(length, 0xEE);
  BlockStatus status = BlockStatus::NoMedium;
  from.read(offset, bytes, [&](BlockStatus result) { status = result; });
  REQUIRE(status == BlockStatus::Done);
  return bytes;
}

BlockStatus write(FileBlockBackend& to, u64 offset, const std::vector<u8>& bytes) {
  BlockStatus status = BlockStatus::NoMedium;
  to.write(offset, bytes, [&](BlockStatus result) { status = result; });
  return status;
}

std::string failure(const std::string& path, Mode mode) {
  auto result = open(path, mode);
  REQUIRE_FALSE(result);
  return result.error().message;
}

}  // namespace

TEST_CASE("an image is read and written in place") {
  Folder folder;
  const std::string path = folder.image("disk", 10'000);
  {
    auto disk = open(path, Mode::ReadWrite);
    REQUIRE(disk);
    CHECK((*disk)->size() == 10'240);  // whole sectors
    CHECK_FALSE((*disk)->read_only());
    const auto start = read(**disk, 512, 512);
    CHECK(start[3] == Folder::pattern(515));
    const auto end = read(**disk, 9'728, 512);
    CHECK(end[271] == Folder::pattern(9'999));
    CHECK(end[272] == 0);
    CHECK(write(**disk, 1'024, std::vector<u8>(512, 0x42)) == BlockStatus::Done);
    BlockStatus flushed = BlockStatus::Failed;
    (*disk)->flush([&](BlockStatus status) { flushed = status; });
    CHECK(flushed == BlockStatus::Done);
  }
  auto again = open(path, Mode::ReadOnly);
  REQUIRE(again);
  CHECK(read(**again, 1'024, 512) == std::vector<u8>(512, 0x42));
  CHECK((*again)->read_only());
  CHECK(write(**again, 0, std::vector<u8>(512)) == BlockStatus::Failed);
}

TEST_CASE("requests outside the disk fail") {
  Folder folder;
  auto disk = open(folder.image("disk", 1024), Mode::ReadWrite);
  REQUIRE(disk);
  CHECK(write(**disk, 1024, std::vector<u8>(512)) == BlockStatus::Failed);
  CHECK(write(**disk, ~u64{0}, std::vector<u8>(512)) == BlockStatus::Failed);
  std::vector<u8> bytes(2048);
  BlockStatus status = BlockStatus::Done;
  (*disk)->read(0, bytes, [&](BlockStatus result) { status = result; });
  CHECK(status == BlockStatus::Failed);
}

TEST_CASE("what can't be opened is named with its cause") {
  Folder folder;
  using Catch::Contains;
  const std::string missing = folder.name("missing");
  CHECK(failure(missing, Mode::ReadWrite) ==
        "cannot open disk image '" + missing + "': No such file or directory");
  const std::string directory = folder.name("directory");
  REQUIRE(mkdir(directory.c_str(), 0700) == 0);
  CHECK_THAT(failure(directory, Mode::ReadWrite), Contains("it is a directory"));
  CHECK_THAT(failure(directory, Mode::ReadOnly), Contains("it is a directory"));
  CHECK_THAT(failure("/dev/null", Mode::ReadWrite), Contains("it is not a regular file"));
  const std::string fifo = folder.name("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_THAT(failure(fifo, Mode::ReadOnly), Contains("it is not a regular file"));
  CHECK_THAT(failure(folder.image("empty", 0), Mode::ReadOnly), Contains("it is empty"));
  if (geteuid() != 0) {
    const std::string locked = folder.image("read-only", 512);
    REQUIRE(chmod(locked.c_str(), 0400) == 0);
    CHECK_THAT(failure(locked, Mode::ReadWrite), Contains("write-protected"));
    CHECK(open(locked, Mode::Snapshot).ok());
    REQUIRE(chmod(locked.c_str(), 0) == 0);
    CHECK_THAT(failure(locked, Mode::ReadOnly), Contains("Permission denied"));
  }
}

TEST_CASE("one writer or many readers") {
  Folder folder;
  const std::string path = folder.image("disk", 4096);
  {
    auto writer = open(path, Mode::ReadWrite);
    REQUIRE(writer);
    CHECK(failure(path, Mode::ReadWrite) ==
          "cannot open disk image '" + path + "': it is in use by another drive or machine");
    CHECK_FALSE(open(path, Mode::ReadOnly));
    CHECK_FALSE(open(path, Mode::Snapshot));
  }
  auto first = open(path, Mode::ReadOnly);
  auto second = open(path, Mode::Snapshot);
  CHECK(first.ok());
  CHECK(second.ok());
  CHECK_FALSE(open(path, Mode::ReadWrite));
}

TEST_CASE("a snapshot keeps the image as it was") {
  Folder folder;
  const std::string path = folder.image("disk", 300'000);
  {
    auto disk = open(path, Mode::Snapshot);
    REQUIRE(disk);
    CHECK_FALSE((*disk)->read_only());
    // Across two blocks of the overlay, then a whole block, then over both.
    CHECK(write(**disk, 65'000, std::vector<u8>(1'000, 0xA1)) == BlockStatus::Done);
    CHECK(write(**disk, 131'072, std::vector<u8>(65'536, 0xB2)) == BlockStatus::Done);
    const auto bytes = read(**disk, 64'512, 140'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const u64 offset = 64'512 + i;
      const u8 expected = offset >= 65'000 && offset < 66'000     ? 0xA1
                          : offset >= 131'072 && offset < 196'608 ? 0xB2
                                                                  : Folder::pattern(offset);
      if (bytes[i] != expected) FAIL("differs at " << offset);
    }
    CHECK(write(**disk, 65'500, std::vector<u8>(100, 0xC3)) == BlockStatus::Done);
    CHECK(read(**disk, 65'500, 1)[0] == 0xC3);
    CHECK(read(**disk, 65'600, 1)[0] == 0xA1);
    BlockStatus flushed = BlockStatus::Failed;
    (*disk)->flush([&](BlockStatus status) { flushed = status; });
    CHECK(flushed == BlockStatus::Done);
    (*disk)->discard(0, 4096, [](BlockStatus) {});
  }
  auto after = open(path, Mode::ReadOnly);
  const auto bytes = read(**after, 0, 299'008);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != Folder::pattern(i)) FAIL("image changed at " << i);
  }
}

TEST_CASE("discarded ranges are still inside the disk") {
  Folder folder;
  const std::string path = folder.image("disk", 1 << 20);
  auto disk = open(path, Mode::ReadWrite);
  BlockStatus status = BlockStatus::Failed;
  (*disk)->discard(65'536, 65'536, [&](BlockStatus result) { status = result; });
  CHECK(status == BlockStatus::Done);
  CHECK((*disk)->size() == 1 << 20);
  CHECK(read(**disk, 65'535, 1)[0] == Folder::pattern(65'535));
  CHECK(read(**disk, 131'072, 1)[0] == Folder::pattern(131'072));
}

TEST_CASE("a full host disk fails the write and is told once") {
  Folder folder;
  const std::string path = folder.image("disk", 1 << 20);
  std::vector<std::string> lines;
  auto disk = open(path, Mode::Snapshot, &lines);
  REQUIRE(disk);
  // A file size limit stands in for a full file system: both end a write early.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 100'000;
  setrlimit(RLIMIT_FSIZE, &small);
  const auto first = write(**disk, 0, std::vector<u8>(65'536, 1));
  const auto second = write(**disk, 65'536, std::vector<u8>(65'536, 2));
  const auto third = write(**disk, 131'072, std::vector<u8>(512, 3));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(first == BlockStatus::Done);
  CHECK(second == BlockStatus::Failed);
  CHECK(third == BlockStatus::Failed);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Catch::Contains(path) && Catch::Contains("no room left"));
  CHECK(read(**disk, 0, 1)[0] == 1);
  CHECK(read(**disk, 65'536, 1)[0] == Folder::pattern(65'536));  // the failed block hides nothing
  CHECK(read(**disk, 131'072, 1)[0] == Folder::pattern(131'072));
  CHECK(write(**disk, 131'072, std::vector<u8>(512, 3)) == BlockStatus::Done);
  CHECK(read(**disk, 131'072, 1)[0] == 3);
  CHECK(read(**disk, 131'584, 1)[0] == Folder::pattern(131'584));
}
