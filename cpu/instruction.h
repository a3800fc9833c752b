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

struct Instruction {
  Handler handler = nullptr;
  u16 mnemonic = 0;     ///< ZydisMnemonic; the number of the line in instructions.def's order too
  u8 length = 0;        ///< bytes
  u8 operand_size = 4;  ///< effective operand size in bytes: 2, 4 (8 in long mode)
  u8 address_size = 4;  ///< effective address size in bytes: 2, 4 (8)
  ControlFlow control_flow = ControlFlow::Sequential;
  RepeatPrefix repeat = RepeatPrefix::None;
  bool lock = false;
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
