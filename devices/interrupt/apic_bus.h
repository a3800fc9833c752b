// The bus on which I/O APICs and local APICs send each other interrupt messages. It exists so that
// a local APIC never knows how many others there are: destination matching and lowest-priority
// arbitration are the bus's, and a second processor is one more `attach`. SDM 3A §10.6.2.
#pragma once

#include <vector>

#include "cpu/types.h"

namespace ringshift::devices {

/// SDM 3A §10.6.1 (ICR) and §10.5.1 (LVT); 82093AA §3.2.4. The encoding of bits 10:8.
enum class DeliveryMode : u8 {
  Fixed = 0,
  LowestPriority = 1,
  Smi = 2,
  RemoteRead = 3,  ///< reserved since the Pentium 4
  Nmi = 4,
  Init = 5,
  StartUp = 6,
  ExtInt = 7,
};
enum class TriggerMode : u8 { Edge = 0, Level = 1 };
enum class DestinationMode : u8 { Physical = 0, Logical = 1 };

inline constexpr u8 kApicBroadcast = 0xFF;
/// Vectors below this are reserved for exceptions and can't be sent. SDM 3A §10.5.2.
inline constexpr u8 kLowestApicVector = 16;

/// One interrupt message.
struct ApicMessage {
  u8 destination = 0;
  DestinationMode destination_mode = DestinationMode::Physical;
  DeliveryMode delivery = DeliveryMode::Fixed;
  TriggerMode trigger = TriggerMode::Edge;
  u8 vector = 0;
  /// ExtINT only: whether the 8259's output is now active. Everything else is sent when asserted.
  bool asserted = true;
};

/// A local APIC as the bus sees it.
class ApicReceiver {
 public:
  virtual ~ApicReceiver() = default;
  virtual bool is_destination(u8 destination, DestinationMode mode) const = 0;
  /// Whether a fixed or lowest-priority interrupt would be taken (software-enabled). §10.4.7.2.
  virtual bool accepts_interrupts() const = 0;
  virtual u8 arbitration_priority() const = 0;
  virtual void accept(const ApicMessage& message) = 0;
};

/// An I/O APIC as the bus sees it.
class ApicSender {
 public:
  virtual ~ApicSender() = default;
  /// A processor has ended a level-triggered interrupt.
  virtual void end_of_interrupt(u8 vector) = 0;
  /// Some local APIC now takes messages that it refused before: what waits may be sent again.
  virtual void receivers_changed() = 0;
};

class ApicBus {
 public:
  ApicBus() = default;
  ApicBus(const ApicBus&) = delete;
  ApicBus& operator=(const ApicBus&) = delete;

  void attach(ApicReceiver& receiver) { receivers_.push_back(&receiver); }
  void attach(ApicSender& sender) { senders_.push_back(&sender); }

  /// Delivers to every destination, or with LowestPriority to the one of lowest priority. Returns
  /// whether anybody has taken it; the sender of a level-triggered interrupt tries again if not.
  bool deliver(const ApicMessage& message);
  /// Delivers to all receivers but `sender` ("all excluding self").
  void deliver_to_others(const ApicMessage& message, const ApicReceiver& sender);

  void broadcast_end_of_interrupt(u8 vector);
  void announce_receivers_changed();

 private:
  bool deliver_to_lowest(const ApicMessage& message);

  std::vector<ApicReceiver*> receivers_;
  std::vector<ApicSender*> senders_;
};

}  // namespace ringshift::devices
