#include "cpu/state_archive.h"

#include <algorithm>
#include <cstring>

namespace ringshift {

namespace {

/// FNV-1a: short, stable and good enough to notice that a field's name has changed.
u32 name_hash(std::string_view name) {
  u32 hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<u8>(c)) * 16777619U;
  return hash;
}

}  // namespace

void StateArchive::refuse(std::string_view why) {
  if (refusal_.empty()) refusal_ = why;
}

void StateArchive::tag(std::string_view name, u32 length) {
  std::array<u32, 2> wanted = {name_hash(name), length};
  if (saving()) {
    const auto* from = reinterpret_cast<const u8*>(wanted.data());
    bytes_.insert(bytes_.end(), from, from + sizeof wanted);
    return;
  }
  if (!refusal_.empty()) return;
  if (bytes_.size() - position_ < sizeof wanted) {
    refuse("snapshot ends before field '" + std::string(name) + "'");
    return;
  }
  std::array<u32, 2> found{};
  std::memcpy(found.data(), bytes_.data() + position_, sizeof found);
  if (found != wanted) {
    refuse("snapshot does not match at field '" + std::string(name) + "'");
    return;
  }
  position_ += sizeof found;
}

void StateArchive::raw(std::string_view name, std::span<u8> bytes) {
  tag(name, static_cast<u32>(bytes.size()));
  if (saving()) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return;
  }
  if (!refusal_.empty()) return;
  if (bytes_.size() - position_ < bytes.size()) {
    refuse("snapshot ends inside field '" + std::string(name) + "'");
    return;
  }
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(position_), bytes.size(), bytes.begin());
  position_ += bytes.size();
}

void StateArchive::field(std::string_view name, bool& value) {
  u8 byte = value ? 1 : 0;
  raw(name, std::span(&byte, 1));
  if (byte > 1) {
    refuse("snapshot has an impossible value in field '" + std::string(name) + "'");
  } else {
    value = byte != 0;
  }
}

void StateArchive::section(std::string_view name, u32 version) {
  u32 value = version;
  field(name, value);
  if (value != version) refuse("snapshot has another version of '" + std::string(name) + "'");
}

void StateArchive::field(std::string_view name, std::vector<u8>& bytes, std::size_t most) {
  u64 length = bytes.size();
  field(name, length);
  if (restoring()) {
    if (!refusal_.empty()) return;
    if (length > most || length > bytes_.size() - position_) {
      refuse("snapshot has a wrong length in field '" + std::string(name) + "'");
      return;
    }
    bytes.resize(length);
  }
  raw(name, bytes);
}

Result<void> StateArchive::finish() const {
  if (!refusal_.empty()) return Error{refusal_};
  if (restoring() && position_ != bytes_.size()) return Error{"snapshot has data left over"};
  return {};
}

}  // namespace ringshift
