#include "tests/fuzz/system_machine.h"

#include <cstdio>
#include <cstring>

#include "tests/asm/compare.h"
#include "tests/asm/guest_tables.h"

namespace ringshift::tests {

namespace {

using cpu::SegmentName;

/// Below 1 MiB, where 16-bit programs have what 32-bit ones have above.
constexpr u64 kRealData = 0x20000, kRealStack = 0x30000, kRealCode = 0x40000;
constexpr u64 kRealHandlers = 0x1000;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80;
/// Of a page-table entry: processors may set it early, and engines differ in when.
constexpr u8 kAccessed = 0x20;

cpu::SegmentRegister flat_segment(u16 selector, u8 type) {
  cpu::SegmentRegister segment;
  segment.selector = selector;
  segment.limit = 0xFFFFFFFF;
  segment.type = type;
  segment.code_or_data = segment.present = segment.big = segment.granular = true;
  return segment;
}

cpu::SegmentRegister paragraph_segment(u16 selector, u8 dpl) {
  cpu::SegmentRegister segment;
  segment.selector = selector;
  segment.base = u64{selector} << 4;
  segment.limit = 0xFFFF;
  segment.type = 3;
  segment.dpl = dpl;
  segment.code_or_data = segment.present = true;
  return segment;
}

std::string describe(const cpu::SegmentRegister& segment) {
  char text[128];
  std::snprintf(text, sizeof text, "%04X base %08llX limit %08X type %X dpl %u%s%s%s",
                unsigned{segment.selector}, static_cast<unsigned long long>(segment.base),
                segment.limit, unsigned{segment.type}, unsigned{segment.dpl},
                segment.code_or_data ? " S" : "", segment.present ? " P" : "",
                segment.big ? " B" : "");
  return text;
}

class Comparison {
 public:
  void number(const char* name, u64 left, u64 right) {
    if (left == right) return;
    char text[96];
    std::snprintf(text, sizeof text, "%s: %08llX, %08llX", name,
                  static_cast<unsigned long long>(left), static_cast<unsigned long long>(right));
    lines.emplace_back(text);
  }
  void segment(const char* name, const cpu::SegmentRegister& left,
               const cpu::SegmentRegister& right) {
    if (left == right) return;
    lines.push_back(std::string(name) + ": " + describe(left) + ", " + describe(right));
  }
  void table(const char* name, const cpu::TableRegister& left, const cpu::TableRegister& right) {
    number(name, left.base, right.base);
    number((std::string(name) + " limit").c_str(), left.limit, right.limit);
  }
  std::vector<std::string> lines;
};

void compare_system_state(Comparison& out, const cpu::State& a, const cpu::State& b) {
  static constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  for (unsigned n = 0; n < 6; ++n) out.segment(kSegments[n], a.segments[n], b.segments[n]);
  out.segment("ldtr", a.ldtr, b.ldtr);
  out.segment("tr", a.tr, b.tr);
  out.table("gdtr", a.gdtr, b.gdtr);
  out.table("idtr", a.idtr, b.idtr);
  out.number("cpl", a.cpl, b.cpl);
  out.number("cr0", a.cr0, b.cr0);
  out.number("cr2", a.cr2, b.cr2);
  out.number("cr3", a.cr3, b.cr3);
  out.number("cr4", a.cr4, b.cr4);
  out.number("efer", a.efer, b.efer);
  out.number("xcr0", a.xcr0, b.xcr0);
  for (unsigned n = 0; n < 4; ++n) out.number("pdpte", a.pdpte[n], b.pdpte[n]);
  for (unsigned n = 0; n < 8; ++n) out.number("dr", a.dr[n], b.dr[n]);
  out.number("activity", static_cast<u64>(a.activity), static_cast<u64>(b.activity));
  out.number("sti shadow", a.sti_shadow, b.sti_shadow);
  out.number("mov ss shadow", a.mov_ss_shadow, b.mov_ss_shadow);
  out.number("nmi blocked", a.nmi_blocked, b.nmi_blocked);
  out.number("pending debug", a.pending_debug, b.pending_debug);
  out.number("sysenter cs", a.sysenter_cs, b.sysenter_cs);
  out.number("sysenter esp", a.sysenter_esp, b.sysenter_esp);
  out.number("sysenter eip", a.sysenter_eip, b.sysenter_eip);
  out.number("pat", a.pat, b.pat);
  out.number("misc enable", a.misc_enable, b.misc_enable);
  out.number("tsc offset", a.tsc_offset, b.tsc_offset);
  out.number("tsc adjust", a.tsc_adjust, b.tsc_adjust);
  out.number("tsc aux", a.tsc_aux, b.tsc_aux);
}

CpuImage image_of(const cpu::State& state) {
  CpuImage image;
  for (unsigned n = 0; n < 8; ++n) image.gpr[n] = static_cast<u32>(state.gpr[n]);
  image.eip = static_cast<u32>(state.rip);
  image.eflags = static_cast<u32>(state.rflags);
  image.extended = state.extended;
  return image;
}

}  // namespace

SystemMachine::SystemMachine(mmu::GuestMemory&& memory, Environment environment,
                             const cpu::CpuidModel& model)
    : environment_(environment),
      guest_memory_(std::move(memory)),
      model_(model),
      port_(map_, {model_.physical_address_bits}),
      processor_(port_, platform_, model_) {
  port_.set_observer(&processor_);
  platform_.processor = &processor_;
}

Result<std::unique_ptr<SystemMachine>> SystemMachine::create(EngineKind kind,
                                                             Environment environment,
                                                             const cpu::CpuidModel& model,
                                                             translator::Options options) {
  auto memory = mmu::GuestMemory::create(guest::kRamSize);
  if (!memory) return memory.error();
  std::unique_ptr<SystemMachine> machine(new SystemMachine(std::move(*memory), environment, model));
  auto ram = machine->guest_memory_.allocate(guest::kRamSize, "ram");
  if (!ram) return ram.error();
  machine->ram_ = *ram;
  machine->map_.map_memory({0}, guest::kRamSize, mmu::MemoryMap::Kind::Ram, "ram", machine->ram_,
                           0);
  auto made = ChosenEngine::create(kind,
                                   {machine->processor_, machine->platform_, machine->map_,
                                    machine->port_, machine->guest_memory_},
                                   options);
  if (!made) return made.error();
  machine->engine_ = *std::move(made);
  machine->build();
  return machine;
}

u64 SystemMachine::physical(u32 linear) const {
  struct Area {
    u32 linear;
    u32 length;
    u64 paged, real;
  };
  static constexpr u32 kPage = static_cast<u32>(kPageSize);
  static constexpr Area kAreas[] = {
      {layout::kData, 3 * kPage, guest::kDataPhysical, kRealData},
      {layout::kStack, kPage, guest::kStackPhysical, kRealStack},
      {layout::kCode, layout::kCodePages * kPage, guest::kCodePhysical, kRealCode},
  };
  for (const Area& area : kAreas) {
    if (linear - area.linear >= area.length) continue;
    return (paged_areas() ? area.paged : area.real) + (linear - area.linear);
  }
  return ~u64{0};
}

void SystemMachine::build() {
  // Where a program goes astray it halts.
  std::memset(ram_.host, kHlt, ram_.size);
  std::memset(ram_.host + guest::kPdpt, 0, guest::kKernelStackTop + kPageSize - guest::kPdpt);
  const bool real = environment_ == Environment::Real16;
  if (real) {
    build_real_vectors();
  } else {
    build_page_tables(map_);
    build_descriptors(map_);
    build_test_descriptors();
  }
  const std::vector<u8> filler(layout::kCodePages * kPageSize, kInt3);
  map_.write({physical(layout::kCode)}, filler);
  if (environment_ == Environment::Virtual8086) {
    map_.write_value({guest::kDirectoryLow}, kPresent | kWritable | kUser | kLarge, 8);
  }
  if (paged_areas()) {
    ranges_ = {{guest::kPdpt, guest::kKernelStackTop + kPageSize},
               {guest::kDataPhysical, guest::kDataPhysical + 3 * kPageSize},
               {guest::kStackPhysical, guest::kStackPhysical + kPageSize},
               {guest::kCodePhysical, guest::kCodePhysical + layout::kCodePages * kPageSize}};
  } else {
    ranges_ = {{0, 0x60000}};
  }
  clean_.assign(ram_.host, ram_.host + ram_.size);
  processor_.reset();
  set_start_state();
  start_ = processor_.state;
}

/// Each vector leads to an HLT of its own.
void SystemMachine::build_real_vectors() {
  for (u32 vector = 0; vector < 256; ++vector) {
    const u64 handler = kRealHandlers + vector * 16;
    map_.write_value({u64{4} * vector}, handler, 4);
    map_.write_value({handler}, kHlt, 1);
  }
}

/// Data segments of the kinds that a flat one isn't: 18h based, 38h limited, 40h read-only, 48h
/// expand-down, 50h 16-bit and based.
void SystemMachine::build_test_descriptors() {
  const auto put_descriptor = [&](u64 selector, u64 base, u64 limit, u64 rights) {
    const u64 value = (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | rights << 40 |
                      (limit >> 16 & 0xF) << 48 | (base >> 24 & 0xFF) << 56;
    map_.write_value({guest::kGdt + selector}, value, 8);
  };
  constexpr u64 kData = 0x93, kReadOnly = 0x91, kDown = 0x97;
  constexpr u64 kGranular = u64{1} << 15, kBig = u64{1} << 14;
  put_descriptor(0x18, layout::kData + 0x100, 0xFFFFF, kData | kGranular | kBig);
  put_descriptor(0x38, layout::kData, 0x017FF, kData | kBig);
  put_descriptor(0x40, 0, 0xFFFFF, kReadOnly | kGranular | kBig);
  put_descriptor(0x48, layout::kData, 0x00FFF, kDown | kBig);
  put_descriptor(0x50, layout::kStack, 0x00FFF, kData);
}

void SystemMachine::set_start_state() {
  cpu::State& state = processor_.state;
  if (environment_ != Environment::Real16) {
    enable_tables(state, model_);
  } else {
    // Not the reset's: code below 1 MiB has seen to this long ago.
    state.cr0 = cpu::cr0::ET | cpu::cr0::NE;
    state.cr4 = cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT;
    state.idtr = {0, 0x3FF};
  }
  if (environment_ == Environment::Kernel32) {
    for (cpu::SegmentRegister& segment : state.segments) segment = flat_segment(0x10, 3);
    state.segment(SegmentName::CS) = flat_segment(0x08, 0xB);
    return;
  }
  const bool virtual_8086 = environment_ == Environment::Virtual8086;
  const u8 dpl = virtual_8086 ? 3 : 0;
  for (cpu::SegmentRegister& segment : state.segments) {
    segment = paragraph_segment(kRealData >> 4, dpl);
  }
  state.segment(SegmentName::CS) = paragraph_segment(kRealCode >> 4, dpl);
  state.segment(SegmentName::SS) = paragraph_segment(kRealStack >> 4, dpl);
  state.cpl = dpl;
  if (virtual_8086) state.rflags |= cpu::eflags::VM;
}

void SystemMachine::put(u32 linear, std::span<const u8> bytes) {
  const u64 at = physical(linear);
  const u64 last = physical(linear + static_cast<u32>(bytes.size()) - 1);
  if (at != ~u64{0} && last != ~u64{0}) map_.write({at}, bytes);
}

void SystemMachine::restore(const Range& range) {
  for (u64 page = range.begin; page < range.end; page += kPageSize) {
    const std::span<const u8> clean = std::span<const u8>(clean_).subspan(page, kPageSize);
    if (std::memcmp(ram_.host + page, clean.data(), kPageSize) != 0) map_.write({page}, clean);
  }
}

cpu::SegmentRegister SystemMachine::segment_of_kind(unsigned kind, SegmentName name) {
  constexpr u8 kReadOnly = 1, kDown = 7;
  cpu::SegmentRegister segment = flat_segment(0x10, 3);
  switch (kind) {
    case 1:  // valid above its limit
      segment.type = kDown;
      segment.limit = 0xFFF;
      break;
    case 2:
      segment.limit = 0xFFFF'EFFF;
      break;
    case 3:
      segment.limit = layout::kData + 0x1FFF;
      break;
    case 4:
      segment.base = 0x10;
      break;
    case 5:
      segment.base = 0xFFFF'FFF8;
      segment.limit = 0x7FFF'FFFF;
      break;
    case 6:  // 16 bits
      segment.base = layout::kStack & ~u64{0xFFFF};
      segment.limit = 0xFFFF;
      segment.big = segment.granular = false;
      break;
    case 7:
      if (name != SegmentName::SS) segment.type = kReadOnly;
      break;
    case 8:
      if (name != SegmentName::SS) segment = {};  // a null selector's
      break;
    default:
      break;
  }
  return segment;
}

void SystemMachine::prepare(const Program& program, std::span<const u8> data,
                            std::span<const u8> stack) {
  if (run_away_) restore({0, guest::kRamSize});
  run_away_ = false;
  for (const Range& range : ranges_) restore(range);
  put(layout::kData, data);
  put(layout::kStack, stack);
  for (const MemoryPatch& patch : program.patches) put(patch.address, patch.bytes);
  put(program.address, {program.code.data(), program.placed});
  platform_.reset();
  processor_.set_interrupt_line(false);
  cpu::State& state = processor_.state;
  state = start_;
  for (unsigned n = 0; n < 8; ++n) state.gpr[n] = program.image.gpr[n];
  for (unsigned n = 0; n < 6; ++n) {
    const auto name = static_cast<SegmentName>(n);
    const unsigned kind = program.segment_kinds[n];
    if (kind != 0 && name != SegmentName::CS) state.segments[n] = segment_of_kind(kind, name);
  }
  state.rip = program.image.eip;
  state.rflags = program.image.eflags | (start_.rflags & cpu::eflags::VM);
  state.extended = program.image.extended;
  processor_.flush_tlb(true);
  processor_.update_attention();
}

bool SystemMachine::run() {
  exit_ = engine_->run();
  run_away_ = exit_ != cpu::Exit::Halt && exit_ != cpu::Exit::Shutdown;
  return !run_away_;
}

std::vector<std::string> SystemMachine::differences(const SystemMachine& other) const {
  Comparison out;
  const cpu::State &mine = state(), &theirs = other.state();
  out.lines = tests::differences(image_of(mine), {}, image_of(theirs), {});
  out.number("exit", static_cast<u64>(exit_), static_cast<u64>(other.exit_));
  for (unsigned n = 0; n < 8; ++n) {
    out.number("upper half", mine.gpr[n] >> 32, theirs.gpr[n] >> 32);
  }
  compare_system_state(out, mine, theirs);
  out.number("ports written", platform_.writes, other.platform_.writes);
  for (const Range& range : ranges_) {
    for (u64 at = range.begin; at < range.end; at += kPageSize) {
      const u8 *a = ram_.host + at, *b = other.ram_.host + at;
      if (std::memcmp(a, b, kPageSize) == 0) continue;
      const bool table =
          environment_ != Environment::Real16 && at >= guest::kPdpt && at <= guest::kCodeTable;
      std::vector<u8> left(a, a + kPageSize), right(b, b + kPageSize);
      for (std::size_t n = 0; table && n < kPageSize; n += 8) {
        left[n] &= static_cast<u8>(~kAccessed), right[n] &= static_cast<u8>(~kAccessed);
      }
      const std::string line = memory_difference("physical", static_cast<u32>(at), left, right);
      if (!line.empty()) out.lines.push_back(line);
    }
  }
  return out.lines;
}

}  // namespace ringshift::tests
