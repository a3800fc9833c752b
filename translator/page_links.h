// Direct jumps between blocks on different pages hold only as long as the target's page stays where
// it is: which jumps those are, by the page that they lead to.
#pragma once

#include <map>
#include <vector>

#include "cpu/types.h"

namespace ringshift::translator {

class PageLinks {
 public:
  /// The exit has been linked to a block at `linear`.
  void add(u32 exit, u32 linear) { by_page_[linear >> kPageShift].push_back(exit); }
  /// Takes out those that lead into the pages of [first, first + length), or to an instruction that
  /// may end in them.
  std::vector<u32> take(u64 first, u64 length);
  void clear() { by_page_.clear(); }

 private:
  std::map<u32, std::vector<u32>> by_page_;
};

}  // namespace ringshift::translator
