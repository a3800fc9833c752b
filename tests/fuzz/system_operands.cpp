#include "tests/fuzz/system_operands.h"

namespace ringshift::tests {

namespace {

using cpu::OperandKind;

/// A control register's value at the start, with one bit or two changed.
u32 control_value(unsigned number, Random& random) {
  static constexpr u64 kCr0[] = {cpu::cr0::MP, cpu::cr0::EM, cpu::cr0::TS,
                                 cpu::cr0::NE, cpu::cr0::WP, cpu::cr0::AM,
                                 cpu::cr0::CD, cpu::cr0::PG, cpu::cr0::PE};
  static constexpr u64 kCr4[] = {cpu::cr4::VME,  cpu::cr4::PVI,     cpu::cr4::TSD,
                                 cpu::cr4::DE,   cpu::cr4::PSE,     cpu::cr4::PAE,
                                 cpu::cr4::PGE,  cpu::cr4::OSFXSR,  cpu::cr4::OSXMMEXCPT,
                                 cpu::cr4::SMEP, cpu::cr4::OSXSAVE, cpu::cr4::SMAP};
  constexpr u64 kCr0Start = cpu::cr0::PE | cpu::cr0::MP | cpu::cr0::ET | cpu::cr0::NE |
                            cpu::cr0::WP | cpu::cr0::AM | cpu::cr0::PG;
  constexpr u64 kCr4Start =
      cpu::cr4::PAE | cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT | cpu::cr4::OSXSAVE;
  switch (number) {
    case 0:
      return static_cast<u32>(kCr0Start ^ random.pick(kCr0));
    case 2:
      return random.interesting32();
    case 3:
      return random.chance(90) ? 0x10000 : random.interesting32();
    case 4:
      return static_cast<u32>(kCr4Start ^ random.pick(kCr4));
    default:
      return random.interesting32();
  }
}

void arrange_msr(TestCase& test, Random& random) {
  static constexpr u32 kRegisters[] = {0x10,  0x1B,  0x3A,  0x3B,  0x8B,  0xC1,      0xFE,
                                       0x174, 0x175, 0x176, 0x179, 0x17A, 0x1A0,     0x1D9,
                                       0x200, 0x201, 0x250, 0x268, 0x277, 0x2FF,     0xC0000080,
                                       0x400, 0x9A0, 0x345, 0x198, 0x199, 0xC0000103};
  auto& gpr = test.image.gpr;
  gpr[cpu::Rcx] = random.pick(kRegisters);
  gpr[cpu::Rdx] = random.chance(80) ? 0 : random.interesting32();
  if (gpr[cpu::Rcx] == 0xC0000080) gpr[cpu::Rax] = random.chance(50) ? 0x800 : 0;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

}  // namespace

u16 code_selector(Environment environment) {
  switch (environment) {
    case Environment::User:
      return kCodeSelector;
    case Environment::Kernel32:
      return 0x08;
    case Environment::Real16:
    case Environment::Virtual8086:
      break;
  }
  return 0x4000;
}

u16 random_selector(Environment environment, Random& random) {
  static constexpr u16 kUser[] = {0, 3, kDataSelector, kDataSelector, kCodeSelector, 0x10};
  // See SystemMachine for what lies at 18h and from 38h on.
  static constexpr u16 kKernel[] = {0,    0x10, 0x10, 0x10, 0x18, 0x38,
                                    0x40, 0x48, 0x08, 0x2B, 0x30, 0x50};
  static constexpr u16 kReal[] = {0x2000, 0x2000, 0x2010, 0x1FF0, 0x3000, 0x2FFF, 0x4000};
  switch (environment) {
    case Environment::User:
      return random.pick(kUser);
    case Environment::Kernel32:
      return random.pick(kKernel);
    case Environment::Real16:
    case Environment::Virtual8086:
      break;
  }
  return random.pick(kReal);
}

u32 random_flags(Environment environment, Random& random) {
  u64 flags = (random.below(0x1000) & cpu::eflags::Arithmetic) | cpu::eflags::Fixed;
  const auto maybe = [&](u64 mask, u32 percent) {
    if (random.chance(percent)) flags |= mask;
  };
  maybe(cpu::eflags::IF, 50);
  maybe(cpu::eflags::DF, 20);
  maybe(cpu::eflags::TF, 5);
  maybe(cpu::eflags::AC, 5);
  maybe(cpu::eflags::ID, 10);
  maybe(cpu::eflags::NT, 3);
  maybe(cpu::eflags::RF, 3);
  maybe(cpu::eflags::IOPL & -cpu::eflags::IOPL, 20);
  if (environment != Environment::Kernel32) maybe(cpu::eflags::IOPL, 50);
  return static_cast<u32>(flags);
}

void arrange_system_operands(TestCase& test, Environment environment, Random& random) {
  auto& gpr = test.image.gpr;
  const cpu::Operand& first = test.instruction.operands[0];
  const cpu::Operand& second = test.instruction.operands[1];
  if (environment == Environment::User || random.chance(10)) return;
  if (first.kind == OperandKind::Segment && second.kind == OperandKind::Gpr) {
    gpr[second.reg] = random_selector(environment, random) | (random.below(4) << 16);
  }
  if ((first.kind == OperandKind::Control || first.kind == OperandKind::Debug) &&
      second.kind == OperandKind::Gpr) {
    gpr[second.reg] = first.kind == OperandKind::Control
                          ? control_value(first.reg, random)
                          : random.below(0x10000) & (random.chance(50) ? 0x2700 : 0xFFFF);
  }
  if (test.instruction.policy == cpu::TranslationPolicy::Port) {
    gpr[cpu::Rdx] = random.chance(25) ? kInterruptPort : random.below(0x10000);
  }
  if (test.name == "lmsw" && first.kind == OperandKind::Gpr) gpr[first.reg] = random.below(16);
  if (test.name == "rdmsr" || test.name == "wrmsr") arrange_msr(test, random);
  if (test.name == "xgetbv" || test.name == "xsetbv") {
    gpr[cpu::Rcx] = 0;
    gpr[cpu::Rdx] = 0;
    gpr[cpu::Rax] = random.below(8);
  }
  if (test.name == "cpuid") gpr[cpu::Rax] = random.below(16) | (random.below(2) << 31);
  static constexpr std::string_view kSelectorReaders[] = {"lar",  "lsl",  "verr",
                                                          "verw", "lldt", "ltr"};
  for (const std::string_view name : kSelectorReaders) {
    if (test.name != name) continue;
    const cpu::Operand& source =
        starts_with(name, "la") || starts_with(name, "ls") ? second : first;
    if (source.kind == OperandKind::Gpr) gpr[source.reg] = random_selector(environment, random);
  }
}

}  // namespace ringshift::tests
