// A disk image in memory, for tests: it can answer at once or when told to, fail, and count what
// was asked of it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "devices/backends.h"

namespace ringshift::devices::test {

class MemoryBackend final : public BlockBackend {
 public:
  explicit MemoryBackend(u64 bytes) : content(bytes) {}
  explicit MemoryBackend(std::vector<u8> bytes) : content(std::move(bytes)) {}

  u64 size() const override { return content.size(); }
  bool read_only() const override { return write_protected; }
  void read(u64 offset, std::span<u8> buffer, Completion completion) override {
    ++reads;
    submit(
        [this, offset, buffer] {
          if (!fails(offset, buffer.size())) {
            std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(offset), buffer.size(),
                        buffer.begin());
            return BlockStatus::Done;
          }
          return BlockStatus::Failed;
        },
        std::move(completion));
  }
  void write(u64 offset, std::span<const u8> buffer, Completion completion) override {
    ++writes;
    submit(
        [this, offset, buffer] {
          if (fails(offset, buffer.size())) return BlockStatus::Failed;
          std::copy(buffer.begin(), buffer.end(),
                    content.begin() + static_cast<std::ptrdiff_t>(offset));
          return BlockStatus::Done;
        },
        std::move(completion));
  }
  void flush(Completion completion) override {
    ++flushes;
    submit([this] { return flush_fails ? BlockStatus::Failed : BlockStatus::Done; },
           std::move(completion));
  }
  void discard(u64 offset, u64 length, Completion completion) override {
    discarded.emplace_back(offset, length);
    submit([] { return BlockStatus::Done; }, std::move(completion));
  }

  /// Answers the oldest deferred request; false if there is none.
  bool answer() {
    if (waiting_.empty()) return false;
    auto [work, completion] = std::move(waiting_.front());
    waiting_.pop_front();
    completion(work());
    return true;
  }
  std::size_t waiting() const { return waiting_.size(); }

  std::vector<u8> content;
  bool write_protected = false;
  bool deferred = false;  ///< requests wait for `answer()`
  bool flush_fails = false;
  u64 bad_byte = ~u64{0};  ///< requests that touch this offset fail
  int reads = 0, writes = 0, flushes = 0;
  std::vector<std::pair<u64, u64>> discarded;

 private:
  bool fails(u64 offset, u64 length) const {
    // The interface wants requests inside of the image: a device that asks for others is wrong.
    if (offset > content.size() || length > content.size() - offset) std::abort();
    return bad_byte >= offset && bad_byte - offset < length;
  }
  void submit(std::function<BlockStatus()> work, Completion completion) {
    if (deferred) {
      waiting_.emplace_back(std::move(work), std::move(completion));
    } else {
      completion(work());
    }
  }
  std::deque<std::pair<std::function<BlockStatus()>, Completion>> waiting_;
};

}  // namespace ringshift::devices::test
