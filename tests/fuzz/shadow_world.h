// A small machine whose guest does nothing but edit page tables and touch memory, with an oracle
// for what a legal TLB may answer: the software walker on the same memory, and for translations
// that the guest hasn't invalidated yet, the walker on every value that the entries have had.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "mmu/page_walker.h"
#include "mmu/shadow/shadow_mmu.h"
#include "tests/fuzz/random.h"
#include "tests/unit/mmu/window_touch.h"

namespace ringshift::tests {

class ShadowWorld final : private mmu::SpaceObserver, private mmu::WriteObserver {
 public:
  explicit ShadowWorld(u64 seed);
  ~ShadowWorld() override;

  /// One action of the guest. False: `complaint()` says what was wrong with the answer.
  bool step();
  /// All of memory is as the guest and the walker left it.
  bool check_all();
  const std::string& complaint() const { return complaint_; }
  mmu::ShadowStatistics statistics() const { return shadow_->statistics(); }
  u64 exact_checks() const { return exact_checks_; }
  u64 loose_checks() const { return loose_checks_; }

 private:
  static constexpr u64 kRam = 16 << 20;

  /// A dry walk: what it read and what it would have written.
  struct Walk final : mmu::TableMemory {
    struct Entry {
      u64 address;
      unsigned size;
      u64 value;  ///< after the walk
    };
    u64 read_entry(PhysicalAddress address, unsigned size) override;
    bool compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                                unsigned size) override;

    ShadowWorld* world = nullptr;
    std::map<u64, u64> forced;  ///< entries to read as something else
    std::vector<Entry> entries;
    std::optional<cpu::Translation> translation;
  };

  /// A version of a table entry that was in force since the last flush.
  using Versions = std::vector<u64>;
  struct FetchKey {
    u32 space;
    u64 page;
    cpu::Privilege privilege;
    bool smep;
    auto operator<=>(const FetchKey&) const = default;
  };

  void on_mapping_changed(u32 space, LinearAddress first, u64 length) override;
  void on_space_dropped(u32 space) override;
  void on_watched_write(PhysicalAddress address, u64 length) override;

  // The guest's actions.
  bool access();
  bool edit();
  bool invalidate();
  bool load_cr3();
  bool change_mode();
  bool change_privilege();
  bool fetch();
  bool change_watch();
  bool change_machine();

  // Choice.
  u64 any_linear();
  u64 any_frame(u64 linear_page);
  u64 any_leaf(u64 linear_page, unsigned size);
  u64 any_directory_entry(u64 linear, unsigned size);
  u64 mutated(u64 entry, unsigned size);
  std::optional<u64> entry_for(u64 linear, bool directory);

  // Memory and its mirror.
  u32 word(u64 physical) const;
  u64 entry(const std::vector<u8>& memory, u64 address, unsigned size) const;
  void note_write(u64 physical, const void* bytes, unsigned size);
  enum class By : u8 { Processor, Dma, Window };
  bool guest_writes(u64 physical, u64 value, unsigned size, By by);
  void remember(u64 cell);

  // The oracle.
  Walk walk(u64 linear, cpu::AccessType type);
  mmu::FaultClass verdict(const Walk& walk, cpu::AccessType type) const;
  bool in_sync(const Walk& walk, u64 linear) const;
  bool judge_exact(const Walk& walk, u64 linear, cpu::AccessType type, u32 value,
                   const WindowTouch::Outcome& outcome);
  /// `places`: the candidates of before the access, which may change its own tables.
  bool judge_loose(const Walk& walk, const std::vector<u64>& places, u64 linear,
                   cpu::AccessType type, u32 value, const WindowTouch::Outcome& outcome);
  std::vector<u64> candidates(u64 linear, cpu::AccessType type);
  bool settle_bits(const Walk& walk);
  bool check_fetched(bool only_page, u64 page);
  bool check_region(u64 first, u64 length);
  bool complain(std::string what);
  bool touch(u64 linear, cpu::AccessType type);
  void select();
  void flush_and_select();

  Random random_;
  mmu::GuestMemory memory_;
  mmu::MemoryMap map_;
  mmu::MemoryBlock ram_, rom_;
  mmu::ProcessorMemory port_{map_};
  std::unique_ptr<mmu::ShadowMmu> shadow_;
  std::optional<WindowTouch> touch_;

  cpu::PagingContext context_;
  cpu::Privilege privilege_ = cpu::Privilege::Supervisor;
  mmu::Window window_;

  std::vector<u8> mirror_;                      ///< what RAM must hold
  std::vector<u64> edited_;                     ///< by 8 bytes: when the guest last wrote there
  std::unordered_map<u64, Versions> versions_;  ///< by 8 bytes: since the last flush
  std::unordered_map<u64, u64> invalidated_;    ///< by page: when
  std::map<FetchKey, u64> fetched_;             ///< answers that nobody has taken back
  std::map<u64, bool> watched_;                 ///< by frame
  bool rom_mapped_ = true;
  static constexpr u32 kRecent = 24;
  std::array<u64, kRecent> recent_{};
  u64 time_ = 1;
  u64 flushed_ = 0;
  u32 stamp_ = 0;  ///< makes every value written different
  u64 exact_checks_ = 0;
  u64 loose_checks_ = 0;
  std::string complaint_;
};

}  // namespace ringshift::tests
