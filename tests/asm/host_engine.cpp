#include "tests/asm/host_engine.h"

#include <asm/ldt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace ringshift::tests {

namespace {

/// What the trampoline and the signal handler share with run(), at a fixed low address so that the
/// trampoline needs no register to find it. Offsets are repeated in the assembly below.
struct HostContext {
  // Loaded before the jump.
  u32 gpr[8];               // 0
  u64 flags;                // 32
  u32 target_offset;        // 40: far pointer
  u16 target_selector;      // 44
  u16 padding;              // 46
  u64 host_stack;           // 48
  u32 host_mxcsr;           // 56
  u32 padding2;             // 60
  cpu::ExtendedState load;  // 64: 832 bytes
  // Captured after the way back, or by the signal handler.
  u32 out_gpr[8];          // 896
  u64 out_flags;           // 928
  u16 stack_selector;      // 936
  u16 data_selector;       // 938
  u16 extra_selector;      // 940
  u16 padding3[9];         // 942
  cpu::ExtendedState out;  // 960
  // By the signal handler only.
  u32 out_eip;
  u32 trapped;  // a signal ended the run
  u32 vector;
  u32 error_code;
  u32 cr2;
  u32 single_stepped;  // TF was set when the code left
};
static_assert(offsetof(HostContext, load) == 64);
static_assert(offsetof(HostContext, out_gpr) == 896);
static_assert(offsetof(HostContext, out_flags) == 928);
static_assert(offsetof(HostContext, out) == 960);

constexpr u64 kContextAddress = layout::kHost;
constexpr u64 kTrampolineAddress = layout::kHost + 0x10000;
constexpr u64 kHostPages = layout::kHostSize;

HostContext& context() {
  return *reinterpret_cast<HostContext*>(kContextAddress);
}

extern "C" {
extern const u8 ringshift_host_enter[];
extern const u8 ringshift_host_exit[];
extern const u8 ringshift_host_landing[];
extern const u8 ringshift_host_end[];
void ringshift_host_signal_entry(int, siginfo_t*, void*);
void ringshift_host_signal(int number, siginfo_t* info, void* context);
}

// The trampoline is copied to low memory: the far jump back takes a 32-bit offset. The guest may
// have set AC, so until the flags are restored every access must be aligned. XRSTOR and XSAVE act
// on x87, SSE and AVX (mask 7), in the layout with 32-bit instruction and data pointers.
asm(R"(
  .pushsection .text
  .globl ringshift_host_enter, ringshift_host_exit, ringshift_host_landing, ringshift_host_end
ringshift_host_enter:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, 0x5D7A0000+48
  movw 0x5D7A0000+936, %ss
  movw 0x5D7A0000+938, %ds
  movw 0x5D7A0000+940, %es
  movl $7, %eax
  xorl %edx, %edx
  xrstor 0x5D7A0000+64
  pushq 0x5D7A0000+32
  popfq
  movl 0x5D7A0000+0, %eax
  movl 0x5D7A0000+4, %ecx
  movl 0x5D7A0000+8, %edx
  movl 0x5D7A0000+12, %ebx
  movl 0x5D7A0000+20, %ebp
  movl 0x5D7A0000+24, %esi
  movl 0x5D7A0000+28, %edi
  movl 0x5D7A0000+16, %esp
  ljmpl *0x5D7A0000+40
ringshift_host_exit:
  movl %eax, 0x5D7A0000+896
  movl %ecx, 0x5D7A0000+900
  movl %edx, 0x5D7A0000+904
  movl %ebx, 0x5D7A0000+908
  movl %esp, 0x5D7A0000+912
  movl %ebp, 0x5D7A0000+916
  movl %esi, 0x5D7A0000+920
  movl %edi, 0x5D7A0000+924
  movl $0x2B, %eax
  movl %eax, %ss
  movq 0x5D7A0000+48, %rsp
  pushfq
  popq 0x5D7A0000+928
  pushq $0x202
  popfq
  movl $7, %eax
  xorl %edx, %edx
  xsave 0x5D7A0000+960
ringshift_host_landing:
  fninit
  vzeroupper
  ldmxcsr 0x5D7A0000+56
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  retq
ringshift_host_end:

  # The kernel leaves AC as the guest had it, and compiled code doesn't align its accesses.
  .globl ringshift_host_signal_entry
ringshift_host_signal_entry:
  pushfq
  andl $0xFFFBFFFF, (%rsp)
  popfq
  jmp ringshift_host_signal
  .popsection
)");

u64 in_trampoline(const u8* label) {
  return kTrampolineAddress + static_cast<u64>(label - ringshift_host_enter);
}

/// The frame's FP state is an XSAVE image in standard form. A component that XSTATE_BV names as
/// initial has its initial value whatever the bytes say. SDM 1 §13.6.
void capture_extended(const u8* frame) {
  HostContext& shared = context();
  std::memcpy(&shared.out, frame, sizeof shared.out);
  if ((shared.out.header[0] & 4) == 0) shared.out.ymm_high.fill(0);
}

void capture(const ucontext_t& frame) {
  HostContext& shared = context();
  const greg_t* regs = frame.uc_mcontext.gregs;
  constexpr int kOrder[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                             REG_RSP, REG_RBP, REG_RSI, REG_RDI};
  for (unsigned n = 0; n < 8; ++n) shared.out_gpr[n] = static_cast<u32>(regs[kOrder[n]]);
  shared.out_flags = static_cast<u64>(regs[REG_EFL]);
  shared.out_eip = static_cast<u32>(regs[REG_RIP]);
  shared.vector = static_cast<u32>(regs[REG_TRAPNO]);
  shared.error_code = static_cast<u32>(regs[REG_ERR]);
  shared.cr2 = static_cast<u32>(regs[REG_CR2]);
  shared.trapped = 1;
  capture_extended(reinterpret_cast<const u8*>(frame.uc_mcontext.fpregs));
}

constexpr int kSignals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};

/// Who handled these signals before; a handler finds its data only through globals.
struct sigaction previous_actions[std::size(kSignals)];
/// A signal is on its way through previous_actions.
volatile sig_atomic_t passing_on = 0;

/// A signal that isn't from code under test: it is for the handler of an engine, or a failure of
/// the test program, which then dies of it. Engines pass on what they don't know, too: what comes
/// round again is nobody's.
void pass_on(int number, siginfo_t* info, void* raw) {
  const auto index = std::find(std::begin(kSignals), std::end(kSignals), number) - kSignals;
  const struct sigaction& previous = previous_actions[index];
  if ((previous.sa_flags & SA_SIGINFO) != 0 && passing_on == 0) {
    passing_on = 1;
    previous.sa_sigaction(number, info, raw);
    passing_on = 0;
  } else {
    signal(number, SIG_DFL);
  }
}

}  // namespace

extern "C" [[gnu::used]] void ringshift_host_signal(int number, siginfo_t* info, void* raw) {
  ucontext_t& frame = *static_cast<ucontext_t*>(raw);
  greg_t* regs = frame.uc_mcontext.gregs;
  const u64 selectors = static_cast<u64>(regs[REG_CSGSFS]);
  const u16 code_selector = static_cast<u16>(selectors);
  if (code_selector != kCodeSelector && code_selector != kSegmented16.code.selector) {
    const u64 rip = static_cast<u64>(regs[REG_RIP]);
    if (number == SIGTRAP && rip - kTrampolineAddress < kPageSize) {
      // The code has left with TF set: the trap comes after the far jump.
      context().single_stepped = 1;
      regs[REG_EFL] &= ~greg_t{0x100};
      return;
    }
    pass_on(number, info, raw);
    return;
  }
  capture(frame);
  regs[REG_RIP] = static_cast<greg_t>(in_trampoline(ringshift_host_landing));
  regs[REG_RSP] = static_cast<greg_t>(context().host_stack);
  regs[REG_EFL] = 0x202;
  regs[REG_CSGSFS] =
      static_cast<greg_t>((selectors & 0x0000FFFFFFFF0000) | 0x33 | (u64{kDataSelector} << 48));
}

namespace {

Result<void> map_at(u64 address, u64 length, int protection) {
  void* wanted = reinterpret_cast<void*>(address);
  void* got = mmap(wanted, length, protection,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
  if (got == wanted) return {};
  const int cause = got == MAP_FAILED ? errno : EEXIST;
  if (got != MAP_FAILED) munmap(got, length);
  return Error{"host engine: can't map low memory: " + std::string(std::strerror(cause))};
}

void unmap_all() {
  munmap(reinterpret_cast<void*>(u64{layout::kData}), (layout::kDataPages + 1) * kPageSize);
  munmap(reinterpret_cast<void*>(u64{layout::kStack}), kPageSize);
  munmap(reinterpret_cast<void*>(u64{layout::kCode}), layout::kCodePages * kPageSize);
  munmap(reinterpret_cast<void*>(kContextAddress), kHostPages);
}

/// Handlers of this engine for code under test. An engine of Ringshift's may have put its own over
/// them when it first ran: then they are put on top again.
bool own_signals() {
  struct sigaction current {};
  sigaction(SIGTRAP, nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == ringshift_host_signal_entry) {
    return true;
  }
  struct sigaction action {};
  action.sa_sigaction = ringshift_host_signal_entry;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (std::size_t n = 0; n < std::size(kSignals); ++n) {
    if (sigaction(kSignals[n], nullptr, &current) != 0) return false;
    if (current.sa_sigaction == ringshift_host_signal_entry) continue;
    previous_actions[n] = current;
    if (sigaction(kSignals[n], &action, nullptr) != 0) return false;
  }
  return true;
}

Result<void> install_handlers() {
  static constexpr u64 kStackSize = 128 << 10;
  stack_t stack{};
  stack.ss_size = kStackSize;
  stack.ss_sp =
      mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, nullptr) != 0) {
    return Error{"host engine: no signal stack"};
  }
  if (!own_signals()) return Error{"host engine: no signal handler"};
  return {};
}

constexpr u8 kInt3 = 0xCC;

/// An LDT entry for each of the 16-bit segments.
bool install_segments(const Segmentation& segments) {
  constexpr int kWrite = 1;
  const auto install = [](const TestSegment& segment, bool code) {
    user_desc entry{};
    entry.entry_number = segment.selector >> 3;
    entry.base_addr = segment.base;
    entry.limit = segment.limit;
    entry.seg_32bit = segment.big;
    entry.contents = code ? 2 : 0;
    return syscall(SYS_modify_ldt, kWrite, &entry, sizeof entry) == 0;
  };
  return install(segments.code, true) && install(segments.stack, false) &&
         install(segments.data, false) && install(segments.extra, false);
}

}  // namespace

Result<std::unique_ptr<HostEngine>> HostEngine::create() {
  const auto steps = [] {
    constexpr int kData = PROT_READ | PROT_WRITE;
    Result<void> done = map_at(layout::kData, (layout::kDataPages + 1) * kPageSize, kData);
    if (done) done = map_at(layout::kStack, kPageSize, kData);
    if (done) done = map_at(layout::kCode, layout::kCodePages * kPageSize, kData | PROT_EXEC);
    if (done) done = map_at(kContextAddress, kHostPages, kData | PROT_EXEC);
    if (done) done = install_handlers();
    return done;
  };
  if (const Result<void> done = steps(); !done) {
    unmap_all();
    return done.error();
  }
  mprotect(reinterpret_cast<void*>(u64{layout::kReadOnly}), kPageSize, PROT_READ);
  std::memcpy(reinterpret_cast<void*>(kTrampolineAddress), ringshift_host_enter,
              static_cast<std::size_t>(ringshift_host_end - ringshift_host_enter));
  std::memset(reinterpret_cast<void*>(u64{layout::kCode}), kInt3, layout::kCodePages * kPageSize);
  std::unique_ptr<HostEngine> engine(new HostEngine);
  engine->has_16_bit_segments_ = install_segments(kSegmented16);
  return engine;
}

HostEngine::~HostEngine() {
  for (std::size_t n = 0; n < std::size(kSignals); ++n) {
    struct sigaction current {};
    sigaction(kSignals[n], nullptr, &current);
    // Who came later and is on top stays there, and may go on passing signals to us.
    if (current.sa_sigaction != ringshift_host_signal_entry) continue;
    sigaction(kSignals[n], &previous_actions[n], nullptr);
  }
  unmap_all();
}

TestMemory HostEngine::memory() const {
  return {reinterpret_cast<u8*>(u64{layout::kData}), reinterpret_cast<u8*>(u64{layout::kStack}),
          reinterpret_cast<u8*>(u64{layout::kCode})};
}

void HostEngine::fill_read_only(std::span<const u8> bytes) {
  void* page = reinterpret_cast<void*>(u64{layout::kReadOnly});
  mprotect(page, kPageSize, PROT_READ | PROT_WRITE);
  std::memcpy(page, bytes.data(), std::min<std::size_t>(bytes.size(), kPageSize));
  mprotect(page, kPageSize, PROT_READ);
}

bool HostEngine::use(const Segmentation& segments) {
  if (!segments.code.big && !has_16_bit_segments_) return false;
  segments_ = segments;
  return true;
}

void HostEngine::place_code(u32 address, std::span<const u8> bytes, WayBack way_back) {
  u8* code = memory().code;
  const u32 area_end = layout::kCodePages * static_cast<u32>(kPageSize);
  std::memset(code + filled_begin_, kInt3, filled_end_ - filled_begin_);
  filled_begin_ = address - layout::kCode;
  filled_end_ = filled_begin_ + static_cast<u32>(bytes.size());
  std::memcpy(code + filled_begin_, bytes.data(), bytes.size());
  code_begin_ = address - segments_.code.base;
  code_end_ = code_begin_ + static_cast<u32>(bytes.size());
  if (way_back == WayBack::Trap) return;
  // JMP FAR 0033:exit, with an operand-size prefix in 16-bit code.
  std::array<u8, 8> far_jump{0x66, 0xEA, 0, 0, 0, 0, 0x33, 0x00};
  const u32 exit = static_cast<u32>(in_trampoline(ringshift_host_exit));
  std::memcpy(far_jump.data() + 2, &exit, 4);
  const auto jump = std::span(far_jump).subspan(segments_.code.big ? 1 : 0);
  if (filled_end_ + jump.size() > area_end) return;
  std::copy(jump.begin(), jump.end(), code + filled_end_);
  filled_end_ += static_cast<u32>(jump.size());
}

Outcome HostEngine::run(CpuImage& image) {
  own_signals();
  HostContext& shared = context();
  std::copy(image.gpr.begin(), image.gpr.end(), shared.gpr);
  shared.flags = image.eflags;
  shared.target_offset = image.eip;
  shared.target_selector = segments_.code.selector;
  shared.stack_selector = segments_.stack.selector;
  shared.data_selector = segments_.data.selector;
  shared.extra_selector = segments_.extra.selector;
  shared.load = image.extended;
  shared.trapped = shared.single_stepped = 0;
  shared.host_mxcsr = __builtin_ia32_stmxcsr();
  reinterpret_cast<void (*)()>(kTrampolineAddress)();

  std::copy(std::begin(shared.out_gpr), std::end(shared.out_gpr), image.gpr.begin());
  image.extended = shared.out;
  // RF is set in the image of every fault; no engine has it before delivery.
  image.eflags = static_cast<u32>(shared.out_flags) & ~static_cast<u32>(cpu::eflags::RF);
  if (shared.single_stepped != 0) image.eflags |= static_cast<u32>(cpu::eflags::TF);
  if (shared.trapped == 0) {
    image.eip = code_end_;
    return {};
  }
  image.eip = shared.out_eip;
  constexpr u32 kBreakpoint = 3, kPageFault = 14;
  const bool inside = image.eip - 1 - code_begin_ < code_end_ - code_begin_;
  if (shared.vector == kBreakpoint && !inside) {
    --image.eip;
    return {};
  }
  const bool fetch = shared.vector == kPageFault && shared.cr2 == image.eip + segments_.code.base;
  if (fetch && (image.eip < code_begin_ || image.eip >= code_end_)) return {};
  return {Ending::Fault, static_cast<u8>(shared.vector),
          shared.vector == kBreakpoint ? 0 : shared.error_code,
          shared.vector == kPageFault ? shared.cr2 : 0};
}

}  // namespace ringshift::tests
