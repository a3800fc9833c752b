#include "frontend/commands.h"

#include <cstdio>
#include <iomanip>
#include <iostream>

#include "frontend/machine.h"
#include "frontend/options.h"

namespace ringshift::frontend {

namespace {

std::string hex(u64 value, int digits) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llX", digits, static_cast<unsigned long long>(value));
  return text;
}

const char* kind_name(mmu::MemoryMap::Kind kind) {
  switch (kind) {
    case mmu::MemoryMap::Kind::Unmapped:
      return "unmapped";
    case mmu::MemoryMap::Kind::Ram:
      return "RAM";
    case mmu::MemoryMap::Kind::Rom:
      return "ROM";
    case mmu::MemoryMap::Kind::Mmio:
      return "device";
  }
  return "";
}

}  // namespace

int print_devices(std::ostream& out) {
  auto machine = Machine::create(MachineConfig{}, RebootPolicy::End);
  if (!machine) {
    std::cerr << "ringshift: " << machine.error().message << '\n';
    return exit_status::kHostError;
  }
  devices::Board& board = (*machine)->board();
  out << "I/O ports\n";
  for (const auto& region : board.ports().regions()) {
    out << "  " << hex(region.first, 4) << '-' << hex(region.first + region.count - 1, 4) << "  "
        << region.name << '\n';
  }
  out << "Memory\n";
  for (const auto& region : (*machine)->memory_map().regions()) {
    out << "  " << hex(region.first.value, 9) << '-'
        << hex(region.first.value + region.length - 1, 9) << "  " << std::left << std::setw(8)
        << kind_name(region.kind) << region.name << '\n';
  }
  out << "Interrupts\n";
  for (const auto& [number, name] : board.interrupts()) {
    out << "  " << std::right << std::setw(2) << number << "  " << name << '\n';
  }
  out << "PCI functions\n";
  for (const auto& function : board.pci_functions()) {
    out << "  00:" << hex(function.slot, 2) << '.' << function.function << "  "
        << hex(function.vendor, 4) << ':' << hex(function.device, 4) << "  " << function.name
        << '\n';
  }
  return exit_status::kSuccess;
}

int print_version(std::ostream& out) {
  out << "ringshift " << RINGSHIFT_VERSION << '\n';
  return exit_status::kSuccess;
}

int print_completion(std::ostream& out) {
  out << "# bash completion for ringshift: source it, or put it where bash-completion looks.\n"
         "_ringshift() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    COMPREPLY=($(compgen -W 'run devices version completion' -- \"$word\")); return\n"
         "  fi\n"
         "  case $before in\n"
         "    --display) COMPREPLY=($(compgen -W 'sdl none' -- \"$word\")); return ;;\n"
         "    --serial) COMPREPLY=($(compgen -W 'stdio file: unix: pty none' -- \"$word\")); "
         "return ;;\n"
         "    --engine) COMPREPLY=($(compgen -W '";
  for (const EngineKind kind : engine_kinds()) {
    if (engine_built_in(kind)) out << engine_name(kind) << ' ';
  }
  out << "' -- \"$word\")); return ;;\n"
         "  esac\n"
         "  if [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W '";
  for (const std::string& name : run_option_names()) out << name << ' ';
  out << "' -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _ringshift ringshift\n";
  return exit_status::kSuccess;
}

}  // namespace ringshift::frontend
