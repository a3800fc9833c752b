// MOVS CMPS SCAS LODS STOS INS OUTS with their REP prefixes. Each iteration is restartable:
// registers always say how far the instruction has come, so that a fault, an interrupt or a debug
// trap between iterations finds exact state (SDM 2B REP). Long forward moves and fills go through
// host pointers a page at a time.
#include <algorithm>
#include <type_traits>

#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/handler.h"
#include "cpu/interpreter/host_alu.h"

namespace ringshift::cpu {

namespace {

enum class Repeat : u8 { Once, Rep, WhileEqual, WhileNotEqual };

/// Iterations after which the instruction gives way so that timers and interrupts get their turn.
constexpr u64 kIterationsPerTurn = 16384;

/// The string registers at the instruction's address size.
template <typename Address>
struct StringState {
  static constexpr u64 kMask = static_cast<Address>(~Address{0});

  explicit StringState(Processor& owner, unsigned element)
      : processor(owner), step(owner.state.flag(eflags::DF) ? u64{0} - element : u64{element}) {}

  u64 get(Gpr reg) const { return processor.state.gpr[reg] & kMask; }
  void set(Gpr reg, u64 value) { processor.write_gpr(reg, sizeof(Address), value); }
  void advance(Gpr reg) { set(reg, get(reg) + step); }
  /// Elements of `size` bytes from `reg` upwards before the address wraps.
  u64 elements_before_wrap(Gpr reg, unsigned size) const { return (kMask - get(reg) + 1) / size; }

  Processor& processor;
  u64 step;
};

/// Whether runs of iterations may be merged: nothing looks between them.
bool bulk_allowed(const State& state) {
  return (state.rflags & (eflags::DF | eflags::TF)) == 0 && (state.dr[7] & 0xFF) == 0;
}

/// Host pointer for `elements` (lowered to what is contiguous) elements at segment:offset, or null.
template <AccessType type, typename T>
u8* bulk_pointer(Processor& processor, SegmentName segment, u64 offset, u64& elements) {
  u64 linear;
  if (!MemoryAccess::fast_linear<type, sizeof(T)>(processor, segment, offset, linear)) {
    return nullptr;
  }
  if (!MemoryAccess::alignment_fine<sizeof(T)>(processor, linear)) return nullptr;
  u8* host = MemoryAccess::host_until_page_end(processor, linear, type);
  if (host == nullptr) return nullptr;
  const u64 in_page = kPageSize - (linear & kPageMask);
  const u64 in_segment = u64{processor.state.segment(segment).limit} - offset + 1;
  elements = std::min({elements, in_page / sizeof(T), in_segment / sizeof(T)});
  return host;
}

// Each operation: `once` does one iteration and its register updates; `bulk` does up to `most`
// iterations at once and returns how many (0: not possible here).

template <typename T, typename Address>
struct Movs {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction& instruction) {
    const T value =
        GUEST_TRY(strings.processor.template read<T>(instruction.memory.segment, strings.get(Rsi)));
    GUEST_TRY(strings.processor.template write<T>(SegmentName::ES, strings.get(Rdi), value));
    strings.advance(Rsi);
    strings.advance(Rdi);
    return {};
  }
  static u64 bulk(StringState<Address>& strings, const Instruction& instruction, u64 most) {
    most = std::min({most, strings.elements_before_wrap(Rsi, sizeof(T)),
                     strings.elements_before_wrap(Rdi, sizeof(T))});
    const u8* from = bulk_pointer<AccessType::Read, T>(
        strings.processor, instruction.memory.segment, strings.get(Rsi), most);
    if (from == nullptr) return 0;
    u8* to = bulk_pointer<AccessType::Write, T>(strings.processor, SegmentName::ES,
                                                strings.get(Rdi), most);
    if (to == nullptr || most == 0) return 0;
    const u64 bytes = most * sizeof(T);
    if (to > from && to < from + bytes) {
      // Overlapping with the destination ahead: each element may be one just written.
      for (u64 i = 0; i < bytes; i += sizeof(T)) std::memcpy(to + i, from + i, sizeof(T));
    } else {
      std::memmove(to, from, bytes);
    }
    strings.set(Rsi, strings.get(Rsi) + bytes);
    strings.set(Rdi, strings.get(Rdi) + bytes);
    return most;
  }
};

template <typename T, typename Address>
struct Stos {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction&) {
    GUEST_TRY(strings.processor.template write<T>(
        SegmentName::ES, strings.get(Rdi), static_cast<T>(strings.processor.state.gpr[Rax])));
    strings.advance(Rdi);
    return {};
  }
  static u64 bulk(StringState<Address>& strings, const Instruction&, u64 most) {
    most = std::min(most, strings.elements_before_wrap(Rdi, sizeof(T)));
    u8* to = bulk_pointer<AccessType::Write, T>(strings.processor, SegmentName::ES,
                                                strings.get(Rdi), most);
    if (to == nullptr || most == 0) return 0;
    const T value = static_cast<T>(strings.processor.state.gpr[Rax]);
    for (u64 i = 0; i < most; ++i) std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    strings.set(Rdi, strings.get(Rdi) + most * sizeof(T));
    return most;
  }
};

template <typename T, typename Address>
struct Lods {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction& instruction) {
    const T value =
        GUEST_TRY(strings.processor.template read<T>(instruction.memory.segment, strings.get(Rsi)));
    strings.processor.write_gpr(Rax, sizeof(T), value);
    strings.advance(Rsi);
    return {};
  }
  static u64 bulk(StringState<Address>&, const Instruction&, u64) { return 0; }
};

template <typename T, typename Address>
struct Scas {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction&) {
    State& state = strings.processor.state;
    const T value =
        GUEST_TRY(strings.processor.template read<T>(SegmentName::ES, strings.get(Rdi)));
    host_alu<Alu::Cmp, T>(static_cast<T>(state.gpr[Rax]), value, state.rflags);
    strings.advance(Rdi);
    return {};
  }
  static u64 bulk(StringState<Address>&, const Instruction&, u64) { return 0; }
};

template <typename T, typename Address>
struct Cmps {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction& instruction) {
    State& state = strings.processor.state;
    const T second =
        GUEST_TRY(strings.processor.template read<T>(SegmentName::ES, strings.get(Rdi)));
    const T first =
        GUEST_TRY(strings.processor.template read<T>(instruction.memory.segment, strings.get(Rsi)));
    host_alu<Alu::Cmp, T>(first, second, state.rflags);
    strings.advance(Rsi);
    strings.advance(Rdi);
    return {};
  }
  static u64 bulk(StringState<Address>&, const Instruction&, u64) { return 0; }
};

template <typename T, typename Address>
struct Ins {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction&) {
    Processor& processor = strings.processor;
    const u16 port = static_cast<u16>(processor.state.gpr[Rdx]);
    GUEST_TRY(processor.check_io_permission(port, sizeof(T)));
    // The port must not be read if the element can't be stored.
    GUEST_TRY(processor.probe_write(SegmentName::ES, strings.get(Rdi), sizeof(T)));
    const T value = static_cast<T>(processor.platform().read_port(port, sizeof(T)));
    GUEST_TRY(processor.template write<T>(SegmentName::ES, strings.get(Rdi), value));
    if ((processor.state.dr[7] & 0xFF) != 0) processor.check_io_breakpoints(port, sizeof(T));
    strings.advance(Rdi);
    return {};
  }
  static u64 bulk(StringState<Address>&, const Instruction&, u64) { return 0; }
};

template <typename T, typename Address>
struct Outs {
  static GuestResult<void> once(StringState<Address>& strings, const Instruction& instruction) {
    Processor& processor = strings.processor;
    const u16 port = static_cast<u16>(processor.state.gpr[Rdx]);
    GUEST_TRY(processor.check_io_permission(port, sizeof(T)));
    const T value =
        GUEST_TRY(processor.template read<T>(instruction.memory.segment, strings.get(Rsi)));
    processor.platform().write_port(port, value, sizeof(T));
    if ((processor.state.dr[7] & 0xFF) != 0) processor.check_io_breakpoints(port, sizeof(T));
    strings.advance(Rsi);
    return {};
  }
  static u64 bulk(StringState<Address>&, const Instruction&, u64) { return 0; }
};

/// Device accesses can change anything: memory's layout, the interrupt line, the processor itself.
template <template <typename, typename> typename Operation>
constexpr bool kTouchesPorts = false;
template <>
constexpr bool kTouchesPorts<Ins> = true;
template <>
constexpr bool kTouchesPorts<Outs> = true;

template <template <typename, typename> typename Operation, typename T, typename Address,
          Repeat repeat>
Completion string_instruction(Processor& processor, const Instruction& instruction) {
  using Step = Operation<T, Address>;
  constexpr Completion done = kTouchesPorts<Operation> ? Completion::EndBlock : Completion::Next;
  StringState<Address> strings(processor, sizeof(T));
  if constexpr (repeat == Repeat::Once) {
    TRY_OR_FAULT(Step::once(strings, instruction));
    return done;
  } else {
    u64 left = strings.get(Rcx);
    if (left == 0) return done;
    const u64 at_first = left;
    const bool one_at_a_time = processor.state.flag(eflags::TF);
    const bool bulk = bulk_allowed(processor.state);
    const u64 flags_before = processor.state.rflags;
    const auto finish = [&](Completion completion) {
      const u64 iterations = at_first - left;
      if (iterations > 1) processor.string_iterations += iterations - 1;
      return completion;
    };
    for (;;) {
      u64 iterations = bulk && left > 1 ? Step::bulk(strings, instruction, left) : 0;
      if (iterations == 0) {
        if (Step::once(strings, instruction).faulted()) {
          // CMPS and SCAS give the flags back that they found. SDM 2B REP.
          processor.state.rflags = flags_before;
          return finish(Completion::Fault);
        }
        iterations = 1;
      }
      left -= iterations;
      strings.set(Rcx, left);
      if (left == 0) return finish(done);
      if constexpr (repeat == Repeat::WhileEqual) {
        if (!processor.state.flag(eflags::ZF)) return finish(done);
      }
      if constexpr (repeat == Repeat::WhileNotEqual) {
        if (processor.state.flag(eflags::ZF)) return finish(done);
      }
      if (one_at_a_time || processor.attention() || at_first - left >= kIterationsPerTurn) {
        // Only a debugger sees what a comparison that goes on has left.
        if (!one_at_a_time) processor.state.rflags = flags_before;
        return finish(Completion::Repeat);
      }
    }
  }
}

template <template <typename, typename> typename Operation, typename T, Repeat repeat>
Handler by_address_size(const Instruction& instruction) {
  return instruction.address_size == 2 ? &string_instruction<Operation, T, u16, repeat>
                                       : &string_instruction<Operation, T, u32, repeat>;
}

/// For MOVS, LODS, STOS, INS and OUTS both prefixes mean REP; CMPS and SCAS look at ZF as well.
template <template <typename, typename> typename Operation, typename T>
Handler bind_string(const Instruction& instruction) {
  constexpr bool compares = std::is_same_v<Operation<T, u32>, Cmps<T, u32>> ||
                            std::is_same_v<Operation<T, u32>, Scas<T, u32>>;
  if (instruction.repeat == RepeatPrefix::None) {
    return by_address_size<Operation, T, Repeat::Once>(instruction);
  }
  if constexpr (compares) {
    if (instruction.repeat == RepeatPrefix::RepNe) {
      return by_address_size<Operation, T, Repeat::WhileNotEqual>(instruction);
    }
    return by_address_size<Operation, T, Repeat::WhileEqual>(instruction);
  } else {
    return by_address_size<Operation, T, Repeat::Rep>(instruction);
  }
}

}  // namespace

Handler bind_movsb(const Instruction& instruction) {
  return bind_string<Movs, u8>(instruction);
}
Handler bind_movsw(const Instruction& instruction) {
  return bind_string<Movs, u16>(instruction);
}
Handler bind_movsd(const Instruction& instruction) {
  if (instruction.opcode != 0xA5) return nullptr;  // SSE2's MOVSD
  return bind_string<Movs, u32>(instruction);
}
Handler bind_stosb(const Instruction& instruction) {
  return bind_string<Stos, u8>(instruction);
}
Handler bind_stosw(const Instruction& instruction) {
  return bind_string<Stos, u16>(instruction);
}
Handler bind_stosd(const Instruction& instruction) {
  return bind_string<Stos, u32>(instruction);
}
Handler bind_lodsb(const Instruction& instruction) {
  return bind_string<Lods, u8>(instruction);
}
Handler bind_lodsw(const Instruction& instruction) {
  return bind_string<Lods, u16>(instruction);
}
Handler bind_lodsd(const Instruction& instruction) {
  return bind_string<Lods, u32>(instruction);
}
Handler bind_scasb(const Instruction& instruction) {
  return bind_string<Scas, u8>(instruction);
}
Handler bind_scasw(const Instruction& instruction) {
  return bind_string<Scas, u16>(instruction);
}
Handler bind_scasd(const Instruction& instruction) {
  return bind_string<Scas, u32>(instruction);
}
Handler bind_cmpsb(const Instruction& instruction) {
  return bind_string<Cmps, u8>(instruction);
}
Handler bind_cmpsw(const Instruction& instruction) {
  return bind_string<Cmps, u16>(instruction);
}
Handler bind_cmpsd(const Instruction& instruction) {
  if (instruction.opcode != 0xA7) return nullptr;  // SSE2's CMPSD
  return bind_string<Cmps, u32>(instruction);
}
Handler bind_insb(const Instruction& instruction) {
  return bind_string<Ins, u8>(instruction);
}
Handler bind_insw(const Instruction& instruction) {
  return bind_string<Ins, u16>(instruction);
}
Handler bind_insd(const Instruction& instruction) {
  return bind_string<Ins, u32>(instruction);
}
Handler bind_outsb(const Instruction& instruction) {
  return bind_string<Outs, u8>(instruction);
}
Handler bind_outsw(const Instruction& instruction) {
  return bind_string<Outs, u16>(instruction);
}
Handler bind_outsd(const Instruction& instruction) {
  return bind_string<Outs, u32>(instruction);
}

}  // namespace ringshift::cpu
