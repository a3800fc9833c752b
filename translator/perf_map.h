// Names for generated code in `perf report`: perf looks for them in /tmp/perf-PID.map, a file that
// each process writes about itself. It is read after the process has ended, so it stays there.
#pragma once

#include <cstdio>
#include <memory>

#include "cpu/result.h"
#include "translator/block.h"
#include "translator/stubs.h"

namespace ringshift::translator {

class PerfMap {
 public:
  static Result<std::unique_ptr<PerfMap>> create();
  ~PerfMap();
  PerfMap(const PerfMap&) = delete;
  PerfMap& operator=(const PerfMap&) = delete;

  void add(const Stubs& stubs);
  /// As guest_c0101234, by its EIP.
  void add(const Block& block);

 private:
  explicit PerfMap(std::FILE* out) : out_(out) {}

  std::FILE* out_;
};

}  // namespace ringshift::translator
