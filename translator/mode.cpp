#include "translator/mode.h"

#include <cstring>

#include "cpu/processor.h"

namespace ringshift::translator {

namespace {

using cpu::SegmentName;
using cpu::SegmentRegister;
using cpu::State;

constexpr u32 kWholeSpace = 0xFFFFFFFF;

/// Present, grows up, readable and writable: one load, one mask and one compare, since the mode is
/// computed after every privileged instruction.
bool is_plain(const State& state, SegmentName name) {
  using cpu::MemoryAccess;
  const SegmentRegister& segment = state.segment(name);
  u64 word;
  std::memcpy(&word, &segment.limit, sizeof word);
  if ((word & MemoryAccess::kWriteMask) == MemoryAccess::kWriteWanted) return true;
  // In protected mode CS is for reading at best: the interpreter tells the two apart.
  return name == SegmentName::CS && state.real_selectors() && segment.present &&
         segment.code_or_data && !segment.expand_down() && segment.readable();
}

SegmentKind kind_of(const State& state, SegmentName name) {
  const SegmentRegister& segment = state.segment(name);
  if (!is_plain(state, name)) return SegmentKind::Odd;
  if (segment.limit != kWholeSpace) return SegmentKind::Limited;
  return segment.base == 0 ? SegmentKind::Flat : SegmentKind::Based;
}

CodeLimit code_limit_of(const SegmentRegister& cs) {
  if (cs.limit == kWholeSpace) return CodeLimit::None;
  return cs.limit == 0xFFFF ? CodeLimit::Paged : CodeLimit::Strict;
}

}  // namespace

Mode Mode::of(const State& state) {
  u32 bits = 0;
  const auto set = [&](u32 bit, bool on) { bits |= on ? bit : 0; };
  const bool user = state.cpl == 3;
  set(kCode32, state.segment(SegmentName::CS).big);
  set(kStack32, state.segment(SegmentName::SS).big);
  set(kRealSelectors, state.real_selectors());
  set(kUser, user);
  set(kIoPrivileged,
      !state.virtual_8086() && (!state.protected_mode() || state.cpl <= state.iopl()));
  set(kPaging, (state.cr0 & cpu::cr0::PG) != 0);
  set(kSmep, !user && (state.cr4 & cpu::cr4::SMEP) != 0);
  set(kFlatCode, state.segment(SegmentName::CS).base == 0);
  const bool usable = (state.cr0 & (cpu::cr0::EM | cpu::cr0::TS)) == 0;
  set(kX87, usable);
  set(kSse, usable && (state.cr4 & cpu::cr4::OSFXSR) != 0);
  constexpr u64 kSseAndAvx = 6;
  set(kAvx, usable && (state.cr4 & cpu::cr4::OSXSAVE) != 0 &&
                (state.xcr0 & kSseAndAvx) == kSseAndAvx && !state.real_selectors());
  set(kTimeStamp, !user || (state.cr4 & cpu::cr4::TSD) == 0);
  set(kStepwise, user && state.flag(cpu::eflags::AC) && (state.cr0 & cpu::cr0::AM) != 0);
  bits |= static_cast<u32>(code_limit_of(state.segment(SegmentName::CS))) << kLimitShift;
  for (const SegmentName name : {SegmentName::ES, SegmentName::CS, SegmentName::SS, SegmentName::DS,
                                 SegmentName::FS, SegmentName::GS}) {
    bits |= static_cast<u32>(kind_of(state, name)) << segment_shift(name);
  }
  return Mode(bits);
}

}  // namespace ringshift::translator
