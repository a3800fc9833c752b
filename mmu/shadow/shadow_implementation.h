// What stands behind ShadowMmu: spaces, their windows and their tables brought together. Accesses
// and INVLPG are in shadow_access.cpp, spaces and what changes in them in shadow_mmu.cpp.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "mmu/shadow/shadow_mmu.h"
#include "mmu/shadow/space.h"
#include "mmu/shadow/table_tracker.h"
#include "mmu/shadow/window_pool.h"

namespace ringshift::mmu {

class ShadowMmu::Implementation final : private WriteObserver, private RemapObserver {
 public:
  Implementation(MemoryMap& map, ProcessorMemory& memory, int file, const ShadowLimits& limits)
      : map_(map),
        memory_(memory),
        limits_(limits),
        pool_(file, limits),
        tracker_(map, *this, limits) {
    map_.observe_remaps(*this);
    memory_.set_a20_observer(this);
  }
  ~Implementation() override {
    memory_.set_a20_observer(nullptr);
    map_.ignore_remaps(*this);
    tracker_.clear();
    map_.forget(*this);
    for (auto& space : spaces_) {
      if (space != nullptr) pool_.drop(*space);
    }
  }

  bool works() { return pool_.works(); }
  void set_observer(SpaceObserver* observer) { observer_ = observer; }
  Window select(const cpu::PagingContext& context, cpu::Privilege privilege);
  void flush() { ++flushes_; }
  void invalidate_page(LinearAddress linear);
  FaultClass resolve(LinearAddress linear, cpu::AccessType type);
  cpu::TranslateResult fetch(LinearAddress linear);
  void on_remapped(PhysicalAddress first, u64 length) override;
  void reset();
  ShadowStatistics statistics() const;

 private:
  static constexpr u64 kLinearMask = 0xFFFF'FFFF;
  static constexpr u32 kNoPage = ~u32{0};

  struct KeyHash {
    std::size_t operator()(const SpaceKey& key) const { return key.hash(); }
  };
  enum class Tracking : u8 { Done, Changed, Impossible };

  void on_watched_write(PhysicalAddress address, u64 length) override;
  void on_watched(PhysicalAddress page) override;

  Space& space_for(const SpaceKey& key);
  void enter(Space& space);
  void load_pointers(const DirectoryPointers& pointers);
  void settle();
  void revalidate(Space& space);
  void drop_oldest_space();
  void drop_stale_spaces();
  void drop(Space& space);

  void apply_changes();
  void drop_data(const TableChanges& changes);
  void postpone(const TableChange& change);
  void report_all(Space& space);

  FaultClass map_missing(u64 linear, cpu::AccessType type);
  FaultClass can_map(const cpu::Translation& translation, cpu::AccessType type);
  Tracking track(const WalkTrace& trace, u64 linear);
  bool tracked(const WalkTrace& trace, u64 linear) const;
  bool install(HostWindow& window, u64 linear, const cpu::Translation& translation,
               const WalkTrace& trace);
  void replace_page(u64 linear);
  bool map_again(HostWindow& window, u64 linear);
  bool entries_are_accessed(u64 linear) const;

  MemoryMap& map_;
  ProcessorMemory& memory_;
  const ShadowLimits limits_;
  SpaceObserver* observer_ = nullptr;
  WindowPool pool_;
  TableTracker tracker_;
  std::vector<std::unique_ptr<Space>> spaces_;  ///< by number
  std::unordered_map<SpaceKey, Space*, KeyHash> by_key_;
  TableChanges changes_;  ///< found and not yet applied
  std::vector<TablePage*> checking_;
  std::vector<WritableMappings::Place> places_;

  // Selected.
  Space* current_ = nullptr;
  HostWindow* window_ = nullptr;
  cpu::PagingContext context_;
  cpu::Privilege privilege_ = cpu::Privilege::Supervisor;

  u64 flushes_ = 1;
  u64 clock_ = 0;
  u64 entries_ = 0;              ///< into spaces
  u32 repeated_page_ = kNoPage;  ///< found mapped when it was last asked for
  ShadowStatistics counted_;
};

}  // namespace ringshift::mmu
