// What reaches a local APIC and what it sends: local sources and the LINT pins (SDM 3A §10.5), and
// interrupt messages (§10.6).
#include "devices/interrupt/local_apic.h"
#include "devices/interrupt/local_apic_bits.h"

namespace ringshift::devices {

using namespace local_apic;

// --- Arrivals ------------------------------------------------------------------------------------

void LocalApic::request(u8 vector, TriggerMode trigger) {
  if (vector < kLowestApicVector) {
    set_error(kReceiveIllegalVector);
    return;
  }
  irr_.insert(vector);
  if (trigger == TriggerMode::Level) {
    tmr_.insert(vector);
  } else {
    tmr_.erase(vector);
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
    case DeliveryMode::Fixed:
      request(static_cast<u8>(entry), TriggerMode::Edge);
      break;
    case DeliveryMode::Smi:
      wiring_.processor.smi();
      break;
    case DeliveryMode::Nmi:
      pulse_nmi();
      break;
    case DeliveryMode::Init:
      initialize();
      break;
    case DeliveryMode::ExtInt:  // a level, not an event: see external_pending()
    case DeliveryMode::LowestPriority:
    case DeliveryMode::RemoteRead:
    case DeliveryMode::StartUp:
      break;  // reserved in an LVT
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
  const bool level_triggered =
      pin == kLint0 && (entry & kLvtLevel) != 0 && delivery_of(entry) == DeliveryMode::Fixed;
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

// --- Messages ------------------------------------------------------------------------------------

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
    case DeliveryMode::LowestPriority:
      request(message.vector, message.trigger);
      break;
    case DeliveryMode::Smi:
      wiring_.processor.smi();
      break;
    case DeliveryMode::Nmi:
      pulse_nmi();
      break;
    case DeliveryMode::Init:
      initialize();
      break;
    case DeliveryMode::StartUp:
      wiring_.processor.start_up(message.vector);
      break;
    case DeliveryMode::ExtInt:
      external_message_ = message.asserted;
      update_interrupt();
      break;
    case DeliveryMode::RemoteRead:
      break;
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
  if (message.delivery == DeliveryMode::RemoteRead || message.delivery == DeliveryMode::ExtInt)
    return;
  if ((fixed || message.delivery == DeliveryMode::LowestPriority) &&
      message.vector < kLowestApicVector) {
    set_error(kSendIllegalVector);
    return;
  }
  // INIT level de-assert only synchronizes arbitration IDs, which an xAPIC doesn't have.
  const bool deassert = (icr_low_ & kIcrLevel) != 0 && (icr_low_ & kIcrAssert) == 0;
  if (message.delivery == DeliveryMode::Init && deassert) return;

  switch (shorthand) {
    case kNone:
      wiring_.bus.deliver(message);
      break;
    case kSelf:
      if (fixed && software_enabled()) accept(message);
      break;
    case kAllIncludingSelf:
      if (!fixed) break;
      message.destination = kApicBroadcast;
      message.destination_mode = DestinationMode::Physical;
      wiring_.bus.deliver(message);
      break;
    case kAllExcludingSelf:
      wiring_.bus.deliver_to_others(message, *this);
      break;
  }
}

}  // namespace ringshift::devices
