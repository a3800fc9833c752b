// The host's end of a serial line: the terminal, a file, a UNIX socket or a pseudo-terminal. All
// are file descriptors that the session's poll loop serves; none is ever waited for.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cpu/result.h"
#include "cpu/types.h"
#include "frontend/options.h"

namespace ringshift::frontend {

class SerialEndpoint {
 public:
  static Result<std::unique_ptr<SerialEndpoint>> open(const SerialTarget& target);
  ~SerialEndpoint();
  SerialEndpoint(const SerialEndpoint&) = delete;
  SerialEndpoint& operator=(const SerialEndpoint&) = delete;

  /// The descriptor to poll for input now (a listening socket while nobody is connected), or -1.
  int input() const;
  /// Reads what is there; accepts a connection; notices the end of input. Never blocks.
  std::string read();
  /// Writes what can be written without blocking and returns how much that was; output with nobody
  /// at the far end counts as written.
  std::size_t write(std::span<const char> bytes);
  /// The descriptor to poll for room to write, when `write` took less than all.
  int output() const { return output_; }
  /// A line for the person once the endpoint is open ("serial line on /dev/pts/3"), or empty.
  const std::string& announcement() const { return announcement_; }
  SerialTarget::Kind kind() const { return target_.kind; }

 private:
  explicit SerialEndpoint(SerialTarget target) : target_(std::move(target)) {}
  Result<void> open_file();
  Result<void> open_socket();
  Result<void> open_pty();
  void hang_up();

  SerialTarget target_;
  int input_ = -1;
  int output_ = -1;
  int listening_ = -1;
  bool owned_ = false;  ///< whether to close input_/output_
  std::string announcement_;
};

}  // namespace ringshift::frontend
