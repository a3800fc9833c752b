// A processor with a little memory and no devices, for tests that run guest code: 32-bit flat
// segments at CPL 0, code at kCode, the stack below it, ended by HLT. With paging, the last page
// before 4 GiB is memory, too, and what is around 4 GiB wraps.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cpu/interpreter/interpreter.h"
#include "cpu/processor.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "translator/translator.h"

namespace ringshift::translator::test {

class SmallMachine final : private cpu::Platform {
 public:
  static constexpr u64 kRam = u64{8} << 20;
  static constexpr u32 kCode = 0x10000;
  static constexpr u32 kStack = 0x8000;
  static constexpr u32 kData = 0x100000;
  static constexpr u32 kLastPage = 0xFFFFF000;
  enum class Kind : u8 { Interpreter, Translator };
  enum class Paging : u8 { Off, On };

  explicit SmallMachine(Kind kind, Options options = {})
      : guest_memory_(*mmu::GuestMemory::create(kRam)),
        memory_(map_, {model_.physical_address_bits}),
        processor_(memory_, *this, model_) {
    const mmu::MemoryBlock ram = *guest_memory_.allocate(kRam, "ram");
    map_.map_memory({0}, kRam, mmu::MemoryMap::Kind::Ram, "ram", ram, 0);
    memory_.set_observer(&processor_);
    if (kind == Kind::Interpreter) {
      engine_ = std::make_unique<cpu::Interpreter>(processor_);
      return;
    }
    auto made = Translator::create(processor_, {map_, memory_, guest_memory_.file()}, options);
    translator_ = made->get();
    engine_ = *std::move(made);
  }

  void load(std::span<const u8> code, Paging paging = Paging::Off) {
    map_.write({kCode}, code);
    processor_.reset();
    cpu::State& state = processor_.state;
    state.cr0 = cpu::cr0::PE | cpu::cr0::MP | cpu::cr0::ET | cpu::cr0::NE | cpu::cr0::WP;
    state.cr4 = cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT;
    for (cpu::SegmentRegister& segment : state.segments) segment = flat(3);
    state.segment(cpu::SegmentName::CS) = flat(11);
    state.gpr.fill(0);
    state.rip = kCode;
    state.gpr[cpu::Rsp] = kStack;
    if (paging == Paging::On) enable_paging();
    processor_.flush_tlb(true);
    processor_.update_attention();
  }
  /// Until HLT or shutdown; kicks don't end it.
  cpu::Exit run() {
    for (;;) {
      const cpu::Exit exit = engine_->run();
      if (exit == cpu::Exit::Halt || exit == cpu::Exit::Shutdown) return exit;
    }
  }
  void kick() {
    processor_.kick();
    engine_->wake();
  }

  cpu::State& state() { return processor_.state; }
  cpu::Processor& processor() { return processor_; }
  mmu::MemoryMap& map() { return map_; }
  cpu::Engine& engine() { return *engine_; }
  Translator& translator() { return *translator_; }
  /// What IN gives.
  std::function<u32(u16)> port = [](u16) { return ~u32{0}; };

 private:
  static constexpr u64 kDirectory = 0x1000, kLowTable = 0x2000, kHighTable = 0x3000;
  /// What the last page before 4 GiB shows; the first one shows itself.
  static constexpr u64 kLastFrame = 0x200000;

  static cpu::SegmentRegister flat(u8 type) {
    cpu::SegmentRegister segment;
    segment.selector = type == 11 ? 8 : 16;
    segment.limit = 0xFFFFFFFF;
    segment.type = type;
    segment.code_or_data = segment.present = segment.big = segment.granular = true;
    return segment;
  }

  void enable_paging() {
    for (u64 page = 0; page < 1024; ++page) {
      map_.write_value({kLowTable + page * 4}, page << 12 | 7, 4);
    }
    map_.write_value({kHighTable + 1023 * 4}, kLastFrame | 7, 4);
    map_.write_value({kDirectory}, kLowTable | 7, 4);
    map_.write_value({kDirectory + 1023 * 4}, kHighTable | 7, 4);
    cpu::State& state = processor_.state;
    state.cr3 = kDirectory;
    state.cr0 |= cpu::cr0::PG;
  }

  u32 read_port(u16 number, unsigned) override { return port(number); }
  void write_port(u16, u32, unsigned) override {}
  u8 acknowledge_interrupt() override { return 0; }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return 0; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }

  mmu::GuestMemory guest_memory_;
  mmu::MemoryMap map_;
  cpu::CpuidModel model_ = cpu::CpuidModel::from_host();
  mmu::ProcessorMemory memory_;
  cpu::Processor processor_;
  std::unique_ptr<cpu::Engine> engine_;
  Translator* translator_ = nullptr;
};

}  // namespace ringshift::translator::test
