// A processor with flat in-memory tables, for tests of what the system manual describes: descriptor
// tables, gates and task segments are built by hand, and members of Processor are called directly.
#pragma once

#include <cstring>
#include <map>
#include <vector>

#include <catch2/catch.hpp>

#include "cpu/descriptor.h"
#include "cpu/processor.h"

namespace ringshift::cpu::test {

/// Two MiB of RAM, identity-mapped when paging is on, except for pages with rights of their own.
class SystemMemory final : public MemoryPort {
 public:
  static constexpr u64 kSize = u64{2} << 20;
  enum class Page : u8 { Absent, ReadOnly };

  TranslateResult translate(const PagingContext& context, LinearAddress linear,
                            PageAccess access) override {
    const auto page = pages.find(linear.page_number());
    const bool writes = access.type == AccessType::Write;
    const u32 user = access.privilege == Privilege::User ? 4 : 0;
    last_context = context;
    if (page != pages.end()) {
      if (page->second == Page::Absent) return PageFault{(writes ? 2U : 0U) | user};
      if (writes) return PageFault{3 | user};
    }
    Translation translation;
    translation.address = {linear.value};
    translation.readable = translation.executable = true;
    translation.writable = page == pages.end();
    return translation;
  }
  u64 read_physical(PhysicalAddress address, unsigned size) override {
    u64 value = 0;
    if (address.value + size <= kSize) std::memcpy(&value, bytes.data() + address.value, size);
    return value;
  }
  void write_physical(PhysicalAddress address, u64 value, unsigned size) override {
    if (address.value + size <= kSize) std::memcpy(bytes.data() + address.value, &value, size);
  }
  PhysicalAddress mask_a20(PhysicalAddress address) const override { return address; }
  HostPage host_page(PhysicalAddress page) override {
    if (page.value >= kSize) return {};
    u8* host = bytes.data() + page.page().value;
    return {host, host};
  }
  void watch_code(PhysicalAddress) override {}
  void unwatch_code(PhysicalAddress) override {}

  std::vector<u8> bytes = std::vector<u8>(kSize);
  std::map<u64, Page> pages;
  PagingContext last_context;
};

class SystemPlatform final : public Platform {
 public:
  u32 read_port(u16, unsigned) override { return 0; }
  void write_port(u16, u32, unsigned) override {}
  u8 acknowledge_interrupt() override {
    ++acknowledged;
    return interrupt_vector;
  }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return now; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32 index, u64& value) override {
    value = apic_base;
    return index == 0x1B;
  }
  bool write_apic_msr(u32 index, u64 value) override {
    if (index != 0x1B) return false;
    apic_base = value;
    return true;
  }

  u8 interrupt_vector = 0x20;
  unsigned acknowledged = 0;
  u64 now = 1000;
  u64 apic_base = 0xFEE00900;
};

/// A model with every feature, whatever the host has.
inline CpuidModel full_model() {
  CpuidModel model;
  model.features.set();
  model.family_model_stepping = 0x000106CA;
  model.brand = "Test Processor";
  model.tsc_khz = 2'100'000;
  model.crystal_hz = 100'000'000;
  return model;
}

// --- Descriptors ---

/// Type values of the SDM's table 3-1.
inline constexpr u8 kData = 0, kDataWritable = 2, kDataExpandDown = 6, kCode = 8,
                    kCodeReadable = 10, kConforming = 14;

struct SegmentFields {
  u64 base = 0;
  u32 limit = 0xFFFFF;  ///< the field itself
  u8 type = kDataWritable;
  u8 dpl = 0;
  bool present = true;
  bool big = true;
  bool granular = true;
  bool code_or_data = true;
};

inline u64 encode(const SegmentFields& fields) {
  return (u64{fields.limit} & 0xFFFF) | (fields.base & 0xFFFFFF) << 16 | u64{fields.type} << 40 |
         u64{fields.code_or_data} << 44 | u64{fields.dpl} << 45 | u64{fields.present} << 47 |
         u64{fields.limit >> 16 & 0xF} << 48 | u64{fields.big} << 54 | u64{fields.granular} << 55 |
         (fields.base >> 24 & 0xFF) << 56;
}

inline u64 code_descriptor(u8 dpl, u8 type = kCodeReadable) {
  SegmentFields fields;
  fields.type = type;
  fields.dpl = dpl;
  return encode(fields);
}

inline u64 data_descriptor(u8 dpl, u8 type = kDataWritable) {
  SegmentFields fields;
  fields.type = type;
  fields.dpl = dpl;
  return encode(fields);
}

inline u64 system_descriptor(SystemType type, u64 base, u32 limit, u8 dpl = 0) {
  SegmentFields fields;
  fields.base = base;
  fields.limit = limit;
  fields.type = static_cast<u8>(type);
  fields.dpl = dpl;
  fields.code_or_data = fields.big = fields.granular = false;
  return encode(fields);
}

inline u64 gate_descriptor(SystemType type, u16 selector, u32 offset, u8 dpl = 0,
                           u8 parameters = 0) {
  return (u64{offset} & 0xFFFF) | u64{selector} << 16 | u64{parameters} << 32 |
         u64{static_cast<u8>(type)} << 40 | u64{dpl} << 45 | u64{1} << 47 |
         (u64{offset} >> 16) << 48;
}

inline constexpr u64 kNotPresent = ~(u64{1} << 47);

// --- The machine ---

struct SystemMachine {
  static constexpr u32 kGdt = 0x1000, kLdt = 0x2000, kIdt = 0x3000, kTss = 0x4000, kTss2 = 0x5000,
                       kTss16 = 0x6000, kLdt2 = 0x7000;
  static constexpr u32 kStack0 = 0x10000, kStack3 = 0x20000, kCode = 0x30000, kHandler = 0x40000;

  // The GDT that every protected-mode test starts from.
  static constexpr u16 kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1B, kData3 = 0x23,
                       kTssSelector = 0x28, kTss2Selector = 0x30, kTss16Selector = 0x38,
                       kLdtSelector = 0x40, kConforming0 = 0x48, kCode1 = 0x51, kData1 = 0x59,
                       kFree = 0x60, kFree2 = 0x68, kFree3 = 0x70;
  static constexpr u16 kGdtLimit = 0x7F;

  CpuidModel model = full_model();
  SystemMemory memory;
  SystemPlatform platform;
  Processor processor{memory, platform, model};
  State& state = processor.state;

  template <typename T>
  T peek(u64 address) const {
    T value;
    std::memcpy(&value, memory.bytes.data() + address, sizeof value);
    return value;
  }
  template <typename T>
  void poke(u64 address, T value) {
    std::memcpy(memory.bytes.data() + address, &value, sizeof value);
  }
  void set_gdt(u16 selector, u64 descriptor) { poke<u64>(kGdt + (selector & 0xFFF8U), descriptor); }
  u64 gdt(u16 selector) const { return peek<u64>(kGdt + (selector & 0xFFF8U)); }
  void set_idt(u8 vector, u64 gate) { poke<u64>(kIdt + vector * 8U, gate); }
  SegmentRegister& segment(SegmentName name) { return state.segment(name); }
  u16 selector(SegmentName name) const { return state.segment(name).selector; }

  /// Protected mode at `cpl` with the tables above, an LDT, and a 32-bit TSS with stacks.
  explicit SystemMachine(u8 cpl = 0) {
    set_gdt(kCode0, code_descriptor(0));
    set_gdt(kData0, data_descriptor(0));
    set_gdt(kCode3, code_descriptor(3));
    set_gdt(kData3, data_descriptor(3));
    set_gdt(kTssSelector, system_descriptor(SystemType::BusyTss32, kTss, 0x2100));
    set_gdt(kTss2Selector, system_descriptor(SystemType::AvailableTss32, kTss2, 0x67));
    set_gdt(kTss16Selector, system_descriptor(SystemType::AvailableTss16, kTss16, 0x2B));
    set_gdt(kLdtSelector, system_descriptor(SystemType::Ldt, kLdt, 0x1F));
    set_gdt(kConforming0, code_descriptor(0, kConforming));
    set_gdt(kCode1, code_descriptor(1));
    set_gdt(kData1, data_descriptor(1));
    state.gdtr = {kGdt, kGdtLimit};
    state.idtr = {kIdt, 0x7FF};
    state.cr0 = cr0::PE | cr0::ET | cr0::NE;
    state.ldtr = Descriptor{gdt(kLdtSelector), 0}.segment(kLdtSelector);
    state.tr = Descriptor{gdt(kTssSelector), 0}.segment(kTssSelector);
    poke<u32>(kTss + 4, kStack0);
    poke<u16>(kTss + 8, kData0);
    poke<u32>(kTss + 12, kStack0);
    poke<u16>(kTss + 16, kData1);
    poke<u16>(kTss + 0x66, 0x88);  // I/O map; the redirection map is at 68h
    enter(cpl);
    state.rip = kCode;
    processor.flush_tlb(true);
    processor.update_attention();
  }

  /// Flat segments of level 0, 1 or 3.
  void enter(u8 cpl) {
    const u16 code = cpl == 3 ? kCode3 : cpl == 1 ? kCode1 : kCode0;
    const u16 data = cpl == 3 ? kData3 : cpl == 1 ? kData1 : kData0;
    state.cpl = cpl;
    segment(SegmentName::CS) = Descriptor{gdt(code), 0}.segment(code);
    segment(SegmentName::SS) = Descriptor{gdt(data), 0}.segment(data);
    segment(SegmentName::DS) = segment(SegmentName::ES) = segment(SegmentName::SS);
    segment(SegmentName::FS) = segment(SegmentName::GS) = null_segment(0);
    state.gpr[Rsp] = cpl == 3 ? kStack3 : kStack0;
  }

  /// Virtual-8086 mode: CS 3000h, SS 2000h, DS 1111h, ES 2222h, FS 3333h, GS 4444h.
  void enter_virtual_8086(unsigned iopl) {
    state.rflags = eflags::Fixed | eflags::VM | eflags::IF | u64{iopl} << 12;
    state.cpl = 3;
    segment(SegmentName::CS) = virtual_8086_segment(0x3000);
    segment(SegmentName::SS) = virtual_8086_segment(0x2000);
    segment(SegmentName::DS) = virtual_8086_segment(0x1111);
    segment(SegmentName::ES) = virtual_8086_segment(0x2222);
    segment(SegmentName::FS) = virtual_8086_segment(0x3333);
    segment(SegmentName::GS) = virtual_8086_segment(0x4444);
    state.rip = 0x100;
    state.gpr[Rsp] = 0x1000;
  }

  /// Real-address mode with all segments at `selector`.
  void enter_real(u16 selector_value) {
    processor.reset();
    state.idtr = {0, 0x3FF};
    for (SegmentRegister& each : state.segments) {
      each.selector = selector_value;
      each.base = u64{selector_value} << 4;
    }
    state.rip = 0x100;
    state.gpr[Rsp] = 0x1000;
  }

  void turn_paging_on() {
    state.cr0 |= cr0::PG | cr0::WP;
    processor.flush_tlb(true);
  }

  Vector faulted_vector() const { return processor.pending_exception().vector; }
  u32 faulted_code() const { return processor.pending_exception().error_code; }
};

/// Requires that a call faulted with exactly this vector and error code.
#define REQUIRE_FAULT(machine, call, vector_, code_)                 \
  do {                                                               \
    REQUIRE((call).faulted());                                       \
    REQUIRE((machine).faulted_vector() == Vector::vector_);          \
    REQUIRE((machine).processor.pending_exception().has_error_code); \
    REQUIRE((machine).faulted_code() == u32{code_});                 \
  } while (false)

#define REQUIRE_OK(call) REQUIRE_FALSE((call).faulted())

}  // namespace ringshift::cpu::test
