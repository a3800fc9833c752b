// What a person reads when a run is over: registers of a guest that died, statistics.
#pragma once

#include <string>

#include "cpu/engine.h"
#include "cpu/result.h"
#include "cpu/state.h"

namespace ringshift::frontend {

std::string format_registers(const cpu::State& state);
std::string format_seconds(double seconds);
/// `screen` without the empty rows at its end.
std::string without_blank_tail(const std::string& screen);

struct RunStatistics {
  cpu::EngineStatistics engine;
  double wall_seconds = 0;
  double cpu_seconds = 0;  ///< of the vCPU's thread
  u64 guest_memory = 0;
  u64 resident_guest_memory = 0;

  double mips() const {
    return cpu_seconds > 0 ? static_cast<double>(engine.instructions) / cpu_seconds / 1e6 : 0;
  }
  /// Resident memory of the whole process now, in bytes.
  static u64 resident_process();
  std::string to_text() const;
  Result<void> write_json(const std::string& path) const;
};

}  // namespace ringshift::frontend
