#include "devices/timer/rtc.h"

#include <algorithm>

namespace ringshift::devices {

namespace {

constexpr unsigned kSeconds = 0;
constexpr unsigned kSecondsAlarm = 1;
constexpr unsigned kMinutes = 2;
constexpr unsigned kMinutesAlarm = 3;
constexpr unsigned kHours = 4;
constexpr unsigned kHoursAlarm = 5;
constexpr unsigned kWeekday = 6;
constexpr unsigned kDay = 7;
constexpr unsigned kMonth = 8;
constexpr unsigned kYear = 9;
constexpr unsigned kCentury = 0x32;

constexpr u8 kUpdateFlag = 0x10;  // in register C; the enables in B have the same places
constexpr u8 kAlarmFlag = 0x20;
constexpr u8 kPeriodicFlag = 0x40;
constexpr u8 kInterruptFlag = 0x80;
constexpr u8 kSet = 0x80;  // register B
constexpr u8 kBinary = 0x04;
constexpr u8 kTwentyFourHours = 0x02;
constexpr u8 kSquareWave = 0x08;

constexpr u64 kSecondsPerDay = 86'400;
constexpr i64 kSecond = static_cast<i64>(kNanosecondsPerSecond);
/// UIP rises 244 µs before the update cycle, which takes 1,984 µs with a 32.768 kHz time base.
constexpr i64 kUpdateWindow = 244'000 + 1'984'000;

unsigned days_in_month(unsigned year, unsigned month) {
  constexpr std::array<u8, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[(month - 1) % 12] + (month == 2 && leap ? 1U : 0U);
}

/// 32,768 Hz ticks of the chain after `nanoseconds`, rounded down.
i64 chain_ticks(i64 nanoseconds) {
  return (nanoseconds / kSecond) * 32768 + (nanoseconds % kSecond) * 32768 / kSecond;
}

/// The first nanosecond at which the chain has made `ticks`.
i64 chain_nanoseconds(i64 ticks) {
  return (ticks / 32768) * kSecond + ((ticks % 32768) * kSecond + 32767) / 32768;
}

}  // namespace

Rtc::Rtc(EventClock& clock, WallClock& wall)
    : clock_(clock), wall_(wall), event_(clock, [this] { on_event(); }) {
  reset(ResetKind::PowerOn);
}

void Rtc::reset(ResetKind kind) {
  index_ = extended_index_ = 0;
  nmi_masked_ = false;
  if (kind == ResetKind::System) {
    synchronise();
    // RESET# clears the enables, the flags and SQWE; the calendar and the memory have a battery.
    memory_[kRegisterB] &=
        static_cast<u8>(~(kPeriodicFlag | kAlarmFlag | kUpdateFlag | kSquareWave));
    memory_[kRegisterC] = 0;
    irq_.lower();
    arm();
    return;
  }
  memory_ = initial_;
  memory_[kRegisterA] = 0x26;  // 32.768 kHz time base, 1,024 Hz
  memory_[kRegisterB] = kTwentyFourHours;
  memory_[kRegisterC] = 0;
  memory_[kRegisterD] = 0x80;  // valid RAM and time
  const i64 start = std::max<i64>(wall_.since_epoch(), 0);
  // The chain started with the second that was running when the machine was switched on.
  chain_origin_ = static_cast<i64>(clock_.now()) - start % kSecond;
  last_chain_ = start % kSecond;
  store({0, 0, 0, 5, 1, 1, 1970});  // a Thursday; Sunday is 1
  add_seconds(static_cast<u64>(start / kSecond));
  irq_.lower();
  arm();
}

void Rtc::serialize(StateArchive& archive) {
  archive.section("MC146818", 1);
  archive.field("memory", memory_);
  archive.field("index", index_);
  archive.field("extended_index", extended_index_);
  archive.field("nmi_masked", nmi_masked_);
  archive.field("chain_origin", chain_origin_);
  archive.field("last_chain", last_chain_);
  event_.serialize(archive);
  if (archive.saving()) return;
  index_ %= kBankSize;
  extended_index_ %= kBankSize;
  irq_.restore_level((memory_[kRegisterC] & kInterruptFlag) != 0);
}

void Rtc::set_nvram(unsigned index, u8 value) {
  if (index <= kRegisterD || index >= memory_.size()) return;
  initial_[index] = value;
  memory_[index] = value;
}

// --- Coding of the time registers ---------------------------------------------------------------

u8 Rtc::encode(unsigned value) const {
  if ((memory_[kRegisterB] & kBinary) != 0) return static_cast<u8>(value);
  return static_cast<u8>((value / 10 % 10) << 4 | value % 10);
}

unsigned Rtc::decode(u8 coded) const {
  if ((memory_[kRegisterB] & kBinary) != 0) return coded;
  return (coded >> 4) * 10U + (coded & 0xFU);
}

u8 Rtc::encode_hour(unsigned hour) const {
  if ((memory_[kRegisterB] & kTwentyFourHours) != 0) return encode(hour);
  const unsigned twelve = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<u8>(encode(twelve) | (hour >= 12 ? 0x80 : 0));
}

unsigned Rtc::decode_hour(u8 coded) const {
  if ((memory_[kRegisterB] & kTwentyFourHours) != 0) return decode(coded);
  return decode(coded & 0x7F) % 12 + ((coded & 0x80) != 0 ? 12 : 0);
}

/// The registers as a date; values that no date has are brought into range.
Rtc::Calendar Rtc::calendar() const {
  Calendar now{};
  now.second = decode(memory_[kSeconds]) % 60;
  now.minute = decode(memory_[kMinutes]) % 60;
  now.hour = decode_hour(memory_[kHours]) % 24;
  now.weekday = std::clamp(decode(memory_[kWeekday]), 1U, 7U);
  now.month = std::clamp(decode(memory_[kMonth]), 1U, 12U);
  now.year = decode(memory_[kCentury]) * 100 + decode(memory_[kYear]) % 100;
  now.day = std::clamp(decode(memory_[kDay]), 1U, days_in_month(now.year, now.month));
  return now;
}

void Rtc::store(const Calendar& calendar) {
  memory_[kSeconds] = encode(calendar.second);
  memory_[kMinutes] = encode(calendar.minute);
  memory_[kHours] = encode_hour(calendar.hour);
  memory_[kWeekday] = encode(calendar.weekday);
  memory_[kDay] = encode(calendar.day);
  memory_[kMonth] = encode(calendar.month);
  memory_[kYear] = encode(calendar.year % 100);
  memory_[kCentury] = encode(calendar.year / 100 % 100);
}

/// What `seconds` update cycles make of the registers.
void Rtc::add_seconds(u64 seconds) {
  Calendar date = calendar();
  const u64 total = date.second + 60 * (date.minute + 60 * u64{date.hour}) + seconds;
  u64 days = total / kSecondsPerDay;
  const unsigned rest = static_cast<unsigned>(total % kSecondsPerDay);
  date.second = rest % 60;
  date.minute = rest / 60 % 60;
  date.hour = rest / 3600;
  date.weekday = static_cast<unsigned>((date.weekday - 1 + days) % 7 + 1);
  // The Gregorian calendar repeats every 400 years, of 146,097 days.
  date.year += static_cast<unsigned>(days / 146'097 * 400 % 10'000);
  days %= 146'097;
  while (days > 0) {
    const unsigned left = days_in_month(date.year, date.month) - date.day;
    if (days <= left) {
      date.day += static_cast<unsigned>(days);
      break;
    }
    days -= left + 1;
    date.day = 1;
    if (++date.month > 12) {
      date.month = 1;
      ++date.year;
    }
  }
  store(date);
}

// --- Update cycles, alarm and periodic flag -----------------------------------------------------

bool Rtc::alarm_matches(unsigned second_of_day) const {
  const auto matches = [this](unsigned index, u8 value) {
    return (memory_[index] & 0xC0) == 0xC0 || memory_[index] == value;  // C0h-FFh: don't care
  };
  return matches(kSecondsAlarm, encode(second_of_day % 60)) &&
         matches(kMinutesAlarm, encode(second_of_day / 60 % 60)) &&
         matches(kHoursAlarm, encode_hour(second_of_day / 3600));
}

/// Whether one of the next `seconds` update cycles meets the alarm.
bool Rtc::alarm_within(u64 seconds) const {
  const Calendar now = calendar();
  const unsigned start = now.second + 60 * (now.minute + 60 * now.hour);
  const u64 most = std::min(seconds, kSecondsPerDay);
  for (unsigned step = 1; step <= most; ++step) {
    if (alarm_matches(static_cast<unsigned>((start + step) % kSecondsPerDay))) return true;
  }
  return false;
}

/// Length of the periodic interrupt in ticks of 32,768 Hz (data sheet table 5), 0 for none.
u64 Rtc::periodic_ticks() const {
  const unsigned rate = memory_[kRegisterA] & 0x0F;
  if (rate == 0) return 0;
  return rate <= 2 ? u64{64} << rate : u64{1} << (rate - 1);
}

bool Rtc::update_in_progress() {
  return updating() && kSecond - chain_time() % kSecond <= kUpdateWindow;
}

void Rtc::raise_flags(u8 flags) {
  memory_[kRegisterC] |= flags;
  const u8 enabled = memory_[kRegisterC] & memory_[kRegisterB] & 0x70;
  if (enabled != 0) {
    memory_[kRegisterC] |= kInterruptFlag;
  } else {
    memory_[kRegisterC] &= static_cast<u8>(~kInterruptFlag);
  }
  irq_.set(enabled != 0);
}

/// Applies everything that the divider chain has done since the last look.
void Rtc::synchronise() {
  const i64 present = chain_time();
  if (!dividing() || present <= last_chain_) return;
  u8 flags = 0;
  const i64 seconds = present / kSecond - last_chain_ / kSecond;
  if (updating() && seconds > 0) {
    if (alarm_within(static_cast<u64>(seconds))) flags |= kAlarmFlag;
    add_seconds(static_cast<u64>(seconds));
    flags |= kUpdateFlag;
  }
  if (const i64 period = static_cast<i64>(periodic_ticks()); period != 0) {
    if (chain_ticks(present) / period != chain_ticks(last_chain_) / period) flags |= kPeriodicFlag;
  }
  last_chain_ = present;
  raise_flags(flags);
}

/// Sets the timer to the next moment at which an enabled flag that isn't up yet may rise.
void Rtc::arm() {
  const u8 wanted = memory_[kRegisterB] & static_cast<u8>(~memory_[kRegisterC]) & 0x70;
  Nanoseconds deadline = kNever;
  if (updating() && (wanted & (kUpdateFlag | kAlarmFlag)) != 0) {
    deadline = static_cast<Nanoseconds>(chain_origin_ + (last_chain_ / kSecond + 1) * kSecond);
  }
  const i64 period = static_cast<i64>(periodic_ticks());
  if (dividing() && (wanted & kPeriodicFlag) != 0 && period != 0) {
    const i64 next = (chain_ticks(last_chain_) / period + 1) * period;
    deadline =
        std::min(deadline, static_cast<Nanoseconds>(chain_origin_ + chain_nanoseconds(next)));
  }
  if (deadline == kNever) {
    event_.cancel();
  } else if (event_.deadline() != deadline) {
    event_.arm(deadline);
  }
}

void Rtc::on_event() {
  synchronise();
  arm();
}

// --- Registers ----------------------------------------------------------------------------------

u8 Rtc::read_register(unsigned index) {
  synchronise();
  if (index == kRegisterA) {
    return static_cast<u8>(memory_[kRegisterA] | (update_in_progress() ? 0x80 : 0));
  }
  const u8 value = memory_[index];
  if (index == kRegisterC) {
    memory_[kRegisterC] = 0;
    irq_.lower();
    arm();
  }
  return value;
}

void Rtc::write_register(unsigned index, u8 value) {
  synchronise();
  switch (index) {
    case kRegisterA:
      write_a(value);
      break;
    case kRegisterB:
      write_b(value);
      break;
    case kRegisterC:
    case kRegisterD:
      break;  // read only
    default:
      memory_[index] = value;
      break;
  }
  arm();
}

void Rtc::write_a(u8 value) {
  const bool was_dividing = dividing();
  memory_[kRegisterA] = value & 0x7F;
  if (was_dividing || !dividing()) return;
  // The chain starts from reset: the first update comes half a second later.
  chain_origin_ = static_cast<i64>(clock_.now()) - kSecond / 2;
  last_chain_ = kSecond / 2;
}

void Rtc::write_b(u8 value) {
  if ((value & kSet) != 0) value &= static_cast<u8>(~kUpdateFlag);  // SET clears UIE
  memory_[kRegisterB] = value;
  raise_flags(0);  // an enable may meet a flag that is up already
}

u64 Rtc::read_port(u64 offset, unsigned /*size*/) {
  switch (offset & 3) {
    case 1:
      return read_register(index_);
    case 3:
      return memory_[kBankSize + extended_index_];
    default:
      return 0xFF;  // the index registers are write-only
  }
}

void Rtc::write_port(u64 offset, u64 value, unsigned /*size*/) {
  const u8 byte = static_cast<u8>(value);
  switch (offset & 3) {
    case 0:
      index_ = byte & 0x7F;
      nmi_masked_ = (byte & 0x80) != 0;
      break;
    case 1:
      write_register(index_, byte);
      break;
    case 2:
      extended_index_ = byte & 0x7F;
      break;
    default:
      memory_[kBankSize + extended_index_] = byte;
      break;
  }
}

}  // namespace ringshift::devices
