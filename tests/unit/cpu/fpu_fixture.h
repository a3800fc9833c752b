// A processor in flat 32-bit protected mode, whose handlers tests call one instruction at a time.
#pragma once

#include <cstring>
#include <initializer_list>
#include <set>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#include "cpu/cpuid.h"
#include "cpu/decoder.h"
#include "cpu/host_unit/x87_image.h"
#include "cpu/processor.h"

namespace ringshift::cpu::test {

/// One MiB of RAM, identity-mapped; pages in `absent` fault when paging is on.
class FlatMemory final : public MemoryPort {
 public:
  static constexpr u64 kSize = u64{1} << 20;

  TranslateResult translate(const PagingContext&, LinearAddress linear,
                            PageAccess access) override {
    if (absent.contains(linear.page_number())) {
      return PageFault{access.type == AccessType::Write ? 2U : 0U};
    }
    Translation translation;
    translation.address = PhysicalAddress{linear.value};
    translation.readable = translation.writable = translation.executable = true;
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
  std::set<u64> absent;
};

class FpuPlatform final : public Platform {
 public:
  u32 read_port(u16, unsigned) override { return 0; }
  void write_port(u16, u32, unsigned) override {}
  u8 acknowledge_interrupt() override { return 0; }
  void set_ferr(bool asserted) override { ferr = asserted; }
  bool ignore_numeric_error() const override { return ignne; }
  u64 time_stamp() override { return 0; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }

  bool ferr = false;
  bool ignne = false;
};

struct FpuMachine {
  static constexpr u32 kData = 0x2000;

  FpuMachine() {
    SegmentRegister flat;
    flat.limit = 0xFFFFFFFF;
    flat.type = 3;
    flat.code_or_data = flat.present = flat.big = flat.granular = true;
    for (SegmentRegister& segment : processor.state.segments) segment = flat;
    processor.state.segment(SegmentName::CS).type = 0xB;
    processor.state.segment(SegmentName::CS).selector = 0x08;
    for (SegmentName name : {SegmentName::DS, SegmentName::ES, SegmentName::SS}) {
      processor.state.segment(name).selector = 0x10;
    }
    processor.state.cr0 = cr0::PE | cr0::NE | cr0::ET | cr0::MP;
    processor.state.cr4 = cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE;
    processor.state.xcr0 = 7;
    processor.state.rip = 0x1000;
    processor.state.gpr[Rsi] = processor.state.gpr[Rdi] = kData;
    image::power_on(processor.state.extended);
    image::initialise_x87(processor.state.extended);
    processor.flush_tlb(true);
  }

  Instruction decode(std::span<const u8> code) {
    Instruction instruction;
    REQUIRE(decoder.decode(code, processor.decode_mode(), instruction) == DecodeStatus::Ok);
    return instruction;
  }
  bool defined(std::initializer_list<u8> code) {
    Instruction instruction;
    return decoder.decode(std::span(code.begin(), code.size()), processor.decode_mode(),
                          instruction) == DecodeStatus::Ok;
  }
  Completion run(std::span<const u8> code) {
    const Instruction instruction = decode(code);
    return instruction.handler(processor, instruction);
  }
  Completion run(std::initializer_list<u8> code) {
    return run(std::span(code.begin(), code.size()));
  }
  void must_run(std::initializer_list<u8> code) { REQUIRE(run(code) == Completion::Next); }
  /// Runs an instruction that must fault with this vector.
  void must_fault(std::initializer_list<u8> code, Vector vector) {
    REQUIRE(run(code) == Completion::Fault);
    REQUIRE(processor.pending_exception().vector == vector);
  }

  template <typename T>
  T peek(u64 address) {
    T value;
    std::memcpy(&value, memory.bytes.data() + address, sizeof value);
    return value;
  }
  template <typename T>
  void poke(u64 address, T value) {
    std::memcpy(memory.bytes.data() + address, &value, sizeof value);
  }
  template <typename T>
  T xmm(unsigned reg, unsigned lane) {
    return image::load<T>(extended(),
                          image::kXmm + 16 * reg + static_cast<unsigned>(sizeof(T)) * lane);
  }
  template <typename T>
  void set_xmm(unsigned reg, unsigned lane, T value) {
    image::store<T>(extended(), image::kXmm + 16 * reg + static_cast<unsigned>(sizeof(T)) * lane,
                    value);
  }
  void set_mxcsr(u32 value) { image::store<u32>(extended(), image::kMxcsr, value); }
  u32 mxcsr() { return image::mxcsr(extended()); }
  u16 status() { return image::status(extended()); }
  ExtendedState& extended() { return processor.state.extended; }
  void page_absent(u64 address) {
    processor.state.cr0 |= cr0::PG;
    memory.absent.insert(address >> kPageShift);
    processor.flush_tlb(true);
  }

  CpuidModel model = CpuidModel::from_host();
  FlatMemory memory;
  FpuPlatform platform;
  Processor processor{memory, platform, model};
  Decoder decoder{model};
};

}  // namespace ringshift::cpu::test
