#include "bios/acpi/resources.h"

#include "bios/little_endian.h"

namespace ringshift::bios::acpi {

namespace {

// Tags with their length where it is part of the tag (small descriptors).
constexpr u8 kIrq = 0x22, kDma = 0x2A, kPorts = 0x47, kEnd = 0x79;
constexpr u8 kMemory32Fixed = 0x86, kDwordWindow = 0x87, kWordWindow = 0x88, kInterrupt = 0x89;
constexpr u8 kWindowMemory = 0, kWindowPorts = 1, kWindowBus = 2;
constexpr u8 kProducerFixed = 0x0C;  // producer, both limits fixed, positive decode
constexpr u8 kEntireRange = 0x03;
constexpr u8 kReadWrite = 0x01;

}  // namespace

ResourceTemplate& ResourceTemplate::irq(unsigned number) {
  bytes_.push_back(kIrq);
  append_little_endian(bytes_, u64{1} << number, 2);
  return *this;
}

ResourceTemplate& ResourceTemplate::shared_interrupts(std::initializer_list<u32> numbers) {
  constexpr u8 kConsumer = 1 << 0, kShared = 1 << 3;
  bytes_.push_back(kInterrupt);
  append_little_endian(bytes_, 2 + 4 * numbers.size(), 2);
  bytes_.push_back(kConsumer | kShared);
  bytes_.push_back(static_cast<u8>(numbers.size()));
  for (u32 number : numbers) append_little_endian(bytes_, number, 4);
  return *this;
}

ResourceTemplate& ResourceTemplate::ports(u16 first, u8 count) {
  bytes_.push_back(kPorts);
  bytes_.push_back(1);  // decodes 16 address bits
  append_little_endian(bytes_, first, 2);
  append_little_endian(bytes_, first, 2);
  bytes_.push_back(1);
  bytes_.push_back(count);
  return *this;
}

ResourceTemplate& ResourceTemplate::dma(unsigned channel) {
  bytes_.push_back(kDma);
  bytes_.push_back(static_cast<u8>(1U << channel));
  bytes_.push_back(0);
  return *this;
}

ResourceTemplate& ResourceTemplate::memory(u32 first, u32 length) {
  bytes_.push_back(kMemory32Fixed);
  append_little_endian(bytes_, 9, 2);
  bytes_.push_back(kReadWrite);
  append_little_endian(bytes_, first, 4);
  append_little_endian(bytes_, length, 4);
  return *this;
}

void ResourceTemplate::word_window(u8 type, u8 type_flags, u16 first, u16 last) {
  bytes_.push_back(kWordWindow);
  append_little_endian(bytes_, 13, 2);
  bytes_.insert(bytes_.end(), {type, kProducerFixed, type_flags});
  for (u32 value : {u32{0}, u32{first}, u32{last}, u32{0}, u32{last} - first + 1}) {
    append_little_endian(bytes_, value, 2);
  }
}

ResourceTemplate& ResourceTemplate::bus_window(u16 first, u16 last) {
  word_window(kWindowBus, 0, first, last);
  return *this;
}

ResourceTemplate& ResourceTemplate::port_window(u16 first, u16 last) {
  word_window(kWindowPorts, kEntireRange, first, last);
  return *this;
}

ResourceTemplate& ResourceTemplate::memory_window(u32 first, u32 last, Caching caching) {
  bytes_.push_back(kDwordWindow);
  append_little_endian(bytes_, 23, 2);
  const u8 flags = static_cast<u8>(kReadWrite | static_cast<u8>(caching) << 1);
  bytes_.insert(bytes_.end(), {kWindowMemory, kProducerFixed, flags});
  for (u32 value : {u32{0}, first, last, u32{0}, last - first + 1}) {
    append_little_endian(bytes_, value, 4);
  }
  return *this;
}

Aml ResourceTemplate::buffer() const {
  std::vector<u8> closed = bytes_;
  closed.push_back(kEnd);
  closed.push_back(0);  // a checksum of zero counts as correct
  return acpi::buffer(closed);
}

}  // namespace ringshift::bios::acpi
