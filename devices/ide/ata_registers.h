// The vocabulary of the ATA task file (ATA/ATAPI-6, T13 1410D, chapter 7), shared by the channel
// and the drives.
#pragma once

#include "cpu/types.h"

namespace ringshift::devices::ata {

/// Offsets in the command block. On reads, Error is offset 1 and Status is 7; on writes they are
/// Features and Command.
enum class Register : u8 { Data, Error, Count, LbaLow, LbaMid, LbaHigh, Device, Status };

// Status
inline constexpr u8 kError = 0x01;  ///< ERR; CHK for packet devices
inline constexpr u8 kDataRequest = 0x08;
inline constexpr u8 kSeekComplete = 0x10;  ///< DSC; SERV for packet devices
inline constexpr u8 kDeviceFault = 0x20;
inline constexpr u8 kReady = 0x40;
inline constexpr u8 kBusy = 0x80;

// Error
inline constexpr u8 kAborted = 0x04;
inline constexpr u8 kIdNotFound = 0x10;
inline constexpr u8 kUncorrectable = 0x40;
inline constexpr u8 kWriteProtected = 0x40;  ///< the same bit, after writes
inline constexpr u8 kDiagnosticPassed = 0x01;

// Device
inline constexpr u8 kDeviceSelect = 0x10;
inline constexpr u8 kLbaMode = 0x40;

// Device control
inline constexpr u8 kInterruptDisable = 0x02;  ///< nIEN
inline constexpr u8 kSoftReset = 0x04;         ///< SRST
inline constexpr u8 kHighOrderByte = 0x80;     ///< HOB

// Commands that the channel or both kinds of drives know.
inline constexpr u8 kNop = 0x00;
inline constexpr u8 kDeviceReset = 0x08;
inline constexpr u8 kExecuteDiagnostic = 0x90;
inline constexpr u8 kSetFeatures = 0xEF;

}  // namespace ringshift::devices::ata
