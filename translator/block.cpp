#include "translator/block.h"

#include <algorithm>

namespace ringshift::translator {

const FaultPoint& Block::point_at(const u8* host) const {
  const auto offset = static_cast<u32>(host - code);
  const auto after = std::upper_bound(
      points.begin(), points.end(), offset,
      [](u32 value, const FaultPoint& point) { return value < point.host_offset; });
  return after == points.begin() ? points.front() : *(after - 1);
}

const X87Point* Block::x87_at(const u8* host) const {
  const auto offset = static_cast<u32>(host - code);
  const auto found =
      std::lower_bound(x87.begin(), x87.end(), offset,
                       [](const X87Point& point, u32 value) { return point.host_offset < value; });
  return found != x87.end() && found->host_offset == offset ? &*found : nullptr;
}

}  // namespace ringshift::translator
