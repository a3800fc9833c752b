// The rules that a reviewer would otherwise have to remember: which folder may include which, where
// the libraries may show, how long files may be, and that headers say why they exist.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kFolders = {"cpu",  "mmu",      "translator", "devices",
                                           "bios", "frontend", "tests",      "benchmarks"};

struct SourceFile {
  std::string path;  // relative to the project
  std::vector<std::string> lines;

  std::string folder() const { return path.substr(0, path.find('/')); }
  bool is_header() const { return path.ends_with(".h"); }
};

std::vector<SourceFile> load_sources() {
  std::vector<SourceFile> sources;
  const fs::path root = RINGSHIFT_SOURCE_DIR;
  for (const std::string& folder : kFolders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp") continue;
      SourceFile file{fs::relative(entry.path(), root), {}};
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
      sources.push_back(std::move(file));
    }
  }
  return sources;
}

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> all = load_sources();
  return all;
}

/// What a folder may include besides itself and the standard library: folders or single headers.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"cpu", {}},
    {"mmu", {"cpu"}},
    {"translator", {"cpu", "mmu"}},
    {"devices",
     {"cpu/types.h", "cpu/result.h", "cpu/io_handler.h", "cpu/state_archive.h", "mmu/memory_map.h",
      "mmu/guest_memory.h"}},
    {"bios",
     {"cpu/types.h", "cpu/result.h", "cpu/io_handler.h", "cpu/state_archive.h", "mmu/memory_map.h",
      "mmu/guest_memory.h"}},
    {"frontend", {"cpu", "mmu", "translator", "devices", "bios"}},
    {"tests", {"cpu", "mmu", "translator", "devices", "bios", "frontend"}},
    {"benchmarks", {"cpu", "mmu", "translator", "devices", "bios", "frontend"}},
};

template <typename Visit>
void for_each_include(Visit visit) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  for (const SourceFile& file : sources()) {
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (std::regex_search(line, match, kInclude)) visit(file, match[1] == "<", match[2].str());
    }
  }
}

}  // namespace

TEST_CASE("includes run one way") {
  for_each_include([](const SourceFile& file, bool system, const std::string& target) {
    if (system) return;
    const std::string folder = target.substr(0, target.find('/'));
    INFO(file.path << " includes " << target);
    REQUIRE(std::find(kFolders.begin(), kFolders.end(), folder) != kFolders.end());
    if (folder == file.folder()) return;
    const auto& allowed = kAllowed.at(file.folder());
    CHECK((allowed.contains(folder) || allowed.contains(target)));
  });
}

TEST_CASE("libraries stay behind their doors") {
  static const std::map<std::string, std::regex> kDoors = {
      {"Zydis/", std::regex(R"(^(cpu/decoder|cpu/mnemonic|tests/|bios/none))")},
      {"asmjit/", std::regex(R"(^(translator/|tests/))")},
      {"SDL", std::regex(R"(^(frontend|tests/unit/frontend)/sdl_)")},
      {"CLI/", std::regex(R"(^frontend/options\.cpp)")},
      {"re2/", std::regex(R"(^frontend/dialogue/matcher\.cpp)")},
  };
  for_each_include([](const SourceFile& file, bool, const std::string& target) {
    for (const auto& [prefix, door] : kDoors) {
      if (!target.starts_with(prefix)) continue;
      INFO(file.path << " includes " << target);
      CHECK(std::regex_search(file.path, door));
    }
  });
}

TEST_CASE("files are at most 800 lines") {
  for (const SourceFile& file : sources()) {
    INFO(file.path << " has " << file.lines.size() << " lines");
    CHECK(file.lines.size() <= 800);
  }
}

TEST_CASE("headers say why they exist and guard themselves") {
  for (const SourceFile& file : sources()) {
    if (!file.is_header()) continue;
    INFO(file.path);
    REQUIRE_FALSE(file.lines.empty());
    CHECK(file.lines[0].starts_with("// "));
    CHECK(std::find(file.lines.begin(), file.lines.end(), "#pragma once") != file.lines.end());
  }
}

TEST_CASE("no unfinished marks, no machine paths") {
  static const std::regex kMark(R"(\b(TODO|FIXME|XXX|HACK)\b)");
  for (const SourceFile& file : sources()) {
    if (file.path.starts_with("tests/style/")) continue;
    for (const std::string& line : file.lines) {
      INFO(file.path << ": " << line);
      CHECK_FALSE(std::regex_search(line, kMark));
      CHECK(line.find("/home/") == std::string::npos);
    }
  }
}
