// A program that embeds a machine: builds one, starts it and stops it from outside.
#include <iostream>

#include "frontend/machine.h"

int main() {
  using namespace ringshift::frontend;
  MachineConfig config;
  config.memory = 16 << 20;
  auto machine = Machine::create(config, RebootPolicy::End);
  if (!machine) {
    std::cerr << machine.error().message << '\n';
    return 1;
  }
  // The vCPU's thread runs what is posted between instructions, here before the first one.
  (*machine)->stop();
  const MachineEnd end = (*machine)->run();
  std::cout << (*machine)->board().all_devices().size() << " devices\n";
  return end.reason == MachineEnd::Reason::Stopped ? 0 : 1;
}
