// A processor with flat memory and scripted ports, for tests of single instructions: the smallest
// machine that the engine can run on.
#pragma once

#include <deque>
#include <initializer_list>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "cpu/interpreter/interpreter.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

/// 2 MiB of RAM at zero, a device page at kDevice that logs, nothing elsewhere. With paging on,
/// pages are what the test has put into `pages`.
class TestMemory final : public MemoryPort {
 public:
  static constexpr u64 kRam = 0x200000;
  static constexpr u64 kDevice = 0xF000'0000;

  struct Page {
    u64 frame = 0;
    bool writable = true;
    bool user = true;
  };
  struct DeviceAccess {
    u64 offset;
    u64 value;
    unsigned size;
    bool write;
  };

  std::vector<u8> ram = std::vector<u8>(kRam);
  std::map<u64, Page> pages;  ///< by linear page address
  std::set<u64> watched;
  std::vector<DeviceAccess> device_log;
  u64 device_value = 0;
  CodeObserver* observer = nullptr;
  unsigned watch_calls = 0;

  TranslateResult translate(const PagingContext& context, LinearAddress linear,
                            PageAccess access) override {
    const auto page = pages.find(linear.page().value);
    const bool write = access.type == AccessType::Write;
    const bool user = access.privilege == Privilege::User;
    const u32 code = (write ? 2U : 0U) | (user ? 4U : 0U);
    if (page == pages.end()) return PageFault{code};
    const bool write_allowed = page->second.writable || (!user && !context.write_protect);
    if ((user && !page->second.user) || (write && !write_allowed)) return PageFault{code | 1};
    Translation translation;
    translation.address = {page->second.frame + linear.page_offset()};
    translation.readable = translation.executable = true;
    translation.writable = write_allowed;
    return translation;
  }
  u64 read_physical(PhysicalAddress address, unsigned size) override {
    if (address.page().value == kDevice) {
      device_log.push_back({address.page_offset(), 0, size, false});
      return device_value;
    }
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) {
      const u64 at = address.value + i;
      value |= u64{at < kRam ? ram[at] : u8{0xFF}} << (8 * i);
    }
    return value;
  }
  void write_physical(PhysicalAddress address, u64 value, unsigned size) override {
    if (address.page().value == kDevice) {
      device_log.push_back({address.page_offset(), value, size, true});
      return;
    }
    if (watched.contains(address.page().value)) observer->on_code_write(address, size);
    for (unsigned i = 0; i < size; ++i) {
      if (address.value + i < kRam) ram[address.value + i] = static_cast<u8>(value >> (8 * i));
    }
  }
  PhysicalAddress mask_a20(PhysicalAddress address) const override { return address; }
  HostPage host_page(PhysicalAddress page) override {
    if (page.value + kPageSize > kRam) return {};
    u8* host = ram.data() + page.value;
    return {host, watched.contains(page.value) ? nullptr : host};
  }
  void watch_code(PhysicalAddress page) override {
    watched.insert(page.value);
    ++watch_calls;
  }
  void unwatch_code(PhysicalAddress page) override { watched.erase(page.value); }
};

class TestPlatform final : public Platform {
 public:
  struct PortAccess {
    u16 port;
    u32 value;
    unsigned size;
    bool write;
  };
  std::vector<PortAccess> log;
  std::deque<u32> input;  ///< what port reads return, in turn
  u8 interrupt_vector = 0x20;
  u64 ticks = 0;
  bool due = false;

  u32 read_port(u16 port, unsigned size) override {
    u32 value = ~0U;
    if (!input.empty()) {
      value = input.front();
      input.pop_front();
    }
    log.push_back({port, value, size, false});
    return value;
  }
  void write_port(u16 port, u32 value, unsigned size) override {
    log.push_back({port, value, size, true});
  }
  u8 acknowledge_interrupt() override { return interrupt_vector; }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return ticks; }
  bool deadline_due() override { return due; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }
};

/// Everything wired up; in flat 32-bit protected mode at CPL 0 unless told otherwise.
struct TestMachine {
  static constexpr u64 kCode = 0x1000;
  static constexpr u64 kData = 0x8000;
  static constexpr u64 kStack = 0x7800;
  static constexpr u64 kHandler =
      0x2000;  ///< entry of each vector's handler: kHandler + 16 * vector
  static constexpr u64 kIdt = 0x3000;
  static constexpr u64 kGdt = 0x4000;

  TestMemory memory;
  TestPlatform platform;
  CpuidModel model;
  Processor processor;
  Interpreter interpreter;
  State& state;

  explicit TestMachine(CpuidModel cpuid = CpuidModel::from_host())
      : model(cpuid),
        processor(memory, platform, model),
        interpreter(processor),
        state(processor.state) {
    memory.observer = &processor;
    protected_mode();
  }

  /// Flat segments, a GDT with them (08h code, 10h data), an IDT of interrupt gates.
  void protected_mode() {
    state.cr0 |= cr0::PE;
    put<u64>(kGdt + 8, 0x00CF'9B00'0000'FFFF);
    put<u64>(kGdt + 16, 0x00CF'9300'0000'FFFF);
    put<u64>(kGdt + 24, 0x008F'9300'0000'FFFF);  // 18h: 4 GiB data with a 16-bit stack pointer
    state.gdtr = {kGdt, 0xFFF};
    for (unsigned vector = 0; vector < 256; ++vector) {
      const u64 entry = kHandler + 16 * vector;
      put<u64>(kIdt + 8 * vector,
               (entry & 0xFFFF) | (u64{0x08} << 16) | (u64{0x8E00} << 32) | ((entry >> 16) << 48));
    }
    state.idtr = {kIdt, 0x7FF};
    for (SegmentRegister& segment : state.segments) {
      segment = SegmentRegister{};
      segment.selector = 0x10;
      segment.limit = 0xFFFF'FFFF;
      segment.type = 3;
      segment.code_or_data = segment.present = segment.big = segment.granular = true;
    }
    SegmentRegister& cs = state.segment(SegmentName::CS);
    cs.selector = 0x08;
    cs.type = 11;
    state.rip = kCode;
    state.gpr[Rsp] = kStack;
  }
  void real_mode() {
    state.cr0 &= ~cr0::PE;
    for (SegmentRegister& segment : state.segments) {
      segment = SegmentRegister{};
      segment.limit = 0xFFFF;
      segment.type = 3;
      segment.code_or_data = segment.present = true;
    }
    state.idtr = {0, 0x3FF};
  }
  void user_mode() {
    state.cpl = 3;
    for (SegmentRegister& segment : state.segments) segment.dpl = 3;
  }
  void paging() { state.cr0 |= cr0::PG | cr0::WP; }
  /// Identity-maps RAM.
  void map_all() {
    for (u64 page = 0; page < TestMemory::kRam; page += kPageSize) memory.pages[page] = {page};
    paging();
  }

  void load(u64 at, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) memory.ram[at++] = static_cast<u8>(byte);
  }
  /// Puts code at kCode and points RIP at it.
  void code(std::initializer_list<unsigned> bytes) {
    load(kCode, bytes);
    processor.on_code_write({kCode}, 64);
    state.rip = kCode;
  }
  /// Code of one instruction, executed.
  void run(std::initializer_list<unsigned> bytes) {
    code(bytes);
    interpreter.run_one();
  }
  void steps(unsigned count) {
    while (count-- != 0) interpreter.run_one();
  }
  template <typename T>
  void put(u64 at, T value) {
    std::memcpy(memory.ram.data() + at, &value, sizeof value);
  }
  template <typename T>
  T get(u64 at) const {
    T value;
    std::memcpy(&value, memory.ram.data() + at, sizeof value);
    return value;
  }
  u32 eax() const { return static_cast<u32>(state.gpr[Rax]); }
  u64 flags() const { return state.rflags & eflags::Arithmetic; }
  /// The vector whose handler RIP stands at, or -1.
  int vector() const {
    if (state.rip < kHandler || state.rip >= kHandler + 0x1000) return -1;
    return static_cast<int>((state.rip - kHandler) / 16);
  }
};

}  // namespace ringshift::cpu
