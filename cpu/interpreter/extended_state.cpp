// Instructions that move extended state as a whole: FXSAVE and XSAVE families, MXCSR, EMMS,
// VZEROUPPER. The state offered is x87, SSE and AVX (XCR0 bits 0-2), for which the standard and the
// compacted layout place every component at the same offset.
#include <algorithm>
#include <cstring>

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/fpu.h"

namespace ringshift::cpu {
namespace {

constexpr u64 kX87 = 1, kSse = 2, kAvx = 4;
constexpr u64 kCompacted = u64{1} << 63;
constexpr unsigned kLegacyLength = 512, kHeaderOffset = 512, kAvxOffset = 576;
constexpr u64 kLegacyAlignment = 16, kXsaveAlignment = 64;
constexpr unsigned kRegisters = 8;  // outside 64-bit mode XMM8-15 and their areas stay untouched
constexpr unsigned kXmmBytes = 16 * kRegisters;

using LegacyArea = std::array<u8, kLegacyLength>;

void put(LegacyArea& area, unsigned offset, const void* from, unsigned length) {
  std::memcpy(area.data() + offset, from, length);
}

// Parts of the legacy area: bytes 0-23 and the stack are x87's, 24-31 MXCSR and its mask.
void save_x87(const ExtendedState& state, LegacyArea& area) {
  std::memcpy(area.data(), state.legacy.data(), image::kMxcsr);
  std::memcpy(area.data() + image::kStack, state.legacy.data() + image::kStack,
              image::kXmm - image::kStack);
}

void save_mxcsr(Processor& processor, LegacyArea& area) {
  const u32 mxcsr = image::mxcsr(processor.state.extended);
  const u32 mask = processor.host_unit().mxcsr_mask();
  put(area, image::kMxcsr, &mxcsr, 4);
  put(area, image::kMxcsrMask, &mask, 4);
}

void save_xmm(const ExtendedState& state, LegacyArea& area) {
  put(area, image::kXmm, state.legacy.data() + image::kXmm, kXmmBytes);
}

u32 mxcsr_in(const LegacyArea& area) {
  u32 value = 0;
  std::memcpy(&value, area.data() + image::kMxcsr, 4);
  return value;
}

void restore_x87(ExtendedState& state, const LegacyArea& area) {
  constexpr unsigned kRegisterLength = 10;
  const u8 zero[16 - kRegisterLength]{};
  std::memcpy(state.legacy.data(), area.data(), image::kMxcsr);
  state.legacy[image::kTag + 1] = 0;
  image::store<u16>(state, image::kOpcode, image::load<u16>(state, image::kOpcode) & 0x7FF);
  image::store<u32>(state, image::kInstructionSelector, 0);  // Feature::NoFpuSelectors
  image::store<u32>(state, image::kDataSelector, 0);
  for (unsigned i = 0; i < kRegisters; ++i) {
    u8* reg = state.legacy.data() + image::kStack + 16 * i;
    std::memcpy(reg, area.data() + image::kStack + 16 * i, kRegisterLength);
    std::memcpy(reg + kRegisterLength, zero, sizeof zero);
  }
  image::set_control(state, image::control(state));
}

void restore_xmm(ExtendedState& state, const LegacyArea& area) {
  std::memcpy(state.legacy.data() + image::kXmm, area.data() + image::kXmm, kXmmBytes);
}

void initialise_x87_and_stack(ExtendedState& state) {
  image::initialise_x87(state);
  std::fill_n(state.legacy.begin() + image::kStack, image::kXmm - image::kStack, u8{0});
}

// --- FXSAVE, FXRSTOR ---

Completion execute_fxsave(Processor& processor, const Instruction& instruction) {
  constexpr unsigned kWritten = image::kXmm + kXmmBytes;
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  const u64 offset = processor.effective_offset(instruction);
  HANDLER_REQUIRE(check_alignment(processor, instruction, offset, kLegacyAlignment - 1));
  TRY_OR_FAULT(processor.probe_write(instruction.memory.segment, offset, kLegacyLength));
  LegacyArea area{};
  save_x87(processor.state.extended, area);
  save_mxcsr(processor, area);
  save_xmm(processor.state.extended, area);
  TRY_OR_FAULT(processor.write_bytes(instruction.memory.segment, offset, area.data(), kWritten));
  return Completion::Next;
}

Completion execute_fxrstor(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(check_x87(processor, X87Wait::NonWaiting));
  const u64 offset = processor.effective_offset(instruction);
  HANDLER_REQUIRE(check_alignment(processor, instruction, offset, kLegacyAlignment - 1));
  LegacyArea area;
  TRY_OR_FAULT(
      processor.read_bytes(instruction.memory.segment, offset, area.data(), kLegacyLength));
  if ((mxcsr_in(area) & ~processor.host_unit().mxcsr_mask()) != 0) {
    return complete(processor.raise(Vector::GeneralProtection, 0));
  }
  ExtendedState& extended = processor.state.extended;
  const bool pending = image::exception_pending(extended);
  restore_x87(extended, area);
  image::store<u32>(extended, image::kMxcsr, mxcsr_in(area));
  restore_xmm(extended, area);
  update_ferr(processor, pending);
  return Completion::Next;
}

// --- XSAVE family. SDM 1 §13.7 to §13.10 ---

enum class SaveForm : u8 { Standard, Optimised, Compacted };

/// XSAVE instructions share their checks: #UD without CR4.OSXSAVE, #NM by TS, alignment to 64.
Completion check_xsave(Processor& processor, const Instruction& instruction, u64 offset) {
  if ((processor.state.cr4 & cr4::OSXSAVE) == 0) {
    return complete(processor.raise(Vector::InvalidOpcode));
  }
  if ((processor.state.cr0 & cr0::TS) != 0) {
    return complete(processor.raise(Vector::DeviceNotAvailable));
  }
  return check_alignment(processor, instruction, offset, kXsaveAlignment - 1);
}

/// RFBM: the components that XCR0 enables and EDX:EAX asks for.
u64 requested_components(const State& state) {
  return state.xcr0 & ((state.gpr[Rdx] & 0xFFFFFFFF) << 32 | (state.gpr[Rax] & 0xFFFFFFFF));
}

bool all_zero(const u8* bytes, std::size_t length) {
  return std::all_of(bytes, bytes + length, [](u8 byte) { return byte == 0; });
}

/// XINUSE: components that aren't in their initial configuration. SDM 1 §13.6.
u64 components_in_use(const ExtendedState& state) {
  const u8* legacy = state.legacy.data();
  const bool x87_initial = image::control(state) == image::kInitialControl &&
                           all_zero(legacy + 2, image::kMxcsr - 2) &&
                           all_zero(legacy + image::kStack, image::kXmm - image::kStack);
  const bool sse_initial = all_zero(legacy + image::kXmm, 256);
  const bool avx_initial = all_zero(state.ymm_high.data(), state.ymm_high.size());
  return (x87_initial ? 0 : kX87) | (sse_initial ? 0 : kSse) | (avx_initial ? 0 : kAvx);
}

/// Writes the chosen components and, if wanted, MXCSR; the caller has probed the area.
Completion write_components(Processor& processor, SegmentName segment, u64 offset, u64 components,
                            bool with_mxcsr) {
  const ExtendedState& extended = processor.state.extended;
  LegacyArea area{};
  save_x87(extended, area);
  save_mxcsr(processor, area);
  save_xmm(extended, area);
  const auto write = [&](unsigned from, unsigned length) {
    return processor.write_bytes(segment, offset + from, area.data() + from, length);
  };
  if ((components & kX87) != 0) {
    TRY_OR_FAULT(write(0, image::kMxcsr));
    TRY_OR_FAULT(write(image::kStack, image::kXmm - image::kStack));
  }
  if (with_mxcsr) TRY_OR_FAULT(write(image::kMxcsr, 8));
  if ((components & kSse) != 0) TRY_OR_FAULT(write(image::kXmm, kXmmBytes));
  if ((components & kAvx) != 0) {
    TRY_OR_FAULT(
        processor.write_bytes(segment, offset + kAvxOffset, extended.ymm_high.data(), kXmmBytes));
  }
  return Completion::Next;
}

template <SaveForm Form>
Completion execute_xsave(Processor& processor, const Instruction& instruction) {
  const u64 offset = processor.effective_offset(instruction);
  HANDLER_REQUIRE(check_xsave(processor, instruction, offset));
  const SegmentName segment = instruction.memory.segment;
  const ExtendedState& extended = processor.state.extended;
  const u64 requested = requested_components(processor.state);
  u64 in_use = components_in_use(extended);
  u64 saved = requested;
  bool with_mxcsr = (requested & (kSse | kAvx)) != 0;
  if constexpr (Form == SaveForm::Compacted) {
    // Here MXCSR belongs to the SSE component alone.
    if (image::mxcsr(extended) != image::kInitialMxcsr) in_use |= kSse;
    with_mxcsr = (requested & in_use & kSse) != 0;
  }
  if constexpr (Form != SaveForm::Standard) saved &= in_use;

  const unsigned length = kAvxOffset + ((saved & kAvx) != 0 ? kXmmBytes : 0);
  TRY_OR_FAULT(processor.probe_write(segment, offset, length));
  u64 header = requested & in_use;
  if constexpr (Form != SaveForm::Compacted) {
    header |= TRY_OR_FAULT(processor.read<u64>(segment, offset + kHeaderOffset)) & ~requested;
  }
  HANDLER_REQUIRE(write_components(processor, segment, offset, saved, with_mxcsr));
  TRY_OR_FAULT(processor.write<u64>(segment, offset + kHeaderOffset, header));
  if constexpr (Form == SaveForm::Compacted) {
    TRY_OR_FAULT(processor.write<u64>(segment, offset + kHeaderOffset + 8, requested | kCompacted));
  }
  return Completion::Next;
}

struct XsaveHeader {
  u64 components = 0;  ///< XSTATE_BV
  u64 compaction = 0;  ///< XCOMP_BV
  std::array<u8, 48> reserved{};
};
static_assert(sizeof(XsaveHeader) == 64);

/// SDM 1 §13.8.1, §13.8.2: what makes XRSTOR fault with #GP(0).
bool header_is_legal(const Processor& processor, const XsaveHeader& header) {
  const u64 supported = processor.state.xcr0;
  if ((header.compaction & kCompacted) == 0) {
    return header.compaction == 0 && all_zero(header.reserved.data(), 8) &&
           (header.components & ~supported) == 0;
  }
  return processor.model().has(Feature::XsaveC) &&
         (header.compaction & ~kCompacted & ~supported) == 0 &&
         (header.components & ~header.compaction) == 0 &&
         all_zero(header.reserved.data(), header.reserved.size());
}

Completion execute_xrstor(Processor& processor, const Instruction& instruction) {
  const u64 offset = processor.effective_offset(instruction);
  HANDLER_REQUIRE(check_xsave(processor, instruction, offset));
  const SegmentName segment = instruction.memory.segment;
  LegacyArea area;
  XsaveHeader header;
  std::array<u8, kXmmBytes> ymm_high{};
  TRY_OR_FAULT(processor.read_bytes(segment, offset, area.data(), kLegacyLength));
  TRY_OR_FAULT(processor.read_bytes(segment, offset + kHeaderOffset, &header, sizeof header));
  if (!header_is_legal(processor, header)) {
    return complete(processor.raise(Vector::GeneralProtection, 0));
  }
  const u64 requested = requested_components(processor.state);
  const u64 loaded = requested & header.components;
  const bool compacted = (header.compaction & kCompacted) != 0;
  const bool load_mxcsr = compacted ? (loaded & kSse) != 0 : (requested & (kSse | kAvx)) != 0;
  if (load_mxcsr && (mxcsr_in(area) & ~processor.host_unit().mxcsr_mask()) != 0) {
    return complete(processor.raise(Vector::GeneralProtection, 0));
  }
  if ((loaded & kAvx) != 0) {
    TRY_OR_FAULT(processor.read_bytes(segment, offset + kAvxOffset, ymm_high.data(), kXmmBytes));
  }

  ExtendedState& extended = processor.state.extended;
  const bool pending = image::exception_pending(extended);
  if ((loaded & kX87) != 0) {
    restore_x87(extended, area);
  } else if ((requested & kX87) != 0) {
    initialise_x87_and_stack(extended);
  }
  if ((requested & kSse) != 0) {
    if ((loaded & kSse) == 0) std::fill_n(area.begin() + image::kXmm, kXmmBytes, u8{0});
    restore_xmm(extended, area);
  }
  if (load_mxcsr) {
    image::store<u32>(extended, image::kMxcsr, mxcsr_in(area));
  } else if (compacted && (requested & kSse) != 0) {
    image::store<u32>(extended, image::kMxcsr, image::kInitialMxcsr);
  }
  if ((requested & kAvx) != 0) {
    std::copy(ymm_high.begin(), ymm_high.end(), extended.ymm_high.begin());
  }
  update_ferr(processor, pending);
  return Completion::Next;
}

// --- MXCSR, EMMS, VZEROUPPER ---

Completion load_mxcsr(Processor& processor, const Instruction& instruction) {
  const u32 value = TRY_OR_FAULT(
      processor.read<u32>(instruction.memory.segment, processor.effective_offset(instruction)));
  if ((value & ~processor.host_unit().mxcsr_mask()) != 0) {
    return complete(processor.raise(Vector::GeneralProtection, 0));
  }
  image::store<u32>(processor.state.extended, image::kMxcsr, value);
  return Completion::Next;
}

Completion store_mxcsr(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(processor.write<u32>(instruction.memory.segment,
                                    processor.effective_offset(instruction),
                                    image::mxcsr(processor.state.extended)));
  return Completion::Next;
}

template <Completion (*Check)(Processor&), Completion (*Move)(Processor&, const Instruction&)>
Completion execute_mxcsr(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(Check(processor));
  return Move(processor, instruction);
}

Completion execute_emms(Processor& processor, const Instruction&) {
  HANDLER_REQUIRE(check_mmx(processor));
  image::enter_mmx(processor.state.extended);
  image::store<u8>(processor.state.extended, image::kTag, 0);
  return Completion::Next;
}

Completion execute_vzeroupper(Processor& processor, const Instruction&) {
  HANDLER_REQUIRE(check_avx(processor));
  std::fill_n(processor.state.extended.ymm_high.begin(), kXmmBytes, u8{0});
  return Completion::Next;
}

Completion execute_vzeroall(Processor& processor, const Instruction& instruction) {
  HANDLER_REQUIRE(execute_vzeroupper(processor, instruction));
  std::fill_n(processor.state.extended.legacy.begin() + image::kXmm, kXmmBytes, u8{0});
  return Completion::Next;
}

}  // namespace

Handler bind_fxsave(const Instruction&) {
  return execute_fxsave;
}
Handler bind_fxrstor(const Instruction&) {
  return execute_fxrstor;
}
Handler bind_xsave(const Instruction&) {
  return execute_xsave<SaveForm::Standard>;
}
Handler bind_xsaveopt(const Instruction&) {
  return execute_xsave<SaveForm::Optimised>;
}
Handler bind_xsavec(const Instruction&) {
  return execute_xsave<SaveForm::Compacted>;
}
Handler bind_xrstor(const Instruction&) {
  return execute_xrstor;
}
Handler bind_ldmxcsr(const Instruction&) {
  return execute_mxcsr<check_sse, load_mxcsr>;
}
Handler bind_stmxcsr(const Instruction&) {
  return execute_mxcsr<check_sse, store_mxcsr>;
}
Handler bind_vldmxcsr(const Instruction&) {
  return execute_mxcsr<check_avx, load_mxcsr>;
}
Handler bind_vstmxcsr(const Instruction&) {
  return execute_mxcsr<check_avx, store_mxcsr>;
}
Handler bind_emms(const Instruction&) {
  return execute_emms;
}
Handler bind_vzeroupper(const Instruction&) {
  return execute_vzeroupper;
}
Handler bind_vzeroall(const Instruction&) {
  return execute_vzeroall;
}

}  // namespace ringshift::cpu
