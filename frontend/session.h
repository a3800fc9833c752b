// One `ringshift run`: a machine on its vCPU thread, and this thread serving everything on the
// host's side (terminal, sockets, signals, time-out, dialogue, window) until the guest or the
// person ends it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "frontend/dialogue/dialogue.h"
#include "frontend/host/serial_endpoint.h"
#include "frontend/host/serial_link.h"
#include "frontend/host/signals.h"
#include "frontend/host/terminal.h"
#include "frontend/host/wake_event.h"
#include "frontend/machine.h"
#include "frontend/options.h"
#include "frontend/window.h"

namespace ringshift::frontend {

class Session final : private DialogueActions {
 public:
  /// Opens everything that the options name. Errors are one clear line each.
  static Result<std::unique_ptr<Session>> create(const RunOptions& options);
  ~Session() override;

  /// Runs to the end; the exit status.
  int run();

 private:
  /// A serial line with both of its ends.
  struct Line {
    std::unique_ptr<SerialEndpoint> endpoint;
    std::unique_ptr<SerialLink> link;
    std::string unwritten;
  };
  /// What the vCPU's thread last saw on the screen, for this thread.
  struct ScreenMailbox {
    std::mutex mutex;
    devices::Frame frame;
    std::string text;
    bool fresh = false;
    bool fresh_frame = false;
    std::atomic<bool> asked = false;
  };
  /// Whether the guest takes keys.
  struct KeyMailbox {
    std::atomic<bool> ready = true;
    std::atomic<bool> asked = false;
    unsigned refused = 0;  ///< answers in a row that it doesn't; the vCPU's thread's
  };
  enum class Ended : u8 { No, Guest, Met, Failed, Timeout, Signal, Quit };

  explicit Session(const RunOptions& options);
  Result<void> open_lines();
  enum class ImageUse : u8 { Floppy, Cd, Disk };
  Result<devices::BlockBackend*> open_image(const std::string& path, ImageUse use);
  Result<void> open_drives(devices::BoardConfig& board);
  Result<void> open_machine();
  void start();
  void finish_machine();

  void step();
  int poll_timeout() const;
  void serve_line(std::size_t number);
  void take_terminal_input(const std::string& bytes);
  bool terminal_command(char command);
  void look_at_screen();
  void ask_for_screen();
  void serve_window();
  void handle_signal(int number);
  void check_end();
  double elapsed() const;

  void send_serial(const std::string& bytes) override;
  void send_key(devices::KeyCode key, bool pressed) override;
  bool ready_for_key() override;
  void take_screenshot(const std::string& path) override;

  int conclude();
  int guest_status(std::string& reason) const;
  void report_failure(const std::string& reason);
  void write_statistics();

  RunOptions options_;
  WakeEvent wake_;
  SignalReader signals_;
  Dialogue dialogue_;
  std::vector<Line> lines_;
  std::vector<std::unique_ptr<devices::CharacterBackend>> outputs_;  ///< LPT1, debug console
  std::vector<std::unique_ptr<devices::BlockBackend>> images_;
  std::unique_ptr<Window> window_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<TerminalGuard> terminal_;
  std::unique_ptr<std::thread> vcpu_;
  std::atomic<bool> machine_ended_ = false;
  MachineEnd machine_end_;
  ScreenMailbox screen_;
  KeyMailbox keys_;
  bool terminal_escape_ = false;
  bool took_output_ = false;  ///< in the last step

  Ended ended_ = Ended::No;
  int signal_ = 0;
  double started_ = 0;
  double cpu_seconds_ = 0;
  double next_look_ = 0;
};

}  // namespace ringshift::frontend
