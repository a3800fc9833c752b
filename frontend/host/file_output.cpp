#include "frontend/host/file_output.h"

#include <cerrno>
#include <cstring>

namespace ringshift::frontend {

Result<std::unique_ptr<FileOutput>> FileOutput::create(const std::string& path,
                                                       const std::string& what, Complain complain) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  const std::string name = what + " '" + path + "'";
  if (file == nullptr) return Error{name + ": " + std::strerror(errno)};
  return std::unique_ptr<FileOutput>(new FileOutput(file, name, std::move(complain)));
}

FileOutput::~FileOutput() {
  if (file_ != nullptr && std::fclose(file_) != 0) complain_(name_ + ": " + std::strerror(errno));
}

void FileOutput::transmit(u8 byte) {
  if (file_ == nullptr) return;
  // A line at a time: a log is read while the guest runs, and one byte a system call is too dear.
  if (std::fputc(byte, file_) == EOF || (byte == '\n' && std::fflush(file_) != 0)) fail();
}

void FileOutput::fail() {
  complain_(name_ + ": " + std::strerror(errno));
  std::fclose(file_);
  file_ = nullptr;
}

}  // namespace ringshift::frontend
