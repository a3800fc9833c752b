#include "devices/interrupt/apic_bus.h"

namespace ringshift::devices {

namespace {

bool needs_enabled_receiver(DeliveryMode mode) {
  return mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority;
}

bool takes(const ApicReceiver& receiver, const ApicMessage& message) {
  return !needs_enabled_receiver(message.delivery) || receiver.accepts_interrupts();
}

}  // namespace

bool ApicBus::deliver(const ApicMessage& message) {
  if (message.delivery == DeliveryMode::LowestPriority) return deliver_to_lowest(message);
  bool taken = false;
  for (ApicReceiver* receiver : receivers_) {
    if (!receiver->is_destination(message.destination, message.destination_mode)) continue;
    if (!takes(*receiver, message)) continue;
    receiver->accept(message);
    taken = true;
  }
  return taken;
}

bool ApicBus::deliver_to_lowest(const ApicMessage& message) {
  ApicReceiver* lowest = nullptr;
  for (ApicReceiver* receiver : receivers_) {
    if (!receiver->is_destination(message.destination, message.destination_mode)) continue;
    if (!receiver->accepts_interrupts()) continue;
    if (lowest == nullptr || receiver->arbitration_priority() < lowest->arbitration_priority()) {
      lowest = receiver;
    }
  }
  if (lowest == nullptr) return false;
  lowest->accept(message);
  return true;
}

void ApicBus::deliver_to_others(const ApicMessage& message, const ApicReceiver& sender) {
  for (ApicReceiver* receiver : receivers_) {
    if (receiver != &sender && takes(*receiver, message)) receiver->accept(message);
  }
}

void ApicBus::broadcast_end_of_interrupt(u8 vector) {
  for (ApicSender* sender : senders_) sender->end_of_interrupt(vector);
}

void ApicBus::announce_receivers_changed() {
  for (ApicSender* sender : senders_) sender->receivers_changed();
}

}  // namespace ringshift::devices
