#include "cpu/decoder_table.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>

#include "cpu/decoder.h"
#include "cpu/interpreter/binders.h"

namespace ringshift::cpu {

namespace {

struct TableLine {
  ZydisMnemonic mnemonic;
  Handler (*binder)(const Instruction&);
  Feature feature;
  TranslationPolicy policy;
};

constexpr TableLine kTable[] = {
#define INSTRUCTION(mnemonic, binder, feature, test, policy) \
  {ZYDIS_MNEMONIC_##mnemonic, binder, Feature::feature, TranslationPolicy::policy},
#include "cpu/instructions.def"
#undef INSTRUCTION
};
constexpr std::size_t kLines = std::size(kTable);
constexpr u16 kNoLine = 0xFFFF;

constexpr ZydisMnemonic kUndefined[] = {
#define UNDEFINED(mnemonic) ZYDIS_MNEMONIC_##mnemonic,
#include "cpu/instructions/undefined.def"
#undef UNDEFINED
};

struct TableIndex {
  std::array<u16, ZYDIS_MNEMONIC_MAX_VALUE + 1> first{};
  std::array<u16, kLines> next{};  ///< the next line of the same mnemonic
};

constexpr TableIndex make_index() {
  TableIndex index;
  index.first.fill(kNoLine);
  for (std::size_t line = kLines; line-- > 0;) {
    u16& first = index.first[kTable[line].mnemonic];
    index.next[line] = first;
    first = static_cast<u16>(line);
  }
  return index;
}
constexpr TableIndex kIndex = make_index();

bool is_system_register(const Operand& operand) {
  return operand.kind == OperandKind::Segment || operand.kind == OperandKind::Control ||
         operand.kind == OperandKind::Debug;
}

/// MOV, PUSH, POP, JMP, CALL and RET are one mnemonic each for forms that have little in common.
TranslationPolicy policy_of_form(TranslationPolicy line, const Instruction& instruction) {
  if (instruction.control_flow == ControlFlow::Far) return TranslationPolicy::EmulateAndLeave;
  const auto& operands = instruction.operands;
  if (is_system_register(operands[0])) {
    return instruction.mnemonic == ZYDIS_MNEMONIC_PUSH ? TranslationPolicy::Emulate
                                                       : TranslationPolicy::EmulateAndLeave;
  }
  return is_system_register(operands[1]) ? TranslationPolicy::Emulate : line;
}

}  // namespace

void bind(const CpuidModel& model, Instruction& instruction) {
  for (u16 line = kIndex.first[instruction.mnemonic]; line != kNoLine; line = kIndex.next[line]) {
    const TableLine& candidate = kTable[line];
    if (!model.has(candidate.feature)) continue;
    instruction.handler = candidate.binder(instruction);
    if (instruction.handler == nullptr) continue;
    instruction.policy = policy_of_form(candidate.policy, instruction);
    return;
  }
  instruction.handler = nullptr;
}

std::size_t instruction_table_size() {
  return kLines;
}

std::string_view instruction_table_mnemonic(std::size_t line) {
  return mnemonic_name(static_cast<u16>(kTable[line].mnemonic));
}

std::vector<std::string_view> undecided_mnemonics() {
  std::vector<std::string_view> undecided;
  for (u16 mnemonic = ZYDIS_MNEMONIC_INVALID + 1; mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE;
       ++mnemonic) {
    const bool defined = kIndex.first[mnemonic] != kNoLine;
    const auto times = std::count(std::begin(kUndefined), std::end(kUndefined),
                                  static_cast<ZydisMnemonic>(mnemonic));
    if (times != (defined ? 0 : 1)) undecided.push_back(mnemonic_name(mnemonic));
  }
  return undecided;
}

}  // namespace ringshift::cpu
