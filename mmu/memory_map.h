// The guest's physical address space: which address is RAM, ROM, device memory or nothing, and the
// one way for devices to reach it (DMA). Everything that writes guest memory other than by
// translated code passes through here, so that whoever caches something derived from guest memory
// (decoded blocks, translations, shadow page tables) hears of it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/io_handler.h"
#include "cpu/memory_port.h"
#include "cpu/result.h"
#include "cpu/types.h"
#include "mmu/guest_memory.h"

namespace ringshift::mmu {

/// Hears of writes to pages that it has asked to watch.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  /// `length` bytes at `address` are about to change or have changed; never crosses a page.
  virtual void on_watched_write(PhysicalAddress address, u64 length) = 0;
};

/// Hears of every change of the map itself that concerns memory: host pointers to the whole pages
/// of [first, first + length) and what is read there may differ now.
class RemapObserver {
 public:
  virtual ~RemapObserver() = default;
  virtual void on_remapped(PhysicalAddress first, u64 length) = 0;
  /// The page has come under watch: who writes it other than through the map must stop before this
  /// returns.
  virtual void on_watched(PhysicalAddress page) { static_cast<void>(page); }
};

class MemoryMap {
 public:
  enum class Kind : u8 { Unmapped, Ram, Rom, Mmio };

  struct Region {
    PhysicalAddress first;
    u64 length = 0;
    Kind kind = Kind::Unmapped;
    std::string name;
  };

  MemoryMap();
  ~MemoryMap();
  MemoryMap(const MemoryMap&) = delete;
  MemoryMap& operator=(const MemoryMap&) = delete;

  /// Makes `length` bytes of `block` from `block_offset` visible at `first` (all page-aligned). Rom
  /// swallows writes. It hides the memory mapped there before, which comes back when this is
  /// unmapped (a BAR that is sized lies over the firmware for a moment): overlap between *owners*
  /// is checked by `map_mmio`.
  void map_memory(PhysicalAddress first, u64 length, Kind kind, std::string_view name,
                  const MemoryBlock& block, u64 block_offset);
  /// Claims a range for a device. Overlap with another device's claim is an error. A claim lies
  /// over RAM (the ISA hole) and hides it until unmapped. Ranges need not be page-aligned. Handlers
  /// see naturally aligned accesses only: others are split, as a bus with byte enables does.
  Result<void> map_mmio(PhysicalAddress first, u64 length, std::string_view name,
                        IoHandler& handler, AccessSizes sizes = {1, 8});
  void unmap_mmio(PhysicalAddress first, const IoHandler& handler);
  /// Takes away the newest mapping of exactly this page-aligned range (a PCI memory BAR that
  /// moves); where there is none, cuts the range out of all mappings.
  void unmap_memory(PhysicalAddress first, u64 length);

  /// The chipset's shadow control (82441FX PAM): what the page-aligned range reads from and writes
  /// to. `ram`/`rom` offsets follow from the address; where a Rom isn't mapped, reads give all
  /// ones. The chipset decodes before the bus: where RAM is selected, device claims are hidden;
  /// elsewhere they come first, then the Rom.
  void set_shadow(PhysicalAddress first, u64 length, bool read_from_ram, bool write_to_ram);

  // --- Access: by devices (DMA), by the processor's slow path, and by loaders ---
  /// Any length, any alignment; splits over regions. Unmapped bytes read as all ones and swallow
  /// writes. Device ranges are accessed through their handlers.
  void read(PhysicalAddress address, std::span<u8> bytes);
  void write(PhysicalAddress address, std::span<const u8> bytes);
  u64 read_value(PhysicalAddress address, unsigned size);
  void write_value(PhysicalAddress address, u64 value, unsigned size);
  /// Writes `desired` (4 or 8 bytes, naturally aligned) if the place holds `expected`: atomically
  /// in RAM; ROM swallows it and devices see a read and a write. False: the place held something
  /// else.
  bool compare_exchange(PhysicalAddress address, u64 expected, u64 desired, unsigned size);

  /// Host pointers to the page for caching: null where each access must come through the map
  /// (device, ROM for writes, watched for writes). The write pointer is null or equals the read
  /// pointer: where shadow control sends reads and writes to different memory, writes come through
  /// the map. They stay valid until `generation()` changes.
  cpu::HostPage host_page(PhysicalAddress page) const;
  /// Where the page lies in the guest memory's file, for mapping it elsewhere; nothing for MMIO.
  struct Backing {
    u64 file_offset;
    bool writable;
  };
  std::optional<Backing> backing(PhysicalAddress page) const;
  /// Pages around `page` that lie in the file in the order of their addresses and are alike.
  struct BackingRun {
    PhysicalAddress first;
    u64 pages = 0;
    u64 file_offset = 0;    ///< of `first`
    bool writable = false;  ///< memory takes writes, and nobody watches them
  };
  /// The longest run around `page` within [lowest, end); nothing where `backing` gives nothing.
  /// With `IgnoreWrites` pages are alike whether they are writable or not.
  enum class RunKind : u8 { AlikeForWrites, IgnoreWrites };
  std::optional<BackingRun> backing_run(PhysicalAddress page, PhysicalAddress lowest,
                                        PhysicalAddress end, RunKind kind) const;

  /// Asks for `observer.on_watched_write` on every write to the page until `unwatch`; asking twice
  /// is the same as once. Several observers may watch one page. Watching takes away the page's
  /// writable host pointer; `generation()` does not change for it: RemapObserver::on_watched tells
  /// who holds one.
  void watch(PhysicalAddress page, WriteObserver& observer);
  void unwatch(PhysicalAddress page, WriteObserver& observer);
  bool watched(PhysicalAddress page) const;
  /// Ends all watches of an observer that goes away.
  void forget(WriteObserver& observer);

  /// Calls `observer.on_remapped` whenever `generation()` has grown.
  void observe_remaps(RemapObserver& observer);
  void ignore_remaps(RemapObserver& observer);

  /// Grows whenever a page's host pointer may have changed through mapping or shadow control.
  u64 generation() const { return generation_; }

  /// All regions in the order of their addresses, for `ringshift devices`.
  std::vector<Region> regions() const;

 private:
  void changed(u64 first, u64 end);

  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
  u64 generation_ = 0;
};

}  // namespace ringshift::mmu
