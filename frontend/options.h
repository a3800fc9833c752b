// What a person may ask for on the command line, checked and in plain data, so that everything
// after parsing is independent of the command line's library and syntax.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cpu/types.h"
#include "frontend/engine_factory.h"

namespace ringshift::frontend {

/// Exit statuses of `ringshift` (README, "Exit statuses").
namespace exit_status {
inline constexpr int kSuccess = 0;
inline constexpr int kGuestFailure = 1;
inline constexpr int kUsage = 2;
inline constexpr int kHostError = 3;
inline constexpr int kTimeout = 124;
inline constexpr int kSignalBase = 128;  ///< plus the signal's number
}  // namespace exit_status

enum class Display : u8 { Automatic, Sdl, None };

/// Where a serial line ends on the host.
struct SerialTarget {
  enum class Kind : u8 { Stdio, File, UnixSocket, Pty, None };
  Kind kind = Kind::None;
  std::string path;
};

/// One step of a dialogue with the guest.
struct DialogueStep {
  enum class Kind : u8 { Expect, Send, Wait, Screenshot };
  Kind kind = Kind::Expect;
  std::string text;    ///< regular expression, text to send, or file
  double seconds = 0;  ///< Wait
  std::string origin;  ///< "--expect" or "script.txt:12", for messages
};

struct RunOptions {
  std::string image;
  u64 memory = u64{256} << 20;  ///< bytes
  std::string kernel;
  std::string initrd;
  std::vector<std::string> modules;  ///< Multiboot modules, "FILE arguments"
  std::string append;
  std::vector<std::string> floppies;
  std::optional<std::string> cdrom;
  std::vector<std::string> disks;
  std::string boot;  ///< letters of a, c, d in order; empty: default
  bool snapshot = false;
  std::string bios;
  Display display = Display::Automatic;
  std::vector<SerialTarget> serial;  ///< COM1, COM2
  std::string parallel;              ///< file for LPT1's output
  std::string debug_console;         ///< file for ports 402h and E9h
  std::vector<DialogueStep> dialogue;
  std::vector<std::string> fail_on;
  bool allow_panic = false;
  std::optional<double> timeout;  ///< seconds
  bool no_reboot = false;
  std::optional<u16> debug_exit;
  std::string screenshot;
  EngineConfig engine;
  bool statistics = false;
  std::string statistics_file;
};

struct DevicesCommand {};
struct VersionCommand {};
struct CompletionCommand {};
/// Parsing has said all there is to say (help, or what was wrong): leave with `status`.
struct Leave {
  int status = 0;
};

using Command = std::variant<RunOptions, DevicesCommand, VersionCommand, CompletionCommand, Leave>;

/// Parses the command line; prints help or one line about what is wrong with it.
Command parse_command_line(int argc, const char* const* argv);

/// "256M", "1G", "640K", "64" (MiB): bytes; nothing if it isn't such a size or overflows.
std::optional<u64> parse_size(const std::string& text);

/// Names of all options of `run`, for completion.
std::vector<std::string> run_option_names();

}  // namespace ringshift::frontend
