#include <catch2/catch.hpp>

#include "frontend/report.h"

using namespace ringshift;
using namespace ringshift::frontend;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

RunStatistics translator_run() {
  RunStatistics run;
  run.engine_name = "translator";
  run.cpu_seconds = 2;
  run.engine.instructions = 8'000'000;
  run.engine.instructions_native = 6'000'000;
  run.engine.blocks_translated = 12;
  run.engine.instructions_translated = 345;
  run.engine.shadow_misses = 678;
  run.engine.code_pages_watched = 9;
  for (unsigned i = 0; i < 41; ++i) run.engine.count_exit(cpu::ExitCause::FaultMapped);
  return run;
}

}  // namespace

TEST_CASE("statistics of a translator") {
  const RunStatistics run = translator_run();
  CHECK(run.native_share() == 0.75);
  CHECK(run.engine.exits_by(cpu::ExitCause::FaultMapped) == 41);
  const std::string text = run.to_text();
  CHECK(has(text, "8000000 (4.0 million/s"));
  CHECK(has(text, "6000000 (75.00 %)"));
  CHECK(has(text, "12 (345 guest instructions)"));
  CHECK(has(text, "shadow misses        678"));
  CHECK(has(text, "9 with code"));
  CHECK(has(text, "host fault: page mapped              41\n"));
  const std::string json = run.to_json();
  CHECK(has(json, "\"native_share\": 0.75"));
  CHECK(has(json, "\"fault_mapped\": 41"));
  CHECK(has(json, "\"chain_miss\": 0"));
}

TEST_CASE("statistics say what an engine doesn't count") {
  RunStatistics run = translator_run();
  run.engine.instructions = 0;
  CHECK(has(run.to_text(), "not counted"));
  CHECK(has(run.to_json(), "\"guest_instructions\": null"));
  CHECK(has(run.to_json(), "\"native_share\": null"));
  run.engine_name = "interpreter";
  run.engine = {};
  run.engine.instructions = 10;
  CHECK(has(run.to_text(), "this engine makes none"));
  CHECK(has(run.to_json(), "\"native_share\": 0.0"));
}
