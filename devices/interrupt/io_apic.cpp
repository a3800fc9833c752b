#include "devices/interrupt/io_apic.h"

namespace ringshift::devices {

namespace {

enum Offset : u64 { kSelect = 0x00, kWindow = 0x10, kEoi = 0x40 };
enum Index : u8 { kId = 0, kVersion = 1, kArbitration = 2, kTable = 0x10 };

// Redirection table entry. 82093AA §3.2.4.
constexpr u64 kLogical = 1U << 11;
constexpr u64 kActiveLow = 1U << 13;
constexpr u64 kRemoteIrr = 1U << 14;
constexpr u64 kLevel = 1U << 15;
constexpr u64 kMasked = 1U << 16;
constexpr u64 kWritable = 0xFF00'0000'0001'AFFF;

DeliveryMode delivery_of(u64 entry) {
  return static_cast<DeliveryMode>((entry >> 8) & 7);
}

/// SMI, NMI, INIT and ExtINT are edge-triggered whatever the trigger bit says. 82093AA §3.2.4.
bool is_level(u64 entry) {
  const DeliveryMode mode = delivery_of(entry);
  return (entry & kLevel) != 0 &&
         (mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority);
}

}  // namespace

IoApic::IoApic(ApicBus& bus, Version version, u32 active_low_pins)
    : bus_(bus), version_(version), active_low_pins_(active_low_pins), wires_(active_low_pins) {
  bus_.attach(*this);
  reset(ResetKind::PowerOn);
}

void IoApic::reset(ResetKind) {
  id_ = 0;
  select_ = 0;
  external_sent_ = 0;
  entries_.fill(kMasked);
}

void IoApic::serialize(StateArchive& archive) {
  archive.section("io-apic", 1);
  archive.field("id", id_);
  archive.field("select", select_);
  archive.field("wires", wires_);
  archive.field("external_sent", external_sent_);
  archive.field("entries", entries_);
}

u64 IoApic::io_read(u64 offset, unsigned) {
  switch (offset) {
    case kSelect:
      return select_;
    case kWindow:
      return read_indexed();
    default:
      return 0;
  }
}

void IoApic::io_write(u64 offset, u64 value, unsigned) {
  switch (offset) {
    case kSelect:
      select_ = static_cast<u8>(value);
      break;
    case kWindow:
      write_indexed(static_cast<u32>(value));
      break;
    case kEoi:
      if (version_ == Version::WithEoiRegister) end_of_interrupt(static_cast<u8>(value));
      break;
    default:
      break;
  }
}

u32 IoApic::read_indexed() const {
  if (select_ >= kTable && select_ < kTable + 2 * kPinCount) {
    const u64 entry = entries_[(select_ - kTable) / 2];
    return static_cast<u32>((select_ & 1) != 0 ? entry >> 32 : entry);
  }
  switch (select_) {
    case kId:
    case kArbitration:
      return static_cast<u32>(id_) << 24;
    case kVersion:
      return ((kPinCount - 1) << 16) | static_cast<u32>(version_);
    default:
      return 0;
  }
}

void IoApic::write_indexed(u32 value) {
  if (select_ >= kTable && select_ < kTable + 2 * kPinCount) {
    const unsigned pin = (select_ - kTable) / 2u;
    const u64 old = entries_[pin];
    write_entry(pin, (select_ & 1) != 0 ? (old & 0xFFFFFFFF) | (static_cast<u64>(value) << 32)
                                        : (old & ~u64{0xFFFFFFFF}) | value);
  } else if (select_ == kId) {
    id_ = (value >> 24) & 0xF;
  }
}

void IoApic::write_entry(unsigned pin, u64 value) {
  const bool was_active = pin_active(pin);
  u64& entry = entries_[pin];
  // Remote IRR belongs to a level-triggered interrupt: programming the pin as edge-triggered clears
  // it.
  const u64 in_flight = (value & kLevel) != 0 ? entry & kRemoteIrr : 0;
  entry = (value & kWritable) | in_flight;
  update_external(pin);
  if (is_level(entry)) {
    service_level(pin);
  } else if (pin_active(pin) && !was_active && (entry & kMasked) == 0) {
    send(pin);  // the polarity bit has made an edge
  }
}

bool IoApic::pin_active(unsigned pin) const {
  const bool high = ((wires_ >> pin) & 1) != 0;
  return high != ((entries_[pin] & kActiveLow) != 0);
}

void IoApic::set_irq(unsigned number, bool level) {
  if (number >= kPinCount) return;
  const bool was_active = pin_active(number);
  const bool high = level != (((active_low_pins_ >> number) & 1) != 0);
  wires_ = (wires_ & ~(1U << number)) | (static_cast<u32>(high) << number);
  update_external(number);
  if (is_level(entries_[number])) {
    service_level(number);
  } else if (pin_active(number) && !was_active && (entries_[number] & kMasked) == 0) {
    send(number);  // an edge on a masked pin is lost: 82093AA §3.2.4, interrupt mask
  }
}

/// Sends the pin's message; false if no local APIC took it.
bool IoApic::send(unsigned pin) {
  const u64 entry = entries_[pin];
  ApicMessage message;
  message.destination = static_cast<u8>(entry >> 56);
  message.destination_mode =
      (entry & kLogical) != 0 ? DestinationMode::Logical : DestinationMode::Physical;
  message.delivery = delivery_of(entry);
  message.trigger = is_level(entry) ? TriggerMode::Level : TriggerMode::Edge;
  message.vector = static_cast<u8>(entry);
  switch (message.delivery) {
    case DeliveryMode::RemoteRead:
    case DeliveryMode::StartUp:
      return false;  // reserved here
    case DeliveryMode::ExtInt:
      return true;  // update_external() has sent it
    default:
      return bus_.deliver(message);
  }
}

void IoApic::service_level(unsigned pin) {
  u64& entry = entries_[pin];
  if ((entry & (kMasked | kRemoteIrr)) != 0 || !pin_active(pin)) return;
  // Set first: the interrupt may be acknowledged and ended while it is being sent.
  entry |= kRemoteIrr;
  if (!send(pin)) entry &= ~kRemoteIrr;
}

/// ExtINT makes the pin an extension of the 8259's INTR wire: the local APIC must know its level.
void IoApic::update_external(unsigned pin) {
  const u64 entry = entries_[pin];
  const bool wanted =
      delivery_of(entry) == DeliveryMode::ExtInt && (entry & kMasked) == 0 && pin_active(pin);
  const u32 bit = 1U << pin;
  if (wanted == ((external_sent_ & bit) != 0)) return;
  external_sent_ ^= bit;
  ApicMessage message;
  // The end is told to all: the entry may name another destination than when it began.
  message.destination = wanted ? static_cast<u8>(entry >> 56) : kApicBroadcast;
  message.destination_mode =
      wanted && (entry & kLogical) != 0 ? DestinationMode::Logical : DestinationMode::Physical;
  message.delivery = DeliveryMode::ExtInt;
  message.asserted = wanted;
  bus_.deliver(message);
}

void IoApic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < kPinCount; ++pin) {
    u64& entry = entries_[pin];
    if (static_cast<u8>(entry) != vector || (entry & kRemoteIrr) == 0) continue;
    entry &= ~kRemoteIrr;
    if (is_level(entry)) service_level(pin);
  }
}

void IoApic::receivers_changed() {
  for (unsigned pin = 0; pin < kPinCount; ++pin) {
    if (is_level(entries_[pin])) service_level(pin);
  }
}

}  // namespace ringshift::devices
