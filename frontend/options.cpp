#include "frontend/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "frontend/dialogue/matcher.h"
#include "frontend/dialogue/script.h"
#include "frontend/dialogue/typing.h"

namespace ringshift::frontend {

namespace {

/// What CLI11 fills before checks turn it into RunOptions.
struct RawRun {
  RunOptions options;
  std::string memory = "256M";
  unsigned cpus = 1;
  std::string cdrom;
  std::vector<std::string> expect, send, script, serial;
  std::string display, debug_exit, statistics, dump_blocks;
  std::string engine{engine_name(kDefaultEngine)};
  std::vector<std::string> disable_opt;
  double timeout = 0;
};

/// What CLI11 gives a flag that stands without a value.
constexpr const char* kNoValue = "true";

constexpr const char* kRunFooter =
    "Sizes take K, M or G; a plain number is MiB. --expect, --send and --script are steps of one\n"
    "dialogue, done in the order given. On a serial terminal Ctrl-A x quits, Ctrl-A h helps.\n"
    "Exit status: 0 power-off or all expectations met; 1 the guest failed (expectation, "
    "--fail-on,\n"
    "panic, reset under --no-reboot); 2 usage; 3 host error; 124 time-out; (value<<1)|1 from\n"
    "--debug-exit; 128+N signal N.";

/// An option that may be given several times, one value each time. CLI11 by itself would give it
/// all words that follow, IMAGE among them.
CLI::Option* add_repeatable(CLI::App& run, const std::string& name,
                            std::vector<std::string>& values, const std::string& description) {
  return run.add_option(name, values, description)
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

void add_run_options(CLI::App& run, RawRun& raw) {
  RunOptions& o = raw.options;
  run.add_option("IMAGE", o.image,
                 "Image to boot: disk, CD, floppy, bzImage or Multiboot kernel, "
                 "recognised by its content");
  run.add_option("-m,--memory", raw.memory, "Guest memory [256M]");
  run.add_option("--cpus", raw.cpus, "Number of processors; this version has one")
      ->check(CLI::Range(1U, 1U));
  run.add_option("--kernel", o.kernel, "Linux bzImage or Multiboot kernel to boot directly");
  run.add_option("--initrd", o.initrd, "Initial ramdisk for --kernel");
  add_repeatable(run, "--module", o.modules, "Multiboot module, \"FILE arguments\"; repeatable");
  run.add_option("--append", o.append, "Command line for --kernel");
  add_repeatable(run, "--floppy", o.floppies, "Floppy image; twice for two drives");
  run.add_option("--cdrom", raw.cdrom, "CD-ROM image");
  add_repeatable(run, "--disk", o.disks, "Hard disk image; repeatable");
  run.add_option("--boot", o.boot, "Boot order, letters of a (floppy), c (disk), d (CD)");
  run.add_flag("--snapshot", o.snapshot, "Keep writes in temporary files; images stay untouched");
  run.add_option("--bios", o.bios, "Firmware ROM instead of SeaBIOS, 64 KiB to 4 MiB");
  run.add_option("--display", raw.display, "sdl or none [sdl if there is a display]")
      ->check(CLI::IsMember({"sdl", "none"}));
  add_repeatable(run, "--serial", raw.serial,
                 "COM1, then COM2: stdio, file:F, unix:F, pty or none [stdio without a window]");
  run.add_option("--parallel", o.parallel, "File for LPT1's output");
  run.add_option("--debug-console", o.debug_console, "File for output to ports 402h and E9h");
  add_repeatable(run, "--expect", raw.expect, "Wait for REGEX on the serial line or text screen");
  add_repeatable(run, "--send", raw.send, "Send TEXT (\\n is Enter), key:NAMES or type:TEXT");
  add_repeatable(run, "--script", raw.script, "File with steps of the dialogue");
  add_repeatable(run, "--fail-on", o.fail_on, "End with status 1 when REGEX appears");
  run.add_flag("--allow-panic", o.allow_panic, "Don't treat a kernel panic as a failure by itself");
  run.add_option("--timeout", raw.timeout, "End with status 124 after this many seconds")
      ->check(CLI::PositiveNumber);
  run.add_flag("--no-reboot", o.no_reboot, "End with status 1 when the guest resets");
  run.add_option("--debug-exit", raw.debug_exit, "Port of an isa-debug-exit device");
  run.add_option("--screenshot", o.screenshot, "Write the last screen as PNG");
  run.add_option("--engine", raw.engine,
                 "translator, interpreter or lockstep [" + raw.engine + "]");
  add_repeatable(run, "--disable-opt", raw.disable_opt,
                 "Optimisations of the engine to leave out, separated by commas, or all")
      ->delimiter(',');
  // Flags with a value, and not options with an optional one: those would take IMAGE for theirs.
  run.add_flag("--dump-blocks", raw.dump_blocks,
               "Write guest code beside its translation to standard error, or to =FILE");
  run.add_flag("--check-recovery", o.engine.check_recovery,
               "Lockstep: check what a fault would recover at each host instruction");
  run.add_flag("--perf-map", o.engine.perf_map, "Write /tmp/perf-PID.map, for perf");
  run.add_flag("--stats", raw.statistics,
               "Print statistics at the end, or write them to =FILE as JSON");
  run.footer(kRunFooter);
}

[[nodiscard]] std::string bad(const std::string& option, const std::string& why) {
  return option + ": " + why;
}

std::string take_serial(const std::vector<std::string>& texts, RunOptions& options) {
  unsigned stdio = 0;
  for (const std::string& text : texts) {
    SerialTarget target;
    if (text == "stdio") {
      target.kind = SerialTarget::Kind::Stdio;
      if (++stdio > 1) return bad("--serial", "stdio can serve one serial line only");
    } else if (text == "pty") {
      target.kind = SerialTarget::Kind::Pty;
    } else if (text == "none") {
      target.kind = SerialTarget::Kind::None;
    } else if (text.starts_with("file:") && text.size() > 5) {
      target = {SerialTarget::Kind::File, text.substr(5)};
    } else if (text.starts_with("unix:") && text.size() > 5) {
      target = {SerialTarget::Kind::UnixSocket, text.substr(5)};
    } else {
      return bad("--serial", "'" + text + "' is none of stdio, file:F, unix:F, pty, none");
    }
    options.serial.push_back(target);
  }
  if (options.serial.size() > 2) return bad("--serial", "there are two serial lines only");
  return {};
}

std::string take_script(const std::string& path, RunOptions& options) {
  auto script = load_script(path);
  if (!script) return script.error().message;
  for (DialogueStep& step : script->steps) options.dialogue.push_back(std::move(step));
  for (std::string& pattern : script->fail_on) options.fail_on.push_back(std::move(pattern));
  if (!options.timeout) options.timeout = script->timeout;
  return {};
}

/// The dialogue's steps in the order in which their options stood on the command line.
std::string take_dialogue(const CLI::App& run, const RawRun& raw, RunOptions& options) {
  std::size_t expects = 0, sends = 0, scripts = 0;
  for (const CLI::Option* option : run.parse_order()) {
    const std::string name = option->get_name();
    if (name == "--expect") {
      const std::string& text = raw.expect.at(expects++);
      if (const auto pattern = Pattern::compile(text); !pattern) {
        return bad(name, pattern.error().message);
      }
      options.dialogue.push_back({DialogueStep::Kind::Expect, text, 0, name});
    } else if (name == "--send") {
      const std::string& text = raw.send.at(sends++);
      if (const auto sending = parse_sending(text); !sending) {
        return bad(name, sending.error().message);
      }
      options.dialogue.push_back({DialogueStep::Kind::Send, text, 0, name});
    } else if (name == "--script") {
      if (std::string wrong = take_script(raw.script.at(scripts++), options); !wrong.empty()) {
        return wrong;
      }
    }
  }
  for (const std::string& text : options.fail_on) {
    if (const auto pattern = Pattern::compile(text); !pattern) {
      return bad("--fail-on", pattern.error().message);
    }
  }
  return {};
}

std::string take_media(RunOptions& options) {
  if (options.floppies.size() > 2) return bad("--floppy", "there are two floppy drives only");
  const std::size_t most = options.cdrom ? 3 : 4;
  if (options.disks.size() > most) {
    return bad("--disk", "at most four, or three and a CD-ROM");
  }
  for (std::size_t i = 0; i < options.boot.size(); ++i) {
    if (std::string("acd").find(options.boot[i]) == std::string::npos ||
        options.boot.find(options.boot[i], i + 1) != std::string::npos) {
      return bad("--boot", "'" + options.boot + "' is not an order of the letters a, c and d");
    }
  }
  if (options.kernel.empty()) {
    if (!options.initrd.empty()) return bad("--initrd", "needs --kernel");
    if (!options.modules.empty()) return bad("--module", "needs --kernel");
  }
  return {};
}

std::string listed(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

std::string take_disabled(const std::vector<std::string>& names, EngineConfig& engine) {
  const auto known = optimisations(engine.kind);
  if (!names.empty() && known.empty()) {
    return bad("--disable-opt",
               "engine '" + std::string(engine_name(engine.kind)) + "' has no optimisations");
  }
  for (const std::string& name : names) {
    if (name == "all") {
      engine.disabled_optimisations.assign(known.begin(), known.end());
      return {};
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return bad("--disable-opt",
                 "'" + name + "' is none of all, " + listed({known.begin(), known.end()}));
    }
    engine.disabled_optimisations.push_back(name);
  }
  return {};
}

std::string take_engine(const CLI::App& run, const RawRun& raw, RunOptions& options) {
  EngineConfig& engine = options.engine;
  const auto kind = engine_kind(raw.engine);
  if (!kind) {
    std::vector<std::string_view> names;
    for (const EngineKind one : engine_kinds()) names.push_back(engine_name(one));
    return bad("--engine", "'" + raw.engine + "' is none of " + listed(names));
  }
  if (!engine_built_in(*kind)) return bad("--engine", "'" + raw.engine + "' isn't built in");
  engine.kind = *kind;
  if (engine.check_recovery && *kind != EngineKind::Lockstep) {
    return bad("--check-recovery", "only the lockstep engine can");
  }
  if (!engine_translates(*kind)) {
    const std::string why = "engine '" + raw.engine + "' doesn't translate";
    if (run.count("--dump-blocks") > 0) return bad("--dump-blocks", why);
    if (engine.perf_map) return bad("--perf-map", why);
  }
  if (run.count("--dump-blocks") > 0) {
    engine.dump_blocks = raw.dump_blocks == kNoValue ? "-" : raw.dump_blocks;
  }
  return take_disabled(raw.disable_opt, engine);
}

/// Checks what CLI11 has collected; an empty string, or one line about what is wrong.
std::string finish(const CLI::App& run, RawRun& raw) {
  RunOptions& options = raw.options;
  const auto memory = parse_size(raw.memory);
  if (!memory) return bad("--memory", "'" + raw.memory + "' is not a size such as 256M");
  constexpr u64 kLeast = u64{1} << 20;
  if (*memory < kLeast) return bad("--memory", "a guest needs at least 1 MiB");
  options.memory = *memory;
  if (run.count("--cdrom") > 0) options.cdrom = raw.cdrom;
  if (run.count("--timeout") > 0) options.timeout = raw.timeout;
  if (raw.display == "sdl") options.display = Display::Sdl;
  if (raw.display == "none") options.display = Display::None;
  options.statistics = run.count("--stats") > 0;
  if (raw.statistics != kNoValue) options.statistics_file = raw.statistics;
  if (!raw.debug_exit.empty()) {
    std::size_t used = 0;
    unsigned long port = 0x10000;
    try {
      port = std::stoul(raw.debug_exit, &used, 0);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used != raw.debug_exit.size() || port > 0xFFFF) {
      return bad("--debug-exit", "'" + raw.debug_exit + "' is not an I/O port");
    }
    options.debug_exit = static_cast<u16>(port);
  }
  for (const auto& check :
       {take_engine(run, raw, options), take_serial(raw.serial, options), take_media(options)}) {
    if (!check.empty()) return check;
  }
  return take_dialogue(run, raw, options);
}

Leave say(const std::string& what) {
  std::cerr << "ringshift: " << what << '\n';
  return {exit_status::kUsage};
}

}  // namespace

std::optional<u64> parse_size(const std::string& text) {
  std::size_t digits = 0;
  u64 value = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    if (value > (u64{1} << 40)) return std::nullopt;
    value = value * 10 + static_cast<u64>(text[digits++] - '0');
  }
  if (digits == 0) return std::nullopt;
  static const std::map<std::string, unsigned> kShifts = {
      {"", 20},    {"K", 10}, {"k", 10}, {"KiB", 10}, {"M", 20}, {"m", 20},
      {"MiB", 20}, {"G", 30}, {"g", 30}, {"GiB", 30}, {"B", 0}};
  const auto shift = kShifts.find(text.substr(digits));
  if (shift == kShifts.end()) return std::nullopt;
  if (shift->second != 0 && (value >> (63 - shift->second)) != 0) return std::nullopt;
  return value << shift->second;
}

Command parse_command_line(int argc, const char* const* argv) {
  CLI::App app("A virtual machine for x86 guests that needs no hardware virtualization.",
               "ringshift");
  app.require_subcommand(1);
  RawRun raw;
  CLI::App& run = *app.add_subcommand("run", "Boot a guest");
  add_run_options(run, raw);
  CLI::App& devices =
      *app.add_subcommand("devices", "List the board's devices, ports and interrupts");
  CLI::App& version = *app.add_subcommand("version", "Print the version");
  CLI::App& completion = *app.add_subcommand("completion", "Print a completion script for bash");
  app.set_version_flag("--version", std::string("ringshift ") + RINGSHIFT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return Leave{app.exit(success)};
  } catch (const CLI::ParseError& error) {
    return say(error.what());
  }
  if (devices.parsed()) return DevicesCommand{};
  if (version.parsed()) return VersionCommand{};
  if (completion.parsed()) return CompletionCommand{};
  if (std::string wrong = finish(run, raw); !wrong.empty()) return say(wrong);
  return raw.options;
}

std::vector<std::string> run_option_names() {
  CLI::App run;
  RawRun raw;
  add_run_options(run, raw);
  std::vector<std::string> names;
  for (const CLI::Option* option : run.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace ringshift::frontend
