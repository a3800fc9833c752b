#include "tests/asm/interpreter_engine.h"

#include <cstring>

#include "cpu/decoder.h"
#include "cpu/processor.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"

namespace ringshift::tests {

namespace {

using cpu::Completion;
using cpu::SegmentName;

// Physical layout: real-mode memory and tables below 1 MiB, the test areas above.
constexpr u64 kRamSize = u64{4} << 20;
constexpr u64 kPdpt = 0x10000, kDirectoryLow = 0x11000, kDirectoryHigh = 0x12000;
constexpr u64 kDataTable = 0x13000, kStackTable = 0x14000, kCodeTable = 0x15000;
constexpr u64 kGdt = 0x18000, kTss = 0x19000;
constexpr u64 kDataPhysical = 0x200000, kStackPhysical = 0x210000, kCodePhysical = 0x220000;
constexpr u32 kRealCode = 0x7C00;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80, kNx = u64{1} << 63;

/// Ports are 64 KiB of memory, but for one that drives the interrupt line.
class TestPlatform final : public cpu::Platform {
 public:
  /// Writing here sets the processor's INTR line to the value's lowest bit; INTA gives vector 20h.
  static constexpr u16 kInterruptPort = 0xF0F0;

  u32 read_port(u16 port, unsigned size) override {
    u32 value = 0;
    for (unsigned n = 0; n < size; ++n) value |= u32{ports[(port + n) & 0xFFFF]} << (8 * n);
    return value;
  }
  void write_port(u16 port, u32 value, unsigned size) override {
    for (unsigned n = 0; n < size; ++n) ports[(port + n) & 0xFFFF] = static_cast<u8>(value >> (8 * n));
    if (port == kInterruptPort) processor->set_interrupt_line((value & 1) != 0);
  }
  u8 acknowledge_interrupt() override {
    processor->set_interrupt_line(false);
    return 0x20;
  }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return time += 100; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }

  std::vector<u8> ports = std::vector<u8>(0x10000);
  cpu::Processor* processor = nullptr;
  u64 time = 0;
};

cpu::SegmentRegister flat_segment(u16 selector, u8 type, u8 dpl) {
  cpu::SegmentRegister segment;
  segment.selector = selector;
  segment.limit = 0xFFFFFFFF;
  segment.type = type;
  segment.dpl = dpl;
  segment.code_or_data = segment.present = segment.big = segment.granular = true;
  return segment;
}

}  // namespace

struct InterpreterEngine::Implementation {
  mmu::GuestMemory guest_memory;
  mmu::MemoryBlock ram;
  mmu::MemoryMap map;
  mmu::ProcessorMemory port;
  TestPlatform platform;
  cpu::CpuidModel model = cpu::CpuidModel::from_host();
  cpu::Processor processor;
  cpu::Decoder decoder;
  TestMode mode = TestMode::User32;

  explicit Implementation(mmu::GuestMemory&& memory)
      : guest_memory(std::move(memory)),
        port(map, {model.physical_address_bits}),
        processor(port, platform, model),
        decoder(model) {
    port.set_observer(&processor);
    platform.processor = &processor;
  }

  void write64(u64 physical, u64 value) { map.write_value({physical}, value, 8); }
  void build_page_tables();
  void build_descriptors();
  void load_flat_segments(u8 cpl);
  Completion execute_one();
  cpu::GuestResult<unsigned> fetch(std::span<u8> into);
};

InterpreterEngine::InterpreterEngine() = default;
InterpreterEngine::~InterpreterEngine() = default;

Result<std::unique_ptr<InterpreterEngine>> InterpreterEngine::create() {
  auto memory = mmu::GuestMemory::create(kRamSize);
  if (!memory) return memory.error();
  std::unique_ptr<InterpreterEngine> engine(new InterpreterEngine);
  engine->implementation_ = std::make_unique<Implementation>(std::move(*memory));
  Implementation& self = *engine->implementation_;
  auto ram = self.guest_memory.allocate(kRamSize, "ram");
  if (!ram) return ram.error();
  self.ram = *ram;
  self.map.map_memory({0}, kRamSize, mmu::MemoryMap::Kind::Ram, "ram", self.ram, 0);
  engine->enter(TestMode::User32);
  return engine;
}

TestMemory InterpreterEngine::memory() const {
  u8* ram = implementation_->ram.host;
  return {ram + kDataPhysical, ram + kStackPhysical, ram + kCodePhysical};
}

cpu::Processor& InterpreterEngine::processor() { return implementation_->processor; }
const cpu::Decoder& InterpreterEngine::decoder() const { return implementation_->decoder; }

void InterpreterEngine::place_code(u32 address, std::span<const u8> bytes) {
  const u64 physical = implementation_->mode == TestMode::Real16
                           ? address
                           : kCodePhysical + (address - layout::kCode);
  implementation_->map.write({physical}, bytes);
}

void InterpreterEngine::Implementation::build_page_tables() {
  const auto directory_slot = [](u32 linear) { return (linear >> 21 & 0x1FF) * 8; };
  const auto table_slot = [](u32 linear) { return (linear >> 12 & 0x1FF) * 8; };
  write64(kPdpt, kDirectoryLow | kPresent);
  write64(kPdpt + 8, kDirectoryHigh | kPresent);
  constexpr u64 kTableRights = kPresent | kWritable | kUser;
  // The tables themselves, for kernel tests: linear = physical.
  write64(kDirectoryLow, kPresent | kWritable | kLarge);
  write64(kDirectoryLow + directory_slot(layout::kData), kDataTable | kTableRights);
  write64(kDirectoryLow + directory_slot(layout::kStack), kStackTable | kTableRights);
  write64(kDirectoryHigh + directory_slot(layout::kCode), kCodeTable | kTableRights);
  for (u32 page = 0; page <= layout::kDataPages; ++page) {
    const u64 rights = page < layout::kDataPages ? kTableRights : kPresent | kUser;
    const u32 linear = layout::kData + page * static_cast<u32>(kPageSize);
    write64(kDataTable + table_slot(linear), (kDataPhysical + page * kPageSize) | rights | kNx);
  }
  write64(kStackTable + table_slot(layout::kStack), kStackPhysical | kTableRights | kNx);
  for (u32 page = 0; page < layout::kCodePages; ++page) {
    const u32 linear = layout::kCode + page * static_cast<u32>(kPageSize);
    write64(kCodeTable + table_slot(linear), (kCodePhysical + page * kPageSize) | kTableRights);
  }
}

/// The kernel tests' GDT: 08h code, 10h data, 18h a spare; 23h, 2Bh the user's; 30h a 32-bit TSS whose
/// ring 0 stack is the upper half of the stack area.
void InterpreterEngine::Implementation::build_descriptors() {
  write64(kGdt, 0);
  write64(kGdt + 0x08, 0x00CF'9B00'0000'FFFF);
  write64(kGdt + 0x10, 0x00CF'9300'0000'FFFF);
  write64(kGdt + 0x18, 0);
  write64(kGdt + 0x20, 0x00CF'FB00'0000'FFFF);
  write64(kGdt + 0x28, 0x00CF'F300'0000'FFFF);
  write64(kGdt + 0x30, 0x0000'8900'0000'0067 | kTss << 16);
  for (u64 slot = 0x38; slot < 0x100; slot += 8) write64(kGdt + slot, 0);
  for (u64 at = 0; at < 0x68; at += 8) write64(kTss + at, 0);
  map.write_value({kTss + 4}, layout::kStack + kPageSize, 4);
  map.write_value({kTss + 8}, 0x10, 4);
  map.write_value({kTss + 0x64}, 0x00680000, 4);  // no I/O bitmap
}

void InterpreterEngine::Implementation::load_flat_segments(u8 cpl) {
  cpu::State& state = processor.state;
  const bool user = cpl == 3;
  state.cpl = cpl;
  state.segment(SegmentName::CS) = flat_segment(user ? kCodeSelector : 0x08, 0xB, cpl);
  const cpu::SegmentRegister data = flat_segment(user ? kDataSelector : 0x10, 3, cpl);
  state.segment(SegmentName::SS) = state.segment(SegmentName::DS) = data;
  state.segment(SegmentName::ES) = data;
  state.segment(SegmentName::FS) = state.segment(SegmentName::GS) = {};
}

void InterpreterEngine::enter(TestMode mode) {
  Implementation& self = *implementation_;
  self.mode = mode;
  cpu::Processor& processor = self.processor;
  processor.reset();
  cpu::State& state = processor.state;
  if (mode == TestMode::Real16) {
    for (cpu::SegmentRegister& segment : state.segments) segment.selector = 0, segment.base = 0;
    state.gpr[cpu::Rsp] = kRealCode;
    processor.update_attention();
    return;
  }
  self.build_page_tables();
  self.build_descriptors();
  state.cr0 = cpu::cr0::PE | cpu::cr0::MP | cpu::cr0::ET | cpu::cr0::NE | cpu::cr0::WP |
              cpu::cr0::AM | cpu::cr0::PG;
  state.cr4 = cpu::cr4::PAE | cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT;
  if (self.model.has(cpu::Feature::Xsave)) {
    state.cr4 |= cpu::cr4::OSXSAVE;
    state.xcr0 = self.model.has(cpu::Feature::Avx) ? 7 : 3;
  }
  state.efer = cpu::efer::NXE;
  state.cr3 = kPdpt;
  state.pdpte = {kDirectoryLow | kPresent, kDirectoryHigh | kPresent, 0, 0};
  state.gdtr = {kGdt, 0xFF};
  state.idtr = {0, 0};
  state.tr = {};
  state.tr.selector = 0x30;
  state.tr.base = kTss;
  state.tr.limit = 0x67;
  state.tr.type = 0xB;
  state.tr.present = true;
  state.ldtr = {};
  self.load_flat_segments(mode == TestMode::User32 ? 3 : 0);
  processor.flush_tlb(true);
  processor.update_attention();
}

/// Up to 15 bytes from CS:EIP; fewer where the next page can't be fetched from, unless that is the
/// first byte.
cpu::GuestResult<unsigned> InterpreterEngine::Implementation::fetch(std::span<u8> into) {
  const u64 linear = processor.state.segment(SegmentName::CS).base + processor.state.rip;
  const cpu::PageAccess access{cpu::AccessType::Execute, processor.data_privilege(), false};
  unsigned length = 0;
  while (length < into.size()) {
    const u64 at = (linear + length) & 0xFFFFFFFF;
    const auto physical = processor.translate(at, access);
    if (physical.faulted()) {
      if (length == 0) return cpu::Faulted{};
      return length;
    }
    const unsigned in_page = static_cast<unsigned>(
        std::min<u64>(into.size() - length, kPageSize - (at & kPageMask)));
    map.read(port.mask_a20(physical.value()), into.subspan(length, in_page));
    length += in_page;
  }
  return length;
}

Completion InterpreterEngine::Implementation::execute_one() {
  std::array<u8, cpu::kLongestInstruction> bytes;
  const auto fetched = fetch(bytes);
  if (fetched.faulted()) return Completion::Fault;
  cpu::Instruction instruction;
  const std::span available = std::span(bytes).first(fetched.value());
  switch (decoder.decode(available, processor.decode_mode(), instruction)) {
    case cpu::DecodeStatus::Ok:
      break;
    case cpu::DecodeStatus::InvalidOpcode:
      processor.raise(cpu::Vector::InvalidOpcode);
      return Completion::Fault;
    case cpu::DecodeStatus::TooLong:
      processor.raise(cpu::Vector::GeneralProtection, 0);
      return Completion::Fault;
    case cpu::DecodeStatus::NeedsMoreBytes:
      // The fetch stopped at a page that faults: ask again for the fault.
      (void)processor.translate(
          processor.state.segment(SegmentName::CS).base + processor.state.rip + fetched.value(),
          {cpu::AccessType::Execute, processor.data_privilege(), false});
      return Completion::Fault;
  }
  const Completion completion = instruction.handler(processor, instruction);
  if (completion == Completion::Next || completion == Completion::EndBlock) {
    processor.state.rip = (processor.state.rip + instruction.length) & 0xFFFFFFFF;
  }
  return completion;
}

namespace {

void load_image(cpu::State& state, const CpuImage& image) {
  for (unsigned n = 0; n < 8; ++n) state.gpr[n] = image.gpr[n];
  state.rip = image.eip;
  state.rflags = image.eflags;
  state.extended = image.extended;
}

void store_image(const cpu::State& state, CpuImage& image) {
  for (unsigned n = 0; n < 8; ++n) image.gpr[n] = static_cast<u32>(state.gpr[n]);
  image.eip = static_cast<u32>(state.rip);
  image.eflags = static_cast<u32>(state.rflags);
  image.extended = state.extended;
}

Outcome outcome_of(const cpu::GuestException& exception) {
  Outcome outcome{Ending::Fault, static_cast<u8>(exception.vector),
                  exception.has_error_code ? exception.error_code : 0, 0};
  if (exception.vector == cpu::Vector::PageFault) {
    outcome.cr2 = static_cast<u32>(exception.fault_address);
  }
  return outcome;
}

}  // namespace

Outcome InterpreterEngine::step(CpuImage& image) {
  Implementation& self = *implementation_;
  load_image(self.processor.state, image);
  Completion completion = Completion::Repeat;
  while (completion == Completion::Repeat) completion = self.execute_one();
  store_image(self.processor.state, image);
  if (completion == Completion::Fault) return outcome_of(self.processor.pending_exception());
  return {};
}

Outcome InterpreterEngine::run(CpuImage& image, u32 end, unsigned step_limit) {
  Implementation& self = *implementation_;
  cpu::Processor& processor = self.processor;
  load_image(processor.state, image);
  processor.update_attention();
  Outcome outcome{Ending::OutOfSteps};
  for (unsigned step = 0; step < step_limit; ++step) {
    if (processor.attention()) processor.service_events();
    if (processor.state.activity != cpu::Activity::Running) break;
    if (processor.state.rip + processor.state.segment(SegmentName::CS).base == end) {
      outcome = {};
      break;
    }
    if (self.execute_one() != Completion::Fault) continue;
    outcome = outcome_of(processor.pending_exception());
    if (self.mode == TestMode::User32 || processor.state.idtr.limit == 0) break;
    outcome = {Ending::OutOfSteps};
    processor.deliver_pending_exception();
  }
  store_image(processor.state, image);
  return outcome;
}

}  // namespace ringshift::tests
