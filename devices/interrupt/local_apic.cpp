#include "devices/interrupt/local_apic.h"

#include <algorithm>
#include <bit>

namespace ringshift::devices {

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

// LVT bits. SDM 3A figure 10-8.
constexpr u32 kLvtMasked = 1U << 16;
constexpr u32 kLvtLevel = 1U << 15;
constexpr u32 kLvtRemoteIrr = 1U << 14;
constexpr u32 kLvtActiveLow = 1U << 13;
constexpr std::array<u32, 6> kLvtWritable = {
    0x000700FF,  // timer: vector, mask, mode
    0x000107FF,  // thermal sensor: vector, delivery mode, mask
    0x000107FF,  // performance counters
    0x0001A7FF,  // LINT0: also polarity and trigger mode
    0x0001A7FF,  // LINT1
    0x000100FF,  // error: vector, mask
};

// ESR bits. SDM 3A figure 10-9.
constexpr u32 kSendIllegalVector = 1U << 5;
constexpr u32 kReceiveIllegalVector = 1U << 6;
constexpr u32 kIllegalRegister = 1U << 7;

constexpr u32 kIcrLowWritable = 0x000CCFFF;
constexpr u32 kIcrDestinationLogical = 1U << 11;
constexpr u32 kIcrAssert = 1U << 14;
constexpr u32 kIcrLevel = 1U << 15;

using VectorSet = std::array<u32, 8>;

bool contains(const VectorSet& set, u8 vector) { return (set[vector / 32] >> (vector % 32)) & 1; }
void insert(VectorSet& set, u8 vector) { set[vector / 32] |= 1U << (vector % 32); }
void erase(VectorSet& set, u8 vector) { set[vector / 32] &= ~(1U << (vector % 32)); }

std::optional<u8> highest(const VectorSet& set) {
  for (unsigned word = 8; word-- > 0;) {
    if (set[word] != 0) {
      return static_cast<u8>(word * 32 + 31 - static_cast<unsigned>(std::countl_zero(set[word])));
    }
  }
  return std::nullopt;
}

DeliveryMode delivery_of(u32 entry) { return static_cast<DeliveryMode>((entry >> 8) & 7); }

}  // namespace

LocalApic::LocalApic(Wiring wiring, Identity identity)
    : wiring_(wiring), identity_(identity), timer_(wiring.clock, [this] { timer_expired(); }) {
  wiring_.bus.attach(*this);
  reset(ResetKind::PowerOn);
}

LocalApic::~LocalApic() { unmap_page(); }

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
  tsc_deadline_ = 0;
  timer_.cancel();
  update_interrupt();
}

void LocalApic::serialize(StateArchive& archive) {
  archive.section("local-apic", 1);
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
  if (archive.restoring()) {
    map_page();
    interrupt_.restore_level(deliverable().has_value() || external_pending());
  }
}

// --- The register page's place and the MSRs -------------------------------------------------------

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
    case kApicBaseMsr: value = base_; return true;
    case kTscDeadlineMsr: value = timer_mode() == TimerMode::TscDeadline ? tsc_deadline_ : 0; return true;
    default: return false;
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

// --- Registers ------------------------------------------------------------------------------------

u64 LocalApic::read_register(u64 offset, unsigned) {
  return (offset & 0xF) == 0 ? read_aligned(static_cast<unsigned>(offset)) : 0;
}

void LocalApic::write_register(u64 offset, u64 value, unsigned) {
  if ((offset & 0xF) == 0) write_aligned(static_cast<unsigned>(offset), static_cast<u32>(value));
}

u32 LocalApic::read_aligned(unsigned offset) {
  if (offset >= kIsr && offset < kIrrEnd) {
    const VectorSet& set = offset < kTmr ? isr_ : offset < kIrr ? tmr_ : irr_;
    return set[(offset >> 4) & 7];
  }
  if (offset >= kLvtTimer && offset < kLvtEnd) return lvt_[(offset - kLvtTimer) >> 4];
  switch (offset) {
    case kId: return id_;
    case kVersion: return kVersionValue;
    case kTpr: return tpr_;
    case kApr: return arbitration_priority();
    case kPpr: return processor_priority();
    case kEoi: return 0;  // write-only
    case kRemoteRead: return 0;
    case kLdr: return ldr_;
    case kDfr: return dfr_;
    case kSvr: return svr_;
    case kEsr: return esr_;
    case kIcrLow: return icr_low_;
    case kIcrHigh: return icr_high_;
    case kInitialCount: return initial_count_;
    case kCurrentCount: return current_count();
    case kDivide: return divide_;
    default: set_error(kIllegalRegister); return 0;
  }
}

void LocalApic::write_aligned(unsigned offset, u32 value) {
  if (offset >= kLvtTimer && offset < kLvtEnd) {
    write_lvt((offset - kLvtTimer) >> 4, value);
    return;
  }
  if (offset >= kIsr && offset < kIrrEnd) return;  // read-only
  switch (offset) {
    case kId: id_ = value & 0xFF000000; break;
    case kVersion: case kApr: case kPpr: case kRemoteRead: case kCurrentCount: break;  // read-only
    case kTpr: set_task_priority(static_cast<u8>(value)); break;
    case kEoi: end_of_interrupt(); break;
    case kLdr: ldr_ = value & 0xFF000000; break;
    case kDfr: dfr_ = value | 0x0FFFFFFF; break;
    case kSvr: write_svr(value); break;
    case kEsr:
      esr_ = logged_errors_;
      logged_errors_ = 0;
      break;
    case kIcrLow:
      icr_low_ = value & kIcrLowWritable;
      send_interprocessor_interrupt();
      break;
    case kIcrHigh: icr_high_ = value & 0xFF000000; break;
    case kInitialCount: write_initial_count(value); break;
    case kDivide: write_divide(value); break;
    default: set_error(kIllegalRegister); break;
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

// --- Priorities -----------------------------------------------------------------------------------

// SDM 3A §10.8.3.1.
u8 LocalApic::processor_priority() const {
  const u8 in_service = highest(isr_).value_or(0);
  return (tpr_ >> 4) >= (in_service >> 4) ? tpr_ : static_cast<u8>(in_service & 0xF0);
}

// SDM 3A §10.6.2.4.
u8 LocalApic::arbitration_priority() const {
  const unsigned task = tpr_ >> 4;
  const unsigned in_service = highest(isr_).value_or(0) >> 4;
  const unsigned requested = highest(irr_).value_or(0) >> 4;
  if (task >= requested && task > in_service) return tpr_;
  return static_cast<u8>(std::max({task, in_service, requested}) << 4);
}

std::optional<u8> LocalApic::deliverable() const {
  const std::optional<u8> vector = highest(irr_);
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
    erase(irr_, *vector);
    insert(isr_, *vector);
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
  const std::optional<u8> vector = highest(isr_);
  if (!vector) return;
  erase(isr_, *vector);
  if (contains(tmr_, *vector)) {
    u32& lint0 = lvt_[kLvtLint0];
    if ((lint0 & kLvtRemoteIrr) != 0 && static_cast<u8>(lint0) == *vector) lint0 &= ~kLvtRemoteIrr;
    service_level_lint0();
    wiring_.bus.broadcast_end_of_interrupt(*vector);
  }
  update_interrupt();
}

// --- Arrivals -------------------------------------------------------------------------------------

void LocalApic::request(u8 vector, TriggerMode trigger) {
  if (vector < kLowestApicVector) {
    set_error(kReceiveIllegalVector);
    return;
  }
  insert(irr_, vector);
  if (trigger == TriggerMode::Level) {
    insert(tmr_, vector);
  } else {
    erase(tmr_, vector);
  }
  update_interrupt();
}

void LocalApic::set_error(u32 bit) {
  const bool news = (logged_errors_ & bit) == 0;
  logged_errors_ |= bit;
  // The error interrupt's own illegal vector is logged but can't ask for itself again.
  const bool own_vector_illegal = static_cast<u8>(lvt_[kError]) < kLowestApicVector;
  if (!news || (lvt_[kError] & kLvtMasked) != 0) return;
  if (own_vector_illegal) {
    logged_errors_ |= kReceiveIllegalVector;
  } else {
    request(static_cast<u8>(lvt_[kError]), TriggerMode::Edge);
  }
}

void LocalApic::pulse_nmi() {
  nmi_.raise();
  nmi_.lower();
}

void LocalApic::initialize() {
  reset_registers();
  wiring_.processor.init();
}

/// An event at a local source whose LVT entry isn't masked.
void LocalApic::fire_lvt(unsigned index) {
  const u32 entry = lvt_[index];
  if ((entry & kLvtMasked) != 0) return;
  // The timer and error entries have no delivery mode: their bits 10:8 read zero, which is Fixed.
  switch (delivery_of(entry)) {
    case DeliveryMode::Fixed: request(static_cast<u8>(entry), TriggerMode::Edge); break;
    case DeliveryMode::Smi: wiring_.processor.smi(); break;
    case DeliveryMode::Nmi: pulse_nmi(); break;
    case DeliveryMode::Init: initialize(); break;
    case DeliveryMode::ExtInt:      // a level, not an event: see external_pending()
    case DeliveryMode::LowestPriority:
    case DeliveryMode::RemoteRead:
    case DeliveryMode::StartUp: break;  // reserved in an LVT
  }
}

bool LocalApic::lint_active(unsigned pin) const {
  const bool active_low = (lvt_[kLvtLint0 + pin] & kLvtActiveLow) != 0;
  return lint_level_[pin] != active_low;
}

void LocalApic::set_irq(unsigned number, bool level) {
  if (number > kLint1) return;
  const bool was_active = lint_active(number);
  const bool rising = level && !lint_level_[number];
  lint_level_[number] = level;
  if (!enabled()) {
    if (number == kLint1 && rising) pulse_nmi();
    update_interrupt();
    return;
  }
  lint_changed(number, was_active);
}

void LocalApic::lint_changed(unsigned pin, bool was_active) {
  const u32 entry = lvt_[kLvtLint0 + pin];
  // Level sensitivity is a matter of LINT0 and of fixed interrupts only. SDM 3A §10.5.1.
  const bool level_triggered = pin == kLint0 && (entry & kLvtLevel) != 0 &&
                               delivery_of(entry) == DeliveryMode::Fixed;
  if (level_triggered) {
    service_level_lint0();
  } else if (lint_active(pin) && !was_active) {
    fire_lvt(kLvtLint0 + pin);
  }
  update_interrupt();
}

void LocalApic::service_level_lint0() {
  u32& entry = lvt_[kLvtLint0];
  const bool wanted = (entry & kLvtLevel) != 0 && (entry & (kLvtMasked | kLvtRemoteIrr)) == 0 &&
                      delivery_of(entry) == DeliveryMode::Fixed && lint_active(kLint0);
  if (!wanted) return;
  if (static_cast<u8>(entry) >= kLowestApicVector) entry |= kLvtRemoteIrr;
  request(static_cast<u8>(entry), TriggerMode::Level);
}

// --- Messages -------------------------------------------------------------------------------------

// SDM 3A §10.6.2.1 and §10.6.2.2.
bool LocalApic::is_destination(u8 destination, DestinationMode mode) const {
  if (!enabled()) return false;
  if (destination == kApicBroadcast) return true;
  if (mode == DestinationMode::Physical) return destination == (id_ >> 24);
  const u8 logical = static_cast<u8>(ldr_ >> 24);
  if ((dfr_ >> 28) == 0xF) return (destination & logical) != 0;
  return (destination >> 4) == (logical >> 4) && (destination & logical & 0xF) != 0;
}

void LocalApic::accept(const ApicMessage& message) {
  switch (message.delivery) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority: request(message.vector, message.trigger); break;
    case DeliveryMode::Smi: wiring_.processor.smi(); break;
    case DeliveryMode::Nmi: pulse_nmi(); break;
    case DeliveryMode::Init: initialize(); break;
    case DeliveryMode::StartUp: wiring_.processor.start_up(message.vector); break;
    case DeliveryMode::ExtInt:
      external_message_ = message.asserted;
      update_interrupt();
      break;
    case DeliveryMode::RemoteRead: break;
  }
}

// SDM 3A §10.6.1, with the combinations that table 10-4 calls valid.
void LocalApic::send_interprocessor_interrupt() {
  enum Shorthand : u32 { kNone = 0, kSelf = 1, kAllIncludingSelf = 2, kAllExcludingSelf = 3 };
  ApicMessage message;
  message.delivery = delivery_of(icr_low_);
  message.vector = static_cast<u8>(icr_low_);
  message.destination = static_cast<u8>(icr_high_ >> 24);
  message.destination_mode = (icr_low_ & kIcrDestinationLogical) != 0 ? DestinationMode::Logical
                                                                      : DestinationMode::Physical;
  const u32 shorthand = (icr_low_ >> 18) & 3;
  const bool fixed = message.delivery == DeliveryMode::Fixed;
  if (message.delivery == DeliveryMode::RemoteRead || message.delivery == DeliveryMode::ExtInt) return;
  if ((fixed || message.delivery == DeliveryMode::LowestPriority) &&
      message.vector < kLowestApicVector) {
    set_error(kSendIllegalVector);
    return;
  }
  // INIT level de-assert only synchronizes arbitration IDs, which an xAPIC doesn't have.
  const bool deassert = (icr_low_ & kIcrLevel) != 0 && (icr_low_ & kIcrAssert) == 0;
  if (message.delivery == DeliveryMode::Init && deassert) return;

  switch (shorthand) {
    case kNone: wiring_.bus.deliver(message); break;
    case kSelf:
      if (fixed && software_enabled()) accept(message);
      break;
    case kAllIncludingSelf:
      if (!fixed) break;
      message.destination = kApicBroadcast;
      message.destination_mode = DestinationMode::Physical;
      wiring_.bus.deliver(message);
      break;
    case kAllExcludingSelf: wiring_.bus.deliver_to_others(message, *this); break;
  }
}

}  // namespace ringshift::devices
