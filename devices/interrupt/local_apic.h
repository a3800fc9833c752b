// The processor's local APIC in xAPIC mode (SDM 3A chapter 10): the priority logic between all
// interrupt sources and the processor's INTR pin, its local sources (timer, LINT pins, errors) and
// interprocessor interrupts. It stands between the 8259 and the processor even on a machine without
// any I/O APIC ("virtual wire"), so the board always has one. x2APIC mode is not offered.
#pragma once

#include <array>
#include <optional>

#include "cpu/io_handler.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/interrupt/apic_bus.h"
#include "devices/interrupt/vector_set.h"
#include "devices/irq.h"
#include "mmu/memory_map.h"

namespace ringshift::devices {

/// The processor's time-stamp counter as the TSC-deadline timer sees it. SDM 3A §10.5.4.1.
class TscSource {
 public:
  virtual ~TscSource() = default;
  virtual u64 tsc() = 0;
  /// The guest time at which the counter reaches `value`; kNever if that lies beyond all time.
  virtual Nanoseconds time_of_tsc(u64 value) = 0;
};

/// The interrupt acknowledge cycle of the 8259 pair.
class InterruptAcknowledge {
 public:
  virtual ~InterruptAcknowledge() = default;
  /// The vector of the highest request, which is then in service; a spurious one if there is none.
  virtual u8 acknowledge() = 0;
};

/// What a local APIC tells its processor besides the INTR and NMI lines.
class ApicProcessor {
 public:
  virtual ~ApicProcessor() = default;
  /// INIT: the processor resets to wait for SIPI or, on the bootstrap processor, to its reset
  /// vector.
  virtual void init() = 0;
  /// Start-up IPI: begin at `vector` << 12 in real mode if waiting for it. SDM 3A §8.4.
  virtual void start_up(u8 vector) = 0;
  virtual void smi() = 0;
};

class LocalApic final : public Device, public IrqSink, public ApicReceiver {
 public:
  struct Wiring {
    EventClock& clock;
    ApicBus& bus;
    TscSource& tsc;
    InterruptAcknowledge& pic;
    ApicProcessor& processor;
    mmu::MemoryMap& memory;
  };
  struct Identity {
    u8 id = 0;
    bool bootstrap = true;
    unsigned physical_address_bits = 40;  ///< as CPUID 8000_0008h reports
  };
  /// Inputs for `set_irq`. On a PC LINT0 is the 8259's output and LINT1 the NMI source.
  static constexpr unsigned kLint0 = 0;
  static constexpr unsigned kLint1 = 1;

  static constexpr u32 kApicBaseMsr = 0x1B;
  static constexpr u32 kTscDeadlineMsr = 0x6E0;
  static constexpr u64 kDefaultBase = 0xFEE00000;
  /// The timer's input clock ("bus clock"): one tick each 10 ns.
  static constexpr u64 kNanosecondsPerTick = 10;

  LocalApic(Wiring wiring, Identity identity);
  ~LocalApic() override;

  std::string_view name() const override { return "local-apic"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;

  // --- Towards the processor ---
  /// INTR: high while a vector can be had from `acknowledge()`.
  IrqLine& interrupt() { return interrupt_; }
  /// NMI: one pulse for each.
  IrqLine& nmi() { return nmi_; }
  /// INTA: the vector of the highest interrupt; the spurious vector if the request has gone.
  u8 acknowledge();
  /// IA32_APIC_BASE and IA32_TSC_DEADLINE. False: no such MSR here, or #GP for the value.
  bool read_msr(u32 index, u64& value);
  bool write_msr(u32 index, u64 value);
  /// TPR, which MOV CR8 reaches in long mode (its bits 7:4).
  u8 task_priority() const { return tpr_; }
  void set_task_priority(u8 value);
  /// IA32_APIC_BASE.EN, which CPUID.1:EDX.APIC mirrors.
  bool enabled() const { return (base_ & kBaseEnable) != 0; }

  // --- IrqSink: the LINT pins (true = electrically high) ---
  void set_irq(unsigned number, bool level) override;

  // --- ApicReceiver ---
  bool is_destination(u8 destination, DestinationMode mode) const override;
  bool accepts_interrupts() const override { return enabled() && software_enabled(); }
  u8 arbitration_priority() const override;
  void accept(const ApicMessage& message) override;

  /// The register page, for direct access by tests and by a board that maps it elsewhere.
  IoHandler& registers() { return registers_; }

 private:
  enum LvtIndex : unsigned {
    kTimer,
    kThermal,
    kPerformance,
    kLvtLint0,
    kLvtLint1,
    kError,
    kLvtCount
  };
  static constexpr u64 kBaseBootstrap = u64{1} << 8;
  static constexpr u64 kBaseEnable = u64{1} << 11;

  u64 read_register(u64 offset, unsigned size);
  void write_register(u64 offset, u64 value, unsigned size);
  u32 read_aligned(unsigned offset);
  void write_aligned(unsigned offset, u32 value);
  void reset_registers();
  void map_page();
  void unmap_page();

  bool software_enabled() const { return (svr_ & 0x100) != 0; }
  u8 processor_priority() const;
  std::optional<u8> deliverable() const;
  bool external_pending() const;
  void update_interrupt();

  void set_error(u32 bit);
  void end_of_interrupt();
  void write_svr(u32 value);
  void write_lvt(unsigned index, u32 value);
  void fire_lvt(unsigned index);
  void request(u8 vector, TriggerMode trigger);
  void pulse_nmi();
  void initialize();
  bool lint_active(unsigned pin) const;
  void lint_changed(unsigned pin, bool was_active);
  void service_level_lint0();
  void send_interprocessor_interrupt();

  // --- local_apic_timer.cpp ---
  enum class TimerMode : u8 { OneShot = 0, Periodic = 1, TscDeadline = 2 };
  TimerMode timer_mode() const;
  u64 nanoseconds_per_count() const;
  u32 current_count();
  void write_initial_count(u32 value);
  void write_divide(u32 value);
  void set_timer_lvt(u32 value);
  void arm_count_timer();
  void write_deadline(u64 tsc);
  void timer_expired();

  Wiring wiring_;
  Identity identity_;
  MemberIoHandler<LocalApic, &LocalApic::read_register, &LocalApic::write_register> registers_{
      *this};
  IrqLine interrupt_;
  IrqLine nmi_;
  std::optional<u64> mapped_at_;

  u64 base_ = 0;
  u32 id_ = 0;
  u8 tpr_ = 0;
  u32 ldr_ = 0;
  u32 dfr_ = 0;
  u32 svr_ = 0;
  VectorSet isr_;
  VectorSet tmr_;
  VectorSet irr_;
  u32 esr_ = 0;            // what a read shows
  u32 logged_errors_ = 0;  // what the next write to ESR moves there
  u32 icr_low_ = 0;
  u32 icr_high_ = 0;
  std::array<u32, kLvtCount> lvt_{};
  std::array<bool, 2> lint_level_{};
  bool external_message_ = false;  // ExtINT through an I/O APIC is asserted

  u32 initial_count_ = 0;
  u32 divide_ = 0;
  u32 count_at_start_ = 0;  // the count at `count_start_`, from which all others follow
  Nanoseconds count_start_ = 0;
  u64 tsc_deadline_ = 0;
  Timer timer_;
};

}  // namespace ringshift::devices
