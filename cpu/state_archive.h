// Snapshots. A thing with guest-visible state lists its fields once, in one function that serves
// for saving and for restoring, so that the two can't drift apart. Fields carry names: a snapshot
// that doesn't fit is refused with the name of the first field that differs.
#pragma once

#include <array>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift {

class StateArchive;

/// A type that lists its own fields.
template <typename T>
concept Serializable = requires(T& value, StateArchive& archive) {
  value.serialize(archive);
};

class StateArchive {
 public:
  /// An archive that collects state.
  StateArchive() = default;
  /// An archive that hands out the state in `bytes`, which another archive collected.
  explicit StateArchive(std::vector<u8> bytes) : bytes_(std::move(bytes)), restoring_(true) {}

  bool restoring() const { return restoring_; }
  bool saving() const { return !restoring_; }

  /// Opens a section (a device, a timer): its name and layout version must match on restore.
  void section(std::string_view name, u32 version);

  template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void field(std::string_view name,
                                                                    T& value) {
    raw(name, std::span(reinterpret_cast<u8*>(&value), sizeof value));
  }
  /// Anything but 0 and 1 is refused: no other value may get into a bool.
  void field(std::string_view name, bool& value);
  template <Serializable T>
  void field(std::string_view name, T& value) {
    section(name, 0);
    value.serialize(*this);
  }
  template <typename T, std::size_t N>
  void field(std::string_view name, std::array<T, N>& values) {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      raw(name, std::span(reinterpret_cast<u8*>(values.data()), sizeof values));
    } else {
      for (T& value : values) field(name, value);
    }
  }
  /// A buffer of variable length; on restore it is resized, at most to `most` bytes.
  void field(std::string_view name, std::vector<u8>& bytes, std::size_t most = 1U << 30);
  /// A memory area of fixed length that the caller owns.
  void field(std::string_view name, std::span<u8> bytes) { raw(name, bytes); }

  /// Refuses the snapshot: for values that restore can't accept. The first refusal stays.
  void refuse(std::string_view why);

  /// After restoring: whether all fields matched and nothing was left over.
  Result<void> finish() const;
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  void raw(std::string_view name, std::span<u8> bytes);
  void tag(std::string_view name, u32 length);

  std::vector<u8> bytes_;
  std::size_t position_ = 0;
  bool restoring_ = false;
  std::string refusal_;
};

}  // namespace ringshift
