#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

#include "frontend/options.h"

using namespace ringshift;
using namespace ringshift::frontend;

namespace {

Command parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "ringshift");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

/// The one line that a wrong command line gets; fails the test unless the status is 2.
std::string complaint(std::vector<const char*> arguments) {
  std::ostringstream text;
  std::streambuf* old = std::cerr.rdbuf(text.rdbuf());
  const Command command = parse(std::move(arguments));
  std::cerr.rdbuf(old);
  REQUIRE(std::holds_alternative<Leave>(command));
  CHECK(std::get<Leave>(command).status == exit_status::kUsage);
  return text.str();
}

}  // namespace

TEST_CASE("sizes") {
  CHECK(parse_size("256M") == u64{256} << 20);
  CHECK(parse_size("64") == u64{64} << 20);
  CHECK(parse_size("640K") == u64{640} << 10);
  CHECK(parse_size("3G") == u64{3} << 30);
  CHECK_FALSE(parse_size(""));
  CHECK_FALSE(parse_size("M"));
  CHECK_FALSE(parse_size("12Q"));
  CHECK_FALSE(parse_size("-5"));
  CHECK_FALSE(parse_size("99999999999999999999G"));
  CHECK_FALSE(parse_size("9999999999G"));
}

TEST_CASE("a full command line") {
  const Command command = parse(
      {"run",      "--memory",    "64M",          "--kernel", "k",        "--initrd", "i",
       "--append", "a b",         "--disk",       "d1",       "--disk",   "d2",       "--boot",
       "dc",       "--snapshot",  "--display",    "none",     "--serial", "file:out", "--timeout",
       "2.5",      "--no-reboot", "--debug-exit", "0xf4",     "--stats"});
  REQUIRE(std::holds_alternative<RunOptions>(command));
  const auto& options = std::get<RunOptions>(command);
  CHECK(options.memory == u64{64} << 20);
  CHECK(options.append == "a b");
  CHECK(options.disks.size() == 2);
  CHECK(options.boot == "dc");
  CHECK(options.snapshot);
  CHECK(options.display == Display::None);
  REQUIRE(options.serial.size() == 1);
  CHECK(options.serial[0].kind == SerialTarget::Kind::File);
  CHECK(options.timeout == 2.5);
  CHECK(options.debug_exit == 0xF4);
  CHECK(options.statistics);
}

TEST_CASE("dialogue options keep the order of the command line") {
  const Command command =
      parse({"run", "x", "--expect", "a", "--send", "b", "--expect", "c", "--send", "d"});
  REQUIRE(std::holds_alternative<RunOptions>(command));
  std::string order;
  for (const auto& step : std::get<RunOptions>(command).dialogue) order += step.text;
  CHECK(order == "abcd");
}

TEST_CASE("values of flags belong to them with '=' only") {
  const Command command = parse({"run", "--stats", "image"});
  REQUIRE(std::holds_alternative<RunOptions>(command));
  const auto& options = std::get<RunOptions>(command);
  CHECK(options.image == "image");
  CHECK(options.statistics);
  CHECK(options.statistics_file.empty());
  const Command other = parse({"run", "--stats=file", "image"});
  REQUIRE(std::holds_alternative<RunOptions>(other));
  CHECK(std::get<RunOptions>(other).statistics_file == "file");
}

TEST_CASE("a repeatable option takes one value each time") {
  const Command command = parse({"run", "--disk", "d1", "--serial", "none", "--disk", "d2",
                                 "--fail-on", "a", "--fail-on", "b", "image"});
  REQUIRE(std::holds_alternative<RunOptions>(command));
  const auto& options = std::get<RunOptions>(command);
  CHECK(options.image == "image");
  CHECK(options.disks == std::vector<std::string>{"d1", "d2"});
  CHECK(options.serial.size() == 1);
  CHECK(options.fail_on.size() == 2);
}

TEST_CASE("engines by name") {
  for (const EngineKind kind : engine_kinds()) {
    CHECK(engine_kind(engine_name(kind)) == kind);
    const std::string name(engine_name(kind));
    if (!engine_built_in(kind)) {
      CHECK(complaint({"run", "x", "--engine", name.c_str()}) ==
            "ringshift: --engine: '" + name + "' isn't built in\n");
      continue;
    }
    const Command command = parse({"run", "x", "--engine", name.c_str()});
    REQUIRE(std::holds_alternative<RunOptions>(command));
    CHECK(std::get<RunOptions>(command).engine.kind == kind);
  }
  const Command command = parse({"run", "x"});
  REQUIRE(std::holds_alternative<RunOptions>(command));
  CHECK(std::get<RunOptions>(command).engine.kind == kDefaultEngine);
}

TEST_CASE("what an engine can't do is refused") {
  CHECK(complaint({"run", "x", "--engine", "turbo"}) ==
        "ringshift: --engine: 'turbo' is none of translator, interpreter, lockstep\n");
  CHECK(complaint({"run", "x", "--engine", "interpreter", "--disable-opt=chaining"}) ==
        "ringshift: --disable-opt: engine 'interpreter' has no optimisations\n");
  CHECK(complaint({"run", "x", "--engine", "interpreter", "--dump-blocks"}) ==
        "ringshift: --dump-blocks: engine 'interpreter' doesn't translate\n");
  CHECK(complaint({"run", "x", "--engine", "interpreter", "--perf-map"}) ==
        "ringshift: --perf-map: engine 'interpreter' doesn't translate\n");
}

TEST_CASE("optimisations to disable") {
  for (const EngineKind kind : engine_kinds()) {
    if (!engine_built_in(kind) || optimisations(kind).empty()) continue;
    const std::string engine = "--engine=" + std::string(engine_name(kind));
    const std::string first(optimisations(kind).front());
    std::string option = "--disable-opt=";
    option.append(first).append(",").append(first);
    const Command one = parse({"run", "x", engine.c_str(), option.c_str()});
    REQUIRE(std::holds_alternative<RunOptions>(one));
    CHECK(std::get<RunOptions>(one).engine.disabled_optimisations ==
          std::vector<std::string>{first, first});
    const Command all = parse({"run", "x", engine.c_str(), "--disable-opt", "all"});
    REQUIRE(std::holds_alternative<RunOptions>(all));
    CHECK(std::get<RunOptions>(all).engine.disabled_optimisations.size() ==
          optimisations(kind).size());
    const std::string wrong = complaint({"run", "x", engine.c_str(), "--disable-opt=haste"});
    CHECK(wrong.find("'haste' is none of all, " + first) != std::string::npos);
  }
}

TEST_CASE("wrong command lines get one line and status 2") {
  CHECK(complaint({"run", "--memory", "0"}) ==
        "ringshift: --memory: a guest needs at least 1 MiB\n");
  CHECK(complaint({"run", "--memory", "lots"}) ==
        "ringshift: --memory: 'lots' is not a size such as 256M\n");
  CHECK(complaint({"run", "--display", "vnc"}).find("--display") != std::string::npos);
  CHECK(complaint({"run", "--engine", "turbo"}).find("--engine") != std::string::npos);
  CHECK(complaint({"run", "--serial", "tcp:1"}) ==
        "ringshift: --serial: 'tcp:1' is none of stdio, file:F, unix:F, pty, none\n");
  CHECK(complaint({"run", "--serial", "stdio", "--serial", "stdio"}).find("one serial line") !=
        std::string::npos);
  CHECK(complaint({"run", "--boot", "cx"}).find("'cx'") != std::string::npos);
  CHECK(complaint({"run", "--initrd", "x"}) == "ringshift: --initrd: needs --kernel\n");
  CHECK(complaint({"run", "--expect", "("}).find("bad regular expression") != std::string::npos);
  CHECK(complaint({"run", "--send", "key:nosuch"}).find("unknown key") != std::string::npos);
  CHECK(complaint({"run", "--script", "/nonexistent"}).find("No such file") != std::string::npos);
  CHECK(complaint({"run", "--debug-exit", "0x12345"}).find("not an I/O port") != std::string::npos);
  CHECK(complaint({"run", "--cpus", "2"}).find("--cpus") != std::string::npos);
  CHECK(complaint({"run", "--timeout", "-1"}).find("--timeout") != std::string::npos);
  CHECK(complaint({"run", "--floppy", "a", "--floppy", "b", "--floppy", "c"}).find("two floppy") !=
        std::string::npos);
  CHECK(complaint({"run", "--nonsense"}).find("--nonsense") != std::string::npos);
  CHECK_FALSE(complaint({"frobnicate"}).empty());
  CHECK_FALSE(complaint({}).empty());
}
