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
  std::string engine_name;
  cpu::EngineStatistics engine;
  double wall_seconds = 0;
  double cpu_seconds = 0;  ///< of the vCPU's thread
  u64 guest_memory = 0;
  u64 resident_guest_memory = 0;

  /// Million guest instructions a second of CPU time; 0 if the engine doesn't count them.
  double mips() const {
    return cpu_seconds > 0 ? static_cast<double>(engine.instructions) / cpu_seconds / 1e6 : 0;
  }
  /// Share of the instructions that ran without leaving generated code; 0 if none are counted.
  double native_share() const;
  /// Resident memory of the whole process now, in bytes. Guest memory is mapped in many windows and
  /// counted once (Linux's proportional set size); what `top` shows counts it for each of them.
  static u64 resident_process();
  std::string to_text() const;
  std::string to_json() const;
  Result<void> write_json(const std::string& path) const;

 private:
  std::string translator_text() const;
};

}  // namespace ringshift::frontend
