// Code at the edges of what windows, stubs and caches are made for: the translator must come to
// what the interpreter comes to.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "tests/unit/translator/small_machine.h"

namespace ringshift::translator::test {
namespace {

using Bytes = std::vector<u8>;
using Kind = SmallMachine::Kind;
using Paging = SmallMachine::Paging;

struct Case {
  const char* what;
  Bytes code;
  u32 eax = 0, ecx = 0, esp = SmallMachine::kStack, ebp = 0, esi = 0, edi = 0;
};

constexpr u32 kTop = 0xFFFFFFFF;

void prepare(SmallMachine& machine, const Case& test) {
  Bytes code = test.code;
  code.push_back(0xF4);
  machine.load(code, Paging::On);
  cpu::State& state = machine.state();
  state.gpr[cpu::Rax] = test.eax;
  state.gpr[cpu::Rcx] = test.ecx;
  state.gpr[cpu::Rsp] = test.esp;
  state.gpr[cpu::Rbp] = test.ebp;
  state.gpr[cpu::Rsi] = test.esi;
  state.gpr[cpu::Rdi] = test.edi;
}

Bytes memory_of(SmallMachine& machine, u64 address, std::size_t length) {
  Bytes bytes(length);
  for (std::size_t n = 0; n < length; ++n) {
    bytes[n] = static_cast<u8>(machine.map().read_value({address + n}, 1));
  }
  return bytes;
}

/// Both engines from the same state, twice, because the second time the translator knows better.
void compare(const Case& test) {
  INFO(test.what);
  SmallMachine reference(Kind::Interpreter), machine(Kind::Translator);
  for (unsigned round = 0; round < 6; ++round) {
    INFO("round " << round);
    prepare(reference, test);
    prepare(machine, test);
    const cpu::Exit expected = reference.run();
    CHECK(machine.run() == expected);
    for (unsigned reg = 0; reg < 8; ++reg) {
      INFO("register " << reg);
      CHECK(machine.state().gpr[reg] == reference.state().gpr[reg]);
    }
    CHECK(machine.state().rip == reference.state().rip);
    CHECK(machine.state().rflags == reference.state().rflags);
    CHECK(memory_of(machine, 0, 0x1000) == memory_of(reference, 0, 0x1000));
    CHECK(memory_of(machine, 0x200000, 0x1000) == memory_of(reference, 0x200000, 0x1000));
  }
}

}  // namespace

TEST_CASE("accesses that wrap at 4 GiB") {
  const Case cases[] = {
      {.what = "mov [-2], eax", .code = {0x89, 0x06}, .eax = 0x11223344, .esi = kTop - 1},
      {.what = "mov eax, [esi+4] at the top", .code = {0x8B, 0x46, 0x04}, .esi = kTop - 5},
      {.what = "a displacement that wraps down", .code = {0x89, 0x46, 0xF0}, .eax = 7, .esi = 4},
      {.what = "base and scaled index",
       .code = {0x89, 0x04, 0xCE},
       .eax = 9,
       .ecx = 0x1FFFFFFF,
       .esi = 4},
      {.what = "scaled index alone",
       .code = {0x89, 0x04, 0xCD, 0x10, 0, 0, 0},
       .eax = 5,
       .ecx = 0x3FFFFFFF},
      {.what = "the largest displacement from ESP behind a pop",
       .code = {0x58, 0x8B, 0x8C, 0x24, 0xFF, 0xFF, 0xFF, 0x7F, 0x03, 0x8C, 0x34, 0xFE, 0xFF, 0xFF,
                0x7F},
       .esp = 0x8000'0100,
       .esi = 0x10},
      {.what = "the smallest displacement from ESP behind a push",
       .code = {0x50, 0x8B, 0x8C, 0x24, 0, 0, 0, 0x80, 0x03, 0x8C, 0x34, 2, 0, 0, 0x80},
       .esp = 0x8020'0100,
       .esi = 0x10},
      {.what = "push at ESP 0", .code = {0x50, 0x51}, .eax = 1, .ecx = 2, .esp = 0},
      {.what = "push at ESP 2", .code = {0x50, 0x51}, .eax = 0x01020304, .ecx = 2, .esp = 2},
      {.what = "pop at the top", .code = {0x58, 0x59}, .esp = kTop - 3},
      {.what = "pusha across", .code = {0x60}, .eax = 1, .ecx = 2, .esp = 12},
      {.what = "popa across", .code = {0x61, 0xBC, 0, 0x80, 0, 0}, .esp = kTop - 11},
      {.what = "leave", .code = {0xC9, 0xBC, 0, 0x80, 0, 0}, .ebp = kTop - 3},
      {.what = "rep stosd up and across",
       .code = {0xF3, 0xAB},
       .eax = 0xABCDEF01,
       .ecx = 9,
       .edi = kTop - 14},
      {.what = "rep stosb down and across",
       .code = {0xFD, 0xF3, 0xAA},
       .eax = 0x5A,
       .ecx = 20,
       .edi = 9},
      {.what = "rep movsd across both",
       .code = {0xF3, 0xA5},
       .ecx = 6,
       .esi = kTop - 9,
       .edi = 0x100},
      {.what = "rep movsd down and across",
       .code = {0xFD, 0xF3, 0xA5},
       .ecx = 6,
       .esi = 9,
       .edi = 0x100},
      {.what = "bts with a far offset",
       .code = {0x0F, 0xAB, 0x0E},
       .ecx = 0x80000010,
       .esi = 0x10000100},
      {.what = "bts below zero", .code = {0x0F, 0xAB, 0x0E}, .ecx = 0xFFFFFFF0, .esi = 1},
      {.what = "bts beyond the top",
       .code = {0x0F, 0xAB, 0x0E},
       .ecx = 0x00000108,
       .esi = kTop - 16},
      {.what = "fxsave across the top", .code = {0x0F, 0xAE, 0x06}, .esi = 0xFFFFFF00},
      {.what = "movups across the top", .code = {0x0F, 0x11, 0x06}, .esi = kTop - 7},
      {.what = "fstp tbyte across the top", .code = {0xD9, 0xE8, 0xDB, 0x3E}, .esi = kTop - 3},
      {.what = "cmpxchg8b across the top",
       .code = {0x0F, 0xC7, 0x0E},
       .eax = 0,
       .ecx = 3,
       .esi = kTop - 3},
  };
  for (const Case& test : cases) compare(test);
}

TEST_CASE("code up to the end of 4 GiB goes on at 0") {
  // jmp eax; there: inc ecx, twice, across the end; at 1: hlt.
  const Case test{.what = "across the end", .code = {0xFF, 0xE0}, .eax = kTop - 1};
  SmallMachine reference(Kind::Interpreter), machine(Kind::Translator);
  for (unsigned round = 0; round < 3; ++round) {
    for (SmallMachine* one : {&reference, &machine}) {
      prepare(*one, test);
      one->map().write_value({0x200FFE}, 0x4141, 2);
      one->map().write_value({0}, 0x81, 1);  // add ecx, 12345678h begins at 0
      one->map().write_value({1}, 0xF4'1234'5678'C1, 7);
      CHECK(one->run() == cpu::Exit::Halt);
    }
    CHECK(machine.state().rip == reference.state().rip);
    CHECK(machine.state().gpr[cpu::Rcx] == reference.state().gpr[cpu::Rcx]);
  }
  // An instruction whose bytes lie on both sides is beyond the segment's limit.
  for (SmallMachine* one : {&reference, &machine}) {
    prepare(*one, test);
    one->map().write_value({0x200FFE}, 0xC181, 2);
    one->map().write_value({0}, 0xF4'1234'5678, 5);
    CHECK(one->run() == cpu::Exit::Shutdown);
  }
}

TEST_CASE("PUSHF pushes all flags that there are, but VM and RF") {
  // push ecx; popfd; pushfd; pop eax
  SmallMachine reference(Kind::Interpreter), machine(Kind::Translator);
  for (const u32 flags : {0xFFFF'FFFF & ~0x100U, 0U, 0x3000U, 0x20'0000U, 0x4ED5U}) {
    for (SmallMachine* one : {&reference, &machine}) {
      prepare(*one, {.what = "pushf", .code = {0x51, 0x9D, 0x9C, 0x58}, .ecx = flags});
      CHECK(one->run() == cpu::Exit::Halt);
    }
    CHECK(machine.state().gpr[cpu::Rax] == reference.state().gpr[cpu::Rax]);
  }
}

TEST_CASE("the FPU stays loaded over a loop in which the interpreter is called") {
  // again: paddd xmm0, [esi]; enter 4, 2; leave; dec ecx; jnz again; movd eax, xmm0
  compare({.what = "enter between vectors",
           .code = {0x66, 0x0F, 0xFE, 0x06, 0xC8, 0x04, 0x00, 0x02, 0xC9, 0x49, 0x75, 0xF4, 0x66,
                    0x0F, 0x7E, 0xC0},
           .ecx = 5,
           .ebp = SmallMachine::kStack,
           .esi = SmallMachine::kCode});
}

TEST_CASE("calls on a stack segment that grows down") {
  const Case cases[] = {
      // call f; nop; f: pop ecx
      {.what = "direct", .code = {0xE8, 1, 0, 0, 0, 0x90, 0x59}},
      // mov ebx, f; call ebx; nop; f: pop ecx
      {.what = "indirect", .code = {0xBB, 8, 0, 1, 0, 0xFF, 0xD3, 0x90, 0x59}},
      // push f; call [esp]; nop; f: pop ecx
      {.what = "indirect, from the stack",
       .code = {0x68, 9, 0, 1, 0, 0xFF, 0x14, 0x24, 0x90, 0x59}},
      // push f; ret 4; nop; f: nop
      {.what = "return", .code = {0x68, 9, 0, 1, 0, 0xC2, 4, 0, 0x90, 0x90}},
  };
  for (const Case& test : cases) {
    INFO(test.what);
    SmallMachine reference(Kind::Interpreter), machine(Kind::Translator);
    for (unsigned round = 0; round < 3; ++round) {
      for (SmallMachine* one : {&reference, &machine}) {
        prepare(*one, test);
        cpu::SegmentRegister& stack = one->state().segment(cpu::SegmentName::SS);
        stack.type = 7;  // data, expand-down, writable: valid above the limit. SDM 3A table 3-1
        stack.limit = 0xFFF;
        one->processor().update_attention();
        CHECK(one->run() == cpu::Exit::Halt);
      }
      for (const auto reg : {cpu::Rcx, cpu::Rbx, cpu::Rsp}) {
        CHECK(machine.state().gpr[reg] == reference.state().gpr[reg]);
      }
      CHECK(memory_of(machine, SmallMachine::kStack - 16, 16) ==
            memory_of(reference, SmallMachine::kStack - 16, 16));
    }
    CHECK(reference.state().gpr[cpu::Rsp] != 0);
  }
}

TEST_CASE("code that can't be translated leaves nothing behind") {
  // again: dec ecx; jnz again; hlt, in a device.
  struct Device : IoHandler {
    u64 io_read(u64 address, unsigned) override {
      return Bytes{0x49, 0x75, 0xFD, 0xF4}[address & 3];
    }
    void io_write(u64, u64, unsigned) override {}
  } device;
  constexpr u32 kDevice = 0x2000000, kRounds = 300'000;
  SmallMachine machine(Kind::Translator);
  REQUIRE(machine.map().map_mmio({kDevice}, kPageSize, "code", device).ok());
  machine.load(Bytes{0xFF, 0xE0});  // jmp eax
  machine.state().gpr[cpu::Rax] = kDevice;
  machine.state().gpr[cpu::Rcx] = kRounds;
  const std::size_t before = mallinfo2().uordblks;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().rip == kDevice + 4);
  // The interpreter keeps what it has decoded, up to a limit of its own. A block for each of the
  // instructions would be twice as much.
  CHECK(mallinfo2().uordblks - before < std::size_t{100} << 20);
}

TEST_CASE("calls deeper than the host's call stack") {
  // call f; hlt; f: dec ecx; jz out; call f; inc edx; out: ret
  const Bytes code = {0xE8, 1,    0,    0,    0,    0xF4, 0x49, 0x74,
                      6,    0xE8, 0xF8, 0xFF, 0xFF, 0xFF, 0x42, 0xC3};
  SmallMachine machine(Kind::Translator);
  machine.load(code);
  machine.state().gpr[cpu::Rcx] = 100'000;
  machine.state().gpr[cpu::Rsp] = 0x600000;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().gpr[cpu::Rdx] == 99'999);
  CHECK(machine.state().gpr[cpu::Rsp] == 0x600000);
}

TEST_CASE("returns that no call has led to") {
  // f: push next; ret; next: loop f; hlt
  const Bytes code = {0x68, 0x06, 0, 1, 0, 0xC3, 0xE2, 0xF8, 0xF4};
  SmallMachine machine(Kind::Translator);
  machine.load(code);
  machine.state().gpr[cpu::Rcx] = 50'000;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().gpr[cpu::Rcx] == 0);
}

TEST_CASE("a guest that writes its code anew all the time gets on, and the cache stays bounded") {
  // again: mov [f+1], ecx; call f; add ebx, eax; loop again; hlt; f: mov eax, ...; ret
  const Bytes code = {0x89, 0x0D, 0x11, 0,    1,    0,    0xE8, 0x05, 0, 0, 0,
                      0x01, 0xC3, 0xE2, 0xF1, 0xF4, 0xB8, 0,    0,    0, 0, 0xC3};
  Options options;
  options.limit_code(1 << 20);
  SmallMachine machine(Kind::Translator, options);
  machine.load(code);
  constexpr u32 kRounds = 30'000;
  machine.state().gpr[cpu::Rcx] = kRounds;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().gpr[cpu::Rbx] == (u64{kRounds} * (kRounds + 1) / 2 & 0xFFFFFFFF));
  const cpu::EngineStatistics statistics = machine.engine().statistics();
  CHECK(statistics.code_cache_bytes <= statistics.code_cache_capacity);
}

TEST_CASE("more code than the cache holds") {
  // add eax, n, again and again, and now and then a block's end; twice.
  Bytes code;
  u64 expected = 0;
  for (u32 n = 0; n < 60'000; ++n) {
    code.insert(code.end(), {0x05, static_cast<u8>(n), 0, 0, 0});
    expected += n & 0xFF;
    if (n % 8 == 7) code.insert(code.end(), {0xEB, 0x00});
  }
  code.push_back(0xF4);
  Options options;
  options.limit_code(1 << 20);
  SmallMachine machine(Kind::Translator, options);
  for (unsigned round = 0; round < 2; ++round) {
    machine.load(code);
    CHECK(machine.run() == cpu::Exit::Halt);
    CHECK(machine.state().gpr[cpu::Rax] == (expected & 0xFFFFFFFF));
  }
  const cpu::EngineStatistics statistics = machine.engine().statistics();
  CHECK(statistics.code_cache_capacity == 1 << 20);
  CHECK(statistics.code_cache_flushes > 0);
}

TEST_CASE("a page that is entered everywhere is written as a whole, again and again") {
  // At kPage NOPs up to "jmp edx" in its last bytes. For each of its bytes: call there; then write
  // its first and last bytes.
  constexpr u32 kPage = SmallMachine::kData, kEntries = 4000, kRounds = 12;
  const Bytes code = {0xB9, 0xA0, 0x0F, 0,    0,        // round: mov ecx, kEntries
                      0x8D, 0x81, 0,    0,    0x10, 0,  // next: lea eax, [ecx + kPage]
                      0xBA, 0x12, 0,    0x01, 0,        // mov edx, back
                      0xFF, 0xE0,                       // jmp eax
                      0x43,                             // back: inc ebx
                      0xE2, 0xF0,                       // loop next
                      0xFE, 0x05, 0,    0,    0x10, 0,  // inc byte [kPage]
                      0xFE, 0x0D, 0,    0,    0x10, 0,  // dec byte [kPage]
                      0xC7, 0x05, 0xFC, 0x0F, 0x10, 0,  // mov dword [kPage + FFCh],
                      0xFF, 0xE2, 0xF4, 0xF4,           //   jmp edx; hlt; hlt
                      0x4E, 0x75, 0xD2,                 // dec esi; jnz round
                      0xF4};
  SmallMachine machine(Kind::Translator);
  machine.load(code);
  machine.map().write({kPage}, Bytes(kPageSize - 4, 0x90));
  machine.map().write({kPage + kPageSize - 4}, Bytes{0xFF, 0xE2, 0xF4, 0xF4});
  machine.state().gpr[cpu::Rsi] = kRounds;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().gpr[cpu::Rbx] == kEntries * kRounds);
  CHECK(machine.engine().statistics().blocks_invalidated >= 64 * (kRounds - 1));
}

TEST_CASE("a storm of interruptions changes nothing") {
  // fninit; again: push ecx; pusha; popa; pop edx; xor eax, edx; rol eax, 3; mov [kData], eax; lea
  // edi, [kData+64]; push ecx; mov ecx, 20; rep stosb; pop ecx; fld1; fadd st0, st0; fistp
  // [kData+4]; add eax, [kData+4]; loop again; hlt
  const Bytes code = {0xDB, 0xE3, 0x51, 0x60, 0x61, 0x5A, 0x31, 0xD0, 0xC1, 0xC0, 0x03, 0xA3, 0,
                      0,    0x10, 0,    0x8D, 0x3D, 0x40, 0,    0x10, 0,    0x51, 0xB9, 20,   0,
                      0,    0,    0xF3, 0xAA, 0x59, 0xD9, 0xE8, 0xD8, 0xC0, 0xDB, 0x1D, 4,    0,
                      0x10, 0,    0x03, 0x05, 4,    0,    0x10, 0,    0xE2, 0xD1, 0xF4};
  const auto result = [&code](bool storm) {
    SmallMachine machine(Kind::Translator);
    machine.load(code);
    machine.state().gpr[cpu::Rcx] = 300'000;
    machine.state().gpr[cpu::Rax] = 1;
    std::atomic<bool> done = false;
    std::atomic<u64> kicks = 0;
    std::thread thread;
    if (storm) {
      thread = std::thread([&] {
        while (!done) {
          machine.kick();
          ++kicks;
        }
      });
      while (kicks == 0) std::this_thread::yield();
    }
    CHECK(machine.run() == cpu::Exit::Halt);
    done = true;
    if (storm) {
      thread.join();
    }
    CHECK(machine.state().gpr[cpu::Rcx] == 0);
    return machine.state().gpr[cpu::Rax];
  };
  CHECK(result(true) == result(false));
}

TEST_CASE("instructions are counted exactly when that is asked for") {
  // mov ecx, 1000; again: push eax; pop edx; xor eax, edx; jnz over; inc ebx; over:
  // in al, dx; dec ecx; jnz again; hlt
  const Bytes code = {0xB9, 0xE8, 3,    0,    0,    0x50, 0x5A, 0x31, 0xD0,
                      0x75, 0x01, 0x43, 0xEC, 0x49, 0x75, 0xF5, 0xF4};
  Options options;
  options.count_instructions();
  SmallMachine machine(Kind::Translator, options), reference(Kind::Interpreter);
  for (SmallMachine* one : {&machine, &reference}) {
    one->port = [](u16) { return 0; };
    one->load(code);
    CHECK(one->run() == cpu::Exit::Halt);
  }
  CHECK(machine.engine().statistics().instructions == reference.engine().statistics().instructions);
  CHECK(machine.engine().statistics().instructions_interpreted >= 1001);  // IN and HLT
  CHECK(machine.engine().statistics().instructions_native >= 6000);
}

TEST_CASE("a fault of the monitor's own is reported with the guest's state, and ends it") {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(pipe_ends[1], STDERR_FILENO);
    std::signal(SIGSEGV, SIG_DFL);
    SmallMachine machine(Kind::Translator);
    void* const forbidden = mmap(nullptr, kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    machine.port = [forbidden](u16) { return *static_cast<volatile u32*>(forbidden); };
    // mov ebx, 12345678h; in al, dx
    machine.load(Bytes{0xBB, 0x78, 0x56, 0x34, 0x12, 0xEC, 0xF4});
    machine.run();
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = read(pipe_ends[0], buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(pipe_ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
  CHECK(text.find("ringshift: bug: ") != std::string::npos);
  CHECK(text.find("EBX 12345678") != std::string::npos);
  CHECK(text.find("CS:EIP 0008:00010005") != std::string::npos);
}

TEST_CASE("without FSGSBASE windows are switched by the kernel") {
  Options options;
  options.disable(Optimisation::FsGsBase);
  SmallMachine machine(Kind::Translator, options);
  // mov al, [esi] needs the override: AH... mov [esi], ah
  machine.load(Bytes{0x88, 0x26, 0x8A, 0x16, 0xF4}, Paging::On);
  machine.state().gpr[cpu::Rax] = 0x4200;
  machine.state().gpr[cpu::Rsi] = SmallMachine::kData;
  CHECK(machine.run() == cpu::Exit::Halt);
  CHECK(machine.state().gpr[cpu::Rdx] == 0x42);
}

}  // namespace ringshift::translator::test
