// cpu/instructions.def as the decoder uses it: from a decoded instruction to its handler and its
// translation policy.
#pragma once

#include "cpu/cpuid.h"
#include "cpu/instruction.h"

namespace ringshift::cpu {

/// Fills `handler` and `policy` from the first line of the mnemonic that the model has and whose
/// binder accepts the form; leaves `handler` null if there is none: #UD.
void bind(const CpuidModel& model, Instruction& instruction);

}  // namespace ringshift::cpu
