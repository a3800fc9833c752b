#include "translator/lockstep.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cpu/decoder.h"

namespace ringshift::translator {

namespace {

using cpu::Completion;
using cpu::State;
using cpu::TranslationPolicy;
namespace eflags = cpu::eflags;

constexpr u64 kComparedFlags = eflags::Arithmetic | eflags::IF | eflags::DF;

std::string formatted(const char* pattern, ...) __attribute__((format(printf, 1, 2)));
std::string formatted(const char* pattern, ...) {
  std::array<char, 256> text{};
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, arguments);
  va_end(arguments);
  return text.data();
}

/// The parts of the FPU image that both engines define: not the pointers to the last instruction,
/// which are made when they are asked for, nor the registers that 32-bit code doesn't have.
bool same_fpu(const cpu::ExtendedState& a, cpu::ExtendedState b, bool faulted) {
  if (faulted) {
    // An unmasked SIMD exception has left its flag in MXCSR. SDM 1 §11.5.3.
    constexpr std::size_t kMxcsr = 24;
    constexpr u8 kExceptionFlags = 0x3F;
    b.legacy[kMxcsr] = static_cast<u8>((b.legacy[kMxcsr] & ~kExceptionFlags) |
                                       (a.legacy[kMxcsr] & kExceptionFlags));
  }
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::memcmp(a.legacy.data() + from, b.legacy.data() + from, to - from) == 0;
  };
  const bool stack = [&] {
    for (std::size_t i = 0; i < 8; ++i) {
      if (!same(32 + 16 * i, 32 + 16 * i + 10)) return false;
    }
    return true;
  }();
  constexpr std::size_t kHalves = 8 * 16;
  return same(0, 5) && same(24, 28) && stack && same(160, 160 + 8 * 16) &&
         std::memcmp(a.ymm_high.data(), b.ymm_high.data(), kHalves) == 0;
}

}  // namespace

Lockstep::Lockstep(cpu::Processor& processor, mmu::MemoryMap& map, mmu::ProcessorMemory& memory)
    : processor_(processor), map_(map), memory_(memory) {
  memory_.set_journal(this);
}

Lockstep::~Lockstep() {
  memory_.set_journal(nullptr);
}

bool Lockstep::on_trial(const SourceInstruction& source) {
  if (!source.decoded || source.call_out) return false;
  switch (source.instruction.policy) {
    case TranslationPolicy::Copy:
    case TranslationPolicy::X87:
    case TranslationPolicy::Mmx:
    case TranslationPolicy::Simd:
    case TranslationPolicy::SimdMmx:
    case TranslationPolicy::Avx:
    case TranslationPolicy::Stack:
    case TranslationPolicy::Branch:
      return true;
    case TranslationPolicy::Emulate:
    case TranslationPolicy::EmulateAndLeave:
    case TranslationPolicy::String:
    case TranslationPolicy::FlagStack:
    case TranslationPolicy::Port:
    case TranslationPolicy::Flag:
    case TranslationPolicy::Inline:
      return false;
  }
  return false;
}

void Lockstep::remember(const Block& block, std::span<const SourceInstruction> source) {
  sources_[&block] = {{source.begin(), source.end()}};
}

bool Lockstep::on_write(PhysicalAddress address, unsigned size) {
  if (!trying_) return true;
  if (map_.host_page(address.page()).read == nullptr) {
    denied_ = true;
    return false;
  }
  writes_.push_back({address, size, map_.read_value(address, size), 0});
  return true;
}

bool Lockstep::on_device_read(PhysicalAddress, unsigned) {
  if (!trying_) return true;
  denied_ = true;
  return false;
}

/// False: it faults or reaches a device, and nothing has happened.
bool Lockstep::step(const SourceInstruction& source) {
  State& state = processor_.state;
  const State before = state;
  const std::size_t mark = writes_.size();
  denied_ = false;
  const Completion completion = source.instruction.handler(processor_, source.instruction);
  if (completion == Completion::Fault || completion == Completion::Repeat || denied_) {
    state = before;
    for (std::size_t i = writes_.size(); i-- > mark;) {
      map_.write_value(writes_[i].address, writes_[i].before, writes_[i].size);
    }
    writes_.resize(mark);
    return false;
  }
  branched_ = completion == Completion::Branch;
  if (!branched_) {
    state.rip = (state.rip + source.instruction.length) & 0xFFFFFFFF;
  }
  for (std::size_t i = mark; i < writes_.size(); ++i) {
    writes_[i].after = map_.read_value(writes_[i].address, writes_[i].size);
  }
  return true;
}

void Lockstep::begin(const Block& block) {
  const auto found = sources_.find(&block);
  remembered_ = nullptr;
  source_ = nullptr;
  if (found != sources_.end() && on_trial(found->second.source.front())) {
    remembered_ = &found->second;
    source_ = &remembered_->source;
  }
  states_.clear();
  write_marks_.clear();
  writes_.clear();
  if (source_ == nullptr) return;
  State& state = processor_.state;
  states_.push_back(state);
  write_marks_.push_back(0);
  trying_ = true;
  for (const SourceInstruction& source : *source_) {
    if (state.rip != source.eip || !step(source)) break;
    states_.push_back(state);
    write_marks_.push_back(writes_.size());
    if (branched_) break;  // if only to the next instruction: translated code leaves the block
  }
  trying_ = false;
  for (std::size_t i = writes_.size(); i-- > 0;) {
    map_.write_value(writes_[i].address, writes_[i].before, writes_[i].size);
  }
  state = states_.front();
}

bool Lockstep::first_time() {
  return remembered_ != nullptr && !std::exchange(remembered_->executed, true);
}

std::string Lockstep::compare_recovered(const Recovered& recovered) const {
  std::size_t index = 0;
  while (index < states_.size() && states_[index].rip != recovered.rip) ++index;
  if (index >= std::min(states_.size(), source_->size())) return {};
  const State& expected = states_[index];
  std::string text;
  for (unsigned reg = 0; reg < 8; ++reg) {
    if (recovered.gpr[reg] == expected.gpr[reg]) continue;
    text += formatted("  register %u: interpreter %llx, recovered %llx\n", reg,
                      static_cast<unsigned long long>(expected.gpr[reg]),
                      static_cast<unsigned long long>(recovered.gpr[reg]));
  }
  const u64 flags = expected.rflags & eflags::Arithmetic;
  if (recovered.arithmetic_flags != flags) {
    text += formatted("  flags: interpreter %llx, recovered %llx\n",
                      static_cast<unsigned long long>(flags),
                      static_cast<unsigned long long>(recovered.arithmetic_flags));
  }
  if (text.empty()) return {};
  return formatted("lockstep: wrong state recovered before the instruction at %08llx\n",
                   static_cast<unsigned long long>(recovered.rip)) +
         text + listing();
}

std::string Lockstep::compare(bool faulted) {
  if (source_ == nullptr) return {};
  ++compared_;
  // A block that left at a fault has executed what lies before it.
  std::size_t executed = states_.size() - 1;
  if (faulted) {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].rip == processor_.state.rip) executed = i;
    }
  }
  std::string text = differences(states_[executed], faulted);
  std::unordered_map<u64, u8> expected;
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    const Write& write = writes_[i];
    for (unsigned n = 0; n < write.size; ++n) {
      const auto before = static_cast<u8>(write.before >> (8 * n));
      const auto after = static_cast<u8>(write.after >> (8 * n));
      if (i < write_marks_[executed]) {
        expected[write.address.value + n] = after;
      } else {
        expected.try_emplace(write.address.value + n, before);
      }
    }
  }
  for (const auto& [address, byte] : expected) {
    const auto is = static_cast<u8>(map_.read_value({address}, 1));
    if (is != byte) {
      text += formatted("  memory %08llx: interpreter %02x, translator %02x\n",
                        static_cast<unsigned long long>(address), byte, is);
    }
  }
  if (!text.empty()) {
    text = "lockstep: block " + std::to_string(compared_) + " differs after " +
           std::to_string(executed) + " instructions\n" + text + listing();
  }
  return text;
}

std::string Lockstep::differences(const State& expected, bool faulted) const {
  static constexpr const char* kNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  const State& is = processor_.state;
  std::string text;
  const auto compare = [&](const char* name, u64 interpreter, u64 translator) {
    if (interpreter == translator) return;
    text += formatted("  %s: interpreter %llx, translator %llx (before: see listing)\n", name,
                      static_cast<unsigned long long>(interpreter),
                      static_cast<unsigned long long>(translator));
  };
  for (unsigned reg = 0; reg < 8; ++reg) compare(kNames[reg], expected.gpr[reg], is.gpr[reg]);
  compare("eip", expected.rip, is.rip);
  compare("eflags", expected.rflags & kComparedFlags, is.rflags & kComparedFlags);
  if (!same_fpu(expected.extended, is.extended, faulted))
    text += "  x87, SSE or AVX state differs\n";
  return text;
}

std::string Lockstep::listing() const {
  std::string text;
  const State& first = states_.front();
  for (unsigned reg = 0; reg < 8; ++reg) {
    text += formatted(" %llx", static_cast<unsigned long long>(first.gpr[reg]));
  }
  text = "  registers before:" + text +
         formatted(" flags %llx\n", static_cast<unsigned long long>(first.rflags));
  for (const SourceInstruction& source : *source_) {
    text +=
        formatted("  %08x  %s\n", source.eip, cpu::format(source.instruction, source.eip).c_str());
  }
  return text;
}

}  // namespace ringshift::translator
