// The host unit itself: code memory, re-encoding, the thunk cache and its limits.
#include <csignal>
#include <fstream>
#include <string>

#include "cpu/host_unit/encoding.h"
#include "cpu/host_unit/floating_point_signal.h"
#include "tests/unit/cpu/fpu_fixture.h"

namespace ringshift::cpu::test {
namespace {

struct Mapping {
  u64 start = 0, end = 0;
  std::string rights;
};

std::vector<Mapping> mappings() {
  std::vector<Mapping> result;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char rights[8] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %7s", &mapping.start, &mapping.end, rights) == 3) {
      mapping.rights = rights;
      result.push_back(mapping);
    }
  }
  return result;
}

TEST_CASE("code memory is never writable and executable at one address") {
  FpuMachine machine;
  machine.must_run({0x0F, 0x58, 0xCA});
  const u64 code = reinterpret_cast<u64>(machine.processor.host_unit().code().executable());
  bool found = false;
  for (const Mapping& mapping : mappings()) {
    INFO(std::hex << mapping.start << " " << mapping.rights);
    CHECK_FALSE((mapping.rights[1] == 'w' && mapping.rights[2] == 'x'));
    if (code >= mapping.start && code < mapping.end) {
      found = true;
      CHECK(mapping.rights.substr(0, 3) == "r-x");
    }
  }
  CHECK(found);
}

Instruction raw(std::initializer_list<u8> code, unsigned address_size = 4) {
  Instruction instruction;
  std::copy(code.begin(), code.end(), instruction.bytes.begin());
  instruction.length = static_cast<u8>(code.size());
  instruction.address_size = static_cast<u8>(address_size);
  return instruction;
}

std::vector<u8> host_bytes(const Instruction& instruction, Reencoding how = {}) {
  const HostBytes host = reencode(parse_encoding(instruction), how);
  return {host.bytes.begin(), host.bytes.begin() + host.length};
}

TEST_CASE("memory operands of all shapes become [RDI], prefixes that 64-bit mode knows stay") {
  using Bytes = std::vector<u8>;
  CHECK(host_bytes(raw({0x0F, 0x58, 0xCA})) == Bytes{0x0F, 0x58, 0xCA});
  CHECK(host_bytes(raw({0x0F, 0x58, 0x0E})) == Bytes{0x0F, 0x58, 0x0F});
  CHECK(host_bytes(raw({0x2E, 0x66, 0x0F, 0x58, 0x4C, 0x24, 0x08})) ==
        Bytes{0x66, 0x0F, 0x58, 0x0F});
  CHECK(host_bytes(raw({0xF2, 0x0F, 0x58, 0x0D, 1, 2, 3, 4})) == Bytes{0xF2, 0x0F, 0x58, 0x0F});
  CHECK(host_bytes(raw({0x67, 0xF3, 0x0F, 0x58, 0x0E, 1, 2}, 2)) == Bytes{0xF3, 0x0F, 0x58, 0x0F});
  CHECK(host_bytes(raw({0x0F, 0xC6, 0x44, 0x8D, 0x10, 0x1B})) == Bytes{0x0F, 0xC6, 0x07, 0x1B});
  CHECK(host_bytes(raw({0x0F, 0xC6, 0x04, 0x8D, 1, 2, 3, 4, 0x1B})) ==
        Bytes{0x0F, 0xC6, 0x07, 0x1B});
  CHECK(host_bytes(raw({0x66, 0x0F, 0x3A, 0x0F, 0x46, 0x7F, 0x05}, 2)) ==
        Bytes{0x66, 0x0F, 0x3A, 0x0F, 0x07, 0x05});
  CHECK(host_bytes(raw({0x66, 0xDC, 0x86, 1, 2, 3, 4})) == Bytes{0xDC, 0x07});
}

TEST_CASE("VEX prefixes are normalised") {
  using Bytes = std::vector<u8>;
  CHECK(host_bytes(raw({0xC5, 0xEC, 0x58, 0x0E})) == Bytes{0xC4, 0xE1, 0x6C, 0x58, 0x0F});
  // Inverted B and the highest bit of vvvv don't count outside 64-bit mode.
  CHECK(host_bytes(raw({0xC4, 0xC2, 0x2D, 0x00, 0xCA})) == Bytes{0xC4, 0xE2, 0x6D, 0x00, 0xCA});
  // W doesn't widen a general register there, but still chooses VPERMQ's elements.
  CHECK(host_bytes(raw({0xC4, 0xE1, 0xF9, 0x6E, 0xCA}), {.gpr_in_rm = true}) ==
        Bytes{0xC4, 0xE1, 0x79, 0x6E, 0xC8});
  CHECK(host_bytes(raw({0xC4, 0xE3, 0xFD, 0x00, 0xCA, 0x4E})) ==
        Bytes{0xC4, 0xE3, 0xFD, 0x00, 0xCA, 0x4E});
  CHECK(host_bytes(raw({0xC4, 0xE3, 0x69, 0x4A, 0xCA, 0xD0})) ==
        Bytes{0xC4, 0xE3, 0x69, 0x4A, 0xCA, 0x50});
}

TEST_CASE("instructions of the same form share a thunk") {
  FpuMachine machine;
  machine.must_run({0x0F, 0x58, 0x0E});
  const std::size_t thunks = machine.processor.host_unit().thunks();
  machine.must_run({0x0F, 0x58, 0x0D, 0x00, 0x30, 0x00, 0x00});
  CHECK(machine.processor.host_unit().thunks() == thunks);
  machine.must_run({0x0F, 0x58, 0x16});
  CHECK(machine.processor.host_unit().thunks() == thunks + 1);
}

TEST_CASE("a full code area starts over without confusing decoded instructions") {
  const CpuidModel model = CpuidModel::from_host();
  HostUnit unit(model, kPageSize);
  Decoder decoder(model);
  ExtendedState state;
  image::power_on(state);
  const auto decode = [&](std::initializer_list<u8> code) {
    Instruction instruction;
    REQUIRE(decoder.decode(std::span(code.begin(), code.size()), {.code_32 = true}, instruction) ==
            DecodeStatus::Ok);
    return instruction;
  };
  const Instruction shuffle = decode({0x66, 0x0F, 0x70, 0xCA, 0x1B});
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned immediate = 0; immediate < 256; ++immediate) {
      const Instruction other = decode({0x66, 0x0F, 0x70, 0xDC, static_cast<u8>(immediate)});
      unit.run_simd(unit.simd_thunk(other, 0), state);
      CHECK(unit.code().used() <= unit.code().capacity());
      for (unsigned i = 0; i < 4; ++i) image::store<u32>(state, image::kXmm + 32 + 4 * i, i);
      unit.run_simd(unit.simd_thunk(shuffle, 0), state);
      REQUIRE(image::load<u64>(state, image::kXmm + 16) == 0x00000002'00000003);
    }
  }
  CHECK(unit.thunks() < 256);
}

TEST_CASE("a SIGFPE that isn't the guest's goes to the handler before ours") {
  // The process-wide handler is installed once; whoever comes later may ask it.
  FpuMachine machine;
  CHECK_FALSE(divert_floating_point_signal(nullptr));
}

}  // namespace
}  // namespace ringshift::cpu::test
