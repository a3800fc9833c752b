#include "tests/asm/guest_engine.h"

#include <cstring>

#include "cpu/decoder.h"
#include "cpu/interpreter/interpreter.h"
#include "cpu/processor.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "tests/asm/watchdog.h"
#include "translator/translator.h"

namespace ringshift::tests {

namespace {

using cpu::SegmentName;

// Physical layout: real-mode memory and tables below 2 MiB, which kernel tests see at kKernel; the
// test areas above.
constexpr u32 kKernel = layout::kKernel;
constexpr u64 kRamSize = u64{4} << 20;
constexpr u64 kPdpt = 0x10000, kDirectoryLow = 0x11000, kDirectoryHigh = 0x12000;
constexpr u64 kDataTable = 0x13000, kStackTable = 0x14000, kCodeTable = 0x15000;
constexpr u64 kGdt = 0x18000, kTss = 0x19000, kIdt = 0x1A000;
// One HLT for each vector: where the exceptions of user tests end up.
constexpr u64 kHandlers = 0x1C000, kHandlerSize = 16;
constexpr u64 kKernelStackTop = 0x1F000;
constexpr u64 kDataPhysical = 0x200000, kStackPhysical = 0x210000, kCodePhysical = 0x220000;
constexpr u32 kRealCode = 0x7C00;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80, kNx = u64{1} << 63;

constexpr u8 kInt3 = 0xCC, kHlt = 0xF4;

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
    for (unsigned n = 0; n < size; ++n)
      ports[(port + n) & 0xFFFF] = static_cast<u8>(value >> (8 * n));
    if (port == kInterruptPort) processor->set_interrupt_line((value & 1) != 0);
  }
  u8 acknowledge_interrupt() override {
    processor->set_interrupt_line(false);
    return 0x20;
  }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return time += 100; }
  bool deadline_due() override { return --checks_left < 0; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }

  std::vector<u8> ports = std::vector<u8>(0x10000);
  cpu::Processor* processor = nullptr;
  u64 time = 0;
  i64 checks_left = 0;  ///< of the deadline, one every thousand instructions or so
};

/// A base address as it is spread over a descriptor. SDM 3A §3.4.5.
constexpr u64 descriptor_base(u64 base) {
  return (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56;
}

constexpr u8 kCodeType = 0xB, kDataType = 3;  // accessed, readable and writable

cpu::SegmentRegister make_segment(const TestSegment& from, u8 type, u8 dpl) {
  cpu::SegmentRegister segment;
  segment.selector = from.selector;
  segment.base = from.base;
  segment.limit = from.limit;
  segment.type = type;
  segment.dpl = dpl;
  segment.code_or_data = segment.present = true;
  segment.big = segment.granular = from.big;
  return segment;
}

constexpr Segmentation kKernelSegments{{0x08}, {0x10}, {0x10}, {0x10}};

bool is_user(TestMode mode) {
  return mode == TestMode::User32 || mode == TestMode::User16;
}

const Segmentation& segments_of(TestMode mode) {
  switch (mode) {
    case TestMode::User32:
      return kFlat32;
    case TestMode::User16:
      return kSegmented16;
    default:
      return kKernelSegments;
  }
}

}  // namespace

struct GuestEngine::Implementation {
  mmu::GuestMemory guest_memory;
  mmu::MemoryBlock ram;
  mmu::MemoryMap map;
  cpu::CpuidModel model = cpu::CpuidModel::from_host();
  mmu::ProcessorMemory port;
  TestPlatform platform;
  cpu::Processor processor;
  cpu::Decoder decoder{model};
  // One of the two; whichever it is also stands in `engine`.
  std::unique_ptr<cpu::Interpreter> interpreter;
  std::unique_ptr<translator::Translator> translator;
  cpu::Engine* engine = nullptr;
  std::unique_ptr<Watchdog> watchdog;    ///< over an engine that doesn't ask for deadlines
  u32 filled_begin = 0, filled_end = 0;  ///< of the code area: not INT3
  TestMode mode = TestMode::User32;

  explicit Implementation(mmu::GuestMemory&& memory)
      : guest_memory(std::move(memory)),
        port(map, {model.physical_address_bits}),
        processor(port, platform, model) {
    port.set_observer(&processor);
    platform.processor = &processor;
  }

  Result<void> make_engine(EngineKind kind, translator::Options options);
  cpu::Exit run();
  void write64(u64 physical, u64 value) { map.write_value({physical}, value, 8); }
  void build_page_tables();
  void build_descriptors();
  void load_segments();
  bool faulted_to_kernel() const;
  u16 next_mnemonic();
  Outcome take_fault();
  Outcome settle(CpuImage& image, u32 code_begin, u32 code_end);
};

GuestEngine::GuestEngine() = default;
GuestEngine::~GuestEngine() = default;

Result<void> GuestEngine::Implementation::make_engine(EngineKind kind,
                                                      translator::Options options) {
  if (kind == EngineKind::Interpreter) {
    interpreter = std::make_unique<cpu::Interpreter>(processor);
    engine = interpreter.get();
    return {};
  }
  auto made = translator::Translator::create(processor, {map, port, guest_memory.file()}, options);
  if (!made) return made.error();
  translator = *std::move(made);
  if (kind == EngineKind::CheckedTranslator) translator->enable_recovery_checks();
  engine = translator.get();
  watchdog = std::make_unique<Watchdog>([this] {
    processor.kick();
    engine->wake();
  });
  return {};
}

/// Until the guest ends by itself, or has run for far too long: Exit::Kicked or Deadline.
cpu::Exit GuestEngine::Implementation::run() {
  processor.update_attention();
  platform.checks_left = 1000;
  if (!watchdog) return engine->run();
  const Watchdog::Shift shift(*watchdog);
  for (;;) {
    const cpu::Exit exit = engine->run();
    const bool interrupted = exit == cpu::Exit::Kicked || exit == cpu::Exit::Deadline;
    // An interruption may have come too late for the run that it was meant for.
    if (!interrupted || shift.too_long()) return exit;
  }
}

Result<std::unique_ptr<GuestEngine>> GuestEngine::create(EngineKind kind,
                                                         translator::Options options) {
  auto memory = mmu::GuestMemory::create(kRamSize);
  if (!memory) return memory.error();
  std::unique_ptr<GuestEngine> engine(new GuestEngine);
  engine->implementation_ = std::make_unique<Implementation>(std::move(*memory));
  Implementation& self = *engine->implementation_;
  auto ram = self.guest_memory.allocate(kRamSize, "ram");
  if (!ram) return ram.error();
  self.ram = *ram;
  self.map.map_memory({0}, kRamSize, mmu::MemoryMap::Kind::Ram, "ram", self.ram, 0);
  if (const Result<void> made = self.make_engine(kind, options); !made) return made.error();
  engine->enter(TestMode::User32);
  return engine;
}

TestMemory GuestEngine::memory() const {
  u8* ram = implementation_->ram.host;
  return {ram + kDataPhysical, ram + kStackPhysical, ram + kCodePhysical};
}

cpu::Processor& GuestEngine::processor() {
  return implementation_->processor;
}
const cpu::Decoder& GuestEngine::decoder() const {
  return implementation_->decoder;
}
EngineKind GuestEngine::kind() const {
  return implementation_->translator ? EngineKind::Translator : EngineKind::Interpreter;
}

void GuestEngine::place_code(u32 address, std::span<const u8> bytes) {
  Implementation& self = *implementation_;
  if (self.mode == TestMode::Real16) {
    self.map.write({address}, bytes);
    return;
  }
  const std::vector<u8> filler(self.filled_end - self.filled_begin, kInt3);
  self.map.write({kCodePhysical + self.filled_begin}, filler);
  self.filled_begin = address - layout::kCode;
  self.filled_end = self.filled_begin + static_cast<u32>(bytes.size());
  self.map.write({kCodePhysical + self.filled_begin}, bytes);
}

void GuestEngine::Implementation::build_page_tables() {
  const auto directory_slot = [](u32 linear) { return (linear >> 21 & 0x1FF) * 8; };
  const auto table_slot = [](u32 linear) { return (linear >> 12 & 0x1FF) * 8; };
  write64(kPdpt, kDirectoryLow | kPresent);
  write64(kPdpt + 8, kDirectoryHigh | kPresent);
  constexpr u64 kTableRights = kPresent | kWritable | kUser;
  write64(kDirectoryHigh + directory_slot(kKernel), kPresent | kWritable | kLarge);
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

/// The kernel tests' GDT: 08h code, 10h data, 18h a spare; 23h, 2Bh the user's; 30h a 32-bit TSS.
/// The IDT has 256 interrupt gates, of which programs may call 3 and 4; kernel tests load their
/// own.
void GuestEngine::Implementation::build_descriptors() {
  write64(kGdt, 0);
  write64(kGdt + 0x08, 0x00CF'9B00'0000'FFFF);
  write64(kGdt + 0x10, 0x00CF'9300'0000'FFFF);
  write64(kGdt + 0x18, 0);
  write64(kGdt + 0x20, 0x00CF'FB00'0000'FFFF);
  write64(kGdt + 0x28, 0x00CF'F300'0000'FFFF);
  write64(kGdt + 0x30, descriptor_base(kKernel + kTss) | 0x0000'8B00'0000'0067);
  for (u64 slot = 0x38; slot < 0x100; slot += 8) write64(kGdt + slot, 0);
  for (u64 at = 0; at < 0x68; at += 8) write64(kTss + at, 0);
  map.write_value({kTss + 4}, kKernel + kKernelStackTop, 4);
  map.write_value({kTss + 8}, 0x10, 4);
  map.write_value({kTss + 0x1C}, kPdpt, 4);       // CR3: never saved by a task switch, only loaded
  map.write_value({kTss + 0x64}, 0x00680000, 4);  // no I/O bitmap
  for (u64 vector = 0; vector < 256; ++vector) {
    const u64 handler = kKernel + kHandlers + vector * kHandlerSize;
    const u64 dpl = vector == 3 || vector == 4 ? 3 : 0;
    write64(kIdt + vector * 8,
            (handler & 0xFFFF) | 0x08 << 16 | (0x8E00 | dpl << 13) << 32 | (handler >> 16 << 48));
    map.write_value({handler - kKernel}, kHlt, 1);
  }
}

/// The segments of the mode, as tests find them at their start.
void GuestEngine::Implementation::load_segments() {
  cpu::State& state = processor.state;
  const u8 cpl = is_user(mode) ? 3 : 0;
  const Segmentation& segments = segments_of(mode);
  state.cpl = cpl;
  state.segment(SegmentName::CS) = make_segment(segments.code, kCodeType, cpl);
  state.segment(SegmentName::SS) = make_segment(segments.stack, kDataType, cpl);
  state.segment(SegmentName::DS) = make_segment(segments.data, kDataType, cpl);
  state.segment(SegmentName::ES) = make_segment(segments.extra, kDataType, cpl);
  state.segment(SegmentName::FS) = state.segment(SegmentName::GS) = {};
}

void GuestEngine::enter(TestMode mode) {
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
  state.gdtr = {kKernel + kGdt, 0xFF};
  state.idtr = {kKernel + kIdt, static_cast<u16>(is_user(mode) ? 0x7FF : 0)};
  const std::vector<u8> filler(layout::kCodePages * kPageSize, kInt3);
  self.map.write({kCodePhysical}, filler);
  state.tr = {};
  state.tr.selector = 0x30;
  state.tr.base = kKernel + kTss;
  state.tr.limit = 0x67;
  state.tr.type = 0xB;
  state.tr.present = true;
  state.ldtr = {};
  self.load_segments();
  processor.flush_tlb(true);
  processor.update_attention();
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
  image.eflags = static_cast<u32>(state.rflags & ~cpu::eflags::RF);
  image.extended = state.extended;
}

bool has_error_code(unsigned vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

}  // namespace

bool GuestEngine::Implementation::faulted_to_kernel() const {
  const cpu::State& state = processor.state;
  return state.cpl == 0 && state.rip - kKernel - kHandlers < 256 * kHandlerSize;
}

/// The processor has just delivered an exception from CPL 3: reads what it pushed, and puts the
/// program's state back as it was before delivery.
Outcome GuestEngine::Implementation::take_fault() {
  cpu::State& state = processor.state;
  Outcome outcome{Ending::Fault};
  outcome.vector = static_cast<u8>((state.rip - kKernel - kHandlers) / kHandlerSize);
  u64 frame = state.gpr[cpu::Rsp] - kKernel;
  const auto pop = [&] {
    const u64 value = map.read_value({frame}, 4);
    frame += 4;
    return value;
  };
  if (has_error_code(outcome.vector)) outcome.error_code = static_cast<u32>(pop());
  if (outcome.vector == 14) outcome.cr2 = static_cast<u32>(state.cr2);
  state.rip = pop();
  pop();  // CS
  state.rflags = pop() & ~cpu::eflags::RF;
  state.gpr[cpu::Rsp] = pop();
  state.activity = cpu::Activity::Running;
  load_segments();
  processor.update_attention();
  return outcome;
}

/// What a user program's end means, by the host engine's rules: an INT3 that the program doesn't
/// contain, or a place that can't be fetched from, has been reached.
Outcome GuestEngine::Implementation::settle(CpuImage& image, u32 code_begin, u32 code_end) {
  Outcome outcome;
  if (faulted_to_kernel()) outcome = take_fault();
  store_image(processor.state, image);
  if (outcome.ending != Ending::Fault) return outcome;
  constexpr u8 kBreakpoint = 3, kPageFault = 14;
  if (outcome.vector == kBreakpoint && image.eip - 1 - code_begin >= code_end - code_begin) {
    --image.eip;
    return {};
  }
  const bool fetch =
      outcome.vector == kPageFault && outcome.cr2 == image.eip + segments_of(mode).code.base;
  if (fetch && image.eip - code_begin >= code_end - code_begin) return {};
  return outcome;
}

Outcome GuestEngine::step(CpuImage& image) {
  Implementation& self = *implementation_;
  load_image(self.processor.state, image);
  self.interpreter->run_one();
  Outcome outcome;
  if (self.faulted_to_kernel()) outcome = self.take_fault();
  store_image(self.processor.state, image);
  return outcome;
}

Outcome GuestEngine::run_program(CpuImage& image) {
  Implementation& self = *implementation_;
  load_image(self.processor.state, image);
  const cpu::Exit exit = self.run();
  if (exit != cpu::Exit::Halt || !self.faulted_to_kernel()) {
    store_image(self.processor.state, image);
    self.load_segments();
    return {Ending::OutOfSteps};
  }
  const u32 area = layout::kCode - segments_of(self.mode).code.base;
  return self.settle(image, area + self.filled_begin, area + self.filled_end);
}

/// What the next instruction is, without executing or faulting.
u16 GuestEngine::Implementation::next_mnemonic() {
  std::array<u8, cpu::kLongestInstruction> bytes{};
  const cpu::State& state = processor.state;
  const u64 linear = (state.segment(SegmentName::CS).base + state.rip) & 0xFFFFFFFF;
  const cpu::PageAccess access{cpu::AccessType::Execute, processor.data_privilege(), false};
  for (unsigned n = 0; n < bytes.size(); ++n) {
    const auto result = port.translate(processor.paging_context(), {linear + n}, access);
    const auto* translation = std::get_if<cpu::Translation>(&result);
    if (translation == nullptr) break;
    bytes[n] = static_cast<u8>(map.read_value(translation->address, 1));
  }
  cpu::Instruction instruction;
  const auto status = decoder.decode(bytes, processor.decode_mode(), instruction);
  return status == cpu::DecodeStatus::Ok ? instruction.mnemonic : u16{0};
}

Outcome GuestEngine::run_until(CpuImage& image, u32 end, unsigned step_limit,
                               const Executed& executed) {
  Implementation& self = *implementation_;
  cpu::Processor& processor = self.processor;
  load_image(processor.state, image);
  processor.update_attention();
  self.platform.checks_left = 1000;
  Outcome outcome{Ending::OutOfSteps};
  for (unsigned step = 0; step < step_limit; ++step) {
    if (processor.state.rip + processor.state.segment(SegmentName::CS).base == end) {
      outcome = {};
      break;
    }
    if (executed) executed(self.next_mnemonic());
    if (!self.interpreter->run_one() && processor.state.activity == cpu::Activity::Shutdown) break;
    if (is_user(self.mode) && self.faulted_to_kernel()) {
      outcome = self.take_fault();
      break;
    }
  }
  if (processor.state.activity == cpu::Activity::Shutdown) {
    outcome = {Ending::Fault, static_cast<u8>(processor.pending_exception().vector)};
  }
  store_image(processor.state, image);
  return outcome;
}

Outcome GuestEngine::run_to_halt(CpuImage& image, u32 end) {
  Implementation& self = *implementation_;
  cpu::Processor& processor = self.processor;
  load_image(processor.state, image);
  const cpu::Exit exit = self.run();
  store_image(processor.state, image);
  const u64 linear = processor.state.segment(SegmentName::CS).base + processor.state.rip;
  if (exit == cpu::Exit::Shutdown) {
    return {Ending::Fault, static_cast<u8>(processor.pending_exception().vector)};
  }
  if (exit != cpu::Exit::Halt || linear != end + 1) return {Ending::OutOfSteps};
  --image.eip;
  return {};
}

}  // namespace ringshift::tests
