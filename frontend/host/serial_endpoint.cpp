#include "frontend/host/serial_endpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ringshift::frontend {

namespace {

Error failure(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

}  // namespace

Result<std::unique_ptr<SerialEndpoint>> SerialEndpoint::open(const SerialTarget& target) {
  std::unique_ptr<SerialEndpoint> endpoint(new SerialEndpoint(target));
  Result<void> opened;
  switch (target.kind) {
    case SerialTarget::Kind::Stdio:
      endpoint->input_ = STDIN_FILENO;
      endpoint->output_ = STDOUT_FILENO;
      break;
    case SerialTarget::Kind::File:
      opened = endpoint->open_file();
      break;
    case SerialTarget::Kind::UnixSocket:
      opened = endpoint->open_socket();
      break;
    case SerialTarget::Kind::Pty:
      opened = endpoint->open_pty();
      break;
    case SerialTarget::Kind::None:
      break;
  }
  if (!opened) return opened.error();
  return endpoint;
}

Result<void> SerialEndpoint::open_file() {
  output_ = ::open(target_.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (output_ < 0) return failure("serial file '" + target_.path + "'");
  owned_ = true;
  return {};
}

Result<void> SerialEndpoint::open_socket() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string what = "serial socket '" + target_.path + "'";
  if (target_.path.size() >= sizeof address.sun_path) return Error{what + ": path too long"};
  std::memcpy(address.sun_path, target_.path.data(), target_.path.size());
  struct stat existing {};
  if (lstat(target_.path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode)) return Error{what + ": exists and is not a socket"};
    unlink(target_.path.c_str());
  }
  listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (listening_ < 0 || bind(listening_, generic, sizeof address) != 0 ||
      listen(listening_, 1) != 0) {
    return failure(what);
  }
  owned_ = true;
  return {};
}

Result<void> SerialEndpoint::open_pty() {
  const int controller = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  char name[128] = {};
  if (controller < 0 || grantpt(controller) != 0 || unlockpt(controller) != 0 ||
      ptsname_r(controller, name, sizeof name) != 0) {
    const Error error = failure("pseudo-terminal");
    if (controller >= 0) close(controller);
    return error;
  }
  termios settings{};
  if (tcgetattr(controller, &settings) == 0) {
    cfmakeraw(&settings);
    tcsetattr(controller, TCSANOW, &settings);
  }
  fcntl(controller, F_SETFL, O_NONBLOCK);
  input_ = output_ = controller;
  owned_ = true;
  announcement_ = std::string("serial line on ") + name;
  return {};
}

SerialEndpoint::~SerialEndpoint() {
  if (owned_) hang_up();
  if (listening_ >= 0) {
    close(listening_);
    unlink(target_.path.c_str());
  }
}

void SerialEndpoint::hang_up() {
  if (owned_ && output_ >= 0) close(output_);
  if (owned_ && input_ >= 0 && input_ != output_) close(input_);
  input_ = output_ = -1;
}

int SerialEndpoint::input() const {
  return input_ >= 0 ? input_ : listening_;
}

std::string SerialEndpoint::read() {
  if (input_ < 0) {
    if (listening_ < 0) return {};
    input_ = output_ = accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return {};
  }
  // The terminal isn't ours to make non-blocking (others share it): ask before reading.
  pollfd ready{input_, POLLIN, 0};
  if (poll(&ready, 1, 0) <= 0) return {};
  char buffer[4096];
  const ssize_t count = ::read(input_, buffer, sizeof buffer);
  if (count > 0) return std::string(buffer, static_cast<std::size_t>(count));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (target_.kind == SerialTarget::Kind::UnixSocket) {
    hang_up();
  } else if (target_.kind == SerialTarget::Kind::Stdio) {
    input_ = -1;  // end of input; output goes on
  }
  return {};
}

std::size_t SerialEndpoint::write(std::span<const char> bytes) {
  if (output_ < 0) return bytes.size();
  std::size_t done = 0;
  while (done < bytes.size()) {
    pollfd ready{output_, POLLOUT, 0};
    if (poll(&ready, 1, 0) <= 0) return done;
    // A pipe with room for PIPE_BUF bytes takes that much without blocking, and no more for sure.
    const std::size_t piece = std::min<std::size_t>(bytes.size() - done, 512);
    const ssize_t count = target_.kind == SerialTarget::Kind::UnixSocket
                              ? send(output_, bytes.data() + done, piece, MSG_NOSIGNAL)
                              : ::write(output_, bytes.data() + done, piece);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EINTR) {
      return done;
    } else {
      // The reader has gone, the disk is full, or nobody has opened the pseudo-terminal: the guest
      // goes on, as with a pulled plug.
      if (target_.kind == SerialTarget::Kind::UnixSocket) hang_up();
      return bytes.size();
    }
  }
  return done;
}

}  // namespace ringshift::frontend
