#include "tests/fuzz/random_guest.h"

#include <algorithm>
#include <array>
#include <span>

namespace ringshift::tests {

namespace {

using cpu::SegmentName;
using cpu::SegmentRegister;
using cpu::State;

// Physical layout. Low memory and the soup are random; what lies between keeps the guest alive.
constexpr u64 kLowSoup = 0x2000, kLowSoupEnd = 0x9F000;
constexpr u64 kRealHandlers = 0x600;
constexpr u64 kGdt = 0x100000, kIdt = 0x101000, kTss = 0x102000, kLdt = 0x104000;
constexpr u64 kHandlers = 0x106000, kHandlerSize = 64;
constexpr u64 kSystemStack = 0x10F000;
constexpr u64 kTables = 0x110000, kTableEnd = 0x150000;
constexpr u64 kSoup = 0x200000, kSoupEnd = 0x280000;
constexpr u16 kDescriptors = 64;
constexpr u16 kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1B, kData3 = 0x23, kTssSelector = 0x28;
// Page tables: roots for legacy paging, pointer tables for PAE, directories, then tables.
constexpr u64 kRoots = kTables, kRootCount = 8;
constexpr u64 kPointers = kTables + 0x8000;
constexpr u64 kDirectories = kTables + 0x9000, kDirectoryCount = 8;
constexpr u64 kPageTables = kTables + 0x11000, kPageTableCount = 32;
/// Identity mappings of the first 4 MiB, for each format.
constexpr u64 kIdentityLegacy = kTables + 0x3D000, kIdentityPae = kTables + 0x3E000;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80;

constexpr u32 kPlaces[] = {0xFEE00000, 0xFEC00000, 0xFED00000, 0xA0000,    0xB8000,    0xC0000,
                           0xF0000,    0xFFFF0000, 0xFFFFFFF0, 0xE0000000, 0xFD000000, 0x1000000};

constexpr u8 kDataType = 3, kCodeType = 11;  // accessed, readable, writable

SegmentRegister make(u16 selector, u64 base, u32 limit, u8 type, u8 dpl, bool big) {
  SegmentRegister made;
  made.selector = selector;
  made.base = base;
  made.limit = limit;
  made.type = type;
  made.dpl = dpl;
  made.code_or_data = made.present = true;
  made.big = big;
  made.granular = limit > 0xFFFFF;
  return made;
}

constexpr u64 flat_descriptor(u8 type, u8 dpl) {
  return 0x00CF'9000'0000'FFFF | u64{type} << 40 | u64{dpl} << 45;
}

constexpr u64 system_descriptor(u64 base, u32 limit, u8 type) {
  return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | u64{type} << 40 | u64{0x80} << 40 |
         (base >> 24 & 0xFF) << 56;
}

constexpr u64 gate(u16 selector, u32 offset, u8 type, u8 dpl) {
  return (offset & 0xFFFF) | u64{selector} << 16 | u64{type} << 40 | u64{dpl} << 45 |
         u64{0x80} << 40 | u64{offset >> 16} << 48;
}

constexpr bool has_error_code(unsigned vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

}  // namespace

/// An address that is likely to be somewhere interesting.
u32 RandomGuest::address(Random& random) {
  switch (random.below(8)) {
    case 0:
      return random.interesting32();
    case 1:
      return random.pick(kPlaces) + random.below(0x2000) - 0x1000;
    case 2:
      return random.below(0x40) - 0x20;
    case 3:
      return static_cast<u32>(kTables) + random.below(kTableEnd - kTables);
    case 4:
      return random.below(0xA0000);
    default:
      return static_cast<u32>(kSoup) + random.below(kSoupEnd - kSoup);
  }
}

/// A few instructions that belong together; how many bytes they are.
u64 RandomGuest::write_snippet(Random& random, u64 at, const EncodingSpace& space) {
  std::array<u8, 32> bytes{};
  unsigned length = 0;
  const auto put = [&](std::initializer_list<unsigned> values) {
    for (const unsigned value : values) bytes[length++] = static_cast<u8>(value);
  };
  const auto put32 = [&](u32 value) {
    for (unsigned n = 0; n < 4; ++n) bytes[length++] = static_cast<u8>(value >> (8 * n));
  };
  const auto branch = [&] { put32(random.below(0x400) - 0x200); };
  switch (random.below(24)) {
    case 0:  // mov ecx, few; rep stos/movs/cmps/scas
      put({0xB9});
      put32(random.chance(90) ? random.below(0x3000) : random.interesting32());
      put({random.chance(50) ? 0xF3U : 0xF2U, 0xA4 + random.below(12)});
      break;
    case 1:  // a call, sometimes of itself
      put({0xE8});
      if (random.chance(10)) {
        put32(~u32{4});
      } else {
        branch();
      }
      break;
    case 2:
      put({0xC3});
      break;
    case 3:  // mov reg, address; access
      put({0xB8 + random.below(8)});
      put32(address(random));
      put({random.chance(50) ? 0x8BU : 0x89U, random.below(64)});
      break;
    case 4:  // a loop
      put({0xB9});
      put32(random.below(2000));
      put({0x40 + random.below(16), 0x90, 0xE2, 0xFC});
      break;
    case 5:  // its own code: mov byte [address], value
      put({0xC6, 0x05});
      put32(static_cast<u32>(at) + random.below(0x80));
      put({random.below(256)});
      break;
    case 6:
      put({random.pick({0xFAU, 0xFBU, 0xFCU, 0xFDU, 0x9CU, 0x9DU, 0x60U, 0x61U, 0xC9U, 0xCFU})});
      break;
    case 7:  // in, out with any port
      put({0x66, 0xBA, random.below(256), random.below(16), 0xEC + random.below(4)});
      break;
    case 8:  // jcc
      put({0x70 + random.below(16), random.below(256)});
      break;
    case 9:  // jmp, call through a register
      put({0xB8});
      put32(address(random));
      put({0xFF, random.chance(50) ? 0xE0U : 0xD0U});
      break;
    case 10:  // mov esp
      put({0xBC});
      put32(address(random));
      break;
    case 11:  // mov crN, INVLPG, MOV segment, INT n
      switch (random.below(5)) {
        case 0:
          put({0x0F, 0x22, 0xC0 + random.pick({0U, 3U, 4U}) * 8 + random.below(8)});
          break;
        case 1:
          put({0x0F, 0x01, 0x3D});
          put32(address(random));
          break;
        case 2:
          put({0x8E, 0xC0 + random.below(64)});
          break;
        case 3:
          put({0xB8});
          put32(static_cast<u32>(kRoots) + random.below(kRootCount) * 0x1000);
          put({0x0F, 0x22, 0xD8});
          break;
        default:
          put({0xCD, random.below(256)});
          break;
      }
      break;
    case 12:
    case 13:
      for (unsigned n = random.below(16); n > 0; --n) put({random.below(256)});
      break;
    default: {
      const DrawnBytes drawn = space.draw(random);
      length = std::min<unsigned>(drawn.length, bytes.size());
      std::copy_n(drawn.bytes.begin(), length, bytes.begin());
      if (drawn.absolute_displacement != 0 && drawn.absolute_displacement + 4 <= length &&
          space.width() == CodeWidth::Bits32) {
        length = drawn.absolute_displacement;
        put32(address(random));
        length = std::max<unsigned>(drawn.length, length);
      }
      break;
    }
  }
  map_.write({at}, std::span<const u8>(bytes.data(), length));
  return length;
}

void RandomGuest::fill_soup(Random& random, u64 first, u64 length, const EncodingSpace& space) {
  for (u64 at = first; at < first + length;)
    at += std::max<u64>(write_snippet(random, at, space), 1);
}

/// Most handlers return behind the byte at fault; the others start afresh.
void RandomGuest::write_handlers(Random& random, bool wide) {
  for (unsigned vector = 0; vector < 256; ++vector) {
    std::vector<u8> code;
    const auto put = [&](std::initializer_list<unsigned> values) {
      for (const unsigned value : values) code.push_back(static_cast<u8>(value));
    };
    const auto put32 = [&](u32 value) {
      for (unsigned n = 0; n < 4; ++n) code.push_back(static_cast<u8>(value >> (8 * n)));
    };
    if (!wide) {
      put({0x55, 0x89, 0xE5, 0xFF, 0x46, 0x02, 0x5D, 0xCF});  // inc word [bp+2]; iret
      map_.write({kRealHandlers + (vector & 15) * 16}, code);
      const u64 place = kRealHandlers + (vector & 15) * 16;
      map_.write_value({vector * 4}, random.chance(95) ? place : random.next() & 0xFFFFFFFF, 4);
      continue;
    }
    if (random.chance(70)) {
      if (has_error_code(vector)) put({0x83, 0xC4, 0x04});  // add esp, 4
      put({0x83, 0x04, 0x24, 1 + random.below(4), 0xCF});   // add dword [esp], n; iret
    } else {
      for (unsigned n = random.below(5); n > 0; --n) {
        put({0xB8 + random.below(8)});
        put32(address(random));
      }
      put({0xBC});
      put32(static_cast<u32>(kSoup) + random.below(kSoupEnd - kSoup));
      if (random.chance(30)) put({0xFB});
      put({0xB8});
      put32(static_cast<u32>(kSoup) + random.below(kSoupEnd - kSoup));
      put({0xFF, 0xE0});
    }
    map_.write({kHandlers + vector * kHandlerSize}, code);
  }
}

u64 RandomGuest::descriptor(Random& random) {
  u64 made = random.next();
  if (random.chance(80)) made |= u64{0x90} << 40;  // present, code or data
  if (random.chance(50)) made |= u64{0xC0} << 48 | 0xFFFF | u64{0xF} << 48;  // 4 GiB
  if (random.chance(60)) made &= ~(u64{0xFF} << 56 | u64{0xFFFFFF} << 16);   // base 0
  if (random.chance(60)) made |= u64{0x60} << 40;                            // DPL 3
  return made;
}

void RandomGuest::write_tables(Random& random) {
  for (u16 n = 0; n < kDescriptors; ++n) {
    map_.write_value({kGdt + n * 8U}, descriptor(random), 8);
    map_.write_value({kLdt + n * 8U}, descriptor(random), 8);
  }
  map_.write_value({kGdt}, 0, 8);
  map_.write_value({kGdt + kCode0}, flat_descriptor(kCodeType, 0), 8);
  map_.write_value({kGdt + kData0}, flat_descriptor(kDataType, 0), 8);
  map_.write_value({kGdt + (kCode3 & ~7U)}, flat_descriptor(kCodeType, 3), 8);
  map_.write_value({kGdt + (kData3 & ~7U)}, flat_descriptor(kDataType, 3), 8);
  map_.write_value({kGdt + kTssSelector}, system_descriptor(kTss, 0x20FF, 0xB), 8);
  map_.write_value({kGdt + kTssSelector + 8U}, system_descriptor(kLdt, kDescriptors * 8 - 1, 2), 8);
  for (unsigned vector = 0; vector < 256; ++vector) {
    const u32 handler = static_cast<u32>(kHandlers + vector * kHandlerSize);
    u64 entry = gate(kCode0, handler, random.chance(70) ? 0xE : 0xF, random.chance(70) ? 3 : 0);
    if (vector >= 32 && random.chance(20)) entry = random.next();
    map_.write_value({kIdt + vector * 8}, entry, 8);
  }
  for (u64 at = 0; at < 0x2100; at += 8) map_.write_value({kTss + at}, 0, 8);
  for (u64 at = 0x20; at < 0x68; at += 4) map_.write_value({kTss + at}, address(random), 4);
  map_.write_value({kTss + 4}, kSystemStack, 4);
  map_.write_value({kTss + 8}, kData0, 4);
  map_.write_value({kTss + 0x1C}, kRoots, 4);
  map_.write_value({kTss + 0x64}, u64{random.chance(50) ? 0x68U : 0xFFFFU} << 16, 4);
}

/// An entry of a page table.
u64 RandomGuest::random_entry(Random& random) {
  const u64 rights = (random.chance(92) ? kPresent : 0) | (random.chance(80) ? kWritable : 0) |
                     (random.chance(85) ? kUser : 0) | (random.chance(10) ? 0x100 : 0) |
                     (random.next() & 0x60);
  u64 frame = kSoup + (random.below(kSoupEnd - kSoup) & ~0xFFFU);
  const u32 kind = random.below(32);
  if (kind < 3) frame = random.below(kRam) & ~0xFFFU;
  if (kind == 3) frame = kTables + (random.below(kTableEnd - kTables) & ~0xFFFU);
  if (kind == 4) frame = random.pick(kPlaces) & ~0xFFFU;
  if (kind == 5) frame = random.interesting32() & ~0xFFFU;
  if (kind == 6) frame = random.below(0xA0) << 12;
  u64 entry = frame | rights;
  if (random.chance(2)) entry |= random.next() & 0xFFF;
  return entry;
}

/// Both formats at once: the same pages serve as tables of either.
void RandomGuest::write_pages(Random& random) {
  for (u64 n = 0; n < kPageTableCount * 512; ++n) {
    u64 entry = random_entry(random);
    // Runs of neighbours, as kernels make them.
    const u64 run = random.chance(30) ? 1 + random.below(24) : 1;
    for (u64 i = 0; i < run && n < kPageTableCount * 512; ++i, ++n, entry += 0x1000) {
      const u64 value = random.chance(50) ? entry : entry | (entry + 0x1000) << 32;
      map_.write_value({kPageTables + n * 8}, value, 8);
    }
  }
  const u64 system =
      kPresent | (random.chance(50) ? kWritable : 0) | (random.chance(20) ? kUser : 0);
  for (u64 page = 0; page < 1024; ++page) {
    const bool tables = page >= 0x100 && page < 0x150;
    const u64 rights = tables ? system : kPresent | kWritable | (random.chance(90) ? kUser : 0);
    map_.write_value({kIdentityLegacy + page * 4}, page << 12 | rights, 4);
    if (page < 512) map_.write_value({kIdentityPae + page * 8}, page << 12 | rights, 8);
  }
  const auto table = [&] {
    return (kPageTables + random.below(kPageTableCount) * 0x1000) | kPresent | kWritable | kUser;
  };
  for (u64 root = 0; root < kRootCount; ++root) {
    const u64 at = kRoots + root * 0x1000;
    for (u64 n = 0; n < 1024; ++n) {
      u64 entry = random.chance(60) ? table() : 0;
      if (random.chance(5)) entry = (random.next() & 0xFFC00000) | kLarge | 7;
      if (random.chance(5)) entry = (random.below(4) << 22) | kLarge | 7;
      if (random.chance(1)) entry = at | 7;
      map_.write_value({at + n * 4}, entry, 4);
    }
    map_.write_value({at}, kIdentityLegacy | 7, 4);
  }
  for (u64 directory = 0; directory < kDirectoryCount; ++directory) {
    const u64 at = kDirectories + directory * 0x1000;
    for (u64 n = 0; n < 512; ++n) {
      u64 entry = random.chance(60) ? table() : 0;
      if (random.chance(5)) entry = (random.next() & 0xFFE00000) | kLarge | 7;
      if (random.chance(5)) entry = (random.below(8) << 21) | kLarge | 7;
      if (random.chance(5)) entry |= u64{1} << 63;
      map_.write_value({at + n * 8}, entry, 8);
    }
    if (directory % 4 != 0) continue;
    map_.write_value({at}, kIdentityPae | 7, 8);
    map_.write_value({at + 8}, kSoup | kLarge | 7, 8);
  }
  for (u64 n = 0; n < 0x1000 / 8; ++n) {
    const u64 directory = n % 4 == 0 ? n / 4 % 2 * 4 : random.below(kDirectoryCount);
    const u64 entry = (kDirectories + directory * 0x1000) | kPresent;
    map_.write_value({kPointers + n * 8}, n % 4 != 0 && random.chance(20) ? 0 : entry, 8);
  }
}

SegmentRegister RandomGuest::segment(Random& random, bool code, unsigned privilege) {
  const u8 dpl = static_cast<u8>(privilege);
  u8 type = code ? kCodeType : kDataType;
  u32 limit = 0xFFFFFFFF;
  u64 base = 0;
  if (random.chance(40)) base = random.chance(50) ? random.below(0x1000) : address(random);
  if (random.chance(40)) limit = random.chance(50) ? 0xFFFF : random.below(0x400000);
  if (!code && random.chance(10)) type = 7;  // expand-down
  if (!code && random.chance(10)) type = 1;  // read-only
  if (code && random.chance(10)) type = 9;   // execute-only
  const u16 selector = static_cast<u16>((8 + random.below(kDescriptors - 8)) * 8 | privilege);
  return make(selector, base, limit, type, dpl, random.chance(70));
}

void RandomGuest::load_root(Random& random) {
  State& state = processor_.state;
  if (paging_ == Paging::Pae) {
    state.cr3 = kPointers + random.below(32) * 32;
    for (unsigned n = 0; n < 4; ++n) state.pdpte[n] = map_.read_value({state.cr3 + n * 8}, 8);
  } else {
    state.cr3 = kRoots + random.below(kRootCount) * 0x1000;
  }
  processor_.flush_tlb(true);
}

/// Somewhere else, with other registers.
void RandomGuest::jump(Random& random) {
  State& state = processor_.state;
  for (unsigned reg = 0; reg < 8; ++reg) {
    state.gpr[reg] = random.chance(70) ? address(random) : random.interesting32();
  }
  state.activity = cpu::Activity::Running;
  const bool narrow = flavour_ == Flavour::Real || flavour_ == Flavour::Virtual8086;
  if (narrow) {
    state.rip = random.below(0x10000);
  } else {
    const u64 base = state.segment(SegmentName::CS).base;
    state.rip = (kSoup + random.below(kSoupEnd - kSoup) - base) & 0xFFFFFFFF;
    if (paging_ != Paging::Off && random.chance(60)) state.rip = random.next() & 0xFFFFFFFF;
    state.gpr[cpu::Rsp] = kSoup + random.below(kSoupEnd - kSoup);
    if (random.chance(5)) state.gpr[cpu::Rsp] = random.below(32) - 16U;
  }
}

void RandomGuest::enter_real(Random& random) {
  State& state = processor_.state;
  state.cr0 = cpu::cr0::ET | (random.chance(20) ? u64{cpu::cr0::TS} : 0);
  state.cpl = 0;
  state.gdtr = {kGdt, kDescriptors * 8 - 1};
  state.idtr = {0, 0x3FF};
  for (SegmentRegister& one : state.segments) {
    const u16 selector = static_cast<u16>(random.below(0xA000));
    one = make(selector, u64{selector} * 16, 0xFFFF, kDataType, 0, false);
    if (random.chance(10)) one.limit = 0xFFFFFFFF;  // left over from protected mode
  }
  state.segment(SegmentName::CS).limit = 0xFFFF;
}

void RandomGuest::enter_protected(Random& random) {
  State& state = processor_.state;
  state.cr0 = cpu::cr0::PE | cpu::cr0::ET | (random.chance(50) ? u64{cpu::cr0::WP} : 0) |
              (random.chance(70) ? u64{cpu::cr0::NE} : 0) |
              (random.chance(10) ? u64{cpu::cr0::TS} : 0) |
              (random.chance(20) ? u64{cpu::cr0::AM} : 0);
  paging_ = random.pick({Paging::Off, Paging::Legacy, Paging::Legacy, Paging::Pae, Paging::Pae});
  if (paging_ != Paging::Off) state.cr0 |= cpu::cr0::PG;
  state.cr4 = cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT | cpu::cr4::PSE;
  if (paging_ == Paging::Pae) state.cr4 |= cpu::cr4::PAE;
  const auto maybe = [&](cpu::Feature feature, u64 bits, u32 percent) {
    if (processor_.model().has(feature) && random.chance(percent)) state.cr4 |= bits;
  };
  maybe(cpu::Feature::Pge, cpu::cr4::PGE, 50);
  maybe(cpu::Feature::Vme, cpu::cr4::VME, 30);
  maybe(cpu::Feature::Smep, cpu::cr4::SMEP, 20);
  maybe(cpu::Feature::Smap, cpu::cr4::SMAP, 20);
  maybe(cpu::Feature::Xsave, cpu::cr4::OSXSAVE, 70);
  maybe(cpu::Feature::Tsc, cpu::cr4::TSD, 10);
  maybe(cpu::Feature::DebugExtensions, cpu::cr4::DE, 20);
  if ((state.cr4 & cpu::cr4::OSXSAVE) != 0) {
    state.xcr0 = processor_.model().has(cpu::Feature::Avx) ? 7 : 3;
  }
  state.efer = random.chance(50) ? u64{cpu::efer::NXE} : 0;
  state.gdtr = {kGdt, kDescriptors * 8 - 1};
  state.idtr = {kIdt, 0x7FF};
  state.tr = make(kTssSelector, kTss, 0x20FF, 0xB, 0, false);
  state.tr.code_or_data = false;
  state.ldtr = make(kTssSelector + 8, kLdt, kDescriptors * 8 - 1, 2, 0, false);
  state.ldtr.code_or_data = false;
  const bool user = flavour_ == Flavour::User || flavour_ == Flavour::UserSegmented ||
                    flavour_ == Flavour::Virtual8086;
  state.cpl = user ? 3 : 0;
  if (flavour_ == Flavour::Virtual8086) {
    state.rflags |= cpu::eflags::VM;
    for (SegmentRegister& one : state.segments) {
      const u16 selector = static_cast<u16>(random.below(0xA000));
      one = make(selector, u64{selector} * 16, 0xFFFF, kDataType, 3, false);
    }
    return;
  }
  const bool segmented = flavour_ == Flavour::Segmented || flavour_ == Flavour::UserSegmented;
  for (unsigned n = 0; n < 6; ++n) {
    const bool code = n == static_cast<unsigned>(SegmentName::CS);
    const bool stack = n == static_cast<unsigned>(SegmentName::SS);
    const u16 selector = code ? (user ? kCode3 : kCode0) : (user ? kData3 : kData0);
    state.segments[n] =
        make(selector, 0, 0xFFFFFFFF, code ? kCodeType : kDataType, state.cpl, true);
    if (segmented && (!code || random.chance(50))) {
      state.segments[n] = segment(random, code, state.cpl);
      if (stack) state.segments[n].type |= 2;
    } else if (!code && !stack && random.chance(5)) {
      state.segments[n] = SegmentRegister{};  // null
    }
  }
}

void RandomGuest::enter(Random& random) {
  State& state = processor_.state;
  processor_.reset();
  flavour_ = static_cast<Flavour>(random.below(static_cast<u32>(Flavour::Count)));
  paging_ = Paging::Off;
  state.rflags = cpu::eflags::Fixed | (random.next() & cpu::eflags::Arithmetic);
  if (random.chance(60)) state.rflags |= cpu::eflags::IF;
  if (random.chance(30)) state.rflags |= u64{random.below(4)} << 12;
  if (random.chance(20)) state.rflags |= cpu::eflags::DF;
  if (random.chance(5)) state.rflags |= cpu::eflags::TF;
  if (random.chance(10)) state.rflags |= cpu::eflags::AC;
  if (flavour_ == Flavour::Real) {
    enter_real(random);
  } else {
    enter_protected(random);
  }
  if (random.chance(5)) {
    state.dr[0] = address(random);
    state.dr[7] = random.next() & 0xFFFF00FF;
  }
  load_root(random);
  jump(random);
  processor_.update_attention();
}

void RandomGuest::shuffle(Random& random) {
  memory_.set_a20(true);
  enter(random);
  const bool narrow = flavour_ == Flavour::Real || flavour_ == Flavour::Virtual8086;
  write_handlers(random, flavour_ != Flavour::Real);
  write_tables(random);
  if (paging_ != Paging::Off || random.chance(10)) write_pages(random);
  const u64 low = kLowSoup + random.below(kLowSoupEnd - kLowSoup - 0x8000);
  fill_soup(random, low, 0x8000, narrow_);
  if (!narrow || random.chance(20)) {
    const u64 first = kSoup + random.below(kSoupEnd - kSoup - 0x10000);
    const bool code_16 = !processor_.state.segment(SegmentName::CS).big;
    fill_soup(random, first, 0x10000, code_16 ? narrow_ : wide_);
  }
  load_root(random);
}

void RandomGuest::disturb(Random& random) {
  State& state = processor_.state;
  const bool stopped = state.activity != cpu::Activity::Running;
  switch (random.below(10)) {
    case 0:
    case 1:
      shuffle(random);
      return;
    case 2:
      enter(random);
      return;
    case 3:  // DMA onto code
      for (unsigned n = 0; n < 64; ++n) {
        write_snippet(random, kSoup + random.below(kSoupEnd - kSoup), wide_);
      }
      break;
    case 4:
      if (random.chance(20)) memory_.set_a20(random.chance(50));
      break;
    case 5:
      processor_.set_interrupt_line(random.chance(70));
      if (random.chance(30)) processor_.request_nmi();
      break;
    case 6:
      if (state.protected_mode() && (state.cr0 & cpu::cr0::PG) != 0) load_root(random);
      break;
    case 7:
      jump(random);
      break;
    default:
      break;
  }
  if (stopped) enter(random);
  processor_.update_attention();
}

}  // namespace ringshift::tests
