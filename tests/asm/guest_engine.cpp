#include "tests/asm/guest_engine.h"

#include <cstring>

#include "cpu/decoder.h"
#include "cpu/processor.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "tests/asm/guest_tables.h"

namespace ringshift::tests {

namespace {

using cpu::SegmentName;

using namespace guest;

constexpr u32 kKernel = layout::kKernel;
constexpr u32 kRealCode = 0x7C00;
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
  std::unique_ptr<ChosenEngine> engine;
  u32 filled_begin = 0, filled_end = 0;  ///< of the code area: not INT3
  TestMode mode = TestMode::User32;

  explicit Implementation(mmu::GuestMemory&& memory)
      : guest_memory(std::move(memory)),
        port(map, {model.physical_address_bits}),
        processor(port, platform, model) {
    port.set_observer(&processor);
    platform.processor = &processor;
  }

  void load_segments();
  bool faulted_to_kernel() const;
  u16 next_mnemonic();
  Outcome take_fault();
  Outcome settle(CpuImage& image, u32 code_begin, u32 code_end);
};

GuestEngine::GuestEngine() = default;
GuestEngine::~GuestEngine() = default;

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
  auto made = ChosenEngine::create(
      kind, {self.processor, self.platform, self.map, self.port, self.guest_memory}, options);
  if (!made) return made.error();
  self.engine = *std::move(made);
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
  return implementation_->engine->kind();
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
  build_page_tables(self.map);
  build_descriptors(self.map);
  enable_tables(state, self.model);
  if (!is_user(mode)) state.idtr.limit = 0;
  const std::vector<u8> filler(layout::kCodePages * kPageSize, kInt3);
  self.map.write({kCodePhysical}, filler);
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
  self.engine->interpreter()->run_one();
  Outcome outcome;
  if (self.faulted_to_kernel()) outcome = self.take_fault();
  store_image(self.processor.state, image);
  return outcome;
}

Outcome GuestEngine::run_program(CpuImage& image) {
  Implementation& self = *implementation_;
  load_image(self.processor.state, image);
  const cpu::Exit exit = self.engine->run();
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
    if (!self.engine->interpreter()->run_one() &&
        processor.state.activity == cpu::Activity::Shutdown)
      break;
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
  const cpu::Exit exit = self.engine->run();
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
