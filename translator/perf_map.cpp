#include "translator/perf_map.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ringshift::translator {

Result<std::unique_ptr<PerfMap>> PerfMap::create() {
  const std::string file = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  // Others may write to the folder: nobody's link there leads us elsewhere.
  unlink(file.c_str());
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  std::FILE* out = descriptor < 0 ? nullptr : fdopen(descriptor, "w");
  if (out == nullptr) return Error{"perf map '" + file + "': " + std::strerror(errno)};
  return std::unique_ptr<PerfMap>(new PerfMap(out));
}

PerfMap::~PerfMap() {
  std::fclose(out_);
}

void PerfMap::add(const Stubs& stubs) {
  const auto named = stubs.named();
  for (std::size_t i = 0; i < named.size(); ++i) {
    const u8* end = i + 1 < named.size() ? named[i + 1].code : stubs.end;
    std::fprintf(out_, "%llx %zx stub_%s\n",
                 static_cast<unsigned long long>(reinterpret_cast<u64>(named[i].code)),
                 static_cast<std::size_t>(end - named[i].code), named[i].name);
  }
}

void PerfMap::add(const Block& block) {
  std::fprintf(out_, "%llx %x guest_%08x\n",
               static_cast<unsigned long long>(reinterpret_cast<u64>(block.code)), block.code_size,
               block.eip);
}

}  // namespace ringshift::translator
