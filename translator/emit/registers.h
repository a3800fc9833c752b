// Which host register holds what while guest code runs.
#pragma once

#include <asmjit/x86.h>

#include <cstddef>

#include "cpu/registers.h"
#include "cpu/state.h"
#include "translator/context.h"

namespace ringshift::translator::host {

namespace x86 = asmjit::x86;

/// EAX to EDI are themselves, but for ESP: the host's own stack holds return addresses. R15 is the
/// host address of the guest's stack pointer, window and all, so that stack accesses have the plain
/// form that the host forwards fastest; windows are aligned to 4 GiB, so R15D is ESP.
inline const x86::Gp kGuestStack = x86::r15;
inline const x86::Gp kContext = x86::r14;
/// Host address of guest linear address 0.
inline const x86::Gp kWindow = x86::r13;
inline const x86::Gp kCodeBase = x86::r12;
// R8 to R11 are scratch. R8D carries the EIP of an indirect branch.

inline x86::Gp guest(unsigned reg) {
  return reg == cpu::Rsp ? kGuestStack : x86::gpq(reg);
}

inline x86::Mem context_field(std::size_t offset, u32 size) {
  return x86::ptr(kContext, static_cast<i32>(offset), size);
}
#define CONTEXT_FIELD(name) host::context_field(offsetof(Context, name), sizeof(Context::name))

// Fields of the guest's state, whose address is in `state`.
inline x86::Mem state_gpr(const x86::Gp& state, unsigned reg) {
  return x86::qword_ptr(state, static_cast<i32>(offsetof(cpu::State, gpr) + 8 * reg));
}
inline x86::Mem state_rflags(const x86::Gp& state) {
  return x86::dword_ptr(state, static_cast<i32>(offsetof(cpu::State, rflags)));
}

}  // namespace ringshift::translator::host
