// The commands of `ringshift` besides `run`.
#pragma once

#include <ostream>

namespace ringshift::frontend {

/// `ringshift devices`: every port, memory range and interrupt of the board. The exit status.
int print_devices(std::ostream& out);
int print_version(std::ostream& out);
int print_completion(std::ostream& out);

}  // namespace ringshift::frontend
