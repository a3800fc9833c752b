// From a host signal in generated code back to the guest: which instruction it was, what the
// guest's registers are before it, and what is to become of the access.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cpu/decoder.h"
#include "translator/translator.h"

namespace ringshift::translator {

namespace {

constexpr int kPageFaultTrap = 14;
constexpr u64 kWindowBytes = u64{1} << 32;
/// An access that begins in the window may reach this far behind it.
constexpr u64 kGuardBytes = u64{56} << 30;
constexpr greg_t kDirection = 0x400;

constexpr int kHostRegisters[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                                   REG_R15, REG_RBP, REG_RSI, REG_RDI};

/// Whether the host instruction reaches into the guest's memory: by a GS override, or by the
/// register that holds the window's address.
bool accesses_window(const std::string& host_text) {
  const std::size_t bracket = host_text.find('[');
  if (bracket == std::string::npos || host_text.starts_with("lea ")) return false;
  return host_text.find("gs:") != std::string::npos ||
         host_text.find("r13", bracket) != std::string::npos ||
         host_text.find("r15", bracket) != std::string::npos;
}

}  // namespace

bool Translator::owns_code(u64 pc) const {
  return area_.contains(pc);
}

Verdict Translator::on_fault(HostFault& fault) {
  const auto* pc = reinterpret_cast<const u8*>(fault.pc());
  const Block* block = store_.at_host(pc);
  const bool page_fault = fault.signal == SIGSEGV && fault.trap == kPageFaultTrap;
  if (page_fault && lane_ != nullptr && lane_->in_guard(fault.address)) {
    // Calls have filled the stack: forget them all and call again.
    lane_->reset_calls();
    fault.registers[REG_RSP] = static_cast<greg_t>(lane_->top_of_calls());
    return Verdict::Resume;
  }
  if (block == nullptr) return Verdict::Bug;
  const FaultPoint& point = block->point_at(pc);
  if (page_fault) {
    const u64 offset = fault.address - window_.base;
    if (offset >= kWindowBytes + kGuardBytes && 0 - offset > kGuardBytes) return Verdict::Bug;
    if (offset >= kWindowBytes) {
      note_wrapping_site(*block, point);
    } else {
      const auto type = fault.write ? cpu::AccessType::Write : cpu::AccessType::Read;
      switch (shadow_->resolve({offset}, type)) {
        case mmu::FaultClass::Mapped:
          count(cpu::ExitCause::FaultMapped);
          return Verdict::Resume;
        case mmu::FaultClass::GuestFault:
          break;
        case mmu::FaultClass::Device:
        case mmu::FaultClass::Watched:
          note_faulting_site(*block, point);
          break;
      }
    }
  }
  count(cpu::ExitCause::FaultEmulated);
  recover(fault, *block, point, Leave::Emulate);
  return Verdict::Resume;
}

/// The site may become a call-out: then the block is translated anew when it is next looked up.
void Translator::note_faulting_site(const Block& block, const FaultPoint& point) {
  if (!options_.on(Optimisation::CallOutSites)) return;
  if (!sites_.faulted(block.address.value + point.guest_offset)) return;
  doomed_.push_back(const_cast<Block*>(&block));
}

void Translator::note_wrapping_site(const Block& block, const FaultPoint& point) {
  if (!sites_.wrapped(block.address.value + point.guest_offset)) return;
  doomed_.push_back(const_cast<Block*>(&block));
}

bool Translator::at_boundary(const HostFault& fault, const Block*& block,
                             const FaultPoint*& point) const {
  const auto* pc = reinterpret_cast<const u8*>(fault.pc());
  block = store_.at_host(pc);
  if (block == nullptr) return false;
  point = &block->point_at(pc);
  return point->boundary && block->code + point->host_offset == pc;
}

Verdict Translator::on_interrupt(HostFault& fault) {
  if (stepping_ && fault.signal == SIGTRAP) {
    check_recovery(fault);
    return Verdict::Step;
  }
  note_interrupt(fault);
  // Compared blocks run to their end, which is near.
  if (lockstep_) return stepping_ ? Verdict::Step : Verdict::Resume;
  const Block* block = nullptr;
  const FaultPoint* point = nullptr;
  if (!at_boundary(fault, block, point)) return Verdict::Step;
  recover(fault, *block, *point, Leave::Event);
  return Verdict::Resume;
}

void Translator::note_interrupt(const HostFault& fault) {
  if (fault.signal != SIGTRAP) woken_.store(false);
  context_.exit_request.store(1, std::memory_order_relaxed);
}

void Translator::on_interrupt_outside(const HostFault& fault) {
  if (stepping_ && fault.signal == SIGTRAP) return;  // step_on() goes on
  note_interrupt(fault);
  // The interpreter may be in the middle of a repeated instruction.
  processor_.kick();
}

/// What the guest's registers are before the instruction that the fault or signal found underway.
Recovered Translator::recovered_state(const HostFault& fault, const Block& block,
                                      const FaultPoint& point) {
  const greg_t* const host = fault.registers;
  const auto value = [&](int reg) { return static_cast<u64>(host[reg]); };
  Recovered state;
  u64 rax = value(REG_RAX);
  u64 flags = value(REG_EFL);
  if ((point.recovery & kFlagsInAx) != 0) {
    flags = (rax >> 8 & 0xFF) | (rax & 1) << 11;
    rax = value(REG_R10);
  }
  for (unsigned reg = 0; reg < 8; ++reg) state.gpr[reg] = value(kHostRegisters[reg]) & 0xFFFFFFFF;
  state.gpr[cpu::Rax] = rax & 0xFFFFFFFF;
  if ((point.recovery & kRbpInR9) != 0) state.gpr[cpu::Rbp] = value(REG_R9) & 0xFFFFFFFF;
  if ((point.recovery & kRcxInR9) != 0) state.gpr[cpu::Rcx] = value(REG_R9) & 0xFFFFFFFF;
  state.gpr[cpu::Rsp] =
      (value(REG_R15) + static_cast<u64>(static_cast<i64>(point.pending))) & 0xFFFFFFFF;
  state.rip = (block.eip + point.guest_offset) & 0xFFFFFFFF;
  state.arithmetic_flags = flags & cpu::eflags::Arithmetic;
  return state;
}

/// A new block's first execution, host instruction by host instruction: what would be recovered
/// where a signal may stop it and where it may fault must be what the interpreter says, and no
/// register may hold more than the guest's 32 bits, because addresses are computed with them.
void Translator::check_recovery(const HostFault& fault) const {
  const auto* pc = reinterpret_cast<const u8*>(fault.pc());
  const Block* block = nullptr;
  const FaultPoint* point = nullptr;
  const bool boundary = at_boundary(fault, block, point);
  if (block == nullptr || (point->recovery & (kCannotFault | kRepeating)) != 0) return;
  const std::string host_text = cpu::format_host({pc, cpu::kLongestInstruction}, fault.pc()).text;
  if (!boundary && !accesses_window(host_text)) return;
  std::string wrong = lockstep_->compare_recovered(recovered_state(fault, *block, *point));
  if (boundary) {
    for (const int reg : kHostRegisters) {
      // The stack pointer's is the window's, at most one step over its edge.
      const u64 upper = static_cast<u64>(fault.registers[reg]) >> 32;
      const u64 window = reg == REG_R15 ? window_.base >> 32 : 0;
      if (upper == window || (reg == REG_R15 && upper + 1 - window <= 2)) continue;
      wrong += "lockstep: more than 32 bits in a guest register\n";
    }
  }
  if (wrong.empty()) return;
  std::fprintf(stderr, "%s  host code %llx  %s\n", wrong.c_str(),
               static_cast<unsigned long long>(fault.pc()), host_text.c_str());
  std::abort();
}

/// Puts the guest's state where the monitor looks for it and sends the thread to the way out.
void Translator::recover(HostFault& fault, const Block& block, const FaultPoint& point,
                         Leave reason) {
  greg_t* const host = fault.registers;
  const auto value = [&](int reg) { return static_cast<u64>(host[reg]); };
  const Recovered recovered = recovered_state(fault, block, point);
  cpu::State& state = processor_.state;
  std::copy(recovered.gpr.begin(), recovered.gpr.end(), state.gpr.begin());
  state.rip = recovered.rip;
  if ((point.recovery & kRepeating) != 0 && state.gpr[cpu::Rcx] != (value(REG_R8) & 0xFFFFFFFF)) {
    // What comes between resumes it without its breakpoint. SDM 3B §17.3.1.1.
    state.rflags |= cpu::eflags::RF;
    processor_.update_attention();
  }
  const u64 flags = recovered.arithmetic_flags;
  context_.saved_flags =
      static_cast<u16>((flags & 0xFF) << 8 | ((flags & cpu::eflags::OF) != 0 ? 1 : 0));
  context_.call_stack = value(REG_RSP);
  context_.instructions -= point.counted_ahead;
  context_.exit_reason = static_cast<u32>(reason);
  host[REG_EFL] &= ~kDirection;
  host[REG_RIP] = static_cast<greg_t>(reinterpret_cast<u64>(stubs_.leave_saved));
}

void Translator::describe(const HostFault& fault, char* buffer, std::size_t size) const {
  const cpu::State& state = processor_.state;
  std::array<u64, 8> gpr{};
  std::copy_n(state.gpr.begin(), gpr.size(), gpr.begin());
  u64 rip = state.rip;
  const char* how = "as last saved";
  std::string code;
  const auto* pc = reinterpret_cast<const u8*>(fault.pc());
  if (owns_code(fault.pc())) {
    code = "  host code: " + cpu::format_host({pc, cpu::kLongestInstruction}, fault.pc()).text;
    if (const Block* block = store_.at_host(pc)) {
      const Recovered recovered = recovered_state(fault, *block, block->point_at(pc));
      gpr = recovered.gpr;
      rip = recovered.rip;
      how = "in generated code";
    } else {
      code += ", none of a block";
    }
    code += '\n';
  }
  const auto wide = [](u64 value) { return static_cast<unsigned long long>(value); };
  std::snprintf(
      buffer, size,
      "  guest, %s: CS:EIP %04x:%08llx, mode %08x, window %llx\n"
      "  EAX %08llx ECX %08llx EDX %08llx EBX %08llx ESP %08llx EBP %08llx ESI %08llx EDI "
      "%08llx\n%s",
      how, unsigned{state.segment(cpu::SegmentName::CS).selector}, wide(rip), mode_.bits(),
      wide(window_.base), wide(gpr[cpu::Rax]), wide(gpr[cpu::Rcx]), wide(gpr[cpu::Rdx]),
      wide(gpr[cpu::Rbx]), wide(gpr[cpu::Rsp]), wide(gpr[cpu::Rbp]), wide(gpr[cpu::Rsi]),
      wide(gpr[cpu::Rdi]), code.c_str());
}

}  // namespace ringshift::translator
