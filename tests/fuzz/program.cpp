#include "tests/fuzz/program.h"

#include <algorithm>
#include <cstring>

#include "tests/asm/compare.h"
#include "tests/fuzz/system_operands.h"

namespace ringshift::tests {

namespace {

constexpr u8 kNop = 0x90;
constexpr u32 kPage = static_cast<u32>(kPageSize);

unsigned natural_size(CodeWidth width) {
  return width == CodeWidth::Bits32 ? 4 : 2;
}

/// Bytes of the displacement that ends a relative branch; 0: it is none, or it reaches elsewhere.
unsigned displacement_size(const cpu::Instruction& instruction, CodeWidth width) {
  if (instruction.operands[0].kind != cpu::OperandKind::RelativeBranch) return 0;
  const u8 opcode = instruction.opcode;
  const bool two_bytes =
      instruction.control_flow == cpu::ControlFlow::Conditional && opcode >= 0x80 && opcode <= 0x8F;
  if (!two_bytes && opcode != 0xE8 && opcode != 0xE9) return 1;
  const bool natural = instruction.operand_size == natural_size(width);
  return natural ? instruction.operand_size : 0;
}

}  // namespace

bool Program::has_part_at(u32 offset) const {
  return std::any_of(parts.begin(), parts.end(),
                     [offset](const Part& part) { return part.offset == offset; });
}

void Program::blank(const Part& part) {
  std::fill_n(code.begin() + part.offset, part.length, kNop);
}

std::string Program::name() const {
  std::string all;
  for (const Part& part : parts) {
    const auto begin = code.begin() + part.offset;
    const bool blank = std::all_of(begin, begin + part.length, [](u8 b) { return b == kNop; });
    if (blank && parts.size() > 1) continue;
    if (!all.empty()) all += '+';
    all += part.name;
  }
  return all;
}

void ProgramMaker::append(Program& program, const TestCase& test) const {
  program.parts.push_back({program.length(), test.length, test.name, test.undefined});
  program.code.insert(program.code.end(), test.bytes.begin(), test.bytes.begin() + test.length);
}

Program ProgramMaker::make_single(u64 seed, u64 index) const {
  const TestCase test = cases_.make(seed, index);
  Program program;
  append(program, test);
  program.placed = test.placed;
  program.address = test.address;
  program.image = test.image;
  program.patches.assign(test.patches.begin(), test.patches.end());
  return program;
}

/// MOV r32, imm32.
void ProgramMaker::append_load(Program& program, unsigned reg, u32 value) const {
  const unsigned offset = program.length();
  if (width_ == CodeWidth::Bits16) program.code.push_back(0x66);
  program.code.push_back(static_cast<u8>(0xB8 + reg));
  for (unsigned n = 0; n < 4; ++n) program.code.push_back(static_cast<u8>(value >> (8 * n)));
  program.parts.push_back({offset, program.length() - offset, "mov", false});
}

/// PUSH imm16 or imm32.
void ProgramMaker::append_push(Program& program, u32 value, unsigned size) const {
  const unsigned offset = program.length();
  if (size != natural_size(width_)) program.code.push_back(0x66);
  program.code.push_back(0x68);
  for (unsigned n = 0; n < size; ++n) program.code.push_back(static_cast<u8>(value >> (8 * n)));
  program.parts.push_back({offset, program.length() - offset, "push", false});
}

/// What a branch takes from a register or from the stack leads back into the program.
void ProgramMaker::prepare_transfer(Program& program, const TestCase& test, Pointers& pointers,
                                    Random& random) const {
  const cpu::Instruction& instruction = test.instruction;
  const unsigned size = instruction.operand_size;
  const auto point = [&] { pointers.push_back({program.length() - size, size}); };
  const bool returns_near =
      test.name == "ret" && instruction.control_flow == cpu::ControlFlow::Near;
  const bool returns_far = test.name == "ret" && !returns_near;
  const bool from_interrupt = test.name.substr(0, 4) == "iret";
  if (instruction.control_flow == cpu::ControlFlow::Near &&
      instruction.operands[0].kind == cpu::OperandKind::Gpr) {
    append_load(program, instruction.operands[0].reg, 0);
    pointers.push_back({program.length() - 4, 4});
    return;
  }
  if (from_interrupt) append_push(program, random_flags(environment_, random), size);
  if (from_interrupt || returns_far) append_push(program, code_selector(environment_), size);
  if (from_interrupt || returns_far || returns_near) {
    append_push(program, 0, size);
    point();
  }
  const bool pops_segment = test.name == "pop" && is_system(instruction);
  if (pops_segment) append_push(program, random_selector(environment_, random), size);
}

void ProgramMaker::append_follower(Program& program, Pointers& pointers, Random& random) const {
  u8 needed = 0;
  const TestCase test =
      cases_.make_follower(program.image, program.address + program.length(), random, needed);
  const bool saves_state = test.name.find("xsave") != std::string_view::npos ||
                           test.name.find("xrstor") != std::string_view::npos;
  // Now and then it takes what the instructions before have left.
  if (saves_state || random.chance(85)) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      if ((needed >> reg & 1) != 0) append_load(program, reg, test.image.gpr[reg]);
    }
    prepare_transfer(program, test, pointers, random);
  }
  append(program, test);
  if (test.instruction.operands[0].kind == cpu::OperandKind::FarPointer && random.chance(85)) {
    const u16 selector = code_selector(environment_);
    std::memcpy(program.code.data() + program.length() - 2, &selector, 2);
    const unsigned size = test.instruction.operand_size;
    pointers.push_back({program.length() - 2 - size, size});
  }
}

/// Mostly forward, to another instruction of the program or just behind it.
unsigned ProgramMaker::choose_target(const Program& program, std::size_t from,
                                     Random& random) const {
  const auto count = static_cast<u32>(program.parts.size());
  const u32 later = count - static_cast<u32>(from);
  const u32 to =
      random.chance(85) ? static_cast<u32>(from) + 1 + random.below(later) : random.below(count);
  return to < count ? program.parts[to].offset : program.length();
}

/// Most branches lead to an instruction of the program.
void ProgramMaker::connect_branches(Program& program, const Pointers& pointers,
                                    Random& random) const {
  for (std::size_t n = 0; n < program.parts.size(); ++n) {
    const Program::Part& part = program.parts[n];
    for (const Pointer& pointer : pointers) {
      if (pointer.position - part.offset >= part.length) continue;
      const u32 eip = program.image.eip + choose_target(program, n, random);
      std::memcpy(program.code.data() + pointer.position, &eip, pointer.size);
    }
    const std::span<u8> bytes = std::span(program.code).subspan(part.offset, part.length);
    cpu::Instruction instruction;
    if (decoder_.decode(bytes, decode_mode(width_), instruction) != cpu::DecodeStatus::Ok) continue;
    const unsigned size = displacement_size(instruction, width_);
    if (size == 0 || random.chance(15)) continue;
    const i32 distance = static_cast<i32>(choose_target(program, n, random)) -
                         static_cast<i32>(part.offset + part.length);
    if (size == 1 && (distance < -128 || distance > 127)) continue;
    std::memcpy(bytes.data() + bytes.size() - size, &distance, size);
  }
}

/// Mostly flat; else each may be another kind.
void ProgramMaker::choose_segments(Program& program, Random& random) {
  if (random.chance(70)) return;
  for (u8& kind : program.segment_kinds) {
    if (random.chance(40)) kind = static_cast<u8>(random.below(kSegmentKinds));
  }
}

Program ProgramMaker::make(u64 seed, u64 index) const {
  Program program = make_single(seed, index);
  if (longest_ == 1 && environment_ == Environment::User) return program;
  if (environment_ == Environment::Kernel32) {
    Random segments(~seed * 0x9E3779B97F4A7C15 + index);
    choose_segments(program, segments);
  }
  Random random(seed * 0x9E3779B97F4A7C15 + index);
  const unsigned count = 1 + random.below(longest_);
  if (count == 1 && environment_ == Environment::User) return program;
  // Room for all of it, sometimes across the border of two pages.
  const u32 room = count * 4 * static_cast<u32>(cpu::kLongestInstruction);
  u32 offset = 64 + random.below(layout::kCodePages * kPage - 192 - room);
  if (random.chance(15)) offset = kPage - random.below(64);
  // Where operands may lie in the code segment, the first one's has been chosen for its place.
  if (width_ == CodeWidth::Bits16) offset = program.address - layout::kCode;
  if (offset + room + 64 > layout::kCodePages * kPage) return program;
  program.address = layout::kCode + offset;
  program.image.eip = program.address - segments().code.base;
  // A system program has no first instruction made for a user's.
  if (environment_ != Environment::User) program.parts.clear(), program.code.clear();
  Pointers pointers;
  while (program.parts.size() < count) append_follower(program, pointers, random);
  connect_branches(program, pointers, random);
  program.placed = program.length();
  return program;
}

std::string ProgramMaker::listing(const Program& program) const {
  std::string out;
  for (const Program::Part& part : program.parts) {
    const auto bytes = std::span(program.code).subspan(part.offset, part.length);
    cpu::Instruction instruction;
    const bool legal =
        decoder_.decode(bytes, decode_mode(width_), instruction) == cpu::DecodeStatus::Ok;
    char address[16];
    std::snprintf(address, sizeof address, "  %08X  ", program.address + part.offset);
    out += address + hexadecimal(bytes) + "   ";
    out += legal ? cpu::format(instruction, program.image.eip + part.offset)
                 : std::string(part.name) + " (with an illegal LOCK)";
    out += part.offset + part.length > program.placed ? " (cut off by the end of the code area)\n"
                                                      : "\n";
  }
  return out;
}

}  // namespace ringshift::tests
