// Three one-register devices that firmware, test kernels and guests under automation use to talk to
// a monitor without any driver: a console that is one port, an exit port that ends the machine with
// a code for a CI job, and the port by which a crashing kernel says so (pvpanic).
#pragma once

#include <string>

#include "cpu/io_handler.h"
#include "devices/backends.h"
#include "devices/device.h"

namespace ringshift::devices {

/// Every byte written goes to the backend. Reads give E9h, by which software finds the port;
/// SeaBIOS probes 402h like that, and the older console at port E9h answers with its own number.
class DebugConsole final : public Device, public IoHandler {
 public:
  static constexpr u8 kReadback = 0xE9;
  /// `backend` may be null: then the port is there and swallows everything.
  DebugConsole(std::string name, CharacterBackend* backend)
      : name_(std::move(name)), backend_(backend) {}

  std::string_view name() const override { return name_; }
  void reset(ResetKind) override {}
  void serialize(StateArchive& archive) override { archive.section(name_, 1); }
  u64 io_read(u64, unsigned) override { return kReadback; }
  void io_write(u64, u64 value, unsigned) override {
    if (backend_ != nullptr) backend_->transmit(static_cast<u8>(value));
  }

 private:
  std::string name_;
  CharacterBackend* backend_;
};

/// isa-debug-exit: a write of 1, 2 or 4 bytes asks for the end of the machine with that value.
class DebugExit final : public Device, public IoHandler {
 public:
  static constexpr unsigned kPortCount = 4;
  explicit DebugExit(MachineControl& machine) : machine_(machine) {}

  std::string_view name() const override { return "debug-exit"; }
  void reset(ResetKind) override {}
  void serialize(StateArchive& archive) override { archive.section("debug-exit", 1); }
  u64 io_read(u64, unsigned) override { return 0; }
  void io_write(u64, u64 value, unsigned) override {
    machine_.request_debug_exit(static_cast<u32>(value));
  }

 private:
  MachineControl& machine_;
};

/// pvpanic, ISA form (QEMU docs/specs/pvpanic, Linux drivers/misc/pvpanic): reads give the events
/// that the device knows, a write reports events.
class PanicPort final : public Device, public IoHandler {
 public:
  static constexpr u8 kPanicked = 0x01;
  static constexpr u8 kCrashLoaded =
      0x02;  ///< the guest panicked and goes on into its crash kernel
  explicit PanicPort(MachineControl& machine) : machine_(machine) {}

  std::string_view name() const override { return "pvpanic"; }
  void reset(ResetKind kind) override;
  void serialize(StateArchive& archive) override;
  u64 io_read(u64, unsigned) override { return kPanicked | kCrashLoaded; }
  void io_write(u64, u64 value, unsigned) override;

  /// All events reported since reset.
  u8 events() const { return events_; }

 private:
  MachineControl& machine_;
  u8 events_ = 0;
};

}  // namespace ringshift::devices
