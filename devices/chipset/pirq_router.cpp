#include "devices/chipset/pirq_router.h"

namespace ringshift::devices {

namespace {

constexpr u8 kRouteDisabled = 0x80;
constexpr u16 kRoutable = 0xDEF8;  // all but the reserved 0, 1, 2, 8 and 13

}  // namespace

void PirqRouter::set_irq(unsigned number, bool level) {
  if (number >= asserted_.size()) return;
  u8& count = asserted_[number];
  if (level ? count == 0xFF : count == 0) return;
  count = static_cast<u8>(level ? count + 1 : count - 1);
  if (number < kPciLines) {
    u16& total = pirq_count_[pirq_of(number / 4, number % 4 + 1)];
    total = static_cast<u16>(level ? total + 1 : total - 1);
  }
  update_outputs();
}

void PirqRouter::set_route(unsigned pirq, u8 value) {
  const bool routed = (value & kRouteDisabled) == 0 && ((kRoutable >> (value & 15)) & 1) != 0;
  route_[pirq % kPirqs] = routed ? (value & 15) : kNowhere;
  update_outputs();
}

void PirqRouter::update_outputs() {
  u16 wanted = 0;
  for (unsigned pirq = 0; pirq < kPirqs; ++pirq) {
    if (pirq_count_[pirq] != 0 && route_[pirq] != kNowhere) {
      wanted = static_cast<u16>(wanted | 1U << route_[pirq]);
    }
  }
  for (unsigned irq = 0; irq < kIsaLines; ++irq) {
    if (asserted_[kPciLines + irq] != 0) wanted = static_cast<u16>(wanted | 1U << irq);
  }
  const u16 changed = wanted ^ outputs_;
  outputs_ = wanted;
  for (unsigned irq = 0; irq < kIsaLines; ++irq) {
    if (((changed >> irq) & 1) != 0) isa_.set_irq(irq, ((wanted >> irq) & 1) != 0);
  }
}

void PirqRouter::reset() {
  route_.fill(kNowhere);
  update_outputs();  // the sources' levels are theirs: each function lowers its own in its reset
}

void PirqRouter::serialize(StateArchive& archive) {
  archive.field("asserted", asserted_);
  archive.field("routes", route_);
  archive.field("outputs", outputs_);
  if (!archive.restoring()) return;
  for (u8& route : route_) {
    if (route >= kIsaLines) route = kNowhere;
  }
  pirq_count_ = {};
  for (unsigned line = 0; line < kPciLines; ++line) {
    u16& total = pirq_count_[pirq_of(line / 4, line % 4 + 1)];
    total = static_cast<u16>(total + asserted_[line]);
  }
}

}  // namespace ringshift::devices
