#include "devices/timer/pit.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

__extension__ using Wide = unsigned __int128;

u64 ticks_at(Nanoseconds time) {
  return static_cast<u64>(static_cast<Wide>(time) * Pit::kFrequency / kNanosecondsPerSecond);
}

/// The first nanosecond at which `ticks` pulses have passed.
Nanoseconds time_of(u64 ticks) {
  const Wide scaled = static_cast<Wide>(ticks) * kNanosecondsPerSecond;
  return static_cast<Nanoseconds>((scaled + Pit::kFrequency - 1) / Pit::kFrequency);
}

u32 from_bcd(u16 coded) {
  u32 value = 0;
  for (int shift = 12; shift >= 0; shift -= 4) value = value * 10 + ((coded >> shift) & 0xF);
  return value % 10000;
}

u16 to_bcd(u32 value) {
  u32 coded = 0;
  for (unsigned shift = 0; shift < 16; shift += 4) {
    coded |= value % 10 << shift;
    value /= 10;
  }
  return static_cast<u16>(coded);
}

}  // namespace

// --- One counter --------------------------------------------------------------------------------

void PitCounter::reset(bool gate) {
  *this = PitCounter{};
  gate_ = gate;
}

void PitCounter::serialize(StateArchive& archive) {
  archive.section("8254 counter", 1);
  archive.field("control", control_);
  archive.field("mode", mode_);
  archive.field("bcd", bcd_);
  archive.field("access", access_);
  archive.field("reload", reload_);
  archive.field("element", element_);
  archive.field("gate", gate_);
  archive.field("output", output_);
  archive.field("written", written_);
  archive.field("load_pending", load_pending_);
  archive.field("counting", counting_);
  archive.field("armed", armed_);
  archive.field("inhibited", inhibited_);
  archive.field("odd_half", odd_half_);
  archive.field("null_count", null_count_);
  archive.field("write_high_next", write_high_next_);
  archive.field("read_high_next", read_high_next_);
  archive.field("low_byte", low_byte_);
  archive.field("count_latched", count_latched_);
  archive.field("latched_count", latched_count_);
  archive.field("status_latched", status_latched_);
  archive.field("latched_status", latched_status_);
}

u32 PitCounter::programmed() const {
  const u32 value = bcd_ ? from_bcd(reload_) : reload_;
  return value == 0 ? modulus() : value;
}

std::optional<u32> PitCounter::count() const {
  if (!written_) return std::nullopt;
  return programmed();
}

bool PitCounter::program(u8 control) {
  const bool was_high = output_;
  const bool gate = gate_;
  const Access access = static_cast<Access>((control >> 4) & 3);
  *this = PitCounter{};
  gate_ = gate;
  control_ = control & 0x3F;
  access_ = access;
  mode_ = (control >> 1) & 7;
  if (mode_ >= 6) mode_ -= 4;  // bit 2 is a don't-care in modes 2 and 3
  bcd_ = (control & 1) != 0;
  output_ = mode_ != 0;
  return output_ && !was_high;
}

void PitCounter::write(u8 value) {
  switch (access_) {
    case Access::Low:
      reload_ = value;
      complete_write();
      break;
    case Access::High:
      reload_ = static_cast<u16>(value << 8);
      complete_write();
      break;
    case Access::LowThenHigh:
    case Access::Latch:
      if (!write_high_next_) {
        low_byte_ = value;
        write_high_next_ = true;
        if (mode_ == 0) {
          inhibited_ = true;
          output_ = false;
        }
        break;
      }
      write_high_next_ = false;
      reload_ = static_cast<u16>(value << 8 | low_byte_);
      complete_write();
      break;
  }
}

/// A whole count is in the count register: when it takes effect depends on the mode.
void PitCounter::complete_write() {
  const bool first = !written_;
  written_ = true;
  null_count_ = true;
  inhibited_ = false;
  if (mode_ == 0) output_ = false;
  // Modes 1 and 5 wait for a trigger; 2 and 3 take later counts at the end of the period.
  if (mode_ == 0 || mode_ == 4 || (periodic() && first)) load_pending_ = true;
}

u16 PitCounter::visible_count() const {
  const u32 value = element_ % modulus();
  return bcd_ ? to_bcd(value) : static_cast<u16>(value);
}

u8 PitCounter::read() {
  if (status_latched_) {
    status_latched_ = false;
    return latched_status_;
  }
  const u16 value = count_latched_ != 0 ? latched_count_ : visible_count();
  bool high = access_ == Access::High;
  if (access_ == Access::LowThenHigh || access_ == Access::Latch) {
    high = read_high_next_;
    read_high_next_ = !read_high_next_;
  }
  if (count_latched_ != 0) --count_latched_;
  return static_cast<u8>(high ? value >> 8 : value);
}

void PitCounter::latch_count() {
  if (count_latched_ != 0) return;  // the first latch holds until it is read
  latched_count_ = visible_count();
  count_latched_ = access_ == Access::Low || access_ == Access::High ? 1 : 2;
  read_high_next_ = false;
}

void PitCounter::latch_status() {
  if (status_latched_) return;
  status_latched_ = true;
  latched_status_ = static_cast<u8>(control_ | (output_ ? 0x80 : 0) | (null_count_ ? 0x40 : 0));
}

bool PitCounter::set_gate(bool gate) {
  const bool rising = gate && !gate_;
  const bool was_high = output_;
  gate_ = gate;
  if (rising && written_ && (triggered() || periodic())) load_pending_ = true;
  if (!gate && periodic()) output_ = true;
  return output_ && !was_high;
}

/// The CLK pulse that moves the count register into the counting element.
void PitCounter::load() {
  load_pending_ = false;
  counting_ = true;
  null_count_ = false;
  element_ = programmed();
  switch (mode_) {
    case 0:
      armed_ = true;
      break;
    case 1:
      armed_ = true;
      output_ = false;
      break;
    case 3:
      output_ = true;
      load_square_half();
      break;
    case 4:
    case 5:
      armed_ = true;
      output_ = true;
      break;
    default:
      break;
  }
}

bool PitCounter::advance(u64 ticks) {
  bool rose = false;
  if (load_pending_ && ticks > 0) {
    const bool was_high = output_;
    load();
    rose = output_ && !was_high;
    --ticks;
  }
  if (ticks == 0 || !counting_ || inhibited_) return rose;
  if (!gate_ && !triggered()) return rose;  // GATE suspends all but the triggered modes
  if (mode_ == 2) return advance_rate(ticks) || rose;
  if (mode_ == 3) return advance_square(ticks) || rose;
  return advance_once(ticks) || rose;
}

/// Modes 0, 1, 4 and 5: to zero once, then round and round without effect.
bool PitCounter::advance_once(u64 ticks) {
  const bool was_high = output_;
  bool rose = false;
  if (armed_) {
    const bool strobe = mode_ >= 4;
    if (!strobe && ticks >= element_) {
      output_ = true;
      armed_ = false;
      rose = !was_high;
    } else if (strobe && ticks == element_) {
      output_ = false;
    } else if (strobe && ticks > element_) {
      output_ = true;
      armed_ = false;
      rose = true;
    }
  }
  const u32 back = static_cast<u32>(ticks % modulus());
  element_ = (element_ % modulus() + modulus() - back) % modulus();
  return rose;
}

/// Mode 2: N, N-1 ... 1 with OUT low at 1, then the count register again.
bool PitCounter::advance_rate(u64 ticks) {
  if (ticks < element_) {
    element_ -= static_cast<u32>(ticks);
    output_ = element_ != 1;
    return false;
  }
  if (illegal()) {  // a count of 1: the data sheet promises nothing, so the counter rests here
    element_ = 1;
    return false;
  }
  const u32 period = programmed();
  element_ = period - static_cast<u32>((ticks - element_) % period);
  null_count_ = false;
  output_ = element_ != 1;
  return true;
}

/// Mode 3 counts by two, from an odd count less one; an odd count's high half lasts a pulse longer.
void PitCounter::load_square_half() {
  const u32 count = programmed();
  odd_half_ = (count & 1) != 0;
  element_ = count & ~1U;
  null_count_ = false;
}

u64 PitCounter::square_half_left() const {
  return element_ / 2 + (odd_half_ && output_ ? 1 : 0);
}

bool PitCounter::advance_square(u64 ticks) {
  bool rose = false;
  if (illegal()) return false;
  if (ticks >= square_half_left()) {
    ticks -= square_half_left();
    output_ = !output_;
    rose = output_;
    load_square_half();
    const u32 period = programmed();
    rose = rose || ticks >= square_half_left();
    ticks %= period;
    for (unsigned half = 0; half < 2 && ticks >= square_half_left(); ++half) {
      ticks -= square_half_left();
      output_ = !output_;
      load_square_half();
    }
  }
  element_ -= static_cast<u32>(std::min<u64>(2 * ticks, element_));
  return rose;
}

std::optional<u64> PitCounter::ticks_to_rise() const {
  if (!written_ || inhibited_) return std::nullopt;
  const u64 load = load_pending_ ? 1 : 0;
  const bool runs = gate_ || triggered();
  if (!runs || (!load_pending_ && !counting_)) return std::nullopt;
  const u64 left = load_pending_ ? programmed() : element_;
  switch (mode_) {
    case 0:
    case 1:
      if (!load_pending_ && !armed_) return std::nullopt;
      return load + left;
    case 2:
      if (illegal() && left <= 1) return std::nullopt;
      return load + left;
    case 3:
      if (illegal()) return std::nullopt;
      if (load_pending_) return 1 + u64{programmed()};
      if (!output_) return square_half_left();
      return square_half_left() + programmed() / 2;
    default:
      if (!load_pending_ && !armed_) return std::nullopt;
      return load + left + 1;
  }
}

// --- The chip and port 61h ----------------------------------------------------------------------

Pit::Pit(EventClock& clock) : clock_(clock), edge_(clock, [this] { synchronise(); }) {
  reset(ResetKind::PowerOn);
}

void Pit::reset(ResetKind /*kind*/) {
  tick_ = ticks_at(clock_.now());
  port61_ = 0;
  for (unsigned i = 0; i < counters_.size(); ++i) counters_[i].reset(i != 2);
  edge_.cancel();
  irq_.lower();
}

void Pit::serialize(StateArchive& archive) {
  archive.section("8254", 1);
  for (PitCounter& counter : counters_) counter.serialize(archive);
  archive.field("tick", tick_);
  archive.field("port61", port61_);
  bool level = irq_.level();
  archive.field("irq", level);
  if (archive.restoring()) irq_.restore_level(level);
  edge_.serialize(archive);
}

/// Brings all counters to the present and passes on what channel 0 has done meanwhile.
void Pit::synchronise() {
  const u64 present = std::max(ticks_at(clock_.now()), tick_);
  const u64 passed = present - tick_;
  tick_ = present;
  const bool rose = counters_[0].advance(passed);
  counters_[1].advance(passed);
  counters_[2].advance(passed);
  settle(rose);
}

void Pit::settle(bool channel0_rose) {
  const PitCounter& counter = counters_[0];
  if (channel0_rose) {
    irq_.lower();
    irq_.raise();
  }
  if (counter.mode() <= 1 && !counter.output()) irq_.lower();
  arm();
}

void Pit::arm() {
  const std::optional<u64> ticks = counters_[0].ticks_to_rise();
  if (!ticks) {
    edge_.cancel();
    return;
  }
  const Nanoseconds deadline = time_of(tick_ + std::max<u64>(*ticks, 1));
  if (edge_.deadline() != deadline) edge_.arm(deadline);
}

u64 Pit::read_counter(u64 offset, unsigned /*size*/) {
  if (offset > 2) return 0xFF;  // the control word can't be read
  synchronise();
  return counters_[offset].read();
}

void Pit::write_counter(u64 offset, u64 value, unsigned /*size*/) {
  synchronise();
  if (offset > 2) {
    write_control(static_cast<u8>(value));
    return;
  }
  counters_[offset].write(static_cast<u8>(value));
  if (offset == 0) settle(false);
}

void Pit::write_control(u8 value) {
  const unsigned select = value >> 6;
  if (select == 3) {
    read_back(value);
  } else if ((value & 0x30) == 0) {
    counters_[select].latch_count();
  } else {
    const bool rose = counters_[select].program(value);
    if (select == 0) settle(rose);
  }
}

void Pit::read_back(u8 value) {
  for (unsigned i = 0; i < counters_.size(); ++i) {
    if ((value & (2U << i)) == 0) continue;
    if ((value & 0x20) == 0) counters_[i].latch_count();
    if ((value & 0x10) == 0) counters_[i].latch_status();
  }
}

u64 Pit::read_port61(u64 /*offset*/, unsigned /*size*/) {
  constexpr Nanoseconds kRefreshPeriod = 15'085;
  synchronise();
  u8 value = port61_ & 0x0F;
  if ((clock_.now() / kRefreshPeriod & 1) != 0) value |= 0x10;
  if (counters_[2].output()) value |= 0x20;
  return value;
}

void Pit::write_port61(u64 /*offset*/, u64 value, unsigned /*size*/) {
  synchronise();
  port61_ = value & 0x0F;
  counters_[2].set_gate((value & 1) != 0);
}

Pit::Speaker Pit::speaker() {
  synchronise();
  const PitCounter& counter = counters_[2];
  const std::optional<u32> count = counter.count();
  const bool tone =
      (port61_ & 3) == 3 && count && *count > 1 && (counter.mode() == 2 || counter.mode() == 3);
  if (!tone) return {};
  return {true, static_cast<double>(kFrequency) / *count};
}

}  // namespace ringshift::devices
