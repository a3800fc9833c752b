#include "devices/serial/uart16550.h"

#include <algorithm>
#include <utility>

namespace ringshift::devices {

namespace {

// Register offsets with DLAB clear. PC16550D table II.
enum Offset : u64 { kData, kIer, kIirFcr, kLcr, kMcr, kLsr, kMsr, kScratch };

constexpr u8 kIerReceiver = 0x01;
constexpr u8 kIerTransmitter = 0x02;
constexpr u8 kIerLineStatus = 0x04;
constexpr u8 kIerModemStatus = 0x08;

// IIR bits 3:0. PC16550D table IV.
constexpr u8 kIirNone = 0x01;
constexpr u8 kIirLineStatus = 0x06;
constexpr u8 kIirReceiver = 0x04;
constexpr u8 kIirTimeout = 0x0C;
constexpr u8 kIirTransmitter = 0x02;
constexpr u8 kIirModemStatus = 0x00;
constexpr u8 kIirFifosEnabled = 0xC0;

constexpr u8 kLcrDlab = 0x80;
constexpr u8 kLcrBreak = 0x40;
constexpr u8 kLcrParity = 0x08;
constexpr u8 kLcrTwoStopBits = 0x04;

constexpr u8 kMcrDtr = 0x01;
constexpr u8 kMcrRts = 0x02;
constexpr u8 kMcrOut1 = 0x04;
constexpr u8 kMcrOut2 = 0x08;

constexpr u8 kLsrDataReady = 0x01;
constexpr u8 kLsrOverrun = 0x02;
constexpr u8 kLsrBreak = 0x10;
constexpr u8 kLsrErrors = 0x1E;
constexpr u8 kLsrTransmitterEmpty = 0x60;  // THRE and TEMT: nothing ever waits here
constexpr u8 kLsrFifoError = 0x80;

constexpr u8 kMsrDeltas = 0x0F;
constexpr u64 kInputClock = 1'843'200;  // Hz, as on every PC

}  // namespace

Uart16550::Uart16550(EventClock& clock, std::string name, CharacterBackend* backend)
    : name_(std::move(name)), backend_(backend), timeout_(clock, [this] {
        timed_out_ = count_ > 0;
        update_interrupt();
      }) {
  if (backend_ != nullptr) modem_inputs_ = kClearToSend | kDataSetReady | kDataCarrierDetect;
  reset(ResetKind::PowerOn);
}

// PC16550D table III. Divisor and scratch register keep what they have; at power-on that is zero
// here.
void Uart16550::reset(ResetKind kind) {
  ier_ = fcr_ = lcr_ = mcr_ = lsr_ = 0;
  msr_ = modem_inputs_;
  if (kind == ResetKind::PowerOn) {
    scratch_ = 0;
    divisor_ = 0;
  }
  transmitter_interrupt_ = false;
  clear_receiver();
  update_interrupt();
  offer_room();
}

void Uart16550::serialize(StateArchive& archive) {
  archive.section(name_, 1);
  archive.field("ier", ier_);
  archive.field("fcr", fcr_);
  archive.field("lcr", lcr_);
  archive.field("mcr", mcr_);
  archive.field("lsr", lsr_);
  archive.field("msr", msr_);
  archive.field("scratch", scratch_);
  archive.field("divisor", divisor_);
  archive.field("modem_inputs", modem_inputs_);
  archive.field("transmitter_interrupt", transmitter_interrupt_);
  archive.field("timed_out", timed_out_);
  archive.field("bytes", bytes_);
  archive.field("errors", errors_);
  archive.field("first", first_);
  archive.field("count", count_);
  archive.field("timeout", timeout_);
  if (!archive.restoring()) return;
  if (first_ >= kFifoDepth || count_ > kFifoDepth) {
    archive.refuse("impossible FIFO in the snapshot of " + name_);
    clear_receiver();
  }
  starved_ = true;  // whatever the backend held back, it may offer again
  interrupt_.restore_level(pending_interrupt() != kIirNone && (mcr_ & kMcrOut2) != 0 &&
                           !loopback());
}

// --- Registers -----------------------------------------------------------------------------------

u64 Uart16550::io_read(u64 offset, unsigned) {
  const bool divisor_access = (lcr_ & kLcrDlab) != 0;
  switch (offset) {
    case kData:
      return divisor_access ? divisor_ & 0xFF : read_receiver();
    case kIer:
      return divisor_access ? divisor_ >> 8 : ier_;
    case kIirFcr:
      return read_interrupt_identification();
    case kLcr:
      return lcr_;
    case kMcr:
      return mcr_;
    case kLsr:
      return read_line_status();
    case kMsr:
      return read_modem_status();
    case kScratch:
      return scratch_;
    default:
      return 0xFF;
  }
}

void Uart16550::io_write(u64 offset, u64 value, unsigned) {
  const u8 byte = static_cast<u8>(value);
  const bool divisor_access = (lcr_ & kLcrDlab) != 0;
  switch (offset) {
    case kData:
      if (divisor_access) {
        divisor_ = static_cast<u16>((divisor_ & 0xFF00) | byte);
      } else {
        write_transmitter(byte);
      }
      break;
    case kIer:
      if (divisor_access) {
        divisor_ = static_cast<u16>((divisor_ & 0x00FF) | (byte << 8));
      } else {
        write_interrupt_enable(byte);
      }
      break;
    case kIirFcr:
      write_fifo_control(byte);
      break;
    case kLcr:
      write_line_control(byte);
      break;
    case kMcr:
      write_modem_control(byte);
      break;
    case kScratch:
      scratch_ = byte;
      break;
    default:
      break;  // LSR and MSR: writes are for factory tests only
  }
}

u8 Uart16550::read_receiver() {
  if (count_ == 0) return bytes_[first_];
  const u8 byte = bytes_[first_];
  pop();
  timed_out_ = false;
  if (fifo_enabled() && count_ > 0) {
    timeout_.arm_in(4 * character_time());
  } else {
    timeout_.cancel();
  }
  update_interrupt();
  offer_room();
  return byte;
}

u8 Uart16550::read_interrupt_identification() {
  const u8 pending = pending_interrupt();
  // Reading clears the transmitter's interrupt only if that is what was shown. Table IV.
  if (pending == kIirTransmitter) {
    transmitter_interrupt_ = false;
    update_interrupt();
  }
  return pending | (fifo_enabled() ? kIirFifosEnabled : 0);
}

u8 Uart16550::read_line_status() {
  u8 status = lsr_ | kLsrTransmitterEmpty;
  if (count_ > 0) status |= kLsrDataReady;
  if (fifo_enabled()) {
    for (unsigned i = 0; i < count_; ++i) {
      if (errors_[(first_ + i) % kFifoDepth] != 0) status |= kLsrFifoError;
    }
  }
  lsr_ = 0;
  if (count_ > 0) errors_[first_] = 0;
  update_interrupt();
  return status;
}

u8 Uart16550::read_modem_status() {
  const u8 status = msr_;
  msr_ &= static_cast<u8>(~kMsrDeltas);
  update_interrupt();
  return status;
}

void Uart16550::write_transmitter(u8 byte) {
  transmitter_interrupt_ = false;
  update_interrupt();
  if (loopback()) {
    push(byte & word_mask(), 0);
  } else if (backend_ != nullptr && (lcr_ & kLcrBreak) == 0) {
    // The far end isn't a wire with a word length of its own: it takes what was meant. Firmware and
    // small kernels write text to a port that nobody has set up (five bits a word after reset).
    backend_->transmit(byte);
  }
  // The holding register is empty again: the edge that edge-triggered controllers need.
  transmitter_interrupt_ = true;
  update_interrupt();
}

void Uart16550::write_interrupt_enable(u8 value) {
  const u8 enabled = value & 0x0F & static_cast<u8>(~ier_);
  ier_ = value & 0x0F;
  // Enabling the interrupt while the holding register is empty causes one at once.
  if ((enabled & kIerTransmitter) != 0) transmitter_interrupt_ = true;
  update_interrupt();
}

// PC16550D §8.4. Bits 5:1 count only when bit 0 is set.
void Uart16550::write_fifo_control(u8 value) {
  const bool toggled = ((value ^ fcr_) & 1) != 0;
  if (toggled || (value & 0x03) == 0x03) clear_receiver();
  fcr_ = (value & 1) != 0 ? value & 0xC9 : 0;
  update_interrupt();
  offer_room();
}

void Uart16550::write_line_control(u8 value) {
  const bool break_begins = (value & ~lcr_ & kLcrBreak) != 0;
  lcr_ = value;
  if (break_begins && loopback()) push(0, kLsrBreak);
}

void Uart16550::write_modem_control(u8 value) {
  mcr_ = value & 0x1F;
  update_modem_status();
  update_interrupt();
  offer_room();
}

// --- Receiver ------------------------------------------------------------------------------------

unsigned Uart16550::trigger_level() const {
  static constexpr std::array<u8, 4> kLevels = {1, 4, 8, 14};
  return fifo_enabled() ? kLevels[fcr_ >> 6] : 1;
}

Nanoseconds Uart16550::character_time() const {
  const u64 bits = 1 + 5 + (lcr_ & 3) + ((lcr_ & kLcrParity) != 0 ? 1 : 0) +
                   ((lcr_ & kLcrTwoStopBits) != 0 ? 2 : 1);
  // A divisor of zero stops the baud generator; it counts here as the largest.
  const u64 divisor = divisor_ != 0 ? divisor_ : 0x10000;
  return bits * 16 * divisor * kNanosecondsPerSecond / kInputClock;
}

void Uart16550::push(u8 byte, u8 errors) {
  if (count_ == capacity()) {
    // With FIFOs the new byte is lost in the shift register, without them it replaces the old one.
    lsr_ |= kLsrOverrun;
    if (!fifo_enabled()) bytes_[first_] = byte;
    update_interrupt();
    return;
  }
  const unsigned slot = (first_ + count_) % kFifoDepth;
  bytes_[slot] = byte;
  errors_[slot] = errors;
  ++count_;
  if (count_ == 1) lsr_ |= errors;
  timed_out_ = false;
  if (fifo_enabled()) timeout_.arm_in(4 * character_time());
  update_interrupt();
}

void Uart16550::pop() {
  errors_[first_] = 0;
  --count_;
  // An empty receiver goes on showing its last byte.
  if (count_ == 0) return;
  first_ = static_cast<u8>((first_ + 1) % kFifoDepth);
  // Errors show when their byte has come to the top. PC16550D §8.6.2.
  lsr_ |= errors_[first_];
}

void Uart16550::clear_receiver() {
  bytes_.fill(0);
  errors_.fill(0);
  first_ = count_ = 0;
  timed_out_ = false;
  timeout_.cancel();
}

std::size_t Uart16550::receive(std::span<const u8> bytes) {
  std::size_t taken = 0;
  // In loopback the receiver's input is cut off from the line: the sender has to wait.
  if (!loopback()) {
    while (taken < bytes.size() && count_ < capacity()) push(bytes[taken++], 0);
  }
  starved_ = taken < bytes.size();
  return taken;
}

void Uart16550::receive_break() {
  if (!loopback()) push(0, kLsrBreak);
}

void Uart16550::offer_room() {
  if (!starved_ || loopback() || count_ == capacity() || backend_ == nullptr) return;
  starved_ = false;
  backend_->ready_to_receive();
}

// --- Modem status and interrupts -----------------------------------------------------------------

void Uart16550::set_modem_inputs(u8 inputs) {
  modem_inputs_ = inputs & 0xF0;
  update_modem_status();
  update_interrupt();
}

void Uart16550::update_modem_status() {
  u8 inputs = modem_inputs_;
  if (loopback()) {  // PC16550D §8.7: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD
    inputs = static_cast<u8>(((mcr_ & kMcrRts) != 0 ? kClearToSend : 0) |
                             ((mcr_ & kMcrDtr) != 0 ? kDataSetReady : 0) |
                             ((mcr_ & kMcrOut1) != 0 ? kRingIndicator : 0) |
                             ((mcr_ & kMcrOut2) != 0 ? kDataCarrierDetect : 0));
  }
  const u8 changed = inputs ^ (msr_ & 0xF0);
  u8 deltas = (changed >> 4) & 0x0B;
  // The ring indicator reports only its trailing edge.
  if ((changed & kRingIndicator) != 0 && (inputs & kRingIndicator) == 0) deltas |= 0x04;
  msr_ = inputs | (msr_ & kMsrDeltas) | deltas;
}

u8 Uart16550::pending_interrupt() const {
  if ((ier_ & kIerLineStatus) != 0 && (lsr_ & kLsrErrors) != 0) return kIirLineStatus;
  if ((ier_ & kIerReceiver) != 0) {
    if (count_ >= trigger_level()) return kIirReceiver;
    if (timed_out_) return kIirTimeout;
  }
  if ((ier_ & kIerTransmitter) != 0 && transmitter_interrupt_) return kIirTransmitter;
  if ((ier_ & kIerModemStatus) != 0 && (msr_ & kMsrDeltas) != 0) return kIirModemStatus;
  return kIirNone;
}

void Uart16550::update_interrupt() {
  // In loopback the OUT2 pin is inactive, and with it the PC's interrupt driver. PC16550D §8.7.
  interrupt_.set(pending_interrupt() != kIirNone && (mcr_ & kMcrOut2) != 0 && !loopback());
}

}  // namespace ringshift::devices
