#include "frontend/report.h"

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

/// How each cause of leaving generated code is called: its name in JSON, and for a person.
struct ExitName {
  const char* name;
  const char* text;
};
ExitName exit_name(cpu::ExitCause cause) {
  switch (cause) {
    case cpu::ExitCause::InterpretedInstruction:
      return {"interpreted_instruction", "instruction left to the interpreter"};
    case cpu::ExitCause::MemoryCallOut:
      return {"memory_call_out", "device or watched memory by call-out"};
    case cpu::ExitCause::ChainMiss:
      return {"chain_miss", "direct branch not yet linked"};
    case cpu::ExitCause::IndirectMiss:
      return {"indirect_miss", "indirect branch or return to look up"};
    case cpu::ExitCause::FaultMapped:
      return {"fault_mapped", "host fault: page mapped"};
    case cpu::ExitCause::FaultEmulated:
      return {"fault_emulated", "host fault: instruction interpreted"};
    case cpu::ExitCause::CodeWritten:
      return {"code_written", "write to translated code's page"};
    case cpu::ExitCause::Event:
      return {"event", "kick, deadline or interrupt"};
  }
  return {"", ""};
}

constexpr double ratio(u64 part, u64 whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
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
  std::ifstream file("/proc/self/smaps_rollup");
  u64 kib = 0;
  for (std::string word; file >> word;) {
    if (word == "Pss:") file >> kib;
  }
  return kib * 1024;
}

double RunStatistics::native_share() const {
  return ratio(engine.instructions_native, engine.instructions);
}

std::string RunStatistics::to_text() const {
  std::string text = "--- statistics ---\n";
  text += "engine               " + engine_name + '\n';
  if (engine.instructions > 0) {
    text += format("guest instructions   %llu (%.1f million/s of CPU time)\n",
                   wide(engine.instructions), mips());
    text += format("  native             %llu (%.2f %%), interpreted %llu\n",
                   wide(engine.instructions_native), 100 * native_share(),
                   wide(engine.instructions_interpreted));
  } else {
    text += format("guest instructions   not counted, but for %llu interpreted\n",
                   wide(engine.instructions_interpreted));
  }
  text += format("wall time            %.3f s, vCPU thread %.3f s\n", wall_seconds, cpu_seconds);
  text += format("interrupts           %llu, exceptions %llu\n", wide(engine.interrupts),
                 wide(engine.exceptions));
  text += format("blocks decoded       %llu by the interpreter, invalidated %llu\n",
                 wide(engine.blocks_decoded), wide(engine.blocks_invalidated));
  text += translator_text();
  text += format("resident memory      %llu KiB, of it guest %llu KiB of %llu KiB\n",
                 wide(resident_process() / 1024), wide(resident_guest_memory / 1024),
                 wide(guest_memory / 1024));
  return text;
}

std::string RunStatistics::translator_text() const {
  if (engine.blocks_translated == 0) return "translations, shadow this engine makes none\n";
  std::string text = format("blocks translated    %llu (%llu guest instructions)\n",
                            wide(engine.blocks_translated), wide(engine.instructions_translated));
  text += format("code cache           %llu KiB of %llu KiB, dropped for room %llu times\n",
                 wide(engine.code_cache_bytes / 1024), wide(engine.code_cache_capacity / 1024),
                 wide(engine.code_cache_flushes));
  text +=
      format("shadow misses        %llu, pages mapped %llu, address spaces cached %llu\n",
             wide(engine.shadow_misses), wide(engine.shadow_pages_mapped), wide(engine.windows));
  text += format("pages watched        %llu with code, %llu with page tables\n",
                 wide(engine.code_pages_watched), wide(engine.table_pages_watched));
  text += "exits by cause\n";
  for (std::size_t i = 0; i < cpu::kExitCauses; ++i) {
    text += format("  %-36s %llu\n", exit_name(static_cast<cpu::ExitCause>(i)).text,
                   wide(engine.exits[i]));
  }
  return text;
}

std::string RunStatistics::to_json() const {
  nlohmann::ordered_json exits;
  for (std::size_t i = 0; i < cpu::kExitCauses; ++i) {
    exits[exit_name(static_cast<cpu::ExitCause>(i)).name] = engine.exits[i];
  }
  // A count that doesn't exist is null: 0 would be taken for one.
  const auto counted = [this](const nlohmann::ordered_json& value) {
    return engine.instructions > 0 ? value : nlohmann::ordered_json();
  };
  const nlohmann::ordered_json json = {
      {"engine", engine_name},
      {"guest_instructions", counted(engine.instructions)},
      {"million_instructions_per_second", counted(mips())},
      {"instructions_native", counted(engine.instructions_native)},
      {"native_share", counted(native_share())},
      {"instructions_interpreted", engine.instructions_interpreted},
      {"wall_seconds", wall_seconds},
      {"vcpu_seconds", cpu_seconds},
      {"interrupts", engine.interrupts},
      {"exceptions", engine.exceptions},
      {"blocks_decoded", engine.blocks_decoded},
      {"blocks_invalidated", engine.blocks_invalidated},
      {"blocks_translated", engine.blocks_translated},
      {"instructions_translated", engine.instructions_translated},
      {"code_cache_bytes", engine.code_cache_bytes},
      {"code_cache_capacity", engine.code_cache_capacity},
      {"code_cache_flushes", engine.code_cache_flushes},
      {"exits", exits},
      {"shadow_misses", engine.shadow_misses},
      {"shadow_pages_mapped", engine.shadow_pages_mapped},
      {"windows", engine.windows},
      {"code_pages_watched", engine.code_pages_watched},
      {"table_pages_watched", engine.table_pages_watched},
      {"resident_bytes", resident_process()},
      {"resident_guest_bytes", resident_guest_memory},
      {"guest_memory_bytes", guest_memory},
  };
  return json.dump(2) + '\n';
}

Result<void> RunStatistics::write_json(const std::string& path) const {
  std::ofstream file(path);
  file << to_json();
  file.flush();
  if (!file) return Error{"statistics file '" + path + "': " + std::strerror(errno)};
  return {};
}

}  // namespace ringshift::frontend
