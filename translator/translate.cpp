// From CS:EIP to a block: finding where the code lies, decoding it, choosing how far a block goes,
// and handing it to the emitter.
#include <algorithm>
#include <cstring>

#include "translator/translator.h"

namespace ringshift::translator {

namespace {

using cpu::ControlFlow;
using cpu::DecodeStatus;
using cpu::Instruction;

constexpr std::size_t kLongestBlock = 64;

}  // namespace

std::optional<Translator::CodePlace> Translator::locate(u64 linear) {
  if (const auto known = located_before(linear)) return known;
  const u64 page = linear & ~kPageMask;
  const cpu::TranslateResult result = shadow_->fetch({page});
  const auto* translation = std::get_if<cpu::Translation>(&result);
  if (translation == nullptr) return std::nullopt;
  FetchEntry& entry = fetch_entry(page);
  entry = {fetch_key(page), fetch_generation_, processor_.memory().mask_a20(translation->address),
           translation->global};
  return CodePlace{entry.physical + (linear & kPageMask), entry.global};
}

std::optional<Translator::CodePlace> Translator::located_before(u64 linear) {
  const FetchEntry& entry = fetch_entry(linear);
  if (entry.key != fetch_key(linear) || entry.generation != fetch_generation_) return std::nullopt;
  return CodePlace{entry.physical + (linear & kPageMask), entry.global};
}

u64 Translator::fetch_key(u64 linear) const {
  const u64 side = u64{window_.space} << 1 | (mode_.has(Mode::kUser) ? 1 : 0);
  return (linear & ~kPageMask) | side << 32;
}

Translator::FetchEntry& Translator::fetch_entry(u64 linear) {
  const u64 key = fetch_key(linear);
  return fetches_[((key >> kPageShift) ^ (key >> 32) * 0x55) % fetches_.size()];
}

/// The mode that blocks at the place are made in and found by.
Mode Translator::mode_at(const CodePlace& place) const {
  return place.global ? mode_.with(Mode::kGlobal) : mode_;
}

/// The block at CS:`rip`, or null where only the interpreter can go on.
Block* Translator::next_block(u64 rip) {
  const cpu::SegmentRegister& cs = processor_.state.segment(cpu::SegmentName::CS);
  if (rip > cs.limit) return nullptr;
  const u64 linear = (cs.base + rip) & 0xFFFFFFFF;
  const auto place = locate(linear);
  if (!place) return nullptr;
  const Mode mode = mode_at(*place);
  Block* block = store_.find_or_share(place->address, static_cast<u32>(rip), mode);
  if (block != nullptr && block->crosses_page) {
    const auto second = locate(((linear & ~kPageMask) + kPageSize) & 0xFFFFFFFF);
    if (!second || second->address.page() != block->second_page) {
      store_.kill(*block);
      block = nullptr;
      refresh();
    }
  }
  if (block == nullptr) block = translate(rip, *place, mode);
  if (block == nullptr || rip + block->bytes - 1 > cs.limit) return nullptr;
  return block;
}

/// The same if that is simple.
const Block* Translator::known_block(u64 rip) {
  const cpu::SegmentRegister& cs = processor_.state.segment(cpu::SegmentName::CS);
  if (rip > cs.limit) return nullptr;
  const auto place = locate((cs.base + rip) & 0xFFFFFFFF);
  if (!place) return nullptr;
  const Mode mode = mode_at(*place);
  const Block* block = store_.find(place->address, static_cast<u32>(rip), mode);
  const bool simple =
      block != nullptr && !block->crosses_page && rip + block->bytes - 1 <= cs.limit;
  return simple ? block : nullptr;
}

Block* Translator::translate(u64 rip, const CodePlace& place, Mode mode) {
  if (area_.capacity() - area_.used() < kRoomForBlock || store_.footprint() > kMostFootprint) {
    make_room();
    refresh();
  }
  source_.clear();
  Block& block = store_.make(place.address, static_cast<u32>(rip), mode);
  decode_block(rip, place, source_, block);
  if (source_.empty()) {
    store_.unmake();
    return nullptr;
  }
  if (area_.append(emitter_.emit(block, source_, area_.next())) == nullptr) {
    block.dead = true;
    return nullptr;
  }
  store_.publish(block);
  connect_known(block);
  if (lockstep_) lockstep_->remember(block, source_);
  if (listing_) listing_->add(block, source_);
  if (perf_map_) perf_map_->add(block);
  ++translated_;
  translated_instructions_ += source_.size();
  return &block;
}

/// What earlier faults have taught about the instruction at this physical address.
void Translator::note_site_kind(SourceInstruction& item, u64 address) const {
  const FaultSites::Advice advice = sites_.advice(address);
  item.patience = advice.patience;
  item.call_out = advice.patience != 0;
  item.wraps = advice.wraps;
}

/// Instructions up to an unconditional branch that nothing jumps over, the end of the page, or the
/// first one that can't be fetched or decoded: that one is the interpreter's.
void Translator::decode_block(u64 rip, const CodePlace& place,
                              std::vector<SourceInstruction>& source, Block& block) {
  const cpu::SegmentRegister& cs = processor_.state.segment(cpu::SegmentName::CS);
  const u8* page = processor_.memory().host_page(place.address.page()).read;
  if (page == nullptr) return;
  const auto first = static_cast<std::size_t>(place.address.page_offset());
  std::size_t offset = first;
  u64 farthest = 0;  ///< EIP that a branch of this block jumps forward to
  while (source.size() < kLongestBlock && offset < kPageSize) {
    SourceInstruction& item = source.emplace_back();
    item.eip = static_cast<u32>(rip + (offset - first));
    const DecodeStatus status = interpreter_.decoder().decode(
        {page + offset, kPageSize - offset}, processor_.decode_mode(), item.instruction);
    item.decoded = status == DecodeStatus::Ok;
    if (!item.decoded) item.instruction = undecoded();
    if (item.decoded) note_site_kind(item, place.address.page().value + offset);
    if (status == DecodeStatus::NeedsMoreBytes || !fits(source, cs.limit)) {
      source.pop_back();
      if (status == DecodeStatus::NeedsMoreBytes && source.empty()) {
        decode_crossing(rip, place, source, block);
      }
      break;
    }
    offset += item.instruction.length;
    if (ends_block(item, farthest)) break;
  }
  if (!block.crosses_page) block.bytes = static_cast<u16>(offset - first);
}

/// What stands for an instruction that only the interpreter can make something of.
cpu::Instruction Translator::undecoded() {
  Instruction instruction;
  instruction.length = 1;
  return instruction;
}

/// Whether the last of the instructions lies in the segment, and may be in a block with the others:
/// one is compared as a whole or not at all.
bool Translator::fits(std::span<const SourceInstruction> source, u32 limit) const {
  const SourceInstruction& last = source.back();
  if (u64{last.eip} + last.instruction.length - 1 > limit) return false;
  return !lockstep_ || source.size() == 1 || Lockstep::on_trial(last);
}

/// No instruction behind this one belongs to its block. `farthest` is the EIP up to which branches
/// of the block jump over what is between.
bool Translator::ends_block(const SourceInstruction& item, u64& farthest) const {
  if (!item.decoded || (lockstep_ && !Lockstep::on_trial(item))) return true;
  const Instruction& instruction = item.instruction;
  const u64 next = u64{item.eip} + instruction.length;
  if (instruction.operands[0].kind == cpu::OperandKind::RelativeBranch &&
      instruction.control_flow == ControlFlow::Conditional) {
    farthest = std::max(farthest, (next + instruction.immediate) & 0xFFFFFFFF);
  }
  const bool ends =
      (instruction.policy == cpu::TranslationPolicy::EmulateAndLeave && !may_stay(instruction)) ||
      (instruction.control_flow == ControlFlow::Near && instruction.opcode != 0xE8);
  return ends && farthest != next;
}

/// A single instruction whose bytes go on in the next page.
void Translator::decode_crossing(u64 rip, const CodePlace& place,
                                 std::vector<SourceInstruction>& source, Block& block) {
  const cpu::SegmentRegister& cs = processor_.state.segment(cpu::SegmentName::CS);
  const u64 linear = (cs.base + rip) & 0xFFFFFFFF;
  const auto second = locate(((linear & ~kPageMask) + kPageSize) & 0xFFFFFFFF);
  if (!second) return;
  const u8* page = processor_.memory().host_page(place.address.page()).read;
  const u8* next_page = processor_.memory().host_page(second->address.page()).read;
  if (page == nullptr || next_page == nullptr) return;
  std::array<u8, cpu::kLongestInstruction> bytes{};
  const auto offset = static_cast<std::size_t>(place.address.page_offset());
  const std::size_t here = std::min(kPageSize - offset, bytes.size());
  std::memcpy(bytes.data(), page + offset, here);
  std::memcpy(bytes.data() + here, next_page, bytes.size() - here);
  SourceInstruction item;
  item.eip = static_cast<u32>(rip);
  if (interpreter_.decoder().decode(bytes, processor_.decode_mode(), item.instruction) !=
          DecodeStatus::Ok ||
      rip + item.instruction.length - 1 > cs.limit) {
    return;
  }
  note_site_kind(item, place.address.value);
  block.crosses_page = true;
  block.second_global = second->global;
  block.second_page = second->address.page();
  block.bytes = item.instruction.length;
  source.push_back(item);
}

/// Blocks whose sites have proved to fault are translated anew when they are next met.
void Translator::bury_doomed() {
  for (Block* block : doomed_) store_.kill(*block);
  doomed_.clear();
}

void Translator::make_room() {
  doomed_.clear();
  store_.clear();
  if (lockstep_) lockstep_->forget_all();
  lanes_.forget_all();
  page_links_.clear();
  calls_stale_ = true;
  area_.clear();
  stubs_ = Stubs::emit(area_);
  ++cache_flushes_;
  forget_fetches();
}

}  // namespace ringshift::translator
