#include "translator/page_links.h"

#include "cpu/decoder.h"

namespace ringshift::translator {

std::vector<u32> PageLinks::take(u64 first, u64 length) {
  const u64 from = first < cpu::kLongestInstruction ? 0 : first - cpu::kLongestInstruction;
  auto entry = by_page_.lower_bound(static_cast<u32>(from >> kPageShift));
  std::vector<u32> taken;
  while (entry != by_page_.end() && (u64{entry->first} << kPageShift) < first + length) {
    taken.insert(taken.end(), entry->second.begin(), entry->second.end());
    entry = by_page_.erase(entry);
  }
  return taken;
}

}  // namespace ringshift::translator
