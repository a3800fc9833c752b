// How many guest instructions a second the interpreter executes: integer work, memory traffic,
// calls, and what a store into code costs.
#include <benchmark/benchmark.h>

#include <initializer_list>
#include <set>
#include <vector>

#include "cpu/interpreter/interpreter.h"

namespace ringshift::cpu {
namespace {

/// RAM at zero and nothing else, without paging.
class FlatMemory final : public MemoryPort {
 public:
  std::vector<u8> ram = std::vector<u8>(1U << 20);
  CodeObserver* observer = nullptr;

  TranslateResult translate(const PagingContext&, LinearAddress, PageAccess) override {
    return PageFault{0};
  }
  u64 read_physical(PhysicalAddress address, unsigned size) override {
    u64 value = 0;
    if (address.value + size <= ram.size()) std::memcpy(&value, &ram[address.value], size);
    return value;
  }
  void write_physical(PhysicalAddress address, u64 value, unsigned size) override {
    if (watched_.contains(address.page().value)) observer->on_code_write(address, size);
    if (address.value + size <= ram.size()) std::memcpy(&ram[address.value], &value, size);
  }
  PhysicalAddress mask_a20(PhysicalAddress address) const override { return address; }
  HostPage host_page(PhysicalAddress page) override {
    if (page.value >= ram.size()) return {};
    u8* host = &ram[page.value];
    return {host, watched_.contains(page.value) ? nullptr : host};
  }
  void watch_code(PhysicalAddress page) override { watched_.insert(page.value); }
  void unwatch_code(PhysicalAddress page) override { watched_.erase(page.value); }

 private:
  std::set<u64> watched_;
};

class NoPlatform final : public Platform {
 public:
  u32 read_port(u16, unsigned) override { return 0; }
  void write_port(u16, u32, unsigned) override {}
  u8 acknowledge_interrupt() override { return 0; }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return 0; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }
};

struct Machine {
  static constexpr u64 kCode = 0x1000;

  FlatMemory memory;
  NoPlatform platform;
  CpuidModel model = CpuidModel::from_host();
  Processor processor{memory, platform, model};
  Interpreter interpreter{processor};

  explicit Machine(std::initializer_list<unsigned> code) {
    memory.observer = &processor;
    State& state = processor.state;
    state.cr0 |= cr0::PE;
    for (SegmentRegister& segment : state.segments) {
      segment = SegmentRegister{};
      segment.limit = 0xFFFF'FFFF;
      segment.type = 3;
      segment.code_or_data = segment.present = segment.big = true;
    }
    state.segment(SegmentName::CS).type = 11;
    state.gpr[Rsp] = 0x8000;
    state.gpr[Rsi] = 0x10000;
    state.gpr[Rdi] = 0x20000;
    u64 at = kCode;
    for (const unsigned byte : code) memory.ram[at++] = static_cast<u8>(byte);
  }
  /// Runs the code, which ends in HLT, once.
  void run() {
    processor.state.activity = Activity::Running;
    processor.update_attention();
    processor.state.rip = kCode;
    if (interpreter.run() != Exit::Halt) std::abort();
  }
};

void measure(benchmark::State& bench, std::initializer_list<unsigned> code) {
  Machine machine(code);
  machine.run();
  const u64 before = machine.interpreter.statistics().instructions;
  for ([[maybe_unused]] auto round : bench) machine.run();
  const u64 executed = machine.interpreter.statistics().instructions - before;
  bench.counters["instructions"] =
      benchmark::Counter(static_cast<double>(executed), benchmark::Counter::kIsRate);
}

// mov ecx, 100000; l: add eax, ecx; xor ebx, eax; lea edx, [eax+ebx*2]; shl edx, 3; sub eax, edx;
// and ebx, 0FFFFh; inc esi; dec ecx; jnz l; hlt
void integer_loop(benchmark::State& bench) {
  measure(bench,
          {0xB9, 0xA0, 0x86, 0x01, 0x00, 0x01, 0xC8, 0x31, 0xC3, 0x8D, 0x14, 0x58, 0xC1, 0xE2,
           0x03, 0x29, 0xD0, 0x81, 0xE3, 0xFF, 0xFF, 0x00, 0x00, 0x46, 0x49, 0x75, 0xEA, 0xF4});
}
BENCHMARK(integer_loop);

// mov ecx, 100000; l: mov eax, [esi]; add eax, ecx; mov [edi+4], eax; add [edi], ecx; mov bl,
// [esi+3]; mov [edi+8], bl; cmp ecx, [edi+12]; dec ecx; jnz l; hlt
void memory_loop(benchmark::State& bench) {
  measure(bench,
          {0xB9, 0xA0, 0x86, 0x01, 0x00, 0x8B, 0x06, 0x01, 0xC8, 0x89, 0x47, 0x04, 0x01, 0x0F,
           0x8A, 0x5E, 0x03, 0x88, 0x5F, 0x08, 0x3B, 0x4F, 0x0C, 0x49, 0x75, 0xEB, 0xF4});
}
BENCHMARK(memory_loop);

// mov ecx, 100000; l: call f; dec ecx; jnz l; hlt; f: push ebx; mov ebx, ecx; pop ebx; ret
void call_loop(benchmark::State& bench) {
  measure(bench, {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xE8, 0x04, 0x00, 0x00, 0x00, 0x49, 0x75, 0xF8,
                  0xF4, 0x53, 0x89, 0xCB, 0x5B, 0xC3});
}
BENCHMARK(call_loop);

// mov ecx, 16384; mov esi, 10000h; mov edi, 20000h; rep movsd; hlt
void string_move(benchmark::State& bench) {
  measure(bench, {0xB9, 0x00, 0x40, 0x00, 0x00, 0xBE, 0x00, 0x00, 0x01, 0x00, 0xBF, 0x00, 0x00,
                  0x02, 0x00, 0xF3, 0xA5, 0xF4});
}
BENCHMARK(string_move);

// mov ecx, 1000; l: mov [p], ecx; p-1: mov eax, imm32; dec ecx; jnz l; hlt
void patched_code(benchmark::State& bench) {
  measure(bench, {0xB9, 0xE8, 0x03, 0x00, 0x00, 0x89, 0x0D, 0x0C, 0x10, 0x00,
                  0x00, 0xB8, 0x00, 0x00, 0x00, 0x00, 0x49, 0x75, 0xF2, 0xF4});
}
BENCHMARK(patched_code);

}  // namespace
}  // namespace ringshift::cpu

BENCHMARK_MAIN();
