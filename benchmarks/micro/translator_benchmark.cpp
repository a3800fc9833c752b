// What the translator's building blocks cost: making translations, the ways from block to block,
// the ways out of generated code and back, misses of the shadow MMU, interruption from outside.
// "each" is the time of one of the things that a benchmark is named for, loop overhead included.
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <thread>
#include <vector>

#include "cpu/processor.h"
#include "mmu/guest_memory.h"
#include "mmu/memory_map.h"
#include "mmu/processor_memory.h"
#include "translator/translator.h"

namespace ringshift::translator {
namespace {

using cpu::SegmentName;

class QuietPlatform final : public cpu::Platform {
 public:
  u32 read_port(u16, unsigned) override { return 0; }
  void write_port(u16, u32, unsigned) override {}
  u8 acknowledge_interrupt() override { return 0; }
  void set_ferr(bool) override {}
  u64 time_stamp() override { return __builtin_ia32_rdtsc(); }
  std::optional<u64> host_time_stamp_offset() const override { return 0; }
  bool deadline_due() override { return false; }
  bool read_apic_msr(u32, u64&) override { return false; }
  bool write_apic_msr(u32, u64) override { return false; }
};

template <typename T>
T expect(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::abort();
}

/// 8 MiB of memory mapped to where it is: the lower half by a large page, the upper by small ones.
/// Flat segments, and ways between user and kernel that do nothing: INT 80h and SYSENTER. HLT, or
/// INT 81h from the user's side, ends a program.
class Machine {
 public:
  static constexpr u64 kRam = u64{8} << 20;
  static constexpr u64 kDirectory = 0x1000, kTable = 0x2000, kGdt = 0x3000, kIdt = 0x4000,
                       kTss = 0x5000, kCode = 0x10000, kHandlers = 0x20000;
  static constexpr u32 kKernelStack = 0x9000, kUserStack = 0x8000;

  explicit Machine(std::initializer_list<unsigned> program) {
    port_.set_observer(&processor);
    processor.reset();
    ram_ = expect(memory_.allocate(kRam, "ram"));
    map_.map_memory({0}, kRam, mmu::MemoryMap::Kind::Ram, "ram", ram_, 0);
    engine = expect(Translator::create(processor, {map_, port_, memory_.file()}, Options{}));
    build_tables();
    place(kCode, program);
    place(kHandlers, {0xCF});               // iretd
    place(kHandlers + 0x10, {0xF4});        // hlt
    place(kHandlers + 0x20, {0x0F, 0x35});  // sysexit
  }

  void place(u64 address, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) ram_.host[address++] = static_cast<u8>(byte);
  }
  u8* ram() { return ram_.host; }

  /// To the program's beginning, in the kernel.
  void rewind() {
    cpu::State& state = processor.state;
    state.cr0 = cpu::cr0::PE | cpu::cr0::PG | cpu::cr0::NE | cpu::cr0::ET;
    state.cr3 = kDirectory;
    state.cr4 = cpu::cr4::PSE | cpu::cr4::OSFXSR;
    state.cpl = 0;
    state.gdtr = {kGdt, 0x27};
    state.idtr = {kIdt, 0x7FF};
    state.sysenter_cs = 8;
    state.sysenter_esp = kKernelStack;
    state.sysenter_eip = kHandlers + 0x20;
    state.tr = cpu::SegmentRegister{};
    state.tr.base = kTss;
    state.tr.limit = 0x67;
    state.tr.type = 0xB;
    state.tr.present = true;
    cpu::SegmentRegister flat;
    flat.selector = 0x10;
    flat.limit = 0xFFFF'FFFF;
    flat.type = 3;
    flat.code_or_data = flat.present = flat.big = flat.granular = true;
    state.segments.fill(flat);
    state.segment(SegmentName::CS).selector = 0x08;
    state.segment(SegmentName::CS).type = 0xB;
    state.gpr[cpu::Rsp] = kUserStack;
    state.rflags = cpu::eflags::Fixed;
    state.rip = kCode;
    state.activity = cpu::Activity::Running;
    processor.update_attention();
  }
  void run() {
    rewind();
    if (engine->run() != cpu::Exit::Halt) std::abort();
  }

 private:
  void write32(u64 address, u64 value) { map_.write_value({address}, value, 4); }
  void build_tables() {
    constexpr u64 kRights = 7, kLarge = 0x80;
    write32(kDirectory, kLarge | kRights);
    write32(kDirectory + 4, kTable | kRights);
    for (u64 page = 0; page < 1024; ++page) {
      write32(kTable + 4 * page, ((1024 + page) << kPageShift) | kRights);
    }
    const u64 descriptors[] = {0, 0x00CF'9B00'0000'FFFF, 0x00CF'9300'0000'FFFF,
                               0x00CF'FB00'0000'FFFF, 0x00CF'F300'0000'FFFF};
    for (u64 i = 0; i < std::size(descriptors); ++i) {
      map_.write_value({kGdt + 8 * i}, descriptors[i], 8);
    }
    for (u64 i = 0; i < 2; ++i) {
      const u64 handler = kHandlers + 0x10 * i;
      write32(kIdt + 8 * (0x80 + i), (handler & 0xFFFF) | 0x08 << 16);
      write32(kIdt + 8 * (0x80 + i) + 4, (handler & 0xFFFF'0000) | 0xEE00);
    }
    write32(kTss + 4, kKernelStack);
    write32(kTss + 8, 0x10);
  }

  mmu::GuestMemory memory_ = expect(mmu::GuestMemory::create(kRam));
  mmu::MemoryBlock ram_;
  mmu::MemoryMap map_;
  cpu::CpuidModel model_ = cpu::CpuidModel::from_host();
  mmu::ProcessorMemory port_{map_, {model_.physical_address_bits}};
  QuietPlatform platform_;

 public:
  cpu::Processor processor{port_, platform_, model_};
  std::unique_ptr<Translator> engine;
};

/// Runs a program in which `things` of what is measured happen.
void measure(benchmark::State& bench, double things, std::initializer_list<unsigned> program) {
  Machine machine(program);
  machine.run();
  for ([[maybe_unused]] auto round : bench) machine.run();
  bench.counters["each"] = benchmark::Counter(
      things, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

/// Guest instructions that are translated, and executed once, in a second.
void translation(benchmark::State& bench) {
  // mov eax, [esi+4]; add eax, ecx; mov [edi+8], eax; push ebx; lea edx, [eax+ecx*4]; pop ebx;
  // cmp edx, 10h; jc over; test al, 1; over: movzx ecx, byte [esi]
  constexpr u8 kRow[] = {0x8B, 0x46, 0x04, 0x01, 0xC8, 0x89, 0x47, 0x08, 0x53, 0x8D, 0x14, 0x88,
                         0x5B, 0x83, 0xFA, 0x10, 0x72, 0x02, 0xA8, 0x01, 0x0F, 0xB6, 0x0E};
  constexpr u64 kRows = 2000, kHere = 0x200000;
  Machine machine({0xBE, 0x00, 0x00, 0x10, 0x00,    // mov esi, 100000h
                   0xBF, 0x00, 0x00, 0x10, 0x00,    // mov edi, 100000h
                   0xE9, 0xF1, 0xFF, 0x1E, 0x00});  // jmp kHere
  u64 at = kHere;
  for (u64 row = 0; row < kRows; ++row) {
    for (const u8 byte : kRow) machine.ram()[at++] = byte;
  }
  machine.place(at, {0xF4});
  machine.run();
  const u64 before = machine.engine->statistics().instructions_translated;
  for ([[maybe_unused]] auto round : bench) {
    machine.engine->code_written({0}, ~kPageMask);
    machine.run();
  }
  const u64 translated = machine.engine->statistics().instructions_translated - before;
  bench.counters["instructions"] =
      benchmark::Counter(static_cast<double>(translated), benchmark::Counter::kIsRate);
}
BENCHMARK(translation)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: jmp m; nop; m: dec ecx; jnz l; hlt
void chained_loop(benchmark::State& bench) {
  measure(bench, 100000, {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xEB, 0x01, 0x90, 0x49, 0x75, 0xFA, 0xF4});
}
BENCHMARK(chained_loop)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; mov eax, m; l: jmp eax; m: dec ecx; jnz l; hlt
void indirect_branch(benchmark::State& bench) {
  measure(bench, 100000,
          {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xB8, 0x0C, 0x00, 0x01, 0x00, 0xFF, 0xE0, 0x49, 0x75, 0xFB,
           0xF4});
}
BENCHMARK(indirect_branch)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: call f; dec ecx; jnz l; hlt; f: ret
void call_and_return(benchmark::State& bench) {
  measure(
      bench, 100000,
      {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xE8, 0x04, 0x00, 0x00, 0x00, 0x49, 0x75, 0xF8, 0xF4, 0xC3});
}
BENCHMARK(call_and_return)->Unit(benchmark::kMicrosecond);

// A page-table entry changes, and the page is used again.
// mov ecx, 1000; l: xor dword [2000h], 1000h; invlpg [400000h]; mov eax, [400000h]; dec ecx; jnz l;
// hlt
void shadow_miss(benchmark::State& bench) {
  measure(bench, 1000, {0xB9, 0xE8, 0x03, 0x00, 0x00, 0x81, 0x35, 0x00, 0x20, 0x00, 0x00,
                        0x00, 0x10, 0x00, 0x00, 0x0F, 0x01, 0x3D, 0x00, 0x00, 0x40, 0x00,
                        0xA1, 0x00, 0x00, 0x40, 0x00, 0x49, 0x75, 0xE7, 0xF4});
}
BENCHMARK(shadow_miss)->Unit(benchmark::kMicrosecond);

// To the page that the code itself is on: mov ecx, 10000; l: mov [10800h], ecx; dec ecx; jnz l; hlt
void watched_write(benchmark::State& bench) {
  measure(
      bench, 10000,
      {0xB9, 0x10, 0x27, 0x00, 0x00, 0x89, 0x0D, 0x00, 0x08, 0x01, 0x00, 0x49, 0x75, 0xF7, 0xF4});
}
BENCHMARK(watched_write)->Unit(benchmark::kMicrosecond);

// mov byte [11000h], B8h; mov byte [11005h], C3h; mov ecx, 10000; l: mov [11001h], ecx;
// call 11000h; dec ecx; jnz l; hlt
void patched_call(benchmark::State& bench) {
  measure(bench, 10000, {0xC6, 0x05, 0x00, 0x10, 0x01, 0x00, 0xB8, 0xC6, 0x05, 0x05, 0x10, 0x01,
                         0x00, 0xC3, 0xB9, 0x10, 0x27, 0x00, 0x00, 0x89, 0x0D, 0x01, 0x10, 0x01,
                         0x00, 0xE8, 0xE2, 0x0F, 0x00, 0x00, 0x49, 0x75, 0xF2, 0xF4});
}
BENCHMARK(patched_call)->Unit(benchmark::kMicrosecond);

// mov ecx, 10000; l: mov [1000Ch], ecx; mov eax, (1000Ch) 0; dec ecx; jnz l; hlt
void patched_loop(benchmark::State& bench) {
  measure(bench, 10000, {0xB9, 0x10, 0x27, 0x00, 0x00, 0x89, 0x0D, 0x0C, 0x00, 0x01,
                         0x00, 0xB8, 0x00, 0x00, 0x00, 0x00, 0x49, 0x75, 0xF2, 0xF4});
}
BENCHMARK(patched_loop)->Unit(benchmark::kMicrosecond);

// mov ecx, 10000; l: out 80h, al; dec ecx; jnz l; hlt
void port_exit(benchmark::State& bench) {
  measure(bench, 10000, {0xB9, 0x10, 0x27, 0x00, 0x00, 0xE6, 0x80, 0x49, 0x75, 0xFB, 0xF4});
}
BENCHMARK(port_exit)->Unit(benchmark::kMicrosecond);

// mov ecx, 10000; l: sgdt [100000h]; dec ecx; jnz l; hlt
void call_out(benchmark::State& bench) {
  measure(bench, 10000,
          {0xB9, 0x10, 0x27, 0x00, 0x00, 0x0F, 0x01, 0x05, 0x00, 0x00, 0x10, 0x00, 0x49, 0x75, 0xF6,
           0xF4});
}
BENCHMARK(call_out)->Unit(benchmark::kMicrosecond);

// fninit; mov ecx, 10000; l: fld1; sgdt [100000h]; fstp st0; dec ecx; jnz l; hlt
void call_out_with_fpu(benchmark::State& bench) {
  measure(bench, 10000, {0xDB, 0xE3, 0xB9, 0x10, 0x27, 0x00, 0x00, 0xD9, 0xE8, 0x0F, 0x01,
                         0x05, 0x00, 0x00, 0x10, 0x00, 0xDD, 0xD8, 0x49, 0x75, 0xF2, 0xF4});
}
BENCHMARK(call_out_with_fpu)->Unit(benchmark::kMicrosecond);

// mov ecx, 10000; mov eax, cr3; l: mov cr3, eax; dec ecx; jnz l; hlt
void load_cr3(benchmark::State& bench) {
  measure(
      bench, 10000,
      {0xB9, 0x10, 0x27, 0x00, 0x00, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8, 0x49, 0x75, 0xFA, 0xF4});
}
BENCHMARK(load_cr3)->Unit(benchmark::kMicrosecond);

// mov ecx, 10000; mov ax, ds; l: mov es, ax; dec ecx; jnz l; hlt
void load_segment(benchmark::State& bench) {
  measure(bench, 10000,
          {0xB9, 0x10, 0x27, 0x00, 0x00, 0x66, 0x8C, 0xD8, 0x8E, 0xC0, 0x49, 0x75, 0xFB, 0xF4});
}
BENCHMARK(load_segment)->Unit(benchmark::kMicrosecond);

// From user code and back: mov ecx, 10000; l: int 80h; dec ecx; jnz l; int 81h
void interrupt_call(benchmark::State& bench) {
  measure(bench, 10000,
          {0x6A, 0x23, 0x68, 0x00, 0x80, 0x00, 0x00, 0x6A, 0x02, 0x6A, 0x1B, 0x68, 0x11, 0x00, 0x01,
           0x00, 0xCF, 0xB9, 0x10, 0x27, 0x00, 0x00, 0xCD, 0x80, 0x49, 0x75, 0xFB, 0xCD, 0x81});
}
BENCHMARK(interrupt_call)->Unit(benchmark::kMicrosecond);

// mov ebx, 10000; l: mov edx, r; mov ecx, esp; sysenter; r: dec ebx; jnz l; int 81h
void fast_system_call(benchmark::State& bench) {
  measure(bench, 10000, {0x6A, 0x23, 0x68, 0x00, 0x80, 0x00, 0x00, 0x6A, 0x02, 0x6A, 0x1B, 0x68,
                         0x11, 0x00, 0x01, 0x00, 0xCF, 0xBB, 0x10, 0x27, 0x00, 0x00, 0xBA, 0x1F,
                         0x00, 0x01, 0x00, 0x89, 0xE1, 0x0F, 0x34, 0x4B, 0x75, 0xF4, 0xCD, 0x81});
}
BENCHMARK(fast_system_call)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: cli; nop; sti; nop; dec ecx; jnz l; hlt
void interrupt_flag(benchmark::State& bench) {
  measure(bench, 100000,
          {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xFA, 0x90, 0xFB, 0x90, 0x49, 0x75, 0xF9, 0xF4});
}
BENCHMARK(interrupt_flag)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: pushf; popf; dec ecx; jnz l; hlt
void flags_on_stack(benchmark::State& bench) {
  measure(bench, 100000, {0xB9, 0xA0, 0x86, 0x01, 0x00, 0x9C, 0x9D, 0x49, 0x75, 0xFB, 0xF4});
}
BENCHMARK(flags_on_stack)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: rdtsc; dec ecx; jnz l; hlt
void time_stamp(benchmark::State& bench) {
  measure(bench, 100000, {0xB9, 0xA0, 0x86, 0x01, 0x00, 0x0F, 0x31, 0x49, 0x75, 0xFB, 0xF4});
}
BENCHMARK(time_stamp)->Unit(benchmark::kMicrosecond);

// mov ebx, 1000; l: mov esi, 100000h; mov edi, 110000h; mov ecx, 1024; rep movsd; dec ebx; jnz l;
// hlt
void copy_page(benchmark::State& bench) {
  measure(bench, 1000,
          {0xBB, 0xE8, 0x03, 0x00, 0x00, 0xBE, 0x00, 0x00, 0x10, 0x00, 0xBF, 0x00, 0x00,
           0x11, 0x00, 0xB9, 0x00, 0x04, 0x00, 0x00, 0xF3, 0xA5, 0x4B, 0x75, 0xEC, 0xF4});
}
BENCHMARK(copy_page)->Unit(benchmark::kMicrosecond);

// mov ecx, 100000; l: mov esi, 100000h; mov edi, 110000h; movsb; dec ecx; jnz l; hlt
void move_byte(benchmark::State& bench) {
  measure(bench, 100000, {0xB9, 0xA0, 0x86, 0x01, 0x00, 0xBE, 0x00, 0x00, 0x10, 0x00,
                          0xBF, 0x00, 0x00, 0x11, 0x00, 0xA4, 0x49, 0x75, 0xF2, 0xF4});
}
BENCHMARK(move_byte)->Unit(benchmark::kMicrosecond);

// 64 bytes: mov ebx, 1000; l: mov edi, 100000h; xor eax, eax; mov ecx, 64; repe scasb; dec ebx;
// jnz l; hlt
void scan(benchmark::State& bench) {
  measure(bench, 1000, {0xBB, 0xE8, 0x03, 0x00, 0x00, 0xBF, 0x00, 0x00, 0x10, 0x00, 0x31, 0xC0,
                        0xB9, 0x40, 0x00, 0x00, 0x00, 0xF3, 0xAE, 0x4B, 0x75, 0xEF, 0xF4});
}
BENCHMARK(scan)->Unit(benchmark::kMicrosecond);

/// From another thread's wake() to the return of run(). The guest: l: inc eax; jmp l.
void kick_latency(benchmark::State& bench) {
  using Clock = std::chrono::steady_clock;
  Machine machine({0x40, 0xEB, 0xFD});
  std::atomic<bool> running{false}, over{false};
  std::atomic<i64> kicked_at{0};
  std::thread kicker([&] {
    while (!over) {
      while (!running && !over) std::this_thread::yield();
      if (over) return;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      running = false;
      machine.processor.kick();
      kicked_at = Clock::now().time_since_epoch().count();
      machine.engine->wake();
    }
  });
  machine.rewind();
  for ([[maybe_unused]] auto round : bench) {
    running = true;
    while (machine.engine->run() != cpu::Exit::Kicked) {
    }
    const Clock::duration latency(Clock::now().time_since_epoch().count() - kicked_at);
    bench.SetIterationTime(std::chrono::duration<double>(latency).count());
  }
  over = true;
  kicker.join();
}
BENCHMARK(kick_latency)->UseManualTime()->Iterations(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace ringshift::translator

BENCHMARK_MAIN();
