#include "tests/fuzz/test_case.h"

#include <algorithm>
#include <cstring>

namespace ringshift::tests {

namespace {

using cpu::OperandKind;
constexpr cpu::DecodeMode kMode{true, false, false};
constexpr u32 kPage = static_cast<u32>(kPageSize);

void store16(CpuImage& image, unsigned offset, u16 value) {
  std::memcpy(image.extended.legacy.data() + offset, &value, 2);
}
void store32(CpuImage& image, unsigned offset, u32 value) {
  std::memcpy(image.extended.legacy.data() + offset, &value, 4);
}

/// An address in the test areas: mostly well inside, sometimes where rights change.
u32 choose_target(Random& random) {
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

void randomise(CpuImage& image, Random& random) {
  image.extended = initial_extended_state();
  for (u32& reg : image.gpr) {
    reg = random.chance(25) ? choose_target(random) : random.interesting32();
  }
  image.gpr[cpu::Rsp] =
      layout::kStack + 1024 + (random.below(512) & ~(random.chance(90) ? 3U : 0U)) * 4;
  if (random.chance(2)) image.gpr[cpu::Rsp] = layout::kStack + random.below(32) - 16;
  if (random.chance(1)) image.gpr[cpu::Rsp] = choose_target(random);
  constexpr u32 kArithmetic = static_cast<u32>(cpu::eflags::Arithmetic);
  image.eflags = (random.below(0x1000) & kArithmetic) | 0x202;
  if (random.chance(20)) image.eflags |= static_cast<u32>(cpu::eflags::DF);
  if (random.chance(2)) image.eflags |= static_cast<u32>(cpu::eflags::AC);
  if (random.chance(10)) image.eflags |= static_cast<u32>(cpu::eflags::ID);
  randomise_x87(image, random);
  randomise_vectors(image, random);
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

/// Makes the memory operand reach `target` by changing one register. False: no register can.
bool aim(TestCase& test, u32 target) {
  const cpu::MemoryOperand& memory = test.instruction.memory;
  if (memory.base == cpu::kNoRegister || memory.base == memory.index) return false;
  u32 offset = static_cast<u32>(memory.displacement) + test.image.gpr[memory.base];
  if (memory.index != cpu::kNoRegister && !is_gather(test.name)) {
    offset += test.image.gpr[memory.index] * memory.scale;
  }
  test.image.gpr[memory.base] += target - offset;
  return true;
}

bool has_memory_operand(const cpu::Instruction& instruction) {
  for (unsigned n = 0; n < instruction.operand_count; ++n) {
    if (instruction.operands[n].kind == OperandKind::Memory) return true;
  }
  return false;
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

void arrange_implicit_operands(TestCase& test, Random& random) {
  auto& gpr = test.image.gpr;
  if (is_string_instruction(test)) {
    gpr[cpu::Rsi] = choose_target(random);
    gpr[cpu::Rdi] = choose_target(random);
    if (test.instruction.repeat != cpu::RepeatPrefix::None && random.chance(95)) {
      gpr[cpu::Rcx] = random.below(20);
    }
  }
  if (starts_with(test.name, "xlat")) gpr[cpu::Rbx] = choose_target(random);
  if (starts_with(test.name, "maskmov") || starts_with(test.name, "vmaskmovdqu")) {
    gpr[cpu::Rdi] = choose_target(random);
  }
  if ((test.name == "leave" || test.name == "enter") && random.chance(90)) {
    gpr[cpu::Rbp] = layout::kStack + 1024 + random.below(1024);
  }
  if (test.name == "enter" && random.chance(90)) {
    // A frame that fits the stack area.
    test.bytes[test.length - 2] &= 0x03;
  }
  tame_gather(test, random);
  tame_state_components(test, random);
}

void fill_patch(MemoryPatch& patch, u32 address, Random& random) {
  patch.address = address;
  for (unsigned n = 0; n < MemoryPatch::kLength; n += 16) {
    random.interesting_vector(patch.bytes.data() + n);
  }
}

}  // namespace

bool TestCaseMaker::draw_instruction(TestCase& test, DrawnBytes& drawn, Random& random) const {
  drawn = space_.draw(random);
  test.undefined = false;
  cpu::DecodeStatus status = decoder_.decode(drawn.bytes, kMode, test.instruction);
  if (status != cpu::DecodeStatus::Ok) {
    // An illegal LOCK is a case of its own, if it is all that is wrong.
    const auto lock = std::find(drawn.bytes.begin(), drawn.bytes.begin() + 5, u8{0xF0});
    if (lock == drawn.bytes.begin() + 5) return false;
    std::array<u8, 32> legal = drawn.bytes;
    legal[static_cast<std::size_t>(lock - drawn.bytes.begin())] = 0x3E;
    status = decoder_.decode(legal, kMode, test.instruction);
    test.undefined = true;
  }
  if (status != cpu::DecodeStatus::Ok || !space_.testable(test.instruction)) return false;
  test.name = cpu::mnemonic_name(test.instruction.mnemonic);
  test.length = test.instruction.length;
  return true;
}

TestCase TestCaseMaker::make(u64 seed, u64 index) const {
  Random mixer(seed);
  Random random(mixer.next() ^ (index * 0xD1342543DE82EF95));
  TestCase test;
  DrawnBytes drawn;
  randomise(test.image, random);
  const u32 target = choose_target(random);
  for (;;) {
    if (!draw_instruction(test, drawn, random)) continue;
    if (drawn.absolute_displacement != 0 && test.instruction.address_size == 4) {
      u32 offset = target;
      const u8 index_register = test.instruction.memory.index;
      if (index_register != cpu::kNoRegister && !is_gather(test.name)) {
        offset -= test.image.gpr[index_register & 7U] * test.instruction.memory.scale;
      }
      std::memcpy(drawn.bytes.data() + drawn.absolute_displacement, &offset, 4);
      if (decoder_.decode(drawn.bytes, kMode, test.instruction) != cpu::DecodeStatus::Ok &&
          !test.undefined) {
        continue;
      }
    }
    std::copy_n(drawn.bytes.begin(), test.length, test.bytes.begin());
    tame_bit_offset(test, random);
    arrange_implicit_operands(test, random);
    if (!has_memory_operand(test.instruction) || test.instruction.address_size != 4 ||
        drawn.absolute_displacement != 0 || is_string_instruction(test) || aim(test, target)) {
      break;
    }
  }
  fill_patch(test.patches[0], target - random.below(8) * 8, random);
  fill_patch(test.patches[1], test.image.gpr[cpu::Rsp] - 16, random);
  // Anywhere in the code area; now and then against its end.
  test.placed = test.length;
  test.image.eip = layout::kCode + 64 + random.below(layout::kCodePages * kPage - 192);
  if (random.chance(1) && !test.undefined) {
    test.placed = 1 + random.below(test.length);
    test.image.eip = layout::kCode + layout::kCodePages * kPage - test.placed;
  }
  return test;
}

}  // namespace ringshift::tests
