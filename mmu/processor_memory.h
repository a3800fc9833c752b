// The processor's view of the machine's memory: the physical map behind the A20 gate, with page
// translation. It joins two worlds that don't know each other: cpu/ asks through MemoryPort, the
// map tells of writes to watched pages and of remapping, and the processor hears of it as
// CodeObserver.
#pragma once

#include "cpu/memory_port.h"
#include "mmu/memory_map.h"
#include "mmu/page_walker.h"

namespace ringshift::mmu {

/// Hears of the processor's own accesses before they are made, and may forbid them: for lockstep
/// runs, which execute instructions on trial.
class AccessJournal {
 public:
  virtual ~AccessJournal() = default;
  /// `size` (at most 8) bytes within one page. False: the write isn't made.
  virtual bool on_write(PhysicalAddress address, u64 value, unsigned size) = 0;
  /// A read that memory doesn't serve. False: it isn't made, and gives all ones.
  virtual bool on_device_read(PhysicalAddress address, unsigned size) = 0;
};

class ProcessorMemory final : public cpu::MemoryPort,
                              private WriteObserver,
                              private RemapObserver,
                              private TableMemory {
 public:
  explicit ProcessorMemory(MemoryMap& map, PagingModel model = {});
  ~ProcessorMemory() override;
  ProcessorMemory(const ProcessorMemory&) = delete;
  ProcessorMemory& operator=(const ProcessorMemory&) = delete;

  /// Who hears of writes to watched code and of remapping; the processor, once it exists.
  void set_observer(cpu::CodeObserver* observer) { observer_ = observer; }
  /// From now on every write passes `journal`: host_page() gives no pointer for writing.
  void set_journal(AccessJournal* journal) { journal_ = journal; }
  /// The A20 gate: disabled, address bit 20 is always 0. A change counts as a remapping.
  void set_a20(bool enabled);
  /// Grows with each access that needed more than memory: to devices, and writes to watched pages.
  u64 slow_accesses() const { return slow_accesses_; }
  bool a20() const { return a20_mask_ == kA20Enabled; }
  /// Who else hears when the gate changes, as a remapping; the shadow MMU.
  void set_a20_observer(RemapObserver* observer) { a20_observer_ = observer; }
  /// As `translate`, and tells which entries it went by.
  cpu::TranslateResult translate(const cpu::PagingContext& context, LinearAddress linear,
                                 cpu::PageAccess access, WalkTrace& trace);

  // MemoryPort. All addresses pass the A20 gate, here if not before.
  cpu::TranslateResult translate(const cpu::PagingContext& context, LinearAddress linear,
                                 cpu::PageAccess access) override;
  u64 read_physical(PhysicalAddress address, unsigned size) override;
  void write_physical(PhysicalAddress address, u64 value, unsigned size) override;
  PhysicalAddress mask_a20(PhysicalAddress address) const override {
    return {address.value & a20_mask_};
  }
  cpu::HostPage host_page(PhysicalAddress page) override;
  void watch_code(PhysicalAddress page) override;
  void unwatch_code(PhysicalAddress page) override;

 private:
  static constexpr u64 kA20Enabled = ~u64{0};
  static constexpr u64 kA20Disabled = ~(u64{1} << 20);

  void on_watched_write(PhysicalAddress address, u64 length) override;
  void on_remapped(PhysicalAddress first, u64 length) override;
  void on_watched(PhysicalAddress page) override;
  u64 read_entry(PhysicalAddress address, unsigned size) override;
  bool compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                              unsigned size) override;

  MemoryMap& map_;
  PagingModel model_;
  cpu::CodeObserver* observer_ = nullptr;
  AccessJournal* journal_ = nullptr;
  RemapObserver* a20_observer_ = nullptr;
  u64 a20_mask_ = kA20Enabled;
  u64 slow_accesses_ = 0;
};

}  // namespace ringshift::mmu
