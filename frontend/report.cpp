#include "frontend/report.h"

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ringshift::frontend {

namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char buffer[256];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(buffer, sizeof buffer, pattern, arguments);
  va_end(arguments);
  return buffer;
}

unsigned long long wide(u64 value) {
  return value;
}

std::string format_segment(const char* name, const cpu::SegmentRegister& segment) {
  return format("%s=%04x base=%08llx limit=%08x type=%x%s dpl=%u%s%s\n", name, segment.selector,
                wide(segment.base), segment.limit, segment.type, segment.code_or_data ? "s" : "",
                segment.dpl, segment.present ? " p" : "", segment.big ? " 32" : "");
}

}  // namespace

std::string format_registers(const cpu::State& s) {
  static constexpr const char* kNames[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  static constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  std::string text;
  for (unsigned i = 0; i < 8; ++i) {
    text += format("%s=%08llx%c", kNames[i], wide(s.gpr[i]), i % 4 == 3 ? '\n' : ' ');
  }
  text += format("eip=%08llx eflags=%08llx cpl=%u\n", wide(s.rip), wide(s.rflags), s.cpl);
  for (unsigned i = 0; i < 6; ++i) text += format_segment(kSegments[i], s.segments[i]);
  text += format_segment("ldtr", s.ldtr) + format_segment("tr", s.tr);
  text += format("gdtr=%08llx/%04x idtr=%08llx/%04x\n", wide(s.gdtr.base), s.gdtr.limit,
                 wide(s.idtr.base), s.idtr.limit);
  text += format("cr0=%08llx cr2=%08llx cr3=%08llx cr4=%08llx efer=%llx\n", wide(s.cr0),
                 wide(s.cr2), wide(s.cr3), wide(s.cr4), wide(s.efer));
  text += format("dr6=%08llx dr7=%08llx\n", wide(s.dr[6]), wide(s.dr[7]));
  return text;
}

std::string format_seconds(double seconds) {
  return format("%g s", seconds);
}

std::string without_blank_tail(const std::string& screen) {
  const auto last = screen.find_last_not_of("\n ");
  return last == std::string::npos ? "" : screen.substr(0, last + 1) + '\n';
}

u64 RunStatistics::resident_process() {
  std::ifstream file("/proc/self/statm");
  u64 size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<u64>(sysconf(_SC_PAGESIZE));
}

std::string RunStatistics::to_text() const {
  std::string text = "--- statistics ---\n";
  text += format("guest instructions   %llu (%.1f million/s of CPU time)\n",
                 wide(engine.instructions), mips());
  text += format("wall time            %.3f s, vCPU thread %.3f s\n", wall_seconds, cpu_seconds);
  text += format("blocks decoded       %llu, invalidated %llu\n", wide(engine.blocks_decoded),
                 wide(engine.blocks_invalidated));
  text += format("interrupts           %llu, exceptions %llu\n", wide(engine.interrupts),
                 wide(engine.exceptions));
  text += format("resident memory      %llu KiB, of it guest %llu KiB of %llu KiB\n",
                 wide(resident_process() / 1024), wide(resident_guest_memory / 1024),
                 wide(guest_memory / 1024));
  return text;
}

Result<void> RunStatistics::write_json(const std::string& path) const {
  const nlohmann::ordered_json json = {
      {"guest_instructions", engine.instructions},
      {"million_instructions_per_second", mips()},
      {"wall_seconds", wall_seconds},
      {"vcpu_seconds", cpu_seconds},
      {"blocks_decoded", engine.blocks_decoded},
      {"blocks_invalidated", engine.blocks_invalidated},
      {"interrupts", engine.interrupts},
      {"exceptions", engine.exceptions},
      {"resident_bytes", resident_process()},
      {"resident_guest_bytes", resident_guest_memory},
      {"guest_memory_bytes", guest_memory},
  };
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  file.flush();
  if (!file) return Error{"statistics file '" + path + "': " + std::strerror(errno)};
  return {};
}

}  // namespace ringshift::frontend
