#include "translator/stubs.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cpu/host_unit/x87_image.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

namespace {

using asmjit::Label;
using namespace host;

// Offsets in ExtendedState.
constexpr i32 kMxcsr = 24, kXmm = 160, kUpper = 576;
constexpr i32 kVectors = 8;

bool host_has_avx() {
  return asmjit::CpuInfo::host().features().x86().hasAVX();
}

class StubEmitter {
 public:
  StubEmitter(cpu::CodeArea& area) : area_(area), has_avx_(host_has_avx()) {
    code_.init(asmjit::Environment::host(), reinterpret_cast<u64>(area.next()));
    code_.attach(&a_);
  }

  Stubs emit() {
    make_labels();
    emit_miss();
    emit_look_up();
    emit_bottom_of_calls();
    emit_leave_link();
    emit_leave();
    emit_call_out();
    emit_load_fpu();
    emit_enter();
    emit_step_in();
    return finish();
  }

 private:
  void make_labels() {
    for (Label* label :
         {&miss_, &look_up_, &bottom_, &leave_link_, &leave_, &leave_saved_, &call_out_,
          &load_vectors_, &load_x87_, &load_upper_, &enter_, &step_in_, &epilogue_}) {
      *label = a_.newLabel();
    }
  }

  /// Nothing here may change flags before they are saved.
  void emit_miss() {
    a_.bind(miss_);
    a_.mov(CONTEXT_FIELD(exit_value), x86::r8d);
    a_.mov(CONTEXT_FIELD(exit_reason), static_cast<u32>(Leave::Indirect));
    a_.jmp(leave_);
  }

  void emit_look_up() {
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(look_up_);
    a_.mov(x86::r10, CONTEXT_FIELD(branch_table));
    a_.mov(x86::r9d, x86::dword_ptr(x86::r10, x86::r8, 2));
    a_.lea(x86::r9, x86::ptr(x86::r9, kCodeBase));
    a_.jmp(x86::r9);
  }

  void emit_bottom_of_calls() {
    a_.bind(bottom_);
    a_.lea(x86::rsp, x86::ptr(x86::rsp, -8));
    a_.jmp(look_up_);
  }

  void emit_leave_link() {
    a_.bind(leave_link_);
    a_.mov(CONTEXT_FIELD(exit_value), x86::r11d);
    a_.mov(CONTEXT_FIELD(exit_reason), static_cast<u32>(Leave::Link));
    a_.jmp(leave_);
  }

  void save_registers() {
    a_.mov(x86::r9, CONTEXT_FIELD(state));
    for (unsigned reg = 0; reg < 8; ++reg) {
      if (reg != cpu::Rsp) a_.mov(state_gpr(x86::r9, reg), guest(reg));
    }
    // The upper half there is always zero.
    x86::Mem stack_pointer = state_gpr(x86::r9, cpu::Rsp);
    stack_pointer.setSize(4);
    a_.mov(stack_pointer, kGuestStack.r32());
    a_.lahf();
    a_.seto(x86::al);
    a_.mov(CONTEXT_FIELD(saved_flags), x86::ax);
    a_.mov(CONTEXT_FIELD(call_stack), x86::rsp);
    a_.mov(x86::rsp, CONTEXT_FIELD(monitor_stack));
  }

  /// What is loaded of the guest's state goes to memory, and the monitor's control words come
  /// back. XSAVE and XRSTOR would take ten times as long for vectors alone.
  void save_fpu() {
    const Label done = a_.newLabel(), no_upper = a_.newLabel(), no_x87 = a_.newLabel();
    a_.cmp(CONTEXT_FIELD(vectors_absent), 0);
    a_.jne(done);
    a_.mov(x86::rdi, CONTEXT_FIELD(extended));
    if (has_avx_) {
      a_.cmp(CONTEXT_FIELD(upper_absent), 0);
      a_.jne(no_upper);
      for (i32 i = 0; i < kVectors; ++i) {
        a_.vextractf128(x86::ptr(x86::rdi, kUpper + 16 * i), x86::ymm(static_cast<u32>(i)), 1);
      }
      a_.vzeroupper();
      a_.mov(CONTEXT_FIELD(upper_absent), 1);
      a_.bind(no_upper);
    }
    store_vectors(x86::rdi);
    a_.cmp(CONTEXT_FIELD(x87_absent), 0);
    a_.jne(no_x87);
    a_.fxsave64(x86::ptr(x86::rdi));
    a_.fninit();
    a_.mov(CONTEXT_FIELD(x87_absent), 1);
    a_.bind(no_x87);
    a_.ldmxcsr(CONTEXT_FIELD(monitor_mxcsr));
    a_.mov(CONTEXT_FIELD(vectors_absent), 1);
    a_.bind(done);
  }

  void store_vectors(const x86::Gp& image) {
    for (i32 i = 0; i < kVectors; ++i) {
      a_.movaps(x86::ptr(image, kXmm + 16 * i), x86::xmm(static_cast<u32>(i)));
    }
    a_.stmxcsr(x86::dword_ptr(image, kMxcsr));
  }

  void emit_leave() {
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(leave_);
    save_registers();
    a_.bind(epilogue_);
    save_fpu();
    a_.add(x86::rsp, 8);
    for (const x86::Gp& reg : {x86::r15, x86::r14, x86::r13, x86::r12, x86::rbp, x86::rbx}) {
      a_.pop(reg);
    }
    a_.ret();
    a_.bind(leave_saved_);
    a_.mov(x86::rsp, CONTEXT_FIELD(monitor_stack));
    a_.jmp(epilogue_);
  }

  /// Flags and general registers from the state. Uses RAX before it is loaded.
  void restore_registers() {
    a_.mov(x86::r9, CONTEXT_FIELD(state));
    a_.mov(x86::eax, state_rflags(x86::r9));
    a_.mov(x86::ecx, x86::eax);
    a_.shl(x86::eax, 8);
    a_.shr(x86::ecx, 11);
    a_.and_(x86::ecx, 1);
    a_.or_(x86::eax, x86::ecx);
    a_.add(x86::al, 0x7F);  // overflows if AL was 1
    a_.sahf();
    for (unsigned reg = 0; reg < 8; ++reg) a_.mov(guest(reg), state_gpr(x86::r9, reg));
    a_.lea(kGuestStack, x86::ptr(kGuestStack, kWindow));
  }

  void emit_call_out() {
    const Label leaving = a_.newLabel(), elsewhere = a_.newLabel(), asked = a_.newLabel();
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(call_out_);
    save_registers();
    save_fpu();
    a_.mov(x86::rdi, kContext);
    a_.mov(x86::esi, x86::r11d);
    a_.call(CONTEXT_FIELD(call_out));
    // From here on a signal handler steps on to an instruction boundary. What came before must be
    // looked for, so that no request slips through.
    a_.cmp(x86::eax, static_cast<u32>(Onward::Stay));
    a_.jb(leaving);
    a_.ja(elsewhere);
    a_.cmp(CONTEXT_FIELD(exit_request), 0);
    a_.jne(asked);
    a_.mov(x86::rsp, CONTEXT_FIELD(call_stack));
    restore_registers();
    a_.ret();
    a_.bind(elsewhere);
    a_.cmp(CONTEXT_FIELD(exit_request), 0);
    a_.jne(leaving);
    a_.mov(x86::rsp, CONTEXT_FIELD(call_stack));
    a_.mov(kWindow, CONTEXT_FIELD(window));
    restore_registers();
    a_.jmp(CONTEXT_FIELD(entry));
    a_.bind(leaving);
    a_.mov(CONTEXT_FIELD(exit_reason), static_cast<u32>(Leave::CallOut));
    a_.jmp(epilogue_);
    a_.bind(asked);
    a_.add(CONTEXT_FIELD(call_stack), 8);  // the return into the block
    a_.mov(CONTEXT_FIELD(exit_reason), static_cast<u32>(Leave::CallOutAndEvent));
    a_.jmp(epilogue_);
  }

  /// No flag may change: RCX is free instead.
  void emit_load_fpu() {
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(load_vectors_);
    a_.mov(x86::r8, CONTEXT_FIELD(extended));
    fetch_vectors();
    a_.ret();

    const Label none = a_.newLabel();
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(load_x87_);
    a_.mov(x86::r8, CONTEXT_FIELD(extended));
    a_.movzx(x86::ecx, CONTEXT_FIELD(vectors_absent));
    a_.lea(x86::ecx, x86::ptr(x86::rcx, -1));
    a_.jecxz(x86::ecx, none);
    store_vectors(x86::r8);
    a_.bind(none);
    a_.movzx(x86::ecx, x86::word_ptr(x86::r8, cpu::image::kOpcode));
    a_.mov(CONTEXT_FIELD(x87_opcode), x86::cx);
    a_.mov(x86::ecx, x86::dword_ptr(x86::r8, cpu::image::kDataOffset));
    a_.mov(CONTEXT_FIELD(x87_data), x86::ecx);
    a_.fxrstor64(x86::ptr(x86::r8));
    a_.mov(CONTEXT_FIELD(vectors_absent), 0);
    a_.mov(CONTEXT_FIELD(x87_absent), 0);
    a_.ret();

    const Label have = a_.newLabel();
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(load_upper_);
    a_.mov(x86::r8, CONTEXT_FIELD(extended));
    a_.movzx(x86::ecx, CONTEXT_FIELD(vectors_absent));
    a_.jecxz(x86::ecx, have);
    fetch_vectors();
    a_.bind(have);
    for (i32 i = 0; has_avx_ && i < kVectors; ++i) {
      const x86::Ymm ymm = x86::ymm(static_cast<u32>(i));
      a_.vinsertf128(ymm, ymm, x86::ptr(x86::r8, kUpper + 16 * i), 1);
    }
    a_.mov(CONTEXT_FIELD(upper_absent), 0);
    a_.ret();
  }

  void fetch_vectors() {
    for (i32 i = 0; i < kVectors; ++i) {
      a_.movaps(x86::xmm(static_cast<u32>(i)), x86::ptr(x86::r8, kXmm + 16 * i));
    }
    a_.ldmxcsr(x86::dword_ptr(x86::r8, kMxcsr));
    a_.mov(CONTEXT_FIELD(vectors_absent), 0);
  }

  void emit_enter() {
    const Label refused = a_.newLabel();
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(enter_);
    for (const x86::Gp& reg : {x86::rbx, x86::rbp, x86::r12, x86::r13, x86::r14, x86::r15}) {
      a_.push(reg);
    }
    a_.sub(x86::rsp, 8);
    a_.mov(kContext, x86::rdi);
    a_.mov(kWindow, CONTEXT_FIELD(window));
    a_.mov(kCodeBase, reinterpret_cast<u64>(area_.executable()));
    a_.mov(CONTEXT_FIELD(monitor_stack), x86::rsp);
    // From here on a signal handler steps to the first instruction of a block, so that a request
    // can't slip between the question and the entry.
    a_.cmp(CONTEXT_FIELD(exit_request), 0);
    a_.jne(refused);
    a_.mov(x86::rsp, CONTEXT_FIELD(call_stack));
    restore_registers();
    a_.jmp(CONTEXT_FIELD(entry));
    a_.bind(refused);
    a_.mov(CONTEXT_FIELD(exit_reason), static_cast<u32>(Leave::Refused));
    a_.jmp(epilogue_);
  }

  /// The other flags stay as they are. The first trap comes where the jump leads.
  void emit_step_in() {
    constexpr u32 kTrapFlag = 0x100;
    a_.bind(step_in_);
    a_.pushfq();
    a_.or_(x86::dword_ptr(x86::rsp), kTrapFlag);
    a_.popfq();
    a_.jmp(CONTEXT_FIELD(step_entry));
  }

  Stubs finish() {
    code_.flatten();
    code_.resolveUnresolvedLinks();
    code_.relocateToBase(code_.baseAddress());
    const auto& buffer = code_.textSection()->buffer();
    const u8* base = area_.append({buffer.data(), buffer.size()});
    if (base == nullptr || code_.hasUnresolvedLinks()) {
      std::fprintf(stderr, "ringshift: the code area is too small for its stubs\n");
      std::abort();
    }
    const auto at = [&](const Label& label) { return base + code_.labelOffsetFromBase(label); };
    Stubs stubs;
    stubs.miss = at(miss_);
    stubs.look_up = at(look_up_);
    stubs.bottom_of_calls = at(bottom_);
    stubs.leave_link = at(leave_link_);
    stubs.call_out = at(call_out_);
    stubs.load_vectors = at(load_vectors_);
    stubs.load_x87 = at(load_x87_);
    stubs.load_upper = at(load_upper_);
    stubs.leave_saved = at(leave_saved_);
    stubs.enter = reinterpret_cast<Stubs::Enter>(reinterpret_cast<u64>(at(enter_)));
    stubs.step_in = at(step_in_);
    stubs.end = base + buffer.size();
    return stubs;
  }

  cpu::CodeArea& area_;
  bool has_avx_;
  asmjit::CodeHolder code_;
  x86::Assembler a_;
  Label miss_, look_up_, bottom_, leave_link_, leave_, leave_saved_, call_out_, load_vectors_,
      load_x87_, load_upper_, enter_, step_in_, epilogue_;
};

}  // namespace

std::vector<Stubs::Named> Stubs::named() const {
  std::vector<Named> all = {{"miss", miss},
                            {"look_up", look_up},
                            {"bottom_of_calls", bottom_of_calls},
                            {"leave_link", leave_link},
                            {"leave_saved", leave_saved},
                            {"call_out", call_out},
                            {"load_vectors", load_vectors},
                            {"load_x87", load_x87},
                            {"load_upper", load_upper},
                            {"step_in", step_in},
                            {"enter", reinterpret_cast<const u8*>(reinterpret_cast<u64>(enter))}};
  std::sort(all.begin(), all.end(), [](const Named& a, const Named& b) { return a.code < b.code; });
  return all;
}

Stubs Stubs::emit(cpu::CodeArea& area) {
  return StubEmitter(area).emit();
}

}  // namespace ringshift::translator
