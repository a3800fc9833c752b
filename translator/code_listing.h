// What was made of the guest's code, for people: each block as it is translated, its guest
// instructions beside the host code that does the same. A wrong result or a slow loop is found by
// reading; nothing else in the monitor depends on it.
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "cpu/result.h"
#include "translator/block.h"
#include "translator/emit/block_emitter.h"

namespace ringshift::translator {

class CodeListing {
 public:
  /// Writes to `file`, replacing what it holds; "-": to standard error.
  static Result<std::unique_ptr<CodeListing>> create(const std::string& file);
  ~CodeListing();
  CodeListing(const CodeListing&) = delete;
  CodeListing& operator=(const CodeListing&) = delete;

  /// A block whose code is in place.
  void add(const Block& block, std::span<const SourceInstruction> source);

 private:
  explicit CodeListing(std::FILE* out) : out_(out) {}

  std::FILE* out_;
};

}  // namespace ringshift::translator
