#include "devices/interrupt/local_apic.h"

#include <algorithm>

#include "devices/interrupt/local_apic_bits.h"

namespace ringshift::devices {

using namespace local_apic;

namespace {

// Register offsets. SDM 3A table 10-1.
enum Offset : unsigned {
  kId = 0x020,
  kVersion = 0x030,
  kTpr = 0x080,
  kApr = 0x090,
  kPpr = 0x0A0,
  kEoi = 0x0B0,
  kRemoteRead = 0x0C0,
  kLdr = 0x0D0,
  kDfr = 0x0E0,
  kSvr = 0x0F0,
  kIsr = 0x100,
  kTmr = 0x180,
  kIrr = 0x200,
  kIrrEnd = 0x280,
  kEsr = 0x280,
  kIcrLow = 0x300,
  kIcrHigh = 0x310,
  kLvtTimer = 0x320,
  kLvtEnd = 0x380,
  kInitialCount = 0x380,
  kCurrentCount = 0x390,
  kDivide = 0x3E0,
};

// Version 14h, six LVT entries, no EOI-broadcast suppression. SDM 3A §10.4.8.
constexpr u32 kVersionValue = 0x00050014;

// Which LVT bits software may write. SDM 3A figure 10-8.
constexpr std::array<u32, 6> kLvtWritable = {
    0x000700FF,  // timer: vector, mask, mode
    0x000107FF,  // thermal sensor: vector, delivery mode, mask
    0x000107FF,  // performance counters
    0x0001A7FF,  // LINT0: also polarity and trigger mode
    0x0001A7FF,  // LINT1
    0x000100FF,  // error: vector, mask
};

constexpr u32 kIcrLowWritable = 0x000CCFFF;

}  // namespace

LocalApic::LocalApic(Wiring wiring, Identity identity)
    : wiring_(wiring), identity_(identity), timer_(wiring.clock, [this] { timer_expired(); }) {
  wiring_.bus.attach(*this);
  reset(ResetKind::PowerOn);
}

LocalApic::~LocalApic() {
  unmap_page();
}

void LocalApic::reset(ResetKind) {
  base_ = kDefaultBase | kBaseEnable | (identity_.bootstrap ? kBaseBootstrap : 0);
  id_ = static_cast<u32>(identity_.id) << 24;
  reset_registers();
  map_page();
}

// SDM 3A §10.4.7.1. The APIC ID and the levels of the pins survive.
void LocalApic::reset_registers() {
  tpr_ = 0;
  ldr_ = 0;
  dfr_ = 0xFFFFFFFF;
  svr_ = 0xFF;
  isr_ = tmr_ = irr_ = {};
  esr_ = logged_errors_ = 0;
  icr_low_ = icr_high_ = 0;
  lvt_.fill(kLvtMasked);
  external_message_ = false;
  initial_count_ = divide_ = count_at_start_ = 0;
  count_start_ = 0;
  tsc_deadline_ = 0;
  timer_.cancel();
  update_interrupt();
}

void LocalApic::serialize(StateArchive& archive) {
  archive.section("local-apic", 2);
  bool mapped = mapped_at_.has_value();
  archive.field("base", base_);
  archive.field("id", id_);
  archive.field("tpr", tpr_);
  archive.field("ldr", ldr_);
  archive.field("dfr", dfr_);
  archive.field("svr", svr_);
  archive.field("isr", isr_);
  archive.field("tmr", tmr_);
  archive.field("irr", irr_);
  archive.field("esr", esr_);
  archive.field("logged_errors", logged_errors_);
  archive.field("icr_low", icr_low_);
  archive.field("icr_high", icr_high_);
  archive.field("lvt", lvt_);
  archive.field("lint_level", lint_level_);
  archive.field("external_message", external_message_);
  archive.field("initial_count", initial_count_);
  archive.field("divide", divide_);
  archive.field("count_at_start", count_at_start_);
  archive.field("count_start", count_start_);
  archive.field("tsc_deadline", tsc_deadline_);
  archive.field("timer", timer_);
  archive.field("mapped", mapped);
  if (archive.restoring()) {
    if (mapped) {
      map_page();
    } else {
      unmap_page();
    }
    interrupt_.restore_level(deliverable().has_value() || external_pending());
  }
}

// --- The register page's place and the MSRs ------------------------------------------------------

void LocalApic::map_page() {
  unmap_page();
  if (!enabled()) return;
  const u64 address = base_ & ~kPageMask;
  // The guest may put the page over another device's; then the other one stays visible.
  if (wiring_.memory.map_mmio({address}, kPageSize, "local APIC", registers_, {4, 4}).ok()) {
    mapped_at_ = address;
  }
}

void LocalApic::unmap_page() {
  if (mapped_at_) wiring_.memory.unmap_mmio({*mapped_at_}, registers_);
  mapped_at_.reset();
}

bool LocalApic::read_msr(u32 index, u64& value) {
  switch (index) {
    case kApicBaseMsr:
      value = base_;
      return true;
    case kTscDeadlineMsr:
      value = timer_mode() == TimerMode::TscDeadline ? tsc_deadline_ : 0;
      return true;
    default:
      return false;
  }
}

// SDM 3A §10.4.4: all but BSP, EN and the base address is reserved where x2APIC isn't offered.
bool LocalApic::write_msr(u32 index, u64 value) {
  if (index == kTscDeadlineMsr) {
    write_deadline(value);
    return true;
  }
  if (index != kApicBaseMsr) return false;
  const u64 address_bits = (u64{1} << identity_.physical_address_bits) - 1;
  if ((value & ~((address_bits & ~kPageMask) | kBaseEnable | kBaseBootstrap)) != 0) return false;
  const bool was_enabled = enabled();
  base_ = (value & ~kBaseBootstrap) | (base_ & kBaseBootstrap);
  // Leaving the disabled state is like power-up. SDM 3A §10.4.3.
  if (was_enabled != enabled()) reset_registers();
  map_page();
  return true;
}

// --- Registers -----------------------------------------------------------------------------------

u64 LocalApic::read_register(u64 offset, unsigned) {
  return (offset & 0xF) == 0 ? read_aligned(static_cast<unsigned>(offset)) : 0;
}

void LocalApic::write_register(u64 offset, u64 value, unsigned) {
  if ((offset & 0xF) == 0) write_aligned(static_cast<unsigned>(offset), static_cast<u32>(value));
}

u32 LocalApic::read_aligned(unsigned offset) {
  if (offset >= kIsr && offset < kIrrEnd) {
    const VectorSet& set = offset < kTmr ? isr_ : offset < kIrr ? tmr_ : irr_;
    return set.word(offset >> 4);
  }
  if (offset >= kLvtTimer && offset < kLvtEnd) return lvt_[(offset - kLvtTimer) >> 4];
  switch (offset) {
    case kId:
      return id_;
    case kVersion:
      return kVersionValue;
    case kTpr:
      return tpr_;
    case kApr:
      return arbitration_priority();
    case kPpr:
      return processor_priority();
    case kEoi:
      return 0;  // write-only
    case kRemoteRead:
      return 0;
    case kLdr:
      return ldr_;
    case kDfr:
      return dfr_;
    case kSvr:
      return svr_;
    case kEsr:
      return esr_;
    case kIcrLow:
      return icr_low_;
    case kIcrHigh:
      return icr_high_;
    case kInitialCount:
      return initial_count_;
    case kCurrentCount:
      return current_count();
    case kDivide:
      return divide_;
    default:
      set_error(kIllegalRegister);
      return 0;
  }
}

void LocalApic::write_aligned(unsigned offset, u32 value) {
  if (offset >= kLvtTimer && offset < kLvtEnd) {
    write_lvt((offset - kLvtTimer) >> 4, value);
    return;
  }
  if (offset >= kIsr && offset < kIrrEnd) return;  // read-only
  switch (offset) {
    case kId:
      id_ = value & 0xFF000000;
      break;
    case kVersion:
    case kApr:
    case kPpr:
    case kRemoteRead:
    case kCurrentCount:
      break;  // read-only
    case kTpr:
      set_task_priority(static_cast<u8>(value));
      break;
    case kEoi:
      end_of_interrupt();
      break;
    case kLdr:
      ldr_ = value & 0xFF000000;
      break;
    case kDfr:
      dfr_ = value | 0x0FFFFFFF;
      break;
    case kSvr:
      write_svr(value);
      break;
    case kEsr:
      esr_ = logged_errors_;
      logged_errors_ = 0;
      break;
    case kIcrLow:
      icr_low_ = value & kIcrLowWritable;
      send_interprocessor_interrupt();
      break;
    case kIcrHigh:
      icr_high_ = value & 0xFF000000;
      break;
    case kInitialCount:
      write_initial_count(value);
      break;
    case kDivide:
      write_divide(value);
      break;
    default:
      set_error(kIllegalRegister);
      break;
  }
}

void LocalApic::set_task_priority(u8 value) {
  tpr_ = value;
  update_interrupt();
}

// SDM 3A §10.9. Software disabling masks all LVT entries for good; what is pending stays pending.
void LocalApic::write_svr(u32 value) {
  const bool was_enabled = software_enabled();
  svr_ = value & 0x3FF;
  if (was_enabled && !software_enabled()) {
    for (unsigned index = 0; index < kLvtCount; ++index) write_lvt(index, lvt_[index]);
  }
  if (!was_enabled && software_enabled()) wiring_.bus.announce_receivers_changed();
  update_interrupt();
}

void LocalApic::write_lvt(unsigned index, u32 value) {
  u32 entry = value & kLvtWritable[index];
  if (!software_enabled()) entry |= kLvtMasked;
  if (index == kTimer) {
    set_timer_lvt(entry);
    return;
  }
  const bool is_lint = index == kLvtLint0 || index == kLvtLint1;
  const bool was_active = is_lint && lint_active(index - kLvtLint0);
  if ((entry & kLvtLevel) != 0) entry |= lvt_[index] & kLvtRemoteIrr;
  lvt_[index] = entry;
  // A change of polarity is a change of the pin's meaning, and may be an edge.
  if (is_lint) lint_changed(index - kLvtLint0, was_active);
}

// --- Priorities ----------------------------------------------------------------------------------

// SDM 3A §10.8.3.1.
u8 LocalApic::processor_priority() const {
  const u8 in_service = isr_.highest().value_or(0);
  return (tpr_ >> 4) >= (in_service >> 4) ? tpr_ : static_cast<u8>(in_service & 0xF0);
}

// SDM 3A §10.6.2.4.
u8 LocalApic::arbitration_priority() const {
  const unsigned task = tpr_ >> 4;
  const unsigned in_service = isr_.highest().value_or(0) >> 4;
  const unsigned requested = irr_.highest().value_or(0) >> 4;
  if (task >= requested && task > in_service) return tpr_;
  return static_cast<u8>(std::max({task, in_service, requested}) << 4);
}

std::optional<u8> LocalApic::deliverable() const {
  const std::optional<u8> vector = irr_.highest();
  if (!vector || (*vector >> 4) <= (processor_priority() >> 4)) return std::nullopt;
  return vector;
}

bool LocalApic::external_pending() const {
  // A disabled APIC is as if absent: the LINT pins are INTR and NMI. SDM 3A §10.4.3.
  if (!enabled()) return lint_level_[kLint0];
  for (unsigned pin : {kLint0, kLint1}) {
    const u32 entry = lvt_[kLvtLint0 + pin];
    const bool external = delivery_of(entry) == DeliveryMode::ExtInt && (entry & kLvtMasked) == 0;
    if (external && lint_active(pin)) return true;
  }
  return external_message_;
}

void LocalApic::update_interrupt() {
  interrupt_.set((enabled() && deliverable().has_value()) || external_pending());
}

u8 LocalApic::acknowledge() {
  if (const std::optional<u8> vector = enabled() ? deliverable() : std::nullopt) {
    irr_.erase(*vector);
    isr_.insert(*vector);
    update_interrupt();
    return *vector;
  }
  if (external_pending()) {
    const u8 vector = wiring_.pic.acknowledge();
    update_interrupt();
    return vector;
  }
  update_interrupt();
  return static_cast<u8>(svr_);
}

// SDM 3A §10.8.5.
void LocalApic::end_of_interrupt() {
  const std::optional<u8> vector = isr_.highest();
  if (!vector) return;
  isr_.erase(*vector);
  if (tmr_.contains(*vector)) {
    u32& lint0 = lvt_[kLvtLint0];
    if ((lint0 & kLvtRemoteIrr) != 0 && static_cast<u8>(lint0) == *vector) lint0 &= ~kLvtRemoteIrr;
    service_level_lint0();
    wiring_.bus.broadcast_end_of_interrupt(*vector);
  }
  update_interrupt();
}

}  // namespace ringshift::devices
