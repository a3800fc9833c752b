#include "tests/fuzz/test_case.h"

#include "tests/fuzz/system_operands.h"

#include <algorithm>
#include <cstring>

namespace ringshift::tests {

namespace {

using cpu::OperandKind;
constexpr u32 kPage = static_cast<u32>(kPageSize);

void store16(CpuImage& image, unsigned offset, u16 value) {
  std::memcpy(image.extended.legacy.data() + offset, &value, 2);
}
void store32(CpuImage& image, unsigned offset, u32 value) {
  std::memcpy(image.extended.legacy.data() + offset, &value, 4);
}

/// An address in the data area: mostly well inside, sometimes where rights change.
u32 data_target(Random& random) {
  constexpr u32 kDataLength = layout::kDataPages * kPage;
  const u32 kind = random.below(1000);
  const u32 straddle = random.below(80) - 64;
  if (kind < 8) return layout::kReadOnly + straddle;
  if (kind < 14) return layout::kReadOnly + kPage + straddle;
  if (kind < 20) return layout::kData + straddle;
  if (kind < 26) return layout::kReadOnly + random.below(kPage - 64);
  if (kind < 30) return random.interesting32() & 0x1FFFFFFF;
  if (kind < 100) return layout::kData + kPage + straddle;
  u32 address = layout::kData + 64 + random.below(kDataLength - 192);
  if (random.chance(75)) address &= ~63U;
  return address;
}

void randomise_x87(CpuImage& image, Random& random) {
  const u16 masks = random.chance(90) ? 0x3F : static_cast<u16>(random.below(64));
  const u16 precision = random.chance(60) ? 3 : static_cast<u16>(random.below(4));
  const u16 control = static_cast<u16>(masks | 0x40 | precision << 8 | random.below(4) << 10 |
                                       random.below(2) << 12);
  u16 status = static_cast<u16>(random.below(0x10000) & 0x7F00);  // TOP and condition codes
  if (random.chance(20)) status |= static_cast<u16>(random.below(128));
  // Mostly without an unmasked exception waiting: the next instruction would only report it.
  if (random.chance(85)) status &= static_cast<u16>(~0x3F | masks);
  if ((status & ~masks & 0x3F) != 0) status |= 0x8080;  // ES and B follow from flags and masks
  store16(image, 0, control);
  store16(image, 2, status);
  const u32 tags = random.below(3);
  image.extended.legacy[4] = tags == 0 ? 0 : tags == 1 ? 0xFF : static_cast<u8>(random.next());
  for (unsigned n = 0; n < 8; ++n) {
    random.interesting_extended(image.extended.legacy.data() + 32 + 16 * n);
  }
}

void randomise_vectors(CpuImage& image, Random& random) {
  const u32 masks = random.chance(95) ? 0x1F80 : random.below(64) << 7;
  u32 mxcsr = masks | random.below(4) << 13;
  if (random.chance(15)) mxcsr |= 0x8000;
  if (random.chance(15)) mxcsr |= 0x40;
  if (random.chance(30)) mxcsr |= random.below(64);
  store32(image, 24, mxcsr);
  for (unsigned n = 0; n < 8; ++n) {
    random.interesting_vector(image.extended.legacy.data() + 160 + 16 * n);
    random.interesting_vector(image.extended.ymm_high.data() + 16 * n);
  }
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool is_gather(std::string_view name) {
  return starts_with(name, "vgather") || starts_with(name, "vpgather");
}

bool is_string_instruction(const TestCase& test) {
  const std::string_view name = test.name;
  if (test.instruction.length == 0) return false;
  const u8 opcode = test.instruction.opcode;
  return (starts_with(name, "movs") || starts_with(name, "cmps") || starts_with(name, "stos") ||
          starts_with(name, "lods") || starts_with(name, "scas")) &&
         opcode >= 0xA4 && opcode <= 0xAF;
}

bool has_memory_operand(const cpu::Instruction& instruction) {
  for (unsigned n = 0; n < instruction.operand_count; ++n) {
    if (instruction.operands[n].kind == OperandKind::Memory) return true;
  }
  return false;
}

/// Whether the operand may lie near the instruction through CS: there the engines' memories differ.
bool may_read_its_own_surroundings(const TestCase& test) {
  return test.instruction.memory.segment == cpu::SegmentName::CS &&
         (is_string_instruction(test) || starts_with(test.name, "bt") || test.name == "xlat");
}

/// Bit strings reach beyond their operand by the bit offset register: mostly not far.
void tame_bit_offset(TestCase& test, Random& random) {
  const auto& source = test.instruction.operands[1];
  if (!starts_with(test.name, "bt") || source.kind != OperandKind::Gpr) return;
  if (random.chance(80)) test.image.gpr[source.reg] = random.below(256) - 128;
}

void tame_gather(TestCase& test, Random& random) {
  if (!is_gather(test.name)) return;
  const unsigned index = test.instruction.memory.index & 7U;
  const bool wide = test.name.find('q') != std::string_view::npos;
  for (unsigned half = 0; half < 2; ++half) {
    u8* lanes = (half == 0 ? test.image.extended.legacy.data() + 160
                           : test.image.extended.ymm_high.data()) +
                16 * index;
    for (unsigned n = 0; n < (wide ? 2U : 4U); ++n) {
      const i64 value = static_cast<i64>(random.below(64)) - 16;
      std::memcpy(lanes + (wide ? 8 : 4) * n, &value, wide ? 8 : 4);
    }
  }
}

/// XSAVE and its kin: the host's XCR0 has components that the guest's processor hasn't.
void tame_state_components(TestCase& test, Random& random) {
  if (!starts_with(test.name, "xsave") && !starts_with(test.name, "xrstor")) return;
  test.image.gpr[cpu::Rax] = random.below(8);
  test.image.gpr[cpu::Rdx] = 0;
}

void fill_patch(MemoryPatch& patch, u32 address, Random& random) {
  patch.address = address;
  for (unsigned n = 0; n < MemoryPatch::kLength; n += 16) {
    random.interesting_vector(patch.bytes.data() + n);
  }
}

/// The registers that decide where it reaches, one bit each; of an instruction that saves state,
/// which components.
u8 registers_needed(const TestCase& test) {
  const auto bit = [](unsigned reg) { return static_cast<u8>(1U << reg); };
  u8 needed = 0;
  if (is_string_instruction(test)) {
    needed |= bit(cpu::Rsi) | bit(cpu::Rdi);
    if (test.instruction.repeat != cpu::RepeatPrefix::None) needed |= bit(cpu::Rcx);
  } else if (has_memory_operand(test.instruction)) {
    const cpu::MemoryOperand& memory = test.instruction.memory;
    if (memory.base != cpu::kNoRegister) needed |= bit(memory.base);
    if (memory.index != cpu::kNoRegister && !is_gather(test.name)) needed |= bit(memory.index);
  }
  if (starts_with(test.name, "xlat")) needed |= bit(cpu::Rbx);
  if (starts_with(test.name, "maskmov") || starts_with(test.name, "vmaskmovdqu")) {
    needed |= bit(cpu::Rdi);
  }
  if (starts_with(test.name, "xsave") || starts_with(test.name, "xrstor")) {
    needed |= bit(cpu::Rax) | bit(cpu::Rdx);
  }
  return needed;
}

bool uses_vector_or_x87(const cpu::Instruction& instruction) {
  using Policy = cpu::TranslationPolicy;
  switch (instruction.policy) {
    case Policy::X87:
    case Policy::Mmx:
    case Policy::Simd:
    case Policy::SimdMmx:
    case Policy::Avx:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool TestCaseMaker::draw_instruction(TestCase& test, DrawnBytes& drawn, Random& random) const {
  drawn = space_.draw(random);
  test.undefined = false;
  cpu::DecodeStatus status =
      decoder_.decode(drawn.bytes, decode_mode(space_.width()), test.instruction);
  if (status != cpu::DecodeStatus::Ok) {
    // An illegal LOCK is a case of its own, if it is all that is wrong.
    const auto lock = std::find(drawn.bytes.begin(), drawn.bytes.begin() + 5, u8{0xF0});
    if (lock == drawn.bytes.begin() + 5) return false;
    std::array<u8, 32> legal = drawn.bytes;
    legal[static_cast<std::size_t>(lock - drawn.bytes.begin())] = 0x3E;
    status = decoder_.decode(legal, decode_mode(space_.width()), test.instruction);
    test.undefined = true;
  }
  if (status != cpu::DecodeStatus::Ok || !space_.testable(test.instruction)) return false;
  test.name = cpu::mnemonic_name(test.instruction.mnemonic);
  test.length = test.instruction.length;
  return true;
}

u32 TestCaseMaker::base(cpu::SegmentName segment) const {
  switch (segment) {
    case cpu::SegmentName::CS:
      return segments_.code.base;
    case cpu::SegmentName::SS:
      return segments_.stack.base;
    case cpu::SegmentName::DS:
      return segments_.data.base;
    case cpu::SegmentName::ES:
      return segments_.extra.base;
    default:
      return 0;  // null selectors: #GP whatever the offset
  }
}

void TestCaseMaker::randomise(CpuImage& image, Random& random) const {
  image.extended = initial_extended_state();
  for (u32& reg : image.gpr) {
    reg = random.chance(25) ? data_target(random) - segments_.data.base : random.interesting32();
  }
  u32 stack = layout::kStack + 1024 + (random.below(512) & ~(random.chance(90) ? 3U : 0U)) * 4;
  if (random.chance(2)) stack = layout::kStack + random.below(32) - 16;
  if (random.chance(1)) stack = data_target(random);
  u32& esp = image.gpr[cpu::Rsp];
  // Of a 16-bit stack pointer the upper half is anything.
  const u32 upper = segments_.stack.big ? 0 : esp & 0xFFFF0000;
  esp = upper + stack - segments_.stack.base;
  constexpr u32 kArithmetic = static_cast<u32>(cpu::eflags::Arithmetic);
  image.eflags = (random.below(0x1000) & kArithmetic) | 0x202;
  if (random.chance(20)) image.eflags |= static_cast<u32>(cpu::eflags::DF);
  if (random.chance(2)) image.eflags |= static_cast<u32>(cpu::eflags::AC);
  if (random.chance(10)) image.eflags |= static_cast<u32>(cpu::eflags::ID);
  randomise_x87(image, random);
  randomise_vectors(image, random);
}

/// Where the memory operand is to lie: the area that its segment covers.
u32 TestCaseMaker::choose_target(const TestCase& test, Random& random) const {
  constexpr u32 kCodeBytes = layout::kCodePages * kPage;
  if (!segments_.code.big) {
    if (test.instruction.memory.segment == cpu::SegmentName::SS) {
      return layout::kStack + random.below(random.chance(5) ? kPage + 64 : kPage - 64);
    }
    // Far from the instruction, around which the engines' code areas differ.
    if (test.instruction.memory.segment == cpu::SegmentName::CS) {
      return layout::kCode + (test.address + kCodeBytes / 2) % kCodeBytes;
    }
  }
  return data_target(random);
}

/// Makes the memory operand reach `target` by its displacement or by changing one register. False:
/// one register is base and index.
bool TestCaseMaker::aim(TestCase& test, DrawnBytes& drawn, u32 target) const {
  const cpu::MemoryOperand& memory = test.instruction.memory;
  const bool wide = test.instruction.address_size == 4;
  u32 missing = target - base(memory.segment);
  if (memory.index != cpu::kNoRegister && !is_gather(test.name)) {
    missing -= test.image.gpr[memory.index] * memory.scale;
  }
  if (drawn.absolute_displacement == 0 && memory.base == cpu::kNoRegister) {
    // MOV AL, moffs and kin: the address ends the instruction.
    drawn.absolute_displacement = test.length - test.instruction.address_size;
  }
  if (drawn.absolute_displacement != 0) {
    std::memcpy(drawn.bytes.data() + drawn.absolute_displacement, &missing, wide ? 4 : 2);
    return decoder_.decode(drawn.bytes, decode_mode(space_.width()), test.instruction) ==
               cpu::DecodeStatus::Ok ||
           test.undefined;
  }
  if (memory.base == memory.index) return false;
  u32& reg = test.image.gpr[memory.base];
  missing -= static_cast<u32>(memory.displacement) + reg;
  reg = wide ? reg + missing : (reg & 0xFFFF0000) | ((reg + missing) & 0xFFFF);
  return true;
}

void TestCaseMaker::arrange_implicit_operands(TestCase& test, Random& random) const {
  auto& gpr = test.image.gpr;
  const u32 data = segments_.data.base;
  if (is_string_instruction(test)) {
    gpr[cpu::Rsi] = data_target(random) - data;
    gpr[cpu::Rdi] = data_target(random) - data;
    if (test.instruction.repeat != cpu::RepeatPrefix::None && random.chance(95)) {
      gpr[cpu::Rcx] = random.below(20);
    }
  }
  if (starts_with(test.name, "xlat")) gpr[cpu::Rbx] = data_target(random) - data;
  if (starts_with(test.name, "maskmov") || starts_with(test.name, "vmaskmovdqu")) {
    gpr[cpu::Rdi] = data_target(random) - data;
  }
  if ((test.name == "leave" || test.name == "enter") && random.chance(90)) {
    gpr[cpu::Rbp] = layout::kStack + 1024 + random.below(1024) - segments_.stack.base;
  }
  if (test.name == "enter" && random.chance(90)) {
    // A frame that fits the stack area.
    test.bytes[test.length - 2] &= 0x03;
  }
  tame_gather(test, random);
  tame_state_components(test, random);
}

/// Anywhere in the code area; now and then against its end.
void TestCaseMaker::place(TestCase& test, Random& random) const {
  constexpr u32 kCodeBytes = layout::kCodePages * kPage;
  test.address = layout::kCode + 64 + random.below(kCodeBytes - 192);
  test.placed = test.length;
  if (random.chance(1) && !test.undefined) {
    test.placed = 1 + random.below(test.length);
    test.address = layout::kCode + kCodeBytes - test.placed;
  }
  test.image.eip = test.address - segments_.code.base;
}

TestCase TestCaseMaker::make(u64 seed, u64 index) const {
  Random mixer(seed);
  Random random(mixer.next() ^ (index * 0xD1342543DE82EF95));
  TestCase test;
  DrawnBytes drawn;
  randomise(test.image, random);
  u32 target = 0;
  for (;;) {
    if (!draw_instruction(test, drawn, random)) continue;
    if (!segments_.code.big && may_read_its_own_surroundings(test)) continue;
    place(test, random);
    target = choose_target(test, random);
    const bool aimable = has_memory_operand(test.instruction) && !is_string_instruction(test);
    constexpr u32 kWildPercent = 5;
    if (aimable && !aim(test, drawn, target) && test.name != "lea" &&
        !random.chance(kWildPercent)) {
      continue;
    }
    std::copy_n(drawn.bytes.begin(), test.length, test.bytes.begin());
    tame_bit_offset(test, random);
    arrange_implicit_operands(test, random);
    break;
  }
  fill_patch(test.patches[0], target - random.below(8) * 8, random);
  fill_patch(test.patches[1], segments_.stack.base + test.image.gpr[cpu::Rsp] - 16, random);
  return test;
}

/// False: it doesn't suit a place among others.
bool TestCaseMaker::draw_follower(TestCase& test, Random& random) const {
  DrawnBytes drawn;
  if (!draw_instruction(test, drawn, random)) return false;
  constexpr u32 kSystemPercent = 40;
  if (space_.selection() == Selection::All && !is_system(test.instruction) &&
      random.chance(kSystemPercent)) {
    return false;
  }
  constexpr u32 kScalarPercent = 75;
  if (uses_vector_or_x87(test.instruction) && random.chance(kScalarPercent)) return false;
  if (!segments_.code.big && may_read_its_own_surroundings(test)) return false;
  const cpu::MemoryOperand& memory = test.instruction.memory;
  const bool aimable = has_memory_operand(test.instruction) && !is_string_instruction(test);
  const bool by_stack_pointer = aimable && memory.base == cpu::Rsp;
  // Of the stack pointer most operands are near; now and then it is the operand that is right, and
  // the stack elsewhere.
  constexpr i64 kNear = 128;
  const bool near_stack = by_stack_pointer && memory.index == cpu::kNoRegister &&
                          memory.displacement >= -kNear && memory.displacement < kNear;
  if (by_stack_pointer && !near_stack && !random.chance(5)) return false;
  const u32 target = choose_target(test, random);
  constexpr u32 kWildPercent = 5;
  if (aimable && !near_stack && !aim(test, drawn, target) && test.name != "lea" &&
      !random.chance(kWildPercent)) {
    return false;
  }
  std::copy_n(drawn.bytes.begin(), test.length, test.bytes.begin());
  return true;
}

TestCase TestCaseMaker::make_follower(const CpuImage& image, u32 address, Random& random,
                                      u8& needed) const {
  TestCase test;
  do {
    test = {};
    test.image = image;
    test.address = address;
    test.image.eip = address - segments_.code.base;
  } while (!draw_follower(test, random));
  test.placed = test.length;
  tame_bit_offset(test, random);
  arrange_implicit_operands(test, random);
  arrange_system_operands(test, environment_, random);
  needed = registers_needed(test);
  for (unsigned reg = 0; reg < 8; ++reg) {
    if (test.image.gpr[reg] != image.gpr[reg]) needed |= static_cast<u8>(1U << reg);
  }
  if (test.image.gpr[cpu::Rsp] == image.gpr[cpu::Rsp]) {
    needed &= static_cast<u8>(~(1U << cpu::Rsp));
  }
  return test;
}

}  // namespace ringshift::tests
