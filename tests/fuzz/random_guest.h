// A guest that means no good: a processor put into a random but possible mode, with random code,
// page tables, descriptor tables and registers, and handlers for its exceptions that carry on
// somewhere else, so that it lives long enough to get everywhere.
#pragma once

#include <vector>

#include "cpu/processor.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "tests/fuzz/encoding_space.h"
#include "tests/fuzz/random.h"

namespace ringshift::tests {

class RandomGuest {
 public:
  /// RAM that the machine must have.
  static constexpr u64 kRam = u64{16} << 20;

  RandomGuest(cpu::Processor& processor, mmu::ProcessorMemory& memory, mmu::MemoryMap& map,
              const EncodingSpace& narrow, const EncodingSpace& wide)
      : processor_(processor), memory_(memory), map_(map), narrow_(narrow), wide_(wide) {}

  // Between two guest instructions, on the vCPU's thread.

  /// Everything anew.
  void shuffle(Random& random);
  /// Something happens to it: memory is written behind its back, an interrupt comes, it finds
  /// itself elsewhere. A processor that has stopped runs again.
  void disturb(Random& random);

 private:
  enum class Flavour : u8 { Real, Flat, Segmented, User, UserSegmented, Virtual8086, Count };
  enum class Paging : u8 { Off, Legacy, Pae };

  void fill_soup(Random& random, u64 first, u64 length, const EncodingSpace& space);
  u64 write_snippet(Random& random, u64 at, const EncodingSpace& space);
  void write_handlers(Random& random, bool wide);
  void write_tables(Random& random);
  void write_pages(Random& random);
  u64 random_entry(Random& random);
  u64 descriptor(Random& random);
  cpu::SegmentRegister segment(Random& random, bool code, unsigned privilege);
  void enter(Random& random);
  void enter_real(Random& random);
  void enter_protected(Random& random);
  void load_root(Random& random);
  void jump(Random& random);
  u32 address(Random& random);

  cpu::Processor& processor_;
  mmu::ProcessorMemory& memory_;
  mmu::MemoryMap& map_;
  const EncodingSpace& narrow_;
  const EncodingSpace& wide_;
  Flavour flavour_ = Flavour::Real;
  Paging paging_ = Paging::Off;
};

}  // namespace ringshift::tests
