// Blocks that don't look at a segment run whatever that segment is; those they lead to may not.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/unit/translator/small_machine.h"

namespace ringshift::translator::test {
namespace {

using Kind = SmallMachine::Kind;
using cpu::SegmentName;

enum class Gs : u8 { Flat, Based, BasedElsewhere, Null };

enum class Next : u8 { OnSamePage, OnAnotherPage };

/// INC EAX, then on to MOV EBX, GS:[ESI]: two blocks.
void load(SmallMachine& machine, Next next) {
  std::vector<u8> code(0x1010, 0xF4);
  const auto target = next == Next::OnSamePage ? std::size_t{0x20} : std::size_t{0x1000};
  const std::vector<u8> first = {
      0x40, 0xE9, static_cast<u8>(target - 6), static_cast<u8>((target - 6) >> 8), 0, 0};
  const std::vector<u8> second = {0x65, 0x8B, 0x1E, 0xF4};
  std::copy(first.begin(), first.end(), code.begin());
  std::copy(second.begin(), second.end(), code.begin() + static_cast<std::ptrdiff_t>(target));
  machine.load(code);
  for (u32 n = 0; n < 0x100; ++n) {
    machine.map().write_value({SmallMachine::kData + n * 0x100}, 0x1000 + n, 4);
  }
}

cpu::Exit run(SmallMachine& machine, Gs gs) {
  cpu::State& state = machine.state();
  state.activity = cpu::Activity::Running;
  state.rip = SmallMachine::kCode;
  state.gpr[cpu::Rsi] = SmallMachine::kData;
  cpu::SegmentRegister& segment = state.segment(SegmentName::GS);
  segment = state.segment(SegmentName::DS);
  if (gs == Gs::Based) segment.base = 0x100;
  if (gs == Gs::BasedElsewhere) segment.base = 0x500;
  if (gs == Gs::Null) segment.present = false;
  machine.processor().update_attention();
  return machine.run();
}

}  // namespace

TEST_CASE("a block that doesn't use GS runs in all its kinds, and finds the right next block") {
  constexpr Gs kOrder[] = {Gs::Based,          Gs::Based, Gs::Flat, Gs::Flat,  Gs::Based, Gs::Flat,
                           Gs::BasedElsewhere, Gs::Based, Gs::Flat, Gs::Based, Gs::Flat};
  for (const Next next : {Next::OnSamePage, Next::OnAnotherPage}) {
    SmallMachine reference(Kind::Interpreter), machine(Kind::Translator);
    load(reference, next);
    load(machine, next);
    u64 translated_before_last = 0;
    for (const Gs gs : kOrder) {
      translated_before_last = machine.engine().statistics().blocks_translated;
      CHECK(run(reference, gs) == cpu::Exit::Halt);
      CHECK(run(machine, gs) == cpu::Exit::Halt);
      CHECK(machine.state().gpr == reference.state().gpr);
      CHECK(machine.state().rip == reference.state().rip);
    }
    const u64 translated = machine.engine().statistics().blocks_translated;
    CHECK(translated == translated_before_last);
    // The first block once, the second for each kind; or the first one for each kind as well where
    // there is no way to choose between them.
    if (next == Next::OnAnotherPage) CHECK(translated == 3);
    if (next == Next::OnSamePage) CHECK(translated == 5);
    CHECK(run(machine, Gs::Null) == cpu::Exit::Shutdown);
  }
}

TEST_CASE("a difference that its code can see gives a block of its own") {
  SmallMachine machine(Kind::Translator);
  load(machine, Next::OnSamePage);
  CHECK(run(machine, Gs::Flat) == cpu::Exit::Halt);
  const u64 before = machine.engine().statistics().blocks_translated;
  machine.state().segment(SegmentName::SS).big = false;
  CHECK(run(machine, Gs::Flat) == cpu::Exit::Halt);
  CHECK(machine.engine().statistics().blocks_translated == before + 2);
}

}  // namespace ringshift::translator::test
