#include "frontend/session.h"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iostream>
#include <thread>
#include <utility>

#include "frontend/host/png_writer.h"
#include "frontend/report.h"

namespace ringshift::frontend {

namespace {

constexpr double kScreenInterval = 0.05;  ///< how often expectations look at the screen, seconds
constexpr double kFrameInterval = 1.0 / 60;

double monotonic_seconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

constexpr const char* kTerminalHelp =
    "\r\nCtrl-A x  quit\r\nCtrl-A c  send Ctrl-C to the guest\r\nCtrl-A a  send Ctrl-A\r\n"
    "Ctrl-A h  this help\r\n";

}  // namespace

double Session::elapsed() const {
  return monotonic_seconds() - started_;
}

void Session::start() {
  started_ = monotonic_seconds();
  const bool stdio = std::any_of(lines_.begin(), lines_.end(), [](const Line& line) {
    return line.endpoint->kind() == SerialTarget::Kind::Stdio;
  });
  if (stdio) terminal_ = std::make_unique<TerminalGuard>(STDIN_FILENO);
  vcpu_ = std::make_unique<std::thread>([this] {
    machine_end_ = machine_->run();
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    cpu_seconds_ = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
    machine_ended_ = true;
    wake_.wake();
  });
}

int Session::run() {
  start();
  while (ended_ == Ended::No) step();
  finish_machine();
  return conclude();
}

int Session::poll_timeout() const {
  double until = dialogue_.next_deadline();
  const double now = elapsed();
  if (options_.timeout) until = std::min(until, *options_.timeout);
  if (window_) until = std::min(until, now + kFrameInterval);
  if (dialogue_.wants_screen()) until = std::min(until, std::max(next_look_, now));
  if (!std::isfinite(until)) return -1;
  return static_cast<int>(std::clamp(std::ceil((until - now) * 1000), 0.0, 1e6));
}

void Session::step() {
  // A UART sends byte after byte: those behind the first are left to gather, not fetched singly.
  constexpr int kGatherMilliseconds = 5;
  const bool gather = std::exchange(took_output_, false);
  std::vector<pollfd> files = {{signals_.file(), POLLIN, 0}};
  if (!gather) files.push_back({wake_.file(), POLLIN, 0});
  for (const Line& line : lines_) {
    if (line.endpoint->input() >= 0) files.push_back({line.endpoint->input(), POLLIN, 0});
    if (!line.unwritten.empty()) files.push_back({line.endpoint->output(), POLLOUT, 0});
  }
  poll(files.data(), files.size(), gather ? kGatherMilliseconds : poll_timeout());
  wake_.clear();
  while (const int number = signals_.next()) handle_signal(number);
  for (std::size_t i = 0; i < lines_.size(); ++i) serve_line(i);
  if (dialogue_.wants_screen() && elapsed() >= next_look_) {
    ask_for_screen();
    next_look_ = elapsed() + kScreenInterval;
  }
  if (window_) serve_window();
  look_at_screen();
  dialogue_.advance(elapsed());
  check_end();
}

void Session::serve_line(std::size_t number) {
  Line& line = lines_[number];
  // Output that the far end isn't taking stays in the link, which holds the guest back.
  if (line.unwritten.empty()) {
    line.unwritten = line.link->take_output();
    took_output_ = took_output_ || !line.unwritten.empty();
    if (number == 0) dialogue_.on_serial(line.unwritten);
  }
  const std::size_t written = line.endpoint->write(line.unwritten);
  line.unwritten.erase(0, written);
  if (line.endpoint->input() < 0) return;
  const std::string bytes = line.endpoint->read();
  if (bytes.empty()) return;
  if (terminal_ && terminal_->is_terminal() && line.endpoint->kind() == SerialTarget::Kind::Stdio) {
    take_terminal_input(bytes);
  } else {
    machine_->post([link = line.link.get(), bytes] { link->receive(bytes); });
  }
}

void Session::take_terminal_input(const std::string& bytes) {
  constexpr char kControlA = 1;
  std::string forward;
  for (const char byte : bytes) {
    if (terminal_escape_) {
      terminal_escape_ = false;
      if (byte == 'c') {
        forward += '\x03';
      } else if (byte == 'a' || byte == kControlA) {
        forward += kControlA;
      } else if (!terminal_command(byte)) {
        forward += byte;
      }
    } else if (byte == kControlA) {
      terminal_escape_ = true;
    } else {
      forward += byte;
    }
  }
  if (forward.empty()) return;
  for (Line& line : lines_) {
    if (line.endpoint->kind() != SerialTarget::Kind::Stdio) continue;
    machine_->post([link = line.link.get(), forward] { link->receive(forward); });
  }
}

bool Session::terminal_command(char command) {
  switch (command) {
    case 'x':
      ended_ = Ended::Quit;
      return true;
    case 'h':
    case '?':
      std::cerr << kTerminalHelp;
      return true;
    default:
      return false;
  }
}

void Session::ask_for_screen() {
  if (screen_.asked.exchange(true)) return;
  const bool with_frame = window_ != nullptr;
  machine_->post([this, with_frame] {
    devices::ScreenSource& source = machine_->board().screen();
    const devices::TextScreen text = source.text();
    {
      const std::lock_guard lock(screen_.mutex);
      screen_.text.clear();
      for (unsigned row = 0; text.is_text() && row < text.rows; ++row) {
        screen_.text += text.row(row) + '\n';
      }
      if (with_frame && source.changed()) {
        source.render(screen_.frame);
        screen_.fresh_frame = true;
      }
      screen_.fresh = true;
    }
    screen_.asked = false;
    wake_.wake();
  });
}

void Session::look_at_screen() {
  const std::lock_guard lock(screen_.mutex);
  if (!screen_.fresh) return;
  screen_.fresh = false;
  dialogue_.on_screen(screen_.text);
  if (window_ && screen_.fresh_frame) window_->show(screen_.frame);
  screen_.fresh_frame = false;
}

void Session::serve_window() {
  ask_for_screen();
  for (const WindowEvent& event : window_->poll()) {
    if (const auto* key = std::get_if<KeyEvent>(&event)) {
      send_key(key->key, key->pressed);
    } else if (const auto* motion = std::get_if<devices::PointerMotion>(&event)) {
      machine_->post([this, moved = *motion] { machine_->board().pointer().pointer(moved); });
    } else {
      ended_ = Ended::Quit;
    }
  }
}

void Session::handle_signal(int number) {
  if (number == SIGCONT) {
    if (terminal_) terminal_->make_raw();
    return;
  }
  signal_ = number;
  ended_ = Ended::Signal;
}

void Session::check_end() {
  if (ended_ != Ended::No) return;
  if (dialogue_.failure()) {
    ended_ = Ended::Failed;
  } else if (dialogue_.met()) {
    ended_ = Ended::Met;
  } else if (machine_ended_) {
    ended_ = Ended::Guest;
  } else if (options_.timeout && elapsed() >= *options_.timeout) {
    ended_ = Ended::Timeout;
  }
}

void Session::finish_machine() {
  for (Line& line : lines_) line.link->close();
  if (ended_ != Ended::Guest) machine_->stop();
  vcpu_->join();
  // What the guest said last counts, too.
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    Line& line = lines_[i];
    std::string rest = line.unwritten;
    const std::string last = line.link->take_output();
    if (i == 0) dialogue_.on_serial(last);
    rest += last;
    line.endpoint->write(rest);
  }
  const devices::TextScreen text = machine_->board().screen().text();
  std::string rows;
  for (unsigned row = 0; text.is_text() && row < text.rows; ++row) rows += text.row(row) + '\n';
  dialogue_.on_screen(rows);
  dialogue_.advance(elapsed());
  if (ended_ == Ended::Guest) {
    if (dialogue_.failure()) ended_ = Ended::Failed;
    if (dialogue_.met()) ended_ = Ended::Met;
  }
  if (!options_.screenshot.empty()) take_screenshot(options_.screenshot);
  if (terminal_) terminal_->restore();
}

void Session::send_serial(const std::string& bytes) {
  if (lines_.empty()) return;
  machine_->post([link = lines_[0].link.get(), bytes] { link->receive(bytes); });
}

void Session::send_key(devices::KeyCode key, bool pressed) {
  keys_.ready = false;
  machine_->post([this, key, pressed] { machine_->board().keyboard().key(key, pressed); });
}

/// The keyboard is asked on the vCPU's thread, which answers for the next time.
bool Session::ready_for_key() {
  // By then the guest doesn't listen, and loses keys as it would lose a person's.
  constexpr unsigned kMostAnswers = 200;
  if (keys_.ready) return true;
  if (keys_.asked.exchange(true)) return false;
  machine_->post([this] {
    if (machine_->board().keyboard().ready_for_key() || ++keys_.refused == kMostAnswers) {
      keys_.refused = 0;
      keys_.ready = true;
    }
    keys_.asked = false;
  });
  return false;
}

void Session::take_screenshot(const std::string& path) {
  const auto write = [this, path] {
    devices::Frame frame;
    machine_->board().screen().render(frame);
    if (const auto written = write_png(path, frame); !written) {
      std::cerr << "ringshift: " << written.error().message << '\n';
    }
  };
  if (ended_ == Ended::No) {
    machine_->post(write);
  } else {
    write();
  }
}

int Session::guest_status(std::string& reason) const {
  switch (machine_end_.reason) {
    case MachineEnd::Reason::PowerOff:
      if (const auto unmet = dialogue_.unmet()) {
        reason = "the guest powered off before " + *unmet + " was met";
        return exit_status::kGuestFailure;
      }
      return exit_status::kSuccess;
    case MachineEnd::Reason::Reset:
      reason = "the guest reset the machine (--no-reboot)";
      break;
    case MachineEnd::Reason::TripleFault:
      reason = "the guest triple-faulted (--no-reboot)";
      break;
    case MachineEnd::Reason::Panic:
      reason = "the guest reported a panic (pvpanic)";
      break;
    case MachineEnd::Reason::DebugExit:
      return static_cast<int>(((machine_end_.value << 1) | 1) & 0xFF);
    case MachineEnd::Reason::Stopped:
      return exit_status::kSuccess;
    case MachineEnd::Reason::HostFailure:
      reason = machine_end_.message;
      return exit_status::kHostError;
  }
  return exit_status::kGuestFailure;
}

int Session::conclude() {
  std::string reason;
  int status = exit_status::kSuccess;
  switch (ended_) {
    case Ended::No:
    case Ended::Met:
    case Ended::Quit:
      break;
    case Ended::Guest:
      status = guest_status(reason);
      break;
    case Ended::Failed:
      reason = *dialogue_.failure();
      status = exit_status::kGuestFailure;
      break;
    case Ended::Timeout:
      reason = "time out after " + format_seconds(*options_.timeout);
      if (const auto unmet = dialogue_.unmet()) reason += " waiting for " + *unmet;
      status = exit_status::kTimeout;
      break;
    case Ended::Signal:
      status = exit_status::kSignalBase + signal_;
      break;
  }
  if (!reason.empty()) report_failure(reason);
  if (options_.statistics) write_statistics();
  return status;
}

void Session::report_failure(const std::string& reason) {
  std::cerr << "\nringshift: " << reason << '\n';
  if (!dialogue_.screen().empty()) {
    std::cerr << "--- last screen ---\n" << without_blank_tail(dialogue_.screen());
  }
  if (const std::string serial = dialogue_.serial().last_lines(20); !serial.empty()) {
    std::cerr << "--- last serial lines ---\n" << serial << '\n';
  }
  if (ended_ == Ended::Guest && machine_end_.reason != MachineEnd::Reason::HostFailure) {
    std::cerr << "--- registers ---\n" << format_registers(machine_end_.state);
  }
}

void Session::write_statistics() {
  RunStatistics statistics;
  statistics.engine_name = machine_->engine().name();
  statistics.engine = machine_->engine().statistics();
  statistics.wall_seconds = elapsed();
  statistics.cpu_seconds = cpu_seconds_;
  statistics.guest_memory = options_.memory;
  statistics.resident_guest_memory = machine_->resident_guest_memory();
  if (options_.statistics_file.empty()) {
    std::cerr << statistics.to_text();
  } else if (const auto written = statistics.write_json(options_.statistics_file); !written) {
    std::cerr << "ringshift: " << written.error().message << '\n';
  }
}

}  // namespace ringshift::frontend
