// Random integer instructions against the host executing the very same bytes in compatibility mode:
// registers, all arithmetic flags (the undefined ones too) and memory must agree.
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/cpu/test_machine.h"

namespace ringshift::cpu {

namespace {

/// The low addresses at which the host finds code and data; the guest finds its own copy of the
/// data there by way of segment bases.
constexpr u32 kArea = 0x1234'0000;
constexpr u32 kAreaSize = 0x8000;
constexpr u32 kHostData = kArea + 0x4000;
constexpr u32 kRegisters = kArea + 0x2000;
constexpr u32 kHostStack = kArea + 0x3F00;
constexpr u32 kReturn = kArea + 0x1000;
constexpr u64 kGuestData = 0x10000;
constexpr std::size_t kDataSize = 0x2000;
constexpr u64 kCompared = eflags::Arithmetic | eflags::DF;

struct RegisterFile {
  std::array<u32, 8> gpr{};
  u32 flags = 2;
};

struct Bytes {
  std::vector<u8> bytes;
  void put(const std::vector<unsigned>& values) {
    for (const unsigned value : values) bytes.push_back(static_cast<u8>(value));
  }
  void put32(u32 value) {
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<u8>(value >> (8 * i)));
  }
};

/// Enters 32-bit code at the address in RDI; that code returns by jumping to kReturn in 64-bit
/// mode.
__asm__(R"(
.text
ringshift_test_enter_32:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, %r15
  mov $0x2b, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %esi, %esp
  sub $8, %rsp
  movl %edi, (%rsp)
  movl $0x23, 4(%rsp)
  lretl
)");
extern "C" void ringshift_test_enter_32(u64 code, u64 stack);

class HostCpu {
 public:
  HostCpu() {
    void* const wanted = reinterpret_cast<void*>(u64{kArea});
    area_ = static_cast<u8*>(mmap(wanted, kAreaSize, PROT_READ | PROT_WRITE | PROT_EXEC,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    REQUIRE(area_ == wanted);
    // mov rsp, r15; cld; pop r15 r14 r13 r12 rbp rbx; ret
    const u8 back[] = {0x4C, 0x89, 0xFC, 0xFC, 0x41, 0x5F, 0x41, 0x5E,
                       0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3};
    std::memcpy(area_ + (kReturn - kArea), back, sizeof back);
  }
  ~HostCpu() { munmap(area_, kAreaSize); }
  HostCpu(const HostCpu&) = delete;

  u8* data() { return area_ + (kHostData - kArea); }

  void execute(const std::vector<u8>& instruction, RegisterFile& registers) {
    std::memcpy(area_ + (kRegisters - kArea), &registers, sizeof registers);
    Bytes code;
    code.put({0xFF, 0x35});  // push [flags]; popf
    code.put32(kRegisters + 32);
    code.put({0x9D});
    for (unsigned reg = 0; reg < 8; ++reg) {  // mov reg, [..]
      code.put({0x8B, 0x05 | (reg << 3)});
      code.put32(kRegisters + 4 * reg);
    }
    code.bytes.insert(code.bytes.end(), instruction.begin(), instruction.end());
    for (unsigned reg = 0; reg < 8; ++reg) {  // mov [..], reg
      code.put({0x89, 0x05 | (reg << 3)});
      code.put32(kRegisters + 4 * reg);
    }
    code.put({0xBC});  // mov esp, stack; pushf; pop [flags]
    code.put32(kHostStack);
    code.put({0x9C, 0x8F, 0x05});
    code.put32(kRegisters + 32);
    code.put({0xEA});  // jmp 33h:kReturn
    code.put32(kReturn);
    code.put({0x33, 0x00});
    std::memcpy(area_, code.bytes.data(), code.bytes.size());
    ringshift_test_enter_32(kArea, kHostStack);
    std::memcpy(&registers, area_ + (kRegisters - kArea), sizeof registers);
  }

 private:
  u8* area_ = nullptr;
};

/// How to make up an instruction: opcode bytes, then ModRM with a fixed or random reg field.
struct Template {
  std::vector<unsigned> opcode;
  enum : u8 { None, Any, MemoryOnly, RegisterOnly } modrm = None;
  int reg = -1;                ///< reg field, -1: random
  unsigned immediate = 0;      ///< bytes; 4 means 2 with an operand-size prefix
  bool operand_prefix = true;  ///< 66h makes sense
  Feature feature = Feature::Always;
};

std::vector<Template> templates() {
  using enum Feature;
  std::vector<Template> all;
  for (unsigned op = 0; op < 8; ++op) {
    for (unsigned form = 0; form < 4; ++form) all.push_back({{op * 8 + form}, Template::Any});
    all.push_back({{op * 8 + 4}, Template::None, -1, 1});
    all.push_back({{op * 8 + 5}, Template::None, -1, 4});
    const int reg = static_cast<int>(op);
    all.push_back({{0x80}, Template::Any, reg, 1});
    all.push_back({{0x81}, Template::Any, reg, 4});
    all.push_back({{0x83}, Template::Any, reg, 1});
    for (const unsigned shift : {0xC0U, 0xC1U}) all.push_back({{shift}, Template::Any, reg, 1});
    for (const unsigned shift : {0xD0U, 0xD1U, 0xD2U, 0xD3U}) {
      all.push_back({{shift}, Template::Any, reg});
    }
    for (const unsigned base : {0x40U, 0x48U, 0x50U, 0x58U, 0x90U}) all.push_back({{base + op}});
    all.push_back({{0xB0 + op}, Template::None, -1, 1});
    all.push_back({{0xB8 + op}, Template::None, -1, 4});
    all.push_back({{0x0F, 0xC8 + op}, Template::None, -1, 0, false});
  }
  for (const unsigned byte : {0x27U, 0x2FU, 0x37U, 0x3FU, 0x98U, 0x99U, 0x9EU, 0x9FU, 0xD6U, 0xF5U,
                              0xF8U, 0xF9U, 0xFCU, 0xFDU, 0x60U, 0x61U, 0xC9U}) {
    all.push_back({{byte}});
  }
  for (const unsigned byte : {0x84U, 0x85U, 0x86U, 0x87U, 0x88U, 0x89U, 0x8AU, 0x8BU}) {
    all.push_back({{byte}, Template::Any});
  }
  all.push_back({{0x8D}, Template::MemoryOnly});
  all.push_back({{0x69}, Template::Any, -1, 4});
  all.push_back({{0x6B}, Template::Any, -1, 1});
  all.push_back({{0x68}, Template::None, -1, 4});
  all.push_back({{0x6A}, Template::None, -1, 1});
  all.push_back({{0xA8}, Template::None, -1, 1});
  all.push_back({{0xA9}, Template::None, -1, 4});
  all.push_back({{0xD4}, Template::None, -1, 1});
  all.push_back({{0xD5}, Template::None, -1, 1});
  all.push_back({{0xC6}, Template::Any, 0, 1});
  all.push_back({{0xC7}, Template::Any, 0, 4});
  all.push_back({{0xF6}, Template::Any, 0, 1});
  all.push_back({{0xF7}, Template::Any, 0, 4});
  for (int reg = 2; reg < 8; ++reg) {
    all.push_back({{0xF6}, Template::Any, reg});
    all.push_back({{0xF7}, Template::Any, reg});
  }
  for (const int reg : {0, 1}) {
    all.push_back({{0xFE}, Template::Any, reg});
    all.push_back({{0xFF}, Template::Any, reg});
  }
  all.push_back({{0xFF}, Template::Any, 6});
  all.push_back({{0x8F}, Template::Any, 0});
  for (unsigned condition = 0; condition < 16; ++condition) {
    all.push_back({{0x0F, 0x40 + condition}, Template::Any, -1, 0, true, Cmov});
    all.push_back({{0x0F, 0x90 + condition}, Template::Any, -1, 0, false});
  }
  for (const unsigned byte : {0xA3U, 0xABU, 0xB3U, 0xBBU, 0xA5U, 0xADU, 0xAFU, 0xB0U, 0xB1U, 0xC0U,
                              0xC1U, 0xB6U, 0xB7U, 0xBEU, 0xBFU, 0xBCU, 0xBDU}) {
    all.push_back({{0x0F, byte}, Template::Any});
  }
  for (const unsigned byte : {0xA4U, 0xACU}) all.push_back({{0x0F, byte}, Template::Any, -1, 1});
  for (int reg = 4; reg < 8; ++reg) all.push_back({{0x0F, 0xBA}, Template::Any, reg, 1});
  all.push_back({{0x0F, 0xC7}, Template::MemoryOnly, 1, 0, false, Cx8});
  all.push_back({{0xF3, 0x0F, 0xB8}, Template::Any, -1, 0, true, Popcnt});
  all.push_back({{0xF3, 0x0F, 0xBC}, Template::Any, -1, 0, true, Bmi1});
  all.push_back({{0xF3, 0x0F, 0xBD}, Template::Any, -1, 0, true, Lzcnt});
  all.push_back({{0x0F, 0x38, 0xF0}, Template::MemoryOnly, -1, 0, true, Movbe});
  all.push_back({{0x0F, 0x38, 0xF1}, Template::MemoryOnly, -1, 0, true, Movbe});
  all.push_back({{0xF2, 0x0F, 0x38, 0xF0}, Template::Any, -1, 0, false, Sse42});
  all.push_back({{0xF2, 0x0F, 0x38, 0xF1}, Template::Any, -1, 0, true, Sse42});
  all.push_back({{0x66, 0x0F, 0x38, 0xF6}, Template::Any, -1, 0, false, Adx});
  all.push_back({{0xF3, 0x0F, 0x38, 0xF6}, Template::Any, -1, 0, false, Adx});
  // VEX: vvvv names ECX (inverted: E) with L = 0 and pp for each.
  for (const auto& [pp, byte, feature] : {std::tuple{0U, 0xF2U, Bmi1},
                                          {0U, 0xF7U, Bmi1},
                                          {0U, 0xF5U, Bmi2},
                                          {3U, 0xF6U, Bmi2},
                                          {3U, 0xF5U, Bmi2},
                                          {2U, 0xF5U, Bmi2},
                                          {1U, 0xF7U, Bmi2},
                                          {2U, 0xF7U, Bmi2},
                                          {3U, 0xF7U, Bmi2}}) {
    all.push_back({{0xC4, 0xE2, 0x70 | pp, byte}, Template::Any, -1, 0, false, feature});
  }
  for (const int reg : {1, 2, 3}) {
    all.push_back({{0xC4, 0xE2, 0x70, 0xF3}, Template::Any, reg, 0, false, Bmi1});
  }
  all.push_back({{0xC4, 0xE3, 0x7B, 0xF0}, Template::Any, -1, 1, false, Bmi2});
  for (const unsigned byte :
       {0xA4U, 0xA5U, 0xA6U, 0xA7U, 0xAAU, 0xABU, 0xACU, 0xADU, 0xAEU, 0xAFU}) {
    all.push_back({{byte}});
    all.push_back({{0xF3, byte}});
    all.push_back({{0xF2, byte}});
  }
  return all;
}

class Generator {
 public:
  explicit Generator(u32 seed) : random_(seed) {}

  u32 below(u32 limit) { return static_cast<u32>(random_() % limit); }

  /// Values at which flags change, and others.
  u32 value() {
    static constexpr u32 kEdges[] = {0,      1,       2,           9,           0x7F,
                                     0x80,   0xFF,    0x100,       0x7FFF,      0x8000,
                                     0xFFFF, 0x10000, 0x7FFF'FFFF, 0x8000'0000, 0xFFFF'FFFF};
    switch (below(3)) {
      case 0:
        return kEdges[below(std::size(kEdges))];
      case 1:
        return static_cast<u32>(random_()) >> below(32);
      default:
        return static_cast<u32>(random_());
    }
  }

  std::vector<u8> instruction(const Template& from) {
    Bytes code;
    const bool prefix = from.operand_prefix && below(3) == 0;
    if (prefix) code.put({0x66});
    code.put(from.opcode);
    if (from.modrm != Template::None) {
      unsigned reg = from.reg >= 0 ? static_cast<unsigned>(from.reg) : below(8);
      // A bit index may not be one of the registers that hold addresses.
      if (is_bit_test(from.opcode)) reg = std::array{0U, 1U, 2U, 6U, 7U}[below(5)];
      const bool memory =
          from.modrm == Template::MemoryOnly || (from.modrm == Template::Any && below(2) == 0);
      if (!memory) {
        code.put({0xC0 | (reg << 3) | below(8)});
      } else if (below(4) == 0) {  // [ebx + disp32]
        code.put({0x83 | (reg << 3)});
        code.put32(below(0x100));
      } else {  // [ebx + disp8]
        code.put({0x43 | (reg << 3), below(256)});
      }
    }
    const unsigned immediate = from.immediate == 4 && prefix ? 2 : from.immediate;
    for (unsigned i = 0; i < immediate; ++i) code.put({value() & 0xFF});
    return code.bytes;
  }

  RegisterFile registers(const Template& from) {
    RegisterFile file;
    for (u32& reg : file.gpr) reg = value();
    file.flags = (value() & kCompared & ~u64{eflags::DF}) | 2;
    if (below(4) == 0) file.flags |= eflags::DF;
    file.gpr[Rbx] = kHostData + 0x800;
    file.gpr[Rsp] = kHostData + 0x600;
    file.gpr[Rbp] = kHostData + 0xC00;
    const bool string = from.modrm == Template::None && (from.opcode.back() & 0xF0) == 0xA0;
    if (string) {
      file.gpr[Rcx] = below(40);
      file.gpr[Rsi] = kHostData + 0x1400 + below(64);
      file.gpr[Rdi] = kHostData + 0x1400 + below(64);
    }
    // A bit string in memory reaches as far as its index says.
    if (is_bit_test(from.opcode)) {
      for (const Gpr reg : {Rax, Rcx, Rdx, Rsi, Rdi}) {
        file.gpr[reg] = static_cast<u32>(static_cast<i32>(below(0x800)) - 0x400);
      }
    }
    return file;
  }

 private:
  static bool is_bit_test(const std::vector<unsigned>& opcode) {
    return opcode.size() == 2 && opcode[0] == 0x0F && (opcode[1] & 0xE7) == 0xA3;
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("Integer instructions agree with the host") {
  HostCpu host;
  TestMachine machine;
  State& state = machine.state;
  for (SegmentName name : {SegmentName::DS, SegmentName::ES, SegmentName::SS}) {
    state.segment(name).base = (kGuestData - kHostData) & 0xFFFF'FFFF;
  }
  const u32 seed = std::getenv("RINGSHIFT_SEED") != nullptr  // NOLINT: single-threaded
                       ? static_cast<u32>(std::atoi(std::getenv("RINGSHIFT_SEED")))
                       : 20;
  const u32 rounds = std::getenv("RINGSHIFT_SEED") != nullptr ? 4000 : 20;
  INFO("seed " << seed);
  Generator generator(seed);
  unsigned compared = 0;
  for (const Template& from : templates()) {
    if (!machine.model.has(from.feature)) continue;
    for (u32 round = 0; round < rounds; ++round) {
      const std::vector<u8> instruction = generator.instruction(from);
      RegisterFile registers = generator.registers(from);
      std::vector<u8> data(kDataSize);
      for (std::size_t i = 0; i < kDataSize; i += 4) {
        const u32 value = generator.value();
        std::memcpy(&data[i], &value, 4);
      }
      // The guest.
      std::memcpy(machine.memory.ram.data() + kGuestData, data.data(), kDataSize);
      std::copy(instruction.begin(), instruction.end(),
                machine.memory.ram.begin() + TestMachine::kCode);
      machine.processor.on_code_write({TestMachine::kCode}, 64);
      for (unsigned reg = 0; reg < 8; ++reg) state.gpr[reg] = registers.gpr[reg];
      state.rflags = registers.flags;
      state.rip = TestMachine::kCode;
      const u64 faults = machine.processor.exceptions_delivered;
      machine.interpreter.run_one();
      if (machine.processor.exceptions_delivered != faults) {
        // Only a division that overflows, or AAM 0, may fault here.
        REQUIRE(machine.vector() == 0);
        continue;
      }
      // The host.
      const RegisterFile before = registers;
      Instruction decoded;
      REQUIRE(machine.interpreter.decoder().decode(instruction, {true, false, false}, decoded) ==
              DecodeStatus::Ok);
      INFO(format(decoded) << " eax " << std::hex << before.gpr[0] << " ecx " << before.gpr[1]
                           << " edx " << before.gpr[2] << " flags " << before.flags);
      std::memcpy(host.data(), data.data(), kDataSize);
      host.execute(instruction, registers);
      ++compared;
      REQUIRE(decoded.length == instruction.size());
      REQUIRE(state.rip == TestMachine::kCode + instruction.size());
      for (unsigned reg = 0; reg < 8; ++reg) {
        INFO("register " << reg);
        REQUIRE(state.gpr[reg] == registers.gpr[reg]);
      }
      REQUIRE((state.rflags & kCompared) == (registers.flags & kCompared));
      REQUIRE(std::memcmp(machine.memory.ram.data() + kGuestData, host.data(), kDataSize) == 0);
    }
  }
  CHECK(compared > 4000);
}

}  // namespace ringshift::cpu
