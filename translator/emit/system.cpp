// Sensitive instructions that needn't leave the code cache.
#include "translator/emit/block_emitter.h"
#include "translator/emit/registers.h"

namespace ringshift::translator {

using namespace host;

/// CLI, STI, CLD, STD: IF and DF are bytes in the context.
void BlockEmitter::emit_flag() {
  constexpr u8 kCli = 0xFA, kCld = 0xFC;
  const u8 opcode = current_->instruction.opcode;
  if (!options_.on(Optimisation::InlineSystem)) {
    call_out(false);
    return;
  }
  if (opcode >= kCld) {
    a_.mov(CONTEXT_FIELD(direction_flag), opcode == kCld ? 0 : 1);
    return;
  }
  if (!mode_.has(Mode::kIoPrivileged)) {
    call_out(false);
    return;
  }
  if (opcode == kCli) {
    a_.mov(CONTEXT_FIELD(interrupt_flag), 0);
    return;
  }
  // STI: nothing waits, or the interpreter sees to the shadow and the interrupt.
  flush_pending();
  const Label free = a_.newLabel(), done = a_.newLabel();
  a_.mov(x86::r9, x86::rcx);
  a_.movzx(x86::ecx, CONTEXT_FIELD(interrupt_waits));
  a_.jecxz(x86::ecx, free);
  a_.mov(x86::rcx, x86::r9);
  call_out(false);
  a_.short_().jmp(done);
  a_.bind(free);
  a_.mov(x86::rcx, x86::r9);
  a_.mov(CONTEXT_FIELD(interrupt_flag), 1);
  a_.bind(done);
}

void BlockEmitter::emit_inline() {
  call_out(false);
}

}  // namespace ringshift::translator
