#include "translator/code_listing.h"

#include <cerrno>
#include <cstring>

#include "cpu/decoder.h"

namespace ringshift::translator {

namespace {

std::string guest_text(const SourceInstruction& source) {
  if (!source.decoded) return "(the interpreter's)";
  return cpu::format(source.instruction, source.eip) + (source.call_out ? "  (faults)" : "");
}

}  // namespace

Result<std::unique_ptr<CodeListing>> CodeListing::create(const std::string& file) {
  std::FILE* out = file == "-" ? stderr : std::fopen(file.c_str(), "we");
  if (out == nullptr) return Error{"block dump '" + file + "': " + std::strerror(errno)};
  return std::unique_ptr<CodeListing>(new CodeListing(out));
}

CodeListing::~CodeListing() {
  if (out_ != stderr) std::fclose(out_);
}

void CodeListing::add(const Block& block, std::span<const SourceInstruction> source) {
  std::fprintf(out_, "block %08x at physical %09llx, mode %08x: %zu instructions, %u host bytes\n",
               block.eip, static_cast<unsigned long long>(block.address.value), block.mode.bits(),
               source.size(), block.code_size);
  std::size_t next = 0;  // guest instruction to be shown
  std::size_t point = 0;
  for (auto offset = static_cast<u32>(block.entry - block.code); offset < block.code_size;) {
    const u8* at = block.code + offset;
    const cpu::HostText host =
        cpu::format_host({at, block.code_size - offset}, reinterpret_cast<u64>(at));
    while (point < block.points.size() && block.points[point].host_offset < offset) ++point;
    const bool begins = point < block.points.size() && next < source.size() &&
                        block.points[point].host_offset == offset &&
                        block.points[point].guest_offset == source[next].eip - block.eip &&
                        at >= block.entry;
    if (begins) {
      std::fprintf(out_, "  %08x  %-42s", source[next].eip, guest_text(source[next]).c_str());
      ++next;
    } else {
      std::fprintf(out_, "  %52s", "");
    }
    std::fprintf(out_, " | %llx  %s\n", static_cast<unsigned long long>(reinterpret_cast<u64>(at)),
                 host.text.c_str());
    offset += host.length;
  }
  std::fputc('\n', out_);
}

}  // namespace ringshift::translator
