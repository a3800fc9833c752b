// Which arithmetic flags an instruction needs and which it certainly replaces: what lets a
// translator drop flags that nothing will look at. Zydis' lists name the flags that an instruction
// may change; liveness needs to know what it changes in every case, on every processor.
#pragma once

#include <Zydis/Zydis.h>

#include "cpu/instruction.h"

namespace ringshift::cpu {

struct FlagEffects {
  u8 read = 0;     ///< of flag_bits: see Instruction::flags_read
  u8 written = 0;  ///< see Instruction::flags_written
};

/// `instruction` has everything filled but handler and policy.
FlagEffects flag_effects(const ZydisDecodedInstruction& decoded, const Instruction& instruction);

}  // namespace ringshift::cpu
