// A decoded instruction as the engines see it: Zydis' result boiled down to what execution needs.
// The decoder fills it once; a block of them is what the interpreter caches.
#pragma once

#include <array>

#include "cpu/registers.h"
#include "cpu/types.h"

namespace ringshift::cpu {

class Processor;
struct Instruction;

/// How an instruction left the processor.
enum class Completion : u8 {
  Next,      ///< go on after it: the engine advances RIP by its length
  Branch,    ///< RIP has been set by the instruction
  EndBlock,  ///< like Next, but modes, interrupt state or code may have changed: leave the block
  Repeat,    ///< a REP string instruction gives way between iterations: RIP stays, no fault
  Fault,  ///< an exception waits in the Processor; RIP and all else are as before the instruction
};

using Handler = Completion (*)(Processor&, const Instruction&);

enum class OperandKind : u8 {
  None,
  Gpr,             ///< `reg` 0-15 at `size`
  HighByte,        ///< AH CH DH BH: `reg` 0-3, size 1
  Segment,         ///< `reg` is a SegmentName
  Control,         ///< CR`reg`
  Debug,           ///< DR`reg`
  X87,             ///< ST(`reg`)
  Mmx,             ///< MM`reg`
  Xmm,             ///< XMM`reg`
  Ymm,             ///< YMM`reg`
  Memory,          ///< the instruction's only memory operand: see Instruction::memory
  Immediate,       ///< Instruction::immediate (sign-extended as the encoding says)
  Immediate2,      ///< the second immediate (ENTER, EXTRQ), Instruction::immediate2
  RelativeBranch,  ///< Instruction::immediate is the displacement from the next instruction
  FarPointer,      ///< immediate2:immediate = selector:offset
};

/// Which part of the encoding names an operand.
enum class OperandField : u8 {
  Implicit,  ///< the opcode as a whole, or it isn't a register
  ModrmReg,
  ModrmRm,
  Opcode,     ///< the opcode's low three bits
  Vvvv,       ///< of a VEX prefix
  Immediate,  ///< the upper half of the immediate
};

/// Four bytes, since a decoded block is full of them.
struct Operand {
  OperandKind kind : 4 = OperandKind::None;
  OperandField field : 4 = OperandField::Implicit;
  u8 reg = 0;
  u16 size = 0;  ///< bytes
};

inline constexpr u8 kNoRegister = 0xFF;

/// segment:[base + index*scale + displacement], computed modulo the address size.
struct MemoryOperand {
  SegmentName segment = SegmentName::DS;
  u8 base = kNoRegister;
  u8 index = kNoRegister;
  u8 scale = 1;
  bool segment_overridden = false;
  i64 displacement = 0;
};

enum class RepeatPrefix : u8 { None, Rep, RepNe };

/// What an instruction may do to the flow of control, as far as its encoding tells.
enum class ControlFlow : u8 {
  Sequential,
  Conditional,  ///< a near branch that may fall through: Jcc, LOOPcc, JECXZ
  Near,         ///< always a near branch: JMP, CALL, RET; CS and the modes stay
  Far,          ///< far transfers, interrupts, HLT: anything may have changed afterwards
};

/// How a binary translator treats an instruction; the interpreter executes them all alike. Whatever
/// isn't known to be safe natively has Emulate: default-deny. Modes matter only inasmuch as an
/// instruction that is invalid, or needs more checks than the translator has, is emulated there.
enum class TranslationPolicy : u8 {
  /// One call to the interpreter's handler, then on in the block. The handler's Completion still
  /// has
  /// the last word.
  Emulate,
  /// Like Emulate, but modes, mappings, segments or code may have changed: the block ends. Also
  /// what
  /// always raises an event.
  EmulateAndLeave,
  /// The same operation re-encoded for 64-bit mode: general registers, arithmetic flags and at most
  /// one memory operand, no state besides. BT, BTS, BTR and BTC with a register as the bit's number
  /// reach beyond their operand.
  Copy,
  /// Like Copy with the guest's x87 state in the host's registers: CR0.EM and TS must be clear (for
  /// FWAIT it would do that MP and TS aren't both set).
  X87,
  /// MMX registers, which are x87 state: CR0.EM and TS must be clear.
  Mmx,
  /// SSE to SSE4.2, AES and SHA in their legacy encodings: CR0.EM and TS clear, CR4.OSFXSR set.
  Simd,
  /// MMX and XMM registers in one instruction: the conditions of both.
  SimdMmx,
  /// VEX encodings of vectors: CR0.TS clear, CR4.OSXSAVE and XCR0's SSE and AVX bits set, protected
  /// mode. EM and OSFXSR don't matter.
  Avx,
  Stack,      ///< PUSH POP PUSHA POPA ENTER LEAVE, without segment registers
  FlagStack,  ///< PUSHF POPF: IOPL and virtual-8086 mode decide what they may do
  Branch,     ///< near JMP Jcc CALL RET LOOPcc JCXZ JECXZ
  String,     ///< MOVS STOS LODS CMPS SCAS, with or without REP
  Port,       ///< IN OUT INS OUTS
  Flag,       ///< CLI STI CLD STD: flags that don't live in the host's
  Inline,     ///< sensitive or without a 64-bit twin, but short: RDTSC, XLAT
};

/// The six arithmetic flags, packed to sets that fit a byte.
namespace flag_bits {
inline constexpr u8 CF = 1, PF = 2, AF = 4, ZF = 8, SF = 16, OF = 32, All = 63;
}  // namespace flag_bits

struct Instruction {
  Handler handler = nullptr;
  u16 mnemonic = 0;     ///< ZydisMnemonic; the number of the line in instructions.def's order too
  u8 length = 0;        ///< bytes
  u8 operand_size = 4;  ///< effective operand size in bytes: 2, 4 (8 in long mode)
  u8 address_size = 4;  ///< effective address size in bytes: 2, 4 (8)
  ControlFlow control_flow = ControlFlow::Sequential;
  TranslationPolicy policy = TranslationPolicy::Emulate;
  RepeatPrefix repeat = RepeatPrefix::None;
  bool lock = false;
  /// Flags (flag_bits) whose old value matters: tested, or kept by some operands, processors or far
  /// transfers. Flags in neither mask are neither looked at nor changed, unless there is a fault.
  u8 flags_read = 0;
  /// Flags that are replaced whatever the operands, if there is no fault: their old value is dead
  /// unless `flags_read` has them too.
  u8 flags_written = 0;
  u8 operand_count = 0;  ///< explicit operands, in Intel order
  std::array<Operand, 5> operands{};
  MemoryOperand memory;
  u64 immediate = 0;
  u64 immediate2 = 0;
  u8 opcode = 0;               ///< last opcode byte, for families that share a handler
  std::array<u8, 15> bytes{};  ///< the encoding itself: for the host unit, dumps and messages
  // The host unit's notes, made at first execution: its code for this instruction, and since which
  // clearing of its code area that is valid (0: never).
  mutable u32 host_generation = 0;
  mutable const void* host_code = nullptr;
};

/// The mode that decoding depends on; part of every block key.
struct DecodeMode {
  bool code_32 = false;         ///< CS.D
  bool long_mode = false;       ///< CS.L with EFER.LMA
  bool real_selectors = false;  ///< real or virtual-8086 mode (some opcodes are undefined there)
  friend bool operator==(DecodeMode, DecodeMode) = default;
};

}  // namespace ringshift::cpu
