// DR0-DR7 and what they watch (SDM 3B chapter 17), and the I/O permission check, which stands
// beside the I/O breakpoints on the way of every IN and OUT.
#include "cpu/descriptor.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

namespace {

constexpr u64 kGeneralDetect = 1U << 13;        // DR7.GD
constexpr u64 kDebugRegisterAccess = 1U << 13;  // DR6.BD
constexpr u64 kDr6Fixed = 0xFFFF0FF0;           // read as 1; bit 12 reads as 0
constexpr u64 kDr6Writable = 0x0000E00F;
constexpr u64 kDr7Fixed = 0x400;
constexpr u64 kDr7Writable = 0xFFFF23FF;

/// DR7.R/Wn. SDM 3B §17.2.4.
enum class Watch : u8 { Execute = 0, Write = 1, Io = 2, ReadOrWrite = 3 };

bool enabled(u64 dr7, unsigned n) {
  return (dr7 >> (2 * n) & 3) != 0;
}
Watch watch(u64 dr7, unsigned n) {
  return static_cast<Watch>(dr7 >> (16 + 4 * n) & 3);
}

unsigned watched_length(u64 dr7, unsigned n) {
  constexpr std::array<u8, 4> lengths = {1, 2, 8, 4};
  return lengths[dr7 >> (18 + 4 * n) & 3];
}

/// Whether [first, first+length) meets the range of breakpoint `n`, whose low address bits the
/// length field masks off. SDM 3B §17.2.5.
bool meets(const State& state, unsigned n, u64 first, unsigned length) {
  const unsigned watched = watched_length(state.dr[7], n);
  const u64 start = state.dr[n] & ~u64{watched - 1};
  return first < start + watched && start < first + length;
}

/// DR4 and DR5 are names for DR6 and DR7 unless CR4.DE is set.
bool undefined_register(const State& state, unsigned number) {
  return number > 7 || ((number == 4 || number == 5) && (state.cr4 & cr4::DE) != 0);
}

unsigned actual_register(unsigned number) {
  return number == 4 || number == 5 ? number + 2 : number;
}

/// #UD, #GP and #DB in the order of priority that MOV DRn has them.
GuestResult<void> check_access(Processor& processor, unsigned number) {
  State& state = processor.state;
  if (undefined_register(state, number)) return processor.raise(Vector::InvalidOpcode);
  if (state.cpl != 0) return processor.raise(Vector::GeneralProtection, 0);
  if ((state.dr[7] & kGeneralDetect) != 0) return processor.raise_debug(kDebugRegisterAccess);
  return {};
}

}  // namespace

GuestResult<u64> Processor::read_dr(unsigned number) {
  GUEST_TRY(check_access(*this, number));
  return state.dr[actual_register(number)];
}

GuestResult<void> Processor::write_dr(unsigned number, u64 value) {
  GUEST_TRY(check_access(*this, number));
  value &= 0xFFFFFFFF;
  const unsigned index = actual_register(number);
  if (index == 6) {
    state.dr[6] = (value & kDr6Writable) | kDr6Fixed;
  } else {
    state.dr[index] = index == 7 ? (value & kDr7Writable) | kDr7Fixed : value;
    // Accesses to a watched page may not bypass check_data_breakpoints.
    flush_tlb(true);
    update_attention();
  }
  return {};
}

void Processor::check_data_breakpoints(u64 linear, unsigned length, AccessType type) {
  const u64 dr7 = state.dr[7];
  if ((dr7 & 0xFF) == 0) return;
  u64 hit = 0;
  for (unsigned n = 0; n < 4; ++n) {
    const Watch kind = watch(dr7, n);
    const bool wanted =
        kind == Watch::ReadOrWrite || (kind == Watch::Write && type == AccessType::Write);
    if (enabled(dr7, n) && wanted && meets(state, n, linear, length)) hit |= u64{1} << n;
  }
  if (hit == 0) return;
  state.pending_debug |= hit;
  update_attention();
}

void Processor::check_io_breakpoints(u16 port, unsigned size) {
  const u64 dr7 = state.dr[7];
  if ((dr7 & 0xFF) == 0 || (state.cr4 & cr4::DE) == 0) return;
  u64 hit = 0;
  for (unsigned n = 0; n < 4; ++n) {
    if (enabled(dr7, n) && watch(dr7, n) == Watch::Io && meets(state, n, port, size)) {
      hit |= u64{1} << n;
    }
  }
  if (hit == 0) return;
  state.pending_debug |= hit;
  update_attention();
}

u64 Processor::instruction_breakpoints(u64 linear) const {
  const u64 dr7 = state.dr[7];
  if ((dr7 & 0xFF) == 0 || state.flag(eflags::RF)) return 0;
  u64 hit = 0;
  for (unsigned n = 0; n < 4; ++n) {
    if (enabled(dr7, n) && watch(dr7, n) == Watch::Execute && state.dr[n] == linear) {
      hit |= u64{1} << n;
    }
  }
  return hit;
}

GuestResult<void> Processor::check_io_permission(u16 port, unsigned size) {
  if (!state.protected_mode()) return {};
  if (!state.virtual_8086() && state.cpl <= state.iopl()) return {};
  const SegmentRegister& tr = state.tr;
  const auto denied = [&]() { return raise(Vector::GeneralProtection, 0); };
  // Only a 32-bit TSS has a bitmap, and the field that points to it must exist.
  if (!tr.present || (tr.type & kSystem32) == 0 || tr.limit < 0x67) return denied();
  const PageAccess access{AccessType::Read, Privilege::Supervisor, true};
  const u32 map = GUEST_TRY(read_linear<u16>((tr.base + 0x66) & 0xFFFFFFFF, access));
  // Two bytes are read at once, so the bitmap ends in a byte of ones. SDM 1 §19.5.2.
  const u32 place = map + port / 8U;
  if (place + 1 > tr.limit) return denied();
  const u16 bits = GUEST_TRY(read_linear<u16>((tr.base + place) & 0xFFFFFFFF, access));
  const u32 mask = ((1U << size) - 1) << (port % 8);
  if ((bits & mask) != 0) return denied();
  return {};
}

}  // namespace ringshift::cpu
