#include <catch2/catch.hpp>

#include "frontend/dialogue/dialogue.h"
#include "frontend/dialogue/script.h"

using namespace ringshift;
using namespace ringshift::frontend;

namespace {

struct Recorder : DialogueActions {
  void send_serial(const std::string& bytes) override { serial += bytes; }
  void send_key(devices::KeyCode key, bool pressed) override {
    keys += (pressed ? '+' : '-') + std::to_string(key.usage) + ' ';
  }
  bool ready_for_key() override { return ready; }
  void take_screenshot(const std::string& path) override { screenshots += path; }
  bool ready = true;
  std::string serial, keys, screenshots;
};

DialogueStep expect(const std::string& text) {
  return {DialogueStep::Kind::Expect, text, 0, "--expect"};
}
DialogueStep send(const std::string& text) {
  return {DialogueStep::Kind::Send, text, 0, "--send"};
}

}  // namespace

TEST_CASE("steps run in order and each consumes what it matched") {
  RunOptions options;
  options.dialogue = {expect("login:"), send("root\\n"), expect("# $"), send("poweroff\\n")};
  Recorder actions;
  Dialogue dialogue(options, actions);
  dialogue.on_serial("# login: ");
  dialogue.advance(0);
  CHECK(actions.serial == "root\r");
  CHECK_FALSE(dialogue.met());
  CHECK(dialogue.unmet() == "--expect '# $'");
  dialogue.on_serial("root\r\n~ # ");
  dialogue.advance(1);
  CHECK(actions.serial == "root\rpoweroff\r");
  CHECK_FALSE(dialogue.met());  // the answer to what was sent last is how the guest ends
  CHECK_FALSE(dialogue.unmet());
}

TEST_CASE("a pattern that is split over two reads matches, escape sequences don't count") {
  RunOptions options;
  options.dialogue = {expect("ready to go")};
  Recorder actions;
  Dialogue dialogue(options, actions);
  dialogue.on_serial("\x1B[1;32mrea");
  dialogue.advance(0);
  CHECK_FALSE(dialogue.met());
  dialogue.on_serial("dy \x1B[0mto\x1B]0;title\a\x1B(0 go");
  dialogue.advance(0);
  CHECK(dialogue.met());
}

TEST_CASE("the screen counts once for each picture") {
  RunOptions options;
  options.dialogue = {expect("grub>"), send("key:l s ret"), expect("grub>")};
  Recorder actions;
  Dialogue dialogue(options, actions);
  dialogue.on_screen("grub> ");
  for (unsigned hundredths = 0; hundredths < 100; ++hundredths) dialogue.advance(0.01 * hundredths);
  CHECK(actions.keys == "+15 -15 +22 -22 +40 -40 ");
  CHECK_FALSE(dialogue.met());
  dialogue.on_screen("grub> ls\n(fd0)\ngrub> ");
  dialogue.advance(1);
  CHECK(dialogue.met());
}

TEST_CASE("a key waits until the guest takes it") {
  RunOptions options;
  options.dialogue = {send("key:l s")};
  Recorder actions;
  Dialogue dialogue(options, actions);
  dialogue.advance(0);
  CHECK(actions.keys == "+15 ");
  actions.ready = false;
  for (unsigned seconds = 1; seconds < 100; ++seconds) dialogue.advance(seconds);
  CHECK(actions.keys == "+15 ");
  CHECK(dialogue.next_deadline() < 99.1);
  actions.ready = true;
  dialogue.advance(100);
  CHECK(actions.keys == "+15 -15 ");
  dialogue.advance(100.01);
  CHECK(actions.keys == "+15 -15 ");
  dialogue.advance(101);
  dialogue.advance(102);
  CHECK(actions.keys == "+15 -15 +22 -22 ");
}

TEST_CASE("patterns of --fail-on and kernel panics fail the run") {
  RunOptions options;
  options.fail_on = {"BUG:"};
  Recorder actions;
  SECTION("a pattern in a line that isn't complete yet") {
    Dialogue dialogue(options, actions);
    dialogue.on_serial("all well\nBU");
    CHECK_FALSE(dialogue.failure());
    dialogue.on_serial("G: oops");
    CHECK(dialogue.failure() == "--fail-on 'BUG:' matched");
  }
  SECTION("a kernel panic, unless allowed") {
    Dialogue dialogue(options, actions);
    dialogue.on_serial("[ 1.0] Kernel panic - not syncing: VFS\n");
    CHECK(dialogue.failure() == "the guest's kernel panicked");
    options.allow_panic = true;
    Dialogue lenient(options, actions);
    lenient.on_serial("[ 1.0] Kernel panic - not syncing: VFS\n");
    CHECK_FALSE(lenient.failure());
  }
  SECTION("a pattern on the screen") {
    Dialogue dialogue(options, actions);
    dialogue.on_screen("BUG: here");
    CHECK(dialogue.failure());
  }
}

TEST_CASE("an endless line stays cheap and bounded") {
  RunOptions options;
  options.fail_on = {"never"};
  Recorder actions;
  Dialogue dialogue(options, actions);
  const std::string piece(1000, 'x');
  for (int i = 0; i < 2000; ++i) dialogue.on_serial(piece);
  CHECK(dialogue.serial().unread().size() <= SerialText::kMost);
  CHECK_FALSE(dialogue.failure());
}

TEST_CASE("wait holds the dialogue for guest-independent time") {
  RunOptions options;
  options.dialogue = {{DialogueStep::Kind::Wait, "", 2.5, "s:1"}, send("x")};
  Recorder actions;
  Dialogue dialogue(options, actions);
  dialogue.advance(1);
  CHECK(dialogue.next_deadline() == Approx(3.5));
  CHECK(actions.serial.empty());
  dialogue.advance(3.5);
  CHECK(actions.serial == "x");
}

TEST_CASE("the last lines of serial output are kept for reports") {
  SerialText text;
  for (int i = 0; i < 50; ++i) text.append("line " + std::to_string(i) + "\r\n");
  CHECK(text.last_lines(2) == "line 48\nline 49");
  CHECK(text.last_lines(100).starts_with("line 0\n"));
}

TEST_CASE("keys by name, by combination and by typing") {
  const auto chord = parse_sending("key:ctrl-alt-delete");
  REQUIRE(chord);
  REQUIRE(chord->chords.size() == 1);
  CHECK(chord->chords[0] == KeyChord{{0xE0}, {0xE2}, {0x4C}});
  const auto typed = parse_sending("type:A/\\n");
  REQUIRE(typed);
  CHECK(typed->chords == std::vector<KeyChord>{{{0xE1}, {0x04}}, {{0x38}}, {{0x28}}});
  CHECK(parse_sending("key:f12")->chords[0] == KeyChord{{0x45}});
  CHECK(parse_sending("\\x03\\e")->serial == "\x03\x1B");
  CHECK(parse_sending("key:nosuch").error().message == "unknown key 'nosuch'");
  CHECK_FALSE(parse_sending("key:"));
  CHECK_FALSE(parse_sending("\\q"));
  CHECK_FALSE(parse_sending("\\x1"));
  CHECK_FALSE(parse_sending("end\\"));
}

TEST_CASE("scripts parse, and errors name file and line") {
  const auto script = parse_script(
      "# a comment\n\n  expect login: \nsend root\\n\nwait 0.5\nscreenshot a.png\n"
      "fail-on panic\ntimeout 30\n",
      "boot.txt");
  REQUIRE(script);
  CHECK(script->steps.size() == 4);
  CHECK(script->steps[0].text == "login: ");
  CHECK(script->steps[0].origin == "boot.txt:3");
  CHECK(script->steps[2].seconds == 0.5);
  CHECK(script->timeout == 30.0);
  CHECK(script->fail_on == std::vector<std::string>{"panic"});
  CHECK(parse_script("expect (", "x").error().message.starts_with("x:1: bad regular expression"));
  CHECK(parse_script("\nbogus y", "x").error().message == "x:2: unknown step 'bogus'");
  CHECK(parse_script("wait soon", "x").error().message == "x:1: wait needs a number of seconds");
  CHECK(load_script("/nonexistent").error().message ==
        "script '/nonexistent': No such file or directory");
}
