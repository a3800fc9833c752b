// What x87, MMX, SSE and AVX handlers share: the checks that come before any of their instructions,
// in the manual's order of priority, and the way from a GuestResult to a Completion.
#pragma once

#include "cpu/host_unit/x87_image.h"
#include "cpu/interpreter/handler.h"
#include "cpu/processor.h"

namespace ringshift::cpu {

inline Completion complete(Faulted) {
  return Completion::Fault;
}

/// Goes on only if a check says Completion::Next.
#define HANDLER_REQUIRE(check)                                          \
  if (const Completion handler_check = (check);                         \
      handler_check != ::ringshift::cpu::Completion::Next) [[unlikely]] \
  return handler_check

/// Whether an x87 instruction looks at pending exceptions (FSTSW) or not (FNSTSW).
enum class X87Wait : u8 { Waiting, NonWaiting };

/// #NM by CR0.EM or TS, then #MF or FERR# for a pending exception. SDM 3A §2.5, §6.15 (vector 16).
Completion check_x87(Processor& processor, X87Wait wait);
/// An unmasked x87 exception is pending: #MF, or FERR# and a wait for IRQ 13. Next if there is
/// none, or if IGNNE# says to go on.
Completion check_pending_x87(Processor& processor);
/// After an instruction that may have cleared the pending exception: FERR# follows.
void update_ferr(Processor& processor, bool was_pending);

/// SSE: #UD by CR0.EM or CR4.OSFXSR, #NM by CR0.TS. SDM 2A §2.4 (exception class types 1 to 5).
Completion check_sse(Processor& processor);
/// MMX without XMM operands: #UD by CR0.EM, #NM by CR0.TS; then pending x87 exceptions.
Completion check_mmx(Processor& processor);
/// VEX: #UD in real or virtual-8086 mode or without CR4.OSXSAVE and XCR0; #NM by CR0.TS.
Completion check_avx(Processor& processor);

/// #GP(0) unless the operand's linear address is a multiple of mask + 1. It comes before the
/// segment's limit is looked at, which shows in the stack segment.
Completion check_alignment(Processor& processor, const Instruction& instruction, u64 offset,
                           u64 mask);

/// Memory access of vector instructions that are exempt from #AC whatever their operand's size.
/// Faults: segment and page.
GuestResult<void> probe_vector_store(Processor& processor, SegmentName segment, u64 offset,
                                     unsigned length);
GuestResult<void> store_vector(Processor& processor, SegmentName segment, u64 offset,
                               const void* from, unsigned length);
GuestResult<void> load_vector(Processor& processor, SegmentName segment, u64 offset, void* into,
                              unsigned length);

}  // namespace ringshift::cpu
