// What a lockstep run says about the first block that differs.
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "cpu/decoder.h"
#include "translator/lockstep.h"

namespace ringshift::translator {

namespace {

std::string formatted(const char* pattern, ...) __attribute__((format(printf, 1, 2)));
std::string formatted(const char* pattern, ...) {
  std::array<char, 256> text{};
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, arguments);
  va_end(arguments);
  return text.data();
}

template <typename Registers>
std::string registers(const Registers& gpr, u64 rip, u64 rflags) {
  const auto reg = [&](unsigned number) { return static_cast<unsigned long long>(gpr[number]); };
  return formatted(
      "eax %08llx ecx %08llx edx %08llx ebx %08llx esp %08llx ebp %08llx esi %08llx edi %08llx eip "
      "%08llx eflags %08llx\n",
      reg(cpu::Rax), reg(cpu::Rcx), reg(cpu::Rdx), reg(cpu::Rbx), reg(cpu::Rsp), reg(cpu::Rbp),
      reg(cpu::Rsi), reg(cpu::Rdi), static_cast<unsigned long long>(rip),
      static_cast<unsigned long long>(rflags));
}

std::string hexadecimal(const u8* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += formatted(" %02x", bytes[i]);
  return text;
}

/// The guest's instructions, each with the host code that was made of it.
std::string listing(const Block& block, const std::vector<SourceInstruction>& source) {
  std::string text;
  for (const SourceInstruction& item : source) {
    text +=
        formatted("  %08x  %s\n", item.eip,
                  !item.decoded ? "(undecoded)" : cpu::format(item.instruction, item.eip).c_str());
    const u32 guest_offset = item.eip - block.eip;
    for (std::size_t i = 0; i < block.points.size(); ++i) {
      const FaultPoint& point = block.points[i];
      if (point.guest_offset != guest_offset) continue;
      const u32 end =
          i + 1 < block.points.size() ? block.points[i + 1].host_offset : block.code_size;
      text += formatted("      +%04x%s pending %d:", point.host_offset,
                        point.boundary ? " boundary" : "", point.pending) +
              hexadecimal(block.code + point.host_offset, end - point.host_offset) + "\n";
    }
  }
  return text;
}

}  // namespace

void Lockstep::differs(const char* what, u64 interpreter, u64 translator) {
  if (interpreter == translator) return;
  differences_ += formatted("  %s: interpreter %llx, translator %llx\n", what,
                            static_cast<unsigned long long>(interpreter),
                            static_cast<unsigned long long>(translator));
}

std::string Lockstep::compare_recovered(const Recovered& recovered) const {
  const auto expected = std::find_if(states_.begin(), states_.end(), [&](const Recovered& state) {
    return state.rip == recovered.rip;
  });
  if (expected == states_.end()) return {};
  if (expected->gpr == recovered.gpr && expected->arithmetic_flags == recovered.arithmetic_flags) {
    return {};
  }
  return formatted("lockstep: wrong state recovered before the instruction at %08llx\n",
                   static_cast<unsigned long long>(recovered.rip)) +
         "  interpreter: " + registers(expected->gpr, expected->rip, expected->arithmetic_flags) +
         "  recovered:   " + registers(recovered.gpr, recovered.rip, recovered.arithmetic_flags) +
         listing(*source_->block, source_->instructions);
}

void Lockstep::write_report() {
  const cpu::State& is = processor_.state;
  const Block& block = *source_->block;
  report_ = "lockstep: interpreter and translator differ in comparison " +
            std::to_string(compared_) + ", after " + std::to_string(executed_) +
            " instructions of a block\n" + differences_ +
            "  before:      " + registers(before_.gpr, before_.rip, before_.rflags) +
            "  interpreter: " + registers(expected_.gpr, expected_.rip, expected_.rflags) +
            "  translator:  " + registers(is.gpr, is.rip, is.rflags) +
            formatted("  block at physical %08llx, mode %08x, host code at %p\n",
                      static_cast<unsigned long long>(block.address.value), block.mode.bits(),
                      static_cast<const void*>(block.code)) +
            listing(block, source_->instructions);
}

}  // namespace ringshift::translator
