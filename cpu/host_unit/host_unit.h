// The data operations of x87, MMX, SSE and AVX are executed by the host's own unit, which makes
// them exact for free: rounding, denormals, NaNs, flags, transcendental functions. For each form of
// instruction that the guest uses, the host unit writes a thunk: load the guest's registers and
// control words, execute the very same operation, store the results, restore the monitor's state.
//
// A thunk sees no guest memory: its memory operand is a buffer of the monitor's, which the
// interpreter fills before and writes to the guest after. Guest faults are thus exact and come
// before any change.
#pragma once

#include <memory>
#include <unordered_map>

#include "cpu/cpuid.h"
#include "cpu/host_unit/code_area.h"
#include "cpu/host_unit/encoding.h"
#include "cpu/host_unit/x87_shape.h"
#include "cpu/instruction.h"
#include "cpu/state.h"

namespace ringshift::cpu {

/// What the instruction table says about a SIMD instruction beyond its encoding. Sets of these are
/// ORed together.
enum SimdTrait : u16 {
  kUsesMxcsr = 1 << 0,         ///< reads MXCSR, sets its flags, may raise a SIMD exception
  kUnaligned = 1 << 1,         ///< a 16-byte memory operand needn't be aligned (legacy encodings)
  kAligned = 1 << 2,           ///< the memory operand must be aligned to its size (VEX encodings)
  kWritesFlags = 1 << 3,       ///< EFLAGS' arithmetic flags
  kImplicitXmm0 = 1 << 4,      ///< reads or writes XMM0 without naming it
  kExplicitLengths = 1 << 5,   ///< PCMPESTRx: reads EAX and EDX
  kWritesIndex = 1 << 6,       ///< PCMPxSTRI: writes ECX
  kMmxOnly = 1 << 7,           ///< no XMM register takes part: CR4.OSFXSR doesn't matter
  kNoAlignmentCheck = 1 << 8,  ///< memory operands of any size are exempt from #AC
};

/// Host code for one form, and what the interpreter has to do around it.
struct Thunk {
  /// The thunks' common buffer for operands.
  struct alignas(64) Frame {
    std::array<u8, 32> operand{};  ///< memory operand
    std::array<u64, 3> gpr{};      ///< EAX (or the only general register), ECX, EDX
    u64 flags = eflags::Fixed;
    u16 host_control = 0;
    u16 status = 0;  ///< x87, after a light run
  };
  using Entry = u32 (*)(Frame*, ExtendedState*);
  enum class Access : u8 { None, Read, Write };

  Entry entry = nullptr;  ///< null: the form isn't defined on this model
  Access memory = Access::None;
  u8 memory_size = 0;     ///< bytes
  u8 alignment_mask = 0;  ///< linear address bits that must be clear
  bool vex = false;
  bool uses_mmx = false;  ///< turns the x87 stack into the MMX register file
  u8 mmx_destination = kNoRegister;
  u8 gpr_source = kNoRegister;
  u8 gpr_destination = kNoRegister;
  u16 traits = 0;
  // x87 only.
  Entry light_entry = nullptr;  ///< null: this instruction has no short way
  X87Shape shape;
  bool x87_flags_in = false;   ///< FCMOVcc
  bool x87_flags_out = false;  ///< FCOMI family
};

class HostUnit {
 public:
  explicit HostUnit(const CpuidModel& model, std::size_t code_capacity = kDefaultCapacity);
  ~HostUnit();
  HostUnit(const HostUnit&) = delete;
  HostUnit& operator=(const HostUnit&) = delete;

  /// The thunk for an instruction, written at first use. Valid until the next call of either.
  const Thunk& simd_thunk(const Instruction& instruction, u16 traits) {
    if (instruction.host_generation == generation_) {
      return *static_cast<const Thunk*>(instruction.host_code);
    }
    return find(instruction, Kind::Simd, traits);
  }
  const Thunk& x87_thunk(const Instruction& instruction) {
    if (instruction.host_generation == generation_) {
      return *static_cast<const Thunk*>(instruction.host_code);
    }
    return find(instruction, Kind::X87, 0);
  }

  /// Operands of the next run and results of the last one.
  Thunk::Frame& frame() { return frame_; }

  enum class Outcome : u8 { Done, SimdException };
  /// Executes. After SimdException MXCSR has the exception's flags and no register has changed. The
  /// monitor's MXCSR is as before but for the sticky flags, which become the guest's.
  Outcome run_simd(const Thunk& thunk, ExtendedState& state);
  /// Executes with the whole x87 state. Pending exceptions must have been dealt with; FIP, FDP and
  /// FOP in `state` are the host's afterwards.
  void run_x87(const Thunk& thunk, ExtendedState& state);
  /// Whether this run may take the short way: all exceptions masked, registers read aren't empty,
  /// the one pushed is.
  static bool x87_light_applies(const Thunk& thunk, const ExtendedState& state);
  /// Executes with the registers concerned only. Status and stack change in `state` by
  /// commit_x87_light, which comes after the write of a memory result, if there is one; FIP, FDP
  /// and FOP don't.
  void run_x87_light(const Thunk& thunk, ExtendedState& state);
  void commit_x87_light(const Thunk& thunk, ExtendedState& state) const;
  /// Something else may have used this thread's x87 unit: an engine calls it when it begins to run.
  /// (The other registers of the host are loaded whole each time.)
  void forget_host_status();

  /// MXCSR bits that this processor has. SDM 1 §11.6.6.
  u32 mxcsr_mask() const { return mxcsr_mask_; }
  const CodeArea& code() const { return area_; }
  std::size_t thunks() const { return thunks_.size(); }

 private:
  static constexpr std::size_t kDefaultCapacity = std::size_t{4} << 20;
  enum class Kind : u8 { Simd, X87 };
  struct Key {
    HostBytes code;
    std::array<u8, 4> discriminator{};  ///< kind, memory size, general registers
    u16 traits = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };

  const Thunk& find(const Instruction& instruction, Kind kind, u16 traits);
  Thunk build_simd(const Instruction& instruction, const Encoding& encoding, u16 traits);
  Thunk build_x87(const Encoding& encoding);
  Thunk::Entry build_x87_light(const Thunk& thunk, const Encoding& encoding);
  Thunk::Entry place(std::span<const u8> code);
  void write_fault_exit();
  void clean_mxcsr(ExtendedState& state) const;

  const CpuidModel& model_;
  CodeArea area_;
  const u8* fault_exit_ = nullptr;
  u32 generation_ = 1;  ///< changes whenever all thunks are dropped
  u32 mxcsr_mask_ = 0;
  bool host_has_avx_ = false;
  u16 x87_residue_ = 0;  ///< exception flags that may stand in the host's status word
  Thunk::Frame frame_;
  std::unordered_map<Key, Thunk, KeyHash> thunks_;
};

}  // namespace ringshift::cpu
