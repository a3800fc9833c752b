// A guest's byte stream into a host file: LPT1's output, the debug consoles.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "cpu/result.h"
#include "devices/backends.h"

namespace ringshift::frontend {

class FileOutput final : public devices::CharacterBackend {
 public:
  using Complain = std::function<void(const std::string&)>;

  /// Creates or truncates the file. `what` names the stream in messages; `complain` gets one line
  /// if a write fails later (disk full), after which output is dropped.
  static Result<std::unique_ptr<FileOutput>> create(const std::string& path,
                                                    const std::string& what, Complain complain);
  ~FileOutput() override;

  void transmit(u8 byte) override;

 private:
  FileOutput(std::FILE* file, std::string name, Complain complain)
      : file_(file), name_(std::move(name)), complain_(std::move(complain)) {}
  void fail();

  std::FILE* file_;
  std::string name_;
  Complain complain_;
};

}  // namespace ringshift::frontend
