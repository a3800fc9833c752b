#include <catch2/catch.hpp>

#include "devices/port_bus.h"

using namespace ringshift;
using ringshift::devices::PortBus;

namespace {

struct Recorder : IoHandler {
  u64 io_read(u64 offset, unsigned size) override {
    last_offset = offset, last_size = size;
    return 0x44332211 >> (8 * (offset & 3));
  }
  void io_write(u64 offset, u64 value, unsigned size) override {
    last_offset = offset, last_size = size, last_value = value;
  }
  u64 last_offset = ~u64{0}, last_value = 0;
  unsigned last_size = 0;
};

}  // namespace

TEST_CASE("unclaimed ports read as all ones") {
  PortBus bus;
  CHECK(bus.read(0x80, 1) == 0xFF);
  CHECK(bus.read(0x80, 4) == 0xFFFFFFFF);
  bus.write(0x80, 1, 4);
}

TEST_CASE("wide accesses split over byte-wide handlers and across regions") {
  PortBus bus;
  Recorder low, high;
  REQUIRE(bus.map(0x10, 2, "low", low));
  REQUIRE(bus.map(0x12, 2, "high", high, {1, 2}));
  CHECK(bus.read(0x10, 4) == 0x22112211);
  bus.write(0x11, 0xAABBCC, 4);
  CHECK(low.last_value == 0xCC);
  CHECK(low.last_offset == 1);
  CHECK(high.last_value == 0xAABB);
  CHECK(high.last_size == 2);
}

TEST_CASE("narrow accesses to a wide handler read and merge") {
  PortBus bus;
  Recorder wide;
  REQUIRE(bus.map(0xCF8, 4, "wide", wide, {4, 4}));
  CHECK(bus.read(0xCFA, 1) == 0x33);
  bus.write(0xCF9, 0xEE, 1);
  CHECK(wide.last_value == 0x4433EE11);
  CHECK(wide.last_size == 4);
}

TEST_CASE("two claims on one port are refused with both names") {
  PortBus bus;
  Recorder device;
  REQUIRE(bus.map(0x60, 1, "first", device));
  const auto result = bus.map(0x60, 5, "second", device);
  REQUIRE_FALSE(result);
  CHECK(result.error().message == "second: port 96 belongs to first");
  bus.unmap(0x60, device);
  CHECK(bus.map(0x60, 5, "second", device));
  CHECK(bus.regions().size() == 1);
}
