#include "cpu/host_unit/host_unit.h"

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>

#include "cpu/host_unit/floating_point_signal.h"
#include "cpu/host_unit/thunk_emitter.h"
#include "cpu/host_unit/x87_image.h"

namespace ringshift::cpu {
namespace {

u32 host_mxcsr_mask() {
  constexpr u32 kDefaultMask = 0xFFBF;  // a zero field means this. SDM 1 §11.6.6
  ExtendedState scratch;
  __asm__ volatile("fxsave64 %0" : "=m"(scratch.legacy));
  const u32 mask = image::load<u32>(scratch, image::kMxcsrMask);
  return mask != 0 ? mask : kDefaultMask;
}

u16 host_control_word() {
  u16 control = 0;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  return control;
}

/// Brings back the monitor's controls, but leaves the guest's sticky flags standing: nothing in the
/// monitor looks at them, and a switch that changes them costs some 300 cycles on the host.
void restore_monitor_mxcsr(u32 monitor, u32 current) {
  constexpr u32 kStickyFlags = 0x3F;
  const u32 wanted = (monitor & ~kStickyFlags) | (current & kStickyFlags);
  if (wanted != current) _mm_setcsr(wanted);
}

bool is_vector(const Operand& operand) {
  return operand.kind == OperandKind::Xmm || operand.kind == OperandKind::Ymm;
}

bool has_operand(const Instruction& instruction, OperandKind kind) {
  const auto end = instruction.operands.begin() + instruction.operand_count;
  return std::any_of(instruction.operands.begin(), end,
                     [kind](const Operand& operand) { return operand.kind == kind; });
}

/// Moves registers in and results out around the operation.
class RegisterTraffic {
 public:
  RegisterTraffic(const Instruction& instruction, const Thunk& thunk) : thunk_(thunk) {
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
      const Operand& operand = instruction.operands[i];
      const u8 bit = static_cast<u8>(1U << (operand.reg & 7));
      if (is_vector(operand)) {
        vectors_ |= bit;
        if (i == 0) written_vectors_ |= bit;
      } else if (operand.kind == OperandKind::Mmx) {
        mmx_ |= bit;
      }
    }
    if ((thunk.traits & kImplicitXmm0) != 0) {
      vectors_ |= 1;
      written_vectors_ |= 1;
    }
  }

  void load(ThunkEmitter& emitter) const {
    for (unsigned reg = 0; reg < 8; ++reg) {
      if ((mmx_ >> reg & 1) != 0) emitter.load_mmx(reg);
      if ((vectors_ >> reg & 1) == 0) continue;
      thunk_.vex ? emitter.load_ymm(reg) : emitter.load_xmm(reg);
    }
    if (thunk_.gpr_source != kNoRegister) emitter.load_gpr(0);
    if ((thunk_.traits & kExplicitLengths) != 0) {
      emitter.load_gpr(0);
      emitter.load_gpr(2);
    }
  }

  void store(ThunkEmitter& emitter) const {
    if (thunk_.gpr_destination != kNoRegister) emitter.store_gpr(0);
    if ((thunk_.traits & kWritesIndex) != 0) emitter.store_gpr(1);
    if (thunk_.mmx_destination != kNoRegister) emitter.store_mmx(thunk_.mmx_destination);
    for (unsigned reg = 0; reg < 8; ++reg) {
      if ((written_vectors_ >> reg & 1) == 0) continue;
      thunk_.vex ? emitter.store_ymm(reg) : emitter.store_xmm(reg);
    }
  }

 private:
  const Thunk& thunk_;
  unsigned vectors_ = 0;
  unsigned written_vectors_ = 0;
  unsigned mmx_ = 0;
};

/// What the encoding and the operands say about the work around the operation.
Thunk describe_simd(const Instruction& instruction, const Encoding& encoding, u16 traits) {
  Thunk thunk;
  thunk.traits = traits;
  thunk.vex = encoding.form == EncodingForm::Vex;
  thunk.uses_mmx = has_operand(instruction, OperandKind::Mmx);
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    const Operand& operand = instruction.operands[i];
    if (operand.kind == OperandKind::Memory) {
      thunk.memory = i == 0 ? Thunk::Access::Write : Thunk::Access::Read;
      thunk.memory_size = static_cast<u8>(std::min<unsigned>(operand.size, 32));
    } else if (operand.kind == OperandKind::Gpr) {
      (i == 0 ? thunk.gpr_destination : thunk.gpr_source) = operand.reg;
    } else if (operand.kind == OperandKind::Mmx && i == 0) {
      thunk.mmx_destination = operand.reg;
    }
  }
  const bool aligned =
      thunk.vex ? (traits & kAligned) != 0 : thunk.memory_size == 16 && (traits & kUnaligned) == 0;
  if (aligned && thunk.memory_size != 0) {
    thunk.alignment_mask = static_cast<u8>(thunk.memory_size - 1);
  }
  return thunk;
}

struct X87Memory {
  u8 size = 0;
  Thunk::Access access = Thunk::Access::None;
};

/// Memory operands of D8h-DFh by opcode and ModRM.reg; control instructions don't come here.
/// SDM 2D appendix A, tables.
X87Memory x87_memory(u8 opcode, unsigned reg) {
  using enum Thunk::Access;
  static constexpr std::array<std::array<u8, 8>, 8> kSizes{{
      {4, 4, 4, 4, 4, 4, 4, 4},
      {4, 0, 4, 4, 0, 0, 0, 0},
      {4, 4, 4, 4, 4, 4, 4, 4},
      {4, 4, 4, 4, 0, 10, 0, 10},
      {8, 8, 8, 8, 8, 8, 8, 8},
      {8, 8, 8, 8, 0, 0, 0, 0},
      {2, 2, 2, 2, 2, 2, 2, 2},
      {2, 2, 2, 2, 10, 8, 10, 8},
  }};
  const bool odd = (opcode & 1) != 0;
  const bool store = odd && (reg == 1 || reg == 2 || reg == 3 || reg == 6 || reg == 7);
  return {kSizes[opcode & 7][reg], store ? Write : Read};
}

}  // namespace

HostUnit::HostUnit(const CpuidModel& model, std::size_t code_capacity)
    : model_(model),
      area_(code_capacity),
      mxcsr_mask_(host_mxcsr_mask()),
      host_has_avx_(__builtin_cpu_supports("avx") != 0) {
  install_floating_point_handler();
  frame_.host_control = host_control_word();
  write_fault_exit();
}

HostUnit::~HostUnit() = default;

std::size_t HostUnit::KeyHash::operator()(const Key& key) const {
  u64 hash = 0xCBF29CE484222325;
  const auto mix = [&hash](u64 value) { hash = (hash ^ value) * 0x100000001B3; };
  for (unsigned i = 0; i < key.code.length; ++i) mix(key.code.bytes[i]);
  for (u8 value : key.discriminator) mix(value);
  mix(key.traits);
  return hash;
}

const Thunk& HostUnit::find(const Instruction& instruction, Kind kind, u16 traits) {
  const Encoding encoding = parse_encoding(instruction);
  Key key;
  key.traits = traits;
  Thunk thunk;
  if (kind == Kind::Simd) {
    thunk = describe_simd(instruction, encoding, traits);
    const bool gpr = has_operand(instruction, OperandKind::Gpr);
    key.code = reencode(encoding, gpr ? gpr_fields(encoding) : Reencoding{});
    key.discriminator = {static_cast<u8>(kind), thunk.memory_size, thunk.gpr_source,
                         thunk.gpr_destination};
  } else {
    key.code = reencode(encoding, {});
    key.discriminator[0] = static_cast<u8>(kind);
  }

  auto found = thunks_.find(key);
  if (found == thunks_.end()) {
    Thunk built =
        kind == Kind::Simd ? build_simd(instruction, encoding, traits) : build_x87(encoding);
    found = thunks_.emplace(key, built).first;
  }
  instruction.host_code = &found->second;
  instruction.host_generation = generation_;
  return found->second;
}

Thunk HostUnit::build_simd(const Instruction& instruction, const Encoding& encoding, u16 traits) {
  Thunk thunk = describe_simd(instruction, encoding, traits);
  // FMA, F16C and the VEX forms of AES and PCLMULQDQ are features of their own, on top of AVX.
  if (thunk.vex && !model_.has(Feature::Avx)) return thunk;
  const bool gpr = has_operand(instruction, OperandKind::Gpr);
  const RegisterTraffic registers(instruction, thunk);
  ThunkEmitter emitter;
  registers.load(emitter);
  emitter.guest_operation(reencode(encoding, gpr ? gpr_fields(encoding) : Reencoding{}));
  if ((traits & kWritesFlags) != 0) emitter.store_flags();
  registers.store(emitter);
  if (thunk.uses_mmx) emitter.emms();
  if (thunk.vex) emitter.vzeroupper();
  emitter.return_value(static_cast<u32>(Outcome::Done));
  thunk.entry = place(emitter.code());
  return thunk;
}

Thunk HostUnit::build_x87(const Encoding& encoding) {
  Thunk thunk;
  if (encoding.memory()) {
    const X87Memory memory = x87_memory(encoding.opcode, encoding.reg());
    thunk.memory = memory.access;
    thunk.memory_size = memory.size;
    if (memory.size == 0) return thunk;
  } else {
    const bool upper = encoding.reg() >= 4;
    thunk.x87_flags_in = encoding.opcode == 0xDA || encoding.opcode == 0xDB;
    thunk.x87_flags_out = (encoding.opcode == 0xDB || encoding.opcode == 0xDF) && upper &&
                          (encoding.reg() == 5 || encoding.reg() == 6);
  }
  const bool flags = thunk.x87_flags_in || thunk.x87_flags_out;
  const u32 generation = generation_;
  ThunkEmitter emitter;
  emitter.fxrstor();
  if (flags) emitter.load_flags();
  emitter.guest_operation(reencode(encoding, {}));
  if (thunk.x87_flags_out) emitter.store_flags();
  emitter.fxsave();
  emitter.clean_x87();
  emitter.return_value(static_cast<u32>(Outcome::Done));
  thunk.entry = place(emitter.code());
  thunk.shape = x87_shape(encoding);
  if (thunk.shape.light) thunk.light_entry = build_x87_light(thunk, encoding);
  // Placing the second may have started over and dropped the first.
  if (generation_ != generation) thunk.entry = place(emitter.code());
  return thunk;
}

Thunk::Entry HostUnit::place(std::span<const u8> code) {
  const u8* address = area_.append(code);
  if (address == nullptr) {
    // A guest that runs through more forms than fit starts over; Instruction::host_generation tells
    // decoded instructions that their thunk is gone.
    thunks_.clear();
    area_.clear();
    ++generation_;
    write_fault_exit();
    address = area_.append(code);
  }
  return reinterpret_cast<Thunk::Entry>(reinterpret_cast<u64>(address));
}

void HostUnit::write_fault_exit() {
  ThunkEmitter emitter;
  emitter.emms();
  if (host_has_avx_) emitter.vzeroupper();
  emitter.return_value(static_cast<u32>(Outcome::SimdException));
  fault_exit_ = area_.append(emitter.code());
}

void HostUnit::clean_mxcsr(ExtendedState& state) const {
  // Instructions refuse reserved bits; a snapshot from another host might still bring some.
  const u32 mxcsr = image::mxcsr(state);
  if ((mxcsr & ~mxcsr_mask_) != 0) [[unlikely]] {
    image::store<u32>(state, image::kMxcsr, mxcsr & mxcsr_mask_);
  }
}

HostUnit::Outcome HostUnit::run_simd(const Thunk& thunk, ExtendedState& state) {
  if ((thunk.traits & kUsesMxcsr) == 0) {
    thunk.entry(&frame_, &state);
    return Outcome::Done;
  }
  clean_mxcsr(state);
  const FloatingPointGuard guard(area_, fault_exit_);
  const u32 monitor = _mm_getcsr();
  const u32 guest = image::mxcsr(state);
  if (monitor != guest) _mm_setcsr(guest);
  const Outcome outcome = static_cast<Outcome>(thunk.entry(&frame_, &state));
  const u32 result = _mm_getcsr();
  image::store<u32>(state, image::kMxcsr, result);
  restore_monitor_mxcsr(monitor, result);
  return outcome;
}

void HostUnit::run_x87(const Thunk& thunk, ExtendedState& state) {
  clean_mxcsr(state);
  const u32 monitor = _mm_getcsr();
  thunk.entry(&frame_, &state);  // FXRSTOR loads the guest's MXCSR
  restore_monitor_mxcsr(monitor, image::mxcsr(state));
  x87_residue_ = image::status(state) & image::kExceptionFlags;
}

}  // namespace ringshift::cpu
