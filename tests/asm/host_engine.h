// Runs 32-bit CPL 3 code on the host's own processor, inside this 64-bit process: the oracle of the
// instruction tests. Linux lets a 64-bit program far-jump into the 32-bit compatibility segment;
// with code, data and stack mapped below 4 GiB, guest registers loaded and a far jump back behind
// the last instruction, any unprivileged instruction can be asked what it really does.
//
// One engine a process: the low addresses and the signal handlers are process-wide.
#pragma once

#include <memory>
#include <span>

#include "cpu/result.h"
#include "tests/asm/test_state.h"

namespace ringshift::tests {

class HostEngine {
 public:
  /// Fails with one line where the host can't do it (no 32-bit segment, low memory taken).
  static Result<std::unique_ptr<HostEngine>> create();
  ~HostEngine();
  HostEngine(const HostEngine&) = delete;
  HostEngine& operator=(const HostEngine&) = delete;

  TestMemory memory() const;
  /// Sets the contents of the read-only page.
  void fill_read_only(std::span<const u8> bytes);

  /// Chooses the segments of what runs next. False: the host refuses 16-bit segments.
  bool use(const Segmentation& segments);

  /// How control comes back behind the code.
  enum class WayBack : u8 {
    Jump,  ///< fast; if it fits before the end of the area, the code's surroundings are the host's
    Trap,  ///< INT3, as everywhere around the code: code may look at its surroundings
  };
  /// Puts the code at linear `address` (inside the code area), with INT3 around it but for the way
  /// back.
  void place_code(u32 address, std::span<const u8> bytes, WayBack way_back = WayBack::Jump);

  /// Runs from image.eip until control reaches the byte behind the placed code, an INT3 that the
  /// engine has put somewhere, an address without memory, or an exception. Reaching is
  /// Ending::Reached with the address in image.eip, whichever of the first three it was.
  Outcome run(CpuImage& image);

 private:
  HostEngine() = default;
  Segmentation segments_ = kFlat32;
  bool has_16_bit_segments_ = false;
  u32 code_begin_ = 0;  ///< relative to the code segment
  u32 code_end_ = 0;
  u32 filled_begin_ = 0;
  u32 filled_end_ = 0;
};

}  // namespace ringshift::tests
