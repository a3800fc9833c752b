// Register bits that the parts of the local APIC share.
#pragma once

#include "cpu/types.h"
#include "devices/interrupt/apic_bus.h"

namespace ringshift::devices::local_apic {

// LVT bits. SDM 3A figure 10-8.
inline constexpr u32 kLvtMasked = 1U << 16;
inline constexpr u32 kLvtLevel = 1U << 15;
inline constexpr u32 kLvtRemoteIrr = 1U << 14;
inline constexpr u32 kLvtActiveLow = 1U << 13;

// ESR bits. SDM 3A figure 10-9.
inline constexpr u32 kSendIllegalVector = 1U << 5;
inline constexpr u32 kReceiveIllegalVector = 1U << 6;
inline constexpr u32 kIllegalRegister = 1U << 7;

// ICR bits. SDM 3A figure 10-12.
inline constexpr u32 kIcrDestinationLogical = 1U << 11;
inline constexpr u32 kIcrAssert = 1U << 14;
inline constexpr u32 kIcrLevel = 1U << 15;

/// The delivery mode of an LVT entry or of the ICR.
inline DeliveryMode delivery_of(u32 entry) {
  return static_cast<DeliveryMode>((entry >> 8) & 7);
}

}  // namespace ringshift::devices::local_apic
