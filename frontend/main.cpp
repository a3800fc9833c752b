// `ringshift`: parses the command line and hands over.
#include <iostream>

#include "frontend/commands.h"
#include "frontend/options.h"
#include "frontend/session.h"

namespace {

using namespace ringshift::frontend;

int run(const RunOptions& options) {
  auto session = Session::create(options);
  if (!session) {
    std::cerr << "ringshift: " << session.error().message << '\n';
    return exit_status::kHostError;
  }
  return (*session)->run();
}

struct Execute {
  int operator()(const RunOptions& options) const { return run(options); }
  int operator()(DevicesCommand) const { return print_devices(std::cout); }
  int operator()(VersionCommand) const { return print_version(std::cout); }
  int operator()(CompletionCommand) const { return print_completion(std::cout); }
  int operator()(Leave leave) const { return leave.status; }
};

}  // namespace

int main(int argc, char** argv) {
  return std::visit(Execute{}, parse_command_line(argc, argv));
}
