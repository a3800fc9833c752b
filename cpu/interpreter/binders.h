// Declares every binder that cpu/instructions.def names, so that the decoder can build its table. A
// binder looks at a decoded instruction and picks the handler specialised for its operands; null
// says "this form isn't mine": the next line of the same mnemonic is asked (MOVSD is a string
// instruction and an SSE2 one), and after the last line the instruction is undefined.
#pragma once

#include "cpu/instruction.h"

namespace ringshift::cpu {

#define INSTRUCTION(mnemonic, binder, feature, test, policy) Handler binder(const Instruction&);
#include "cpu/instructions.def"
#undef INSTRUCTION

}  // namespace ringshift::cpu
