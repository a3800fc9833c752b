// Control, debug and model-specific registers, CPUID, the time-stamp counter, XCR0, TLB and caches.
#include "cpu/interpreter/binders.h"
#include "cpu/interpreter/system.h"
#include "cpu/msr.h"

namespace ringshift::cpu {

namespace {

bool control_register_exists(unsigned number) {
  return number <= 4 && number != 1;
}

Completion undefined(Processor& processor) {
  processor.raise(Vector::InvalidOpcode);
  return Completion::Fault;
}

Completion mov_from_control(Processor& processor, const Instruction& instruction) {
  const unsigned number = instruction.operands[1].reg;
  if (!control_register_exists(number)) return undefined(processor);
  TRY_OR_FAULT(require_supervisor(processor));
  processor.write_gpr(instruction.operands[0].reg, 4, processor.read_cr(number));
  return Completion::Next;
}

Completion mov_to_control(Processor& processor, const Instruction& instruction) {
  const unsigned number = instruction.operands[0].reg;
  if (!control_register_exists(number)) return undefined(processor);
  TRY_OR_FAULT(require_supervisor(processor));
  TRY_OR_FAULT(processor.write_cr(number, processor.read_gpr(instruction.operands[1].reg, 4)));
  return Completion::EndBlock;
}

Completion mov_from_debug(Processor& processor, const Instruction& instruction) {
  const u64 value = TRY_OR_FAULT(processor.read_dr(instruction.operands[1].reg));
  processor.write_gpr(instruction.operands[0].reg, 4, value);
  return Completion::Next;
}

Completion mov_to_debug(Processor& processor, const Instruction& instruction) {
  const u64 value = processor.read_gpr(instruction.operands[1].reg, 4);
  TRY_OR_FAULT(processor.write_dr(instruction.operands[0].reg, value));
  return Completion::EndBlock;
}

Completion clts(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_supervisor(processor));
  processor.state.cr0 &= ~cr0::TS;
  return Completion::Next;
}

Completion invlpg(Processor& processor, const Instruction& instruction) {
  TRY_OR_FAULT(require_supervisor(processor));
  // The operand is an address, not an access: no limit is checked. SDM 2A INVLPG.
  const u64 base = processor.state.segment(instruction.memory.segment).base;
  TRY_OR_FAULT(processor.invalidate_page(base + memory_offset(processor, instruction)));
  return Completion::EndBlock;
}

/// INVD, WBINVD: the guest's caches are the host's, and those are coherent with everything.
Completion cache_flush(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_supervisor(processor));
  return Completion::Next;
}

Completion cpuid(Processor& processor, const Instruction&) {
  State& state = processor.state;
  const u32 leaf = static_cast<u32>(state.gpr[Rax]);
  constexpr u64 kApicGloballyEnabled = 1U << 11;
  u64 apic_base = 0;
  const bool apic_enabled = processor.platform().read_apic_msr(msr::kApicBase, apic_base) &&
                            (apic_base & kApicGloballyEnabled) != 0;
  const CpuidLeaf answer = processor.model().query(leaf, static_cast<u32>(state.gpr[Rcx]),
                                                   state.cr4, state.xcr0, apic_enabled, 0);
  if (leaf == 1) state.microcode_revision = msr::kMicrocodeRevision;
  state.gpr[Rax] = answer.eax;
  state.gpr[Rbx] = answer.ebx;
  state.gpr[Rcx] = answer.ecx;
  state.gpr[Rdx] = answer.edx;
  return Completion::Next;
}

/// CR4.TSD makes the time-stamp counter the supervisor's.
GuestResult<void> require_time_stamp(Processor& processor) {
  if ((processor.state.cr4 & cr4::TSD) != 0) return require_supervisor(processor);
  return {};
}

Completion rdtsc(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_time_stamp(processor));
  set_edx_eax(processor.state, processor.time_stamp());
  return Completion::Next;
}

Completion rdtscp(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_time_stamp(processor));
  set_edx_eax(processor.state, processor.time_stamp());
  processor.state.gpr[Rcx] = processor.state.tsc_aux & 0xFFFF'FFFF;
  return Completion::Next;
}

/// CPUID leaf 0Ah says that there are no counters, so no value of ECX is legal.
Completion rdpmc(Processor& processor, const Instruction&) {
  processor.raise(Vector::GeneralProtection, 0);
  return Completion::Fault;
}

Completion rdpid(Processor& processor, const Instruction& instruction) {
  processor.write_gpr(instruction.operands[0].reg, 4, processor.state.tsc_aux);
  return Completion::Next;
}

Completion rdmsr(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_supervisor(processor));
  State& state = processor.state;
  const u64 value = TRY_OR_FAULT(processor.read_msr(static_cast<u32>(state.gpr[Rcx])));
  set_edx_eax(state, value);
  return Completion::Next;
}

Completion wrmsr(Processor& processor, const Instruction&) {
  TRY_OR_FAULT(require_supervisor(processor));
  const State& state = processor.state;
  TRY_OR_FAULT(processor.write_msr(static_cast<u32>(state.gpr[Rcx]), edx_eax(state)));
  return Completion::EndBlock;
}

Completion xgetbv(Processor& processor, const Instruction&) {
  State& state = processor.state;
  if ((state.cr4 & cr4::OSXSAVE) == 0) return undefined(processor);
  const u32 index = static_cast<u32>(state.gpr[Rcx]);
  // XCR1 is XCR0 & XINUSE; a processor may count every component as in use. SDM 1 §13.2.
  if (index == 0 || (index == 1 && processor.model().has(Feature::Xgetbv1))) {
    set_edx_eax(state, state.xcr0);
    return Completion::Next;
  }
  processor.raise(Vector::GeneralProtection, 0);
  return Completion::Fault;
}

Completion xsetbv(Processor& processor, const Instruction&) {
  const State& state = processor.state;
  if ((state.cr4 & cr4::OSXSAVE) == 0) return undefined(processor);
  TRY_OR_FAULT(require_supervisor(processor));
  TRY_OR_FAULT(processor.write_xcr(static_cast<u32>(state.gpr[Rcx]), edx_eax(state)));
  return Completion::EndBlock;
}

}  // namespace

Handler bind_mov_system_register(const Instruction& instruction) {
  if (instruction.operands[0].kind == OperandKind::Control) return mov_to_control;
  if (instruction.operands[1].kind == OperandKind::Control) return mov_from_control;
  if (instruction.operands[0].kind == OperandKind::Debug) return mov_to_debug;
  if (instruction.operands[1].kind == OperandKind::Debug) return mov_from_debug;
  return nullptr;
}

Handler bind_clts(const Instruction&) {
  return clts;
}
Handler bind_invlpg(const Instruction&) {
  return invlpg;
}
Handler bind_cache_flush(const Instruction&) {
  return cache_flush;
}
Handler bind_cpuid(const Instruction&) {
  return cpuid;
}
Handler bind_rdtsc(const Instruction&) {
  return rdtsc;
}
Handler bind_rdtscp(const Instruction&) {
  return rdtscp;
}
Handler bind_rdpmc(const Instruction&) {
  return rdpmc;
}
Handler bind_rdpid(const Instruction&) {
  return rdpid;
}
Handler bind_rdmsr(const Instruction&) {
  return rdmsr;
}
Handler bind_wrmsr(const Instruction&) {
  return wrmsr;
}
Handler bind_xgetbv(const Instruction&) {
  return xgetbv;
}
Handler bind_xsetbv(const Instruction&) {
  return xsetbv;
}

}  // namespace ringshift::cpu
