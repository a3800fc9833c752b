#include "bios/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ringshift::bios {

namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

Error failure(std::string_view purpose, const std::string& path, const std::string& why) {
  return Error{std::string(purpose) + " '" + path + "': " + why};
}

}  // namespace

Result<std::vector<u8>> read_host_file(const std::string& path, std::string_view purpose,
                                       u64 most) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.number() < 0 || ::fstat(file.number(), &status) != 0) {
    return failure(purpose, path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) return failure(purpose, path, "not a regular file");
  const auto size = static_cast<u64>(status.st_size);
  if (size > most) {
    return failure(purpose, path,
                   "is " + std::to_string(size) + " bytes long, more than the " +
                       std::to_string(most) + " that are allowed");
  }
  std::vector<u8> content(size);
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::read(file.number(), content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(purpose, path, std::strerror(errno));
    if (got == 0) return failure(purpose, path, "became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
  return content;
}

}  // namespace ringshift::bios
